package sandbox

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Summary is what the sandbox knows of a case: GET /sandbox/record?case=…. A person is an address
// on a channel; a message counts as told when it was accepted and not cancelled in time.
type Summary struct {
	Case          string          `json:"case,omitempty"`
	AcceptedTotal int             `json:"accepted_total"`
	ByChannel     map[string]int  `json:"by_channel"`
	ByState       map[string]int  `json:"by_state"`
	Canaries      int             `json:"canaries"` // to addresses of the sender's own; in no other count
	People        int             `json:"people"`
	ToldOnce      int             `json:"told_once"`
	ToldTwice     int             `json:"told_twice"` // addresses told more than once
	SameTwice     int             `json:"same_twice"` // of these, told the very same thing
	Notices       int             `json:"notices"`    // distinct notice ids
	NoticesTwice  int             `json:"notices_twice"`
	WithoutNotice int             `json:"without_notice"`
	Twice         []Doubled       `json:"twice"` // at most 100 of ToldTwice; all with ?twice=all
	Refused       int64           `json:"refused_requests"`
	RateLimited   int64           `json:"rate_limited_requests"`
	Errored       int64           `json:"errored_requests"`
	Dropped       int64           `json:"dropped_connections"`
	Callbacks     CallbackSummary `json:"callbacks"`
	Faults        Faults          `json:"faults"`
}

// Doubled is one address that was told more than once.
type Doubled struct {
	Channel string      `json:"channel"`
	Notices []string    `json:"notices"`
	At      []time.Time `json:"at"`
	Same    bool        `json:"same_content"`
}

// CallbackSummary counts callbacks of the whole process.
type CallbackSummary struct {
	Delivered int64 `json:"delivered"`
	Failed    int64 `json:"failed"` // deliveries that were not answered 2xx
	GivenUp   int64 `json:"given_up"`
	Lost      int64 `json:"lost"` // by the faults profile
	Waiting   int   `json:"waiting"`
}

// Accepted is how many messages have been accepted so far, those to canaries among them.
func (s *Service) Accepted() int {
	s.record.mu.Lock()
	defer s.record.mu.Unlock()
	return int(s.record.count)
}

// Summary counts the record of a case; an empty case means everything. twice bounds the list of
// people told more than once; below zero means no bound.
func (s *Service) Summary(caseID string, twice int) Summary {
	out := Summary{
		Case: caseID, ByChannel: map[string]int{"email": 0, "sms": 0}, ByState: map[string]int{}, Twice: []Doubled{},
		Refused: s.stats.refused.Load(), RateLimited: s.stats.rateLimited.Load(), Errored: s.stats.errored.Load(),
		Dropped: s.stats.dropped.Load(), Faults: s.faults.Load().Faults,
		Callbacks: CallbackSummary{
			Delivered: s.stats.callbacksDelivered.Load(), Failed: s.stats.callbacksFailed.Load(),
			GivenUp: s.stats.receiptsGivenUp.Load(), Lost: s.stats.receiptsLost.Load(),
			Waiting: s.events.size() + s.callbacks.size() + s.stream.size(),
		},
	}
	r := s.record
	r.mu.Lock()
	defer r.mu.Unlock()
	notices := make(map[uint64]bool) // true: more than once
	for i := range r.count {
		e := r.at(i)
		if caseID != "" && e.caseName() != caseID {
			continue
		}
		if s.canaries[e.addr] {
			out.Canaries++
			continue
		}
		out.AcceptedTotal++
		out.ByChannel[e.env.channel.String()]++
		out.ByState[e.state.String()]++
		if !e.told() {
			continue
		}
		if e.notice == 0 {
			out.WithoutNotice++
		} else if _, again := notices[e.notice]; again {
			notices[e.notice] = true
		} else {
			notices[e.notice] = false
		}
	}
	for addr, newest := range r.byAddr {
		if s.canaries[addr] {
			continue
		}
		s.countPerson(&out, caseID, newest, twice)
	}
	out.Notices = len(notices)
	for _, again := range notices {
		if again {
			out.NoticesTwice++
		}
	}
	return out
}

// countPerson counts the address whose newest message has index newest-1.
func (s *Service) countPerson(out *Summary, caseID string, newest uint32, twice int) {
	r := s.record
	var all []*entry
	for j := newest; j != 0; j = r.at(j - 1).next {
		if e := r.at(j - 1); e.told() && (caseID == "" || e.caseName() == caseID) {
			all = append(all, e)
		}
	}
	if len(all) == 0 {
		return
	}
	out.People++
	if len(all) == 1 {
		out.ToldOnce++
		return
	}
	out.ToldTwice++
	d := Doubled{Channel: all[0].env.channel.String()}
	whats := make(map[uint64]bool)
	for _, o := range slices.Backward(all) {
		d.Notices, d.At = append(d.Notices, o.noticeID()), append(d.At, o.env.at)
		d.Same = d.Same || whats[o.what]
		whats[o.what] = true
	}
	if d.Same {
		out.SameTwice++
	}
	if twice < 0 || len(out.Twice) < twice {
		out.Twice = append(out.Twice, d)
	}
}

