package e2e

import (
	"io"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/natsd"
)

// Every ticket is delivered again after the sending is over, as a broker may.
// No message leaves a second time.
func TestARedeliveredEventSendsNoSecondMessage(t *testing.T) {
	w := begin(t, 200)
	s := w.Story("tidewater", io.Discard)
	w.must(s.UpTo(w.ctx, "await"))
	before := w.running.Sandbox.Summary(s.Number(), 0).AcceptedTotal

	admin, err := w.running.NATS.Connect(natsd.Admin)
	w.must(err)
	defer admin.Close()
	js, err := jetstream.New(admin)
	w.must(err)
	stream, err := js.Stream(w.ctx, event.StreamDispatch)
	w.must(err)
	info, err := stream.Info(w.ctx)
	w.must(err)
	again := 0
	for seq := info.State.FirstSeq; seq <= info.State.LastSeq && seq > 0; seq++ {
		m, err := stream.GetMsg(w.ctx, seq)
		w.must(err)
		_, err = js.Publish(w.ctx, m.Subject, m.Data) // no dedupe id: a new delivery of old work
		w.must(err)
		again++
	}
	if again == 0 {
		t.Fatal("there was no ticket to deliver again")
	}
	w.eventually("the tickets to be worked off", func() bool {
		for c := range stream.ListConsumers(w.ctx).Info() {
			if c.NumPending > 0 || c.NumAckPending > 0 {
				return false
			}
		}
		return true
	})
	if after := w.running.Sandbox.Summary(s.Number(), 0).AcceptedTotal; after != before {
		t.Errorf("the providers accepted %d messages before and %d after", before, after)
	}
	w.restart() // the reconcilers look at everything once more; the record of the new sandbox is empty
	_, err = s.Report(w.ctx)
	w.must(err)
	if n := w.running.Sandbox.Summary(s.Number(), 0).AcceptedTotal; n != 0 {
		t.Errorf("after a restart %d messages left again", n)
	}
}
