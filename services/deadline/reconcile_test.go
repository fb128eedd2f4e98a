package deadline

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/law"
	"tocsin.dev/pkg/organisation"
)

var aware = time.Date(2026, 11, 20, 9, 30, 0, 0, time.UTC)

// file is a journal in memory: it appends what a decision returns.
type file struct {
	t       testing.TB
	rules   *law.Rules
	org     *organisation.Organisation
	entries []casefile.Entry
}

// builtIn loads the rules once for all tests; they are never changed.
var builtIn = sync.OnceValues(law.Default)

func open(t testing.TB) *file {
	t.Helper()
	rules, err := builtIn()
	if err != nil {
		t.Fatal(err)
	}
	f := &file{t: t, rules: rules, org: &organisation.Organisation{
		ID: "vardag", Name: "Vardag", Zone: "Europe/Stockholm", ReminderHours: []int{48, 24, 12, 4, 1}, EscalateHours: 4,
		Law: organisation.Law{Establishments: []organisation.Establishment{{Place: "SE", Main: true}}, LeadAuthority: "SE", Kinds: []string{"controller"}},
	}}
	f.say(aware.Add(time.Hour), event.Person("anna", "analyst"), &event.CaseDeclared{Title: "t", AwareAt: aware, AwareZone: "Europe/Stockholm", Severity: "high", Role: "controller"})
	return f
}

func (f *file) say(at time.Time, who event.Actor, bodies ...event.Body) {
	f.t.Helper()
	for _, b := range bodies {
		e, err := event.New(event.NewID(), at, "vardag", "2026-001", who, b)
		if err != nil {
			f.t.Fatal(err)
		}
		f.entries = append(f.entries, casefile.Entry{Seq: uint64(len(f.entries) + 1), Event: e})
	}
}

func (f *file) fold() *casefile.Case { c := casefile.Fold(f.entries); return &c }

// reconcile decides until nothing is missing, as the runtime does.
func (f *file) reconcile(now time.Time) time.Time {
	f.t.Helper()
	for range 5 {
		events, wake := Reconcile(f.rules, f.org, f.fold(), now)
		if len(events) == 0 {
			return wake
		}
		f.say(now, event.Service(event.Deadline), events...)
	}
	f.t.Fatal("the decision never settles")
	return time.Time{}
}

func (f *file) said() []string {
	var out []string
	for _, e := range f.entries {
		out = append(out, e.Type.Name())
	}
	return out
}

func TestADeclarationOpensTheSeventyTwoHoursOnce(t *testing.T) {
	f := open(t)
	f.reconcile(aware.Add(time.Hour))
	d := f.fold().Duties["eu-gdpr.authority_SE"]
	if d == nil {
		t.Fatalf("duties: %v", f.said())
	}
	if want := aware.Add(72 * time.Hour); !d.Due.Equal(want) {
		t.Errorf("due %v, want %v", d.Due, want)
	}
	if len(d.Derivation) == 0 || d.Citation == "" {
		t.Errorf("duty without derivation or citation: %+v", d.Duty)
	}
	n := len(f.entries)
	f.reconcile(aware.Add(time.Hour + time.Minute))
	if len(f.entries) != n {
		t.Errorf("a second look said %v", f.said()[n:])
	}
}

func TestAcknowledgedRemindersComeAtTheirHoursAndThenTheMiss(t *testing.T) {
	f := open(t)
	now := aware.Add(time.Hour)
	var hours []int
	f.say(now, event.Person("dora", "dpo"), &event.DutyAcknowledged{Duty: "eu-gdpr.authority_SE"})
	for range 12 {
		wake := f.reconcile(now)
		if wake.IsZero() {
			break
		}
		now = wake
		f.say(now, event.Person("dora", "dpo"), &event.DutyAcknowledged{Duty: "eu-gdpr.authority_SE"})
	}
	missed := 0
	for _, e := range f.entries {
		body, _ := event.Decode(e.Event)
		switch b := body.(type) {
		case *event.DutyDueSoon:
			if b.Duty == "eu-gdpr.authority_SE" {
				hours = append(hours, b.HoursLeft)
			}
		case *event.DutyMissed:
			missed++
		}
	}
	if want := []int{48, 24, 12, 4, 1}; !slices.Equal(hours, want) || missed != 1 {
		t.Errorf("reminders %v, missed %d; want %v and one miss", hours, missed, want)
	}
}

