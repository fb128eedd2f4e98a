package desk

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"tocsin.dev/pkg/approval"
	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/organisation"
)

var noticeKinds = []string{"first", "supplement", "correction"}

// Precondition is one thing that must hold before an order.
type Precondition struct {
	Name  string
	Holds bool
	// Text says in a sentence what holds, or what is missing.
	Text string
}

// DispatchCheck is everything that a person must know before ordering.
type DispatchCheck struct {
	Preconditions []Precondition
	Approval      *event.Approval
	// Approvers are the people whose yes stands, in order of approval.
	Approvers   []string
	Revision    int
	ScopeDigest string
	People      int64
	// Channels counts the people of the list who have an address for each approved channel.
	Channels    map[string]int64
	Unreachable int64
	// Canaries counts the organisation's canaries by channel.
	Canaries map[string]int
	// Public is whether the approved channels include the public notice; PublicOnly
	// whether they are nothing else, so that nobody is written to.
	Public, PublicOnly bool
	// Confirm is what must be typed: the case number and the number of people.
	Confirm string
}

// Ready reports whether all preconditions hold.
func (d DispatchCheck) Ready() bool {
	return !slices.ContainsFunc(d.Preconditions, func(p Precondition) bool { return !p.Holds })
}

// Missing joins what does not hold.
func (d DispatchCheck) Missing() string {
	var parts []string
	for _, p := range d.Preconditions {
		if !p.Holds {
			parts = append(parts, p.Text)
		}
	}
	return strings.Join(parts, " ")
}

// Substitute proposes a public notice for people who cannot be written to, with
// the numbers, or is empty if there are none or one is approved.
func (d DispatchCheck) Substitute() string {
	if d.Unreachable == 0 || d.Public {
		return ""
	}
	return fmt.Sprintf("%s of %s people have no usable address, such as those known by a device alone. "+
		"Consider telling the public: write a text for the audience public on the channel page, and have it approved with the others.",
		Number(d.Unreachable), Number(d.People))
}

// CheckDispatch says whether the person could order now, and what the order would do.
func (s *Service) CheckDispatch(ctx context.Context, who User, number string) (DispatchCheck, *casefile.Case, error) {
	c, err := s.load(ctx, who.Org, number)
	if err != nil {
		return DispatchCheck{}, nil, err
	}
	org, err := s.cfg.Organisations.Get(who.Org)
	if err != nil {
		return DispatchCheck{}, nil, err
	}
	return checkDispatch(org, who, c, "", s.cfg.Now(), s.userName), c, nil
}

