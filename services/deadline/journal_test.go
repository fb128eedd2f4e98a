package deadline

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/duty"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/law"
	"tocsin.dev/pkg/organisation"
)

func replace(text string, pairs ...string) string { return strings.NewReplacer(pairs...).Replace(text) }

// sealed returns a revision with people in places.
func sealed(revision int, places map[string]int64) *event.ScopeSealed {
	s := &event.ScopeSealed{Revision: revision, Statement: "s", Digest: fmt.Sprintf("sha256:%d", revision),
		Counts: event.Counts{Jurisdictions: places, Languages: map[string]int64{}, Channels: map[string]int64{}}}
	for _, n := range places {
		s.People += n
	}
	return s
}

const fiveHundred = `
regime: vardag
title: a threshold
jurisdiction: US-CA
citation: none
version: "1"
status: in-force
valid: {from: 2020-01-01}
source: {kind: recalled, confidence: low, checked_on: 2026-11-21}
owed_by: {role: controller}
connection: residence
duties:
  - {id: x, title: tell the media, to: {kind: media, name: media}, when: people here >= 500, limits: [{n: 60, unit: day, from: aware}]}
`

func TestACountMovesAThresholdInBothDirectionsWithATrace(t *testing.T) {
	f := open(t)
	f.with(fiveHundred)
	now := aware.Add(time.Hour)
	trace := func(people int64) string {
		now = now.Add(time.Minute)
		f.say(now, event.Service(event.Scope), sealed(len(f.fold().Sealed)+1, map[string]int64{"US-CA": people, "SE": 3}))
		from := len(f.entries)
		f.reconcile(now)
		for _, e := range f.entries[from:] {
			switch b := must(event.Decode(e.Event)).(type) {
			case *event.DutyOpened:
				if b.Duty.ID == "vardag.x" {
					return "opened: " + b.Duty.Derivation[0].Steps[0].Text
				}
			case *event.DutyDropped:
				if b.Duty == "vardag.x" {
					return "dropped: " + b.Why
				}
			}
		}
		return ""
	}
	if got := trace(499); got != "" {
		t.Errorf("499: %s", got)
	}
	if got := trace(500); !strings.HasPrefix(got, "opened: ") || !strings.Contains(got, "500") {
		t.Errorf("500: %q", got)
	}
	if got := trace(499); !strings.HasPrefix(got, "dropped: ") || !strings.Contains(got, "499") {
		t.Errorf("499 again: %q", got)
	}
	if got := trace(501); !strings.HasPrefix(got, "opened: ") {
		t.Errorf("501: %q", got)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestAHoldStopsTheClockAndItsReleaseGivesTheRestBack(t *testing.T) {
	for then, want := range map[string]time.Time{
		"remaining": aware.Add(72*time.Hour + 30*time.Hour), // held from hour 10 to hour 40
		"at-once":   aware.Add(40 * time.Hour),
	} {
		t.Run(then, func(t *testing.T) {
			f := open(t)
			f.with(replace(draft, "%STATUS%", "in-force", "%HARDNESS%", "statutory", "%VALID%", "from: 2020-01-01",
				"connection: organisation", "connection: organisation\nholds: [{kind: law-enforcement, then: "+then+"}]", "n: 24", "n: 72"))
			police := func(at time.Time, value string) {
				f.say(at.Add(time.Hour), event.Person("anna", "analyst"), &event.FactStated{Key: "hold.law-enforcement", Value: value, TrueSince: &at, KnownSince: at})
				f.reconcile(at.Add(time.Hour))
			}
			f.reconcile(aware.Add(time.Hour))
			police(aware.Add(10*time.Hour), "written")
			if d := f.fold().Duties["vardag.x"]; d.Due != nil || d.Suspended != "law-enforcement" {
				t.Fatalf("while held it is due %v, suspended %q", d.Due, d.Suspended)
			}
			f.reconcile(aware.Add(80 * time.Hour)) // nothing is missed while the hold is on
			police(aware.Add(40*time.Hour), "released")
			d := f.fold().Duties["vardag.x"]
			if d.Due == nil || !d.Due.Equal(want) || d.Suspended != "" {
				t.Fatalf("after the release due %v, want %v", d.Due, want)
			}
			if d.MissedDue != nil && !d.MissedDue.Equal(want) {
				t.Errorf("missed %v", d.MissedDue)
			}
			if n := len(d.Changes); n != 2 || !strings.Contains(d.Changes[0].Why, "hold") || !strings.Contains(d.Changes[1].Why, "hold") {
				t.Errorf("changes: %+v", d.Changes)
			}
		})
	}
}

func TestAStageCountsFromWhatWasFiledEvenLate(t *testing.T) {
	f := open(t)
	f.with(replace(draft, "%STATUS%", "in-force", "%HARDNESS%", "statutory", "%VALID%", "from: 2020-01-01",
		"duties:", "duties:\n  - {id: final, title: final report, to: {kind: regulator, name: somebody}, limits: [{n: 1, unit: month, from: {done: vardag.x}}]}"))
	f.reconcile(aware.Add(time.Hour))
	if d := f.fold().Duties["vardag.final"]; d.Due != nil || d.Pending == "" {
		t.Fatalf("before the first stage: due %v, pending %q", d.Due, d.Pending)
	}
	filed := aware.Add(50 * time.Hour)
	f.reconcile(filed)
	f.say(filed, event.Person("dora", "dpo"), &event.DutyMet{Duty: "vardag.x", MetAt: filed, Evidence: "receipt 7", LateReason: "the portal was down"})
	f.reconcile(filed.Add(time.Minute))
	if d := f.fold().Duties["vardag.final"]; d.Due == nil || d.Due.Before(filed.AddDate(0, 0, 27)) {
		t.Errorf("after the first stage: due %v", d.Due)
	}
	facts := duty.Facts(f.org, f.fold())
	if len(facts.Submissions) != 1 || facts.Submissions[0].LateReason != "the portal was down" {
		t.Errorf("submissions %+v", facts.Submissions)
	}
}

// As of any instant, the duties in the journal are those that the law gave for
// what was known then.
func TestWhatWasDueAsWeKnewItIsInTheJournal(t *testing.T) {
	f := open(t)
	f.reconcile(aware.Add(time.Hour))
	tuesday := aware.Add(2 * time.Hour)
	corrected := aware.Add(-6 * time.Hour)
	f.say(aware.Add(3*time.Hour), event.Person("anna", "analyst"), &event.FactStated{Key: "event.aware", Value: corrected.Format(time.RFC3339), KnownSince: aware.Add(3 * time.Hour), Note: "mail of the night shift"})
	f.reconcile(aware.Add(3 * time.Hour))
	then := f.asOf(tuesday)
	if d := then.Duties[sweden]; !d.Due.Equal(aware.Add(72 * time.Hour)) {
		t.Errorf("as of Tuesday it was due %v", d.Due)
	}
	for _, d := range duty.Of(f.rules, f.org, then, tuesday) {
		if diff := cmp.Diff(inJournal(then.Duties[d.ID].Duty), inJournal(d)); diff != "" {
			t.Errorf("%s as of Tuesday (-journal +law):\n%s", d.ID, diff)
		}
	}
	if d := f.fold().Duties[sweden]; !d.Due.Equal(corrected.Add(72 * time.Hour)) {
		t.Errorf("now it is due %v", d.Due)
	}
}

func (f *file) asOf(at time.Time) *casefile.Case {
	n := 0
	for n < len(f.entries) && !f.entries[n].At.After(at) {
		n++
	}
	c := casefile.Fold(f.entries[:n])
	return &c
}

func inJournal(d event.Duty) string {
	b, err := json.MarshalIndent(d, "", " ")
	if err != nil {
		panic(err)
	}
	return string(b)
}

// story draws something that happens to a case.
func story(r *rapid.T, f *file, now time.Time) {
	anna, dora := event.Person("anna", "analyst"), event.Person("dora", "dpo")
	ago := func() time.Time { return now.Add(-time.Duration(rapid.IntRange(0, 100).Draw(r, "ago")) * time.Hour) }
	switch rapid.IntRange(0, 6).Draw(r, "what") {
	case 0:
		kind := rapid.SampledFrom([]string{"aware", "detected", "determined", "discovered"}).Draw(r, "event")
		f.say(now, anna, &event.FactStated{Key: "event." + kind, Value: ago().Format(time.RFC3339), KnownSince: ago(), Note: "n"})
	case 1:
		f.say(now, dora, &event.RiskAssessed{Level: rapid.SampledFrom([]event.RiskLevel{event.RiskUnlikely, event.RiskPresent, event.RiskHigh}).Draw(r, "risk"), Reason: "r"})
	case 2:
		places := map[string]int64{}
		for _, p := range []string{"SE", "DE", "US-CA", "US-TX", "GB", "unknown"} {
			if n := rapid.Int64Range(0, 1200).Draw(r, p); n > 0 {
				places[p] = n
			}
		}
		f.say(now, event.Service(event.Scope), sealed(len(f.fold().Sealed)+1, places))
	case 3:
		at := ago()
		f.say(now, anna, &event.FactStated{Key: "hold.law-enforcement", Value: rapid.SampledFrom([]string{"written", "released", "oral", "no"}).Draw(r, "hold"), TrueSince: &at, KnownSince: at})
	case 4:
		key := rapid.SampledFrom([]string{"breach.confidentiality", "data.encrypted", "data.key_safe", "test.serious_harm", "finding.no_harm", "kind.telecom-provider"}).Draw(r, "key")
		f.say(now, anna, &event.FactStated{Key: key, Value: rapid.SampledFrom([]string{"yes", "no", "unknown"}).Draw(r, "answer"), KnownSince: now})
	case 5:
		for id, d := range f.fold().Duties {
			if pending(d) {
				f.say(now, dora, &event.DutyMet{Duty: id, MetAt: now, Evidence: "e", LateReason: "l"})
				break
			}
		}
	case 6:
		for id := range f.fold().Duties {
			f.say(now, dora, &event.DutyAcknowledged{Duty: id})
			break
		}
	}
}

// Every event of the deadline service follows from the entries before it and
// the rules, to the last bit: whoever replays the journal gets the same.
func TestTheJournalReplaysBitForBit(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		f := open(t)
		now := aware.Add(time.Hour)
		f.reconcile(now)
		for range rapid.IntRange(1, 6).Draw(r, "acts") {
			now = now.Add(time.Duration(rapid.IntRange(1, 40).Draw(r, "hours")) * time.Hour)
			story(r, f, now)
			f.reconcile(now)
		}
		replay(r, f.rules, f.org, f.entries)
	})
}

// replay decides again at every decision of the journal and compares.
func replay(t rapid.TB, rules *law.Rules, org *organisation.Organisation, entries []casefile.Entry) {
	for i := 0; i < len(entries); {
		if entries[i].Actor.ID != event.Deadline {
			i++
			continue
		}
		c := casefile.Fold(entries[:i])
		events, _ := Reconcile(rules, org, &c, entries[i].At)
		if len(events) == 0 {
			t.Fatalf("entry %d: the replay says nothing", i)
		}
		for _, body := range events {
			want, err := json.Marshal(body)
			if err != nil {
				t.Fatal(err)
			}
			if i == len(entries) || entries[i].Type != body.EventType() || string(entries[i].Data) != string(want) {
				t.Fatalf("entry %d differs from its replay:\n%s\n%s", i, entries[min(i, len(entries)-1)].Data, want)
			}
			i++
		}
	}
}
