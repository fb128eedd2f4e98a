package scope

import (
	"context"
	"errors"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/organisation"
	"tocsin.dev/pkg/reconcile"
	"tocsin.dev/services/scope/inventory"
)

// retryAfter is when a sealing that failed for a passing reason is tried again.
const retryAfter = 10 * time.Second

// Open returns the statement of the case that has no answer yet, or nil.
func Open(c *casefile.Case) *casefile.Statement {
	if c.Exposure == nil || c.Status != casefile.StatusOpen {
		return nil
	}
	if _, refused := c.Refused[c.Exposure.EventID]; refused {
		return nil
	}
	for i := range c.Sealed {
		if c.Sealed[i].Statement == c.Exposure.EventID {
			return nil
		}
	}
	return c.Exposure
}

// Answer is what the journal is to say about a sealed list: counts and a
// digest, and nothing of what belongs in the privileged part.
func Answer(sealed inventory.Sealed) event.ScopeSealed {
	return event.ScopeSealed{
		Revision: sealed.Revision, Statement: sealed.Statement, People: sealed.People, Counts: sealed.Preview.Counts, Digest: sealed.Digest,
		Controllers: sealed.Preview.Controllers,
	}
}

// decide answers the open statement from the store, or starts its job.
func (s *Service) decide(ctx context.Context, c *casefile.Case, now time.Time) (reconcile.Decision, error) {
	statement := Open(c)
	if statement == nil {
		return reconcile.Decision{}, nil
	}
	j := job{org: c.Org, caseID: c.Number, statement: statement.EventID, exposures: statement.Exposures}
	sealed, err := s.store.SealedFor(ctx, c.Org, c.Number, statement.EventID)
	switch {
	case err == nil:
		s.jobs.forget(j)
		return reconcile.Decision{Events: []event.Body{Answer(sealed)}}, nil
	case !errors.Is(err, inventory.ErrNotSealed):
		return reconcile.Decision{}, err
	}
	if _, err := s.cfg.Organisations.Get(c.Org); err != nil {
		return refuse(statement, err.Error()), nil
	}
	if reason := s.jobs.refusal(j); reason != "" {
		return refuse(statement, reason), nil
	}
	s.jobs.start(j)
	return reconcile.Decision{Wake: now.Add(retryAfter)}, nil
}

func refuse(statement *casefile.Statement, reason string) reconcile.Decision {
	return reconcile.Decision{Events: []event.Body{event.ScopeRefused{Statement: statement.EventID, Reason: reason}}}
}

// seal runs one job. A reason that no repetition changes is kept as a refusal.
func (s *Service) seal(ctx context.Context, j job) {
	org, err := s.cfg.Organisations.Get(j.org)
	if err != nil {
		return // decide refuses it
	}
	began := s.cfg.Now()
	sealed, err := s.store.Seal(ctx, j.org, j.caseID, j.statement, j.exposures, policyOf(org))
	switch {
	case err == nil:
		s.sealing.Record(ctx, s.cfg.Now().Sub(began).Seconds())
		s.cfg.Log.Info("list sealed", "org", j.org, "case", j.caseID, "revision", sealed.Revision, "people", sealed.People)
	case lasting(err):
		s.jobs.refuse(j, err.Error())
	case ctx.Err() != nil:
		return // the next start takes it up
	default:
		s.cfg.Log.Error("sealing failed; it is tried again", "org", j.org, "case", j.caseID, "statement", j.statement, "error", err)
		return
	}
	s.runner.Poke(j.org, j.caseID)
}

func policyOf(org *organisation.Organisation) inventory.Policy {
	return inventory.Policy{RetentionMonths: org.RetentionMonths}
}

// lasting reports whether trying again would give the same error.
func lasting(err error) bool {
	return errors.Is(err, inventory.ErrExposure) || errors.Is(err, inventory.ErrUnknownDataset) || errors.Is(err, inventory.ErrNoInventory)
}
