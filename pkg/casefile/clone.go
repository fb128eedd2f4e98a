package casefile

import (
	"maps"
	"slices"
)

// Clone returns a copy that shares nothing with c that Apply changes, so that
// one of the two can be folded on while others read the other.
func (c *Case) Clone() *Case {
	n := *c
	n.Facts = maps.Clone(c.Facts)
	n.FactHistory = slices.Clone(c.FactHistory)
	n.AcceptedAlerts = slices.Clone(c.AcceptedAlerts)
	n.Linked = maps.Clone(c.Linked)
	n.Sealed = slices.Clone(c.Sealed)
	n.Refused = maps.Clone(c.Refused)
	n.Duties = make(map[string]*Duty, len(c.Duties))
	for k, d := range c.Duties {
		copied := *d
		copied.Changes = slices.Clone(d.Changes)
		n.Duties[k] = &copied
	}
	n.Texts = maps.Clone(c.Texts)
	for k, t := range n.Texts {
		copied := *t
		n.Texts[k] = &copied
	}
	n.Writers = maps.Clone(c.Writers)
	n.Approvals = slices.Clone(c.Approvals)
	n.Comments = slices.Clone(c.Comments)
	n.Tests = slices.Clone(c.Tests)
	n.Overrides = slices.Clone(c.Overrides)
	n.Orders = make([]*Order, len(c.Orders))
	for i, o := range c.Orders {
		copied := *o
		copied.Doubts = slices.Clone(o.Doubts)
		n.Orders[i] = &copied
	}
	n.Unknown = slices.Clone(c.Unknown)
	return &n
}
