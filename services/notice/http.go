package notice

import (
	"context"
	"errors"
	"io"
	"net/http"

	"go.opentelemetry.io/otel/trace"

	"tocsin.dev/services/notice/carrier"
	"tocsin.dev/services/notice/sendgrid"
	"tocsin.dev/services/notice/twilio"
)

// routes are where providers call back, and where public notices stand. A callback is answered 2xx only when
// its body is stored and its facts are applied; providers repeat the others.
func (s *Service) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/receipts/sendgrid", s.fromSendGrid)
	mux.HandleFunc("POST /v1/receipts/sendgrid/{account}", s.fromSendGrid)
	mux.HandleFunc("POST /v1/receipts/twilio/cases/{case}/{notice}/{attempt}", s.fromTwilio)
	mux.HandleFunc("POST /v1/receipts/twilio/accounts/{account}/cases/{case}/{notice}/{attempt}", s.fromTwilio)
	mux.HandleFunc("POST /v1/receipts/smtp", s.fromMailServer)
	mux.HandleFunc("GET /v1/public/{org}/{case}", s.public)
	return mux
}

// read reads a body of at most limit bytes, or answers and returns nil.
func (s *Service) read(w http.ResponseWriter, r *http.Request, limit int64) []byte {
	if r.ContentLength > limit {
		http.Error(w, "body too large", http.StatusRequestEntityTooLarge)
		return nil
	}
	var body []byte
	var err error
	if r.ContentLength >= 0 { // what a provider sends: read in one piece, without looking for more
		body = make([]byte, r.ContentLength)
		_, err = io.ReadFull(r.Body, body)
	} else {
		body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	}
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		http.Error(w, "body too large", http.StatusRequestEntityTooLarge)
		return nil
	case err != nil:
		http.Error(w, "body cut off", http.StatusBadRequest)
		return nil
	}
	return body
}

// caller returns the account of a channel whose receipts come to the address of
// a request: the one it names, or the first. If there is none, it answers.
func (s *Service) caller(w http.ResponseWriter, r *http.Request, ch Channel) *account {
	name := r.PathValue("account")
	for _, a := range s.accountsOn(ch) {
		if a.receives() && (name == "" || a.name == name) {
			return a
		}
	}
	http.Error(w, "no account of ours has this address", http.StatusNotFound)
	return nil
}

func (s *Service) fromSendGrid(w http.ResponseWriter, r *http.Request) {
	from := s.caller(w, r, Email)
	if from == nil {
		return
	}
	body := s.read(w, r, sendgrid.MaxEvents)
	if body == nil {
		return
	}
	if from.mailHook == nil || !from.mailHook.Verify(r.Header, body, s.cfg.Now()) {
		s.forged(w, r, from)
		return
	}
	d := &delivery{from: from, raw: body}
	err := sendgrid.ReadEvents(body, func(f carrier.Receipt) { d.facts = append(d.facts, f) },
		func(f carrier.Receipt, _ string) { d.strays = append(d.strays, f) })
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.received(w, r, d)
}

func (s *Service) fromTwilio(w http.ResponseWriter, r *http.Request) {
	from := s.caller(w, r, SMS)
	if from == nil {
		return
	}
	body := s.read(w, r, twilio.MaxCallback)
	if body == nil {
		return
	}
	if from.smsHook == nil {
		s.forged(w, r, from)
		return
	}
	f, ok, err := from.smsHook.Read(r.PathValue("case"), r.PathValue("notice"), r.PathValue("attempt"), body, r.Header.Get(twilio.SignatureHeader))
	switch {
	case ok && err != nil, errors.Is(err, twilio.ErrForm):
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	case !ok:
		s.forged(w, r, from)
		return
	}
	d := &delivery{from: from, raw: body}
	if f.Meaning != carrier.Ignored {
		d.facts = []carrier.Receipt{f}
	}
	s.received(w, r, d)
}

// forged refuses a callback whose signature is wrong. It is counted, and it
// makes the account's receipts count as unhealthy until a right one comes. The
// store hears of it once a second at most, whoever posts how much.
func (s *Service) forged(w http.ResponseWriter, r *http.Request, from *account) {
	s.meters.receipt(r.Context(), from.name, "wrong_signature", 1)
	s.log.WarnContext(r.Context(), "a callback with a wrong signature was refused", "account", from.name)
	if _, err := s.store.db.ExecContext(r.Context(), `INSERT INTO account (name, bad_at, bad) VALUES ($1,$2,1)
		ON CONFLICT (name) DO UPDATE SET bad_at=excluded.bad_at, bad=account.bad+1 WHERE account.bad_at < excluded.bad_at - 1000`, from.name, s.cfg.Now().UnixMilli()); err != nil {
		s.log.WarnContext(r.Context(), "a wrong signature could not be counted", "error", err)
	}
	http.Error(w, "wrong signature", http.StatusForbidden)
}

func (s *Service) received(w http.ResponseWriter, r *http.Request, d *delivery) {
	_, span := s.tracer.Start(s.traced(r.Context(), d), "notice receipt "+d.from.name)
	defer span.End()
	if err := s.receipts.take(d); err != nil {
		http.Error(w, "not stored; please repeat", http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// traced continues the trace of the first request that a callback is about, so
// that one trace leads from the alert to the receipt.
func (s *Service) traced(ctx context.Context, d *delivery) context.Context {
	if len(d.facts) == 0 || trace.SpanContextFromContext(ctx).IsRemote() {
		return ctx
	}
	a, err := s.attempt(ctx, d.facts[0].Attempt)
	if err != nil || a == nil || a.trace == "" {
		return ctx
	}
	return withTrace(trace.ContextWithSpanContext(ctx, trace.SpanContext{}), a.trace)
}
