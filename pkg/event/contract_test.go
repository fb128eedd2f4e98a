package event

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"tocsin.dev/schemas"
)

var publish = flag.Bool("publish", false, "add new optional fields and new events to schemas/events/published.txt")

// published is the list of what was ever published, one field a line. It only grows.
const published = "events/published.txt"

// document is a JSON Schema as plain maps.
type document = map[string]any

func readSchema(t *testing.T, name string) document {
	t.Helper()
	b, err := fs.ReadFile(schemas.FS, name)
	if err != nil {
		t.Fatalf("read schema: %v", err)
	}
	var d document
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatalf("%s is not JSON: %v", name, err)
	}
	return d
}

func compiler(t *testing.T) *jsonschema.Compiler {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	names, err := fs.Glob(schemas.FS, "*/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, "law/") {
			continue // package law holds its own
		}
		b, _ := fs.ReadFile(schemas.FS, name)
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := c.AddResource(schemas.Base+name, doc); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	return c
}

func validate(t *testing.T, c *jsonschema.Compiler, schema string, data []byte) error {
	t.Helper()
	s, err := c.Compile(schemas.Base + schema)
	if err != nil {
		t.Fatalf("compile %s: %v", schema, err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return err
	}
	return s.Validate(doc)
}

func TestSchemaExampleAndGoTypeOfEveryEventAgree(t *testing.T) {
	c := compiler(t)
	for _, typ := range Types() {
		t.Run(string(typ), func(t *testing.T) {
			schema := "events/" + string(typ) + ".json"
			example, err := fs.ReadFile(schemas.FS, "events/examples/"+string(typ)+".json")
			if err != nil {
				t.Fatalf("%s has no example: %v", typ, err)
			}
			if err := validate(t, c, schema, example); err != nil {
				t.Errorf("the example breaks its schema: %v", err)
			}
			body := newBody(typ)
			dec := json.NewDecoder(bytes.NewReader(example))
			dec.DisallowUnknownFields()
			if err := dec.Decode(body); err != nil {
				t.Fatalf("the example does not fit the Go type: %v", err)
			}
			again, err := json.Marshal(body)
			if err != nil {
				t.Fatal(err)
			}
			if err := validate(t, c, schema, again); err != nil {
				t.Errorf("what Go writes breaks the schema: %v", err)
			}
			if diff := cmp.Diff(anyJSON(t, example), anyJSON(t, again)); diff != "" {
				t.Errorf("the example changed on its way through Go (-example +again):\n%s", diff)
			}
			agree(t, schema, string(typ), readSchema(t, schema), reflect.TypeOf(body).Elem())
		})
	}
}

func TestTheExampleOfEveryEventShowsEveryField(t *testing.T) {
	for _, typ := range Types() {
		example, _ := fs.ReadFile(schemas.FS, "events/examples/"+string(typ)+".json")
		shown := anyJSON(t, example).(map[string]any)
		for name := range readSchema(t, "events/"+string(typ)+".json")["properties"].(document) {
			if _, ok := shown[name]; !ok {
				t.Errorf("the example of %s does not show %q", typ, name)
			}
		}
	}
}

func TestEveryEventFileBelongsToAnEvent(t *testing.T) {
	names, _ := fs.Glob(schemas.FS, "events/*.json")
	examples, _ := fs.Glob(schemas.FS, "events/examples/*.json")
	for _, name := range append(names, examples...) {
		typ := strings.TrimSuffix(path.Base(name), ".json")
		if typ != "envelope.v1" && typ != "parts.v1" && !slices.Contains(Types(), Type(typ)) {
			t.Errorf("%s belongs to no event of Types()", name)
		}
	}
}

func TestEnvelopeHoldsTheExampleAndTheGoEvent(t *testing.T) {
	c := compiler(t)
	example, err := fs.ReadFile(schemas.FS, "events/examples/envelope.v1.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := validate(t, c, "events/envelope.v1.json", example); err != nil {
		t.Errorf("the example breaks its schema: %v", err)
	}
	agree(t, "events/envelope.v1.json", "envelope", readSchema(t, "events/envelope.v1.json"), reflect.TypeFor[Event]())
	e, err := New(NewID(), time.Date(2026, 5, 4, 9, 0, 0, 0, time.FixedZone("", 3600)), "tidewater", "2026-001",
		Service(Scope), ScopeRefused{Statement: "s", Reason: "r"})
	if err != nil {
		t.Fatal(err)
	}
	b, _ := json.Marshal(e)
	if err := validate(t, c, "events/envelope.v1.json", b); err != nil {
		t.Errorf("what Go writes breaks the schema: %v", err)
	}
}

// agree fails unless the object schema has exactly the fields of the Go struct,
// with the same shapes, and demands exactly those that Go always writes.
func agree(t *testing.T, file, at string, schema document, goType reflect.Type) {
	t.Helper()
	schema, file = deref(t, file, schema)
	props, _ := schema["properties"].(document)
	if schema["type"] != "object" || schema["additionalProperties"] != false || props == nil {
		t.Errorf("%s: the schema of struct %s must be a closed object", at, goType)
		return
	}
	seen := map[string]bool{}
	for _, f := range reflect.VisibleFields(goType) {
		name, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || name == "" || name == "-" {
			continue
		}
		seen[name] = true
		prop, ok := props[name].(document)
		if !ok {
			t.Errorf("%s: the schema lacks the Go field %s (%q)", at, f.Name, name)
			continue
		}
		if always := !strings.Contains(opts, "omit"); always != required(schema, name) {
			t.Errorf("%s.%s: Go always writes it: %v; the schema requires it: %v", at, name, always, !always)
		}
		agreeValue(t, file, at+"."+name, prop, f.Type)
	}
	for name := range props {
		if !seen[name] {
			t.Errorf("%s: the Go type %s lacks the schema's %q", at, goType, name)
		}
	}
}

func agreeValue(t *testing.T, file, at string, prop document, goType reflect.Type) {
	t.Helper()
	for goType.Kind() == reflect.Pointer {
		goType = goType.Elem()
	}
	resolved, file := deref(t, file, prop)
	switch {
	case goType == reflect.TypeFor[time.Time]():
		if resolved["format"] != "date-time" {
			t.Errorf("%s: an instant in Go, %v in the schema", at, resolved["type"])
		}
	case goType == reflect.TypeFor[json.RawMessage]():
	case goType.Kind() == reflect.Struct:
		// Step holds steps: the recursion of the type ends where the reference repeats.
		if ref, _ := prop["$ref"].(string); !strings.Contains(at, "steps.") || ref == "" {
			agree(t, file, at, prop, goType)
		}
	case goType.Kind() == reflect.Slice:
		items, ok := resolved["items"].(document)
		if resolved["type"] != "array" || !ok {
			t.Errorf("%s: a list in Go, %v in the schema", at, resolved["type"])
			return
		}
		agreeValue(t, file, at+".[]", items, goType.Elem())
	case goType.Kind() == reflect.Map:
		values, ok := resolved["additionalProperties"].(document)
		if resolved["type"] != "object" || !ok {
			t.Errorf("%s: a map in Go, %v in the schema", at, resolved["type"])
			return
		}
		agreeValue(t, file, at+".{}", values, goType.Elem())
	default:
		want := map[reflect.Kind]string{reflect.String: "string", reflect.Bool: "boolean", reflect.Int: "integer",
			reflect.Int64: "integer", reflect.Float64: "number"}[goType.Kind()]
		if resolved["type"] != want {
			t.Errorf("%s: %s in Go, %v in the schema", at, goType, resolved["type"])
		}
	}
}

// deref follows a reference within the folder of events.
func deref(t *testing.T, file string, schema document) (document, string) {
	t.Helper()
	ref, ok := schema["$ref"].(string)
	if !ok {
		return schema, file
	}
	target, pointer, _ := strings.Cut(ref, "#/$defs/")
	if target == "" {
		target = path.Base(file)
	}
	file = "events/" + target
	def, ok := readSchema(t, file)["$defs"].(document)[pointer].(document)
	if !ok {
		t.Fatalf("%s refers to %s, which does not exist", file, ref)
	}
	return def, file
}

func required(schema document, name string) bool {
	list, _ := schema["required"].([]any)
	return slices.Contains(list, any(name))
}

func anyJSON(t *testing.T, b []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatalf("not JSON: %v", err)
	}
	return v
}

