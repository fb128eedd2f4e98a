package deadline

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/duty"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/law"
	"tocsin.dev/pkg/organisation"
)

// maxEvents bounds one decision; the journal takes 500 at once. What is left
// over follows with the next look, which the appended events ask for.
const maxEvents = 300

// Reconcile opens, changes or drops duties until the journal agrees with the
// law as of now, and says what is due soon or missed. It has no side effects;
// wake is when time alone will next change the answer, zero if never.
func Reconcile(rules *law.Rules, org *organisation.Organisation, c *casefile.Case, now time.Time) (events []event.Body, wake time.Time) {
	if c.Declared == nil || c.Status == casefile.StatusClosed {
		return nil, time.Time{}
	}
	want := map[string]event.Duty{}
	for _, d := range duty.Of(rules, org, c, now) {
		want[d.ID] = d
	}
	ids := slices.Sorted(maps.Keys(want))
	for _, id := range ids {
		events = append(events, opened(c, want[id], rules.Version())...)
	}
	events = append(events, dropped(rules, org, c, now, want)...)
	if len(events) > maxEvents {
		return events[:maxEvents], now
	}
	for _, id := range ids {
		clock, next := clockEvents(c.Duties[id], want[id], org, now)
		events = append(events, clock...)
		wake = earlier(wake, next)
	}
	if len(events) > maxEvents {
		return events[:maxEvents], now
	}
	return events, wake
}

// opened returns the event that brings the journal's duty to d, if one is missing.
func opened(c *casefile.Case, d event.Duty, rules string) []event.Body {
	have := c.Duties[d.ID]
	switch {
	case have == nil || have.State == casefile.DutyDropped:
		return []event.Body{&event.DutyOpened{Duty: d, Rules: rules}}
	case !pending(have) || same(have.Duty, d):
		return nil
	}
	return []event.Body{&event.DutyChanged{Duty: d, WasDue: have.Due, Why: duty.WhyChanged(c, have.Duty, d), Rules: rules}}
}

// dropped returns the events that take away the duties which no longer apply.
func dropped(rules *law.Rules, org *organisation.Organisation, c *casefile.Case, now time.Time, want map[string]event.Duty) []event.Body {
	var ids []string
	for id, have := range c.Duties {
		if _, stays := want[id]; !stays && pending(have) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	var events []event.Body
	why := duty.WhyNot(rules, org, c, now, ids...)
	for _, id := range ids {
		events = append(events, &event.DutyDropped{Duty: id, Why: why[id], Rules: rules.Version()})
	}
	return events
}

// clockEvents returns the reminder or the miss that is owed now for a duty as
// it will stand after this decision, and when to look again.
//
// What is not law yet has no clock. A duty is reminded of at the organisation's
// ReminderHours. Within the last 24 hours a reminder that nobody acknowledges
// is said again every EscalateHours, and each says how many before it went
// unanswered. Only a number that binds can be missed.
func clockEvents(have *casefile.Duty, d event.Duty, org *organisation.Organisation, now time.Time) ([]event.Body, time.Time) {
	if d.Due == nil || d.Effect == event.EffectInformation || (have != nil && !pending(have) && have.State != casefile.DutyDropped) {
		return nil, time.Time{}
	}
	reminded, unanswered, missed := 0, 0, false
	if have != nil && sameDue(have.Due, d.Due) && have.State != casefile.DutyDropped {
		reminded, unanswered, missed = have.Reminded, have.Unanswered, have.MissedDue != nil
	}
	if !now.Before(*d.Due) {
		if missed || d.Effect != "" {
			return nil, time.Time{}
		}
		return []event.Body{&event.DutyMissed{Duty: d.ID, Due: *d.Due}}, time.Time{}
	}
	next, crossed := *d.Due, 0
	for _, h := range reminderSteps(org, unanswered > 0) {
		at := d.Due.Add(-time.Duration(h) * time.Hour)
		if now.Before(at) {
			next = earlier(next, at)
		} else if crossed == 0 || h < crossed {
			crossed = h
		}
	}
	if crossed == 0 || (reminded != 0 && reminded <= crossed) {
		return nil, next
	}
	return []event.Body{&event.DutyDueSoon{Duty: d.ID, Due: *d.Due, HoursLeft: crossed, Escalation: unanswered}}, next
}

// lastDay is the span before a due instant, in hours, in which unanswered reminders are repeated.
const lastDay = 24

// reminderSteps returns the hours before a due instant at which something is
// to be said: the organisation's own, and those of an escalation.
func reminderSteps(org *organisation.Organisation, escalated bool) []int {
	steps := slices.Clone(org.ReminderHours)
	if escalated && org.EscalateHours > 0 {
		for h := lastDay - org.EscalateHours; h > 0; h -= org.EscalateHours {
			steps = append(steps, h)
		}
	}
	return steps
}

// pending reports whether a duty still waits to be met.
func pending(d *casefile.Duty) bool {
	return d.State == casefile.DutyOpen || d.State == casefile.DutyMissed
}

func sameDue(a, b *time.Time) bool { return a != nil && b != nil && a.Equal(*b) }

// same compares duties as the journal writes them.
func same(a, b event.Duty) bool {
	if reflect.DeepEqual(a, b) {
		return true
	}
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// earlier returns the earlier of two instants, taking zero for never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}
