package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// subscriber is the receiving half of the Watermill adapter: one durable pull
// consumer, and as many messages in work as there are workers. Every message
// that has left the server is in the hands of a worker that tells the server so
// until it is acknowledged, so no message waits in a buffer and comes twice.
type subscriber struct {
	js  jetstream.JetStream
	cfg subscriberConfig

	closing chan struct{}
	once    sync.Once
	wg      sync.WaitGroup
}

type subscriberConfig struct {
	// consumer names the stream and the durable consumer of a topic, which is
	// the subject filter.
	consumer func(topic string) (stream, durable string)
	workers  int
	ackWait  time.Duration
	// backoff is the pause before the next delivery after n deliveries.
	backoff func(n uint64) time.Duration
	// grace is how long messages in work may go on after Close.
	grace time.Duration
	log   *slog.Logger
}

func newSubscriber(js jetstream.JetStream, cfg subscriberConfig) *subscriber {
	return &subscriber{js: js, cfg: cfg, closing: make(chan struct{})}
}

// Subscribe implements message.Subscriber. The consumer is made if it does not
// exist and stays when the subscriber closes.
func (s *subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	select {
	case <-s.closing:
		return nil, fmt.Errorf("subscribe to %s: the subscriber is closed", topic)
	default:
	}
	if err := s.consumer(ctx, topic); err != nil {
		return nil, err
	}
	out := make(chan *message.Message)
	stop := make(chan struct{}) // closed when ctx ends or the subscriber closes
	var workers sync.WaitGroup
	for range s.cfg.workers {
		workers.Go(func() { s.work(ctx, topic, out, stop) })
	}
	s.wg.Go(func() {
		select {
		case <-ctx.Done():
		case <-s.closing:
		}
		close(stop)
		workers.Wait()
		close(out)
	})
	return out, nil
}

// consumer makes or finds the durable consumer. MaxDeliver stays unlimited: the
// server would park a message without a word.
func (s *subscriber) consumer(ctx context.Context, topic string) error {
	stream, name := s.cfg.consumer(topic)
	_, err := EnsureConsumer(ctx, s.js, stream, jetstream.ConsumerConfig{
		Durable: name, FilterSubject: topic, DeliverPolicy: jetstream.DeliverAllPolicy,
		AckPolicy: jetstream.AckExplicitPolicy, AckWait: s.cfg.ackWait,
		MaxDeliver: -1, MaxAckPending: 20_000, MaxWaiting: 4096,
	})
	return err
}

// work is one worker: it pulls one message at a time and sees it through.
func (s *subscriber) work(ctx context.Context, topic string, out chan<- *message.Message, stop <-chan struct{}) {
	lifetime := context.WithoutCancel(ctx) // handlers finish after ctx ends
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		started := time.Now()
		err := s.pull(lifetime, topic, out, stop)
		if err == nil {
			return
		}
		if time.Since(started) > time.Minute {
			wait = 50 * time.Millisecond
		}
		s.cfg.log.Warn("consumer interrupted", "subject", topic, "error", err)
		select {
		case <-stop:
			return
		case <-time.After(wait):
		}
		s.remake(lifetime, topic)
	}
}

// remake makes the consumer again, in case it was lost with its server.
func (s *subscriber) remake(ctx context.Context, topic string) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := s.consumer(ctx, topic); err != nil {
		s.cfg.log.Warn("make a consumer again", "subject", topic, "error", err)
	}
}

