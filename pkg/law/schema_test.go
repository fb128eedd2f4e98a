package law

import (
	"bytes"
	"encoding/json"
	"flag"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"tocsin.dev/schemas"
)

func compile(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	data, err := fs.ReadFile(schemas.FS, name)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource(schemas.Base+name, doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(schemas.Base + name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func valid(t *testing.T, s *jsonschema.Schema, data []byte) error {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(doc)
}

func TestTheFactsSchemaItsExampleAndTheGoTypeSayTheSame(t *testing.T) {
	s := compile(t, "law/facts.v1.json")
	example, err := fs.ReadFile(schemas.FS, "law/examples/facts.v1.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := valid(t, s, example); err != nil {
		t.Error(err)
	}
	f, err := ReadFacts(bytes.NewReader(example))
	if err != nil {
		t.Fatal(err)
	}
	back, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := valid(t, s, back); err != nil {
		t.Errorf("the Go type writes what the schema refuses: %v", err)
	}
	var doc struct{ Properties map[string]any }
	data, _ := fs.ReadFile(schemas.FS, "law/facts.v1.json")
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	for i := range reflect.TypeFor[Facts]().NumField() {
		name, _, _ := strings.Cut(reflect.TypeFor[Facts]().Field(i).Tag.Get("json"), ",")
		if _, ok := doc.Properties[name]; !ok {
			t.Errorf("the schema lacks %q", name)
		}
		delete(doc.Properties, name)
	}
	for name := range doc.Properties {
		t.Errorf("the Go type lacks %q", name)
	}
}

func TestEveryAnswerOfTheEngineFitsTheDutiesSchema(t *testing.T) {
	s := compile(t, "law/duties.v1.json")
	r := withOdd(t)
	example, err := fs.ReadFile(schemas.FS, "law/examples/facts.v1.json")
	if err != nil {
		t.Fatal(err)
	}
	f, err := ReadFacts(bytes.NewReader(example))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []Facts{f, bigCase(r), {}} {
		data, err := json.Marshal(r.Document(f, time.Time{}, Options{NotApplicable: true}))
		if err != nil {
			t.Fatal(err)
		}
		if err := valid(t, s, data); err != nil {
			t.Error(err)
		}
	}
}

var update = flag.Bool("update", false, "rewrite schemas/law/rule.v1.json from the Go types")

// TestTheRuleSchemaIsThatOfTheLoader keeps schemas/law/rule.v1.json, which editors use, equal to what the loader accepts.
func TestTheRuleSchemaIsThatOfTheLoader(t *testing.T) {
	doc := map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": schemas.Base + "law/rule.v1.json",
		"title": "A regime and its duties", "description": "The shape of pkg/law/rules/**/*.yaml; pkg/law/AUTHORING.md explains the fields. Generated from the loader's types.",
	}
	for k, v := range shapeOf(reflect.TypeFor[regime]()) {
		doc[k] = v
	}
	want, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	if *update {
		if err := os.WriteFile("../../schemas/law/rule.v1.json", want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := fs.ReadFile(schemas.FS, "law/rule.v1.json")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("run go test ./law -run TheRuleSchema -update\n%s", diff)
	}
	s := compile(t, "law/rule.v1.json")
	files, _, _, err := readRules(Files())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		var v any
		if err := yaml.Unmarshal(f.data, &v); err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(dates(v))
		if err != nil {
			t.Fatal(err)
		}
		if err := valid(t, s, data); err != nil {
			t.Errorf("%s: %v", f.name, err)
		}
	}
}

// dates turns YAML timestamps back into the civil dates that were written.
func dates(v any) any {
	switch x := v.(type) {
	case map[string]any:
		for k := range x {
			x[k] = dates(x[k])
		}
	case []any:
		for i := range x {
			x[i] = dates(x[i])
		}
	case time.Time:
		return x.Format(time.DateOnly)
	}
	return v
}

var shapes = map[reflect.Type]map[string]any{
	reflect.TypeFor[Condition](): {"type": "string", "description": "a condition, such as «risk >= risk and people here >= 500»"},
	reflect.TypeFor[Date]():      {"type": "string", "format": "date"},
	reflect.TypeFor[list]():      {"type": []string{"string", "array"}, "items": map[string]any{"type": "string"}},
	reflect.TypeFor[Anchor](): {"type": []string{"string", "object"}, "additionalProperties": false, "properties": map[string]any{
		"earliest": words, "latest": words, "done": word, "last_done": word, "due": word, "year_end": word, "strict": word}},
	reflect.TypeFor[Then](): {"type": []string{"string", "object"}, "additionalProperties": false, "properties": map[string]any{
		"n": map[string]any{"type": "integer"}, "unit": word, "not_before_due": map[string]any{"type": "boolean"}}},
	reflect.TypeFor[Status]():   {"enum": []Status{InForce, Adopted, Proposed, Guidance, Contract, PolicyRule}},
	reflect.TypeFor[Hardness](): {"enum": []Hardness{Statutory, GuideFigure, ContractFigure, InternalTarget}},
}

var (
	word  = map[string]any{"type": "string"}
	words = map[string]any{"type": "array", "items": word}
)

func shapeOf(t reflect.Type) map[string]any {
	if s, ok := shapes[t]; ok {
		return s
	}
	if t == reflect.TypeFor[Readings]() {
		return map[string]any{"oneOf": []any{word, map[string]any{"type": "array", "items": shapeOf(reflect.TypeFor[Reading]())}}}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return shapeOf(t.Elem())
	case reflect.Slice:
		return map[string]any{"type": "array", "items": shapeOf(t.Elem())}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": shapeOf(t.Elem())}
	case reflect.Struct:
		fields := map[string]reflect.Type{}
		collectFields(t, fields)
		props := map[string]any{}
		for name, ft := range fields {
			props[name] = shapeOf(ft)
		}
		return map[string]any{"type": "object", "additionalProperties": false, "properties": props}
	case reflect.Int:
		return map[string]any{"type": "integer"}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	}
	return word
}

func TestARecordThatLacksWhatLawNeedsDoesNotLoad(t *testing.T) {
	good := `regime: a-b
title: A
jurisdiction: DE
citation: Art. 1
version: "1"
status: in-force
valid: {from: 2020-01-01}
source: {kind: recalled, confidence: low, checked_on: 2026-11-21}
owed_by: {role: controller}
connection: establishment
when: confidentiality
duties:
  - id: one
    title: One
    to: {kind: regulator, name: R}
    limits: [{n: 24, unit: hour, from: aware}]
`
	cases := "cases:\n  - {name: n, rule: a-b.one, shows: plain, because: b, expect: {}}\n"
	load := func(rule, cases string) error {
		fsys := fstest.MapFS{}
		for _, dir := range []string{"data", "calendars"} {
			entries, err := fs.ReadDir(embedded, dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				data, _ := fs.ReadFile(embedded, dir+"/"+e.Name())
				fsys[dir+"/"+e.Name()] = &fstest.MapFile{Data: data}
			}
		}
		fsys["rules/a.yaml"] = &fstest.MapFile{Data: []byte(rule)}
		if cases != "" {
			fsys["rules/a.cases.yaml"] = &fstest.MapFile{Data: []byte(cases)}
		}
		_, err := Load(fsys)
		return err
	}
	if err := load(good, cases); err != nil {
		t.Fatalf("the good record does not load: %v", err)
	}
	for _, c := range []struct{ old, new, want string }{
		{"citation: Art. 1\n", "", "rules/a.yaml:12: duty a-b.one: no citation"},
		{"valid: {from: 2020-01-01}\n", "", "rules/a.yaml:12: duty a-b.one: no validity"},
		{"source: {kind: recalled, confidence: low, checked_on: 2026-11-21}\n", "", "source.kind"},
		{"title: One", "titel: One", "rules/a.yaml: line 14: unknown field \"titel\""},
		{"when: confidentiality", "when: confidentialty", "rules/a.yaml:11: condition \"confidentialty\""},
		{"from: aware", "from: awake", "event \"awake\" is not in the vocabulary"},
		{"unit: hour", "unit: hours", "a limit needs n and a unit"},
		{"jurisdiction: DE", "jurisdiction: XX", "jurisdiction \"XX\""},
		{"from: aware", "from: {done: two}", "tied to duty \"a-b.two\", which does not exist"},
		{"from: aware", "from: {due: one}", "tied to itself"},
		{"connection: establishment", "connection: friendship", "connection \"friendship\""},
		{"checked_on: 2026-11-21", "checked_on: 2026-02-30", "no such date"},
	} {
		err := load(strings.Replace(good, c.old, c.new, 1), cases)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q → %q: got error %v, want it to say %q", c.old, c.new, err, c.want)
		}
	}
	if err := load(good, ""); err == nil || !strings.Contains(err.Error(), "no case") {
		t.Errorf("a record without cases loads: %v", err)
	}
}

func TestBadFactsAreRefusedWithTheFieldThatIsWrong(t *testing.T) {
	for _, c := range []struct{ doc, want string }{
		{`{"organisation":{},"events":[{"kind":"aware"}]}`, "events[0]"},
		{`{"organisation":{},"events":[{"kind":"aware","at":"2026-01-01T00:00:00Z","zone":"Mars/Base"}]}`, "Mars/Base"},
		{`{"organisation":{},"events":[],"risk":{"level":"enormous"}}`, "risk.level"},
		{`{"organisation":{},"events":[],"people":{"total":-4}}`, "count"},
		{`{"organisation":{},"events":[],"breach":{"access":"perhaps"}}`, "yes, no or unknown"},
		{`{"organisation":{},"events":[],"surprise":1}`, "surprise"},
		{`not json`, "read facts"},
	} {
		_, err := ReadFacts(strings.NewReader(c.doc))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error that says %q", c.doc, err, c.want)
		}
	}
}

func TestTheEngineNamesNoJurisdiction(t *testing.T) {
	r := rules(t)
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name := e.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			code, _, _ := strings.Cut(line, "//")
			for p := range r.voc.Places {
				if strings.Contains(code, `"`+p+`"`) {
					t.Errorf("%s names the jurisdiction %s: %s", name, p, strings.TrimSpace(line))
				}
			}
		}
	}
	if !slices.Contains(r.cals.Codes(), "US-VT") {
		t.Error("no calendar of Vermont")
	}
}
