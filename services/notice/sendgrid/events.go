package sendgrid

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/sendgrid/sendgrid-go/helpers/eventwebhook"

	"tocsin.dev/services/notice/carrier"
)

// MaxEvents bounds one webhook request; SendGrid sends at most 768 KB.
const MaxEvents = 4 << 20

// Verifier checks the signature of event webhooks with one or more keys, so
// that a key can be changed without losing events.
type Verifier struct {
	keys   []*ecdsa.PublicKey
	maxAge time.Duration
}

// NewVerifier reads public keys as SendGrid shows them: base64 of the DER form.
// Requests whose timestamp is more than maxAge away are refused; SendGrid
// repeats an event for 24 h with a fresh timestamp. 0 means ten minutes.
func NewVerifier(maxAge time.Duration, keys ...string) (*Verifier, error) {
	if maxAge <= 0 {
		maxAge = 10 * time.Minute
	}
	v := &Verifier{maxAge: maxAge}
	for i, k := range keys {
		key, err := parseKey(k)
		if err != nil {
			return nil, fmt.Errorf("sendgrid webhook key %d: %w", i+1, err)
		}
		v.keys = append(v.keys, key)
	}
	if len(v.keys) == 0 {
		return nil, errors.New("sendgrid webhook: no verification key: set notice.sendgrid.webhook_key")
	}
	return v, nil
}

// parseKey guards the helper, which panics on a key that is not ECDSA.
func parseKey(s string) (key *ecdsa.PublicKey, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("not an ECDSA key")
		}
	}()
	return eventwebhook.ConvertPublicKeyBase64ToECDSA(s)
}

// The headers of a webhook request that Verify takes.
const (
	SignatureHeader = eventwebhook.VerificationHTTPHeader
	TimestampHeader = eventwebhook.TimestampHTTPHeader
)

// Verify reports whether a body with this signature and timestamp comes from SendGrid.
func (v *Verifier) Verify(signature, stamp string, body []byte, now time.Time) bool {
	unix, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || now.Sub(time.Unix(unix, 0)).Abs() > v.maxAge {
		return false
	}
	for _, k := range v.keys {
		if ok, err := eventwebhook.VerifySignature(k, body, signature, stamp); err == nil && ok {
			return true
		}
	}
	return false
}

// ErrEvents means that a verified body is not an array of events.
var ErrEvents = errors.New("sendgrid events: not a JSON array of objects")

// ReadEvents calls f for every event of a body that carries our arguments, and
// stranger for every event without them (or with ones that are not ours), with
// the vendor's message id and the plain address. Nothing of the address may be
// kept but a keyed hash.
func ReadEvents(body []byte, f func(carrier.Receipt), stranger func(r carrier.Receipt, address string)) error {
	s := scanner{b: body}
	if !s.open('[') {
		return ErrEvents
	}
	for first := true; ; first = false {
		if s.open(']') {
			return nil
		}
		if !first && !s.open(',') {
			return ErrEvents
		}
		if !s.open('{') {
			return ErrEvents
		}
		if err := s.event(f, stranger); err != nil {
			return err
		}
	}
}

type fields struct {
	event, kind, status, reason, notice, attempt, message, email []byte
	at                                                           int64
}

func (s *scanner) event(f func(carrier.Receipt), stranger func(carrier.Receipt, string)) error {
	var e fields
	for first := true; !s.open('}'); first = false {
		if !first && !s.open(',') {
			return ErrEvents
		}
		key, ok := s.str()
		if !ok || !s.open(':') {
			return ErrEvents
		}
		if !s.field(string(key), &e) { // does not allocate: only compared
			return ErrEvents
		}
	}
	r := carrier.Receipt{At: time.Unix(e.at, 0).UTC(), Message: plain(e.message), To: carrier.AddressHash(plain(e.email))}
	r.Meaning, r.Code = meaningOf(plain(e.event), plain(e.kind), plain(e.status), plain(e.reason))
	if r.Meaning == carrier.Ignored {
		return nil
	}
	var err error
	if r.Notice, err = carrier.ParseID(plain(e.notice)); err == nil {
		r.Attempt, r.Pos, err = carrier.ParseAttempt(plain(e.attempt))
	}
	if err != nil {
		stranger(r, plain(e.email))
		return nil
	}
	f(r)
	return nil
}

func (s *scanner) field(key string, e *fields) bool {
	var into *[]byte
	switch key {
	case "timestamp":
		n, ok := s.number()
		e.at = n
		return ok
	case "event":
		into = &e.event
	case "type":
		into = &e.kind
	case "status":
		into = &e.status
	case "reason":
		into = &e.reason
	case "n":
		into = &e.notice
	case "b":
		into = &e.attempt
	case "sg_message_id":
		into = &e.message
	case "email":
		into = &e.email
	default:
		return s.skip()
	}
	if s.peek() != '"' {
		return s.skip()
	}
	v, ok := s.str()
	*into = v
	return ok
}

// scanner reads JSON in place; webhooks are the busiest path of all, and
// encoding/json costs ten times as much.
type scanner struct {
	b []byte
	i int
}

func (s *scanner) peek() byte {
	for s.i < len(s.b) {
		switch c := s.b[s.i]; c {
		case ' ', '\t', '\r', '\n':
			s.i++
		default:
			return c
		}
	}
	return 0
}

func (s *scanner) open(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.i++
	return true
}

// str reads a string and returns its still escaped inside.
func (s *scanner) str() ([]byte, bool) {
	if !s.open('"') {
		return nil, false
	}
	start := s.i
	for {
		j := bytes.IndexByte(s.b[s.i:], '"')
		if j < 0 {
			return nil, false
		}
		s.i += j + 1
		back := 0
		for k := s.i - 2; k >= start && s.b[k] == '\\'; k-- {
			back++
		}
		if back%2 == 0 {
			return s.b[start : s.i-1], true
		}
	}
}

// number reads a whole number; any other value is passed over as 0.
func (s *scanner) number() (int64, bool) {
	s.peek()
	start := s.i
	if !s.skip() {
		return 0, false
	}
	n, err := strconv.ParseInt(string(s.b[start:s.i]), 10, 64)
	if err != nil {
		return 0, true
	}
	return n, true
}

// skip passes over one value of any kind.
func (s *scanner) skip() bool {
	switch c := s.peek(); c {
	case '"':
		_, ok := s.str()
		return ok
	case '{', '[':
		return s.nested()
	default:
		start := s.i
		for s.i < len(s.b) && bytes.IndexByte([]byte(",]} \t\r\n"), s.b[s.i]) < 0 {
			s.i++
		}
		return s.i > start
	}
}

func (s *scanner) nested() bool {
	for depth := 0; s.i < len(s.b); {
		switch s.b[s.i] {
		case '"':
			if _, ok := s.str(); !ok {
				return false
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				s.i++
				return true
			}
		}
		s.i++
	}
	return false
}

// plain undoes the escapes of a string.
func plain(inside []byte) string {
	if bytes.IndexByte(inside, '\\') < 0 {
		return string(inside)
	}
	var s string
	if json.Unmarshal(append(append([]byte{'"'}, inside...), '"'), &s) != nil {
		return ""
	}
	return s
}
