package demo

import (
	"context"
	"fmt"
	"io"
	"strings"

	"tocsin.dev/services/desk/api/client"
)

// Story is one case being played. Its acts may be taken one by one, so that a
// test can stop anywhere and do something else.
type Story struct{ player }

// Story begins a case of an organisation; progress receives what happens.
func (in *Installation) Story(org string, progress io.Writer) *Story {
	return &Story{player{in: in, org: org, out: progress, began: in.Now()}}
}

// acts are the acts of a story in order.
func (p *player) acts() []act {
	return []act{
		{"alert", "a SIEM posts an alert", p.postAlert},
		{"declare", "an analyst declares the case", p.declare},
		{"duties", "the duties open", p.awaitDuties},
		{"seal", "the exposure is stated and the list sealed", p.seal},
		{"draft", "the facts sheet and the texts are written", p.draft},
		{"approve", "the risk is assessed and a second person approves", p.approve},
		{"order", "the data protection officer orders the sending", p.order},
		{"await", "messages leave and receipts come in", p.await},
	}
}

type act struct {
	name, say string
	do        func(context.Context) error
}

// UpTo plays the acts up to and including the named one: "alert", "declare",
// "duties", "seal", "draft", "approve", "order" or "await".
func (s *Story) UpTo(ctx context.Context, last string) error {
	for _, a := range s.acts() {
		if err := a.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", a.say, err)
		}
		if a.name == last {
			return nil
		}
	}
	return fmt.Errorf("there is no act %q", last)
}

// PostAlert posts the alert and waits until it is in the queue.
func (s *Story) PostAlert(ctx context.Context) error { return s.postAlert(ctx) }

// Declare declares the case from the alert.
func (s *Story) Declare(ctx context.Context) error { return s.declare(ctx) }

// Approve approves as legal; the words, list and facts are those of now.
func (s *Story) Approve(ctx context.Context) error { return s.approve(ctx) }

// Order orders the sending as the data protection officer.
func (s *Story) Order(ctx context.Context) error { return s.order(ctx) }

// Await waits for the last receipt.
func (s *Story) Await(ctx context.Context) error { return s.await(ctx) }

// Report says what the case came to.
func (s *Story) Report(ctx context.Context) (Report, error) { return s.report(ctx) }

// Number is the number of the case, once declared.
func (s *Story) Number() string { return s.number }

// Ordered is the id of the order, once placed.
func (s *Story) Ordered() string { return s.ordered }

// Case is the case as it stands.
func (s *Story) Case(ctx context.Context) (*client.Case, error) { return s.caseNow(ctx) }

// TryApprove approves in a role and returns the HTTP status of the answer.
func (s *Story) TryApprove(ctx context.Context, role string) int {
	list, err := s.as(role).ListApprovalsWithResponse(ctx, s.number)
	if err != nil || list.JSON200 == nil {
		return 0
	}
	what := list.JSON200.Proposal
	res, err := s.as(role).ApproveWordingWithResponse(ctx, s.number, &client.ApproveWordingParams{}, client.ApprovalRequest{
		Revision: what.Revision, ScopeDigest: what.ScopeDigest, Texts: what.Texts, Channels: what.Channels, SheetDigest: what.SheetDigest})
	if err != nil {
		return 0
	}
	return res.StatusCode()
}

// report reads the case, its tally and its messages.
func (p *player) report(ctx context.Context) (Report, error) {
	c, err := p.caseNow(ctx)
	if err != nil {
		return Report{}, err
	}
	var t client.Tally
	err = p.until(ctx, "the tally of order "+p.ordered, func() (ok bool, err error) { // the sender may be starting
		t, ok, err = p.tally(ctx)
		return ok, err
	})
	if err != nil {
		return Report{}, err
	}
	r := Report{
		Organisation: p.org, Case: p.number, People: t.People, InDoubt: t.InDoubt, Unreachable: t.Unreachable, Excluded: t.Excluded,
		Seconds: p.in.Now().Sub(p.began).Seconds(),
	}
	for _, states := range t.States {
		for state, n := range states {
			r.count(state, n)
		}
	}
	r.Accounted = t.Pending == 0 && t.People > 0 && t.People == t.Told+t.InDoubt+t.Unreachable+t.Excluded
	for _, d := range c.Duties {
		r.Duties = append(r.Duties, duty(d))
	}
	return r, p.timeline(ctx, &r)
}

// count adds messages in a state to what the report shows.
func (r *Report) count(state string, n int64) {
	r.Messages += n
	switch state {
	case "accepted", "deferred", "silent":
		r.Accepted += n
	case "delivered":
		r.Accepted, r.Delivered = r.Accepted+n, r.Delivered+n
	case "failed", "bounced":
		r.Accepted, r.Bounced = r.Accepted+n, r.Bounced+n
	}
}

func duty(d client.CaseDuty) Duty {
	out := Duty{Rule: d.Duty.Rule, Citation: d.Duty.Citation, To: d.Duty.To, Standard: d.Duty.Standard, State: string(d.State), Due: d.Duty.Due, Derivation: d.Duty.Derivation}
	return out
}

func (p *player) timeline(ctx context.Context, r *Report) error {
	for after := uint64(0); ; {
		res, err := p.as("analyst").ListEventsWithResponse(ctx, p.number, &client.ListEventsParams{After: new(int64(after))})
		if err := answered(res, err, func() bool { return res.JSON200 != nil }); err != nil {
			return err
		}
		for _, e := range res.JSON200.Events {
			r.Timeline = append(r.Timeline, Step{At: e.At, Type: e.Type, Actor: e.Actor.ID})
		}
		if after = res.JSON200.Next; after == 0 {
			return nil
		}
	}
}

// String is the report for people.
func (r Report) String() string {
	var out strings.Builder
	fmt.Fprintf(&out, "\nCase %s of %s, %.1f seconds\n", r.Case, r.Organisation, r.Seconds)
	fmt.Fprintf(&out, "  %d people, %d messages: %d accepted, %d delivered, %d bounced\n", r.People, r.Messages, r.Accepted, r.Delivered, r.Bounced)
	fmt.Fprintf(&out, "  %d in doubt, %d unreachable, %d excluded\n", r.InDoubt, r.Unreachable, r.Excluded)
	for _, d := range r.Duties {
		due := d.Standard
		if d.Due != nil {
			due = "due " + d.Due.UTC().Format("2 January 2006, 15:04 UTC")
		}
		fmt.Fprintf(&out, "  %s: %s (%s), %s\n", d.State, d.To, d.Citation, due)
	}
	return out.String()
}
