package desk

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/web"
)

// Alerts asks intake for alerts of the person's organisation, never of another.
func (s *Service) Alerts(ctx context.Context, who User, q event.AlertsQuestion) (event.AlertsAnswer, error) {
	if _, err := mayAct(who, mayRead); err != nil {
		return event.AlertsAnswer{}, err
	}
	q.Org = who.Org
	a, err := bus.Ask[event.AlertsQuestion, event.AlertsAnswer](ctx, s.cfg.Bus, event.AskAlerts, q)
	if err != nil {
		return a, asked("alerts", err)
	}
	return a, nil
}

// Alert asks intake for one alert.
func (s *Service) Alert(ctx context.Context, who User, id string) (*event.AlertDetail, error) {
	a, err := s.Alerts(ctx, who, event.AlertsQuestion{Get: id})
	if err != nil {
		return nil, err
	}
	if a.Alert == nil {
		return nil, fmt.Errorf("alert %q: %w", id, ErrNotFound)
	}
	return a.Alert, nil
}

// checkAlerts reports alerts that the organisation does not have.
func (s *Service) checkAlerts(ctx context.Context, who User, ids []string) error {
	for i, id := range ids {
		a, err := s.Alert(ctx, who, id)
		if errors.Is(err, ErrNotFound) {
			return invalid(fmt.Sprintf("alerts[%d]", i), "There is no alert %q", id)
		}
		if err != nil {
			return err
		}
		if a.State == event.AlertDismissed {
			return invalid(fmt.Sprintf("alerts[%d]", i), "The alert %q was dismissed", id)
		}
	}
	return nil
}

// DismissAlerts dismisses alerts with a reason. Nothing is deleted.
func (s *Service) DismissAlerts(ctx context.Context, who User, ids []string, reason string) error {
	if _, err := mayAct(who, mayDeclare); err != nil {
		return err
	}
	bad := &Invalid{}
	if len(ids) == 0 {
		bad.add("alerts", "Choose at least one alert")
	}
	if len(ids) > 500 {
		bad.add("alerts", "At most 500 alerts at once")
	}
	checkLength(bad, "reason", reason, 3, maxLine, "Say why; somebody may ask later")
	if err := bad.or(); err != nil {
		return err
	}
	for _, id := range ids {
		d := &event.AlertDismissal{Alert: id, By: who.ID, Reason: reason}
		if _, err := s.Alerts(ctx, who, event.AlertsQuestion{Dismiss: d}); err != nil {
			return err
		}
	}
	return nil
}

// Inventory asks scope for the systems and datasets of the organisation.
func (s *Service) Inventory(ctx context.Context, who User) (event.InventoryAnswer, error) {
	if _, err := mayAct(who, mayRead); err != nil {
		return event.InventoryAnswer{}, err
	}
	a, err := bus.Ask[event.InventoryQuestion, event.InventoryAnswer](ctx, s.cfg.Bus, event.AskInventory, event.InventoryQuestion{Org: who.Org})
	if err != nil {
		return a, asked("inventory", err)
	}
	return a, nil
}

// Preview asks scope how many people an exposure would reach. Nothing is kept.
// What belongs in the privileged part is left out for everybody else.
func (s *Service) Preview(ctx context.Context, who User, number string, x event.ExposureStated) (event.PreviewAnswer, error) {
	if _, err := mayAct(who, mayDeclare); err != nil {
		return event.PreviewAnswer{}, err
	}
	if _, err := s.load(ctx, who.Org, number); err != nil {
		return event.PreviewAnswer{}, err
	}
	x, err := checkExposure(x, s.cfg.Now())
	if err != nil {
		return event.PreviewAnswer{}, err
	}
	q := event.PreviewQuestion{Org: who.Org, Case: number, Exposures: x.Exposures}
	a, err := bus.Ask[event.PreviewQuestion, event.PreviewAnswer](ctx, s.cfg.Bus, event.AskPreview, q)
	if err != nil {
		return a, asked("preview", err)
	}
	if !who.Has(mayPrivileged...) {
		a.KeptTooLong = 0
	}
	return a, nil
}

// asked turns a refusal of another service into an error of the desk.
func asked(what string, err error) error {
	var no *bus.AskError
	switch {
	case errors.As(err, &no) && no.Code == "not_found":
		return fmt.Errorf("%s: %s: %w", what, no.Message, ErrNotFound)
	case errors.As(err, &no) && no.Code != "internal":
		return &Refused{Code: no.Code, Why: no.Message}
	case errors.Is(err, bus.ErrNobodyAnswers):
		return &web.Error{
			Status: http.StatusServiceUnavailable, Code: "unavailable", Err: err,
			Message: "The part of Tocsin that knows the " + what + " does not answer at the moment. Please try again.",
		}
	}
	return err
}
