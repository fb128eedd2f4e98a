package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"tocsin.dev/schemas"
)

// Every event that the services really say in a whole case keeps to the
// published schema of its name, and so does its envelope.
func TestEveryEventKeepsToItsSchema(t *testing.T) {
	w := begin(t, 60)
	s := w.Story("tidewater", io.Discard)
	w.must(s.UpTo(w.ctx, "await"))
	entries, err := w.onTheBus(s).journal.Entries(w.ctx, "tidewater", s.Number())
	w.must(err)
	compiler := contract(t)
	seen := map[string]bool{}
	for _, e := range entries {
		seen[e.Type.Name()] = true
		whole, err := json.Marshal(e.Event)
		w.must(err)
		for schema, data := range map[string][]byte{string(e.Type): e.Data, "envelope.v1": whole} {
			compiled, err := compiler.Compile(schemas.Base + "events/" + schema + ".json")
			if err != nil {
				t.Fatalf("compile %s: %v", schema, err)
			}
			doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
			w.must(err)
			if err := compiled.Validate(doc); err != nil {
				t.Errorf("entry %d does not keep to %s: %v\n%.600s", e.Seq, schema, err, data)
			}
		}
	}
	for _, name := range []string{"case.declared", "alert.linked", "duty.opened", "scope.sealed", "wording.approved", "dispatch.ordered", "dispatch.planned", "dispatch.progressed"} {
		if !seen[name] {
			t.Errorf("the case said no %s", name)
		}
	}
}

// contract returns a compiler that knows every schema of the contract.
func contract(t *testing.T) *jsonschema.Compiler {
	t.Helper()
	c := jsonschema.NewCompiler()
	err := fs.WalkDir(schemas.FS, "events", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".json") || strings.Contains(path, "examples/") {
			return err
		}
		data, err := fs.ReadFile(schemas.FS, path)
		if err != nil {
			return err
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		if err != nil {
			return err
		}
		return c.AddResource(schemas.Base+path, doc)
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
