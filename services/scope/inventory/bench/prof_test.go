package bench

import (
	"testing"
	"time"
	"tocsin.dev/services/scope/inventory"
)

func TestProf(t *testing.T) {
	r := &run{o: Options{People: 500_000, Seed: 1, Dir: t.TempDir()}, report: func(s Step) { t.Log(s) }}
	if err := r.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := start()
	for range 40 {
		if _, err := r.store.Preview(t.Context(), org, Exposures(3), inventory.Policy{RetentionMonths: 36}); err != nil {
			t.Fatal(err)
		}
	}
	t.Log(c.step("40 previews", 0))
	_ = time.Now
}
