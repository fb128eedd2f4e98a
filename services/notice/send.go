package notice

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"tocsin.dev/pkg/person"
	"tocsin.dev/pkg/wording"
	"tocsin.dev/services/notice/carrier"
	"tocsin.dev/services/notice/sendgrid"
)

// work sends what is planned on a chunk. It returns when the chunk is due again.
func (s *Service) work(ctx context.Context, p *plan, c *chunk) (due time.Time, err error) {
	ctx, span := s.tracer.Start(withTrace(ctx, p.trace), "notice send "+c.channel.String(),
		trace.WithAttributes(attribute.String("tocsin.org", p.org), attribute.String("tocsin.case", p.caseID), attribute.Int("tocsin.chunk", c.no)))
	defer span.End()
	if err := s.recoverLost(ctx, p, c); err != nil {
		return due, err
	}
	w := &worker{s: s, p: p, c: c, most: pageSize}
	for naps := 0; ; {
		wait, err := w.round(ctx)
		if err == nil && wait > 0 && wait <= nap && naps < mostNaps {
			naps++ // cheaper than to give the chunk back and have it announced anew
			if err := rest(ctx, wait); err != nil {
				return s.cfg.Now(), err
			}
			continue
		}
		naps = 0
		var b *blocked
		if errors.As(err, &b) {
			return s.cfg.Now(), s.blockPlan(ctx, p, b.reason, b.detail)
		}
		if err != nil || wait >= 0 {
			return s.cfg.Now().Add(max(0, wait)), err
		}
	}
}

// A worker that must wait for its turn no longer than nap keeps its chunk, so
// often in a row that its lease outlasts it.
const (
	nap      = 300 * time.Millisecond
	mostNaps = 8
)

func rest(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// worker sends one chunk.
type worker struct {
	s *Service
	p *plan
	c *chunk
	// most is the most recipients of one request; it is halved when a request is
	// refused as a whole, until the recipient at fault stands alone.
	most int
	// account is the one through which the present batch goes.
	account *account
}

// letter is one person's message, ready to be sent.
type letter struct {
	row  *message
	to   recipient
	id   carrier.ID
	text *text
	v    *wording.Variant
	rec  wording.Recipient
}

// run is a set of letters with the same words and layout: one request of
// email, or a series of text messages.
type run struct {
	attempt attempt
	letters []letter
	answers []carrier.Answer // one for each letter, or a single one for all
	canary  *canary          // whose letter is the last one, if there is one
	// What was composed before the request was written down: the body of an email,
	// or the texts of messages. Later requests of a batch are composed in their turn.
	body  *sendgrid.Body
	bytes []byte // of body
	texts []string
}

// another means that the round did something and there may be more.
const another = time.Duration(-1)

// round sends one batch. It returns another, or how long the chunk can wait.
func (w *worker) round(ctx context.Context) (wait time.Duration, err error) {
	out, wait, err := w.ready(ctx)
	if err != nil || out == nil {
		return wait, err
	}
	if err := w.deliver(ctx, out.k, out.runs); err != nil {
		return 0, err
	}
	wait, err = w.record(ctx, out.runs)
	if wait == another && out.all {
		return 0, err // all that was read has gone out; whatever is planned again is found when the chunk is given back
	}
	return wait, err
}

// record writes down what the requests came to, whatever became of the lease:
// the truth needs no permission. ctx may have ended; this must not.
func (w *worker) record(ctx context.Context, runs []*run) (time.Duration, error) {
	if w.s.dead.Load() {
		return 0, errLost
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	wait, canaries := another, w.takeCanaries(end, runs)
	counts, err := w.s.store.persist(end, w.p.campaign, w.s.cfg.Now(), func(l *ledger) error {
		for _, r := range runs {
			if len(r.answers) == 0 { // never reached
				r.answers = []carrier.Answer{{Class: carrier.NotSent, Detail: "held back"}}
			}
			if err := w.s.outcome(l, w.p, r); err != nil {
				return err
			}
		}
		for _, c := range canaries {
			if err := l.keepCanary(c); err != nil {
				return err
			}
		}
		_, err := l.tx.ExecContext(end, `UPDATE plan SET last_at=$2, first_at=CASE WHEN first_at=0 THEN $2 ELSE first_at END WHERE id=$1`, w.p.id, l.now)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("record outcomes: %w", err) // the messages stay submitted, and so in doubt
	}
	w.s.meters.changes(end, counts)
	classes := map[carrier.Class]int{}
	for _, r := range runs {
		for _, a := range r.answers {
			classes[a.Class]++
			if a.Class != carrier.Accepted {
				wait = max(wait, w.heed(end, r, a))
			}
		}
	}
	if w.account.mustRest() {
		wait = max(wait, w.s.rest(end, w.account))
	}
	for class, n := range classes {
		w.s.meters.request(end, w.c.channel, class.String(), n)
	}
	if classes[carrier.Accepted] > 0 {
		w.s.providerWorks(end, w.account)
	}
	return wait, nil
}

// heed does what an answer, other than an acceptance, asks of the sending as a whole.
func (w *worker) heed(ctx context.Context, r *run, a carrier.Answer) time.Duration {
	switch a.Class {
	case carrier.Slow, carrier.Account:
		return w.s.slowDown(ctx, w, r, a)
	case carrier.NotSent:
		return max(time.Second, a.RetryAfter)
	case carrier.Refused:
		if len(r.letters) > 1 && len(a.Bad) == 0 && w.c.channel == Email {
			w.most = max(1, len(r.letters)/2)
		}
		return another
	}
	return another
}

// outcome moves the messages of a run to where its answers put them.
func (s *Service) outcome(l *ledger, p *plan, r *run) error {
	// Answers that say the same about their people are applied together.
	same := map[carrier.Class][]person.Number{}
	state, doubts := attemptRefused, false
	for i, a := range r.answers {
		people := r.attempt.people[i : i+1]
		if len(r.answers) == 1 {
			people = r.attempt.people
		}
		if a.Status != 0 {
			r.attempt.status, r.attempt.code = a.Status, a.Code
		}
		if a.ID != "" && r.attempt.channel == Email {
			r.attempt.providerID = a.ID
		}
		switch {
		case a.Class == carrier.Accepted:
			state = attemptAccepted
		case a.Class == carrier.InDoubt:
			doubts = true
		case a.Class.Unsent() && state == attemptRefused:
			state = attemptNotSent
		case a.Class == carrier.Refused:
			if err := s.refusedBy(l, p, &r.attempt, a, people); err != nil {
				return err
			}
			continue
		}
		same[a.Class] = append(same[a.Class], people...)
	}
	for class, people := range same {
		if err := answered(l, &r.attempt, class, people); err != nil {
			return err
		}
	}
	settle := int64(0)
	if doubts {
		state, settle = attemptInDoubt, l.now
	}
	return l.close(&r.attempt, state, settle)
}

// answered applies an answer to the people it is about.
func answered(l *ledger, at *attempt, class carrier.Class, people []person.Number) error {
	to, why := Planned, ReasonNotSent
	switch class {
	case carrier.Accepted:
		to, why = Accepted, ReasonAnswer
	case carrier.InDoubt:
		_, err := l.move(at.channel, people, Submitted, InDoubt, ReasonLostAnswer, set{onAttempt: at.id})
		return err
	}
	n, err := l.move(at.channel, people, Submitted, to, why, set{onAttempt: at.id})
	if err == nil && n < int64(len(people)) { // in doubt already, if our lease was taken over meanwhile
		_, err = l.move(at.channel, people, InDoubt, to, why, set{onAttempt: at.id})
	}
	return err
}
