package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/journal"
)

// Decision is what a service concludes from a case.
type Decision struct {
	// Events are missing from the journal; they are appended together or not at all.
	Events []event.Body
	// Wake is when time alone will next change the answer; zero means never.
	Wake time.Time
}

// Func decides. It may run at any time, any number of times, and for an old
// state; it returns no events once the case is as it should be. Long work is a
// job of its own that calls Runner.Poke when it is done.
type Func func(ctx context.Context, c *casefile.Case, now time.Time) (Decision, error)

// Config is what a runner needs of its service.
type Config struct {
	Service string
	Journal *journal.Journal
	// Bus lends its tracer; it may be nil.
	Bus    *bus.Bus
	Decide Func
	Now    func() time.Time
	Log    *slog.Logger
	// SweepEvery is the time between two looks at every open case; 0 means 1 minute.
	SweepEvery time.Duration
	// Concurrency is how many cases are looked at at once; 0 means 8.
	Concurrency int
	// Timeout bounds one look at a case; 0 means 1 minute.
	Timeout time.Duration
	// Grace is how long looks in progress may go on after Run's context ends; 0 means 5 s.
	Grace time.Duration
}

const (
	defaultSweep       = time.Minute
	defaultConcurrency = 8
	defaultTimeout     = time.Minute
	defaultGrace       = 5 * time.Second
	// conflictLimit is how often one look starts again before it waits its turn.
	conflictLimit = 20
	// restless is how many looks in a row may add events to a case before the
	// runner takes the function for one that never settles, and slows it down.
	restless = 100
)

// Runner looks at cases. Make it with New and start it with Run.
type Runner struct {
	cfg    Config
	tracer trace.Tracer
	says   []event.Type

	q     *queue
	ready chan struct{}
}

// New returns a runner, which does nothing before Run.
func New(cfg Config) (*Runner, error) {
	if cfg.Service == "" || cfg.Journal == nil || cfg.Decide == nil {
		return nil, errors.New("make a reconciler: a service name, a journal and a function to decide are needed")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.SweepEvery <= 0 {
		cfg.SweepEvery = defaultSweep
	}
	if cfg.Concurrency <= 0 {
		cfg.Concurrency = defaultConcurrency
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.Grace <= 0 {
		cfg.Grace = defaultGrace
	}
	var tracers trace.TracerProvider = noop.NewTracerProvider()
	if cfg.Bus != nil {
		tracers = cfg.Bus.Tracer()
	}
	return &Runner{
		cfg: cfg, tracer: tracers.Tracer("tocsin.dev/pkg/reconcile"), says: event.Says(cfg.Service),
		q: newQueue(), ready: make(chan struct{}),
	}, nil
}

// Poke asks for another look at a case, as a finished job does. It never waits
// and may be called at any time; before Run it is remembered, after Run it is
// without effect.
func (r *Runner) Poke(org, caseID string) {
	if event.ValidToken(org) && event.ValidToken(caseID) {
		r.q.add(ref{org, caseID}, nil)
	}
}

// Ready is closed once Run hears pokes: no event after that is missed.
func (r *Runner) Ready() <-chan struct{} { return r.ready }

// Run looks at cases until ctx ends, waits for the looks in progress, at most
// the grace, and returns nil. It runs once.
func (r *Runner) Run(ctx context.Context) error {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var lookers, feeders sync.WaitGroup
	for range r.cfg.Concurrency {
		lookers.Go(func() {
			for {
				t, ok := r.q.take()
				if !ok {
					return
				}
				r.look(work, t)
			}
		})
	}
	feeders.Go(func() { r.hear(ctx) })
	feeders.Go(func() { r.sweep(ctx) })
	feeders.Go(func() { r.wake(ctx) })
	<-ctx.Done()
	feeders.Wait()
	r.q.close()
	ended := make(chan struct{})
	go func() { lookers.Wait(); close(ended) }()
	select {
	case <-ended:
		return nil
	case <-time.After(r.cfg.Grace):
		cancel()
	}
	select {
	case <-ended:
		return nil
	case <-time.After(time.Second):
		return fmt.Errorf("reconciler of %s: a look at a case did not end within %v", r.cfg.Service, r.cfg.Grace+time.Second)
	}
}

// look examines one case once and settles what follows.
func (r *Runner) look(ctx context.Context, t task) {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	defer cancel()
	ctx, span := r.span(ctx, t)
	defer span.End()
	wake, appended, err := r.settle(ctx, t)
	if err == nil && appended && t.streak >= restless {
		err = fmt.Errorf("%d looks in a row added events: the reconciler does not settle", t.streak)
	}
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
		r.cfg.Log.ErrorContext(ctx, "reconcile failed; will try again", "service", r.cfg.Service,
			"org", t.ref.org, "case", t.ref.id, "failures", t.failures+1, "error", err)
	}
	if soonest := r.cfg.Now().Add(time.Second); !wake.IsZero() && wake.Before(soonest) {
		wake = soonest // a wake-up in the past would spin
	}
	r.q.done(t, outcome{wake: wake, appended: appended, failed: err != nil})
}

// span continues the trace of whoever poked. A look without one, as in a
// sweep, opens none: a sweep is not a story.
func (r *Runner) span(ctx context.Context, t task) (context.Context, trace.Span) {
	ctx = bus.Extract(ctx, t.header)
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return ctx, noop.Span{}
	}
	return r.tracer.Start(ctx, "reconcile "+r.cfg.Service, trace.WithAttributes(
		attribute.String("tocsin.org", t.ref.org), attribute.String("tocsin.case", t.ref.id)))
}

