package notice

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"tocsin.dev/pkg/wording"
	"tocsin.dev/services/notice/carrier"
	"tocsin.dev/services/notice/sendgrid"
)

// bodies are reused: a body of a thousand recipients is some 300 KB.
var bodies = sync.Pool{New: func() any { return new(sendgrid.Body) }}

// parallel is how many requests of one email ticket are under way at once.
const parallel = 4

// deliver makes the requests of a batch and fills in their answers. Requests
// that the order's pause or stop, or the end of ctx, overtakes are not made.
func (w *worker) deliver(ctx context.Context, k *content, runs []*run) error {
	switch w.c.channel {
	case Email:
		return w.deliverEmail(ctx, k, runs)
	case SMS:
		w.deliverSMS(ctx, k, runs)
		return nil
	default:
		return w.deliverPaper(ctx, k, runs)
	}
}

func (w *worker) deliverEmail(ctx context.Context, k *content, runs []*run) error {
	var all sync.WaitGroup
	slots := make(chan struct{}, parallel)
	errs := make([]error, len(runs))
	var closed atomic.Bool
	for i, r := range runs {
		slots <- struct{}{}
		if closed.Load() { // the account wants no more for now; these are recorded as not sent
			<-slots
			continue
		}
		all.Go(func() {
			defer func() { <-slots }()
			var a carrier.Answer
			a, errs[i] = w.mail(ctx, k, r)
			r.answers = []carrier.Answer{a}
			if a.Class == carrier.Slow || a.Class == carrier.Account || w.account.silent() {
				closed.Store(true)
			}
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil { // a letter did not pass the check; what was not sent is recorded as such
			if _, rerr := w.record(ctx, runs); rerr != nil {
				return rerr
			}
			return err
		}
	}
	return nil
}

// mail makes one request. An error means that a letter failed the second check
// and nothing was sent.
func (w *worker) mail(ctx context.Context, k *content, r *run) (carrier.Answer, error) {
	unsent := carrier.Answer{Class: carrier.NotSent, Detail: "held back"}
	if ok, err := w.s.mayGo(ctx, w.p.id); err != nil || !ok {
		return unsent, nil
	}
	if w.account.smtp != nil {
		return w.mailOwn(ctx, k, r)
	}
	if r.body == nil {
		if err := w.composeEmail(k, r); err != nil {
			return unsent, err
		}
	}
	a := w.account.mail.Send(ctx, r.bytes)
	w.account.heard(a)
	if a.Class == carrier.Accepted {
		bodies.Put(r.body) // otherwise a dying connection may still read it
	}
	r.body, r.bytes = nil, nil
	return a, nil
}

// composeAhead composes what is sent first: as many emails as go out at once,
// so that a batch of whole letters does not fill the memory, or all texts.
func (w *worker) composeAhead(k *content, runs []*run) error {
	switch {
	case w.c.channel == Email && w.account.smtp == nil:
		for _, r := range runs[:min(parallel, len(runs))] {
			if err := w.composeEmail(k, r); err != nil {
				return err
			}
		}
	case w.c.channel == SMS:
		for _, r := range runs {
			if err := w.composeTexts(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// composeEmail writes the body of a request and reads it back. An error means
// that a letter did not pass the check.
func (w *worker) composeEmail(k *content, r *run) (err error) {
	b, _ := bodies.Get().(*sendgrid.Body)
	body, err := w.compose(k, r, b)
	if err != nil {
		return err
	}
	if err := w.inspectEmail(body, r); err != nil {
		return err
	}
	r.body, r.bytes = b, body
	return nil
}

// mayGo is false once the order may not send or the process is ending.
func (s *Service) mayGo(ctx context.Context, plan int64) (bool, error) {
	if ctx.Err() != nil {
		return false, nil
	}
	return s.store.mayGo(ctx, plan)
}

// compose writes the body of one request.
func (w *worker) compose(k *content, r *run, b *sendgrid.Body) ([]byte, error) {
	first := &r.letters[0]
	b.Reset()
	if !cleanLetter(first) {
		return w.composeWhole(k, r, b)
	}
	if len(first.v.Slots) > sendgrid.MaxSlots {
		return nil, block("too_many_fields", "the text %s has more than %d personal fields", first.text.Key(), sendgrid.MaxSlots)
	}
	tail, err := w.tail(k, first)
	if err != nil {
		return nil, err
	}
	for i := range r.letters {
		l := &r.letters[i]
		b.Open(l.to.reach.Email.Reveal(), l.id, r.attempt.id)
		for slot, f := range l.v.Slots {
			b.Value(slot, l.rec.Value(f, l.text.Language()))
		}
		b.Close()
		if b.Size() > sendgrid.MaxSubstitutions {
			return nil, block("value_too_long", "the values of person %d are longer than a message can carry", l.row.person)
		}
	}
	return b.Finish(w.handling(r), tail), nil
}

// composeWhole writes a request for one person whose values could be mistaken
// for substitution tags: the message is rendered here, whole.
func (w *worker) composeWhole(k *content, r *run, b *sendgrid.Body) ([]byte, error) {
	l := &r.letters[0]
	m, err := l.text.Render(l.rec)
	if err != nil {
		return nil, block("empty_merge", "%v", err)
	}
	e := w.envelope(k)
	e.Subject, e.Text, e.HTML = m.Subject, m.Text, m.HTML
	b.Open(l.to.reach.Email.Reveal(), l.id, r.attempt.id)
	b.Close()
	return b.Finish(w.handling(r), e.Tail()), nil
}

func (w *worker) envelope(k *content) sendgrid.Envelope {
	return sendgrid.Envelope{
		FromEmail: k.org.Sender.Email, FromName: k.org.Sender.EmailName, ReplyTo: k.org.Sender.ReplyTo,
		Categories: []string{"breach-notice", "org:" + k.org.ID, "case:" + k.c.Number},
	}
}

// handling is how the account treats a request; none is known in a preview without an account.
func (w *worker) handling(r *run) sendgrid.Handling {
	if w.account == nil {
		return sendgrid.Handling{}
	}
	return sendgrid.Handling{Bypass: w.account.bypass, IPPool: w.account.pool, Batch: r.attempt.batch, SendAt: r.attempt.sendAt}
}

// tail is the part of a request that all recipients share, encoded once for a layout.
func (w *worker) tail(k *content, l *letter) ([]byte, error) {
	if t, ok := l.text.tails.Load(l.v); ok {
		have, _ := t.([]byte)
		return have, nil
	}
	e := w.envelope(k)
	e.Subject = tagged(l.v, l.v.Subject, sendgrid.TextTag)
	e.Text = tagged(l.v, l.v.Text, sendgrid.TextTag)
	e.HTML = tagged(l.v, l.v.HTML, sendgrid.HTMLTag)
	t := e.Tail()
	l.text.tails.Store(l.v, t)
	return t, nil
}

// tagged writes a layout with substitution tags in its slots.
func tagged(v *wording.Variant, pieces []wording.Piece, tag func(int) string) string {
	return wording.Join(pieces, func(f wording.Field) string { return tag(slices.Index(v.Slots, f)) })
}

// cleanLetter reports whether neither words nor values look like a substitution tag.
func cleanLetter(l *letter) bool {
	for _, f := range l.v.Slots {
		if !sendgrid.Clean(l.rec.Value(f, l.text.Language())) {
			return false
		}
	}
	return l.text.clean(l.v)
}

// clean reports whether a layout's own words are free of tags; it is remembered.
func (t *text) clean(v *wording.Variant) bool {
	if known, ok := t.cleaned.Load(v); ok {
		return known == true
	}
	ok := true
	for _, part := range [][]wording.Piece{v.Subject, v.Text, v.HTML} {
		for _, p := range part {
			ok = ok && sendgrid.Clean(p.Literal)
		}
	}
	t.cleaned.Store(v, ok)
	return ok
}
