package sandbox

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// logQuery is a parsed query of POST /v3/logs. The language is the one of the published OpenAPI
// file: conditions joined by AND, no nesting.
type logQuery struct {
	messageID, subject, to, reason string
	statuses, categories           []string
	created                        []instantBound
}

type instantBound struct {
	op string
	at time.Time
}

func (b instantBound) holds(t time.Time) bool {
	switch b.op {
	case ">":
		return t.After(b.at)
	case ">=":
		return !t.Before(b.at)
	case "<":
		return t.Before(b.at)
	}
	return !t.After(b.at)
}

// logTokens cuts a query into words, operators and quoted strings; a string keeps its opening quote.
func logTokens(query string) ([]string, error) {
	var tokens []string
	for i := 0; i < len(query); {
		switch c := query[i]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
		case c == '\'' || c == '"':
			end := strings.IndexByte(query[i+1:], c)
			if end < 0 {
				return nil, fmt.Errorf("a quoted value has no end")
			}
			tokens = append(tokens, query[i:i+1+end])
			i += end + 2
		case strings.IndexByte("(),", c) >= 0:
			tokens = append(tokens, string(c))
			i++
		case strings.IndexByte("<>=", c) >= 0:
			n := 1
			if i+1 < len(query) && query[i+1] == '=' {
				n = 2
			}
			tokens = append(tokens, query[i:i+n])
			i += n
		default:
			n := strings.IndexAny(query[i:], " \t\r\n'\"(),<>=")
			if n < 0 {
				n = len(query) - i
			}
			tokens = append(tokens, query[i:i+n])
			i += n
		}
	}
	return tokens, nil
}

// readLogQuery parses a query; an empty one matches everything.
func readLogQuery(query string) (q logQuery, err error) {
	tokens, err := logTokens(query)
	if err != nil {
		return q, err
	}
	next := func() string {
		if len(tokens) == 0 {
			return ""
		}
		t := tokens[0]
		tokens = tokens[1:]
		return t
	}
	text := func() (string, error) {
		t := next()
		if t == "" || t[0] != '\'' && t[0] != '"' {
			return "", fmt.Errorf("want a quoted value, found %q", t)
		}
		return t[1:], nil
	}
	for len(tokens) > 0 {
		field, op := next(), strings.ToUpper(next())
		if err := q.condition(field, op, next, text); err != nil {
			return q, fmt.Errorf("%s: %w", field, err)
		}
		if len(tokens) > 0 && !strings.EqualFold(next(), "AND") {
			return q, fmt.Errorf("conditions are joined by AND")
		}
	}
	return q, nil
}

func (q *logQuery) condition(field, op string, next func() string, text func() (string, error)) (err error) {
	equal := func(into *string) error {
		if op != "=" {
			return fmt.Errorf("the operator is =")
		}
		*into, err = text()
		return err
	}
	switch field {
	case "sg_message_id":
		return equal(&q.messageID)
	case "subject":
		return equal(&q.subject)
	case "to_email":
		return equal(&q.to)
	case "reason":
		return equal(&q.reason)
	case "status":
		q.statuses, err = inList(op, next, text)
		return err
	case "categories":
		q.categories, err = inList(op, next, text)
		return err
	case "sg_message_id_created_at":
		if !slices.Contains([]string{">", "<", ">=", "<="}, op) {
			return fmt.Errorf("the operators are >, <, >= and <=")
		}
		if !strings.EqualFold(next(), "TIMESTAMP") {
			return fmt.Errorf("want TIMESTAMP and a quoted instant")
		}
		value, err := text()
		if err != nil {
			return err
		}
		at, err := time.Parse(time.RFC3339, value)
		if err != nil {
			return fmt.Errorf("want an ISO 8601 instant: %w", err)
		}
		q.created = append(q.created, instantBound{op, at})
		return nil
	}
	return fmt.Errorf("unknown field")
}

func inList(op string, next func() string, text func() (string, error)) (values []string, err error) {
	if op != "IN" || next() != "(" {
		return nil, fmt.Errorf("the operator is IN with a list in parentheses")
	}
	for {
		v, err := text()
		if err != nil {
			return nil, err
		}
		values = append(values, v)
		switch t := next(); t {
		case ",":
		case ")":
			return values, nil
		default:
			return nil, fmt.Errorf("want , or ) in the list, found %q", t)
		}
	}
}

// logStatus is a state in the words of the Email Logs API.
func (s state) logStatus() string {
	switch s {
	case complained:
		return "delivered"
	case accepted, scheduled:
		return "processed"
	case cancelled:
		return "dropped"
	}
	return s.String()
}

func (q *logQuery) matches(e *entry, index uint32) bool {
	if e.env.channel != email {
		return false
	}
	if q.messageID != "" && q.messageID != e.env.id && q.messageID != sgMessageID(e, index) {
		return false
	}
	if q.to != "" && !strings.EqualFold(q.to, e.piece(e.to)) || q.subject != "" && q.subject != e.subject() {
		return false
	}
	if q.reason != "" && q.reason != e.reason(e.state) {
		return false
	}
	if len(q.statuses) > 0 && !slices.Contains(q.statuses, e.state.logStatus()) {
		return false
	}
	if len(q.categories) > 0 && !slices.ContainsFunc(q.categories, func(c string) bool { return slices.Contains(e.env.categories, c) }) {
		return false
	}
	for _, b := range q.created {
		if !b.holds(e.env.at) {
			return false
		}
	}
	return true
}

// subject is the subject a mail's receiver sees, before substitution.
func (e *entry) subject() string {
	if e.env.channel == email && e.extra.n > 0 {
		return e.piece(e.extra)
	}
	return e.env.subject
}

