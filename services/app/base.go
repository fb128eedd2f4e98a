package app

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/journal"
	"tocsin.dev/pkg/process"
	"tocsin.dev/pkg/sqldb"
	"tocsin.dev/pkg/web"
)

// Runner is a service between its making and the end of Run.
type Runner interface {
	Run(ctx context.Context) error
}

// Builder makes a service on its base.
type Builder func(context.Context, *Base) (Runner, error)

// Base is what a service stands on: its process, and a user, bus, journal and
// telemetry of its own.
type Base struct {
	*App
	NATS    *nats.Conn
	Bus     *bus.Bus
	Journal *journal.Journal
	Log     *slog.Logger
	Tracer  trace.TracerProvider
	Meter   metric.MeterProvider

	name string
	db   *sqldb.DB
}

// addService adds a service with everything of its own.
func (a *App) addService(name string, build Builder) {
	b := &Base{App: a, name: name}
	var s Runner
	a.parts.Add(process.Part{
		Name: name,
		Start: func(ctx context.Context) (err error) {
			if err = b.open(ctx); err != nil {
				return err
			}
			s, err = build(ctx, b)
			return err
		},
		Run: func(ctx context.Context) error {
			g, ctx := errgroup.WithContext(ctx)
			g.Go(func() error { return b.Bus.Run(ctx) })
			g.Go(func() error { return s.Run(ctx) })
			return g.Wait()
		},
		Stop: func(context.Context) error { return b.close() },
	})
}

func (b *Base) open(ctx context.Context) error {
	own, err := b.telemetry.For(b.name)
	if err != nil {
		return err
	}
	b.Log, b.Tracer, b.Meter = own.Log, own.Tracer, own.Meter
	if b.NATS, err = b.connect(ctx, b.name); err != nil {
		return err
	}
	b.Bus, err = bus.New(b.NATS, bus.Config{Service: b.name, Log: b.Log, Tracer: b.Tracer, Meter: b.Meter, Now: b.Now})
	if err != nil {
		return err
	}
	b.Journal, err = journal.New(b.NATS, journal.Config{Log: b.Log})
	return err
}

// Store opens the service's own store, which is closed after the service has
// stopped. A service that keeps no rows has none.
func (b *Base) Store(ctx context.Context) (db *sqldb.DB, err error) {
	b.db, err = sqldb.Open(ctx, b.Settings.database(b.name))
	return b.db, err
}

// Route mounts the service's handler at patterns of the public address; a nil
// handler adds nothing.
func (b *Base) Route(h http.Handler, patterns ...string) {
	if h == nil {
		return
	}
	for _, p := range patterns {
		b.routes.mux.Handle(p, h)
	}
}

// RouteCallbacks lets the one service of this process that has callbacks take
// what is posted to paths that begin with prefix.
func (b *Base) RouteCallbacks(c *web.Callbacks, prefix string) {
	b.routes.callbacks, b.routes.callbackPath = c, prefix
}

func (b *Base) close() error {
	if b.NATS != nil {
		b.NATS.Close()
	}
	if b.db != nil {
		return b.db.Close()
	}
	return nil
}
