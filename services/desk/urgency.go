package desk

import (
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/services/desk/console"
)

// Urgency says in a word and in words how a duty stands in time.
type Urgency struct {
	// Kind is "none", "track", "soon", "urgent", "late", "done" or "off".
	Kind string
	// Words are what people read: "On track", "Due soon", "Urgent", "Late by 2 h".
	Words string
}

// UrgencyOf grades an open duty: due soon in the last quarter of its time or
// the last 24 hours, urgent in the last 4 hours.
func UrgencyOf(d *casefile.Duty, now time.Time) Urgency {
	switch d.State {
	case casefile.DutyMet:
		return Urgency{"done", "Met"}
	case casefile.DutyWaived:
		return Urgency{"off", "Not required"}
	case casefile.DutyDropped:
		return Urgency{"off", "No longer applies"}
	}
	switch {
	case d.Effect == event.EffectInformation:
		return Urgency{"none", "Not law yet"}
	case d.Due == nil:
		return Urgency{"none", "Open"}
	case d.Effect != "" && now.After(*d.Due): // a guide figure cannot make anything late
		return Urgency{"soon", "Guide figure passed"}
	}
	left := d.Due.Sub(now)
	switch {
	case left < 0:
		return Urgency{"late", "Late by " + console.Span(-left)}
	case left <= 4*time.Hour:
		return Urgency{"urgent", "Urgent"}
	case left <= 24*time.Hour || left*4 <= d.Due.Sub(d.OpenedAt):
		return Urgency{"soon", "Due soon"}
	}
	return Urgency{"track", "On track"}
}
