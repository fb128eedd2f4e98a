package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

// StopTimeout is how long one part may take to stop unless Group says otherwise.
const StopTimeout = 15 * time.Second

// ErrStopTimeout means that a part did not stop in time and was left behind.
var ErrStopTimeout = errors.New("did not stop in time")

// errEnded is the reason to stop when a part returned without being asked to.
var errEnded = errors.New("ended without being asked to")

// Signals returns a context that ends with Ctrl-C or SIGTERM. After the first
// signal the default takes over again, so that a second one kills at once.
func Signals(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// Part is one named piece of a program.
type Part struct {
	// Name is how logs and errors call it.
	Name string
	// Start prepares the part and returns when it is ready for the parts after
	// it; nil if there is nothing to prepare. It may still undo itself on error.
	Start func(ctx context.Context) error
	// Run works until ctx ends and returns after its goroutines have; nil for a
	// part that only starts and stops. Its context ends after the parts that
	// were started later have stopped.
	Run func(ctx context.Context) error
	// Stop releases what Start took, after Run has returned; nil if nothing. Its
	// context ends with the time it has.
	Stop func(ctx context.Context) error
}

// Group is a program's parts in the order of their start.
type Group struct {
	Log *slog.Logger
	// StopTimeout bounds the stop of each part; zero means StopTimeout.
	StopTimeout time.Duration
	parts       []Part
}

// Add appends a part. Parts are added before Run.
func (g *Group) Add(p Part) { g.parts = append(g.parts, p) }

// running is a part that was started.
type running struct {
	Part
	cancel context.CancelFunc
	ended  chan struct{} // closed when Run has returned
	err    error         // valid after ended
}

// Run starts the parts in order, works until ctx ends or a part fails, and
// stops those that were started, last first. The first error wins; a clean
// stop returns nil. ready, if not nil, is called once when all have started.
func (g *Group) Run(ctx context.Context, ready func()) error {
	failed := make(chan error, len(g.parts))
	var (
		started []*running
		first   error
	)
	for _, p := range g.parts {
		r, err := g.start(ctx, p, failed)
		if err != nil {
			first = err
			break
		}
		started = append(started, r)
	}
	if first == nil {
		if ready != nil {
			ready()
		}
		select {
		case <-ctx.Done():
		case first = <-failed:
		}
	}
	if first != nil && ctx.Err() != nil && errors.Is(first, ctx.Err()) {
		first = nil // interrupted while starting: that is a clean stop
	}
	for _, r := range slices.Backward(started) {
		if err := g.stop(ctx, r); err != nil {
			g.Log.ErrorContext(ctx, "part did not stop cleanly", "part", r.Name, "error", err.Error())
			if first == nil {
				first = err
			}
		}
	}
	return first
}

// start prepares one part and runs it with a context of its own: the program's
// end reaches a part only in its turn.
func (g *Group) start(ctx context.Context, p Part, failed chan<- error) (*running, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if p.Start != nil {
		if err := p.Start(ctx); err != nil {
			return nil, fmt.Errorf("start %s: %w", p.Name, err)
		}
	}
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r := &running{Part: p, cancel: cancel, ended: make(chan struct{})}
	if p.Run == nil {
		close(r.ended)
		return r, nil
	}
	go func() {
		defer close(r.ended)
		err := p.Run(own)
		asked := own.Err() != nil
		if asked && errors.Is(err, context.Canceled) {
			err = nil
		}
		if err == nil && !asked {
			err = errEnded
		}
		if err == nil {
			return
		}
		r.err = fmt.Errorf("%s: %w", p.Name, err)
		if !asked {
			failed <- r.err
			r.err = nil // reported
		}
	}()
	g.Log.DebugContext(ctx, "part started", "part", p.Name)
	return r, nil
}

// stop ends one part: its Run, then what it holds.
func (g *Group) stop(ctx context.Context, r *running) error {
	limit := g.StopTimeout
	if limit == 0 {
		limit = StopTimeout
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	r.cancel()
	select {
	case <-r.ended:
	case <-bounded.Done():
		// Stop would pull the ground from under what still runs.
		return fmt.Errorf("%s: %w (%s)", r.Name, ErrStopTimeout, limit)
	}
	err := r.err
	if r.Stop != nil {
		if stopErr := r.Stop(bounded); stopErr != nil {
			err = errors.Join(err, fmt.Errorf("stop %s: %w", r.Name, stopErr))
		}
	}
	g.Log.DebugContext(ctx, "part stopped", "part", r.Name)
	return err
}
