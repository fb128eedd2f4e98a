package deadline

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/metric"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/journal"
	"tocsin.dev/pkg/organisation"
	"tocsin.dev/pkg/reconcile"
	"tocsin.dev/pkg/rulebook"
)

// Config is what the service needs from its surroundings.
type Config struct {
	Bus           *bus.Bus
	Journal       *journal.Journal
	Organisations *organisation.Registry
	// Book says which rules hold for an organisation. Its owner runs it.
	Book  *rulebook.Book
	Now   func() time.Time
	Log   *slog.Logger
	Meter metric.MeterProvider
	// CalendarKey signs the addresses of the iCalendar feeds; empty turns them off.
	CalendarKey []byte
}

// Service keeps the duties of every case.
type Service struct {
	cfg    Config
	runner *reconcile.Runner
	margin *margins
}

// New returns the service with its handlers registered on the bus.
func New(cfg Config) (*Service, error) {
	if cfg.Book == nil || cfg.Organisations == nil {
		return nil, errors.New("deadline needs a rule book and organisations")
	}
	s := &Service{cfg: cfg, margin: newMargins(cfg.Now)}
	if err := s.margin.register(cfg.Meter); err != nil {
		return nil, err
	}
	var err error
	s.runner, err = reconcile.New(reconcile.Config{
		Service: event.Deadline, Journal: cfg.Journal, Bus: cfg.Bus, Decide: s.decide, Now: cfg.Now, Log: cfg.Log,
	})
	cfg.Book.Changed(s.rulesChanged)
	return s, err
}

// rulesChanged asks for a look at every open case of an organisation for which
// other rules hold from now on. Should the list fail, the next sweep finds them.
func (s *Service) rulesChanged(org string) {
	ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
	defer cancel()
	refs, err := s.cfg.Journal.Cases(ctx, org)
	if err != nil {
		s.cfg.Log.WarnContext(ctx, "open cases are looked at with the next sweep only", "org", org, "error", err)
		return
	}
	for _, ref := range refs {
		if !ref.Closed {
			s.runner.Poke(ref.Org, ref.Case)
		}
	}
}

// lookTimeout bounds the listing of open cases.
const lookTimeout = 30 * time.Second

// Run reconciles until the context ends.
func (s *Service) Run(ctx context.Context) error { return s.runner.Run(ctx) }

// Handler serves the iCalendar feeds, or nothing when they are turned off.
func (s *Service) Handler() http.Handler {
	if len(s.cfg.CalendarKey) == 0 {
		return nil
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/calendar/{org}/{role}/{token}", s.calendar)
	return mux
}

func (s *Service) decide(_ context.Context, c *casefile.Case, now time.Time) (reconcile.Decision, error) {
	org, err := s.cfg.Organisations.Get(c.Org)
	if err != nil {
		return reconcile.Decision{}, bus.Permanent(err)
	}
	events, wake := Reconcile(s.cfg.Book.For(c.Org), org, c, now)
	s.margin.observe(c)
	return reconcile.Decision{Events: events, Wake: wake}, nil
}
