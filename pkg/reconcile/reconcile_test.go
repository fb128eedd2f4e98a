package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/goleak"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/bus/bustest"
	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/journal"
	"tocsin.dev/pkg/natsd"
	"tocsin.dev/pkg/reconcile"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const org = "acme"

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// clock is a clock that tests set.
type clock struct{ at atomic.Int64 }

func newClock(t time.Time) *clock { c := &clock{}; c.at.Store(t.UnixNano()); return c }

func (c *clock) now() time.Time          { return time.Unix(0, c.at.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.at.Add(int64(d)) }

func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func open(t testing.TB, srv *bustest.Server, service string) *journal.Journal {
	t.Helper()
	return over(t, srv.Connect(t, service))
}

func over(t testing.TB, nc *nats.Conn) *journal.Journal {
	t.Helper()
	j, err := journal.New(nc, journal.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// say appends bodies in the name of a person, whatever else happens to the case.
func say(t testing.TB, desk *journal.Journal, caseID string, bodies ...event.Body) {
	t.Helper()
	sayIn(within(t, 20*time.Second), t, desk, caseID, bodies...)
}

func sayIn(ctx context.Context, t testing.TB, desk *journal.Journal, caseID string, bodies ...event.Body) {
	t.Helper()
	for {
		var seq uint64
		c, err := desk.Load(ctx, org, caseID)
		switch {
		case err == nil:
			seq = c.Seq
		case !errors.Is(err, journal.ErrNotFound):
			t.Fatal(err)
		}
		events := make([]event.Event, len(bodies))
		for i, b := range bodies {
			if events[i], err = event.New(event.NewID(), noon, org, caseID, event.Person("ana", "analyst"), b); err != nil {
				t.Fatal(err)
			}
		}
		if _, err = desk.Append(ctx, org, caseID, seq, events...); err == nil {
			return
		}
		if !errors.Is(err, journal.ErrConflict) {
			t.Fatal(err)
		}
	}
}

func declare(t testing.TB, desk *journal.Journal, caseID string) {
	t.Helper()
	say(t, desk, caseID, event.CaseDeclared{Title: "stolen backup", AwareAt: noon, AwareZone: "UTC"})
}

func runner(t testing.TB, j *journal.Journal, service string, decide reconcile.Func, change ...func(*reconcile.Config)) *reconcile.Runner {
	t.Helper()
	cfg := reconcile.Config{Service: service, Journal: j, Decide: decide, Log: slog.New(slog.DiscardHandler), SweepEvery: time.Hour}
	for _, c := range change {
		c(&cfg)
	}
	r, err := reconcile.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// waitFor follows a case until it is as wanted.
func waitFor(t testing.TB, j *journal.Journal, caseID, what string, want func(*casefile.Case) bool) *casefile.Case {
	t.Helper()
	ctx := within(t, 20*time.Second)
	done := errors.New("as wanted")
	var got *casefile.Case
	c := casefile.New()
	err := j.Follow(ctx, org, caseID, 0, func(e casefile.Entry) error {
		c.Apply(e)
		if want(&c) {
			got = c.Clone()
			return done
		}
		return nil
	})
	if !errors.Is(err, done) {
		t.Fatalf("case %s never came to %s (%v)", caseID, what, err)
	}
	return got
}

// dutyForEveryFact opens one duty for every fact and says when it is missed.
func dutyForEveryFact(_ context.Context, c *casefile.Case, now time.Time) (d reconcile.Decision, err error) {
	due := c.Declared.AwareAt.Add(72 * time.Hour)
	for _, f := range c.FactHistory {
		switch duty := c.Duties[f.Key]; {
		case duty == nil && !planned(d.Events, f.Key):
			d.Events = append(d.Events, event.DutyOpened{Duty: event.Duty{ID: f.Key, Due: &due}})
		case duty != nil && duty.MissedDue == nil && !now.Before(due):
			d.Events = append(d.Events, event.DutyMissed{Duty: f.Key, Due: due})
		}
	}
	if now.Before(due) {
		d.Wake = due
	}
	return d, nil
}

func planned(events []event.Body, id string) bool {
	for _, e := range events {
		if o, ok := e.(event.DutyOpened); ok && o.Duty.ID == id {
			return true
		}
	}
	return false
}

func at(c *clock) func(*reconcile.Config) { return func(cfg *reconcile.Config) { cfg.Now = c.now } }

func TestAnEventPokesTheReconciler(t *testing.T) {
	srv := bustest.Start(t)
	desk := open(t, srv, event.Desk)
	bustest.Run(t, runner(t, open(t, srv, event.Deadline), event.Deadline, dutyForEveryFact, at(newClock(noon))))
	declare(t, desk, "2026-001")
	say(t, desk, "2026-001", event.FactStated{Key: "encryption", Value: "none"})
	c := waitFor(t, desk, "2026-001", "an open duty", func(c *casefile.Case) bool { return len(c.Duties) == 1 })
	if c.Duties["encryption"].State != casefile.DutyOpen {
		t.Errorf("the duty is %s", c.Duties["encryption"].State)
	}
}

func TestTheSweepFindsWhatHappenedWhileNobodyRan(t *testing.T) {
	srv := bustest.Start(t)
	desk := open(t, srv, event.Desk)
	declare(t, desk, "2026-001")
	say(t, desk, "2026-001", event.FactStated{Key: "encryption"})
	bustest.Run(t, runner(t, open(t, srv, event.Deadline), event.Deadline, dutyForEveryFact, at(newClock(noon))))
	waitFor(t, desk, "2026-001", "an open duty", func(c *casefile.Case) bool { return len(c.Duties) == 1 })
}

func TestTheSweepLeavesClosedCasesAlone(t *testing.T) {
	srv := bustest.Start(t)
	desk := open(t, srv, event.Desk)
	declare(t, desk, "2026-001")
	say(t, desk, "2026-001", event.CaseClosed{Reason: "done"})
	declare(t, desk, "2026-002")
	looked := make(chan string, 10)
	r := runner(t, open(t, srv, event.Deadline), event.Deadline, func(_ context.Context, c *casefile.Case, _ time.Time) (reconcile.Decision, error) {
		looked <- c.Number
		return reconcile.Decision{}, nil
	}, func(c *reconcile.Config) { c.SweepEvery = 20 * time.Millisecond })
	bustest.Run(t, r)
	for range 3 {
		if n := <-looked; n != "2026-002" {
			t.Errorf("the sweep looked at %s", n)
		}
	}
}

func TestADeadlineWakesTheReconciler(t *testing.T) {
	srv := bustest.Start(t)
	desk, clock := open(t, srv, event.Desk), newClock(noon)
	settled := make(chan struct{}, 100)
	bustest.Run(t, runner(t, open(t, srv, event.Deadline), event.Deadline, func(ctx context.Context, c *casefile.Case, now time.Time) (reconcile.Decision, error) {
		d, err := dutyForEveryFact(ctx, c, now)
		if len(c.Duties) == 1 && len(d.Events) == 0 && !d.Wake.IsZero() {
			settled <- struct{}{}
		}
		return d, err
	}, at(clock)))
	say(t, desk, "2026-001", event.CaseDeclared{AwareAt: noon}, event.FactStated{Key: "encryption"})
	<-settled // nothing will poke the case again: only time can
	clock.advance(72 * time.Hour)
	waitFor(t, desk, "2026-001", "a missed duty", func(c *casefile.Case) bool {
		return c.Duties["encryption"] != nil && c.Duties["encryption"].MissedDue != nil
	})
}

func TestADeadlineThatPassedWhileNobodyRanIsNotForgotten(t *testing.T) {
	srv := bustest.Start(t)
	desk, clock := open(t, srv, event.Desk), newClock(noon)
	declare(t, desk, "2026-001")
	say(t, desk, "2026-001", event.FactStated{Key: "encryption"})
	stop := bustest.Run(t, runner(t, open(t, srv, event.Deadline), event.Deadline, dutyForEveryFact, at(clock)))
	waitFor(t, desk, "2026-001", "an open duty", func(c *casefile.Case) bool { return len(c.Duties) == 1 })
	stop()
	srv.Close()
	clock.advance(100 * time.Hour)
	srv = bustest.Open(t, srv.Dir)
	bustest.Run(t, runner(t, open(t, srv, event.Deadline), event.Deadline, dutyForEveryFact, at(clock)))
	waitFor(t, open(t, srv, event.Desk), "2026-001", "a missed duty", func(c *casefile.Case) bool {
		return c.Duties["encryption"] != nil && c.Duties["encryption"].MissedDue != nil
	})
}

func TestAConflictDecidesAgainOnTheNewState(t *testing.T) {
	srv := bustest.Start(t)
	desk := open(t, srv, event.Desk)
	declare(t, desk, "2026-001")
	say(t, desk, "2026-001", event.FactStated{Key: "first"})
	var once sync.Once
	r := runner(t, open(t, srv, event.Deadline), event.Deadline, func(ctx context.Context, c *casefile.Case, now time.Time) (reconcile.Decision, error) {
		once.Do(func() { sayIn(ctx, t, desk, "2026-001", event.FactStated{Key: "second"}) })
		return dutyForEveryFact(ctx, c, now)
	}, at(newClock(noon)))
	bustest.Run(t, r)
	waitFor(t, desk, "2026-001", "two duties", func(c *casefile.Case) bool { return len(c.Duties) == 2 })
	entries, err := desk.Entries(within(t, 5*time.Second), org, "2026-001")
	if err != nil || len(entries) != 5 {
		t.Errorf("%d events (%v), want 5: a declaration, two facts, two duties", len(entries), err)
	}
}

func TestOneCaseIsLookedAtByOneGoroutineAndManyCasesAtOnce(t *testing.T) {
	srv := bustest.Start(t)
	desk := open(t, srv, event.Desk)
	for i := range 4 {
		declare(t, desk, fmt.Sprint("case-", i))
	}
	var mu sync.Mutex
	inWork := map[string]int{}
	all := make(chan struct{})
	var opened sync.Once
	looks := make(chan struct{}, 1000)
	var r *reconcile.Runner
	r = runner(t, open(t, srv, event.Deadline), event.Deadline, func(ctx context.Context, c *casefile.Case, _ time.Time) (reconcile.Decision, error) {
		mu.Lock()
		inWork[c.Number]++
		if inWork[c.Number] > 1 {
			t.Errorf("two looks at %s at once", c.Number)
		}
		if len(inWork) == 4 {
			opened.Do(func() { close(all) })
		}
		mu.Unlock()
		r.Poke(c.Org, c.Number) // while it is looked at
		select {
		case <-all: // the four cases are in work together
		case <-ctx.Done():
			t.Error("the four cases were not looked at at once")
		}
		mu.Lock()
		inWork[c.Number]--
		mu.Unlock()
		select {
		case looks <- struct{}{}:
		default:
		}
		return reconcile.Decision{}, nil
	}, func(c *reconcile.Config) { c.Timeout = 5 * time.Second })
	bustest.Run(t, r)
	for range 100 {
		<-looks
	}
}

func TestReplicasTogetherSayEverythingOnce(t *testing.T) {
	srv := bustest.Start(t)
	desk, clock := open(t, srv, event.Desk), newClock(noon)
	var stops []func()
	for range 3 {
		stops = append(stops, bustest.Run(t, runner(t, open(t, srv, event.Deadline), event.Deadline, dutyForEveryFact, at(clock),
			func(c *reconcile.Config) { c.SweepEvery = 5 * time.Millisecond })))
	}
	declare(t, desk, "2026-001")
	for i := range 20 {
		say(t, desk, "2026-001", event.FactStated{Key: fmt.Sprint("fact-", i)})
	}
	waitFor(t, desk, "2026-001", "twenty duties", func(c *casefile.Case) bool { return len(c.Duties) == 20 })
	for _, stop := range stops {
		stop()
	}
	entries, err := desk.Entries(within(t, 5*time.Second), org, "2026-001")
	if err != nil || len(entries) != 41 {
		t.Errorf("%d events (%v), want 41", len(entries), err)
	}
}

func TestAPanicAndAnErrorAreTriedAgain(t *testing.T) {
	srv := bustest.Start(t)
	desk := open(t, srv, event.Desk)
	var n atomic.Int32
	bustest.Run(t, runner(t, open(t, srv, event.Deadline), event.Deadline, func(ctx context.Context, c *casefile.Case, now time.Time) (reconcile.Decision, error) {
		switch n.Add(1) {
		case 1:
			panic("a bug")
		case 2:
			return reconcile.Decision{}, errors.New("the inventory is down")
		}
		return dutyForEveryFact(ctx, c, now)
	}, at(newClock(noon))))
	say(t, desk, "2026-001", event.CaseDeclared{AwareAt: noon}, event.FactStated{Key: "encryption"})
	waitFor(t, desk, "2026-001", "an open duty", func(c *casefile.Case) bool { return len(c.Duties) == 1 })
}

func TestAFinishedJobAsksForAnotherLook(t *testing.T) {
	srv := bustest.Start(t)
	desk := open(t, srv, event.Desk)
	declare(t, desk, "2026-001")
	var sealed atomic.Bool
	var r *reconcile.Runner
	r = runner(t, open(t, srv, event.Scope), event.Scope, func(_ context.Context, c *casefile.Case, _ time.Time) (d reconcile.Decision, err error) {
		if len(c.Sealed) > 0 {
			return d, nil
		}
		if sealed.CompareAndSwap(false, true) {
			go r.Poke(c.Org, c.Number) // the job
			return d, nil
		}
		d.Events = []event.Body{event.ScopeSealed{Revision: 1}}
		return d, nil
	})
	bustest.Run(t, r)
	waitFor(t, desk, "2026-001", "a sealed list", func(c *casefile.Case) bool { return len(c.Sealed) == 1 })
}

func TestAServiceThatSaysWhatIsNotItsOwnAppendsNothing(t *testing.T) {
	srv := bustest.Start(t)
	desk := open(t, srv, event.Desk)
	declare(t, desk, "2026-001")
	failed := make(chan struct{}, 100)
	bustest.Run(t, runner(t, open(t, srv, event.Notice), event.Notice, func(context.Context, *casefile.Case, time.Time) (reconcile.Decision, error) {
		failed <- struct{}{}
		return reconcile.Decision{Events: []event.Body{event.ApprovalRefused{Order: "o"}, event.ScopeSealed{}}}, nil
	}))
	<-failed
	<-failed // the second look is the first one's retry: by then nothing had been appended
	if entries, err := desk.Entries(within(t, 5*time.Second), org, "2026-001"); err != nil || len(entries) != 1 {
		t.Errorf("%d events (%v), want 1", len(entries), err)
	}
}

func TestAReconcilerThatNeverSettlesIsSlowedDown(t *testing.T) {
	srv := bustest.Start(t)
	desk := open(t, srv, event.Desk)
	declare(t, desk, "2026-001")
	j := open(t, srv, event.Notice)
	var looks atomic.Int32
	paused := make(chan struct{})
	stop := bustest.Run(t, runner(t, j, event.Notice, func(context.Context, *casefile.Case, time.Time) (reconcile.Decision, error) {
		if looks.Add(1) == 100 {
			close(paused)
		}
		return reconcile.Decision{Events: []event.Body{event.DispatchProgressed{Order: "o"}}}, nil
	}))
	<-paused
	<-time.After(time.Second) // what is measured is how little happens in a second
	stop()
	if n := looks.Load(); n > 110 {
		t.Errorf("%d looks in the second after the hundredth", n-100)
	}
}

func TestTheTraceGoesOnThroughTheJournal(t *testing.T) {
	srv := bustest.Start(t)
	spans := tracetest.NewSpanRecorder()
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	nc := srv.Connect(t, event.Deadline)
	b, err := bus.New(nc, bus.Config{Service: event.Deadline, Tracer: tracers})
	if err != nil {
		t.Fatal(err)
	}
	desk := open(t, srv, event.Desk)
	declare(t, desk, "2026-000")
	swept := make(chan struct{}, 10)
	stop := bustest.Run(t, runner(t, over(t, nc), event.Deadline, func(ctx context.Context, c *casefile.Case, now time.Time) (reconcile.Decision, error) {
		if c.Number == "2026-000" {
			swept <- struct{}{}
		}
		return dutyForEveryFact(ctx, c, now)
	}, at(newClock(noon)), func(c *reconcile.Config) { c.Bus = b }))
	<-swept // from here only a poke brings news, and it carries the trace
	ctx, root := tracers.Tracer("test").Start(within(t, 10*time.Second), "declare")
	sayIn(ctx, t, desk, "2026-001", event.CaseDeclared{AwareAt: noon}, event.FactStated{Key: "encryption"})
	root.End()
	waitFor(t, desk, "2026-001", "an open duty", func(c *casefile.Case) bool { return len(c.Duties) == 1 })
	stop()
	found := false
	for _, s := range spans.Ended() {
		if s.Name() == "reconcile deadline" {
			found = true
			if s.SpanContext().TraceID() != root.SpanContext().TraceID() {
				t.Error("the reconciler's span is in another trace")
			}
		}
	}
	if !found {
		t.Error("the reconciler opened no span")
	}
}

func TestAStuckLookDoesNotHoldTheRunnerLongerThanItsGrace(t *testing.T) {
	srv := bustest.Start(t)
	desk := open(t, srv, event.Desk)
	declare(t, desk, "2026-001")
	begun := make(chan struct{}, 10)
	r := runner(t, open(t, srv, event.Deadline), event.Deadline, func(ctx context.Context, _ *casefile.Case, _ time.Time) (reconcile.Decision, error) {
		begun <- struct{}{}
		<-ctx.Done()
		return reconcile.Decision{}, ctx.Err()
	}, func(c *reconcile.Config) { c.Grace = 100 * time.Millisecond })
	stop := bustest.Run(t, r)
	<-begun
	started := time.Now()
	stop()
	if took := time.Since(started); took > 2*time.Second {
		t.Errorf("stopping took %v", took)
	}
	r.Poke(org, "2026-001") // after the end: without effect
}

func TestARunningReconcilerGoesOnAfterTheServerWasRestarted(t *testing.T) {
	dir := t.TempDir()
	secrets := map[string]string{natsd.Admin: "admin-secret", event.Desk: "desk-secret", event.Deadline: "deadline-secret"}
	srv, err := natsd.Start(within(t, 10*time.Second), natsd.Config{Dir: dir, Listen: "127.0.0.1:0", Users: secrets})
	if err != nil {
		t.Fatal(err)
	}
	address := srv.Address()
	connect := func(user string) *nats.Conn {
		nc, err := nats.Connect("nats://"+address, natsd.ClientOptions(user, secrets[user])...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		return nc
	}
	if err := bus.EnsureStreams(within(t, 10*time.Second), connect(natsd.Admin), 1); err != nil {
		t.Fatal(err)
	}
	desk := over(t, connect(event.Desk))
	bustest.Run(t, runner(t, over(t, connect(event.Deadline)), event.Deadline, dutyForEveryFact, at(newClock(noon)),
		func(c *reconcile.Config) { c.SweepEvery = 500 * time.Millisecond }))
	say(t, desk, "2026-001", event.CaseDeclared{AwareAt: noon}, event.FactStated{Key: "before"})
	waitFor(t, desk, "2026-001", "an open duty", func(c *casefile.Case) bool { return len(c.Duties) == 1 })
	srv.Close()
	srv, err = natsd.Start(within(t, 10*time.Second), natsd.Config{Dir: dir, Listen: address, Users: secrets})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	say(t, desk, "2026-001", event.FactStated{Key: "after"})
	waitFor(t, desk, "2026-001", "two open duties", func(c *casefile.Case) bool { return len(c.Duties) == 2 })
}

func TestAReplicaThatStopsGivesItsPokesToTheOthers(t *testing.T) {
	const cases = 20
	srv := bustest.Start(t)
	desk := open(t, srv, event.Desk)
	held := make(chan struct{}, 100)
	stop := bustest.Run(t, runner(t, open(t, srv, event.Deadline), event.Deadline, func(ctx context.Context, _ *casefile.Case, _ time.Time) (reconcile.Decision, error) {
		held <- struct{}{}
		<-ctx.Done()
		return reconcile.Decision{}, ctx.Err()
	}, func(c *reconcile.Config) { c.Concurrency, c.Grace = 1, 10*time.Millisecond }))
	bustest.Run(t, runner(t, open(t, srv, event.Deadline), event.Deadline, func(_ context.Context, c *casefile.Case, _ time.Time) (d reconcile.Decision, err error) {
		if len(c.Duties) == 0 {
			d.Events = append(d.Events, event.DutyOpened{Duty: event.Duty{ID: "d"}})
		}
		return d, nil
	}))
	for i := range cases { // one poke a case: the replicas share them, and one sits on its share
		declare(t, desk, fmt.Sprint("case-", i))
	}
	<-held
	stop()
	for i := range cases {
		waitFor(t, desk, fmt.Sprint("case-", i), "an open duty", func(c *casefile.Case) bool { return len(c.Duties) == 1 })
	}
}
