package mapping

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"tocsin.dev/schemas"
)

func TestTimesAreReadAsSendersWriteThem(t *testing.T) {
	for _, c := range []struct {
		in      any
		want    string
		guessed bool
	}{
		{"2024-09-20T01:30:20.439+0530", "2024-09-19T20:00:20.439Z", false},
		{"2025-02-25 20:40:06.721", "2025-02-25T20:40:06.721Z", true},
		{"2020-10-26 13:47:03.127000+00:00", "2020-10-26T13:47:03.127Z", false},
		{"2025-04-21 20:51:04.058183200", "2025-04-21T20:51:04.0581832Z", true},
		{"2026-05-04T09:10:02 UTC", "2026-05-04T09:10:02Z", false},
		{"2026-05-04 09:10:02 +02:00", "2026-05-04T07:10:02Z", false},
		{"1483557272", "2017-01-04T19:14:32Z", false},
		{"1777885802.118", "2026-05-04T09:10:02.118Z", false},
		{json.Number("1739539623"), "2025-02-14T13:27:03Z", false},
		{json.Number("1613395296537"), "2021-02-15T13:21:36.537Z", false},
		{json.Number("1613395296537123"), "2021-02-15T13:21:36.537123Z", false},
		{json.Number("1613395296537123456"), "2021-02-15T13:21:36.537123456Z", false},
		{"Mon, 04 May 2026 09:10:02 +0000", "2026-05-04T09:10:02Z", false},
		{"2026-05-04", "2026-05-04T00:00:00Z", true},
	} {
		at, guessed, ok, err := parseTime(c.in)
		if err != nil || !ok || at.Format(time.RFC3339Nano) != c.want || guessed != c.guessed {
			t.Errorf("%v: %v guessed %v ok %v (%v), want %s guessed %v", c.in, at, guessed, ok, err, c.want, c.guessed)
		}
	}
	for _, none := range []any{nil, "", " ", "0001-01-01T00:00:00Z", json.Number("0"), "1970-01-01 00:00:00.000000000"} {
		if _, _, ok, err := parseTime(none); ok || err != nil {
			t.Errorf("%v: ok %v, %v; want not stated", none, ok, err)
		}
	}
	for _, bad := range []any{"yesterday", true, []any{}, json.Number("1e400"), "99999999999999999999999999999999999999999"} {
		if at, _, ok, err := parseTime(bad); err == nil {
			t.Errorf("%v: %v ok %v, want an error", bad, at, ok)
		}
	}
}