// checkDispatch holds a case against what an order needs; name returns the display name of a user.
func checkDispatch(org *organisation.Organisation, who User, c *casefile.Case, approvalID string, now time.Time, name func(string) string) DispatchCheck {
	d := DispatchCheck{Channels: map[string]int64{}, Canaries: canaries(org)}
	must := func(name string, holds bool, yes, no string) {
		d.Preconditions = append(d.Preconditions, Precondition{name, holds, map[bool]string{true: yes, false: no}[holds]})
	}
	latest := c.Latest()
	sealed := latest != nil && (c.Exposure == nil || latest.Statement == c.Exposure.EventID)
	must("list_sealed", sealed, "The list of people is sealed.", "The list of people for the newest exposure is not sealed yet.")
	if latest != nil {
		d.Revision, d.ScopeDigest, d.People = latest.Revision, latest.Digest, latest.People
		d.Confirm = c.Number + " " + strconv.FormatInt(latest.People, 10)
		d.Unreachable = latest.Counts.Channels["none"]
	}
	must("people", latest != nil && latest.People > 0, "There are people on the list.", "There is nobody on the list.")
	d.Approval, d.Approvers = standing(c, approvalID, now)
	if d.Approval != nil && latest != nil {
		for _, ch := range d.Approval.Channels {
			d.Channels[ch] = latest.Counts.Channels[ch]
		}
		d.Public = slices.Contains(d.Approval.Channels, "page")
		d.PublicOnly = d.Public && len(d.Approval.Channels) == 1
	}
	policy := org.Approval
	if d.Approval != nil {
		policy = approval.PolicyFor(policy, c, d.Approval.Texts, d.Approval.Duties)
	}
	eyes := max(policy.Eyes, 1)
	names := make([]string, len(d.Approvers))
	for i, id := range d.Approvers {
		names[i] = name(id)
	}
	must("approved", len(d.Approvers) >= eyes,
		fmt.Sprintf("Wording, list and channels are approved by %s.", strings.Join(names, ", ")),
		fmt.Sprintf("%d of %d approvals of exactly these words, this list and these channels stand.", len(d.Approvers), eyes))
	if a := d.Approval; a != nil && !slices.Contains(policy.Roles, a.Role) {
		must("approver_role", false, "", fmt.Sprintf("The duties that are open now demand a yes by %s; the newest is by %s.", roleNames(rolesOf(policy)), a.Role))
	}
	if unread := unread(c, d.Approval, d.Approvers); policy.ReadersOnly {
		must("readers", unread == "", "Every text is approved by somebody who reads its language.", "Nobody who said yes reads the language of "+unread+".")
	}
	alone := len(d.Approvers) == 1 && d.Approvers[0] == who.ID && !org.Approval.OnePerson
	must("second_person", !alone, "The person who orders is not the only approver.", "You are the only approver; somebody else must order the sending.")
	_, may := who.as(mayOrder)
	must("role", may, "You may order a sending.", "Ordering needs the role "+roleNames(mayOrder)+".")
	running := slices.ContainsFunc(c.Orders, func(o *casefile.Order) bool { return !o.Ended() })
	must("none_running", !running, "No other sending is under way.", "Another sending of this case is under way.")
	must("open", c.Status == casefile.StatusOpen, "The case is open.", "The case is closed.")
	return d
}

// canaries counts an organisation's canaries by channel.
func canaries(org *organisation.Organisation) map[string]int {
	n := map[string]int{}
	for _, c := range org.Canaries {
		if c.Email != "" {
			n["email"]++
		}
		if c.Phone != "" {
			n["sms"]++
		}
	}
	return n
}

// standing returns the newest approval that covers the case as it is, and
// everybody whose yes to the very same thing stands.
func standing(c *casefile.Case, id string, now time.Time) (*event.Approval, []string) {
	var newest *event.Approval
	var people []string
	for i := len(c.Approvals) - 1; i >= 0; i-- {
		a := &c.Approvals[i].Approval
		if c.Stale(*a, now) != "" || now.Before(a.ValidFrom) || (newest == nil && id != "" && a.ID != id) {
			continue
		}
		if newest == nil {
			newest = a
		}
		if a.Kind == newest.Kind && slices.Equal(a.Channels, newest.Channels) && !slices.Contains(people, a.Approver) {
			people = append(people, a.Approver)
		}
	}
	slices.Reverse(people)
	return newest, people
}

// unread returns a text whose language nobody among the approvers reads, or "".
func unread(c *casefile.Case, newest *event.Approval, approvers []string) string {
	if newest == nil {
		return ""
	}
	var reads []string
	for _, a := range c.Approvals {
		if slices.Contains(approvers, a.Approval.Approver) && approval.SameContent(&a.Approval, newest) {
			reads = append(reads, a.Approval.Reads...)
		}
	}
	for _, t := range newest.Texts {
		if !(User{Reads: reads}).CanRead(t.Language) {
			return textName(t.TextKey)
		}
	}
	return ""
}

// Order is what a person orders.
type Order struct {
	// Kind is the kind of notice; empty means first.
	Kind string
	// Approval is the approval to rely on; empty means the newest that stands.
	Approval string
	// Confirm is what the person typed: the case number and the number of people.
	Confirm string
}

