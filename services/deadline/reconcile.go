package deadline

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/duty"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/law"
	"tocsin.dev/pkg/organisation"
)

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
	for _, id := range slices.Sorted(maps.Keys(want)) {
		events = append(events, opened(c, want[id])...)
	}
	for _, id := range slices.Sorted(maps.Keys(c.Duties)) {
		have := c.Duties[id]
		if _, stays := want[id]; !stays && pending(have) {
			events = append(events, &event.DutyDropped{Duty: id, Why: duty.WhyNot(rules, org, c, now, id)})
		}
	}
	for _, id := range slices.Sorted(maps.Keys(want)) {
		clock, next := clockEvents(c.Duties[id], want[id], org.ReminderHours, now)
		events = append(events, clock...)
		wake = earlier(wake, next)
	}
	return events, wake
}

// opened returns the event that brings the journal's duty to d, if one is missing.
func opened(c *casefile.Case, d event.Duty) []event.Body {
	have := c.Duties[d.ID]
	switch {
	case have == nil || have.State == casefile.DutyDropped:
		return []event.Body{&event.DutyOpened{Duty: d}}
	case !pending(have) || same(have.Duty, d):
		return nil
	}
	return []event.Body{&event.DutyChanged{Duty: d, WasDue: have.Due, Why: duty.WhyChanged(c, have.Duty, d)}}
}

// clockEvents returns the reminder or the miss that is owed now for a duty as
// it will stand after this decision, and when to look again.
func clockEvents(have *casefile.Duty, d event.Duty, hours []int, now time.Time) ([]event.Body, time.Time) {
	if d.Due == nil || (have != nil && !pending(have) && have.State != casefile.DutyDropped) {
		return nil, time.Time{}
	}
	reminded, missed := 0, false
	if have != nil && have.Due != nil && have.Due.Equal(*d.Due) && have.State != casefile.DutyDropped {
		reminded, missed = have.Reminded, have.MissedDue != nil
	}
	if !now.Before(*d.Due) {
		if missed {
			return nil, time.Time{}
		}
		return []event.Body{&event.DutyMissed{Duty: d.ID, Due: *d.Due}}, time.Time{}
	}
	next, crossed := *d.Due, 0
	for _, h := range hours {
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
	return []event.Body{&event.DutyDueSoon{Duty: d.ID, Due: *d.Due, HoursLeft: crossed}}, next
}

// pending reports whether a duty still waits to be met.
func pending(d *casefile.Duty) bool {
	return d.State == casefile.DutyOpen || d.State == casefile.DutyMissed
}

// same compares duties as the journal writes them.
func same(a, b event.Duty) bool {
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