func TestTextOfAnAlertCannotHideOrTurn(t *testing.T) {
	for in, want := range map[string]string{
		"pay\u202Eexe.fdp":               "payexe.fdp",
		"a\x00b\x1b[31mc":                "ab[31mc",
		"ad\u200Bmin\uFEFF":              "admin",
		"line\nbreak\tand\u2028more":     "line break and more",
		"\u2066isolated\u2069":           "isolated",
		"bad \xff utf-8":                 "bad \uFFFD utf-8",
		"tag\U000E0041":                  "tag",
		"<script>alert(1)</script> kept": "<script>alert(1)</script> kept",
	} {
		if got := clean(in, 100, false); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
	if got := clean(strings.Repeat("ä", 600), maxTitle, false); len([]rune(got)) > maxTitle {
		t.Errorf("%d characters, want at most %d", len([]rune(got)), maxTitle)
	}
}

func TestOnlyWebLinksAreLinks(t *testing.T) {
	for in, want := range map[string]bool{
		"https://a.example/x?y=%7C": true, "http://myserver:8000/app": true,
		"javascript:alert(1)": false, "data:text/html,x": false, "//a.example": false, "192.168.0.1/api": false,
		"https://user:pass@a.example": false, "https:///x": false, "ht\ttps://a": false, "https://a.example/\u202Efdp": false, "ftp://a.example": false,
	} {
		if got := safeURL(in) != ""; got != want {
			t.Errorf("safeURL(%q) accepted: %v, want %v", in, got, want)
		}
	}
}

const good = `
apiVersion: tocsin.dev/v1
kind: AlertMapping
metadata: {name: acme-detect, version: 3}
match: has("acmeAlertId")
map:
  finding_info.uid: .acmeAlertId
  finding_info.title: .headline
  finding_info.src_url: .console_url
  finding_info.first_seen_time: .seen | ts
  severity_id: .level | sev
  device: '[{hostname: .machine.name}]'
tests:
  - input: {acmeAlertId: "1", headline: T, level: HIGH, seen: 2026-05-04T09:10:02Z, machine: {name: A}}
    expect: {severity_id: 4, finding_info.title: T, device: [{hostname: A}]}
`

func TestAMappingThatCannotBeTrustedIsRefused(t *testing.T) {
	if _, err := Parse([]byte(good), nil); err != nil {
		t.Fatalf("the good one: %v", err)
	}
	for name, c := range map[string]struct{ from, to, want string }{
		"unknown key":          {"each: .", "eahc: .", "eahc"},
		"unknown field":        {"severity_id: .level", "severty: .level", "severty"},
		"broken jq":            {".headline", ".headline |", "finding_info.title"},
		"unknown function":     {".level | sev", ".level | severity", "severity_id"},
		"failed own test":      {"severity_id: 4", "severity_id: 5", "severity_id is 4, want 5"},
		"test does not match":  {"acmeAlertId: \"1\",", "", "match does not hold"},
		"no version":           {", version: 3", "", "version"},
		"name with a slash":    {"acme-detect", "../x", "metadata.name"},
		"no input":             {"input: {", "name: {", ""},
		"jq reads the outside": {".headline", "input", "finding_info.title"},
	} {
		text := strings.Replace("each: .\n"+strings.TrimSpace(good), c.from, c.to, 1)
		if _, err := Parse([]byte(text), nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error about %q", name, err, c.want)
		}
	}
}

func TestAFailingExpressionCostsOneFieldAndIsNoted(t *testing.T) {
	m, err := Parse([]byte(good), nil)
	if err != nil {
		t.Fatal(err)
	}
	set, _ := NewSet([]*Mapping{m})
	doc, _ := Decode([]byte(`{"acmeAlertId":"2","headline":"T","seen":"soon","machine":7,"console_url":"javascript:alert(1)"}`))
	r, err := set.Map(context.Background(), doc, "")
	if err != nil || len(r.Alerts) != 1 {
		t.Fatalf("%v, %d alerts", err, len(r.Alerts))
	}
	a := r.Alerts[0]
	if a.Title != "T" || a.ExternalID != "2" || a.OccurredAt != nil || a.Link != "" || len(a.Problems) != 3 {
		t.Errorf("got %+v", a)
	}
}

func TestAnOwnMappingReplacesTheShippedOneOfItsName(t *testing.T) {
	own := fstest.MapFS{"w.yaml": {Data: []byte(strings.Replace(good, "acme-detect", "wazuh", 1))}}
	set, err := Shipped(own)
	if err != nil {
		t.Fatal(err)
	}
	if m := set.Get("wazuh"); m == nil || m.Version != 3 {
		t.Errorf("the shipped mapping stayed: %+v", m)
	}
	if _, err := Shipped(fstest.MapFS{"a.yaml": {Data: []byte("kind: x")}}); err == nil || !strings.Contains(err.Error(), "a.yaml") {
		t.Errorf("%v, want an error that names a.yaml", err)
	}
}

func TestAFindingIsReadThroughTheEnvelopesAroundIt(t *testing.T) {
	set := shipped(t)
	finding := sample(t, "aws/composed_eventbridge_guardduty.json")
	text, _ := json.Marshal(finding)
	sns := map[string]any{"Type": "Notification", "MessageId": "m", "TopicArn": "arn:aws:sns:eu-west-1:1:t", "Message": string(text)}
	for name, doc := range map[string]any{
		"SNS around EventBridge": sns,
		"CloudEvents":            map[string]any{"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data": finding},
	} {
		r, err := set.Map(context.Background(), doc, "")
		if err != nil || r.Mapping == nil || r.Mapping.Name != "aws-guardduty" || r.Alerts[0].ExternalID != "eeb88ab56556eb7771b266670dddee5a" {
			t.Errorf("%s: %+v %v", name, r, err)
		}
	}
}

func TestAForeignDocumentIsLeftUnmapped(t *testing.T) {
	for _, doc := range []string{`{"hello":"world"}`, `[]`, `"text"`, `7`, `null`, `{"rule":{},"agent":{}}`, `{"detail-type":"x","detail":{}}`} {
		v, err := Decode([]byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		if r, err := shipped(t).Map(context.Background(), v, "splunk"); err != nil || r.Mapping != nil {
			t.Errorf("%s: read by %v (%v)", doc, r.Mapping, err)
		}
	}
}

func TestNoDocumentBreaksAMapping(t *testing.T) {
	set := shipped(t)
	names, _ := fs.Glob(Samples(), "*/*.json")
	rapid.Check(t, func(rt *rapid.T) {
		doc := sample(t, rapid.SampledFrom(names).Draw(rt, "sample"))
		doc = mutate(rt, doc, 0)
		r, err := set.Map(context.Background(), doc, "")
		if err != nil {
			rt.Logf("refused: %v", err)
		}
		for _, a := range r.Alerts {
			if a.Title == "" || a.SeverityID < 0 || a.SeverityID > 6 || strings.ContainsAny(a.Title, "\n\x00\u202e") {
				rt.Fatalf("bad facts %+v", a)
			}
		}
	})
}

// mutate replaces values of a document by others of any type.
func mutate(rt *rapid.T, v any, depth int) any {
	if depth > 1 && rapid.IntRange(0, 9).Draw(rt, "hit") == 0 {
		return rapid.SampledFrom([]any{nil, true, json.Number("1e99"), "\u202E\x00\n", map[string]any{}, []any{[]any{nil}}, "2026-02-30"}).Draw(rt, "value")
	}
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = mutate(rt, v[k], depth+1)
		}
	case []any:
		for i := range v {
			v[i] = mutate(rt, v[i], depth+1)
		}
	}
	return v
}

