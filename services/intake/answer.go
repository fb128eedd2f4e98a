package intake

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/event"
)

// rawShown is how much of a body goes into one answer: NATS carries 1 MiB, and
// JSON makes four bytes of three.
const rawShown = 512 << 10

// answer answers event.AskAlerts.
func (s *Service) answer(ctx context.Context, q event.AlertsQuestion) (event.AlertsAnswer, error) {
	if !event.ValidToken(q.Org) {
		return event.AlertsAnswer{}, bus.Refuse("invalid", "org is missing")
	}
	switch {
	case q.List != nil:
		return s.list(ctx, q.Org, *q.List)
	case q.Get != "":
		return s.show(ctx, q.Org, q.Get)
	case q.Dismiss != nil:
		return s.dismiss(ctx, q.Org, *q.Dismiss)
	case q.Reopen != "":
		return s.reopen(ctx, q.Org, q.Reopen)
	case q.Sources:
		return s.beats(ctx, q.Org)
	}
	return event.AlertsAnswer{}, bus.Refuse("invalid", "ask for one of list, get, dismiss, reopen and sources")
}

func (s *Service) list(ctx context.Context, org string, q event.AlertsList) (event.AlertsAnswer, error) {
	switch {
	case q.State != "" && q.State != event.AlertNew && q.State != event.AlertInCase && q.State != event.AlertDismissed:
		return event.AlertsAnswer{}, bus.Refuse("invalid", "state is new, linked or dismissed")
	case q.Order != "" && q.Order != "received" && q.Order != "severity":
		return event.AlertsAnswer{}, bus.Refuse("invalid", "order is received or severity")
	case len(q.Text) > 200:
		return event.AlertsAnswer{}, bus.Refuse("invalid", "text is longer than 200 bytes")
	}
	alerts, next, err := s.store.list(ctx, org, q)
	if errors.Is(err, errBadCursor) {
		return event.AlertsAnswer{}, bus.Refuse("invalid", "%v", err)
	}
	if err != nil {
		return event.AlertsAnswer{}, err
	}
	counts, err := s.store.counts(ctx, org)
	return event.AlertsAnswer{Alerts: alerts, Next: next, Counts: counts}, err
}

func notFound(id string) error { return bus.Refuse("not_found", "there is no alert %s", id) }

func (s *Service) show(ctx context.Context, org, id string) (event.AlertsAnswer, error) {
	r, err := find(ctx, s.store.db, org, id)
	if errors.Is(err, errUnknownAlert) {
		return event.AlertsAnswer{}, notFound(id)
	}
	if err != nil {
		return event.AlertsAnswer{}, err
	}
	d := event.AlertDetail{Alert: r.Alert, Mapping: r.mapping, MappingVersion: r.version, Problems: r.problems,
		RawType: r.rawType, RawSHA256: r.rawSHA256, RawDocument: r.document}
	switch r.State {
	case event.AlertDismissed:
		d.Dismissal = &event.AlertDismissal{Alert: r.ID, By: r.decidedBy, Reason: r.reason}
		fallthrough
	case event.AlertInCase:
		at := time.Unix(0, r.decidedAt).UTC()
		d.DecidedAt = &at
	}
	d.Raw, d.RawProblem = s.shownBody(ctx, r)
	if d.Related, err = s.store.related(ctx, org, r, s.cfg.CorrelationWindow); err != nil {
		return event.AlertsAnswer{}, err
	}
	return event.AlertsAnswer{Alert: &d}, nil
}

// shownBody reads the raw body; that it cannot be read must not hide the facts.
func (s *Service) shownBody(ctx context.Context, r row) (body []byte, problem string) {
	body, err := s.raw.body(ctx, r.rawSeq, r.rawObject, r.rawSHA256)
	switch {
	case errors.Is(err, errBodyGone):
		return nil, "The body is no longer kept; only its digest and the facts read from it are."
	case err != nil:
		s.log.ErrorContext(ctx, "read a raw body", "alert", r.ID, "error", err)
		return nil, "The body could not be read just now."
	case len(body) > rawShown:
		return body[:rawShown], fmt.Sprintf("The body has %d bytes; the first %d are shown.", len(body), rawShown)
	}
	return body, ""
}

func (s *Service) dismiss(ctx context.Context, org string, d event.AlertDismissal) (event.AlertsAnswer, error) {
	reason := strings.TrimSpace(d.Reason)
	switch {
	case d.By == "":
		return event.AlertsAnswer{}, bus.Refuse("invalid", "who dismisses the alert?")
	case reason == "":
		return event.AlertsAnswer{}, bus.Refuse("invalid", "give the reason why the alert needs no case")
	case len(reason) > 2000:
		return event.AlertsAnswer{}, bus.Refuse("invalid", "the reason is longer than 2,000 bytes")
	}
	return s.decide(ctx, org, d.Alert, event.AlertNew, event.AlertDismissed, d.By, reason)
}

func (s *Service) reopen(ctx context.Context, org, id string) (event.AlertsAnswer, error) {
	return s.decide(ctx, org, id, event.AlertDismissed, event.AlertNew, "", "")
}

func (s *Service) decide(ctx context.Context, org, id string, from, to event.AlertState, by, reason string) (event.AlertsAnswer, error) {
	ok, err := s.store.decide(ctx, org, id, from, to, by, reason, s.cfg.Now())
	switch {
	case errors.Is(err, errUnknownAlert):
		return event.AlertsAnswer{}, notFound(id)
	case err != nil:
		return event.AlertsAnswer{}, err
	case !ok:
		return event.AlertsAnswer{}, bus.Refuse("conflict", "the alert is not %s any more; look at it again", from)
	}
	return s.show(ctx, org, id)
}

func (s *Service) beats(ctx context.Context, org string) (event.AlertsAnswer, error) {
	beats, err := s.store.heartbeats(ctx)
	if err != nil {
		return event.AlertsAnswer{}, err
	}
	var out []event.AlertSource
	for _, src := range s.sources {
		if src.Org != org {
			continue
		}
		a := event.AlertSource{ID: src.ID, Scheme: src.Scheme, Mapping: src.Mapping, SilentAfterHours: src.SilentAfterHours}
		since := s.started
		if b, ok := beats[src.ID]; ok {
			a.Received, a.LastAt, since = b.count, &b.last, b.last
		}
		a.Silent = src.SilentAfterHours > 0 && s.cfg.Now().Sub(since) > time.Duration(src.SilentAfterHours)*time.Hour
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b event.AlertSource) int { return strings.Compare(a.ID, b.ID) })
	return event.AlertsAnswer{Sources: out}, nil
}
