package scope

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/journal"
	"tocsin.dev/pkg/organisation"
	"tocsin.dev/pkg/reconcile"
	"tocsin.dev/pkg/sqldb"
	"tocsin.dev/services/scope/inventory"
)

// Config is what the service needs.
type Config struct {
	NATS          *nats.Conn
	Bus           *bus.Bus
	Journal       *journal.Journal
	DB            *sqldb.DB
	Organisations *organisation.Registry
	Now           func() time.Time
	Log           *slog.Logger
	Tracer        trace.TracerProvider
	Meter         metric.MeterProvider

	// KeyFile holds the root keys; it must not be backed up with the database.
	KeyFile string
	// Root replaces the key file, as a KMS does.
	Root inventory.Root
	// TempDir takes the encrypted working files of large imports.
	TempDir string
}

// Service keeps inventories and seals lists.
type Service struct {
	cfg    Config
	store  *inventory.Store
	runner *reconcile.Runner
	jobs   *jobs
	// surveys are the walks over whole lists.
	surveys *surveys

	sealing  metric.Float64Histogram
	contacts metric.Int64Counter
}

// startTimeout bounds opening and migrating the store.
const startTimeout = time.Minute

// New opens the store and registers the answers on the bus.
func New(cfg Config) (*Service, error) {
	if cfg.DB == nil || cfg.Bus == nil || cfg.Journal == nil || cfg.Organisations == nil || cfg.Now == nil {
		return nil, errors.New("scope needs a database, a bus, a journal, organisations and a clock")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Root == nil {
		root, err := inventory.OpenFileRoot(cfg.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("scope: %w", err)
		}
		cfg.Root = root
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	store, err := inventory.Open(ctx, inventory.Config{DB: cfg.DB, Root: cfg.Root, TempDir: cfg.TempDir, Now: cfg.Now, Log: cfg.Log})
	if err != nil {
		return nil, fmt.Errorf("scope: %w", err)
	}
	s := &Service{cfg: cfg, store: store, jobs: newJobs(), surveys: newSurveys()}
	if err := s.meters(); err != nil {
		return nil, err
	}
	s.runner, err = reconcile.New(reconcile.Config{
		Service: event.Scope, Journal: cfg.Journal, Bus: cfg.Bus, Decide: s.decide, Now: cfg.Now, Log: cfg.Log,
	})
	if err != nil {
		return nil, fmt.Errorf("scope: %w", err)
	}
	s.answer()
	return s, nil
}

func (s *Service) meters() (err error) {
	provider := s.cfg.Meter
	if provider == nil {
		provider = metricnoop.NewMeterProvider()
	}
	m := provider.Meter("tocsin.dev/services/scope")
	s.sealing, err = m.Float64Histogram("tocsin.scope.sealing", metric.WithUnit("s"), metric.WithDescription("Time to seal a list of affected people."))
	if err != nil {
		return fmt.Errorf("scope: %w", err)
	}
	s.contacts, err = m.Int64Counter("tocsin.scope.contacts", metric.WithUnit("{contact}"), metric.WithDescription("Contact records handed to the sender."))
	if err != nil {
		return fmt.Errorf("scope: %w", err)
	}
	return nil
}

// Inventory is the store behind the service, for whoever runs it in the same
// process to import into.
func (s *Service) Inventory() *inventory.Store { return s.store }

// Handler returns nil: scope serves no HTTP.
func (s *Service) Handler() http.Handler { return nil }

// Run reconciles and seals until ctx ends, and returns when all work has ended.
func (s *Service) Run(ctx context.Context) error {
	var sealers sync.WaitGroup
	for range sealersAtOnce {
		sealers.Go(func() { s.jobs.work(ctx, s.seal) })
	}
	sealers.Go(func() { s.surveys.work(ctx) })
	err := s.runner.Run(ctx)
	sealers.Wait()
	return err
}
