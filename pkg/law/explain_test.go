package law

import (
	"strings"
	"testing"
	"time"
)

func paris(h int) time.Time {
	return time.Date(2026, 3, 10, h, 0, 0, 0, time.FixedZone("CET", 3600))
}

// frenchCase is a breach of a French controller with people in France and Germany.
func frenchCase() Facts {
	return Facts{
		Organisation: Organisation{Establishments: []Establishment{{Jurisdiction: "FR", Main: true}}},
		Roles:        []string{"controller"},
		Breach:       map[string]Answer{"confidentiality": Yes, "integrity": No, "availability": No},
		Risk:         Risk{Level: "risk"},
		People:       People{ByJurisdiction: map[string]Count{"FR": Exactly(10), "DE": Exactly(2)}},
		Events:       []Event{{Kind: "aware", At: paris(9), Zone: "Europe/Paris", StatedBy: "dpo", KnownSince: paris(10)}},
	}
}

func find(t *testing.T, ds []Duty, id string) Duty {
	t.Helper()
	for _, d := range ds {
		if d.ID == id {
			return d
		}
	}
	t.Fatalf("no duty %s", id)
	return Duty{}
}

func TestADerivationIsAStoryThatFitsOneScreen(t *testing.T) {
	d := find(t, rules(t).Duties(frenchCase(), time.Time{}), "eu-gdpr.authority_FR")
	text := d.Text()
	for _, want := range []string{"Regulation (EU) 2016/679, Art. 33(1)", "stated by dpo", "known since Tue 2026-03-10 10:00:00 +01:00",
		"72 hours on the absolute time line", "due Fri 2026-03-13 09:00:00 +01:00 (Europe/Paris), reading R0", "version 2026-11-21"} {
		if !strings.Contains(text, want) {
			t.Errorf("the derivation does not say %q:\n%s", want, text)
		}
	}
	if n := strings.Count(text, "\n"); n > 25 {
		t.Errorf("%d lines do not fit one screen", n)
	}
}

func TestExplainFindsTheFactThatWouldMakeADutyArise(t *testing.T) {
	x, err := rules(t).Explain(frenchCase(), time.Time{}, "eu-gdpr.people_DE")
	if err != nil {
		t.Fatal(err)
	}
	if x.Duty.Applies() {
		t.Fatal("the people of Germany need not be told at a mere risk")
	}
	first := x.Changes[0].String()
	if !strings.Contains(first, "risk were assessed as «high»") || !strings.Contains(first, "would arise") {
		t.Errorf("nearest change is %q", first)
	}
}

func TestExplainFindsWhatWouldTakeADutyAwayOrMoveIt(t *testing.T) {
	x, err := rules(t).Explain(frenchCase(), time.Time{}, "eu-gdpr.authority_FR")
	if err != nil {
		t.Fatal(err)
	}
	all := ""
	for _, c := range x.Changes {
		all += c.String() + "\n"
	}
	for _, want := range []string{"«unlikely»", "«confidentiality lost» were no", "processor only"} {
		if !strings.Contains(all, want) {
			t.Errorf("no change says %q in\n%s", want, all)
		}
	}
}

func TestExplainFindsTwoFactsWhenOneIsNotEnough(t *testing.T) {
	f := frenchCase()
	f.Breach["confidentiality"], f.Breach["integrity"], f.Breach["availability"] = No, No, No
	x, err := rules(t).Explain(f, time.Time{}, "eu-gdpr.people_FR")
	if err != nil {
		t.Fatal(err)
	}
	if len(x.Changes) == 0 || len(x.Changes[0].If) != 2 || !x.Changes[0].Applies {
		t.Errorf("got %v", x.Changes)
	}
}

func TestExplainOfAnUnknownRuleSaysSo(t *testing.T) {
	if _, err := rules(t).Explain(frenchCase(), time.Time{}, "xx.none"); err == nil {
		t.Error("no error")
	}
}

func TestACorrectedAnchorSaysInOneLineWhatMovedAndWhy(t *testing.T) {
	r := rules(t)
	old := frenchCase()
	now := frenchCase()
	now.Events = append(now.Events, Event{Kind: "aware", At: paris(6), Zone: "Europe/Paris", StatedBy: "legal", KnownSince: paris(18), Why: "a ticket of 06:00 was found"})
	changes := Changes(r.Duties(old, time.Time{}), r.Duties(now, time.Time{}))
	if len(changes) != 1 || changes[0].Kind != "moved" {
		t.Fatalf("got %+v", changes)
	}
	for _, want := range []string{"due 2026-03-13T06:00:00+01:00", "before due 2026-03-13T09:00:00+01:00", "a ticket of 06:00 was found"} {
		if !strings.Contains(changes[0].Line, want) {
			t.Errorf("line %q does not say %q", changes[0].Line, want)
		}
	}
	asOf := r.Duties(now, paris(12))
	if d := find(t, asOf, "eu-gdpr.authority_FR"); !d.Due.Equal(paris(9).Add(72 * time.Hour)) {
		t.Errorf("as known at noon it was due %v", d.Due)
	}
}

