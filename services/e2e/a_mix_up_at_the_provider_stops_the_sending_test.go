package e2e

import (
	"io"
	"strings"
	"testing"

	"tocsin.dev/services/desk/api/client"
	"tocsin.dev/services/sandbox"
)

// A provider that hands accepted messages to the wrong people says so in no
// answer. The organisation's canary in the batch shows it: the sending stops,
// the batch is named in the journal and on the progress page, and the canary
// counts as nobody.
func TestAMixUpAtTheProviderStopsTheSending(t *testing.T) {
	w := begin(t, 40)
	s := w.Story("tidewater", io.Discard)
	w.must(s.UpTo(w.ctx, "approve"))
	w.running.Sandbox.SetFaults(sandbox.Faults{MixUp: true})
	w.must(s.Order(w.ctx))

	bus := w.onTheBus(s)
	w.eventually("the block", func() bool { return bus.load().Orders[0].Blocked != nil })
	o := bus.load().Orders[0]
	if o.Blocked.Reason != "canary_mismatch" || !strings.HasPrefix(o.Blocked.Detail, "batch ") || strings.Contains(o.Blocked.Detail, "@") {
		t.Errorf("blocked for %s: %s", o.Blocked.Reason, o.Blocked.Detail)
	}
	res, err := w.Client("tidewater", "dpo").GetProgressWithResponse(w.ctx, s.Number(), &client.GetProgressParams{})
	w.must(err)
	if p := res.JSON200; p == nil || p.Canaries.Wrong == 0 || p.Tally.People != p.People {
		t.Errorf("progress: %s", res.Body)
	}
	check, err := w.Client("tidewater", "dpo").CheckDispatchWithResponse(w.ctx, s.Number())
	w.must(err)
	if n := check.JSON200.Canaries; n["email"] != 1 || n["sms"] != 1 {
		t.Errorf("the check page counts the canaries %v", n)
	}
}
