package bus

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tocsin.dev/pkg/natsd"
)

// perTopic makes a stream for every topic, since the suite publishes the same
// message ids on several topics and a stream stores an id once.
type perTopic struct {
	*publisher
	*subscriber
	js   jetstream.JetStream
	made *sync.Map
}

func (p perTopic) ensure(topic string) error {
	if _, done := p.made.LoadOrStore(topic, true); done {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return ensure(ctx, topic, func() error {
		_, err := p.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: topic, Subjects: []string{topic}, Discard: jetstream.DiscardNew, Duplicates: workWindow})
		return err
	})
}

func (p perTopic) Publish(topic string, msgs ...*message.Message) error {
	if err := p.ensure(topic); err != nil {
		return err
	}
	return p.publisher.Publish(topic, msgs...)
}

func (p perTopic) SubscribeInitialize(topic string) error { return p.ensure(topic) }

func (p perTopic) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	if err := p.ensure(topic); err != nil {
		return nil, err
	}
	return p.subscriber.Subscribe(ctx, topic)
}

// Close closes whichever half the suite was given; the other is closed with the test.
func (p perTopic) Close() error { return p.subscriber.Close() }

type onlyPublisher struct{ perTopic }

func (p onlyPublisher) Close() error { return p.publisher.Close() }

// TestTheAdapterPassesWatermillsConformanceSuite holds the adapter against the
// suite that Watermill publishes for every Pub/Sub. Delivery is at least once,
// order holds with one worker in one subscriber, and a consumer group that
// already read a message does not read it again.
func TestTheAdapterPassesWatermillsConformanceSuite(t *testing.T) {
	srv, err := natsd.Start(t.Context(), natsd.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	features := tests.Features{
		ConsumerGroups: true, ExactlyOnceDelivery: false,
		GuaranteedOrder: false, GuaranteedOrderWithSingleSubscriber: true,
		Persistent: true, NewSubscriberReceivesOldMessages: false,
	}
	withGroup := func(t *testing.T, group string) (message.Publisher, message.Subscriber) {
		nc := connect(t, srv, natsd.Admin)
		js, err := jetstream.New(nc, jetstream.WithPublishAsyncTimeout(publishTimeout))
		if err != nil {
			t.Fatal(err)
		}
		both := perTopic{&publisher{js: js, refusals: WatchRefusals(nc)}, newSubscriber(js, conformanceConfig(group)), js, new(sync.Map)}
		return onlyPublisher{both}, both
	}
	tests.TestPubSub(t, features, func(t *testing.T) (message.Publisher, message.Subscriber) {
		return withGroup(t, "suite")
	}, withGroup)
}

func conformanceConfig(group string) subscriberConfig {
	return subscriberConfig{
		consumer: func(topic string) (string, string) { return topic, group },
		workers:  1, ackWait: 5 * time.Second,
		backoff: func(uint64) time.Duration { return time.Millisecond },
		grace:   100 * time.Millisecond, log: slog.New(slog.DiscardHandler),
	}
}

func connect(t testing.TB, srv *natsd.Server, user string) *nats.Conn {
	t.Helper()
	nc, err := srv.Connect(user)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}