func TestADroppedDutySaysWhy(t *testing.T) {
	r := rules(t)
	f := frenchCase()
	now := frenchCase()
	now.Risk.Level = "unlikely"
	changes := Changes(r.Duties(f, time.Time{}), r.DutiesWith(now, time.Time{}, Options{NotApplicable: true}))
	if len(changes) != 1 || changes[0].Kind != "dropped" || !strings.Contains(changes[0].Line, "risk to people: unlikely") {
		t.Errorf("got %+v", changes)
	}
}

func TestALateFilingIsMarkedAndNotBlocked(t *testing.T) {
	f := frenchCase()
	f.Submissions = []Submission{{Duty: "eu-gdpr.authority", At: paris(9).Add(73 * time.Hour)}}
	d := find(t, rules(t).Duties(f, time.Time{}), "eu-gdpr.authority_FR")
	if d.DoneAt == nil || !d.Late || !strings.Contains(d.IfLate, "reasons") {
		t.Errorf("done %v, late %t, if late %q", d.DoneAt, d.Late, d.IfLate)
	}
}

func TestAnOrganisationsOwnPromiseStandsBesideTheLawAndIsNotShownAsLaw(t *testing.T) {
	own := []byte(`
regime: own-example
title: Processing agreement with a customer
jurisdiction: FR
citation: Agreement of 2024, clause 7
version: "2024-05-01"
status: contract
valid: {from: 2024-05-01}
source: {kind: primary, confidence: high, checked_on: 2026-11-21}
owed_by: {role: processor}
connection: contract
duties:
  - {id: customer, title: Tell the customer, to: {kind: controller, name: the customer}, standard: promptly, limits: [{n: 24, unit: hour, from: aware}], counting: {zone: entity}}
`)
	r, err := rules(t).With(map[string][]byte{"own.yaml": own})
	if err != nil {
		t.Fatal(err)
	}
	f := frenchCase()
	f.Roles = []string{"controller", "processor"}
	d := find(t, r.Duties(f, time.Time{}), "own-example.customer")
	if d.Status != Contract || d.Hardness != ContractFigure || !d.Due.Equal(paris(9).Add(24*time.Hour)) {
		t.Errorf("%s %s due %v", d.Status, d.Hardness, d.Due)
	}
	for _, d := range rules(t).Duties(f, time.Time{}) {
		if d.Regime == "own-example" {
			t.Error("the shared rules took the organisation's promise in")
		}
	}
	if touched := rules(t).AffectedBy(r, map[string]Facts{"case-1": f}, time.Time{}); len(touched) != 1 || touched[0].Changes[0].Kind != "opened" {
		t.Errorf("affected: %+v", touched)
	}
}

func TestCountsMoveThresholdsInBothDirections(t *testing.T) {
	r := rules(t)
	for _, c := range []struct {
		by   map[string]Count
		here Answer
	}{
		{map[string]Count{"US-TX": Exactly(250)}, Yes},
		{map[string]Count{"US-TX": Exactly(249)}, No},
		{map[string]Count{"US-TX": {}}, Unknown},
		{map[string]Count{"US-TX": {Known: true, Min: 200, Max: 300}}, Unknown},
		{map[string]Count{"US": Exactly(500)}, Unknown},
		{map[string]Count{"US": Exactly(500), "US-CA": Exactly(400)}, No},
		{map[string]Count{"US": Exactly(500), "US-CA": Exactly(200)}, Unknown},
		{map[string]Count{"DE": Exactly(500)}, No},
		{nil, Unknown},
	} {
		e := &env{r.newRun(Facts{People: People{ByJurisdiction: c.by}}, time.Time{}), r.voc.Places["US-TX"]}
		if got := (countLeaf{what: "people", where: "here", op: ">=", n: 250}).eval(e); got != c.here {
			t.Errorf("%v: people here >= 250 is %v, want %v", c.by, got, c.here)
		}
	}
}

func TestWiderAndNarrowerWordsForDataAreTakenTowardsTheDuty(t *testing.T) {
	r := rules(t)
	for _, c := range []struct {
		have, ask string
		want      Answer
	}{
		{"ssn", "ssn", Yes}, {"ssn", "national_id", Yes}, {"national_id", "ssn", Unknown}, {"driving_licence", "ssn", No},
		{"user.government_id.national_identification_number", "national_id", Yes}, {"medical", "sensitive", Yes},
		{"user.health_and_medical.genetic", "genetic", Yes}, {"unknown", "ssn", Unknown},
	} {
		if got := r.voc.holds([]string{r.voc.element(c.have)}, c.ask); got != c.want {
			t.Errorf("%s for %s: %v, want %v", c.have, c.ask, got, c.want)
		}
	}
}