func TestEveryShippedMappingFitsThePublishedSchema(t *testing.T) {
	raw, err := fs.ReadFile(schemas.FS, "mapping/alert-mapping.v1.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("m.json", doc); err != nil {
		t.Fatal(err)
	}
	schema := c.MustCompile("m.json")
	names, _ := fs.Glob(sub("shipped"), "*.yaml")
	if len(names) < 18 {
		t.Errorf("%d mappings are shipped", len(names))
	}
	for _, name := range names {
		text, _ := fs.ReadFile(sub("shipped"), name)
		var v any
		if err := yaml.Unmarshal(text, &v); err != nil {
			t.Fatal(err)
		}
		b, _ := json.Marshal(plain(v))
		inst, _ := jsonschema.UnmarshalJSON(bytes.NewReader(b))
		if err := schema.Validate(inst); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if m := shipped(t).Get(strings.TrimSuffix(name, ".yaml")); m == nil || m.About == "" {
			t.Errorf("%s: the name inside differs, or it says nothing about itself", name)
		}
	}
	fields := doc.(map[string]any)["properties"].(map[string]any)["map"].(map[string]any)["propertyNames"].(map[string]any)["enum"].([]any)
	in := map[string]bool{}
	for _, f := range fields {
		in[f.(string)] = true
	}
	have := map[string]bool{}
	for name := range setters() {
		have[name] = true
	}
	if diff := cmp.Diff(in, have); diff != "" {
		t.Errorf("fields of a mapping (-schema +Go):\n%s", diff)
	}
}

func TestExplainSaysWhichMappingMatched(t *testing.T) {
	matched := 0
	for _, trial := range shipped(t).Explain(context.Background(), sample(t, "splunk/webhook_saved_search.json")) {
		if trial.Matched {
			matched++
			if trial.Mapping != "splunk" {
				t.Errorf("%s matched a Splunk alert", trial.Mapping)
			}
		}
	}
	if matched != 1 {
		t.Errorf("%d mappings matched", matched)
	}
}

func BenchmarkMapping(b *testing.B) {
	set := shipped(b)
	doc := sample(b, "wazuh/rootcheck_trojaned_file.json")
	for b.Loop() {
		if r, err := set.Map(context.Background(), doc, "wazuh"); err != nil || r.Mapping == nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLoadingAllShippedMappings(b *testing.B) {
	for b.Loop() {
		shipped(b)
	}
}
