package reconcile_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"tocsin.dev/pkg/bus/bustest"
	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/journal"
	"tocsin.dev/pkg/reconcile"
)

// linkAccepted confirms every accepted alert once.
func linkAccepted(_ context.Context, c *casefile.Case, _ time.Time) (d reconcile.Decision, err error) {
	seen := map[string]bool{}
	for _, a := range c.AcceptedAlerts {
		if _, linked := c.Linked[a]; !linked && !seen[a] {
			seen[a] = true
			d.Events = append(d.Events, event.AlertLinked{Alert: a})
		}
	}
	return d, nil
}

// refuseWhatIsLinked says something that depends on what another service said.
func refuseWhatIsLinked(_ context.Context, c *casefile.Case, _ time.Time) (d reconcile.Decision, err error) {
	for _, a := range c.AcceptedAlerts {
		if _, linked := c.Linked[a]; linked && c.Refused[a] == "" && !slices.ContainsFunc(d.Events, func(b event.Body) bool {
			return b.(event.ScopeRefused).Statement == a
		}) {
			d.Events = append(d.Events, event.ScopeRefused{Statement: a, Reason: "as linked"})
		}
	}
	return d, nil
}

// TestAnyInterleavingDuplicationAndRestartGivesTheSameJournal lets rapid choose
// when people speak, when replicas of three services start and stop, and who
// is poked in vain. In the end the journal holds what people said and every
// conclusion exactly once.
func TestAnyInterleavingDuplicationAndRestartGivesTheSameJournal(t *testing.T) {
	srv := bustest.Start(t)
	desk, clock := open(t, srv, event.Desk), newClock(noon)
	heart := map[string]reconcile.Func{event.Intake: linkAccepted, event.Deadline: dutyForEveryFact, event.Scope: refuseWhatIsLinked}
	services := []string{event.Intake, event.Deadline, event.Scope}
	journals := map[string]*journal.Journal{}
	for _, s := range services {
		journals[s] = open(t, srv, s)
	}
	var number atomic.Int32
	rapid.Check(t, func(rt *rapid.T) {
		caseID := fmt.Sprint("case-", number.Add(1))
		running := map[string][]*replica{}
		defer func() {
			for _, all := range running {
				for _, r := range all {
					r.stop()
				}
			}
		}()
		start := func(s string) {
			r := runner(t, journals[s], s, heart[s], at(clock))
			running[s] = append(running[s], startReplica(r))
		}
		want := map[string]int{string(event.TypeCaseDeclared): 1}
		declare(t, desk, caseID)
		for range rapid.IntRange(3, 15).Draw(rt, "steps") {
			s := rapid.SampledFrom(services).Draw(rt, "service")
			switch rapid.SampledFrom([]string{"fact", "alert", "both", "start", "stop", "poke"}).Draw(rt, "step") {
			case "fact":
				k := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "fact")
				say(t, desk, caseID, event.FactStated{Key: k})
				want[string(event.TypeFactStated)]++
				want["duty "+k] = 1
			case "alert":
				a := rapid.SampledFrom([]string{"x", "y"}).Draw(rt, "alert")
				say(t, desk, caseID, event.AlertAccepted{Alert: a})
				want[string(event.TypeAlertAccepted)]++
				want["link "+a], want["refusal "+a] = 1, 1
			case "both":
				say(t, desk, caseID, event.FactStated{Key: "a"}, event.AlertAccepted{Alert: "x"})
				want[string(event.TypeFactStated)]++
				want[string(event.TypeAlertAccepted)]++
				want["duty a"], want["link x"], want["refusal x"] = 1, 1, 1
			case "start":
				start(s)
			case "stop":
				if n := len(running[s]); n > 0 {
					running[s][n-1].stop()
					running[s] = running[s][:n-1]
				}
			case "poke":
				for _, r := range running[s] {
					r.Poke(org, caseID)
				}
			}
		}
		for _, s := range services {
			if len(running[s]) == 0 {
				start(s)
			}
		}
		total := 0
		for _, n := range want {
			total += n
		}
		settled := 0
		waitFor(t, desk, caseID, fmt.Sprint(total, " events"), func(*casefile.Case) bool { settled++; return settled == total })
		for _, all := range running {
			for _, r := range all {
				r.stop()
			}
		}
		if diff := cmp.Diff(want, content(t, desk, caseID)); diff != "" {
			rt.Fatalf("the journal differs (-want +got):\n%s", diff)
		}
	})
}

type replica struct {
	*reconcile.Runner
	cancel context.CancelFunc
	ended  chan struct{}
}

func startReplica(r *reconcile.Runner) *replica {
	ctx, cancel := context.WithCancel(context.Background())
	p := &replica{r, cancel, make(chan struct{})}
	go func() {
		defer close(p.ended)
		_ = r.Run(ctx)
	}()
	return p
}

func (p *replica) stop() { p.cancel(); <-p.ended }

// content counts what a journal holds, without its order.
func content(t *testing.T, j *journal.Journal, caseID string) map[string]int {
	t.Helper()
	entries, err := j.Entries(within(t, 10*time.Second), org, caseID)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, e := range entries {
		body, err := event.Decode(e.Event)
		if err != nil {
			t.Fatal(err)
		}
		switch b := body.(type) {
		case *event.DutyOpened:
			got["duty "+b.Duty.ID]++
		case *event.AlertLinked:
			got["link "+b.Alert]++
		case *event.ScopeRefused:
			got["refusal "+b.Statement]++
		default:
			got[string(e.Type)]++
		}
	}
	return got
}
