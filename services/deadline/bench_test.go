package deadline

import (
	"encoding/json"
	"testing"
	"time"

	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/organisation"
)

// big is a case with people in every State and every Member State.
func big(t testing.TB) *file {
	f := open(t)
	f.org.Law = organisation.Law{Establishments: []organisation.Establishment{{Place: "US-NY", Main: true}}, Kinds: []string{"controller", "telecom-provider", "essential-entity"}}
	places := map[string]int64{"GB": 1500, "CH": 1500, "BR": 1500, "JP": 1500, "AU": 1500}
	v := f.rules.Vocabulary()
	for _, group := range []string{"us-states", "eea"} {
		for _, place := range v.Groups[group] {
			places[place] = 1500
		}
	}
	s := sealed(1, places)
	s.Counts.Categories = map[string]int64{}
	for _, c := range []string{"name", "ssn", "email", "password", "payment_card", "health"} {
		s.Counts.Categories[c] = s.People
	}
	now := aware.Add(2 * time.Hour)
	f.say(now, event.Service(event.Scope), s)
	f.say(now, event.Person("dora", "dpo"), &event.RiskAssessed{Level: event.RiskHigh, Reason: "r"})
	for _, key := range []string{"breach.confidentiality", "breach.access", "breach.acquisition"} {
		f.say(now, event.Person("anna", "analyst"), &event.FactStated{Key: key, Value: "yes", KnownSince: now})
	}
	return f
}

// The whole life of a big case stays far below what the journal takes.
func TestACaseWithEveryStateAndMemberStateFitsIntoTheJournal(t *testing.T) {
	f := big(t)
	f.untilWakeStops(aware.Add(2*time.Hour), nil)
	largest, total, decision, at := 0, 0, 0, time.Time{}
	biggest := 0
	for _, e := range f.entries {
		if e.Actor.ID != event.Deadline {
			continue
		}
		data, err := json.Marshal(e.Event)
		if err != nil {
			t.Fatal(err)
		}
		if !e.At.Equal(at) {
			decision, at = 0, e.At
		}
		decision += len(data)
		largest, biggest, total = max(largest, len(data)), max(biggest, decision), total+len(data)
	}
	t.Logf("%d duties, %d events, %d bytes in all; largest event %d, all of one instant %d", len(f.fold().Duties), len(f.entries), total, largest, biggest)
	if len(f.fold().Duties) < 150 || largest > 128<<10 || biggest > 8<<20 {
		t.Errorf("%d duties; largest event %d, decisions of one instant %d bytes", len(f.fold().Duties), largest, biggest)
	}
}

func BenchmarkReconcileOpensEveryStateAndMemberState(b *testing.B) {
	f := big(b)
	c := f.fold()
	n := 0
	for b.Loop() {
		events, _ := Reconcile(f.rules, f.org, c, aware.Add(3*time.Hour))
		n = len(events)
	}
	b.ReportMetric(float64(n), "events")
}

func BenchmarkReconcileFindsNothingNew(b *testing.B) {
	f := big(b)
	f.reconcile(aware.Add(3 * time.Hour))
	c := f.fold()
	for b.Loop() {
		if events, _ := Reconcile(f.rules, f.org, c, aware.Add(3*time.Hour)); len(events) > 0 {
			b.Fatal("something new")
		}
	}
}
