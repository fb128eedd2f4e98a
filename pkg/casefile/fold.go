package casefile

import "tocsin.dev/pkg/event"

// Fold returns the state of a case after the entries, which must be in journal
// order and of one case. It never fails: an entry that cannot be decoded is
// kept in Unknown and changes nothing else.
func Fold(entries []Entry) Case {
	c := New()
	for _, e := range entries {
		c.Apply(e)
	}
	return c
}

// New returns the case before its first event.
func New() Case {
	return Case{
		Facts: map[string]Fact{}, Linked: map[string]event.AlertLinked{}, Refused: map[string]string{},
		Duties: map[string]*Duty{}, Texts: map[event.TextKey]*Text{}, Writers: map[string]bool{},
	}
}

// Apply folds one more entry into the case. An entry at or before Seq is
// ignored, so applying twice changes nothing.
func (c *Case) Apply(e Entry) {
	if e.Seq <= c.Seq && c.Seq != 0 {
		return
	}
	if c.OpenedAt.IsZero() {
		c.Org, c.Number, c.OpenedAt = e.Org, e.Case, e.At
	}
	c.Seq, c.ChangedAt = e.Seq, e.At
	body, err := event.Decode(e.Event)
	if err != nil {
		c.Unknown = append(c.Unknown, e)
		return
	}
	if !c.applyPeople(e, body) && !c.applyDuty(e, body) {
		c.applyDispatch(e, body)
	}
}

func (c *Case) applyPeople(e Entry, body event.Body) bool {
	switch b := body.(type) {
	case *event.CaseDeclared:
		if c.Declared != nil {
			return true // a case is declared once
		}
		c.Declared, c.DeclaredBy, c.Status = b, e.Actor, StatusOpen
		c.AcceptedAlerts = append(c.AcceptedAlerts, b.Alerts...)
	case *event.FactStated:
		f := Fact{FactStated: *b, Seq: e.Seq, EventID: e.ID, StatedBy: e.Actor, StatedAt: e.At}
		c.Facts[b.Key] = f
		c.FactHistory = append(c.FactHistory, f)
	case *event.AlertAccepted:
		c.AcceptedAlerts = append(c.AcceptedAlerts, b.Alert)
	case *event.AlertLinked:
		c.Linked[b.Alert] = *b
	case *event.RiskAssessed:
		c.Risk, c.RiskBy, c.RiskAt = b, e.Actor, e.At
	case *event.CaseClosed:
		c.Closed, c.Status = b, StatusClosed
	case *event.ExposureStated:
		c.Exposure = &Statement{ExposureStated: *b, EventID: e.ID, StatedBy: e.Actor, StatedAt: e.At}
	case *event.ScopeSealed:
		c.Sealed = append(c.Sealed, Sealed{ScopeSealed: *b, SealedAt: e.At})
	case *event.ScopeRefused:
		c.Refused[b.Statement] = b.Reason
	case *event.WordingDrafted:
		c.Texts[b.TextKey] = &Text{WordingDrafted: *b, Writer: e.Actor.ID, WrittenAt: e.At}
		c.Writers[e.Actor.ID] = true
	case *event.WordingRejected:
		if t := c.Texts[b.TextKey]; t != nil && t.Digest == b.Digest {
			t.Rejected = b.Reason
		}
	case *event.WordingCommented:
		c.Comments = append(c.Comments, Comment{WordingCommented: *b, By: e.Actor, At: e.At})
	case *event.WordingTested:
		c.Tests = append(c.Tests, Test{WordingTested: *b, At: e.At})
	case *event.CheckOverridden:
		c.Overrides = append(c.Overrides, Override{CheckOverridden: *b, By: e.Actor, At: e.At})
	case *event.ApprovalRevoked:
		c.revoke(b)
	case *event.WordingApproved:
		c.Approvals = append(c.Approvals, Approved{WordingApproved: *b, Seq: e.Seq, ApprovedBy: e.Actor})
	default:
		return false
	}
	return true
}

// revoke takes back the approvals that stand so far; a later one is not meant.
func (c *Case) revoke(b *event.ApprovalRevoked) {
	for i := range c.Approvals {
		a := &c.Approvals[i]
		if a.Revoked == "" && (a.Approval.ID == b.Approval || (b.Approver != "" && a.Approval.Approver == b.Approver)) {
			a.Revoked = b.Reason
		}
	}
}

