package notice

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"tocsin.dev/pkg/web"
	"tocsin.dev/services/notice/carrier"
	"tocsin.dev/services/notice/sendgrid"
	"tocsin.dev/services/notice/smtp"
	"tocsin.dev/services/notice/twilio"
)

// CallbackPath is what the path of every callback begins with.
const CallbackPath = "/v1/receipts/"

// Callbacks are where providers call back. A callback is answered 2xx only when
// its body is stored and its facts are applied; providers repeat the others.
func (s *Service) Callbacks() *web.Callbacks {
	return &web.Callbacks{Answer: s.called, MaxBody: max(sendgrid.MaxEvents, smtp.MaxBounce, twilio.MaxCallback, twilio.MaxEvents), Log: s.log}
}

// called answers a callback by its path:
//
//	sendgrid, sendgrid/{account}
//	twilio/cases/{case}/{notice}/{attempt}, twilio/accounts/{account}/cases/{case}/{notice}/{attempt}
//	twilio/events, twilio/accounts/{account}/events
//	smtp
func (s *Service) called(ctx context.Context, q *web.Callback) web.Reply {
	path, ours := strings.CutPrefix(q.Path, CallbackPath)
	provider, rest, _ := strings.Cut(path, "/")
	switch {
	case !ours:
		return noSuchAddress
	case provider == "sendgrid":
		return s.fromSendGrid(ctx, q, s.receiving(Email, rest))
	case provider == "smtp" && rest == "":
		return s.fromMailServer(ctx, q)
	case provider != "twilio":
		return noSuchAddress
	}
	account := ""
	if named, ok := strings.CutPrefix(rest, "accounts/"); ok {
		account, rest, _ = strings.Cut(named, "/")
	}
	if rest == "events" {
		return s.fromEventStreams(ctx, q, s.receiving(SMS, account))
	}
	about, ok := strings.CutPrefix(rest, "cases/")
	if p := strings.Split(about, "/"); ok && len(p) == 3 {
		return s.fromTwilio(ctx, q, s.receiving(SMS, account), p)
	}
	return noSuchAddress
}

var (
	noSuchAddress  = web.Reply{Status: http.StatusNotFound, Text: "no account of ours has this address"} //nolint:gochecknoglobals // a constant
	wrongSignature = web.Reply{Status: http.StatusForbidden, Text: "wrong signature"}                    //nolint:gochecknoglobals // a constant
	tooLarge       = web.Reply{Status: http.StatusRequestEntityTooLarge, Text: "body too large"}         //nolint:gochecknoglobals // a constant
)

func unreadable(err error) web.Reply {
	return web.Reply{Status: http.StatusBadRequest, Text: err.Error()}
}

// receiving returns the account of a channel that receives under a name, or the
// first if the address names none; nil if there is no such account.
func (s *Service) receiving(ch Channel, name string) *account {
	for _, a := range s.accountsOn(ch) {
		if a.receives() && (name == "" || a.name == name) {
			return a
		}
	}
	return nil
}

func (s *Service) fromSendGrid(ctx context.Context, q *web.Callback, from *account) web.Reply {
	if from == nil {
		return noSuchAddress
	}
	if from.mailHook == nil || !from.mailHook.Verify(q.Header(sendgrid.SignatureHeader), q.Header(sendgrid.TimestampHeader), q.Body, s.cfg.Now()) {
		return s.forged(ctx, from)
	}
	d := &delivery{from: from, raw: q.Body}
	err := sendgrid.ReadEvents(q.Body, func(f carrier.Receipt) { d.facts = append(d.facts, f) },
		func(f carrier.Receipt, _ string) { d.strays = append(d.strays, f) })
	if err != nil {
		return unreadable(err)
	}
	return s.received(ctx, d)
}

// fromTwilio takes a callback about the case, notice and attempt that its path names.
func (s *Service) fromTwilio(ctx context.Context, q *web.Callback, from *account, about []string) web.Reply {
	switch {
	case from == nil:
		return noSuchAddress
	case len(q.Body) > twilio.MaxCallback:
		return tooLarge
	case from.smsHook == nil:
		return s.forged(ctx, from)
	}
	f, ok, err := from.smsHook.Read(about[0], about[1], about[2], q.Body, q.Header(twilio.SignatureHeader))
	switch {
	case ok && err != nil, errors.Is(err, twilio.ErrForm):
		return unreadable(err)
	case !ok:
		return s.forged(ctx, from)
	}
	d := &delivery{from: from, raw: q.Body}
	if f.Meaning != carrier.Ignored {
		d.facts = []carrier.Receipt{f}
	}
	return s.received(ctx, d)
}

// fromEventStreams takes the events of an account at Twilio that are about
// notices of ours; the account may send other messages, which we keep nothing of.
func (s *Service) fromEventStreams(ctx context.Context, q *web.Callback, from *account) web.Reply {
	switch {
	case from == nil:
		return noSuchAddress
	case len(q.Body) > twilio.MaxEvents:
		return tooLarge
	case from.smsHook == nil:
		return s.forged(ctx, from)
	}
	events, ok, err := from.smsHook.ReadEvents(q.Query, q.Body, q.Header(twilio.SignatureHeader))
	switch {
	case err != nil:
		return unreadable(err)
	case !ok:
		return s.forged(ctx, from)
	case len(events.Facts) == 0:
		return web.Reply{Status: http.StatusNoContent}
	}
	return s.received(ctx, &delivery{from: from, raw: events.Ours, facts: events.Facts})
}

// forged refuses a callback whose signature is wrong. It is counted, and it
// makes the account's receipts count as unhealthy until a right one comes. The
// store hears of it once a second at most, whoever posts how much.
func (s *Service) forged(ctx context.Context, from *account) web.Reply {
	s.meters.receipt(ctx, from.name, "wrong_signature", 1)
	s.log.WarnContext(ctx, "a callback with a wrong signature was refused", "account", from.name)
	if _, err := s.store.db.ExecContext(ctx, `INSERT INTO account (name, bad_at, bad) VALUES ($1,$2,1)
		ON CONFLICT (name) DO UPDATE SET bad_at=excluded.bad_at, bad=account.bad+1 WHERE account.bad_at < excluded.bad_at - 1000`, from.name, s.cfg.Now().UnixMilli()); err != nil {
		s.log.WarnContext(ctx, "a wrong signature could not be counted", "error", err)
	}
	return wrongSignature
}

func (s *Service) received(ctx context.Context, d *delivery) web.Reply {
	_, span := s.tracer.Start(s.traced(ctx, d), "notice receipt "+d.from.name)
	defer span.End()
	if err := s.receipts.take(d); err != nil {
		return web.Reply{Status: http.StatusServiceUnavailable, Text: "not stored; please repeat"}
	}
	return web.Reply{Status: http.StatusNoContent}
}

// traced continues the trace of the first request that a callback is about, so
// that one trace leads from the alert to the receipt.
func (s *Service) traced(ctx context.Context, d *delivery) context.Context {
	if len(d.facts) == 0 {
		return ctx
	}
	a, err := s.attempt(ctx, d.facts[0].Attempt)
	if err != nil || a == nil || a.trace == "" {
		return ctx
	}
	return withTrace(ctx, a.trace)
}
