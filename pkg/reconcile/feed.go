package reconcile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/event"
)

// How pokes are heard.
const (
	pokeAckWait = 2 * time.Minute
	pokeBuffer  = 256
	// clockStep is the longest the waker sleeps, so that a clock that is set
	// forward, as in a drill, is noticed.
	clockStep = time.Second
	// restart bounds the pause after the poke consumer failed.
	restart = 5 * time.Second
)

// hear turns the events of all cases into pokes until ctx ends.
func (r *Runner) hear(ctx context.Context) {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, restart) {
		err := r.pokes(ctx)
		if ctx.Err() != nil {
			return
		}
		r.cfg.Log.Warn("pokes interrupted; the sweep goes on", "service", r.cfg.Service, "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// pokes reads the durable consumer that the replicas of the service share. It
// begins with what is new: the sweep sees to what is old.
func (r *Runner) pokes(ctx context.Context) error {
	js, err := jetstream.New(r.cfg.Journal.Conn())
	if err != nil {
		return fmt.Errorf("hear pokes: %w", err)
	}
	setup, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	c, err := bus.EnsureConsumer(setup, js, event.StreamCases, jetstream.ConsumerConfig{
		Durable: event.PokeConsumer(r.cfg.Service), FilterSubject: event.SubjectCases,
		DeliverPolicy: jetstream.DeliverNewPolicy, AckPolicy: jetstream.AckExplicitPolicy,
		AckWait: pokeAckWait, MaxDeliver: -1, MaxAckPending: 20_000, HeadersOnly: true,
	})
	if err != nil {
		return fmt.Errorf("hear pokes: %w", err)
	}
	iter, err := c.Messages(jetstream.PullMaxMessages(pokeBuffer))
	if err != nil {
		return fmt.Errorf("hear pokes: %w", err)
	}
	defer iter.Stop()
	select {
	case <-r.ready:
	default:
		close(r.ready)
	}
	for {
		m, err := iter.Next(jetstream.NextContext(ctx))
		if err != nil {
			r.giveBack(iter)
			return fmt.Errorf("hear pokes: %w", err)
		}
		r.poked(m)
	}
}

// giveBack returns the pokes that have been sent to us and not yet looked at,
// so that another replica gets them now and not when their time has run out.
func (r *Runner) giveBack(iter jetstream.MessagesContext) {
	iter.Drain()
	for {
		m, err := iter.Next(jetstream.NextMaxWait(time.Second))
		if err != nil {
			return
		}
		r.settled(m.Nak())
	}
}

func (r *Runner) settled(err error) {
	if err != nil {
		r.cfg.Log.Warn("acknowledge a poke", "service", r.cfg.Service, "error", err)
	}
}

func (r *Runner) poked(m jetstream.Msg) {
	ack := func() { r.settled(m.Ack()) }
	org, id, _, err := event.ParseSubject(m.Subject())
	if err != nil || !event.ValidToken(org) || !event.ValidToken(id) {
		r.cfg.Log.Warn("an event on a subject that names no case", "subject", m.Subject())
		ack()
		return
	}
	r.q.add(ref{org, id}, &poke{header: m.Headers(), ack: ack, giveBack: func() { r.settled(m.Nak()) }})
}

// sweep looks at every open case now and every SweepEvery until ctx ends.
func (r *Runner) sweep(ctx context.Context) {
	again := time.NewTicker(r.cfg.SweepEvery)
	defer again.Stop()
	select { // a case declared while the sweep lists is then heard of by its poke
	case <-r.ready:
	case <-ctx.Done():
		return
	case <-again.C:
	}
	for {
		refs, err := r.cfg.Journal.Cases(ctx, "")
		if err != nil && !errors.Is(err, context.Canceled) {
			r.cfg.Log.Warn("sweep", "service", r.cfg.Service, "error", err)
		}
		for _, c := range refs {
			if !c.Closed {
				r.q.add(ref{c.Org, c.Case}, nil)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
	}
}

// wake puts cases in line when their time comes, until ctx ends.
func (r *Runner) wake(ctx context.Context) {
	timer := time.NewTimer(clockStep)
	defer timer.Stop()
	for {
		now := r.cfg.Now()
		next := r.q.due(now)
		var tick <-chan time.Time
		if !next.IsZero() {
			timer.Reset(min(max(next.Sub(now), time.Millisecond), clockStep))
			tick = timer.C
		}
		select {
		case <-ctx.Done():
			return
		case <-r.q.rewake:
		case <-tick:
		}
	}
}
