package bus_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/bus/bustest"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/natsd"
)

func TestAnUnchangedConsumerIsNotMadeAgainAndAChangedOneIs(t *testing.T) {
	srv := bustest.Start(t)
	admin := srv.Connect(t, natsd.Admin)
	made, err := admin.SubscribeSync("$JS.API.CONSUMER.CREATE.>")
	if err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(admin)
	if err != nil {
		t.Fatal(err)
	}
	ensure := func(ackWait time.Duration) (requests int) {
		t.Helper()
		c, err := bus.EnsureConsumer(t.Context(), js, event.StreamDispatch, jetstream.ConsumerConfig{
			Durable: "one", FilterSubject: event.SubjectTicket("email"), DeliverPolicy: jetstream.DeliverAllPolicy,
			AckPolicy: jetstream.AckExplicitPolicy, AckWait: ackWait, MaxDeliver: -1, MaxAckPending: 20_000,
		})
		if err != nil {
			t.Fatal(err)
		}
		if info, err := c.Info(t.Context()); err != nil || info.Config.AckWait != ackWait {
			t.Errorf("the consumer waits %v, want %v; %v", info.Config.AckWait, ackWait, err)
		}
		if err := admin.Flush(); err != nil {
			t.Fatal(err)
		}
		for n, _, err := made.Pending(); n > 0 && err == nil; n, _, err = made.Pending() {
			if _, err := made.NextMsg(time.Second); err != nil {
				t.Fatal(err)
			}
			requests++
		}
		return requests
	}
	for i, c := range []struct {
		ackWait  time.Duration
		requests int
	}{{time.Minute, 1}, {time.Minute, 0}, {2 * time.Minute, 1}, {2 * time.Minute, 0}} {
		if got := ensure(c.ackWait); got != c.requests {
			t.Errorf("call %d made %d requests, want %d", i+1, got, c.requests)
		}
	}
}