// OrderDispatch orders the sending. It cannot be recalled, only stopped.
func (s *Service) OrderDispatch(ctx context.Context, who User, on On, o Order) (*casefile.Order, error) {
	org, err := s.cfg.Organisations.Get(who.Org)
	if err != nil {
		return nil, err
	}
	id := event.NewID()
	if on.Key != "" {
		id = event.DerivedID(who.Org, on.Case, "order", who.ID, on.Key)
	}
	c, err := s.perform(ctx, act{
		who: who, on: on, roles: mayOrder,
		matters: func(e casefile.Entry) bool { return voidsApproval(e) || e.Type == event.TypeDispatchOrdered },
		decide: func(c *casefile.Case, _ event.Actor, now time.Time) ([]event.Body, error) {
			check := checkDispatch(org, who, c, o.Approval, now, s.userName)
			if !check.Ready() {
				return nil, refuse("not_ready", "%s", check.Missing())
			}
			kind := o.Kind
			if kind == "" {
				kind = check.Approval.Kind
			}
			if kind != check.Approval.Kind {
				return nil, invalid("kind", "The approval is for a notice of kind %s", check.Approval.Kind)
			}
			if !confirms(o.Confirm, check) {
				return nil, invalid("confirm", "Type the case number and the number of people: %s", check.Confirm)
			}
			begin := now.Add(s.cfg.Cooling)
			return []event.Body{event.DispatchOrdered{
				Order: id, Kind: kind, Approval: check.Approval.ID, Revision: check.Revision, ScopeDigest: check.ScopeDigest,
				Channels: check.Approval.Channels, Confirmed: check.Confirm, NotBefore: &begin,
			}}, nil
		},
	})
	if err != nil {
		return nil, err
	}
	if placed := c.Order(id); placed != nil {
		return placed, nil
	}
	return nil, fmt.Errorf("order %s is not in the journal of case %s", id, on.Case)
}

// confirms compares what was typed; commas, thin spaces and letter case in it do not matter.
func confirms(typed string, check DispatchCheck) bool {
	fields := strings.Fields(strings.ToLower(typed))
	if len(fields) < 2 {
		return false
	}
	count := strings.NewReplacer(",", "", ".", "", "'", "").Replace(strings.Join(fields[1:], ""))
	return fields[0]+" "+count == strings.ToLower(check.Confirm)
}

// PauseDispatch holds the sending.
func (s *Service) PauseDispatch(ctx context.Context, who User, on On, order, reason string) (*casefile.Case, error) {
	return s.steer(ctx, who, on, order, reason, mayStop, func(o *casefile.Order, reason string) event.Body {
		if o.State == casefile.OrderPaused {
			return nil
		}
		return event.DispatchPaused{Order: order, Reason: reason}
	})
}

// ResumeDispatch continues a paused sending.
func (s *Service) ResumeDispatch(ctx context.Context, who User, on On, order, reason string) (*casefile.Case, error) {
	return s.steer(ctx, who, on, order, reason, mayOrder, func(o *casefile.Order, reason string) event.Body {
		if o.State != casefile.OrderPaused && o.Blocked == nil {
			return nil
		}
		return event.DispatchResumed{Order: order, Reason: reason}
	})
}

// StopDispatch ends the sending for good.
func (s *Service) StopDispatch(ctx context.Context, who User, on On, order, reason string) (*casefile.Case, error) {
	return s.steer(ctx, who, on, order, reason, mayStop, func(o *casefile.Order, reason string) event.Body {
		return event.DispatchStopped{Order: order, Reason: reason}
	})
}

// steer says one more thing about an order that has not ended.
func (s *Service) steer(ctx context.Context, who User, on On, order, reason string, roles []Role, say func(*casefile.Order, string) event.Body) (*casefile.Case, error) {
	return s.perform(ctx, act{
		who: who, on: on, roles: roles,
		decide: func(c *casefile.Case, _ event.Actor, _ time.Time) ([]event.Body, error) {
			o := c.Order(order)
			if o == nil {
				return nil, fmt.Errorf("order %q of case %s: %w", order, c.Number, ErrNotFound)
			}
			if o.State == casefile.OrderStopped {
				return nil, nil
			}
			if o.Ended() {
				return nil, refuse("ended", "the sending has ended already: it is %s", o.State)
			}
			bad := &Invalid{}
			reason = strings.TrimSpace(reason)
			checkLength(bad, "reason", reason, 3, maxLine, "Say why")
			if err := bad.or(); err != nil {
				return nil, err
			}
			if body := say(o, reason); body != nil {
				return []event.Body{body}, nil
			}
			return nil, nil
		},
	})
}