func TestALateStartRemindsOnceOfTheNearestHourOnly(t *testing.T) {
	f := open(t)
	f.reconcile(aware.Add(69 * time.Hour)) // 3 hours left
	var hours []int
	for _, e := range f.entries {
		if body, _ := event.Decode(e.Event); body != nil {
			if b, ok := body.(*event.DutyDueSoon); ok && b.Duty == "eu-gdpr.authority_SE" {
				hours = append(hours, b.HoursLeft)
			}
		}
	}
	if len(hours) != 1 || hours[0] != 4 {
		t.Errorf("reminders %v, want one of 4 hours", hours)
	}
}

func TestAMetDutyIsLeftAlone(t *testing.T) {
	f := open(t)
	f.reconcile(aware.Add(time.Hour))
	f.say(aware.Add(2*time.Hour), event.Person("dora", "dpo"), &event.DutyMet{Duty: "eu-gdpr.authority_SE", MetAt: aware.Add(2 * time.Hour), Evidence: "receipt 7"})
	f.reconcile(aware.Add(100 * time.Hour))
	if d := f.fold().Duties["eu-gdpr.authority_SE"]; d.State != casefile.DutyMet {
		t.Errorf("state %s", d.State)
	}
}

func TestUnlikelyRiskDropsTheDutyAndHighRiskAddsThePeople(t *testing.T) {
	f := open(t)
	now := aware.Add(time.Hour)
	f.reconcile(now)
	f.say(now, event.Person("dora", "dpo"), &event.RiskAssessed{Level: event.RiskUnlikely, Reason: "encrypted backup, key safe"})
	f.reconcile(now.Add(time.Minute))
	if d := f.fold().Duties["eu-gdpr.authority_SE"]; d.State != casefile.DutyDropped || d.Why == "" {
		t.Errorf("with unlikely risk the duty is %s (%s)", d.State, d.Why)
	}
	f.say(now.Add(2*time.Minute), event.Person("dora", "dpo"), &event.RiskAssessed{Level: event.RiskHigh, Reason: "passwords"})
	f.reconcile(now.Add(3 * time.Minute))
	c := f.fold()
	if d := c.Duties["eu-gdpr.authority_SE"]; d.State != casefile.DutyOpen || d.Due == nil {
		t.Errorf("with high risk the authority's duty is %s", d.State)
	}
	people := 0
	for id, d := range c.Duties {
		if strings.HasPrefix(id, "eu-gdpr.people") && d.State == casefile.DutyOpen {
			people++
			if d.Due != nil {
				t.Errorf("%s has a due instant; Art. 34 names no number", id)
			}
		}
	}
	if people == 0 {
		t.Errorf("high risk opened no duty towards people: %v", f.said())
	}
}

func TestACorrectedAwarenessMovesTheDueInstantWithTheReason(t *testing.T) {
	f := open(t)
	now := aware.Add(time.Hour)
	f.reconcile(now)
	earlier := aware.Add(-5 * time.Hour)
	f.say(now, event.Person("anna", "analyst"), &event.FactStated{Key: "event.aware", Value: earlier.Format(time.RFC3339), KnownSince: now, Note: "the night shift knew already"})
	f.reconcile(now.Add(time.Minute))
	d := f.fold().Duties["eu-gdpr.authority_SE"]
	if want := earlier.Add(72 * time.Hour); !d.Due.Equal(want) {
		t.Errorf("due %v, want %v", d.Due, want)
	}
	if len(d.Changes) != 1 || !d.Changes[0].WasDue.Equal(aware.Add(72*time.Hour)) {
		t.Fatalf("changes %+v", d.Changes)
	}
	for _, part := range []string{"due 2026-11-23T05:30:00+01:00", "before due 2026-11-23T10:30:00+01:00", "the night shift knew already"} {
		if why := d.Changes[0].Why; !strings.Contains(why, part) || strings.Contains(why, "\n") {
			t.Errorf("the reason %q does not say %q in one line", why, part)
		}
	}
}

// Whenever it looks and however often, what it says in the end is the same.
func TestAnyScheduleOfLooksEndsInTheSameDuties(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		f := open(t)
		now := aware.Add(time.Hour)
		for range rapid.IntRange(0, 6).Draw(r, "looks") {
			now = now.Add(time.Duration(rapid.IntRange(0, 30).Draw(r, "hours")) * time.Hour)
			f.reconcile(now)
		}
		f.reconcile(aware.Add(400 * time.Hour))
		missed := map[string]int{}
		for _, e := range f.entries {
			if body, _ := event.Decode(e.Event); body != nil {
				if b, ok := body.(*event.DutyMissed); ok {
					missed[b.Duty]++
				}
			}
		}
		for id, d := range f.fold().Duties {
			if d.Due != nil && (missed[id] != 1 || d.State != casefile.DutyMissed) {
				r.Fatalf("%s: missed %d times, state %s", id, missed[id], d.State)
			}
		}
	})
}