func (c *Case) applyDuty(e Entry, body event.Body) bool {
	switch b := body.(type) {
	case *event.DutyOpened:
		c.openDuty(e, b.Duty)
	case *event.DutyChanged:
		c.changeDuty(b)
	case *event.DutyDropped:
		if d := c.Duties[b.Duty]; d != nil {
			d.State, d.Why = DutyDropped, b.Why
		}
	case *event.DutyDueSoon:
		if d := c.Duties[b.Duty]; d != nil && (d.Reminded == 0 || b.HoursLeft < d.Reminded) {
			d.Reminded = b.HoursLeft
			d.Unanswered++
		}
	case *event.DutyMissed:
		if d := c.Duties[b.Duty]; d != nil {
			due := b.Due
			d.MissedDue = &due
			if d.State == DutyOpen {
				d.State = DutyMissed
			}
		}
	case *event.DutyMet:
		if d := c.Duties[b.Duty]; d != nil {
			d.State, d.Met = DutyMet, b
		}
	case *event.DutyAcknowledged:
		if d := c.Duties[b.Duty]; d != nil {
			d.AcknowledgedAt, d.Unanswered = e.At, 0
		}
	case *event.DutyWaived:
		if d := c.Duties[b.Duty]; d != nil {
			d.State, d.Waived = DutyWaived, b
		}
	default:
		return false
	}
	return true
}

// openDuty opens a duty, or opens a dropped one again with its history.
func (c *Case) openDuty(e Entry, duty event.Duty) {
	d := c.Duties[duty.ID]
	if d == nil {
		c.Duties[duty.ID] = &Duty{Duty: duty, State: DutyOpen, OpenedAt: e.At}
		return
	}
	d.Duty = duty
	if d.State == DutyDropped {
		d.State, d.Why, d.Reminded, d.Unanswered, d.MissedDue = DutyOpen, "", 0, 0, nil
	}
}

// changeDuty moves a duty. Reminders and a miss belong to the due instant they
// were said for, so a moved instant starts anew.
func (c *Case) changeDuty(b *event.DutyChanged) {
	d := c.Duties[b.Duty.ID]
	if d == nil {
		return
	}
	moved := (d.Due == nil) != (b.Duty.Due == nil) || (d.Due != nil && !d.Due.Equal(*b.Duty.Due))
	d.Duty = b.Duty
	d.Changes = append(d.Changes, *b)
	if moved {
		d.Reminded, d.Unanswered, d.MissedDue = 0, 0, nil
		if d.State == DutyMissed {
			d.State = DutyOpen
		}
	}
}

func (c *Case) applyDispatch(e Entry, body event.Body) {
	switch b := body.(type) {
	case *event.DispatchOrdered:
		if c.Order(b.Order) == nil {
			c.Orders = append(c.Orders, &Order{DispatchOrdered: *b, OrderedBy: e.Actor, OrderedAt: e.At, State: OrderPlaced})
		}
	case *event.DispatchPaused:
		c.withOrder(b.Order, func(o *Order) {
			if !o.Ended() {
				o.State, o.PausedBy = OrderPaused, e.Actor.ID
			}
		})
	case *event.DispatchResumed:
		c.withOrder(b.Order, func(o *Order) { o.resume() })
	case *event.DispatchStopped:
		c.withOrder(b.Order, func(o *Order) {
			if !o.Ended() {
				o.State, o.Stopped, o.EndedAt = OrderStopped, true, e.At
			}
		})
	case *event.DispatchPlanned:
		c.withOrder(b.Order, func(o *Order) {
			o.Planned = b
			if o.State == OrderPlaced {
				o.State = OrderPlanned
			}
		})
	case *event.DispatchProgressed:
		c.withOrder(b.Order, func(o *Order) { t := b.Tally; o.Tally, o.QuietOverridden = &t, b.QuietOverridden })
	case *event.DispatchCompleted:
		c.withOrder(b.Order, func(o *Order) {
			t := b.Tally
			o.Tally, o.QuietOverridden, o.EndedAt = &t, b.QuietOverridden, e.At
			if !o.Stopped {
				o.State = OrderCompleted
			}
		})
	case *event.DoubtDecided:
		c.withOrder(b.Order, func(o *Order) {
			o.Doubts = append(o.Doubts, Doubt{DoubtDecided: *b, ID: e.ID, By: e.Actor, At: e.At})
		})
	case *event.DispatchBlocked:
		c.withOrder(b.Order, func(o *Order) { o.Blocked = b })
	case *event.ApprovalRefused:
		c.withOrder(b.Order, func(o *Order) {
			o.Refused = b
			if !o.Ended() {
				o.State, o.EndedAt = OrderRefused, e.At
			}
		})
	}
}

func (c *Case) withOrder(id string, f func(*Order)) {
	if o := c.Order(id); o != nil {
		f(o)
	}
}

// Ended reports whether nothing more will be sent for the order.
func (o *Order) Ended() bool {
	return o.State == OrderStopped || o.State == OrderRefused || o.State == OrderCompleted
}

func (o *Order) resume() {
	o.Blocked = nil // a person has looked, whether the order was paused or blocked
	if o.State != OrderPaused {
		return
	}
	o.State, o.PausedBy = OrderPlaced, ""
	if o.Planned != nil {
		o.State = OrderPlanned
	}
}
