package sandbox

import (
	"bytes"
	"compress/gzip"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"math/bits"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

func (s *Service) sendGridRoutes(mux *http.ServeMux) {
	mux.Handle("POST /v3/mail/send", s.sendGrid(s.mailSend))
	mux.Handle("POST /v3/mail/batch", s.sendGrid(s.createBatch))
	mux.Handle("GET /v3/mail/batch/{batch}", s.sendGrid(s.checkBatch))
	mux.Handle("POST /v3/user/scheduled_sends", s.sendGrid(s.stopBatch))
	mux.Handle("GET /v3/user/scheduled_sends", s.sendGrid(s.listStopped))
	mux.Handle("GET /v3/user/scheduled_sends/{batch}", s.sendGrid(s.showStopped))
	mux.Handle("PATCH /v3/user/scheduled_sends/{batch}", s.sendGrid(s.changeStopped))
	mux.Handle("DELETE /v3/user/scheduled_sends/{batch}", s.sendGrid(s.resumeBatch))
	mux.Handle("POST /v3/logs", s.sendGrid(s.searchLogs))
	mux.Handle("GET /v3/logs/{id}", s.sendGrid(s.showLog))
	mux.HandleFunc("/v3/mail/send", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Allow", http.MethodPost)
		writeMailErrors(w, http.StatusMethodNotAllowed, mailError{Message: "method not allowed"})
	})
	mux.HandleFunc("/v3/", func(w http.ResponseWriter, _ *http.Request) {
		writeMailErrors(w, http.StatusNotFound, mailError{Message: "not found"})
	})
}

// sendGrid lets a request with the right key through.
func (s *Service) sendGrid(h http.HandlerFunc) http.Handler {
	want := []byte("Bearer " + s.cfg.SendGridKey)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), want) != 1 {
			s.stats.refused.Add(1)
			writeMailErrors(w, http.StatusUnauthorized, mailError{Message: "The provided authorization grant is invalid, expired, or revoked"})
			return
		}
		h(w, r)
	})
}

// buffers holds request bodies; a body is up to 30 MB and usually a few hundred KB.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// errTooLarge means that a body is beyond the vendor's limit.
var errTooLarge = errors.New("request body too large")

// readMail reads and decodes a body, compressed or not.
func readMail(r *http.Request) (*mailSend, error) {
	body := io.Reader(r.Body)
	switch r.Header.Get("Content-Encoding") {
	case "", "identity":
	case "gzip":
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			return nil, err
		}
		defer z.Close()
		body = z
	default:
		return nil, errors.New("unknown content encoding")
	}
	buf := buffers.Get().(*bytes.Buffer)
	defer func() {
		if buf.Cap() <= 4<<20 {
			buf.Reset()
			buffers.Put(buf)
		}
	}()
	n, err := buf.ReadFrom(io.LimitReader(body, maxMailBytes+1))
	if err != nil {
		return nil, err
	}
	if n > maxMailBytes {
		return nil, errTooLarge
	}
	m := new(mailSend)
	return m, json.Unmarshal(buf.Bytes(), m) // copies what it keeps
}

func (s *Service) mailSend(w http.ResponseWriter, r *http.Request) {
	f := s.faults.Load()
	wait, fault := f.next()
	if !s.pause(r, wait) {
		return
	}
	switch {
	case fault == dropBeforeAccept:
		s.hangUp(w)
		return
	case fault == answerRateLimited || s.events.full():
		s.rateLimited(w, f)
		writeMailErrors(w, http.StatusTooManyRequests, mailError{Message: "too many requests"})
		return
	case fault == answerServerError:
		s.serverError(w, f)
		return
	}
	if ct, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); strings.TrimSpace(ct) != "application/json" {
		s.stats.refused.Add(1)
		writeMailErrors(w, http.StatusUnsupportedMediaType, mailError{Message: "Content-Type should be application/json."})
		return
	}
	m, err := readMail(r)
	if errors.Is(err, errTooLarge) {
		s.stats.refused.Add(1)
		writeMailErrors(w, http.StatusRequestEntityTooLarge, mailError{Message: "content too large"})
		return
	}
	if err != nil {
		s.stats.refused.Add(1)
		writeMailErrors(w, http.StatusBadRequest, mailError{Message: "Bad Request"})
		return
	}
	now := s.cfg.Now()
	if errs := m.check(now, s.queues); len(errs) > 0 {
		s.stats.refused.Add(1)
		writeMailErrors(w, http.StatusBadRequest, errs...)
		return
	}
	if m.MailSettings.Sandbox.Enable {
		w.WriteHeader(http.StatusOK)
		return
	}
	id := s.acceptMail(m, now, f)
	if !s.answer(w, r, f, fault) {
		return
	}
	w.Header().Set("X-Message-Id", id)
	w.WriteHeader(http.StatusAccepted)
}

