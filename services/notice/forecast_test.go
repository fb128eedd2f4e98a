package notice

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/organisation"
	"tocsin.dev/pkg/person"
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

func TestAForecastRestsAtNightUnlessTheDeadlineWouldPass(t *testing.T) {
	london, err := time.LoadLocation("Europe/London")
	if err != nil {
		t.Fatal(err)
	}
	start := time.Date(2026, 11, 20, 18, 0, 0, 0, time.UTC)
	night := &organisation.QuietHours{From: "21:00", To: "08:00"}
	o := outlook{start: start, people: 360_000, legs: []leg{{channel: SMS, people: 360_000, rate: 20, parts: 1, quiet: night, zone: london}}}
	// Five hours of work: three in the evening, eleven of rest, two in the morning.
	if got, want := o.answer().P50, start.Add(16*time.Hour); got.Sub(want).Abs() > time.Minute {
		t.Errorf("ends at %v, want %v", got, want)
	}
	due := start.Add(14 * time.Hour) // 08:00, when the rest ends: too late by an hour
	o.due = &due
	if got, want := o.answer().P50, start.Add(5*time.Hour); got.Sub(want).Abs() > time.Minute {
		t.Errorf("with a deadline in the morning ends at %v, want %v", got, want)
	}
}

func TestTheCheapestChangeIsNamedFirst(t *testing.T) {
	start := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	due := start.Add(3 * time.Hour)
	base := outlook{start: start, due: &due, people: 100_000, legs: []leg{{channel: SMS, people: 100_000, rate: 10, parts: 1}}}
	for name, x := range map[string]struct {
		change func(*outlook)
		want   string
	}{
		"the approval takes too long":        {func(o *outlook) { o.approval = 4 * time.Hour; o.legs[0].rate = 20 }, "approve sooner: within 1h37m0s"},
		"somewhat too slow":                  {func(o *outlook) { o.legs[0].rate = 8 }, "raise the rate of sms from 8 to 10 "},
		"far too slow, with another channel": {func(o *outlook) { o.legs[0].rate = 1; o.spare = []leg{{channel: Email, people: 95_000, rate: 1000}} }, "order email besides: it reaches 95000"},
		"far too slow, and nothing else":     {func(o *outlook) { o.legs[0].rate = 1 }, "raise the rate of sms from 1 to 10 "},
		"hopeless":                           {func(o *outlook) { o.legs[0].rate = 0.01 }, "no single change makes it; sms"},
		"the due instant has passed":         {func(o *outlook) { past := start.Add(-time.Hour); o.due = &past }, "nothing: the due instant"},
	} {
		t.Run(name, func(t *testing.T) {
			o := base
			o.legs = slices.Clone(base.legs)
			x.change(&o)
			if got := o.answer().Cheapest; !strings.HasPrefix(got, x.want) {
				t.Errorf("cheapest = %q, want %q…", got, x.want)
			}
		})
	}
}

func TestAForecastCountsWhatComesBeforeTheFirstMessage(t *testing.T) {
	o := outlook{approval: time.Hour, cooling: time.Minute, canary: 10 * time.Minute, people: 500, unlisted: 500, listing: 100}
	if got := o.begins(); got != 3600+60+5 {
		t.Errorf("begins after %v s, want 3665: one page waits for no canary", got)
	}
	o.people = 5000
	if got := o.begins(); got != 3600+60+600+5 {
		t.Errorf("begins after %v s, want 4265", got)
	}
}

func TestAForecastCountsHowLongMailIsHeldUnlessThatWouldBeLate(t *testing.T) {
	due := time.Date(2026, 5, 6, 12, 0, 0, 0, time.UTC)
	for before, want := range map[time.Duration]float64{time.Hour: 100 + 900, 10 * time.Minute: 100} {
		o := outlook{start: due.Add(-before), due: &due, people: 100_000, legs: []leg{{channel: Email, people: 100_000, rate: 1000, held: 15 * time.Minute}}}
		if a := o.answer(); a.Seconds != want || a.InTime != 1 {
			t.Errorf("%v before the due instant: %.0f s, in time %v; want %.0f and 1", before, a.Seconds, a.InTime, want)
		}
	}
}

func TestAForecastLearnsFromEarlierSendings(t *testing.T) {
	people := testPeople(3000)
	for i := range 300 { // one in ten bounces
		people[10*i].Email = person.Email(fmt.Sprintf("bounce-%d@people.example", i))
	}
	r := newRig(t, people, func(c *Config) { c.Rates = map[string]float64{"sendgrid": 600}; c.MaxFailed = 1 })
	s, _ := r.start("one")
	r.prepare()
	before, err := s.answerForecast(t.Context(), event.ForecastQuestion{Org: testOrg, Case: testCase})
	if err != nil || before.ApprovalSeconds != assumedApproval.Seconds() || !slices.Contains(before.Assumed, "2 % of the messages by email fail") {
		t.Errorf("before: approval in %v s, assumed %q, %v", before.ApprovalSeconds, before.Assumed, err)
	}
	r.approveAndOrder("email", "sms")
	r.completed(60 * time.Second)
	f := &foresight{s: s, c: &casefile.Case{Org: testOrg}}
	if share, err := f.fails(t.Context(), Email); err != nil || share < 0.099 || share > 0.101 {
		t.Errorf("%v of the emails are expected to fail, %v; 300 of 3,000 bounced", share, err)
	}
	if rate, err := f.measured(t.Context(), Email, 0); err != nil || rate <= 0 || rate > 1500 {
		t.Errorf("%v emails a second were measured, %v; the limit is 600, and the last of three pages takes no time", rate, err)
	}
	if len(f.assumed) != 0 {
		t.Errorf("still assumed: %q", f.assumed)
	}
}

func TestHeldDoubtsWaitForAPersonAndAreSettledByOne(t *testing.T) {
	for _, decision := range []string{"resend", "accept", "drop"} {
		t.Run(decision, func(t *testing.T) {
			r := newRig(t, testPeople(20), func(c *Config) { c.Doubt.Policy = organisation.Hold; c.SettleFor = time.Second })
			r.box.SetFaults(blindDrop)
			s, _ := r.start("one")
			r.prepare()
			r.approveAndOrder("email", "sms")
			held := r.completed(60 * time.Second)
			if held.InDoubt != 20 || held.States["email"]["held"] != 20 {
				t.Fatalf("tally = %+v, want 20 held", held)
			}
			r.box.SetFaults(noReceipts) // a late one would settle what a person is to
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
