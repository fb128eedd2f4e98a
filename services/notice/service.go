package notice

import (
	"context"
	"crypto/cipher"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"golang.org/x/crypto/chacha20poly1305"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/journal"
	"tocsin.dev/pkg/organisation"
	"tocsin.dev/pkg/reconcile"
	"tocsin.dev/pkg/seal"
	"tocsin.dev/pkg/sqldb"
	"tocsin.dev/services/notice/sendgrid"
)

// Config is what notice needs. Zero values mean what the field says.
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

	// Keyring is the file of the public keys whose approvals count; required. It
	// is read again when it changes, so that a revoked key stops at once.
	Keyring string
	// Key is notice's own secret of 32 bytes: notice ids and sealed receipts come
	// from it; required. All replicas share it, and it is never changed while
	// receipts are expected.
	Key []byte
	// Users is the file of the people who sign in; test sends go to addresses that
	// stand there and to no others. It is read again when it changes; without it
	// there are no test sends.
	Users string
	// Replica names this process among replicas; the host name when empty. A
	// restarted process under the same name goes on with its work at once.
	Replica string

	// SendGrid and Twilio are the accounts; nil switches a channel off.
	SendGrid *SendGrid
	Twilio   *Twilio
	// SpareSendGrid and SpareTwilio are further accounts, each with a name. They
	// stand in, in this order, while those before them refuse us or rest.
	SpareSendGrid []SendGrid
	SpareTwilio   []Twilio
	// SMTP is an own mail server. Without SendGrid all email goes through it;
	// beside SendGrid it stands in while every account there is closed.
	SMTP *SMTP
	// PublicURL is where providers reach us, such as "https://tocsin.example";
	// callbacks go to its /v1/receipts/….
	PublicURL string

	// PrintDir is the folder of print files for letters; empty switches post off.
	PrintDir string
	// FaxDir is the folder of files for a fax gateway; empty switches fax off.
	FaxDir string

	// Lease is how long a worker may be silent before another takes over; 0 means 10 s.
	Lease time.Duration
	// Workers is how many tickets of a channel are in work at once; 0 means 3.
	Workers int
	// ProgressEvery is the least time between two dispatch.progressed of an order; 0 means 3 s.
	ProgressEvery time.Duration
	// SettleFor is how long an order waits for receipts before it counts as
	// completed; 0 means 10 minutes.
	SettleFor time.Duration
	Doubt     Doubt
	// MailDomains limits the rule on compromised mailboxes to these domains, by
	// organisation; without an entry every exposed mailbox counts.
	MailDomains map[string][]string
	// Canary is how long the first page of a list goes ahead of the others, so that
	// a mistake is seen while it is small; 0 means that all go at once.
	Canary time.Duration
	// CanaryEvery is the least time between two look-ups of canaries at SendGrid;
	// 0 means 30 s. One takes two requests of the six a minute that SendGrid
	// allows, and doubts need the others.
	CanaryEvery time.Duration
	// MaxFailed is the share of messages that may fail before the sending stops
	// for a person to look, once a hundred have come to an end; 0 means 0.3.
	MaxFailed float64
	// MaxShared is the most people who may share one address before the plan
	// stops for a person to look; 0 means 25.
	MaxShared int
	// Rates limits messages a second: of a provider ("sendgrid", "twilio", "smtp"),
	// of one of its senders ("twilio/<number>", "sendgrid/<address>"), of an account
	// ("account/<name>") and of a recipients' mail domain ("domain/<domain>"). A
	// batch keeps to all that apply. 0 or absent means unlimited.
	Rates map[string]float64

	// withoutWriteAhead leaves out the record before a request. It exists so that
	// a test can show what that record is for.
	withoutWriteAhead bool
}

// SendGrid is an account at SendGrid.
type SendGrid struct {
	// Name tells accounts apart: small letters, digits and hyphens. The first is
	// "sendgrid" when empty. It stands on every attempt, so it is never changed.
	Name               string
	Key, Host, Subuser string
	// WebhookKeys are the public keys of the event webhook.
	WebhookKeys []string
	// Bypass says which suppression lists a notice passes over.
	Bypass sendgrid.Bypass
	IPPool string
	// Conns and Timeout: see sendgrid.Config.
	Conns   int
	Timeout time.Duration
}