// acceptMail records every message of a request and plans what happens to it. After it returns the
// messages are sent, whatever the caller is answered.
func (s *Service) acceptMail(m *mailSend, now time.Time, f *faulty) string {
	env := &envelope{
		channel: email, id: s.messageID(), at: now, from: m.From.Email, fromName: m.From.Name,
		subject: m.Subject, categories: m.Categories, batchID: m.BatchID, bypass: m.MailSettings.bypass(),
		sendAt: future(m.SendAt, now), caseID: caseOf(m.Categories),
	}
	body := &content{templateID: m.TemplateID, attachments: len(m.Attachments)}
	for _, c := range m.Content {
		switch c.Type {
		case "text/plain":
			body.text = c.Value
		case "text/html":
			body.html = c.Value
		}
	}
	batch := mailBatch{s: s, env: env, body: body, shared: m.CustomArgs, steering: !f.SteeringOff}
	batch.bodyHash = s.record.hash(m.Subject) ^ bits.RotateLeft64(s.record.hash(body.text), 1) ^ bits.RotateLeft64(s.record.hash(body.html), 2)
	batch.entries = make([]entry, 0, len(m.Personalizations))
	batch.details = make([]detail, 0, len(m.Personalizations))
	for i := range m.Personalizations {
		batch.person(&m.Personalizations[i], now)
	}
	env.text = batch.text.String()
	if f.MixUp {
		shiftRecipients(batch.entries)
	}
	s.store(env, batch.entries, batch.details)
	return env.id
}

// shiftRecipients gives every mail of a request the address of the next one.
func shiftRecipients(all []entry) {
	if len(all) == 0 {
		return
	}
	first := all[0]
	for i := range all {
		next := first
		if i+1 < len(all) {
			next = all[i+1]
		}
		all[i].to, all[i].addr, all[i].fate = next.to, next.addr, next.fate
	}
}

// mailBatch turns the personalizations of a request into entries.
type mailBatch struct {
	s        *Service
	env      *envelope
	body     *content
	bodyHash uint64
	shared   json.RawMessage
	steering bool
	text     strings.Builder
	entries  []entry
	details  []detail
}

func (b *mailBatch) put(s string) span {
	off := b.text.Len()
	b.text.WriteString(s)
	return span{uint32(off), uint32(len(s))}
}

func (b *mailBatch) person(p *personalization, now time.Time) {
	if p.From != nil || p.SendAt != 0 { // rare: what a person does not share gets an envelope of its own
		own := *b.env
		if p.From != nil {
			own.from, own.fromName = p.From.Email, p.From.Name
		}
		if p.SendAt != 0 {
			own.sendAt = future(p.SendAt, now)
		}
		inner := &mailBatch{s: b.s, env: &own, body: b.body, bodyHash: b.bodyHash, shared: b.shared, steering: b.steering}
		plainOne := *p
		plainOne.From, plainOne.SendAt = nil, 0
		inner.person(&plainOne, now)
		own.text = inner.text.String()
		b.entries, b.details = append(b.entries, inner.entries...), append(b.details, inner.details...)
		return
	}
	args := mergeArgs(b.shared, p.CustomArgs)
	var notice, caseID string
	_ = eachPair(args, func(key, value []byte) { // checked before
		switch string(key) {
		case "n":
			notice = plain(value)
		case "case":
			caseID = plain(value)
		}
	})
	argSpan := b.put(string(args))
	e := entry{env: b.env, args: argSpan, notice: b.s.record.hash(notice)}
	if caseID != "" {
		e.caseID = b.put(caseID)
	}
	if p.Subject != "" {
		e.extra = b.put(p.Subject)
	}
	subs := p.Substitutions
	if len(subs) == 0 {
		subs = p.TemplateData
	}
	for _, list := range [][]mailAddress{p.To, p.CC, p.BCC} {
		for _, a := range list {
			one := e
			one.to = b.put(a.Email)
			one.addr = b.s.record.addressKey(email, a.Email)
			one.what = mix(one.addr, b.bodyHash, b.s.record.hash(string(subs)))
			one.fate = b.s.lists.decide(a.Email, b.env.bypass, b.steering)
			b.entries = append(b.entries, one)
			b.details = append(b.details, detail{content: b.body, toName: a.Name, subs: subs})
		}
	}
}

// mergeArgs lays a personalization's custom arguments over those of the message.
func mergeArgs(shared, own json.RawMessage) []byte {
	if len(shared) == 0 {
		return own
	}
	if len(own) == 0 {
		return shared
	}
	all := make(map[string]string)
	for _, raw := range []json.RawMessage{shared, own} {
		_ = eachPair(raw, func(key, value []byte) { all[plain(key)] = plain(value) }) // checked before
	}
	merged, err := json.Marshal(all)
	if err != nil {
		return own
	}
	return merged
}

// future is the instant of a send_at that lies ahead, or zero.
func future(unix int64, now time.Time) time.Time {
	if at := time.Unix(unix, 0); unix > 0 && at.After(now) {
		return at
	}
	return time.Time{}
}

// caseOf finds the case among the categories of a request.
func caseOf(categories []string) string {
	for _, c := range categories {
		if id, ok := strings.CutPrefix(c, "case:"); ok {
			return id
		}
	}
	return ""
}

// messageID is an X-Message-Id: 22 characters as SendGrid's.
func (s *Service) messageID() string {
	n := s.requests.Add(1)
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], mix(s.cfg.Seed, n, 11))
	binary.BigEndian.PutUint64(b[8:], mix(s.cfg.Seed, n, 12))
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// sgMessageID is the id of one message of a request; it begins with the X-Message-Id.
func sgMessageID(e *entry, index uint32) string {
	return e.env.id + ".recvd-sandbox-" + strconv.FormatUint(uint64(index-e.env.first), 10)
}
