package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tocsin.dev/pkg/event"
)

// Headers of a dead letter, beside those of the original message.
const (
	headerReason     = "Tocsin-Dead-Reason"
	headerHandler    = "Tocsin-Dead-Handler"
	headerSubject    = "Tocsin-Dead-Subject"
	headerID         = "Tocsin-Dead-Id"
	headerDeliveries = "Tocsin-Dead-Deliveries"
	headerAt         = "Tocsin-Dead-At"
	// headerFor names the only handler that shall take a retried message.
	headerFor = "Tocsin-For"
)

// maxReason is the most bytes of an error kept with a dead letter.
const maxReason = 2000

// maxListed is how many dead letters one listing returns.
const maxListed = 1000

// ErrNoDeadLetter means that DEAD holds no letter of that number.
var ErrNoDeadLetter = errors.New("no such dead letter")

// DeadLetter is a message that was parked.
type DeadLetter struct {
	// Seq is the number of the letter in DEAD.
	Seq uint64 `json:"seq"`
	// At is when it was parked, in UTC.
	At time.Time `json:"at"`
	// Service and Handler say who gave up; Handler is the full name <service>-<name>.
	Service string `json:"service"`
	Handler string `json:"handler"`
	// Subject and ID are those of the original message.
	Subject    string `json:"subject"`
	ID         string `json:"id"`
	Reason     string `json:"reason"`
	Deliveries int    `json:"deliveries"`
	// Headers are those of the original message, repeated ones joined.
	Headers map[string]string `json:"headers,omitempty"`
	Payload []byte            `json:"payload"`
}

// bury stores a message in DEAD, once for each place it had in its stream.
func (b *Bus) bury(ctx context.Context, h Handler, m *message.Message, d delivery, reason error) error {
	text := reason.Error()
	if len(text) > maxReason {
		text = text[:maxReason]
	}
	out := &nats.Msg{Subject: event.SubjectDeadLetter(b.cfg.Service + "." + h.Name), Data: m.Payload, Header: nats.Header{}}
	for k, v := range m.Metadata {
		out.Header.Set(k, v)
	}
	out.Header.Del(headerFor)
	out.Header.Set(headerReason, oneLine(text))
	out.Header.Set(headerHandler, b.cfg.Service+"-"+h.Name)
	out.Header.Set(headerSubject, d.subject)
	out.Header.Set(headerID, m.UUID)
	out.Header.Set(headerDeliveries, strconv.FormatUint(d.count, 10))
	out.Header.Set(headerAt, b.cfg.Now().UTC().Format(time.RFC3339Nano))
	out.Header.Set(jetstream.MsgIDHeader, fmt.Sprintf("dead:%s-%s:%s:%d", b.cfg.Service, h.Name, d.stream, d.seq))
	return b.pub.store(ctx, out)
}

// oneLine keeps an error from breaking out of its header.
func oneLine(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s))
}

// DeadLetters lists the parked messages, oldest first, at most 1,000.
func (b *Bus) DeadLetters(ctx context.Context) ([]DeadLetter, error) {
	s, err := b.js.Stream(ctx, event.StreamDead)
	if err != nil {
		return nil, fmt.Errorf("list dead letters: %w", err)
	}
	var all []DeadLetter
	for seq := uint64(1); len(all) < maxListed; {
		m, err := s.GetMsg(ctx, seq, jetstream.WithGetMsgSubject(event.SubjectDead))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("list dead letters: %w", err)
		}
		all = append(all, letter(m))
		seq = m.Sequence + 1
	}
	return all, nil
}

// Show returns one dead letter, or ErrNoDeadLetter.
func (b *Bus) Show(ctx context.Context, seq uint64) (DeadLetter, error) {
	m, err := b.stored(ctx, seq)
	if err != nil {
		return DeadLetter{}, err
	}
	return letter(m), nil
}

func (b *Bus) stored(ctx context.Context, seq uint64) (*jetstream.RawStreamMsg, error) {
	s, err := b.js.Stream(ctx, event.StreamDead)
	if err != nil {
		return nil, fmt.Errorf("read dead letter %d: %w", seq, err)
	}
	m, err := s.GetMsg(ctx, seq)
	if errors.Is(err, jetstream.ErrMsgNotFound) || seq == 0 {
		return nil, fmt.Errorf("read dead letter %d: %w", seq, ErrNoDeadLetter)
	}
	if err != nil {
		return nil, fmt.Errorf("read dead letter %d: %w", seq, err)
	}
	return m, nil
}

// takeUpQuestion asks the service that parked a message to try it again.
type takeUpQuestion struct {
	Seq uint64 `json:"seq"`
}

type takeUpAnswer struct{}

// Retry asks the service that parked a message to handle it again and then
// removes the letter. Only the handler that gave up gets it. The service must
// be running, and the user must be allowed to delete from DEAD: the desk and
// the admin are.
func (b *Bus) Retry(ctx context.Context, seq uint64) error {
	l, err := b.Show(ctx, seq)
	if err != nil {
		return err
	}
	if _, err := Ask[takeUpQuestion, takeUpAnswer](ctx, b, event.AskDead(l.Service), takeUpQuestion{seq}); err != nil {
		return fmt.Errorf("retry dead letter %d: %w", seq, err)
	}
	guarded, done := b.refusals.Guard(ctx, "$JS.API.STREAM.MSG.DELETE."+event.StreamDead)
	defer done()
	s, err := b.js.Stream(guarded, event.StreamDead)
	if err == nil {
		err = s.DeleteMsg(guarded, seq)
	}
	if err != nil {
		return fmt.Errorf("remove dead letter %d after its retry: %w", seq, Explain(guarded, err))
	}
	return nil
}

// takeUp publishes a parked message of this service on its subject again, for
// its handler alone.
func (b *Bus) takeUp(ctx context.Context, q takeUpQuestion) (takeUpAnswer, error) {
	m, err := b.stored(ctx, q.Seq)
	if err != nil {
		return takeUpAnswer{}, err
	}
	l := letter(m)
	if l.Service != b.cfg.Service {
		return takeUpAnswer{}, Refuse("invalid", "dead letter %d belongs to %s", q.Seq, l.Service)
	}
	out := &nats.Msg{Subject: l.Subject, Data: l.Payload, Header: nats.Header{}}
	for k, v := range l.Headers {
		out.Header.Set(k, v)
	}
	out.Header.Set(headerFor, l.Handler)
	out.Header.Set(jetstream.MsgIDHeader, fmt.Sprintf("retry:%d:%s", l.Seq, l.ID))
	return takeUpAnswer{}, b.pub.store(ctx, out)
}

func letter(m *jetstream.RawStreamMsg) DeadLetter {
	l := DeadLetter{
		Seq: m.Sequence, At: m.Time.UTC(), Payload: m.Data, Headers: map[string]string{},
		Handler: m.Header.Get(headerHandler), Subject: m.Header.Get(headerSubject),
		ID: m.Header.Get(headerID), Reason: m.Header.Get(headerReason),
	}
	// The subject, which the server has checked, says whose letter it is.
	if p := strings.SplitN(m.Subject, ".", 4); len(p) == 4 {
		l.Service = p[2]
	}
	l.Deliveries, _ = strconv.Atoi(m.Header.Get(headerDeliveries))
	if at, err := time.Parse(time.RFC3339Nano, m.Header.Get(headerAt)); err == nil {
		l.At = at
	}
	for k, v := range m.Header {
		if !strings.HasPrefix(k, "Nats-") && !strings.HasPrefix(k, "Tocsin-Dead-") {
			l.Headers[k] = joined(v)
		}
	}
	return l
}
