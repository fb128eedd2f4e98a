package e2e

import (
	"io"
	"testing"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/journal"
	"tocsin.dev/pkg/seal"
	"tocsin.dev/services/demo"
)

// Nothing is sent that nobody approved, not even if someone who holds the
// desk's own credentials publishes the order straight on the bus.
func TestUnapprovedWordingIsNeverSent(t *testing.T) {
	w := begin(t, 40)
	s := w.Story("tidewater", io.Discard)
	w.must(s.UpTo(w.ctx, "draft"))
	bus := w.onTheBus(s)
	sealed := bus.load().Latest()

	for name, c := range map[string]struct {
		approval *event.Approval
		sign     func(event.Approval) event.Signature
		reason   string
	}{
		"no approval at all":             {nil, nil, "no_approval"},
		"an approval that nobody signed": {bus.approval("a-unsigned"), func(event.Approval) event.Signature { return event.Signature{} }, ""},
		"an approval signed by a stranger": {bus.approval("a-stranger"), func(a event.Approval) event.Signature {
			stranger, err := seal.Generate()
			w.must(err)
			digest, err := seal.Digest(a)
			w.must(err)
			return stranger.Sign(digest)
		}, ""},
	} {
		id := "none"
		if c.approval != nil {
			id = c.approval.ID
			bus.append(event.Person("tidewater-legal", "legal"), &event.WordingApproved{Approval: *c.approval, Signature: c.sign(*c.approval)})
		}
		order := "forged-" + id
		bus.append(event.Person("tidewater-dpo", "dpo"), &event.DispatchOrdered{
			Order: order, Kind: "first", Approval: id, Revision: sealed.Revision, ScopeDigest: sealed.Digest, Channels: []string{"email", "sms"}, Confirmed: "yes"})
		w.eventually("the refusal of "+name, func() bool { o := bus.load().Order(order); return o != nil && o.Refused != nil })
		if got := bus.load().Order(order).Refused; c.reason != "" && got.Reason != c.reason {
			t.Errorf("%s: refused for %q (%s), want %q", name, got.Reason, got.Detail, c.reason)
		}
	}
	if n := w.running.Sandbox.Summary(s.Number(), 0).AcceptedTotal; n != 0 {
		t.Errorf("the providers accepted %d messages that nobody approved", n)
	}
}

// onBus acts as somebody who holds the desk's credentials for the bus.
type onBus struct {
	w       *world
	story   *demo.Story
	journal *journal.Journal
}

func (w *world) onTheBus(s *demo.Story) *onBus {
	w.t.Helper()
	nc, err := w.running.NATS.Connect(event.Desk)
	w.must(err)
	w.t.Cleanup(nc.Close)
	j, err := journal.New(nc, journal.Config{})
	w.must(err)
	return &onBus{w: w, story: s, journal: j}
}

func (b *onBus) load() *casefile.Case {
	b.w.t.Helper()
	c, err := b.journal.Load(b.w.ctx, "tidewater", b.story.Number())
	b.w.must(err)
	return c
}

// append says an event, reading again while others append too.
func (b *onBus) append(who event.Actor, body event.Body) {
	b.w.t.Helper()
	id := event.NewID()
	b.w.eventually("the append of "+string(body.EventType()), func() bool {
		e, err := event.New(id, time.Now(), "tidewater", b.story.Number(), who, body)
		b.w.must(err)
		_, err = b.journal.Append(b.w.ctx, "tidewater", b.story.Number(), b.load().Seq, e)
		return err == nil
	})
}

// approval describes exactly what stands, as an honest approver would.
func (b *onBus) approval(id string) *event.Approval {
	c := b.load()
	sealed := c.Latest()
	a := &event.Approval{
		ID: id, Org: "tidewater", Case: b.story.Number(), Kind: "first", SheetDigest: c.SheetDigest(), Revision: sealed.Revision, ScopeDigest: sealed.Digest,
		Channels: []string{"email", "sms"}, ValidFrom: time.Now().Add(-time.Minute), ValidUntil: time.Now().Add(time.Hour),
		Approver: "tidewater-legal", Role: "legal", ApprovedAt: time.Now().UTC(),
	}
	for _, t := range c.Texts {
		a.Texts = append(a.Texts, event.ApprovedText{TextKey: t.TextKey, Digest: t.Digest})
	}
	return a
}