// SMTP is an own mail server; see smtp.Config for the fields.
type SMTP struct {
	Host                     string
	Port                     int
	TLS                      string
	Auth, Username, Password string
	EHLO                     string
	ReturnPath               string
	Conns                    int
	Timeout                  time.Duration
	// BounceToken lets the mail server post what came back to /v1/receipts/smtp;
	// empty refuses all.
	BounceToken string
}

// Twilio is an account at Twilio.
type Twilio struct {
	// Name: see SendGrid. The first is "twilio" when empty.
	Name                        string
	AccountSID, AuthToken, Host string
	// Sender is this account's own number or Messaging Service; the
	// organisation's when empty.
	Sender string
	// OldTokens still verify callbacks while a token is being changed.
	OldTokens []string
	// Validity is how long a message may be tried; 0 means ten hours.
	Validity time.Duration
	Conns    int
	Timeout  time.Duration
}

// Doubt is the policy for messages in doubt. Zero values are the defaults for email.
type Doubt struct {
	// Quiet is how long receipts alone may settle a doubt; 0 means 5 minutes.
	Quiet time.Duration
	// After is when the policy decides, counted from the request; 0 means 30 minutes.
	After time.Duration
	// Silent is when an accepted message without any receipt is called silent; 0 means 24 h.
	Silent time.Duration
	// Freeze is how long an unhealthy source of receipts may hold the policy up; 0 means 6 h.
	Freeze time.Duration
	// Guard is how near the legal due instant may come before a freeze ends; 0 means 4 h.
	Guard time.Duration
	// Policy is what becomes of a doubt that no evidence settles: see
	// organisation.Organisation.InDoubt, which goes before it. Empty means resend.
	Policy string
	// Ahead is how far ahead email is scheduled under the policy cancel; 0 means
	// 15 minutes. CancelBefore is how long before that it can surely be cancelled;
	// 0 means what SendGrid says.
	Ahead, CancelBefore time.Duration
	// Budget is the share of a plan that may be in doubt beyond Quiet before the
	// sending stops for a person to look; 0 means 0.005. 1 switches it off.
	Budget float64
}

func (d Doubt) withDefaults() Doubt {
	or := func(p *time.Duration, v time.Duration) {
		if *p <= 0 {
			*p = v
		}
	}
	or(&d.Quiet, 5*time.Minute)
	or(&d.After, 30*time.Minute)
	or(&d.Silent, 24*time.Hour)
	or(&d.Freeze, 6*time.Hour)
	or(&d.Guard, 4*time.Hour)
	or(&d.Ahead, 15*time.Minute)
	or(&d.CancelBefore, sendgrid.CancelBefore)
	if d.Policy == "" {
		d.Policy = organisation.Resend
	}
	if d.Budget <= 0 {
		d.Budget = 0.005
	}
	return d
}

// Service is one replica of notice. Any number may share a store and a bus.
type Service struct {
	cfg      Config
	log      *slog.Logger
	store    *store
	runner   *reconcile.Runner
	tracer   trace.Tracer
	meters   meters
	secrets  secrets
	vault    cipher.AEAD
	contents contents
	pages    publicPages
	// keys is the keyring, testers the file of users by their id.
	keys    watched[*seal.Keyring]
	testers watched[map[string]tester]

	accounts []*account // in the order in which they stand in for each other

	// canaryTo are the hashes of the canaries' addresses by organisation.
	canaryTo     map[string]map[uint64]bool
	canariesRest rests

	attempts  *attemptCache
	campaigns campaignsKnown
	receipts  *receiver

	kick chan struct{} // work may be waiting
	// dead makes a test's process stop writing at once, as SIGKILL does.
	dead atomic.Bool
	jobs sync.WaitGroup
}

