package notice

import (
	"fmt"
	"testing"
	"testing/fstest"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/journal"
	"tocsin.dev/pkg/organisation"
)

func quietContent(t *testing.T, due string) *content {
	t.Helper()
	orgs, err := organisation.Load(fstest.MapFS{"a.yaml": {Data: []byte(`
id: a
name: A
language: en
zone: Europe/Stockholm
law: {kinds: [controller]}
quiet_hours: {from: "21:00", to: "08:00"}
`)}})
	if err != nil {
		t.Fatal(err)
	}
	k := &content{c: &casefile.Case{}, org: orgs.All()[0]}
	if due != "" {
		at := clockAt(t, due)
		k.c.Duties = map[string]*casefile.Duty{"d": {Duty: event.Duty{ID: "d", ToKind: "people", Due: &at}, State: casefile.DutyOpen}}
	}
	return k
}

func clockAt(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestATextWaitsForTheMorningWhereItsRecipientLives(t *testing.T) {
	for name, c := range map[string]struct{ place, now, due, start string }{ // start is empty if it goes at once
		"day in London":                           {"GB", "2026-06-01T12:00:00Z", "", ""},
		"night in London":                         {"GB", "2026-06-01T23:00:00Z", "", "2026-06-02T07:00:00Z"},
		"day in London, night in California":      {"US-CA", "2026-06-01T09:00:00Z", "", "2026-06-01T15:00:00Z"},
		"a state of two zones waits for both":     {"US-TX", "2026-06-01T12:30:00Z", "", "2026-06-01T14:00:00Z"},
		"an unknown place has our zone":           {"", "2026-06-01T19:30:00Z", "", "2026-06-02T06:00:00Z"},
		"the deadline is far":                     {"GB", "2026-06-01T23:00:00Z", "2026-06-02T12:00:00Z", "2026-06-02T07:00:00Z"},
		"the deadline is before the morning":      {"GB", "2026-06-01T23:00:00Z", "2026-06-02T03:00:00Z", ""},
		"the deadline is too soon after":          {"GB", "2026-06-01T23:00:00Z", "2026-06-02T07:30:00Z", ""},
		"the deadline is past":                    {"GB", "2026-06-01T23:00:00Z", "2026-06-01T20:00:00Z", ""},
		"the whole of the USA waits for Honolulu": {"US", "2026-06-01T14:00:00Z", "", "2026-06-01T18:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			k, now := quietContent(t, c.due), clockAt(t, c.now)
			may, next := k.awake([]message{{person: 5, place: packPlace(c.place), reason: ReasonHandOver}}, now)
			got := ""
			if len(may) == 0 {
				got = next.UTC().Format(time.RFC3339)
			}
			if got != c.start {
				t.Errorf("it goes at %q, want %q", got, c.start)
			}
			if len(may) == 1 && c.due != "" && may[0].reason != ReasonQuietOverridden {
				t.Errorf("quiet hours are overridden for the reason %v", may[0].reason)
			}
			if len(may) == 1 && c.due == "" && may[0].reason != ReasonHandOver {
				t.Errorf("it goes for the reason %v", may[0].reason)
			}
		})
	}
}

// Only those whose night it is wait.
func TestQuietHoursHoldNobodyElseUp(t *testing.T) {
	k := quietContent(t, "")
	may, next := k.awake([]message{{person: 5, place: packPlace("US-CA")}, {person: 8, place: packPlace("GB")}, {person: 9, place: packPlace("JP")}}, clockAt(t, "2026-06-01T09:00:00Z"))
	if len(may) != 2 || may[0].person != 8 || may[1].person != 9 || !next.Equal(clockAt(t, "2026-06-01T15:00:00Z")) {
		t.Errorf("now go %+v, the next at %v", may, next)
	}
}

func TestAPlaceIsInItsZone(t *testing.T) {
	k := quietContent(t, "")
	for place := range placeZones {
		for _, z := range zonesOf(place, k.org) {
			if z.String() == "Europe/Stockholm" && place != "SE" {
				t.Errorf("%s: its zones %q are unknown", place, placeZones[place])
			}
		}
	}
}

