package desk

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/journal"
	"tocsin.dev/pkg/organisation"
	"tocsin.dev/pkg/web"
	"tocsin.dev/services/desk/api"
)

// problems turns the desk's sentinels into answers; the error types are dealt with in answer.
var problems = web.Table{
	{Is: ErrNotFound, Status: http.StatusNotFound, Code: "not_found", Message: "There is no such thing in your organisation."},
	{Is: ErrSignIn, Status: http.StatusUnauthorized, Code: "sign_in", Message: "Sign in, or send your API token as Authorization: Bearer."},
	{Is: organisation.ErrUnknown, Status: http.StatusForbidden, Code: "no_organisation", Message: "Your organisation is not part of this installation any more."},
	{Is: journal.ErrInvalid, Status: http.StatusBadRequest, Code: "invalid", Message: "This is too large or malformed for the journal."},
}

// answer says how an error is told: status, code, message and fields.
func answer(err error) *web.Error {
	var (
		bad       *Invalid
		forbidden *Forbidden
		refused   *Refused
		conflict  *Conflict
		tooMany   *TooMany
	)
	switch {
	case errors.As(err, &bad):
		e := &web.Error{Status: http.StatusBadRequest, Code: "invalid", Message: sentence(bad.Error()), Err: err}
		for _, f := range bad.Fields {
			e.Fields = append(e.Fields, web.Field{Name: f.Field, Message: f.Message})
		}
		return e
	case errors.As(err, &forbidden):
		return &web.Error{Status: http.StatusForbidden, Code: "forbidden", Message: sentence(forbidden.Why), Err: err}
	case errors.As(err, &refused):
		return &web.Error{Status: http.StatusUnprocessableEntity, Code: refused.Code, Message: sentence(refused.Why), Err: err}
	case errors.As(err, &conflict):
		return &web.Error{Status: http.StatusConflict, Code: "conflict", Message: sentence(conflict.Error()), Err: err}
	case errors.As(err, &tooMany):
		return &web.Error{Status: http.StatusTooManyRequests, Code: "too_many_attempts", Message: sentence(tooMany.Error()), Err: err}
	}
	return problems.Answer(err)
}

// sentence begins with a capital and ends with a stop.
func sentence(s string) string {
	if s == "" {
		return s
	}
	s = strings.ToUpper(s[:1]) + s[1:]
	if !strings.HasSuffix(s, ".") {
		s += "."
	}
	return s
}

// writeProblem answers an API request with an error.
func writeProblem(w http.ResponseWriter, r *http.Request, err error) {
	var tooMany *TooMany
	if errors.As(err, &tooMany) {
		w.Header().Set("Retry-After", strconv.Itoa(int(tooMany.Wait.Seconds())+1))
	}
	if errors.Is(err, ErrSignIn) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="tocsin"`)
	}
	var conflict *Conflict
	if !errors.As(err, &conflict) {
		web.Table(nil).Write(w, r, answer(err))
		return
	}
	e := answer(err)
	p := api.Problem{
		Type: "about:blank", Title: http.StatusText(e.Status), Status: e.Status, Code: e.Code, Detail: e.Message,
		RequestID: web.RequestID(r.Context()), Changes: apiEvents(conflict.Changes),
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(e.Status)
	_ = json.NewEncoder(w).Encode(p) // the caller is gone if this fails
}

func apiEvents(entries []casefile.Entry) []api.Event {
	events := make([]api.Event, len(entries))
	for i, e := range entries {
		events[i] = apiEvent(e)
	}
	return events
}

func apiEvent(e casefile.Entry) api.Event {
	return api.Event{Seq: e.Seq, ID: e.ID, Type: string(e.Type), At: e.At, Actor: actor(e.Actor), Summary: Describe(e), Data: e.Data}
}

func actor(a event.Actor) api.Actor { return a }