// fields lists every field of the contract with its shape, one a line.
func fields(t *testing.T) []string {
	t.Helper()
	var lines []string
	add := func(owner string, schema document) {
		props, _ := schema["properties"].(document)
		for name, p := range props {
			demand := "optional"
			if required(schema, name) {
				demand = "required"
			}
			lines = append(lines, fmt.Sprintf("%s %s %s %s", owner, name, demand, shape(p.(document))))
		}
	}
	for _, typ := range append(Types(), "envelope.v1") {
		add(string(typ), readSchema(t, "events/"+string(typ)+".json"))
	}
	for name, def := range readSchema(t, "events/parts.v1.json")["$defs"].(document) {
		add("parts.v1/"+name, def.(document))
	}
	sort.Strings(lines)
	return lines
}

// shape writes what a value may be, without its description.
func shape(p document) string {
	plain := document{}
	for k, v := range p {
		if k == "description" {
			continue
		}
		plain[k] = v
	}
	b, _ := json.Marshal(plain)
	return string(b)
}

func TestAPublishedFieldIsNeverRemovedOrChanged(t *testing.T) {
	old := map[string]bool{}
	owners := map[string]bool{}
	b, err := fs.ReadFile(schemas.FS, published)
	if err != nil && !*publish {
		t.Fatalf("read the list of published fields: %v", err)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(b)), "\n") {
		old[line] = true
		owners[strings.SplitN(line, " ", 2)[0]] = true
	}
	now := fields(t)
	for line := range old {
		if line != "" && !slices.Contains(now, line) {
			t.Errorf("published, and now removed or changed; say it in a v2 instead:\n  %s", line)
		}
	}
	added := false
	for _, line := range now {
		part := strings.SplitN(line, " ", 4)
		switch {
		case old[line]:
		case owners[part[0]] && part[2] == "required":
			t.Errorf("a published event may gain optional fields only:\n  %s", line)
		case !*publish:
			t.Errorf("new and not yet in %s; run: go test ./pkg/event -run Published -publish\n  %s", published, line)
		default:
			added = true
		}
	}
	if added && !t.Failed() {
		text := strings.Join(now, "\n") + "\n"
		if err := os.WriteFile("../../schemas/"+published, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAsyncAPIListsEveryEventAndEverySubject(t *testing.T) {
	b, err := fs.ReadFile(schemas.FS, "asyncapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Channels map[string]struct {
			Address string `yaml:"address"`
		} `yaml:"channels"`
		Operations map[string]struct {
			Action  string            `yaml:"action"`
			Channel map[string]string `yaml:"channel"`
			Tags    []struct{ Name string }
		} `yaml:"operations"`
	}
	if err := yaml.Unmarshal(b, &doc); err != nil {
		t.Fatalf("asyncapi.yaml: %v", err)
	}
	addresses := map[string]bool{}
	for name, c := range doc.Channels {
		addresses[c.Address] = true
		if typ, ok := strings.CutPrefix(c.Address, "tocsin.case.{org}.{case}."); ok && !slices.Contains(Types(), Type(typ)) {
			t.Errorf("channel %s: %s is no event", name, typ)
		}
	}
	want := append(questions(t), SubjectAlertRaw("{source}"), SubjectTicket("{channel}"), SubjectReceipt("{provider}"),
		SubjectDeadLetter("{handler}"), AskDead("{service}"), strings.Replace(SubjectStored, ">", "{org}.{case}.{event}", 1))
	for _, typ := range Types() {
		want = append(want, Event{Org: "{org}", Case: "{case}", Type: typ}.Subject())
	}
	for _, a := range want {
		if !addresses[a] {
			t.Errorf("asyncapi.yaml has no channel for %s", a)
		}
	}
	said := map[string][]Type{}
	for _, op := range doc.Operations {
		ch := doc.Channels[strings.TrimPrefix(op.Channel["$ref"], "#/channels/")]
		if ch.Address == "" {
			t.Errorf("operation refers to %q, which is no channel", op.Channel["$ref"])
		}
		if typ, ok := strings.CutPrefix(ch.Address, "tocsin.case.{org}.{case}."); ok && op.Action == "send" {
			said[op.Tags[0].Name] = append(said[op.Tags[0].Name], Type(typ))
		}
	}
	for _, s := range Services() {
		want := slices.Sorted(slices.Values(Says(s)))
		slices.Sort(said[s])
		if diff := cmp.Diff(want, said[s]); diff != "" {
			t.Errorf("what %s may say (-Go +asyncapi):\n%s", s, diff)
		}
	}
}

// questions reads the subjects of all questions from the constants of this
// package, so that none can be forgotten.
func questions(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, name := range names {
		f, err := parser.ParseFile(gotoken.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || !strings.HasPrefix(spec.Names[0].Name, "Ask") || len(spec.Values) != 1 {
				return true
			}
			if lit, ok := spec.Values[0].(*ast.BasicLit); ok {
				subject, _ := strconv.Unquote(lit.Value)
				found = append(found, subject)
			}
			return true
		})
	}
	if len(found) < 8 {
		t.Fatalf("only %d questions found", len(found))
	}
	return found
}

func TestEveryReferenceOfAsyncAPIExists(t *testing.T) {
	b, _ := fs.ReadFile(schemas.FS, "asyncapi.yaml")
	var doc map[string]any
	if err := yaml.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, x := range v {
				walk(x)
			}
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok && !resolves(doc, ref) {
				t.Errorf("%s leads nowhere", ref)
			}
			for _, x := range v {
				walk(x)
			}
		}
	}
	walk(doc)
}

func resolves(doc map[string]any, ref string) bool {
	pointer, local := strings.CutPrefix(ref, "#/")
	if !local {
		_, err := fs.Stat(schemas.FS, ref)
		return err == nil
	}
	var at any = doc
	for _, key := range strings.Split(pointer, "/") {
		m, ok := at.(map[string]any)
		if !ok || m[key] == nil {
			return false
		}
		at = m[key]
	}
	return true
}

func TestTheWebhookExampleFitsItsSchema(t *testing.T) {
	b, err := fs.ReadFile(schemas.FS, "webhooks/examples/alert.v1.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := validate(t, compiler(t), "webhooks/alert.v1.json", b); err != nil {
		t.Error(err)
	}
}
