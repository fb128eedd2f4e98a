package e2e

import (
	"io"
	"math/rand/v2"
	"testing"
	"time"
)

// The process that holds every service and the embedded broker is killed with
// SIGKILL again and again while it sends. In the end nobody was missed and
// nobody was written to twice, by the provider's own record.
func TestAKilledProcessFinishesTheFanOut(t *testing.T) {
	const people, kills = 3000, 8
	w := begin(t, people) // in process, to import people
	w.stop()
	listen := freePort(t)
	p := startProvider(w.ctx, t, listen)
	file := writeSettings(t, p.settings(), map[string]any{
		"data_dir": w.Dir, "listen": listen, "organisations": w.settings.Organisations, "users": w.settings.Users, "sources": w.settings.Sources, "cooling": "0s",
		// What a crash leaves in doubt is settled by look-ups and, where the provider knows nothing, sent again.
		"doubt": map[string]any{"quiet": "300ms", "after": "3s", "budget": 1},
	})
	up := func() *proc {
		process := spawn(t, nil, "up", "--config", file)
		serving(w.ctx, t, listen)
		return process
	}
	process := up()
	w.URL = "http://" + listen
	s := w.Story("tidewater", io.Discard)
	w.must(s.UpTo(w.ctx, "order"))
	random := rand.New(rand.NewPCG(1, 2))
	for range kills {
		wait := time.Duration(random.IntN(250)) * time.Millisecond
		select {
		case <-time.After(wait):
		case <-w.ctx.Done():
			t.Fatal("out of time")
		}
		process.kill()
		process = up()
	}
	w.must(s.Await(w.ctx))
	r, err := s.Report(w.ctx)
	w.must(err)
	if !r.Accounted || r.InDoubt != 0 {
		t.Errorf("after %d kills: %+v", kills, r)
	}
	// Families share mailboxes, so the judge counts notices: each is one person's.
	record := p.record(w.ctx, t, s.Number())
	if record.NoticesTwice != 0 {
		t.Errorf("%d notices were accepted twice: %+v", record.NoticesTwice, record.Twice)
	}
	if int64(record.Notices) != r.Accepted {
		t.Errorf("the provider accepted %d notices and the ledger says %d", record.Notices, r.Accepted)
	}
	process.interrupt()
}
