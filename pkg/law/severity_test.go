package law

import (
	"strings"
	"testing"
)

func TestSeverityAddsUpAsTheMethodSays(t *testing.T) {
	r := rules(t)
	for _, c := range []struct {
		name  string
		s     Scores
		score float64
		level string
	}{
		{"a lost list of names", Scores{Processing: []ContextScore{{Kind: "simple"}}, Identification: 0.5, IdentifiedWhy: "initials", Confidentiality: "known-recipients", Integrity: "none", Availability: "none", Malicious: No}, 0.75, "low"},
		{"exactly two", Scores{Processing: []ContextScore{{Kind: "behavioural"}}, Identification: 1, Confidentiality: "none", Integrity: "none", Availability: "none", Malicious: No}, 2, "medium"},
		{"exactly three", Scores{Processing: []ContextScore{{Kind: "financial"}}, Identification: 1, Confidentiality: "none", Integrity: "none", Availability: "none", Malicious: No}, 3, "high"},
		{"exactly four", Scores{Processing: []ContextScore{{Kind: "sensitive"}}, Identification: 1, Confidentiality: "none", Integrity: "none", Availability: "none", Malicious: No}, 4, "very-high"},
		{"the highest kind counts", Scores{Processing: []ContextScore{{Kind: "simple"}, {Kind: "financial"}}, Identification: 0.75, IdentifiedWhy: "rare name", Confidentiality: "unknown-recipients", Integrity: "none", Availability: "none", Malicious: Yes}, 3.25, "high"},
		{"everything at its worst", Scores{Processing: []ContextScore{{Kind: "sensitive"}}, Identification: 1, Confidentiality: "unknown-recipients", Integrity: "lost", Availability: "lost", Malicious: Yes}, 6, "very-high"},
	} {
		got, err := r.Severity(Facts{Severity: &c.s})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if got.Score != c.score || got.Level != c.level || !got.Advice || len(got.Inputs) != 6 {
			t.Errorf("%s: %v %s with %d inputs, want %v %s", c.name, got.Score, got.Level, len(got.Inputs), c.score, c.level)
		}
	}
}

func TestALowerBaseOrAnEasierIdentificationNeedsAReason(t *testing.T) {
	for _, s := range []Scores{
		{Processing: []ContextScore{{Kind: "sensitive", Value: 2}}, Identification: 1},
		{Processing: []ContextScore{{Kind: "simple"}}, Identification: 0.25},
		{Processing: []ContextScore{{Kind: "simple", Value: 5}}, Identification: 1},
		{Processing: []ContextScore{{Kind: "odd"}}, Identification: 1},
		{Processing: []ContextScore{{Kind: "simple"}}, Identification: 0.3},
	} {
		if _, err := rules(t).Severity(Facts{Severity: &s}); err == nil {
			t.Errorf("%+v was scored", s)
		}
	}
}

func TestTheWarningsOfTheAuthoritiesAreShownBesideALowScore(t *testing.T) {
	s := Scores{Processing: []ContextScore{{Kind: "simple"}}, Identification: 0.75, IdentifiedWhy: "common name", Confidentiality: "known-recipients", Integrity: "none", Availability: "none", Malicious: No}
	got, err := rules(t).Severity(Facts{Severity: &s, Data: []DataGroup{{Elements: []string{"name", "national_id"}, Encrypted: No}}, People: People{Total: Exactly(101)}})
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(append(got.Warnings, got.Flags...), "\n")
	for _, want := range []string{"DKN.5130.3114.2020", "EXP202304633", "more than 100 people", "a person decides"} {
		if !strings.Contains(all, want) {
			t.Errorf("nothing says %q in\n%s", want, all)
		}
	}
	if got.Score != 1 {
		t.Errorf("flags changed the number: %v", got.Score)
	}
}

func TestWithoutScoresTheWorstIsTakenAndSaid(t *testing.T) {
	got, err := rules(t).Severity(Facts{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Score != 6 || len(got.Warnings) < 3 {
		t.Errorf("score %v, warnings %v", got.Score, got.Warnings)
	}
}
