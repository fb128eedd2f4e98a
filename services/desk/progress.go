package desk

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/person"
	"tocsin.dev/services/desk/api"
)

// Progress is how an order stands: in the journal, and in the sender's ledger.
type Progress struct {
	event.OrderProgress
	// Standing is where the order stands in the journal.
	Standing casefile.OrderState
	// At is when it was counted.
	At time.Time
	// FinishFrom and FinishTo bound when it may end; zero means not known yet.
	FinishFrom, FinishTo time.Time
}

// steady is how long a sending must run before its end is estimated.
const steady = 30 * time.Second

// Progress asks the sender how an order stands; an empty order means the latest.
func (s *Service) Progress(ctx context.Context, who User, number, order string) (Progress, error) {
	if _, err := mayAct(who, mayRead); err != nil {
		return Progress{}, err
	}
	c, err := s.load(ctx, who.Org, number)
	if err != nil {
		return Progress{}, err
	}
	if order == "" && len(c.Orders) > 0 {
		order = c.Orders[len(c.Orders)-1].Order
	}
	o := c.Order(order)
	if o == nil {
		return Progress{}, fmt.Errorf("order %q of case %s: %w", order, number, ErrNotFound)
	}
	q := event.ProgressQuestion{Org: who.Org, Case: number, Order: order}
	a, err := bus.Ask[event.ProgressQuestion, event.ProgressAnswer](ctx, s.cfg.Bus, event.AskProgress, q)
	if err != nil {
		return Progress{}, asked("sending", err)
	}
	p := Progress{Standing: o.State, At: a.At, OrderProgress: event.OrderProgress{Order: order, Revision: o.Revision}}
	for _, found := range a.Orders {
		if found.Order == order {
			p.OrderProgress = found
		}
	}
	p.estimate(s.cfg.Now())
	return p, nil
}

// estimate bounds the end by the mean rate, a fifth either way.
func (p *Progress) estimate(now time.Time) {
	if p.FirstSentAt == nil || p.PerSecond <= 0 || p.Tally.Pending == 0 || now.Sub(*p.FirstSentAt) < steady {
		return
	}
	left := float64(p.Tally.Pending) / p.PerSecond
	p.FinishFrom = now.Add(time.Duration(math.Min(left*0.8, 1e8) * float64(time.Second)))
	p.FinishTo = now.Add(time.Duration(math.Min(left*1.2, 1e8) * float64(time.Second)))
}

func (a *apiServer) GetProgress(ctx context.Context, r api.GetProgressRequestObject) (api.GetProgressResponseObject, error) {
	p, err := a.s.Progress(ctx, who(ctx), r.Number, r.Params.Order)
	if err != nil {
		return nil, err
	}
	out := api.GetProgress200JSONResponse{
		Order: p.Order, State: string(p.Standing), Activity: p.State, Reason: p.Reason, Detail: p.Detail, Listed: p.Listed, People: p.People,
		Tally: p.Tally, At: p.At, PossibleDuplicates: p.PossibleDuplicates, FirstSentAt: instantOf(p.FirstSentAt), LastSentAt: instantOf(p.LastSentAt),
		PerSecond: p.PerSecond, FinishFrom: p.FinishFrom, FinishTo: p.FinishTo,
	}
	if p.Canaries != nil {
		out.Canaries = *p.Canaries
	}
	return out, nil
}

// MessageFilter picks messages of a case. Empty fields do not filter.
type MessageFilter struct {
	Person         person.Number
	Channel, State string
	// After is the cursor of the page before.
	After string
	Limit int
}

// Messages asks the sender for messages of a case, and the cursor of the next page.
func (s *Service) Messages(ctx context.Context, who User, number string, f MessageFilter) ([]event.MessageRow, string, error) {
	if _, err := mayAct(who, mayRead); err != nil {
		return nil, "", err
	}
	if _, err := s.load(ctx, who.Org, number); err != nil {
		return nil, "", err
	}
	q := event.MessagesQuestion{Org: who.Org, Case: number, Person: f.Person, State: f.State, Channel: f.Channel, Limit: f.Limit}
	if f.After != "" {
		after, err := strconv.ParseUint(f.After, 10, 32)
		if err != nil {
			return nil, "", invalid("cursor", "This is not the `next` of a page of messages")
		}
		q.After = person.Number(after)
	}
	a, err := bus.Ask[event.MessagesQuestion, event.MessagesAnswer](ctx, s.cfg.Bus, event.AskMessages, q)
	if err != nil {
		return nil, "", asked("messages", err)
	}
	next := ""
	if n := len(a.Messages); a.More && n > 0 {
		next = strconv.FormatUint(uint64(a.Messages[n-1].Person), 10)
	}
	return a.Messages, next, nil
}

func (a *apiServer) ListMessages(ctx context.Context, r api.ListMessagesRequestObject) (api.ListMessagesResponseObject, error) {
	p := r.Params
	if p.Person < 0 || p.Person > math.MaxUint32 {
		return nil, invalid("person", "This is not a person number")
	}
	list, next, err := a.s.Messages(ctx, who(ctx), r.Number, MessageFilter{Person: person.Number(p.Person), Channel: p.Channel, State: p.State,
		After: p.Cursor, Limit: p.Limit})
	if err != nil {
		return nil, err
	}
	return api.ListMessages200JSONResponse{Messages: append([]event.MessageRow{}, list...), Next: next}, nil
}
