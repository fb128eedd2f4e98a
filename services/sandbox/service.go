package sandbox

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// Config is what a sandbox needs. Zero values mean what the field says.
type Config struct {
	// Now is the clock; required. Callbacks and send_at follow it.
	Now func() time.Time
	// Log defaults to silence. It never carries an address.
	Log *slog.Logger

	// SendGridKey is the one API key that is accepted; required.
	SendGridKey string
	// TwilioAccountSID (AC and 32 hexadecimal digits) and TwilioAuthToken are the one account; required.
	TwilioAccountSID string
	TwilioAuthToken  string

	// EventWebhookURL is where SendGrid events go; empty means nowhere. SetEventWebhook changes it.
	EventWebhookURL string
	// EventStreamURL is the webhook sink of Twilio's Event Streams; empty means that
	// there is none. Status callbacks are posted besides.
	EventStreamURL string
	// SigningKey signs SendGrid's events (P-256); generated when nil.
	SigningKey *ecdsa.PrivateKey
	// HTTPClient delivers callbacks; it defaults to one with the vendors' 15 s time-out.
	HTTPClient *http.Client
	// NoticeFromCallback reads the notice and the attempt from a status callback URL.
	// It defaults to NoticeFromPath.
	NoticeFromCallback func(*url.URL) (notice, attempt string)

	// Canaries are addresses and numbers of the sender's own. What goes there is
	// recorded and shown, and counts in no summary as somebody who was told.
	Canaries []string

	// Seed makes provider ids reproducible; 0 draws one, so that two runs never share an id.
	Seed uint64
	// Faults is the profile at the start.
	Faults Faults
	// KeepBodies is how many of the newest messages are kept in full for the page; 0 means 5,000.
	KeepBodies int
	// MaxBacklog is how many callbacks may wait per provider; 0 means 4,000,000 (64 MB). Beyond it
	// requests are answered 429, so that nothing is lost and memory stays bounded.
	MaxBacklog int
	// StepDelay is the time from one state of a message to the next; 0 means 100 ms.
	StepDelay time.Duration
	// EventBatch is the most events in one webhook request; 0 means 1,000.
	EventBatch int
	// EventWorkers and CallbackWorkers post at the same time; 0 means 2 and 32.
	EventWorkers, CallbackWorkers int
	// RetryBase, RetryMax and RetryFor are the first pause after a failed event webhook, the
	// longest, and when SendGrid gives up; 0 means 1 s, 1 min and 24 h.
	RetryBase, RetryMax, RetryFor time.Duration
	// CancelBefore is how long before its send_at a scheduled mail can surely be cancelled; 0 means
	// SendGrid's 10 min. A later cancellation is answered as usual and has no effect.
	CancelBefore time.Duration
	// LogsPerMinute is the rate of /v3/logs that is allowed; 0 means no limit.
	LogsPerMinute int
}

// Service is the two look-alikes with their record. Handler serves from the moment New returns;
// callbacks are delivered while Run runs.
type Service struct {
	cfg    Config
	log    *slog.Logger
	record *record
	faults atomic.Pointer[faulty]
	hook   atomic.Pointer[string]
	lists  *suppressions
	queues *batches
	logs   limiter

	events    *outbox // SendGrid
	callbacks *outbox // Twilio
	stream    *outbox // Twilio's Event Streams
	requests  atomic.Uint64
	lastBody  atomic.Pointer[content] // of the newest text message, for Faults.MixUp
	canaries  map[uint64]bool         // address keys
	stats     stats

	closed    chan struct{}
	closeOnce sync.Once
	public    string
	pages     *pages
}

// stats counts what the record does not hold.
type stats struct {
	refused, rateLimited, errored, dropped, late atomic.Int64
	callbacksDelivered, callbacksFailed          atomic.Int64
	receiptsLost, receiptsGivenUp                atomic.Int64
}

