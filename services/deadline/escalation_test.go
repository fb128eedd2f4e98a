package deadline

import (
	"testing"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
)

// with adds rules of a contract or proposal to the built-in ones.
func (f *file) with(yaml string) {
	f.t.Helper()
	rules, err := f.rules.With(map[string][]byte{"x.yaml": []byte(yaml)})
	if err != nil {
		f.t.Fatal(err)
	}
	f.rules = rules
}

// soon returns the reminders of a duty as hours and levels.
func (f *file) soon(id string) (hours, levels []int) {
	for _, e := range f.entries {
		if body, _ := event.Decode(e.Event); body != nil {
			if b, ok := body.(*event.DutyDueSoon); ok && b.Duty == id {
				hours, levels = append(hours, b.HoursLeft), append(levels, b.Escalation)
			}
		}
	}
	return hours, levels
}

// untilWakeStops reconciles at every instant it asks for, and lets after act in between.
func (f *file) untilWakeStops(now time.Time, after func(now time.Time)) {
	for range 3000 {
		wake := f.reconcile(now)
		if wake.IsZero() {
			return
		}
		now = wake
		if after != nil {
			after(now)
		}
	}
	f.t.Fatal("the clock never ends")
}

func equal(t *testing.T, what string, got, want []int) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %v, want %v", what, got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("%s: %v, want %v", what, got, want)
		}
	}
}

const sweden = "eu-gdpr.authority_SE"

func TestAnUnansweredReminderIsRepeatedAndGrowsLouder(t *testing.T) {
	f := open(t)
	f.untilWakeStops(aware.Add(time.Hour), nil)
	hours, levels := f.soon(sweden)
	equal(t, "hours", hours, []int{48, 24, 20, 16, 12, 8, 4, 1})
	equal(t, "levels", levels, []int{0, 1, 2, 3, 4, 5, 6, 7})
}

func TestAnAcknowledgementEndsTheEscalationUntilTheNextReminder(t *testing.T) {
	f := open(t)
	f.untilWakeStops(aware.Add(time.Hour), func(now time.Time) {
		if now.Equal(aware.Add(72*time.Hour - 16*time.Hour)) {
			f.reconcile(now)
			f.say(now, event.Person("dora", "dpo"), &event.DutyAcknowledged{Duty: sweden, Note: "filing it"})
		}
	})
	hours, levels := f.soon(sweden)
	equal(t, "hours", hours, []int{48, 24, 20, 16, 12, 8, 4, 1})
	equal(t, "levels", levels, []int{0, 1, 2, 3, 0, 1, 2, 3})
}

func TestTheOrganisationDecidesWhenItIsReminded(t *testing.T) {
	f := open(t)
	f.org.ReminderHours, f.org.EscalateHours = []int{30, 6}, 10
	f.untilWakeStops(aware.Add(time.Hour), nil)
	hours, _ := f.soon(sweden)
	equal(t, "hours", hours, []int{30, 14, 6, 4})
}

const draft = `
regime: vardag
title: an own rule
jurisdiction: SE
citation: none
version: "1"
status: %STATUS%
hardness: %HARDNESS%
valid: {%VALID%}
source: {kind: recalled, confidence: low, checked_on: 2026-11-21}
owed_by: {role: controller}
connection: organisation
duties:
  - {id: x, title: tell somebody, to: {kind: regulator, name: somebody}, limits: [{n: 24, unit: hour, from: aware}]}
`

func TestOnlyANumberThatBindsIsMissed(t *testing.T) {
	for _, c := range []struct {
		status, hardness, valid, effect string
		reminders                       bool
		state                           casefile.DutyState
	}{
		{"in-force", "statutory", "from: 2020-01-01", "", true, casefile.DutyMissed},
		{"contract", "contract", "from: 2020-01-01", "", true, casefile.DutyMissed},
		{"policy", "contract", "from: 2020-01-01", "", true, casefile.DutyMissed},
		{"in-force", "guide", "from: 2020-01-01", event.EffectGuide, true, casefile.DutyOpen},
		{"guidance", "guide", "from: 2020-01-01", event.EffectAdvice, true, casefile.DutyOpen},
		{"proposed", "statutory", "open: true", event.EffectInformation, false, casefile.DutyOpen},
		{"adopted-not-effective", "statutory", "open: true", event.EffectInformation, false, casefile.DutyOpen},
	} {
		t.Run(c.status+" "+c.hardness, func(t *testing.T) {
			f := open(t)
			f.with(replace(draft, "%STATUS%", c.status, "%HARDNESS%", c.hardness, "%VALID%", c.valid))
			f.untilWakeStops(aware.Add(time.Hour), nil)
			d := f.fold().Duties["vardag.x"]
			if d == nil {
				t.Fatal("the duty is not shown")
			}
			hours, _ := f.soon("vardag.x")
			if d.Effect != c.effect || d.State != c.state || (len(hours) > 0) != c.reminders {
				t.Errorf("effect %q, state %s, reminders %v; want %q, %s, reminders: %v", d.Effect, d.State, hours, c.effect, c.state, c.reminders)
			}
		})
	}
}

func TestManyDutiesAreWrittenInSeveralDecisions(t *testing.T) {
	f := open(t)
	text := replace(draft, "%STATUS%", "contract", "%HARDNESS%", "contract", "%VALID%", "from: 2020-01-01")
	files := map[string][]byte{}
	for i := range 400 {
		id := "promise-" + string(rune('a'+i/26)) + string(rune('a'+i%26))
		files[id+".yaml"] = []byte(replace(text, "regime: vardag", "regime: "+id))
	}
	rules, err := f.rules.With(files)
	if err != nil {
		t.Fatal(err)
	}
	f.rules = rules
	largest := 0
	for range 10 {
		events, _ := Reconcile(f.rules, f.org, f.fold(), aware.Add(20*time.Hour))
		if len(events) == 0 {
			break
		}
		largest = max(largest, len(events))
		f.say(aware.Add(20*time.Hour), event.Service(event.Deadline), events...)
	}
	reminded := 0
	for id, d := range f.fold().Duties {
		if len(id) > 8 && id[:8] == "promise-" && d.Reminded == 4 {
			reminded++
		}
	}
	if largest > maxEvents || reminded != 400 {
		t.Errorf("largest decision %d events, %d of 400 duties reminded of", largest, reminded)
	}
}