// noticeID is the notice id the sender put on the message, empty when there was none.
func (e *entry) noticeID() string {
	if e.env.channel == sms {
		return e.piece(e.args)
	}
	return e.argument("n")
}

// attempt is the sender's batch-attempt.
func (e *entry) attempt() string {
	if e.env.channel == sms {
		return e.piece(e.extra)
	}
	return e.argument("b")
}

func (e *entry) argument(name string) (found string) {
	_ = eachPair([]byte(e.piece(e.args)), func(key, value []byte) { // checked when it was accepted
		if string(key) == name {
			found = plain(value)
		}
	})
	return found
}

func (s *Service) ownRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /sandbox/{$}", s.page)
	mux.Handle("GET /sandbox", http.RedirectHandler("/sandbox/", http.StatusMovedPermanently))
	mux.HandleFunc("GET /sandbox/messages/{id}", s.messagePage)
	mux.HandleFunc("GET /sandbox/messages.json", s.messageList)
	mux.HandleFunc("GET /sandbox/record", s.showRecord)
	mux.HandleFunc("DELETE /sandbox/record", func(w http.ResponseWriter, _ *http.Request) {
		s.Reset()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /sandbox/record/notices", s.listNotices)
	mux.HandleFunc("GET /sandbox/faults", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]any{"faults": s.faults.Load().Faults, "profiles": profiles()})
	})
	mux.HandleFunc("PUT /sandbox/faults", s.putFaults)
	mux.HandleFunc("PUT /sandbox/suppressions/{list}/{address}", func(w http.ResponseWriter, r *http.Request) {
		if err := s.lists.add(r.PathValue("list"), r.PathValue("address")); err != nil {
			writeProblem(w, http.StatusNotFound, err.Error())
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("DELETE /sandbox/suppressions/{address}", func(w http.ResponseWriter, r *http.Request) {
		s.lists.remove(r.PathValue("address"))
		w.WriteHeader(http.StatusNoContent)
	})
}

func writeProblem(w http.ResponseWriter, status int, message string) {
	writeJSON(w, status, map[string]any{"error": message})
}

func (s *Service) putFaults(w http.ResponseWriter, r *http.Request) {
	f, err := ReadFaults(r.Body)
	if err != nil {
		writeProblem(w, http.StatusBadRequest, err.Error())
		return
	}
	s.SetFaults(f)
	writeJSON(w, http.StatusOK, f)
}

func (s *Service) showRecord(w http.ResponseWriter, r *http.Request) {
	twice := 100
	if r.URL.Query().Get("twice") == "all" {
		twice = -1
	}
	writeJSON(w, http.StatusOK, s.Summary(r.URL.Query().Get("case"), twice))
}

// listNotices writes one line of JSON per accepted message, oldest first: what a bench joins with
// its own list of people. It copies in pieces, so that sending goes on meanwhile.
func (s *Service) listNotices(w http.ResponseWriter, r *http.Request) {
	caseID := r.URL.Query().Get("case")
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := bufio.NewWriterSize(w, 64<<10)
	defer out.Flush()
	type line struct {
		Notice  string `json:"n"`
		Attempt string `json:"b"`
		Channel string `json:"channel"`
		State   string `json:"state"`
		At      int64  `json:"at_ms"`
	}
	enc := json.NewEncoder(out)
	for from := uint32(0); ; from += slabSize {
		lines := make([]line, 0, slabSize)
		s.record.mu.Lock()
		end := min(from+slabSize, s.record.count)
		for i := from; i < end; i++ {
			if e := s.record.at(i); (caseID == "" || e.caseName() == caseID) && !s.canaries[e.addr] {
				lines = append(lines, line{e.noticeID(), e.attempt(), e.env.channel.String(), e.state.String(), e.env.at.UnixMilli()})
			}
		}
		s.record.mu.Unlock()
		for _, l := range lines {
			if enc.Encode(l) != nil {
				return
			}
		}
		if end-from < slabSize || end < from {
			return
		}
	}
}

// shownMessage is a message in messages.json and on the page.
type shownMessage struct {
	ID       string      `json:"id"`
	Channel  string      `json:"channel"`
	At       time.Time   `json:"at"`
	To       string      `json:"to"`
	From     string      `json:"from"`
	Subject  string      `json:"subject,omitempty"`
	State    string      `json:"state"`
	Error    int         `json:"error_code,omitempty"`
	Case     string      `json:"case,omitempty"`
	Notice   string      `json:"notice,omitempty"`
	Attempt  string      `json:"attempt,omitempty"`
	Provider string      `json:"provider_id"`
	Text     string      `json:"text,omitempty"`
	HTML     string      `json:"html,omitempty"`
	Segments int         `json:"segments,omitempty"`
	Encoding string      `json:"encoding,omitempty"`
	ToName   string      `json:"to_name,omitempty"`
	FromName string      `json:"from_name,omitempty"`
	Template string      `json:"template,omitempty"`
	Data     string      `json:"template_data,omitempty"`
	Attached int         `json:"attachments,omitempty"`
	Canary   bool        `json:"canary,omitempty"` // to an address of the sender's own
	Kept     bool        `json:"kept"`             // false: the body has made room for newer ones
	History  []happening `json:"history,omitempty"`
}

// show renders a message as its receiver sees it. The caller holds the lock.
func (s *Service) show(i uint32) shownMessage {
	e := s.record.at(i)
	m := shownMessage{
		ID: strconv.FormatUint(uint64(i)+1, 10), Channel: e.env.channel.String(), At: e.env.at, To: e.piece(e.to),
		From: e.env.from, FromName: e.env.fromName, Subject: e.subject(), State: e.state.String(), Error: int(e.code),
		Case: e.caseName(), Notice: e.noticeID(), Attempt: e.attempt(), Provider: e.env.id, Canary: s.canaries[e.addr],
	}
	d := s.record.kept(i)
	if d != nil {
		m.Kept, m.ToName, m.History = true, d.toName, slices.Clone(d.history)
	}
	if e.env.channel == sms {
		m.Kept, m.Text = true, e.env.content.text
		m.Segments, m.Encoding = segments(m.Text)
		if m.From == "" {
			m.From = e.env.service
		}
		return m
	}
	m.Provider = sgMessageID(e, i)
	if d == nil {
		return m
	}
	m.Attached, m.Template = d.content.attachments, d.content.templateID
	if strings.HasPrefix(m.Template, "d-") {
		m.Data = string(d.subs)
		return m
	}
	m.Subject = substitute(m.Subject, d.subs)
	m.Text, m.HTML = substitute(d.content.text, d.subs), substitute(d.content.html, d.subs)
	return m
}

// shownFilter is what the page and messages.json filter by.
type shownFilter struct {
	channel, state, to, caseID string
	before                     uint32 // only messages below this index
	size                       int
}

func readShownFilter(r *http.Request, size int) (shownFilter, error) {
	q := r.URL.Query()
	f := shownFilter{channel: q.Get("channel"), state: q.Get("state"), to: strings.TrimSpace(q.Get("to")), caseID: q.Get("case"), before: 1<<32 - 1}
	if f.channel != "" && f.channel != "email" && f.channel != "sms" {
		return f, fmt.Errorf("channel is email or sms")
	}
	if f.state != "" && !slices.Contains(stateNames[:], f.state) {
		return f, fmt.Errorf("state is one of %s", strings.Join(stateNames[:], ", "))
	}
	n, err := intBetween(q.Get("size"), size, 1, 1000)
	if err != nil {
		return f, fmt.Errorf("size: %w", err)
	}
	f.size = n
	if b := q.Get("before"); b != "" {
		n, err := strconv.ParseUint(b, 10, 32)
		if err != nil || n == 0 {
			return f, fmt.Errorf("before is the id of a message")
		}
		f.before = uint32(n - 1)
	}
	return f, nil
}

// list returns the newest messages that match and, when there are more, the id to go on before.
func (s *Service) list(f shownFilter) (found []shownMessage, more string) {
	found = []shownMessage{}
	s.record.mu.Lock()
	defer s.record.mu.Unlock()
	for i := min(s.record.count, f.before); i > 0; i-- {
		e := s.record.at(i - 1)
		if f.channel != "" && e.env.channel.String() != f.channel || f.state != "" && e.state.String() != f.state ||
			f.caseID != "" && e.caseName() != f.caseID ||
			f.to != "" && !strings.Contains(strings.ToLower(e.piece(e.to)), strings.ToLower(f.to)) {
			continue
		}
		if len(found) == f.size {
			return found, found[len(found)-1].ID
		}
		found = append(found, s.show(i-1))
	}
	return found, ""
}

func (s *Service) messageList(w http.ResponseWriter, r *http.Request) {
	f, err := readShownFilter(r, 100)
	if err != nil {
		writeProblem(w, http.StatusBadRequest, err.Error())
		return
	}
	found, more := s.list(f)
	writeJSON(w, http.StatusOK, map[string]any{"messages": found, "before": more})
}
