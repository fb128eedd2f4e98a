package e2e

import (
	"io"
	"testing"

	"tocsin.dev/pkg/event"
	"tocsin.dev/services/desk/api/client"
)

// One comma after the yes, and the yes is worth nothing: the desk does not
// offer the order, and the sender refuses one that comes anyway.
func TestAChangedWordVoidsTheApproval(t *testing.T) {
	w := begin(t, 20)
	s := w.Story("tidewater", io.Discard)
	w.must(s.UpTo(w.ctx, "approve"))
	bus := w.onTheBus(s)
	approval := bus.load().Approvals[0].Approval

	text := bus.load().Texts[approval.Texts[0].TextKey]
	res, err := w.Client("tidewater", "analyst").DraftWordingWithResponse(w.ctx, s.Number(), client.DraftWordingParamsAudience(text.Audience),
		client.DraftWordingParamsChannel(text.Channel), text.Language, &client.DraftWordingParams{}, client.Draft{Subject: text.Subject, Body: text.Body + ","})
	w.must(err)
	if res.JSON200 == nil {
		t.Fatalf("could not edit: %s", res.Body)
	}
	if err := s.Order(w.ctx); err == nil {
		t.Error("the desk took an order on words that were changed after the approval")
	}
	sealed := bus.load().Latest()
	bus.append(event.Person("tidewater-dpo", "dpo"), &event.DispatchOrdered{
		Order: "stale", Kind: "first", Approval: approval.ID, Revision: sealed.Revision, ScopeDigest: sealed.Digest, Channels: approval.Channels, Confirmed: "yes"})
	w.eventually("the refusal", func() bool { o := bus.load().Order("stale"); return o != nil && o.Refused != nil })
	if n := w.running.Sandbox.Summary(s.Number(), 0).AcceptedTotal; n != 0 {
		t.Errorf("the providers accepted %d messages", n)
	}
}
