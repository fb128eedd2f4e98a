package desk

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
)

// MeetDuty records that a duty was fulfilled. Late is never refused, but it demands its reason.
func (s *Service) MeetDuty(ctx context.Context, who User, on On, m event.DutyMet) (*casefile.Case, error) {
	return s.perform(ctx, act{
		who: who, on: on, roles: mayAssess,
		matters: aboutDuty(m.Duty),
		decide: func(c *casefile.Case, _ event.Actor, now time.Time) ([]event.Body, error) {
			d, err := pendingDuty(c, m.Duty)
			if d == nil || err != nil {
				return nil, err
			}
			bad := &Invalid{}
			m.Evidence, m.LateReason = strings.TrimSpace(m.Evidence), strings.TrimSpace(m.LateReason)
			checkLength(bad, "evidence", m.Evidence, 3, maxLine, "Say what proves it, such as the reference number of the filing")
			checkLength(bad, "late_reason", m.LateReason, 0, maxLine, "")
			switch {
			case m.MetAt.IsZero():
				bad.add("met_at", "Say when the addressee was told")
			case m.MetAt.After(now.Add(time.Minute)):
				bad.add("met_at", "That is in the future")
			case m.MetAt.Before(c.Declared.AwareAt):
				bad.add("met_at", "That is before the organisation became aware")
			case d.Due != nil && m.MetAt.After(*d.Due) && m.LateReason == "":
				bad.add("late_reason", "It was due on %s; say why it is late", d.Due.UTC().Format("2 January 2006, 15:04 UTC"))
			}
			m.MetAt = m.MetAt.UTC()
			return []event.Body{m}, bad.or()
		},
	})
}

// WaiveDuty records a person's decision that a duty need not be met.
func (s *Service) WaiveDuty(ctx context.Context, who User, on On, w event.DutyWaived) (*casefile.Case, error) {
	return s.perform(ctx, act{
		who: who, on: on, roles: mayAssess,
		matters: aboutDuty(w.Duty),
		decide: func(c *casefile.Case, _ event.Actor, _ time.Time) ([]event.Body, error) {
			d, err := pendingDuty(c, w.Duty)
			if d == nil || err != nil {
				return nil, err
			}
			bad := &Invalid{}
			w.Reason = strings.TrimSpace(w.Reason)
			checkLength(bad, "reason", w.Reason, 3, maxLine, "Say why the duty need not be met; the record must stand up later")
			return []event.Body{w}, bad.or()
		},
	})
}

// pendingDuty returns the duty if it can be met or waived; nil if it is settled already.
func pendingDuty(c *casefile.Case, id string) (*casefile.Duty, error) {
	if err := open(c); err != nil {
		return nil, err
	}
	d := c.Duties[id]
	switch {
	case d == nil:
		return nil, fmt.Errorf("duty %q of case %s: %w", id, c.Number, ErrNotFound)
	case d.State == casefile.DutyMet || d.State == casefile.DutyWaived:
		return nil, refuse("settled", "the duty is %s already", d.State)
	case d.State == casefile.DutyDropped:
		return nil, refuse("settled", "the duty no longer applies: %s", d.Why)
	}
	return d, nil
}

// aboutDuty picks the entries that change one duty; reminders do not.
func aboutDuty(id string) func(casefile.Entry) bool {
	return func(e casefile.Entry) bool {
		body, err := event.Decode(e.Event)
		if err != nil {
			return false
		}
		switch b := body.(type) {
		case *event.DutyChanged:
			return b.Duty.ID == id
		case *event.DutyDropped:
			return b.Duty == id
		case *event.DutyMet:
			return b.Duty == id
		case *event.DutyWaived:
			return b.Duty == id
		}
		return false
	}
}

// BoardDuty is a duty with the case it belongs to.
type BoardDuty struct {
	Case *casefile.Case
	Duty *casefile.Duty
}

// Board returns the duties of all cases in some states, soonest first; those without a due instant come last.
func (s *Service) Board(ctx context.Context, who User, states ...casefile.DutyState) ([]BoardDuty, error) {
	cases, err := s.Cases(ctx, who)
	if err != nil {
		return nil, err
	}
	var board []BoardDuty
	for _, c := range cases {
		for _, d := range c.Duties {
			if slices.Contains(states, d.State) {
				board = append(board, BoardDuty{c, d})
			}
		}
	}
	slices.SortFunc(board, func(a, b BoardDuty) int {
		if n := compareDue(a.Duty.Duty, b.Duty.Duty); n != 0 {
			return n
		}
		return strings.Compare(a.Case.Number+a.Duty.ID, b.Case.Number+b.Duty.ID)
	})
	return board, nil
}

// Duties returns the duties of a case in order of their due instants.
func Duties(c *casefile.Case) []*casefile.Duty {
	all := make([]*casefile.Duty, 0, len(c.Duties))
	for _, d := range c.Duties {
		all = append(all, d)
	}
	slices.SortFunc(all, func(a, b *casefile.Duty) int { return compareDue(a.Duty, b.Duty) })
	return all
}

func sortDuties(d []event.Duty) { slices.SortFunc(d, compareDue) }

func compareDue(a, b event.Duty) int {
	switch {
	case a.Due != nil && b.Due != nil && !a.Due.Equal(*b.Due):
		return a.Due.Compare(*b.Due)
	case a.Due != nil && b.Due == nil:
		return -1
	case a.Due == nil && b.Due != nil:
		return 1
	}
	return strings.Compare(a.ID, b.ID)
}
