package e2e

import (
	"io"
	"testing"
	"time"

	"tocsin.dev/pkg/casefile"
)

// The process is down while a due instant passes. After the restart the miss
// is said, once, and the due instant is the one computed before.
func TestADeadlineSurvivesARestart(t *testing.T) {
	now := &clock{}
	w := begin(t, 0, func(w *world) { w.options.Now = now.Now })
	s := w.Story("tidewater", io.Discard)
	w.must(s.UpTo(w.ctx, "duties"))
	bus := w.onTheBus(s)
	before := map[string]time.Time{}
	for id, d := range bus.load().Duties {
		if d.Due != nil {
			before[id] = *d.Due
		}
	}
	if len(before) == 0 {
		t.Fatal("no duty has a due instant")
	}
	w.stop()
	now.add(100 * time.Hour)
	w.restart()
	bus = w.onTheBus(s)
	w.eventually("every duty to be missed", func() bool {
		for id := range before {
			if bus.load().Duties[id].State != casefile.DutyMissed {
				return false
			}
		}
		return true
	})
	entries, err := bus.journal.Entries(w.ctx, "tidewater", s.Number())
	w.must(err)
	missed := 0
	for _, e := range entries {
		if e.Type.Name() == "duty.missed" {
			missed++
		}
	}
	if missed != len(before) {
		t.Errorf("%d misses were said for %d duties", missed, len(before))
	}
	for id, due := range before {
		if got := bus.load().Duties[id].Due; !got.Equal(due) {
			t.Errorf("%s was due %v and is now due %v", id, due, got)
		}
	}
}
