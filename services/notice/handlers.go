package notice

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	wm "github.com/ThreeDotsLabs/watermill/message"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/event"
)

// ticket announces a chunk of work. It names no person, and it decides
// nothing: the ledger says whether there is work, and the journal whether it
// may be done. So a forged, repeated or late ticket does no harm.
type ticket struct {
	Org   string `json:"org"`
	Case  string `json:"case"`
	Order string `json:"order"`
	Chunk int    `json:"chunk"`
	// From and To are the places on the sealed list that the chunk covers.
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// register names what the service hears and answers.
func (s *Service) register() {
	for _, ch := range sendable {
		s.cfg.Bus.Handle(bus.Handler{
			Name: "send-" + ch.String(), Stream: event.StreamDispatch, Subject: event.SubjectTicket(ch.String()),
			Workers: s.cfg.Workers, AckWait: 30 * time.Second, Timeout: 15 * time.Minute,
			Do: func(ctx context.Context, m *wm.Message) error { return s.onTicket(ctx, ch, m.Payload) },
		})
	}
	bus.Answer(s.cfg.Bus, event.AskProgress, s.answerProgress)
	bus.Answer(s.cfg.Bus, event.AskMessages, s.answerMessages)
	bus.Answer(s.cfg.Bus, event.AskForecast, s.answerForecast)
	bus.Answer(s.cfg.Bus, event.AskDoubts, s.answerDoubts)
	bus.Answer(s.cfg.Bus, event.AskSettle, s.answerSettle)
	bus.Answer(s.cfg.Bus, event.AskReport, s.answerReport)
	bus.Answer(s.cfg.Bus, event.AskLetter, s.answerLetter)
	bus.Answer(s.cfg.Bus, event.AskTestSend, s.answerTest)
	bus.Answer(s.cfg.Bus, event.AskReturns, s.answerReturns)
}

// onTicket works on one chunk if there is work on it.
func (s *Service) onTicket(ctx context.Context, ch Channel, payload []byte) error {
	var t ticket
	if err := json.Unmarshal(payload, &t); err != nil {
		return bus.Permanent(fmt.Errorf("read ticket: %w", err))
	}
	p, err := s.store.planOf(ctx, t.Org, t.Case, t.Order)
	if err != nil {
		return err
	}
	if p == nil {
		return bus.Permanent(fmt.Errorf("ticket for order %q of case %s/%s, which was never planned here", t.Order, t.Org, t.Case))
	}
	if p.state != planSending || p.halt != goes {
		return nil // the announcer comes back to it when the order goes on
	}
	c, err := s.store.claim(ctx, p.id, ch, t.Chunk, s.cfg.Replica, s.cfg.Now(), s.cfg.Lease)
	if err != nil || c == nil {
		return err
	}
	due, err := s.work(ctx, p, c)
	if errors.Is(err, errLost) || s.dead.Load() {
		return nil
	}
	if err != nil {
		s.log.WarnContext(ctx, "chunk given back", "org", p.org, "case", p.caseID, "order", p.order, "channel", ch.String(), "chunk", c.no, "error", err)
		due = s.cfg.Now().Add(2 * time.Second)
	}
	// Giving the chunk back must happen even when ctx has ended.
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if _, err := s.store.release(end, p.campaign, c, due); err != nil {
		return err // the lease ends by itself
	}
	s.wakeUp()
	return nil
}

// announce publishes tickets for chunks that are due and in nobody's hands,
// whoever made them and whatever became of earlier tickets.
func (s *Service) announce(ctx context.Context) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := s.announceDue(ctx); err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "announcing work failed; will try again", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// outstanding is how many announced chunks may wait for a worker: enough for
// those of a moment, and so few that a more pressing case is not kept waiting.
const outstanding = 16

func (s *Service) announceDue(ctx context.Context) error {
	chunks, err := s.store.dueChunks(ctx, s.cfg.Now(), s.cfg.Lease, s.cfg.Doubt.Guard, outstanding)
	if err != nil {
		return err
	}
	plans := map[int64]*plan{}
	for _, c := range chunks {
		p := plans[c.plan]
		if p == nil {
			if p, err = s.store.planByID(ctx, c.plan); err != nil || p == nil {
				return err
			}
			plans[c.plan] = p
		}
		from := int64(c.no/10) * pageSize
		body, err := json.Marshal(ticket{Org: p.org, Case: p.caseID, Order: p.order, Chunk: c.no, From: from, To: from + pageSize})
		if err != nil {
			return fmt.Errorf("write ticket: %w", err)
		}
		id := p.org + "." + p.caseID + "." + p.order + "." + c.channel.String() + "." + strconv.Itoa(c.no) + "." + strconv.Itoa(c.gen)
		if err := s.cfg.Bus.Publish(withTrace(ctx, p.trace), event.SubjectTicket(c.channel.String()), id, body); err != nil {
			return err
		}
	}
	return nil
}
