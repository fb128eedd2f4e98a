package law

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// withOdd returns the rules together with the odd mechanisms, so that properties are held against all of them.
func withOdd(t testing.TB) *Rules {
	t.Helper()
	text, err := os.ReadFile("testdata/odd/odd.yaml")
	if err != nil {
		t.Fatal(err)
	}
	r, err := rules(t).With(map[string][]byte{"odd.yaml": text})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var (
	drawAnswer  = rapid.SampledFrom([]Answer{Yes, No, Unknown})
	drawInstant = rapid.Custom(func(t *rapid.T) time.Time {
		return time.Unix(rapid.Int64Range(1_735_689_600, 1_924_000_000).Draw(t, "unix"), 0).UTC() // 2025 to 2030
	})
	drawCount = rapid.Custom(func(t *rapid.T) Count {
		if rapid.Bool().Draw(t, "unknown") {
			return Count{}
		}
		return Exactly(rapid.SampledFrom([]int{0, 1, 249, 250, 251, 499, 500, 501, 999, 1000, 1001, 10_001}).Draw(t, "n"))
	})
)

// drawFacts draws a case: where, who, what and how many, with every anchor at one instant.
func drawFacts(t *rapid.T, r *Rules, at time.Time) Facts {
	f := Facts{Breach: map[string]Answer{}, Tests: map[string]Answer{}, Flags: map[string]Answer{}, People: People{ByJurisdiction: map[string]Count{}}}
	for _, k := range []string{"confidentiality", "integrity", "availability", "access", "acquisition"} {
		f.Breach[k] = drawAnswer.Draw(t, k)
	}
	f.Risk.Level = rapid.SampledFrom([]string{"", "unlikely", "risk", "high"}).Draw(t, "risk")
	kinds := []string{}
	for k := range r.voc.Kinds {
		kinds = append(kinds, k)
	}
	for _, k := range rapid.SliceOfN(rapid.SampledFrom(sorted(kinds)), 0, 3).Draw(t, "kinds") {
		f.Organisation.Kinds = append(f.Organisation.Kinds, Kind{Kind: k})
	}
	places := rapid.SliceOfN(rapid.SampledFrom([]string{"DE", "FR", "IE", "GB", "CH", "US-CA", "US-NY", "US-VT", "BR", "JP"}), 1, 4)
	for _, p := range places.Draw(t, "people") {
		f.People.ByJurisdiction[p] = drawCount.Draw(t, p)
	}
	for _, p := range places.Draw(t, "established") {
		f.Organisation.Establishments = append(f.Organisation.Establishments, Establishment{Jurisdiction: p})
	}
	if rapid.Bool().Draw(t, "data") {
		f.Data = []DataGroup{{Elements: []string{"name", "ssn", "health"}, Encrypted: drawAnswer.Draw(t, "encrypted"), KeySafe: drawAnswer.Draw(t, "key")}}
	}
	f.Roles = []string{"controller", "processor"}
	f.Events = at2events(r, at)
	return f
}

// at2events states every event of the vocabulary at one instant, but those that only later stages know.
func at2events(r *Rules, at time.Time) []Event {
	kinds := []string{}
	for k := range r.voc.Events {
		if k != "people_notified" && k != "le_released" && k != "occurred" {
			kinds = append(kinds, k)
		}
	}
	var out []Event
	for _, k := range sorted(kinds) {
		out = append(out, Event{Kind: k, At: at})
	}
	return out
}

func sorted(s []string) []string {
	out := append([]string(nil), s...)
	for i := range out {
		for j := i + 1; j < len(out); j++ {
			if out[j] < out[i] {
				out[i], out[j] = out[j], out[i]
			}
		}
	}
	return out
}

func TestNoDutyIsDueBeforeItsAnchorAndNoReadingIsEarlierThanThePrimary(t *testing.T) {
	r := withOdd(t)
	rapid.Check(t, func(t *rapid.T) {
		at := drawInstant.Draw(t, "at")
		for _, d := range r.Duties(drawFacts(t, r, at), time.Time{}) {
			if d.Due == nil {
				continue
			}
			if d.Relation == "" && d.Due.Before(at) {
				t.Errorf("%s is due %v before its anchor %v\n%s", d.ID, d.Due, at, d.Text())
			}
			for _, x := range d.Readings {
				if x.Due.Before(*d.Due) {
					t.Errorf("%s: reading %s %v is earlier than the due instant %v", d.ID, x.ID, x.Due, d.Due)
				}
			}
		}
	})
}

func TestALaterAnchorNeverMakesADutyDueEarlier(t *testing.T) {
	r := withOdd(t)
	rapid.Check(t, func(t *rapid.T) {
		at := drawInstant.Draw(t, "at")
		f := drawFacts(t, r, at)
		later := at.Add(time.Duration(rapid.Int64Range(1, 30*24*3600).Draw(t, "seconds")) * time.Second)
		g := f
		g.Events = at2events(r, later)
		due := map[string]Duty{}
		for _, d := range r.Duties(f, time.Time{}) {
			due[d.ID] = d
		}
		for _, d := range r.Duties(g, time.Time{}) {
			old, ok := due[d.ID]
			if ok && old.Due != nil && d.Due != nil && old.Citation == d.Citation && old.Standard == d.Standard && d.Due.Before(*old.Due) {
				t.Errorf("%s: anchor %v is due %v, later anchor %v is due %v", d.ID, at, old.Due, later, d.Due)
			}
		}
	})
}

func TestReplayGivesTheSameDutiesBitForBit(t *testing.T) {
	r := withOdd(t)
	rapid.Check(t, func(t *rapid.T) {
		f := drawFacts(t, r, drawInstant.Draw(t, "at"))
		one, err1 := json.Marshal(r.DutiesWith(f, time.Time{}, Options{NotApplicable: true}))
		data, err2 := json.Marshal(f)
		var g Facts
		if err := strictJSON(data, &g); err1 != nil || err2 != nil || err != nil {
			t.Fatal(err1, err2, err)
		}
		two, _ := json.Marshal(r.DutiesWith(g, time.Time{}, Options{NotApplicable: true}))
		if diff := cmp.Diff(string(one), string(two)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestTakingAFactAwayNeverTakesADutyAwayNorMakesItLater(t *testing.T) {
	r := rules(t)
	rapid.Check(t, func(t *rapid.T) {
		f := drawFacts(t, r, drawInstant.Draw(t, "at"))
		g := f.clone()
		key := rapid.SampledFrom([]string{"confidentiality", "integrity", "availability", "risk", "data", "people"}).Draw(t, "forgotten")
		switch key {
		case "risk":
			g.Risk = Risk{}
		case "data":
			g.Data = nil
		case "people":
			for p := range g.People.ByJurisdiction {
				g.People.ByJurisdiction[p] = Count{}
			}
		default:
			delete(g.Breach, key)
		}
		now := map[string]Duty{}
		for _, d := range r.Duties(g, time.Time{}) {
			now[d.ID] = d
		}
		for _, d := range r.Duties(f, time.Time{}) {
			n, ok := now[d.ID]
			if !ok {
				if r.byID[d.Rule][0].demandsCertainty() {
					continue
				}
				t.Errorf("forgetting %s takes %s away", key, d.ID)
			} else if d.Due != nil && (n.Due == nil || n.Due.After(*d.Due)) {
				t.Errorf("forgetting %s makes %s due %v instead of %v", key, d.ID, n.Due, d.Due)
			}
		}
	})
}

// demandsCertainty reports whether the rule or one of its exemptions asks for a fact to be surely so. Such a
// word is a choice of its author: encrypted data stay exempt until somebody says that availability was lost.
func (rule *Rule) demandsCertainty() bool {
	found := false
	var walk func(x expr)
	walk = func(x expr) {
		switch y := x.(type) {
		case surelyExpr:
			found = true
		case notExpr:
			walk(y.x)
		case andExpr:
			for _, z := range y {
				walk(z)
			}
		case orExpr:
			for _, z := range y {
				walk(z)
			}
		}
	}
	if rule.gate != nil {
		walk(rule.gate)
	}
	for _, list := range [][]Exemption{rule.regimeExcept, rule.Except} {
		for i := range list {
			walk(list[i].When.expr)
		}
	}
	return found
}

func FuzzAConditionNeverPanics(f *testing.F) {
	f.Add("(confidentiality or integrity) and not risk is unlikely")
	f.Add("exposed data has any of [us-core, name + health] and people in eea >= 500")
	f.Add("surely classified_major > aware + 24h")
	r := rules(f)
	f.Fuzz(func(t *testing.T, text string) {
		x, err := parseExpr(text, r.voc)
		if err != nil {
			return
		}
		again, err := parseExpr(x.String(), r.voc)
		if err != nil {
			t.Fatalf("%q prints as %q, which does not read back: %v", text, x, err)
		}
		if again.String() != x.String() {
			t.Fatalf("%q prints as %q and then as %q", text, x, again)
		}
		x.eval(&env{r.newRun(Facts{}, time.Time{}), r.voc.Places["EU"]})
	})
}
