package sandbox

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"io"
	"math/bits"
	"net/http"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// Headers of SendGrid's signed event webhook.
const (
	signatureHeader = "X-Twilio-Email-Event-Webhook-Signature"
	timestampHeader = "X-Twilio-Email-Event-Webhook-Timestamp"
)

// postEvents delivers one batch of email events. A batch that is not answered 2xx goes back into
// the outbox and is tried again with growing pauses, for RetryFor.
func (s *Service) postEvents(ctx context.Context, steps []step) {
	hook := *s.hook.Load()
	if hook == "" {
		return
	}
	if s.faults.Load().Receipts.Shuffled {
		slices.SortFunc(steps, func(a, b step) int {
			return compare(mix(1, uint64(a.message), uint64(a.to)), mix(1, uint64(b.message), uint64(b.to)))
		})
	}
	body := s.eventBody(steps)
	stamp := strconv.FormatInt(s.cfg.Now().Unix(), 10)
	sum := sha256.New()
	sum.Write([]byte(stamp))
	sum.Write(body)
	signature, err := s.cfg.SigningKey.Sign(rand.Reader, sum.Sum(nil), nil)
	if err != nil {
		s.log.ErrorContext(ctx, "sign event webhook", "error", err)
		return
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, hook, bytes.NewReader(body))
	if err != nil {
		s.log.ErrorContext(ctx, "event webhook address", "error", err)
		return
	}
	req.Header.Set("Content-Type", "application/json;charset=utf-8")
	req.Header.Set("User-Agent", "SendGrid Event API")
	req.Header.Set(signatureHeader, base64.StdEncoding.EncodeToString(signature))
	req.Header.Set(timestampHeader, stamp)
	if status, err := s.deliver(req); err == nil && status/100 == 2 {
		s.stats.callbacksDelivered.Add(int64(len(steps)))
		return
	} else if ctx.Err() == nil {
		s.log.DebugContext(ctx, "event webhook not taken", "status", status, "error", err, "events", len(steps))
	}
	s.again(s.events, steps, s.cfg.RetryFor)
}

func compare(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// again puts what was not taken back into its outbox, each step after a longer
// pause, until its message is older than limit.
func (s *Service) again(from *outbox, steps []step, limit time.Duration) {
	s.stats.callbacksFailed.Add(int64(len(steps)))
	now := s.cfg.Now()
	kept := steps[:0]
	for _, st := range steps {
		pause := min(s.cfg.RetryBase<<min(st.try, 20), s.cfg.RetryMax)
		if st.try < 255 {
			st.try++
		}
		s.record.mu.Lock()
		live := st.era == s.record.era && st.message < s.record.count
		expired := live && now.Sub(s.record.at(st.message).env.at) > limit
		s.record.mu.Unlock()
		if !live || expired {
			s.stats.receiptsGivenUp.Add(1)
			continue
		}
		st.at = now.Add(pause).UnixNano()
		kept = append(kept, st)
	}
	from.push(kept...)
}

// deliver makes one callback request and drains its answer.
func (s *Service) deliver(req *http.Request) (status int, err error) {
	resp, err := s.cfg.HTTPClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // the answer's text means nothing
	return resp.StatusCode, nil
}

// eventBody is the JSON array of a batch, in the form of SendGrid's event webhook.
func (s *Service) eventBody(steps []step) []byte {
	b := make([]byte, 0, 420*len(steps))
	b = append(b, '[')
	s.record.mu.Lock()
	defer s.record.mu.Unlock()
	for _, st := range steps {
		if st.era != s.record.era || st.message >= s.record.count {
			continue
		}
		if len(b) > 1 {
			b = append(b, ",\r\n"...)
		}
		b = s.appendEvent(b, st)
	}
	return append(b, "]\r\n"...)
}

func (s *Service) appendEvent(b []byte, st step) []byte {
	e := s.record.at(st.message)
	b = append(b, `{"email":`...)
	b = appendJSON(b, e.piece(e.to))
	b = append(b, `,"timestamp":`...)
	b = strconv.AppendInt(b, st.at/int64(time.Second), 10)
	b = append(b, `,"smtp-id":"<`...)
	b = append(b, e.env.id...)
	b = append(b, `@sandbox.invalid>","sg_event_id":"`...)
	b = append(b, s.eventID(st)...)
	b = append(b, `","sg_message_id":"`...)
	b = append(b, sgMessageID(e, st.message)...)
	b = append(b, '"')
	b = appendOutcome(b, e, st.to)
	if len(e.env.categories) > 0 {
		b = append(b, `,"category":[`...)
		for i, c := range e.env.categories {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSON(b, c)
		}
		b = append(b, ']')
	}
	if args := e.piece(e.args); len(args) > 2 && st.flags&stepWithoutArgs == 0 {
		inner := bytes.TrimSpace([]byte(args)[1 : len(args)-1])
		if len(inner) > 0 {
			b = append(append(b, ','), inner...)
		}
	}
	return append(b, '}')
}

// appendOutcome writes the event's name and what belongs to it alone.
func appendOutcome(b []byte, e *entry, to state) []byte {
	field := func(name, value string) {
		b = append(append(append(b, ',', '"'), name...), '"', ':')
		b = appendJSON(b, value)
	}
	switch to {
	case bounced:
		field("event", "bounce")
		field("type", "bounce")
		field("status", "5.1.1")
		field("bounce_classification", "Invalid Address")
		field("reason", e.reason(to))
	case blocked:
		field("event", "bounce")
		field("type", "blocked")
		field("status", "4.7.1")
		field("bounce_classification", "Reputation")
		field("reason", e.reason(to))
	case deferred:
		field("event", "deferred")
		field("attempt", "1")
		field("response", e.reason(to))
	case delivered:
		field("event", "delivered")
		field("response", e.reason(to))
		field("ip", "192.0.2.1")
		b = append(b, `,"tls":1`...)
	case complained:
		field("event", "spamreport")
	case dropped, cancelled:
		field("event", "dropped")
		field("reason", e.reason(to))
	default:
		field("event", "processed")
		if !e.env.sendAt.IsZero() {
			b = append(b, `,"send_at":`...)
			b = strconv.AppendInt(b, e.env.sendAt.Unix(), 10)
		}
	}
	return b
}

// eventID is stable over retries, so that a receiver can tell a repeat; the third of a tripled
// receipt gets another one.
func (s *Service) eventID(st step) string {
	n := uint64(st.message)<<16 | uint64(st.to)<<8 | uint64(st.era)
	if st.flags&stepNewID != 0 {
		n = bits.Reverse64(n) | 1
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], mix(s.cfg.Seed, n, 31))
	binary.BigEndian.PutUint64(b[8:], mix(s.cfg.Seed, n, 32))
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// appendJSON appends a JSON string; what needs no escape, which is nearly everything, costs a copy.
func appendJSON(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf || c == 0x7f {
			quoted, err := json.Marshal(s)
			if err != nil { // a string always encodes
				return append(b, `""`...)
			}
			return append(b, quoted...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}
