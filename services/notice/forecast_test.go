package notice

import (
	"testing"
	"time"

	"tocsin.dev/pkg/event"
)

func TestAForecastNamesTheLatestApprovalAndTheCheapestChange(t *testing.T) {
	start := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	due := start.Add(24 * time.Hour)
	o := outlook{start: start, due: &due, people: 10_000_000, legs: []leg{{channel: SMS, people: 10_000_000, rate: 100, parts: 1, spread: 0.05, fails: 0.05}}}
	a := o.answer()
	if got := a.P50.Sub(start); got < 26*time.Hour || got > 30*time.Hour {
		t.Errorf("ten million by one short code end after %v, want about 28 h", got)
	}
	if a.InTime > 0.1 || a.Cheapest == "" {
		t.Errorf("in time %v, cheapest %q; want almost never and a change", a.InTime, a.Cheapest)
	}
	if a.LatestApproval == nil || !a.LatestApproval.Before(start) {
		t.Errorf("latest approval %v, want before %v", a.LatestApproval, start)
	}
	due = start.Add(40 * time.Hour)
	if a = o.answer(); a.InTime < 0.99 || a.Cheapest != "" {
		t.Errorf("with 40 h: in time %v, cheapest %q; want always and nothing", a.InTime, a.Cheapest)
	}
}

func TestHeldDoubtsWaitForAPersonAndAreSettledByOne(t *testing.T) {
	for _, decision := range []string{"resend", "accept", "drop"} {
		t.Run(decision, func(t *testing.T) {
			r := newRig(t, testPeople(20), func(c *Config) { c.Doubt.Hold = true; c.SettleFor = time.Second })
			r.box.SetFaults(blindDrop)
			s, _ := r.start("one")
			r.prepare()
			r.approveAndOrder("email", "sms")
			held := r.completed(60 * time.Second)
			if held.InDoubt != 20 || held.States["email"]["held"] != 20 {
				t.Fatalf("tally = %+v, want 20 held", held)
			}
			r.box.SetFaults(noFaults)
			d, err := s.answerDoubts(t.Context(), event.DoubtsQuestion{Org: testOrg, Case: testCase})
			if err != nil || d.People != 20 {
				t.Fatalf("doubts = %+v, %v; want 20 people", d, err)
			}
			q := event.SettleQuestion{Org: testOrg, Case: testCase, Asker: event.Person("lex", "legal"), Decision: decision, Reason: "called them"}
			for _, one := range d.Doubts {
				q.Attempts = append(q.Attempts, one.Attempt)
			}
			if _, err := s.answerSettle(t.Context(), event.SettleQuestion{Org: testOrg, Case: testCase, Asker: event.Person("ann", "analyst"), Decision: decision, Reason: "x", Attempts: q.Attempts}); err == nil {
				t.Error("an analyst settled a doubt")
			}
			if a, err := s.answerSettle(t.Context(), q); err != nil || a.People != 20 {
				t.Fatalf("settled %+v, %v; want 20 people", a, err)
			}
			r.await("settlement", 30*time.Second, settledAll)
		})
	}
}