// New checks the configuration and returns a sandbox with an empty record.
func New(cfg Config) (*Service, error) {
	if cfg.Now == nil {
		return nil, errors.New("sandbox: Config.Now is required")
	}
	if cfg.SendGridKey == "" || cfg.TwilioAuthToken == "" {
		return nil, errors.New("sandbox: SendGridKey and TwilioAuthToken are required")
	}
	if !isSID(cfg.TwilioAccountSID, "AC") {
		return nil, errors.New("sandbox: TwilioAccountSID wants AC and 32 hexadecimal digits")
	}
	if err := cfg.Faults.check(); err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	if cfg.SigningKey == nil {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("sandbox: generate signing key: %w", err)
		}
		cfg.SigningKey = key
	}
	der, err := x509.MarshalPKIXPublicKey(&cfg.SigningKey.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("sandbox: encode public key: %w", err)
	}
	cfg = cfg.withDefaults()
	s := &Service{
		cfg: cfg, log: cfg.Log,
		record: newRecord(cfg.KeepBodies), lists: newSuppressions(), queues: newBatches(cfg.CancelBefore),
		events: newOutbox(cfg.MaxBacklog), callbacks: newOutbox(cfg.MaxBacklog), stream: newOutbox(cfg.MaxBacklog),
		closed: make(chan struct{}), public: base64.StdEncoding.EncodeToString(der),
	}
	s.canaries = s.record.addressKeys(cfg.Canaries)
	if s.pages, err = newPages(); err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	s.SetFaults(cfg.Faults)
	s.SetEventWebhook(cfg.EventWebhookURL)
	return s, nil
}

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.HTTPClient == nil {
		c.HTTPClient = &http.Client{
			Timeout: 15 * time.Second,
			Transport: &http.Transport{
				MaxIdleConns: 64, MaxIdleConnsPerHost: 64, IdleConnTimeout: 30 * time.Second,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	if c.NoticeFromCallback == nil {
		c.NoticeFromCallback = NoticeFromPath
	}
	orInt := func(p *int, d int) {
		if *p <= 0 {
			*p = d
		}
	}
	orInt(&c.KeepBodies, 5000)
	orInt(&c.MaxBacklog, 4_000_000)
	orInt(&c.EventBatch, 1000)
	orInt(&c.EventWorkers, 2)
	orInt(&c.CallbackWorkers, 32)
	if c.Seed == 0 {
		c.Seed = mathrand.Uint64()
	}
	orTime := func(p *time.Duration, d time.Duration) {
		if *p <= 0 {
			*p = d
		}
	}
	orTime(&c.StepDelay, 100*time.Millisecond)
	orTime(&c.RetryBase, time.Second)
	orTime(&c.RetryMax, time.Minute)
	orTime(&c.RetryFor, 24*time.Hour)
	orTime(&c.CancelBefore, 10*time.Minute)
	return c
}

// PublicKey is the key that verifies event webhooks: base64 of the DER form, as SendGrid shows it.
func (s *Service) PublicKey() string { return s.public }

// SetEventWebhook sets where SendGrid events go; empty means nowhere.
func (s *Service) SetEventWebhook(address string) { s.hook.Store(&address) }

// SetFaults starts a profile from the beginning of its sequence.
func (s *Service) SetFaults(f Faults) { s.faults.Store(&faulty{Faults: f}) }

// Reset forgets every message, callback, suppression and batch; faults stay.
func (s *Service) Reset() {
	s.events.reset()
	s.callbacks.reset()
	s.stream.reset()
	s.record.mu.Lock()
	s.record.reset()
	s.record.mu.Unlock()
	s.lists.reset()
	s.queues.reset()
}

// Run delivers callbacks until ctx ends. It then stops at once: callbacks under way are cut off,
// those that wait are lost, and requests held back by a fault are let go.
func (s *Service) Run(ctx context.Context) error {
	defer s.closeOnce.Do(func() { close(s.closed) })
	var all sync.WaitGroup
	batches := make(chan []step)
	singles := make(chan step)
	for range s.cfg.EventWorkers {
		all.Go(func() {
			for steps := range batches {
				s.postEvents(ctx, steps)
			}
		})
	}
	for range s.cfg.CallbackWorkers {
		all.Go(func() {
			for one := range singles {
				s.postStatus(ctx, one)
			}
		})
	}
	all.Go(func() {
		defer close(batches)
		s.events.run(ctx, s.cfg.Now, s.cfg.EventBatch, 20*time.Millisecond, func(due []step) {
			if due = s.happen(due); len(due) == 0 {
				return
			}
			select {
			case batches <- due:
			case <-ctx.Done():
			}
		})
	})
	all.Go(func() {
		defer close(singles)
		s.callbacks.run(ctx, s.cfg.Now, 256, time.Millisecond, func(due []step) {
			for _, one := range s.happen(due) {
				if one.try == 0 && s.cfg.EventStreamURL != "" {
					s.stream.push(one)
				}
				select {
				case singles <- one:
				case <-ctx.Done():
					return
				}
			}
		})
	})
	all.Go(func() {
		s.stream.run(ctx, s.cfg.Now, streamBatch, 20*time.Millisecond, func(due []step) { s.postStream(ctx, due) })
	})
	all.Wait()
	return nil
}

// limiter allows a number of calls a minute, counted in whole minutes.
type limiter struct {
	mu     sync.Mutex
	minute int64
	calls  int
}

func (l *limiter) allow(now time.Time, perMinute int) bool {
	if perMinute <= 0 {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if m := now.Unix() / 60; m != l.minute {
		l.minute, l.calls = m, 0
	}
	l.calls++
	return l.calls <= perMinute
}
