package wording

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestOneChangedWordChangesOneRow(t *testing.T) {
	rows := SideBySide(Redline("Dear Ada,\n\nwe lost your name.\n\nBye\n", "Dear Ada,\n\nwe lost your address.\n\nBye\n"))
	if len(rows) != 3 || rows[0].Changed || !rows[1].Changed || rows[2].Changed {
		t.Fatalf("rows = %+v", rows)
	}
	if got := Plain(rows[1].Old) + "|" + Plain(rows[1].New); got != "we lost your [-name-].\n\n|we lost your {+address+}.\n\n" {
		t.Errorf("the changed row is %q", got)
	}
}

func TestANewParagraphStandsBesideNothing(t *testing.T) {
	rows := SideBySide(Redline("One.\n\nTwo.", "One.\n\nNew.\n\nTwo."))
	if len(rows) != 3 || len(rows[1].Old) != 0 || Plain(rows[1].New) != "{+New.\n\n+}" {
		t.Errorf("rows = %+v", rows)
	}
}

func TestTheSidesHoldBothTextsWhole(t *testing.T) {
	word := rapid.SampledFrom([]string{"a", "år", "Ö", ",", " ", "\n", "\n\n", "data", "{{person.given_name}}", "."})
	rapid.Check(t, func(t *rapid.T) {
		from := strings.Join(rapid.SliceOf(word).Draw(t, "from"), "")
		to := strings.Join(rapid.SliceOf(word).Draw(t, "to"), "")
		var x, y strings.Builder
		changed := false
		rows := SideBySide(Redline(from, to))
		for _, r := range rows {
			before := x.Len() + y.Len()
			for _, s := range r.Old {
				x.WriteString(s.Text)
			}
			for _, s := range r.New {
				y.WriteString(s.Text)
			}
			if x.Len()+y.Len() == before {
				t.Fatalf("an empty row in %+v", rows)
			}
			if r.Changed != (Changed(r.Old) || Changed(r.New)) {
				t.Fatalf("row %+v is marked wrongly", r)
			}
			changed = changed || r.Changed
		}
		if x.String() != from || y.String() != to || changed != (from != to) {
			t.Fatalf("%q → %q gave %+v", from, to, rows)
		}
	})
}
