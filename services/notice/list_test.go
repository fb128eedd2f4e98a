package notice

import (
	"strings"
	"testing"
	"time"

	"tocsin.dev/pkg/casefile"
)

// After a restart of everything notice asks before scope answers. It must
// neither lose its turn for the length of a lease nor give up.
func TestPlanningGoesOnAsSoonAsScopeAnswers(t *testing.T) {
	t.Parallel()
	r := newRig(t, testPeople(20), func(c *Config) { c.Lease = time.Hour })
	r.stopScope()
	r.start("a")
	r.prepare()
	r.approveAndOrder("email")
	eventually(t, "saying that planning waits for scope", time.Minute, func() bool {
		r.logMu.Lock()
		defer r.logMu.Unlock()
		return strings.Contains(r.logs.String(), "planning waits for scope")
	})
	r.startScope()
	r.await("telling everybody", time.Minute, func(c *casefile.Case) bool {
		return len(c.Orders) > 0 && c.Orders[0].Tally != nil && c.Orders[0].Tally.Told == 20
	})
}
