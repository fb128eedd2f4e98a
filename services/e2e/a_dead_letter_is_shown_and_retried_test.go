package e2e

import (
	"encoding/json"
	"strconv"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"tocsin.dev/pkg/event"
)

// A message that no retry can help is parked with its reason, is listed on the
// command line, and can be given to its handler again.
func TestADeadLetterIsShownAndRetried(t *testing.T) {
	w := begin(t, 0)
	nc, err := w.running.NATS.Connect(event.Notice)
	w.must(err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	w.must(err)
	_, err = js.Publish(w.ctx, event.SubjectTicket("email"), []byte("this is no ticket"))
	w.must(err)

	env := map[string]string{"TOCSIN_SERVER": w.URL, "TOCSIN_TOKEN": w.Secrets("tidewater", "admin").Token}
	type letter struct {
		Seq     uint64 `json:"seq"`
		Handler string `json:"handler"`
		Reason  string `json:"reason"`
	}
	list := func() []letter {
		t.Helper()
		p := spawn(t, env, "dead", "list", "--json")
		if err := p.cmd.Wait(); err != nil {
			t.Fatalf("dead list: %v\n%s", err, p.log)
		}
		var out struct {
			Letters []letter `json:"dead_letters"`
		}
		w.must(json.Unmarshal([]byte(p.log.String()), &out))
		return out.Letters
	}
	var parked []letter
	w.eventually("the parked message", func() bool { parked = list(); return len(parked) > 0 })
	if parked[0].Handler == "" || parked[0].Reason == "" {
		t.Errorf("parked without handler or reason: %+v", parked[0])
	}
	seq := strconv.FormatUint(parked[0].Seq, 10)
	for _, args := range [][]string{{"dead", "show", seq}, {"dead", "retry", seq}} {
		p := spawn(t, env, args...)
		if err := p.cmd.Wait(); err != nil {
			t.Errorf("%v: %v\n%s", args, err, p.log)
		}
	}
	// It is no ticket the second time either: the letter is gone, and a new one stands there.
	w.eventually("the retried message to be parked again", func() bool {
		now := list()
		return len(now) == 1 && now[0].Seq != parked[0].Seq
	})
}
