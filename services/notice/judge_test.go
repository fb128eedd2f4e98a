package notice

import (
	"testing"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
)

// A page in work when the stop came gives its rows back afterwards. They must
// not wait for ever: the stop is carried out again until nothing waits.
func TestRowsGivenBackAfterAStopAreStoppedToo(t *testing.T) {
	o := &casefile.Order{DispatchOrdered: event.DispatchOrdered{Order: "o1"}, Stopped: true, State: casefile.OrderStopped, Planned: &event.DispatchPlanned{}}
	now := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	back := view{plan: &plan{state: planStopped}, tally: event.Tally{People: 2, Pending: 1, States: map[string]map[string]int64{"email": {"planned": 1, "stopped": 1}}}}
	if do, _, wake := judge(o, back, now); do != actStop || wake.IsZero() {
		t.Errorf("with a row given back: act %v, wake %v; want the stop again, and soon", do, wake)
	}
	done := view{plan: &plan{state: planStopped}, tally: event.Tally{People: 2, Excluded: 2, States: map[string]map[string]int64{"email": {"stopped": 2}}}}
	if do, _, _ := judge(o, done, now); do == actStop {
		t.Error("with nothing waiting the stop is carried out for ever")
	}
}
