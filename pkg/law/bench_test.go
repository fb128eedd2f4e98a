package law

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// bigCase is a breach with people in every State of the group us-states and every Member State.
func bigCase(r *Rules) Facts {
	f := Facts{
		Organisation: Organisation{Kinds: []Kind{{Kind: "telecom-provider"}, {Kind: "essential-entity"}}, Establishments: []Establishment{{Jurisdiction: "US-NY", Main: true}}},
		Roles:        []string{"controller"},
		Breach:       map[string]Answer{"confidentiality": Yes, "access": Yes, "acquisition": Yes},
		Risk:         Risk{Level: "high"},
		Data:         []DataGroup{{Elements: []string{"name", "ssn", "email", "password", "payment_card", "health"}, Encrypted: No}},
		People:       People{ByJurisdiction: map[string]Count{}},
	}
	aware := time.Date(2026, 3, 27, 9, 0, 0, 0, time.UTC)
	for _, k := range []string{"detected", "aware", "discovered", "determined", "confirmed"} {
		f.Events = append(f.Events, Event{Kind: k, At: aware, Zone: "America/New_York", StatedBy: "analyst"})
	}
	for _, c := range r.voc.expand([]string{"us-states", "eea", "GB", "CH", "BR", "JP", "AU"}) {
		f.People.ByJurisdiction[c] = Exactly(1500)
	}
	return f
}

func BenchmarkDutiesOfFiftyStatesAndTwentySevenMemberStates(b *testing.B) {
	r := rules(b)
	f := bigCase(r)
	n := 0
	for b.Loop() {
		n = len(r.Duties(f, time.Time{}))
	}
	b.ReportMetric(float64(n), "duties")
}

func BenchmarkLoadAllRules(b *testing.B) {
	for b.Loop() {
		if _, err := Default(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDutiesWithAsManyRulesAsThereAreStates stands for the full rule set while it is being written.
func BenchmarkDutiesOfSyntheticStates(b *testing.B) {
	r := rules(b)
	files := map[string][]byte{}
	for _, code := range r.voc.expand([]string{"us-states"}) {
		id := strings.ToLower(code)
		files[id+".yaml"] = fmt.Appendf(nil, `
regime: x-%s
title: synthetic
jurisdiction: %s
citation: none
version: "1"
status: contract
valid: {from: 2020-01-01}
source: {kind: recalled, confidence: low, checked_on: 2026-11-21}
owed_by: {role: controller}
connection: residence
when: exposed data has any of [us-core, us-login, name + health, name + biometric]
except: [{when: "finding no_harm with [written]", because: no harm}]
holds: [{kind: law-enforcement, then: remaining}]
duties:
  - {id: people, title: people, to: {kind: people, name: residents}, limits: [{n: 45, unit: day, from: determined}]}
  - {id: ag, title: ag, to: {kind: attorney-general, name: AG}, when: people here > 1000, limits: [{n: 14, unit: business-day, from: discovered}], relative: [{must_be: with, duty: people}]}
  - {id: cra, title: cra, to: {kind: cra, name: CRAs}, when: people here > 1000, standard: wud}
`, id, code)
	}
	r, err := r.With(files)
	if err != nil {
		b.Fatal(err)
	}
	f := bigCase(r)
	n := 0
	for b.Loop() {
		n = len(r.Duties(f, time.Time{}))
	}
	b.ReportMetric(float64(n), "duties")
}