// loggedMail is one row of a search.
type loggedMail struct {
	FromEmail string `json:"from_email"`
	MessageID string `json:"sg_message_id"`
	Subject   string `json:"subject"`
	ToEmail   string `json:"to_email"`
	Reason    string `json:"reason,omitempty"`
	Status    string `json:"status"`
	CreatedAt string `json:"sg_message_id_created_at"`
}

func (s *Service) logsRefused(w http.ResponseWriter) bool {
	if s.faults.Load().LookupsOff {
		writeMailErrors(w, http.StatusForbidden, mailError{Message: "access forbidden"})
		return true
	}
	if !s.logs.allow(s.cfg.Now(), s.cfg.LogsPerMinute) {
		w.Header().Set("X-RateLimit-Limit", fmt.Sprint(s.cfg.LogsPerMinute))
		w.Header().Set("X-RateLimit-Remaining", "0")
		w.Header().Set("X-RateLimit-Reset", fmt.Sprint((s.cfg.Now().Unix()/60+1)*60))
		writeMailErrors(w, http.StatusTooManyRequests, mailError{Message: "too many requests"})
		return true
	}
	return false
}

func (s *Service) searchLogs(w http.ResponseWriter, r *http.Request) {
	if s.logsRefused(w) {
		return
	}
	in := struct {
		Query    string   `json:"query"`
		Limit    *int     `json:"limit"`
		Subusers []string `json:"subusers"`
	}{}
	if err := json.NewDecoder(io.LimitReader(r.Body, 64<<10)).Decode(&in); err != nil {
		writeMailErrors(w, http.StatusBadRequest, mailError{Message: "Bad Request"})
		return
	}
	limit := 10
	if in.Limit != nil {
		limit = *in.Limit
	}
	if limit < 1 || limit > 1000 {
		writeMailErrors(w, http.StatusBadRequest, mailError{Message: "limit must be between 1 and 1000", Field: "limit"})
		return
	}
	q, err := readLogQuery(in.Query)
	if err != nil {
		writeMailErrors(w, http.StatusBadRequest, mailError{Message: err.Error(), Field: "query"})
		return
	}
	visible := s.cfg.Now().Add(-time.Duration(s.faults.Load().LookupLagMS) * time.Millisecond)
	s.record.mu.Lock()
	found := s.findMail(q, limit, visible)
	s.record.mu.Unlock()
	writeJSON(w, http.StatusOK, map[string]any{"messages": found})
}

// findMail collects matches, newest first, by the narrowest index the query allows. The caller
// holds the lock.
func (s *Service) findMail(q logQuery, limit int, visible time.Time) []loggedMail {
	found := []loggedMail{}
	take := func(i uint32) bool {
		e := s.record.at(i)
		if !e.env.at.After(visible) && q.matches(e, i) {
			found = append(found, loggedMail{
				FromEmail: e.env.from, MessageID: sgMessageID(e, i), Subject: e.subject(), ToEmail: e.piece(e.to),
				Reason: e.reason(e.state), Status: e.state.logStatus(), CreatedAt: e.env.at.UTC().Format(time.RFC3339),
			})
		}
		return len(found) < limit
	}
	if q.to != "" {
		for i := s.record.byAddr[s.record.addressKey(email, q.to)]; i != 0; i = s.record.at(i - 1).next {
			if !take(i - 1) {
				break
			}
		}
		return found
	}
	if q.messageID != "" {
		id, _, _ := strings.Cut(q.messageID, ".")
		if first, ok := s.record.byID[id]; ok {
			for i := first; i < s.record.count && s.record.at(i).env.id == id; i++ {
				if !take(i) {
					break
				}
			}
		}
		return found
	}
	for i := s.record.count; i > 0; i-- {
		if !take(i - 1) {
			break
		}
	}
	return found
}

func (s *Service) showLog(w http.ResponseWriter, r *http.Request) {
	if s.logsRefused(w) {
		return
	}
	want := r.PathValue("id")
	id, _, _ := strings.Cut(want, ".")
	s.record.mu.Lock()
	defer s.record.mu.Unlock()
	first, ok := s.record.byID[id]
	for i := first; ok && i < s.record.count && s.record.at(i).env.id == id; i++ {
		e := s.record.at(i)
		if e.env.channel != email || sgMessageID(e, i) != want {
			continue
		}
		args := json.RawMessage(`{}`)
		if e.args.n > 0 {
			args = json.RawMessage(e.piece(e.args))
		}
		writeJSON(w, http.StatusOK, map[string]any{
			"from_email": e.env.from, "sg_message_id": want, "subject": e.subject(), "to_email": e.piece(e.to),
			"status": e.state.logStatus(), "api_key_id": "sandbox", "client_ip": "192.0.2.2",
			"category": nonNil(e.env.categories), "custom_args": args, "events": s.loggedEvents(e, i),
		})
		return
	}
	writeMailErrors(w, http.StatusNotFound, mailError{Message: "not found"})
}

func nonNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// loggedEvents is the history of a mail as its log shows it: complete while the mail is among the
// newest, else only where it stands.
func (s *Service) loggedEvents(e *entry, i uint32) []json.RawMessage {
	events := []json.RawMessage{}
	add := func(to state, at time.Time) {
		if to == accepted || to == scheduled {
			return
		}
		b := s.appendEvent(nil, step{at: at.UnixNano(), message: i, to: to, era: s.record.era, flags: stepWithoutArgs})
		events = append(events, b)
	}
	if d := s.record.kept(i); d != nil {
		for _, h := range d.history {
			add(state(slices.Index(stateNames[:], h.Status)), h.At)
		}
		return events
	}
	add(e.state, e.env.at)
	return events
}
