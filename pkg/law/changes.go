package law

import (
	"slices"
	"strings"
	"time"
)

// DutyChange is one difference between two computations of the duties of a case.
type DutyChange struct {
	DutyID string     `json:"duty"`
	Kind   string     `json:"kind"` // opened, dropped, moved, started, stopped, restated
	Old    *time.Time `json:"old,omitempty"`
	New    *time.Time `json:"new,omitempty"`
	Line   string     `json:"line"` // what moved and why, in one line
}

// Changes compares the duties as they were with what they are now, in the order of the new list and then
// of what was dropped. The old values stay in the result: the history is evidence.
func Changes(old, now []Duty) []DutyChange {
	before := map[string]*Duty{}
	for i := range old {
		if old[i].Applies() {
			before[old[i].ID] = &old[i]
		}
	}
	var out []DutyChange
	for i := range now {
		d := &now[i]
		if !d.Applies() {
			continue
		}
		was := before[d.ID]
		delete(before, d.ID)
		if was == nil {
			out = append(out, DutyChange{d.ID, "opened", nil, d.Due, d.Title + ": opened, " + d.dueText()})
			continue
		}
		if c, ok := moved(was, d); ok {
			out = append(out, c)
		}
	}
	for i := range old {
		was := before[old[i].ID]
		if was == nil {
			continue
		}
		line := was.Title + ": dropped"
		if j := slices.IndexFunc(now, func(d Duty) bool { return d.ID == was.ID }); j >= 0 {
			line += ", " + now[j].NotApplicableBecause
		}
		out = append(out, DutyChange{was.ID, "dropped", was.Due, nil, line})
	}
	return out
}

func (d *Duty) dueText() string {
	if d.Due == nil {
		if d.Suspended != nil {
			return "suspended by " + d.Suspended.By
		}
		if d.Pending != "" {
			return "waits for " + d.Pending
		}
		return d.Standard
	}
	return "due " + d.DueLocal
}

func moved(was, d *Duty) (DutyChange, bool) {
	c := DutyChange{DutyID: d.ID, Old: was.Due, New: d.Due}
	same := (was.Due == nil) == (d.Due == nil) && (d.Due == nil || was.Due.Equal(*d.Due))
	switch {
	case same && was.Version != d.Version:
		c.Kind = "restated"
	case same:
		return c, false
	case was.Due == nil:
		c.Kind = "started"
	case d.Due == nil:
		c.Kind = "stopped"
	default:
		c.Kind = "moved"
	}
	c.Line = d.Title + ": " + d.dueText() + ", before " + was.dueText()
	if why := reasonOf(was, d); why != "" {
		c.Line += ", because " + why
	}
	return c, true
}

// reasonOf names the first thing in which two derivations differ: rule version, anchor, hold, calendar or a step.
func reasonOf(was, d *Duty) string {
	if was.Version != d.Version {
		return "the rule changed from version " + was.Version + " to " + d.Version
	}
	if was.Anchor != nil && d.Anchor != nil && !was.Anchor.Equal(*d.Anchor) {
		for _, s := range d.Derivation {
			if s.Kind == "anchor" {
				text := s.Text + " is now " + d.Anchor.Format(time.RFC3339) + " and was " + was.Anchor.Format(time.RFC3339)
				if len(s.Steps) > 0 {
					text += " (" + s.Steps[0].Text + ")"
					for _, old := range s.Steps[0].Steps {
						if _, why, ok := strings.Cut(old.Text, "; changed because "); ok {
							text += ": " + why
						}
					}
				}
				return text
			}
		}
	}
	if d.Suspended != nil {
		return "a hold is on: " + d.Suspended.By
	}
	for _, s := range d.Derivation {
		known := slices.ContainsFunc(was.Derivation, func(o Step) bool { return o.Kind == s.Kind && o.Text == s.Text })
		if !known && s.Kind != "instant" && s.Kind != "reading" {
			return s.Text
		}
	}
	if was.Calendar != d.Calendar {
		return "the calendar changed from " + was.Calendar + " to " + d.Calendar
	}
	return ""
}
