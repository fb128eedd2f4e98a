package intake

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"tocsin.dev/pkg/web"
)

// readTimeout is how long a sender may take for its body.
const readTimeout = 5 * time.Second

// retryAfter is what a sender is told to wait when the bus is away, in seconds.
const retryAfter = "5"

// received is the answer to a sender.
type received struct {
	ID        string   `json:"id"`
	Alerts    []string `json:"alerts"`
	Duplicate bool     `json:"duplicate"`
}

// Handler returns the public routes: POST and OPTIONS /v1/alerts/{source}.
func (s *Service) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/alerts/{source}", s.postAlerts)
	mux.HandleFunc("OPTIONS /v1/alerts/{source}", s.handshake)
	return mux
}

func (s *Service) postAlerts(w http.ResponseWriter, r *http.Request) {
	answer, err := s.receive(w, r)
	if err != nil {
		refuse(w, r, err)
		return
	}
	status := http.StatusAccepted
	if answer.Duplicate || len(answer.Alerts) == 0 {
		status = http.StatusOK
	}
	web.WriteJSON(w, r, status, answer)
}

// refuse answers with an instruction to the sender: 503 makes it come again,
// 4xx does not.
func refuse(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, errNotAuthentic):
		w.Header().Set("WWW-Authenticate", `Bearer realm="alerts"`)
		err = &web.Error{Status: http.StatusUnauthorized, Code: "not_authentic", Err: err,
			Message: "The token or signature does not belong to this source. Check the sender's secret and its clock."}
	case errors.Is(err, errUnavailable):
		w.Header().Set("Retry-After", retryAfter)
		err = &web.Error{Status: http.StatusServiceUnavailable, Code: "unavailable", Err: err,
			Message: "The alert could not be stored safely. Please send it again."}
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = &web.Error{Status: http.StatusRequestTimeout, Code: "too_slow", Err: err, Message: "The body took longer than 5 seconds."}
	}
	web.WriteError(w, r, err)
}

var errUnavailable = errors.New("the alert could not be made durable")

// unavailable keeps the cause for the log and asks the sender to come again.
type unavailable struct{ cause error }

func (u unavailable) Error() string   { return errUnavailable.Error() + ": " + u.cause.Error() }
func (u unavailable) Unwrap() []error { return []error{errUnavailable, u.cause} }

// receive authenticates a request and makes its body durable.
func (s *Service) receive(w http.ResponseWriter, r *http.Request) (received, error) {
	src := s.sources[r.PathValue("source")]
	if src == nil {
		return received{}, web.NewError(http.StatusNotFound, "unknown_source", "No source of this name is configured.")
	}
	ctx, span := s.tracer.Start(r.Context(), "receive alert", trace.WithAttributes(attribute.String("tocsin.source", src.ID), attribute.String("tocsin.org", src.Org)))
	defer span.End()
	now := s.cfg.Now().UTC()
	if !src.signed {
		// Before the body: a stranger need not send a megabyte to be refused.
		if err := src.verify(r, nil, now); err != nil {
			return received{}, err
		}
	}
	// A recorder in a test has no deadlines.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(readTimeout)) //nolint:forbidigo // a connection's deadline is on the machine's clock
	body, err := web.ReadBody(w, r, MaxBody)
	if err != nil {
		return received{}, err
	}
	if src.signed {
		if err := src.verify(r, body, now); err != nil {
			return received{}, err
		}
	}
	docs, err := documents(body)
	if err != nil {
		return received{}, err
	}
	attributes := binaryEvent(r.Header)
	if attributes != "" {
		docs = docs[:1]
	}
	d := newDelivery(src, body, contentType(r.Header), attributes, now)
	answer := received{ID: d.ID, Alerts: make([]string, len(docs))}
	for i := range docs {
		answer.Alerts[i] = alertID(d.ID, i, 0)
	}
	if len(docs) == 0 { // an empty list: authentic, and nothing to keep
		s.heard.add(src.ID, now)
		return answer, nil
	}
	answer.Duplicate, err = s.keep(ctx, src, d)
	if err == nil {
		s.heard.add(src.ID, now)
	}
	return answer, err
}

// keep makes a delivery durable, unless it is already.
func (s *Service) keep(ctx context.Context, src *source, d delivery) (duplicate bool, err error) {
	known := s.recent.has(d.ID)
	if !known {
		if known, err = s.store.known(ctx, d.ID); err != nil {
			// The stream decides; the row is only the shorter way.
			s.log.WarnContext(ctx, "look for a repeated delivery", "source", d.Source, "error", err)
		}
	}
	if !known {
		if len(d.Body) > inlineLimit {
			if err := s.raw.putObject(ctx, d.ID, d.Body); err != nil {
				return false, unavailable{err}
			}
			d.Object = d.ID
		}
		d.Trace = traceOf(ctx)
		if known, err = src.gather.keep(ctx, d); err != nil {
			return false, unavailable{err}
		}
		s.recent.add(d.ID)
	}
	if known {
		s.heard.repeat(d.ID, d.ReceivedAt)
	}
	return known, nil
}

func contentType(h http.Header) string {
	t := h.Get("Content-Type")
	return t[:min(len(t), 200)]
}

// binaryEvent returns the attributes of a CloudEvent in binary mode as JSON, or "".
func binaryEvent(h http.Header) string {
	if h.Get("Ce-Specversion") == "" || strings.HasPrefix(h.Get("Content-Type"), "application/cloudevents") {
		return ""
	}
	attributes := map[string]string{}
	for name, values := range h {
		if key, ok := strings.CutPrefix(strings.ToLower(name), "ce-"); ok && len(values) > 0 && len(attributes) < 50 {
			attributes[key] = values[0][:min(len(values[0]), 1000)]
		}
	}
	b, err := json.Marshal(attributes)
	if err != nil { // strings: cannot happen
		return ""
	}
	return string(b)
}

// handshake answers the OPTIONS request by which a sender of CloudEvents asks
// whether it may deliver here.
func (s *Service) handshake(w http.ResponseWriter, r *http.Request) {
	src := s.sources[r.PathValue("source")]
	if src == nil {
		web.WriteError(w, r, web.NewError(http.StatusNotFound, "unknown_source", "No source of this name is configured."))
		return
	}
	w.Header().Set("Allow", "POST, OPTIONS")
	origin := r.Header.Get("WebHook-Request-Origin")
	for _, allowed := range src.Origins {
		if origin != "" && (allowed == "*" || strings.EqualFold(allowed, origin)) {
			w.Header().Set("WebHook-Allowed-Origin", origin)
			w.Header().Set("WebHook-Allowed-Rate", "*")
		}
	}
	w.WriteHeader(http.StatusOK)
}
