package desk

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/services/desk/api"
)

// maySettle may decide about messages in doubt.
var maySettle = []Role{DPO, Legal}

// askSender puts a question about a case of the person's organisation to the sender.
func askSender[Q, A any](ctx context.Context, s *Service, who User, number, subject string, q Q) (A, error) {
	var none A
	if _, err := mayAct(who, mayRead); err != nil {
		return none, err
	}
	if _, err := s.load(ctx, who.Org, number); err != nil {
		return none, err
	}
	a, err := bus.Ask[Q, A](ctx, s.cfg.Bus, subject, q)
	if err != nil {
		return none, asked("sending", err)
	}
	return a, nil
}

// Forecast asks the sender whether a sending ends before the deadline.
func (s *Service) Forecast(ctx context.Context, who User, number string, channels []string) (event.ForecastAnswer, error) {
	return askSender[event.ForecastQuestion, event.ForecastAnswer](ctx, s, who, number, event.AskForecast,
		event.ForecastQuestion{Org: who.Org, Case: number, Channels: channels})
}

// Report asks the sender for the outcome by channel, place and reason.
func (s *Service) Report(ctx context.Context, who User, number string) (event.ReportAnswer, error) {
	return askSender[event.ReportQuestion, event.ReportAnswer](ctx, s, who, number, event.AskReport,
		event.ReportQuestion{Org: who.Org, Case: number})
}

// Doubts asks the sender for the requests of which it is not known whether they were accepted.
func (s *Service) Doubts(ctx context.Context, who User, number string) (event.DoubtsAnswer, error) {
	return askSender[event.DoubtsQuestion, event.DoubtsAnswer](ctx, s, who, number, event.AskDoubts,
		event.DoubtsQuestion{Org: who.Org, Case: number, Limit: 200})
}

// Settle is a person's decision about requests in doubt: "resend", "accept" or
// "drop". It enters the journal first and then goes to the sender, so that a
// repeated decision is harmless. It returns how many people it settled.
func (s *Service) Settle(ctx context.Context, who User, on On, order string, attempts []int64, decision, reason string) (int64, error) {
	actor, err := mayAct(who, maySettle)
	if err != nil {
		return 0, err
	}
	bad := &Invalid{}
	reason = strings.TrimSpace(reason)
	if len(attempts) == 0 || len(attempts) > 200 {
		bad.add("attempts", "Choose 1 to 200 requests")
	}
	if !slices.Contains([]string{"resend", "accept", "drop"}, decision) {
		bad.add("decision", "Choose resend, accept or drop")
	}
	checkLength(bad, "reason", reason, 3, maxLine, "Say why; the record must stand up later")
	if err := bad.or(); err != nil {
		return 0, err
	}
	said := event.DoubtDecided{Order: order, Decision: decision, Reason: reason}
	for _, a := range attempts {
		said.Notices = append(said.Notices, strconv.FormatInt(a, 10))
	}
	_, err = s.perform(ctx, act{who: who, on: on, roles: maySettle, decide: func(c *casefile.Case, _ event.Actor, _ time.Time) ([]event.Body, error) {
		if said.Order == "" && len(c.Orders) > 0 {
			said.Order = c.Orders[len(c.Orders)-1].Order
		}
		if c.Order(said.Order) == nil {
			return nil, fmt.Errorf("order %q of case %s: %w", said.Order, c.Number, ErrNotFound)
		}
		return []event.Body{said}, nil
	}})
	if err != nil {
		return 0, err
	}
	a, err := askSender[event.SettleQuestion, event.SettleAnswer](ctx, s, who, on.Case, event.AskSettle,
		event.SettleQuestion{Org: who.Org, Case: on.Case, Asker: actor, Attempts: attempts, Decision: decision, Reason: reason})
	return a.People, err
}

func (a *apiServer) GetForecast(ctx context.Context, r api.GetForecastRequestObject) (api.GetForecastResponseObject, error) {
	f, err := a.s.Forecast(ctx, who(ctx), r.Number, nil)
	if err != nil {
		return nil, err
	}
	f.Channels = append([]event.ForecastChannel{}, f.Channels...)
	return api.GetForecast200JSONResponse(f), nil
}

func (a *apiServer) GetReport(ctx context.Context, r api.GetReportRequestObject) (api.GetReportResponseObject, error) {
	report, err := a.s.Report(ctx, who(ctx), r.Number)
	if err != nil {
		return nil, err
	}
	report.Lines = append([]event.ReportLine{}, report.Lines...)
	return api.GetReport200JSONResponse(report), nil
}

func (a *apiServer) ListDoubts(ctx context.Context, r api.ListDoubtsRequestObject) (api.ListDoubtsResponseObject, error) {
	d, err := a.s.Doubts(ctx, who(ctx), r.Number)
	if err != nil {
		return nil, err
	}
	d.Doubts = append([]event.Doubt{}, d.Doubts...)
	return api.ListDoubts200JSONResponse(d), nil
}

func (a *apiServer) SettleDoubts(ctx context.Context, r api.SettleDoubtsRequestObject) (api.SettleDoubtsResponseObject, error) {
	n, err := a.s.Settle(ctx, who(ctx), On{Case: r.Number, Key: r.Params.IdempotencyKey}, r.Body.Order, r.Body.Attempts, string(r.Body.Decision), r.Body.Reason)
	if err != nil {
		return nil, err
	}
	return api.SettleDoubts200JSONResponse{People: n}, nil
}