func TestAPersonInQuietHoursStaysPendingUntilTheyEnd(t *testing.T) {
	people := testPeople(6)
	for i := range 3 {
		people[i].Jurisdiction = "US-CA"
	}
	r := newRig(t, people, nil)
	org, err := r.orgs.Get(testOrg)
	if err != nil {
		t.Fatal(err)
	}
	// Quiet in California now, whenever now is, and not in London, eight hours ahead.
	pacificTime, err := time.LoadLocation("America/Los_Angeles")
	if err != nil {
		t.Fatal(err)
	}
	here := time.Now().In(pacificTime)
	org.QuietHours = &organisation.QuietHours{From: here.Add(-time.Hour).Format("15:04"), To: here.Add(2 * time.Hour).Format("15:04")}
	s, _ := r.start("one")
	r.prepare()
	r.approveAndOrder("sms")
	r.await("the three in London", 30*time.Second, func(c *casefile.Case) bool {
		return len(c.Orders) > 0 && c.Orders[0].Tally != nil && c.Orders[0].Tally.States["sms"]["delivered"] == 3
	})
	rows, err := s.answerMessages(t.Context(), event.MessagesQuestion{Org: testOrg, Case: testCase, State: "planned"})
	if err != nil || len(rows.Messages) != 3 {
		t.Fatalf("%d wait, %v; want 3", len(rows.Messages), err)
	}
	for _, m := range rows.Messages {
		if m.Jurisdiction != "US-CA" || m.EarliestStart == nil || m.EarliestStart.Before(time.Now().Add(time.Hour)) {
			t.Errorf("person %d waits in %s until %v", m.Person, m.Jurisdiction, m.EarliestStart)
		}
	}
}

func TestADeadlineInTheNightIsKeptAndTheReasonRecorded(t *testing.T) {
	r := newRig(t, testPeople(3), nil)
	org, err := r.orgs.Get(testOrg)
	if err != nil {
		t.Fatal(err)
	}
	here := time.Now().In(org.Location())
	org.QuietHours = &organisation.QuietHours{From: here.Add(-time.Hour).Format("15:04"), To: here.Add(2 * time.Hour).Format("15:04")}
	s, _ := r.start("one")
	r.prepare()
	r.openDuty(time.Now().Add(2 * time.Hour))
	r.approveAndOrder("sms")
	if tally := r.completed(30 * time.Second); tally.Told != 3 {
		t.Fatalf("tally = %+v, want 3 told", tally)
	}
	c, err := r.desk.Load(t.Context(), testOrg, testCase)
	if err != nil {
		t.Fatal(err)
	}
	q := c.Orders[0].QuietOverridden
	if q == nil || q.People != 3 || q.Duty != "d1" || !q.Due.Equal(c.Duties["d1"].Due.Truncate(time.Millisecond)) {
		t.Errorf("the journal says %+v of quiet hours, want 3 people for duty d1, due %v", q, c.Duties["d1"].Due)
	}
	a, err := s.answerProgress(t.Context(), event.ProgressQuestion{Org: testOrg, Case: testCase})
	if err != nil || len(a.Orders) != 1 {
		t.Fatalf("progress = %+v, %v", a, err)
	}
	if n := a.Orders[0].Reasons["sms"]["quiet_hours_overridden"]; n != 3 {
		t.Errorf("%d were sent under the reason quiet_hours_overridden, want 3: %v", n, a.Orders[0].Reasons)
	}
}

// openDuty says as the deadline service that people must be told by an instant.
func (r *rig) openDuty(due time.Time) {
	r.t.Helper()
	j, err := journal.New(r.nats.Connect(r.t, event.Deadline), journal.Config{})
	if err != nil {
		r.t.Fatal(err)
	}
	c, err := j.Load(r.t.Context(), testOrg, testCase)
	if err != nil {
		r.t.Fatal(err)
	}
	e, err := event.New(event.NewID(), time.Now(), testOrg, testCase, event.Service(event.Deadline),
		event.DutyOpened{Duty: event.Duty{ID: fmt.Sprintf("d%d", len(c.Duties)+1), Rule: "r", Version: "1", Status: "applies", Hardness: "hard", Title: "Tell people", To: "People", ToKind: "people", Citation: "Art. 34", Due: &due}})
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := j.Append(r.t.Context(), testOrg, testCase, c.Seq, e); err != nil {
		r.t.Fatal(err)
	}
}