// New checks the configuration, brings the store up to date and registers what
// the service hears. It starts nothing.
func New(cfg Config) (*Service, error) {
	if cfg.Bus == nil || cfg.Journal == nil || cfg.DB == nil || cfg.Organisations == nil || cfg.Now == nil {
		return nil, errors.New("notice: bus, journal, store, organisations and clock are needed")
	}
	if len(cfg.Key) != chacha20poly1305.KeySize {
		return nil, fmt.Errorf("notice: the key has %d bytes, want %d: set notice.key_file", len(cfg.Key), chacha20poly1305.KeySize)
	}
	cfg = cfg.withDefaults()
	s := &Service{
		cfg: cfg, log: cfg.Log, tracer: cfg.Tracer.Tracer("tocsin.dev/services/notice"),
		secrets: secrets{cfg.Key}, kick: make(chan struct{}, 1), attempts: newAttemptCache(),
		canaryTo: canaryAddresses(cfg.Organisations),
	}
	s.keys.path, s.keys.what, s.keys.load = cfg.Keyring, "keyring of approvals", seal.LoadKeyring
	s.testers.path, s.testers.what, s.testers.load = cfg.Users, "file of users", loadTesters
	if _, err := s.keys.get(); err != nil {
		return nil, fmt.Errorf("notice: %w", err)
	}
	var err error
	if s.vault, err = chacha20poly1305.NewX(s.secrets.derive("receipts")); err != nil {
		return nil, fmt.Errorf("notice: %w", err)
	}
	if s.meters, err = newMeters(cfg.Meter); err != nil {
		return nil, fmt.Errorf("notice: %w", err)
	}
	if err := s.connect(); err != nil {
		return nil, fmt.Errorf("notice: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := cfg.DB.Migrate(ctx, event.Notice, migrations()); err != nil {
		return nil, fmt.Errorf("notice: %w", err)
	}
	s.store = &store{db: cfg.DB, shard: shardOf(cfg.Replica)}
	s.receipts = newReceiver(s)
	s.runner, err = reconcile.New(reconcile.Config{
		Service: event.Notice, Journal: cfg.Journal, Bus: cfg.Bus, Decide: s.decide, Now: cfg.Now, Log: cfg.Log,
	})
	if err != nil {
		return nil, fmt.Errorf("notice: %w", err)
	}
	s.register()
	return s, nil
}

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Tracer == nil {
		c.Tracer = tracenoop.NewTracerProvider()
	}
	if c.Meter == nil {
		c.Meter = metricnoop.NewMeterProvider()
	}
	if c.Replica == "" {
		c.Replica, _ = os.Hostname() // an empty name only makes a take-over wait for the lease
	}
	if c.Lease <= 0 {
		c.Lease = 10 * time.Second
	}
	if c.Workers <= 0 {
		c.Workers = 3
	}
	if c.ProgressEvery <= 0 {
		c.ProgressEvery = 3 * time.Second
	}
	if c.SettleFor <= 0 {
		c.SettleFor = 10 * time.Minute
	}
	if c.CanaryEvery <= 0 {
		c.CanaryEvery = 30 * time.Second
	}
	if c.MaxFailed <= 0 {
		c.MaxFailed = 0.3
	}
	if c.MaxShared <= 0 {
		c.MaxShared = 25
	}
	c.Doubt = c.Doubt.withDefaults()
	return c
}

// Handler serves the public notices.
func (s *Service) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/public/{org}/{case}", s.public)
	return mux
}

// Run works until ctx ends and returns when everything it started has ended.
func (s *Service) Run(ctx context.Context) error {
	if err := s.store.freeLeases(ctx, s.cfg.Replica); err != nil {
		return fmt.Errorf("notice: %w", err)
	}
	var all sync.WaitGroup
	var failed error
	all.Go(func() { failed = s.runner.Run(ctx) })
	all.Go(func() { s.receipts.run(ctx) })
	all.Go(func() { s.announce(ctx) })
	all.Go(func() { s.list(ctx) })
	all.Go(func() { s.tell(ctx) })
	all.Go(func() { s.settleDoubts(ctx) })
	all.Go(func() { s.watchCanaries(ctx) })
	all.Wait()
	s.jobs.Wait()
	for _, a := range s.accounts {
		if a.smtp != nil {
			a.smtp.Close()
		}
	}
	return failed
}

// wakeUp asks the announcer and the planner to look for work now.
func (s *Service) wakeUp() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

func shardOf(replica string) int {
	n := uint32(2166136261)
	for i := range len(replica) {
		n = (n ^ uint32(replica[i])) * 16777619
	}
	return int(n & 0xffff)
}
