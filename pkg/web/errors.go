package web

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
)

// Error is an error that knows its answer. Message is for the person who asked
// and must not tell what they may not see; Err is for the operator's log.
type Error struct {
	// Status is the HTTP status.
	Status int
	// Code is a stable snake_case word that programs branch on.
	Code    string
	Message string
	// Fields names what is wrong with which part of the input.
	Fields []Field
	Err    error
}

// Field is one mistake in the input.
type Field struct {
	// Name is the field's path ("exposures[2].from"), header or parameter.
	Name    string `json:"name"`
	Message string `json:"message"`
}

// Error returns code and message, and the cause if there is one.
func (e *Error) Error() string {
	s := e.Code + ": " + e.Message
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// NewError returns an error with its answer.
func NewError(status int, code, message string) *Error {
	return &Error{Status: status, Code: code, Message: message}
}

// Row answers every error that Is the target.
type Row struct {
	Is      error
	Status  int
	Code    string
	Message string
}

// Table turns errors into answers, first row first. An *Error in the chain
// goes before the table; after it come the rows that hold everywhere (time-out,
// body too large); what remains is a 500 that tells the caller nothing.
type Table []Row

// StatusClientGone is logged when the caller hung up; nobody reads it.
const StatusClientGone = 499

var everywhere = Table{ //nolint:gochecknoglobals // a constant table
	{context.DeadlineExceeded, http.StatusGatewayTimeout, "timeout", "This took too long. Please try again."},
	{context.Canceled, StatusClientGone, "client_gone", "The request was cancelled."},
}

// Answer returns what the caller is told about err.
func (t Table) Answer(err error) *Error {
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return &Error{Status: http.StatusRequestEntityTooLarge, Code: "too_large", Err: err,
			Message: "The body is larger than " + strconv.FormatInt(tooLarge.Limit, 10) + " bytes."}
	}
	for _, rows := range []Table{t, everywhere} {
		for _, row := range rows {
			if errors.Is(err, row.Is) {
				return &Error{Status: row.Status, Code: row.Code, Message: row.Message, Err: err}
			}
		}
	}
	return &Error{Status: http.StatusInternalServerError, Code: "internal", Err: err,
		Message: "Something went wrong here. It has been recorded under the request's number."}
}

// problem is the body of an error answer, application/problem+json (RFC 9457).
type problem struct {
	Type      string  `json:"type"`
	Title     string  `json:"title"`
	Status    int     `json:"status"`
	Detail    string  `json:"detail"`
	Code      string  `json:"code"`
	RequestID string  `json:"request_id,omitempty"`
	Errors    []Field `json:"errors,omitempty"`
}

// Write answers r with err as application/problem+json, and logs server errors
// with their cause. This is where an error stops.
func (t Table) Write(w http.ResponseWriter, r *http.Request, err error) {
	e := t.Answer(err)
	if e.Status >= http.StatusInternalServerError {
		logger(r.Context()).ErrorContext(r.Context(), "request failed", "code", e.Code, "route", r.Pattern, "error", err.Error())
	}
	body, encodeErr := json.Marshal(problem{
		Type: "about:blank", Title: cmp.Or(http.StatusText(e.Status), e.Code), Status: e.Status,
		Detail: e.Message, Code: e.Code, RequestID: RequestID(r.Context()), Errors: e.Fields,
	})
	if encodeErr != nil { // strings and ints: cannot happen
		http.Error(w, e.Message, e.Status)
		return
	}
	h := w.Header()
	h.Del("Content-Length")
	h.Del("Content-Encoding")
	h.Del("ETag")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "application/problem+json")
	w.WriteHeader(e.Status)
	_, _ = w.Write(body) // the caller is gone if this fails
}

// WriteError answers with the rows that hold everywhere; an API with errors of
// its own has its own Table.
func WriteError(w http.ResponseWriter, r *http.Request, err error) { Table(nil).Write(w, r, err) }

// logger returns the request's logger, or the program's outside of Wrap.
func logger(ctx context.Context) *slog.Logger {
	if r, ok := ctx.Value(requestKey{}).(*request); ok {
		return r.log.With("request_id", r.id)
	}
	return slog.Default() //nolint:forbidigo // outside of Wrap nobody hands one over
}
