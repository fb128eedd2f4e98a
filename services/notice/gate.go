package notice

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"tocsin.dev/pkg/approval"
	"tocsin.dev/pkg/casefile"
)

// verified loads the case as it is now and checks everything that must hold
// before words of this order leave: it is asked for every batch. It returns
// the content to send, or a refusal, or neither while the order is paused,
// stopped or still cooling.
func (s *Service) verified(ctx context.Context, p *plan) (*content, *Refusal, error) {
	c, err := s.cfg.Journal.Load(ctx, p.org, p.caseID)
	if err != nil {
		return nil, nil, err
	}
	o := c.Order(p.order)
	if o == nil {
		return nil, refuse(approval.NoApproval, "the journal holds no order %q", p.order), nil
	}
	k, refusal, err := s.check(c, o)
	if err != nil || refusal != nil {
		return nil, refusal, err
	}
	if o.Revision != p.revision {
		return nil, refuse(approval.ListChanged, "the plan is of revision %d", p.revision), nil
	}
	return k, nil, nil
}

// check verifies an order of a case and returns what may be said under it.
func (s *Service) check(c *casefile.Case, o *casefile.Order) (*content, *Refusal, error) {
	org, err := s.cfg.Organisations.Get(c.Org)
	if err != nil {
		return nil, nil, err
	}
	keys, err := s.keys.get()
	if err != nil {
		return nil, nil, err
	}
	if r := approval.ForOrder(c, o, org, keys, s.cfg.Now()); r != nil {
		return nil, r, nil
	}
	k, err := s.contents.get(c, o, org)
	if err != nil {
		// Approved words that do not compile or lack a common value can never be sent.
		return nil, refuse(approval.TextMissing, "%v", err), nil
	}
	return k, nil, nil
}

// waits reports whether an order must not send now although it is approved.
func (k *content) waits(s *Service) bool {
	o := k.order
	return o.State == casefile.OrderPaused || o.State == casefile.OrderStopped || o.NotBefore != nil && s.cfg.Now().Before(*o.NotBefore)
}

// alarm counts and logs that words were about to leave that nobody approved.
func (s *Service) alarm(ctx context.Context, org, caseID, order string, r *Refusal) {
	s.meters.refused.Add(ctx, 1, metric.WithAttributes(attribute.String("reason", r.Reason)))
	s.log.ErrorContext(ctx, "refused to send: the approval does not hold", "org", org, "case", caseID, "order", order, "reason", r.Reason, "detail", r.Detail)
}

// refusePlan ends a plan because its approval does not hold. The reconciler
// says so in the journal; nothing leaves from now on.
func (s *Service) refusePlan(ctx context.Context, p *plan, r *Refusal) error {
	s.alarm(ctx, p.org, p.caseID, p.order, r)
	if err := s.store.setPlan(ctx, p.id, planRefused, r.Reason, r.Detail); err != nil {
		return err
	}
	p.state = planRefused
	s.runner.Poke(p.org, p.caseID)
	return nil
}

// blockPlan holds a plan until a person has looked and resumes it.
func (s *Service) blockPlan(ctx context.Context, p *plan, reason, detail string) error {
	s.log.ErrorContext(ctx, "sending blocked", "org", p.org, "case", p.caseID, "order", p.order, "reason", reason, "detail", detail)
	if err := s.store.halt(ctx, p.id, haltBlocked, reason, detail); err != nil {
		return err
	}
	p.halt = haltBlocked
	s.runner.Poke(p.org, p.caseID)
	return nil
}

// blocked is an error that holds the plan: a person must look.
type blocked struct{ reason, detail string }

// Error implements error.
func (b *blocked) Error() string { return "blocked: " + b.reason + ": " + b.detail }

func block(reason, format string, args ...any) error {
	return &blocked{reason, fmt.Sprintf(format, args...)}
}
