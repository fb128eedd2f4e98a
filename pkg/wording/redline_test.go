package wording

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestOneCommaShowsAsOneComma(t *testing.T) {
	got := Plain(Redline("We are sorry and we act.", "We are sorry, and we act."))
	if want := "We are sorry{+,+} and we act."; got != want {
		t.Errorf("redline = %q, want %q", got, want)
	}
}

func TestNeighbouringWordsAreExchangedAsOne(t *testing.T) {
	for want, texts := range map[string][2]string{
		"We lost your [-old name-]{+new address+} today.": {"We lost your old name today.", "We lost your new address today."},
		"[-Dear-]{+We are sorry,+} {{person.full_name}}":  {"Dear {{person.full_name}}", "We are sorry, {{person.full_name}}"},
		"We lost [-all of -]it.":                          {"We lost all of it.", "We lost it."},
	} {
		if got := Plain(Redline(texts[0], texts[1])); got != want {
			t.Errorf("redline = %q, want %q", got, want)
		}
	}
}

func TestARedlineHoldsBothTextsWhole(t *testing.T) {
	word := rapid.SampledFrom([]string{"a", "år", "Ö", ",", " ", "\n", "data", "{{person.given_name}}", "."})
	rapid.Check(t, func(t *rapid.T) {
		from := strings.Join(rapid.SliceOf(word).Draw(t, "from"), "")
		to := strings.Join(rapid.SliceOf(word).Draw(t, "to"), "")
		var x, y strings.Builder
		spans := Redline(from, to)
		for _, s := range spans {
			if s.Op != "added" {
				x.WriteString(s.Text)
			}
			if s.Op != "removed" {
				y.WriteString(s.Text)
			}
		}
		if x.String() != from || y.String() != to || Changed(spans) != (from != to) {
			t.Fatalf("%q → %q gave %+v", from, to, spans)
		}
	})
}
