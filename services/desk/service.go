package desk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/journal"
	"tocsin.dev/pkg/organisation"
	"tocsin.dev/pkg/rulebook"
	"tocsin.dev/pkg/seal"
	"tocsin.dev/pkg/sqldb"
	"tocsin.dev/services/desk/console"
)

// Config is what the desk needs.
type Config struct {
	NATS          *nats.Conn
	Bus           *bus.Bus
	Journal       *journal.Journal
	DB            *sqldb.DB // unused: the desk keeps no rows
	Organisations *organisation.Registry
	Now           func() time.Time
	Log           *slog.Logger
	Tracer        trace.TracerProvider
	Meter         metric.MeterProvider

	// Users are the people who may sign in.
	Users *Users
	// Approver signs approvals; without it nothing can be approved.
	Approver *seal.Signer
	// Duties says which duties a declaration would open; nil shows none on the check page.
	Duties func(org *organisation.Organisation, declared event.CaseDeclared, now time.Time) []event.Duty
	// Book says which rules hold for an organisation; without it no fact is checked against them.
	Book *rulebook.Book
	// Calendar returns the secret address of an organisation's feed for a role; nil where the key is unknown.
	Calendar func(org, role string) string
	// Secure marks the session cookie for HTTPS only. It is false only where the
	// console is reached by plain HTTP on this machine.
	Secure bool
	// Origins are other origins from which a browser may act, such as the public
	// address behind a proxy that changes the Host header.
	Origins []string
	// AlertURL is where SIEMs post alerts, for the test command that the empty
	// queue shows; the default is the address of the request.
	AlertURL string
	// Cooling is the time between an order and the first message; the default is 60 s, negative means none.
	Cooling time.Duration
	// Idle and Life end a session: after inactivity (default 1 h) and in any case (default 12 h).
	Idle, Life time.Duration
	// Drill marks the whole installation as one that cannot reach real people.
	Drill bool
}

// Service is the desk.
type Service struct {
	cfg      Config
	sessions *scs.SessionManager
	store    *sessionStore
	throttle *throttle
	pages    *console.Pages
	streams  streams
	handler  http.Handler
}

// New makes the desk. It starts nothing.
func New(cfg Config) (*Service, error) {
	switch {
	case cfg.NATS == nil || cfg.Bus == nil || cfg.Journal == nil || cfg.Organisations == nil || cfg.Users == nil:
		return nil, errors.New("desk: NATS, Bus, Journal, Organisations and Users are needed")
	case cfg.Now == nil:
		return nil, errors.New("desk: Now is needed")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	cfg.defaults()
	for _, u := range cfg.Users.All() {
		if _, err := cfg.Organisations.Get(u.Org); err != nil {
			return nil, fmt.Errorf("desk: user %q: %w", u.ID, err)
		}
	}
	pages, err := console.New(pageFuncs())
	if err != nil {
		return nil, fmt.Errorf("desk: read the pages: %w", err)
	}
	store, err := newSessionStore(cfg.NATS, cfg.Now)
	if err != nil {
		return nil, fmt.Errorf("desk: open the sessions: %w", err)
	}
	s := &Service{cfg: cfg, store: store, throttle: newThrottle(cfg.Now), pages: pages}
	s.sessions = s.newSessions()
	if s.handler, err = s.routes(); err != nil {
		return nil, fmt.Errorf("desk: %w", err)
	}
	return s, nil
}

func (c *Config) defaults() {
	switch {
	case c.Cooling == 0:
		c.Cooling = time.Minute
	case c.Cooling < 0:
		c.Cooling = 0
	}
	if c.Idle == 0 {
		c.Idle = time.Hour
	}
	if c.Life == 0 {
		c.Life = 12 * time.Hour
	}
}

// Handler returns the console and the API: everything below /.
func (s *Service) Handler() http.Handler { return s.handler }

// sweepEvery is how often expired sessions are removed from the store.
const sweepEvery = 10 * time.Minute

// Run removes expired sessions until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := s.store.sweep(ctx); err != nil && ctx.Err() == nil {
				s.cfg.Log.WarnContext(ctx, "expired sessions stay until the next sweep", "error", err)
			}
			s.throttle.sweep()
		}
	}
}

// Cases returns all cases of the organisation, newest number first.
func (s *Service) Cases(ctx context.Context, who User) ([]*casefile.Case, error) {
	refs, err := s.cfg.Journal.Cases(ctx, who.Org)
	if err != nil {
		return nil, err
	}
	cases := make([]*casefile.Case, 0, len(refs))
	for _, ref := range refs {
		c, err := s.cfg.Journal.Load(ctx, who.Org, ref.Case)
		if err != nil {
			return nil, err
		}
		if c.Declared != nil {
			cases = append(cases, c)
		}
	}
	sortCases(cases)
	return cases, nil
}

// Case returns a case of the organisation as it is.
func (s *Service) Case(ctx context.Context, who User, number string) (*casefile.Case, error) {
	return s.load(ctx, who.Org, number)
}

// CaseAsOf returns a case as it was known at an instant.
func (s *Service) CaseAsOf(ctx context.Context, who User, number string, at time.Time) (*casefile.Case, error) {
	if _, err := s.load(ctx, who.Org, number); err != nil {
		return nil, err
	}
	c, err := s.cfg.Journal.AsOf(ctx, who.Org, number, at)
	if errors.Is(err, journal.ErrNotFound) || (err == nil && c.Declared == nil) {
		return nil, invalid("as_of", "The case had not been declared then")
	}
	return c, err
}

// Entries returns the journal of a case of the organisation.
func (s *Service) Entries(ctx context.Context, who User, number string) ([]casefile.Entry, error) {
	if _, err := s.load(ctx, who.Org, number); err != nil {
		return nil, err
	}
	return s.cfg.Journal.Entries(ctx, who.Org, number)
}
