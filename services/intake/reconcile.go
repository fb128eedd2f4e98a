package intake

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/reconcile"
)

// lookAgain is when a case is looked at again that names an alert which is not
// there yet: it may still wait to be read.
const lookAgain = 20 * time.Second

// unlinked returns the alerts that people put into the case and intake has not
// confirmed, each once.
func unlinked(c *casefile.Case) []string {
	var ids []string
	seen := map[string]bool{}
	for _, id := range c.AcceptedAlerts {
		if _, linked := c.Linked[id]; !linked && !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	return ids
}

// decideCase links the alerts of a case: it marks the row, keeps the raw body for
// good, and says alert.linked. Marking and keeping may happen any number of
// times. An alert of another organisation does not exist here.
func (s *Service) decideCase(ctx context.Context, c *casefile.Case, now time.Time) (reconcile.Decision, error) {
	var d reconcile.Decision
	if c.Declared == nil {
		return d, nil
	}
	for _, id := range unlinked(c) {
		r, err := s.store.link(ctx, c.Org, id, c.Number, now)
		if errors.Is(err, errUnknownAlert) {
			if c.Status == casefile.StatusOpen {
				d.Wake = now.Add(lookAgain)
			}
			continue
		}
		if err != nil {
			return reconcile.Decision{}, fmt.Errorf("link alert %s: %w", id, err)
		}
		if err := s.keepForGood(ctx, r); err != nil {
			return reconcile.Decision{}, err
		}
		d.Events = append(d.Events, linked(id, r))
	}
	return d, nil
}

// linked is what intake says of an alert in a case.
func linked(id string, r row) event.AlertLinked {
	product := r.ProductName
	if product == "" {
		product = r.Product
	}
	return event.AlertLinked{Alert: id, Source: r.Source, Product: product, Title: r.Title, Severity: r.SeverityID,
		OccurredAt: r.OccurredAt, DetectedAt: r.DetectedAt, ReceivedAt: r.ReceivedAt, RawSHA256: r.rawSHA256}
}

// keepForGood copies the body of an alert into the object store, which forgets nothing.
func (s *Service) keepForGood(ctx context.Context, r row) error {
	if r.rawObject != "" {
		return nil
	}
	body, err := s.raw.body(ctx, r.rawSeq, "", r.rawSHA256)
	if errors.Is(err, errBodyGone) {
		s.log.WarnContext(ctx, "the body of an alert in a case is no longer kept", "alert", r.ID, "case", r.Case)
		return nil
	}
	if err != nil {
		return fmt.Errorf("keep the body of alert %s: %w", r.ID, err)
	}
	if err := s.raw.putObject(ctx, r.delivery, body); err != nil {
		return err
	}
	return s.store.keptAt(ctx, r.delivery, r.delivery)
}
