package mapping

import (
	"context"
	"encoding/json"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestEverySampleGivesItsExpectedFacts holds the shipped mappings against
// samples/expected.json, which was written from the vendors' documents and not
// from what the mappings do.
func TestEverySampleGivesItsExpectedFacts(t *testing.T) {
	set := shipped(t)
	raw, err := fs.ReadFile(Samples(), "expected.json")
	if err != nil {
		t.Fatal(err)
	}
	var expected map[string]map[string]any
	if err := json.Unmarshal(raw, &expected); err != nil {
		t.Fatal(err)
	}
	samples, _ := fs.Glob(Samples(), "*/*.json")
	if len(samples) != len(expected) {
		t.Errorf("%d samples, %d expectations", len(samples), len(expected))
	}
	for name, want := range expected {
		t.Run(name, func(t *testing.T) {
			doc := sample(t, name)
			r, err := set.Map(context.Background(), doc, "")
			if err != nil {
				t.Fatal(err)
			}
			if want["action"] != nil {
				if r.Mapping != nil {
					t.Errorf("a subscription was read as an alert by %s", r.Mapping.Name)
				}
				return
			}
			if r.Mapping == nil {
				t.Fatal("no mapping reads it")
			}
			count := 1
			if n, ok := want["count"].(float64); ok {
				count = int(n)
			}
			if len(r.Alerts) != count {
				t.Fatalf("%d alerts, want %d", len(r.Alerts), count)
			}
			for i, a := range r.Alerts {
				if len(a.Problems) > 0 {
					t.Errorf("alert %d: problems %v", i, a.Problems)
				}
				checkSample(t, i, a, want, doc)
			}
		})
	}
}

func checkSample(t *testing.T, i int, a Found, want map[string]any, doc any) {
	t.Helper()
	got := map[string]any{"title": a.Title, "severity_id": float64(a.SeverityID), "source": a.Product, "external_id": a.ExternalID,
		"host": "", "user": "", "occurred_at": "", "detected_at": "", "status": a.Status, "link": a.Link}
	if len(a.Devices) > 0 {
		got["host"] = a.Devices[0].Label()
	}
	if len(a.Users) > 0 {
		got["user"] = a.Users[0].Label()
	}
	if a.OccurredAt != nil {
		got["occurred_at"] = a.OccurredAt.Format(time.RFC3339Nano)
	}
	if a.DetectedAt != nil {
		got["detected_at"] = a.DetectedAt.Format(time.RFC3339Nano)
	}
	if len(a.Resources) > 0 {
		got["resource"] = a.Resources[0].UID
	}
	for name, w := range want {
		if list, ok := w.([]any); ok {
			w = list[i]
		}
		switch {
		case name == "count":
			continue
		case w == nil:
			w = ""
		case name == "link":
			w = linkAt(t, doc, w.(string), i)
		}
		if diff := cmp.Diff(w, got[name]); diff != "" {
			t.Errorf("alert %d: %s (-want +got):\n%s", i, name, diff)
		}
	}
}

// linkAt reads the field that expected.json names, such as alerts[].generatorURL.
func linkAt(t *testing.T, doc any, where string, i int) any {
	t.Helper()
	query := "." + where
	switch {
	case strings.HasPrefix(where, "kibana"):
		query = `.context.alerts[] | path_of("` + where + `")`
	case strings.HasPrefix(where, "@"), strings.Contains(where, "-"):
		query = `.["` + where + `"]`
	}
	e, err := compile(query)
	if err != nil {
		t.Fatal(err)
	}
	all, err := e.all(context.Background(), doc, doc, 10)
	if err != nil {
		t.Fatal(err)
	}
	if i < len(all) && all[i] != nil {
		return all[i]
	}
	return ""
}

func shipped(t testing.TB) *Set {
	t.Helper()
	set, err := Shipped(nil)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func sample(t testing.TB, name string) any {
	t.Helper()
	raw, err := fs.ReadFile(Samples(), name)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}
