package intake

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/journal"
	"tocsin.dev/pkg/organisation"
	"tocsin.dev/pkg/reconcile"
	"tocsin.dev/pkg/sqldb"
	"tocsin.dev/services/intake/mapping"
)

// workers is how many deliveries are in work at once: most of them wait for the
// transaction that the committer gathers them for.
const workers = 64

// ackWait is how soon what a killed process was reading is read again;
// readLimit bounds the reading of one message, which holds many documents at most.
const (
	ackWait   = 5 * time.Second
	readLimit = 2 * time.Minute
)

// defaultWindow is how far apart related alerts may lie.
const defaultWindow = 24 * time.Hour

// Config is what intake needs.
type Config struct {
	NATS    *nats.Conn
	Bus     *bus.Bus
	Journal *journal.Journal
	DB      *sqldb.DB
	// Organisations, if given, must know the organisation of every source.
	Organisations *organisation.Registry
	Now           func() time.Time
	Log           *slog.Logger
	Tracer        trace.TracerProvider
	Meter         metric.MeterProvider

	// Sources are the senders; no source, no alerts.
	Sources []Source
	// Mappings is a folder with own mapping files and their samples; nil means
	// the shipped ones alone.
	Mappings fs.FS
	// CorrelationWindow is how far apart related alerts may lie; 0 means 24 h.
	CorrelationWindow time.Duration
}

// Service is intake.
type Service struct {
	cfg        Config
	log        *slog.Logger
	store      *store
	raw        rawStore
	sources    map[string]*source
	mappings   *mapping.Set
	heard      *heard
	recent     *recent
	commit     *committer
	background background
	runner     *reconcile.Runner
	tracer     trace.Tracer
	started    time.Time
}

// New checks the sources and mappings, brings the store up to date and
// registers what intake hears and answers. It starts nothing.
func New(cfg Config) (*Service, error) {
	if cfg.Bus == nil || cfg.NATS == nil || cfg.Journal == nil || cfg.DB == nil {
		return nil, errors.New("intake needs NATS, a bus, the journal and a database")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Tracer == nil {
		cfg.Tracer = noop.NewTracerProvider()
	}
	if cfg.CorrelationWindow <= 0 {
		cfg.CorrelationWindow = defaultWindow
	}
	s := &Service{cfg: cfg, log: cfg.Log, store: &store{db: cfg.DB}, heard: newHeard(), recent: newRecent(), started: cfg.Now(),
		tracer: cfg.Tracer.Tracer("tocsin.dev/services/intake"),
		raw:    rawStore{js: cfg.Bus.JetStream(), refusals: bus.WatchRefusals(cfg.NATS)}}
	s.background = newBackground()
	s.commit = newCommitter(s.store, s.background)
	var err error
	if s.mappings, err = mapping.Shipped(cfg.Mappings); err != nil {
		return nil, fmt.Errorf("intake: %w", err)
	}
	if s.sources, err = checkSources(cfg, s.mappings); err != nil {
		return nil, fmt.Errorf("intake: %w", err)
	}
	for _, src := range s.sources {
		src.gather = &gatherer{publish: s.raw.publish}
	}
	if err := cfg.DB.Migrate(context.Background(), event.Intake, sub(migrations, "migrations")); err != nil {
		return nil, fmt.Errorf("intake: %w", err)
	}
	if err := s.store.prepare(context.Background()); err != nil {
		return nil, fmt.Errorf("intake: %w", err)
	}
	s.runner, err = reconcile.New(reconcile.Config{Service: event.Intake, Journal: cfg.Journal, Bus: cfg.Bus, Decide: s.decideCase, Now: cfg.Now, Log: cfg.Log})
	if err != nil {
		return nil, fmt.Errorf("intake: %w", err)
	}
	cfg.Bus.Handle(bus.Handler{Name: "map", Stream: event.StreamAlerts, Subject: event.SubjectAlerts, Workers: workers,
		AckWait: ackWait, Timeout: readLimit, Do: s.mapAlert})
	bus.Answer(cfg.Bus, event.AskAlerts, s.answer)
	return s, nil
}

func sub(fsys fs.FS, dir string) fs.FS {
	f, err := fs.Sub(fsys, dir)
	if err != nil { // only for an invalid name
		return fsys
	}
	return f
}

func checkSources(cfg Config, mappings *mapping.Set) (map[string]*source, error) {
	sources := map[string]*source{}
	for i, c := range cfg.Sources {
		src, err := newSource(c)
		switch {
		case err != nil:
			return nil, fmt.Errorf("sources[%d] %q: %w", i, c.ID, err)
		case sources[c.ID] != nil:
			return nil, fmt.Errorf("sources[%d]: two sources are named %q", i, c.ID)
		case c.Mapping != "" && mappings.Get(c.Mapping) == nil:
			return nil, fmt.Errorf("sources[%d] %q: there is no mapping %q; there are %v", i, c.ID, c.Mapping, mappings.Names())
		}
		if cfg.Organisations != nil {
			if _, err := cfg.Organisations.Get(c.Org); err != nil {
				return nil, fmt.Errorf("sources[%d] %q: %w", i, c.ID, err)
			}
		}
		sources[c.ID] = src
	}
	return sources, nil
}

// Run works until ctx ends and returns after everything it started has ended.
// Messages and questions are worked on while the bus runs.
func (s *Service) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { s.heard.run(ctx, s.store, s.log) })
	wg.Go(func() { s.commit.run(ctx) })
	err := s.runner.Run(ctx)
	wg.Wait()
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("intake: %w", err)
	}
	return nil
}
