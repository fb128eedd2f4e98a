package notice

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"tocsin.dev/pkg/wording"
	"tocsin.dev/services/notice/carrier"
	"tocsin.dev/services/notice/twilio"
)

// smsParallel is how many text messages of one ticket are under way at once;
// the client bounds the connections of all tickets together.
const smsParallel = 64

// lookEvery is how often a series looks whether it may go on: a stop counts
// within two seconds, and those under way must come to their end too.
const lookEvery = 200 * time.Millisecond

func (w *worker) deliverSMS(ctx context.Context, k *content, runs []*run) {
	for _, r := range runs {
		r.answers = make([]carrier.Answer, len(r.letters))
		for i := range r.letters {
			r.answers[i] = carrier.Answer{Class: carrier.NotSent, Detail: "held back"}
		}
		w.series(ctx, k, r)
	}
}

func (w *worker) composeTexts(r *run) (err error) {
	r.texts = make([]string, len(r.letters))
	for i := range r.letters {
		if r.texts[i], err = w.textOf(&r.letters[i]); err != nil {
			return err
		}
	}
	return nil
}

func (w *worker) textOf(l *letter) (string, error) {
	m, err := l.text.Render(l.rec)
	if err != nil {
		return "", block("empty_merge", "%v", err)
	}
	return m.Text, w.inspectText(m.Text, l)
}

// series sends the text messages of a run, several at once, until it is done
// or the order may not go on.
func (w *worker) series(ctx context.Context, k *content, r *run) {
	halt, stop := context.WithCancel(ctx)
	var next atomic.Int64
	send := func() {
		for i := int(next.Add(1) - 1); i < len(r.texts) && halt.Err() == nil; i = int(next.Add(1) - 1) {
			l := &r.letters[i]
			r.answers[i] = w.account.sms.Send(ctx, twilio.SMS{
				To: l.to.reach.Phone.Reveal(), From: w.account.senderOf(k.org.Sender), Body: r.texts[i], Validity: w.account.validity, Case: w.p.caseID,
				Notice: l.id, Attempt: r.attempt.id, Pos: i,
			})
			w.account.heard(r.answers[i])
			if c := r.answers[i].Class; c == carrier.Account || c == carrier.Slow || w.account.silent() {
				stop() // no further message; those under way come to their end
			}
		}
	}
	var senders, watcher sync.WaitGroup
	watcher.Go(func() { w.watch(halt, stop) })
	for range min(smsParallel, len(r.texts)) {
		senders.Go(send)
	}
	senders.Wait()
	stop()
	watcher.Wait()
}

// watch calls stop as soon as the order may not go on.
func (w *worker) watch(ctx context.Context, stop func()) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if ok, err := w.s.mayGo(ctx, w.p.id); err != nil || !ok {
				stop()
			}
		}
	}
}

// wordsSent renders what an attempt said to a person, for a look-up by words.
// It fails if the words of the attempt are no longer those of the order.
func (s *Service) wordsSent(ctx context.Context, p *plan, a *attempt, to recipient, id carrier.ID) (string, error) {
	c, err := s.cfg.Journal.Load(ctx, p.org, p.caseID)
	if err != nil {
		return "", err
	}
	o := c.Order(p.order)
	if o == nil || c.Approval(o.Approval) == nil {
		return "", errLookUp
	}
	org, err := s.cfg.Organisations.Get(p.org)
	if err != nil {
		return "", err
	}
	k, err := s.contents.get(c, o, org)
	if err != nil {
		return "", err
	}
	t := k.byDigest(a.digest)
	if t == nil {
		return "", errLookUp
	}
	m, err := t.Render(wording.Recipient{Contact: to.named, Reference: reference(id), PossibleDuplicate: a.flags&flagDuplicate != 0})
	return m.Text, err
}