// pull asks the server for one message after the other until stop (nil) or
// until the consumer fails. It does not use the client's iterator: with one
// message at a time nats.go 1.55.0 forgets to ask again when the answer comes
// before it has noted that it asked, and then waits out the 30 s of its
// heartbeat (pull.go, fetchInProgress).
func (s *subscriber) pull(ctx context.Context, topic string, out chan<- *message.Message, stop <-chan struct{}) error {
	nc := s.js.Conn()
	sub, err := nc.SubscribeSync(nc.NewInbox())
	if err != nil {
		return fmt.Errorf("pull messages: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan struct{})
	var watcher sync.WaitGroup
	defer watcher.Wait()
	defer close(ended)
	watcher.Go(func() {
		select {
		case <-stop:
			cancel()
		case <-ended:
		}
	})
	stream, durable := s.cfg.consumer(topic)
	for waiting.Err() == nil {
		if n, _, err := sub.Pending(); err == nil && n == 0 {
			if err := nc.PublishRequest("$JS.API.CONSUMER.MSG.NEXT."+stream+"."+durable, sub.Subject, pullRequest); err != nil {
				return fmt.Errorf("pull messages: %w", err)
			}
		}
		m, err := answered(waiting, sub)
		if waiting.Err() != nil && m == nil {
			break
		}
		if err != nil {
			return fmt.Errorf("pull messages: %w", err)
		}
		if m != nil {
			s.see(ctx, m, out, stop)
		}
	}
	s.handBack(ctx, sub)
	return nil
}

// pullBeat is how often the server says that it still holds our request. Two
// beats missed, as after a change of leader, and we ask again.
const pullBeat = 3 * time.Second

// pullRequest asks for one message and waits for half a minute (ADR-13).
var pullRequest = fmt.Appendf(nil, `{"batch":1,"expires":%d,"idle_heartbeat":%d}`, 30*time.Second, pullBeat)

// answered waits for the answer to a request. It returns nil without an error
// when the request ended without a message.
func answered(ctx context.Context, sub *nats.Subscription) (*nats.Msg, error) {
	for {
		beat, cancel := context.WithTimeout(ctx, 2*pullBeat)
		m, err := sub.NextMsgWithContext(beat)
		cancel()
		switch {
		case err != nil && ctx.Err() != nil, errors.Is(err, context.DeadlineExceeded):
			return nil, nil
		case err != nil:
			return nil, err
		}
		switch status, why := m.Header.Get("Status"), m.Header.Get("Description"); {
		case status == "" || len(m.Data) > 0:
			return m, nil
		case status == "100":
		case status == "404" || status == "408":
			return nil, nil
		default: // the consumer is gone, has moved, or has too many waiting
			return nil, fmt.Errorf("the server answered %s %s", status, why)
		}
	}
}

// handBack gives back what the server sends while we stop asking.
func (s *subscriber) handBack(ctx context.Context, sub *nats.Subscription) {
	if err := sub.Drain(); err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	for {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return
		}
		if m.Header.Get("Status") == "" {
			s.settled(m.Nak())
		}
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// see hands one message out and settles it with the server.
func (s *subscriber) see(ctx context.Context, m *nats.Msg, out chan<- *message.Message, stop <-chan struct{}) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	meta, err := m.Metadata()
	if err != nil {
		s.cfg.log.Error("message without JetStream metadata", "subject", m.Subject, "error", err)
		return
	}
	msg := received(ctx, m, meta)
	beat := time.NewTicker(s.cfg.ackWait / 3)
	defer beat.Stop()
	handed, stopping, deadline := out, stop, (<-chan time.Time)(nil)
	if isClosed(stop) {
		handed = nil
	}
	for {
		select {
		case handed <- msg:
			handed = nil
			out = nil
		case <-msg.Acked():
			s.settled(m.Ack())
			return
		case <-msg.Nacked():
			s.settled(m.NakWithDelay(s.cfg.backoff(meta.NumDelivered)))
			return
		case <-stopping:
			if out != nil { // nobody has begun: give it back for the next
				s.settled(m.Nak())
				return
			}
			stopping = nil
			t := time.NewTimer(s.cfg.grace)
			defer t.Stop()
			deadline = t.C
		case <-deadline:
			s.settled(m.NakWithDelay(s.cfg.backoff(meta.NumDelivered)))
			return
		case <-beat.C:
			s.settled(m.InProgress())
		}
	}
}

// settled logs an acknowledgement that could not be sent. The server will
// deliver the message again, which handlers must bear anyway.
func (s *subscriber) settled(err error) {
	if err != nil {
		s.cfg.log.Warn("acknowledge a message", "error", err)
	}
}

// Close implements message.Subscriber. It waits for the messages in work, at
// most the grace.
func (s *subscriber) Close() error {
	s.once.Do(func() { close(s.closing) })
	s.wg.Wait()
	return nil
}

// delivery is what a handler's middleware may ask about a message's transport.
type delivery struct {
	stream  string
	subject string
	seq     uint64
	count   uint64
	header  nats.Header
}

type deliveryKey struct{}

func deliveryOf(ctx context.Context) (delivery, bool) {
	d, ok := ctx.Value(deliveryKey{}).(delivery)
	return d, ok
}

// Sequence returns the sequence in its stream of the message that a handler's
// context belongs to, and 0 outside of a handler.
func Sequence(ctx context.Context) uint64 {
	d, _ := deliveryOf(ctx)
	return d.seq
}

// received turns a JetStream message into a Watermill message. A header that
// is repeated, as tracestate may be, becomes one list (RFC 9110, 5.3).
func received(ctx context.Context, m *nats.Msg, meta *nats.MsgMetadata) *message.Message {
	h := m.Header
	id := h.Get(jetstream.MsgIDHeader)
	if id == "" {
		id = fmt.Sprintf("%s:%d", meta.Stream, meta.Sequence.Stream)
	}
	msg := message.NewMessage(id, m.Data)
	for k, v := range h {
		if !strings.HasPrefix(k, "Nats-") {
			msg.Metadata.Set(k, strings.Join(v, ","))
		}
	}
	d := delivery{stream: meta.Stream, subject: m.Subject, seq: meta.Sequence.Stream, count: meta.NumDelivered, header: h}
	msg.SetContext(context.WithValue(ctx, deliveryKey{}, d))
	return msg
}