// settle loads, decides and appends until nobody else came first.
func (r *Runner) settle(ctx context.Context, t task) (wake time.Time, appended bool, err error) {
	for range conflictLimit {
		c, err := r.cfg.Journal.Load(ctx, t.ref.org, t.ref.id)
		if errors.Is(err, journal.ErrNotFound) {
			return time.Time{}, false, nil
		}
		if err != nil {
			return time.Time{}, false, err
		}
		if c.Declared == nil { // events without a declaration are no case
			return time.Time{}, false, nil
		}
		now := r.cfg.Now().UTC()
		d, err := r.decide(ctx, c, now)
		if err != nil || len(d.Events) == 0 {
			return d.Wake, false, err
		}
		events, err := r.events(c, now, d.Events)
		if err != nil {
			return d.Wake, false, err
		}
		_, err = r.cfg.Journal.Append(ctx, t.ref.org, t.ref.id, c.Seq, events...)
		if err == nil {
			return d.Wake, true, nil
		}
		if !errors.Is(err, journal.ErrConflict) {
			return d.Wake, false, err
		}
	}
	return time.Time{}, false, fmt.Errorf("case %s/%s: %w %d times in a row", t.ref.org, t.ref.id, journal.ErrConflict, conflictLimit)
}

// decide runs the service's function and contains its panics.
func (r *Runner) decide(ctx context.Context, c *casefile.Case, now time.Time) (d Decision, err error) {
	defer func() {
		if v := recover(); v != nil {
			d, err = Decision{}, fmt.Errorf("panic while deciding on case %s/%s: %v", c.Org, c.Number, v)
			r.cfg.Log.ErrorContext(ctx, "reconciler panicked", "service", r.cfg.Service, "stack", string(debug.Stack()))
		}
	}()
	return r.cfg.Decide(ctx, c, now)
}

// events wraps the bodies. Their ids derive from the case, the sequence they
// follow, their type and their place, so replicas that decide alike write alike.
func (r *Runner) events(c *casefile.Case, now time.Time, bodies []event.Body) ([]event.Event, error) {
	events := make([]event.Event, len(bodies))
	for i, b := range bodies {
		t := b.EventType()
		if !slices.Contains(r.says, t) {
			return nil, fmt.Errorf("%s may not say %s", r.cfg.Service, t)
		}
		id := event.DerivedID(c.Org, c.Number, strconv.FormatUint(c.Seq, 10), string(t), strconv.Itoa(i))
		e, err := event.New(id, now, c.Org, c.Number, event.Service(r.cfg.Service), b)
		if err != nil {
			return nil, err
		}
		events[i] = e
	}
	return events, nil
}
