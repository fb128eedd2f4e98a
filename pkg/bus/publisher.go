package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/propagation"
)

// publishTimeout bounds a publish whose context has no deadline, and tryTimeout
// one attempt of it: a publish is repeated under its id when the answer is lost.
const (
	publishTimeout = 10 * time.Second
	tryTimeout     = 3 * time.Second
)

// publisher is the sending half of the Watermill adapter. The topic is the
// subject and the message's UUID is its dedupe id.
type publisher struct {
	js       jetstream.JetStream
	refusals *Refusals
}

// Publish implements message.Publisher: it returns when every message is stored.
func (p *publisher) Publish(topic string, msgs ...*message.Message) error {
	if len(msgs) == 1 {
		return p.store(msgs[0].Context(), outgoing(topic, msgs[0]))
	}
	futures := make([]jetstream.PubAckFuture, len(msgs))
	for i, m := range msgs {
		f, err := p.js.PublishMsgAsync(outgoing(topic, m), jetstream.WithStallWait(publishTimeout))
		if err != nil {
			return fmt.Errorf("publish on %s: %w", topic, err)
		}
		futures[i] = f
	}
	for i, f := range futures {
		if err := p.await(msgs[i].Context(), topic, f); err != nil {
			return fmt.Errorf("publish on %s: %w", topic, err)
		}
	}
	return nil
}

func (p *publisher) await(ctx context.Context, topic string, f jetstream.PubAckFuture) error {
	ctx, done := p.refusals.Guard(ctx, topic)
	defer done()
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	select {
	case <-f.Ok():
		return nil
	case err := <-f.Err():
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Close implements message.Publisher. The connection is the caller's.
func (p *publisher) Close() error { return nil }

// store publishes one message and awaits its storage. The id makes a repeat
// harmless, so a lost answer is tried again until ctx ends.
func (p *publisher) store(ctx context.Context, m *nats.Msg) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, publishTimeout)
		defer cancel()
	}
	guarded, done := p.refusals.Guard(ctx, m.Subject)
	defer done()
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		try, cancel := context.WithTimeout(guarded, tryTimeout)
		_, err := p.js.PublishMsg(try, m)
		cancel()
		if err == nil {
			return nil
		}
		if err = Explain(guarded, err); guarded.Err() != nil || !worthRepeating(err) {
			return fmt.Errorf("publish on %s: %w", m.Subject, err)
		}
		select {
		case <-guarded.Done():
			return fmt.Errorf("publish on %s: %w", m.Subject, Explain(guarded, err))
		case <-time.After(wait):
		}
	}
}

func worthRepeating(err error) bool {
	return passing(err) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout) ||
		errors.Is(err, nats.ErrDisconnected) || errors.Is(err, nats.ErrConnectionReconnecting)
}

func outgoing(topic string, m *message.Message) *nats.Msg {
	out := &nats.Msg{Subject: topic, Data: m.Payload, Header: nats.Header{}}
	for k, v := range m.Metadata {
		out.Header.Set(k, v)
	}
	Inject(m.Context(), out.Header)
	out.Header.Set(jetstream.MsgIDHeader, m.UUID)
	return out
}

// Inject writes the W3C trace context of ctx into the headers. The names stay
// in lower case, as the recommendation writes them.
func Inject(ctx context.Context, h nats.Header) {
	propagation.TraceContext{}.Inject(ctx, carrier(h))
}

// Extract returns ctx with the trace context of the headers.
func Extract(ctx context.Context, h nats.Header) context.Context {
	return propagation.TraceContext{}.Extract(ctx, carrier(h))
}

// carrier reads and writes NATS headers, whose names keep their case. A
// repeated header is one list.
type carrier nats.Header

// Get implements propagation.TextMapCarrier.
func (c carrier) Get(key string) string { return joined(nats.Header(c).Values(key)) }

// Set implements propagation.TextMapCarrier.
func (c carrier) Set(key, value string) { nats.Header(c).Set(key, value) }

// Keys implements propagation.TextMapCarrier.
func (c carrier) Keys() []string {
	keys := make([]string, 0, len(c))
	for k := range c {
		keys = append(keys, k)
	}
	return keys
}
