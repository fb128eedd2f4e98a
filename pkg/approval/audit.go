package approval

import (
	"fmt"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/seal"
)

// Report is what an auditor finds in the journal of a case.
type Report struct {
	Org  string `json:"org"`
	Case string `json:"case"`
	// Holds is whether everything that was carried out was approved, and nothing
	// in the record was forged. Why lists what stands against it.
	Holds     bool       `json:"holds"`
	Why       []string   `json:"why,omitempty"`
	Approvals []Approved `json:"approvals"`
	Orders    []Ordered  `json:"orders"`
}

// Approved is one approval of the record.
type Approved struct {
	Approval event.Approval `json:"approval"`
	Key      string         `json:"key"`
	Digest   string         `json:"digest"`
	// Signed is whether the signature fits, by a key that was trusted when it was given.
	Signed bool `json:"signed"`
	// Standing is whether it covers the case as the record ends, at the instant of the audit.
	Standing bool     `json:"standing"`
	Refusal  *Refusal `json:"refusal,omitempty"`
}

// Ordered is one dispatch order of the record.
type Ordered struct {
	Order     string    `json:"order"`
	Approval  string    `json:"approval"`
	OrderedBy string    `json:"ordered_by"`
	OrderedAt time.Time `json:"ordered_at"`
	// CarriedOut is whether the sender took it up.
	CarriedOut bool `json:"carried_out"`
	// Covered is whether the approval held when it was ordered.
	Covered bool     `json:"covered"`
	Refusal *Refusal `json:"refusal,omitempty"`
}

// Audit verifies the journal of a case with the public keys alone. Every order
// is held against the case as it was when it was placed; approvals against the
// case as the record ends, at the instant at.
func Audit(entries []casefile.Entry, keys *seal.Keyring, at time.Time) Report {
	c := casefile.New()
	r := Report{Approvals: []Approved{}, Orders: []Ordered{}}
	for _, e := range entries {
		c.Apply(e)
		r.enter(&c, e, keys)
	}
	r.Org, r.Case = c.Org, c.Number
	carried := false
	for i := range r.Orders {
		o := &r.Orders[i]
		known := c.Order(o.Order)
		o.CarriedOut = known != nil && known.Planned != nil
		carried = carried || o.CarriedOut
		if o.CarriedOut && !o.Covered {
			r.against("order %s was carried out without a valid approval: %s", o.Order, o.Refusal.Detail)
		}
	}
	for i := range c.Approvals {
		a := &c.Approvals[i]
		refusal := Stands(&c, a, keys, at)
		r.Approvals[i].Standing, r.Approvals[i].Refusal = refusal == nil, refusal
		if !r.Approvals[i].Signed {
			r.against("approval %s is not signed by a trusted key over what it says", a.Approval.ID)
		}
	}
	switch n := len(r.Approvals); {
	case carried:
	case n == 0:
		r.against("nothing has been approved")
	case !r.Approvals[n-1].Standing:
		r.against("approval %s does not stand: %s", r.Approvals[n-1].Approval.ID, r.Approvals[n-1].Refusal.Detail)
	}
	r.Holds = len(r.Why) == 0
	return r
}

func (r *Report) against(format string, args ...any) {
	r.Why = append(r.Why, fmt.Sprintf(format, args...))
}

// enter looks at an entry with the case as it was right after it.
func (r *Report) enter(c *casefile.Case, e casefile.Entry, keys *seal.Keyring) {
	body, err := event.Decode(e.Event)
	if err != nil {
		return
	}
	switch b := body.(type) {
	case *event.WordingApproved:
		digest, _ := seal.Digest(b.Approval) // Signed says what is wrong with it
		r.Approvals = append(r.Approvals, Approved{
			Approval: b.Approval, Key: b.Signature.Key, Digest: digest, Signed: Signed(b, keys, e.At) == nil,
		})
	case *event.DispatchOrdered:
		o := c.Order(b.Order)
		if o.OrderedAt != e.At || o.DispatchOrdered.Approval != b.Approval {
			return // an order is placed once
		}
		refusal := ForRecord(c, o, keys, e.At)
		r.Orders = append(r.Orders, Ordered{
			Order: b.Order, Approval: b.Approval, OrderedBy: e.Actor.ID, OrderedAt: e.At, Covered: refusal == nil, Refusal: refusal,
		})
	}
}
