package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
)

// Errors that callers branch on.
var (
	// ErrConflict means that the case has changed since it was loaded: load
	// again and decide again.
	ErrConflict = errors.New("the case has changed meanwhile")
	// ErrNotFound means that no such case has been declared.
	ErrNotFound = errors.New("no such case")
	// ErrInvalid means that an event can never be stored as it is.
	ErrInvalid = errors.New("invalid event")
)

const (
	// MaxEventBytes is the largest event as JSON.
	MaxEventBytes = 512 << 10
	// MaxBatch is the largest number of events of one decision. The server
	// takes 1,000 messages in an atomic batch.
	MaxBatch = 500
	// maxBatchBytes bounds one decision as a whole.
	maxBatchBytes = 16 << 20

	defaultTimeout   = 10 * time.Second
	defaultCacheSize = 1000
)

// Config says how a journal is read and written. All fields may be left empty.
type Config struct {
	// CacheSize is the number of folded cases kept; 0 means 1,000.
	CacheSize int
	// Timeout bounds an append or a read whose context has no deadline; 0 means 10 s.
	Timeout time.Duration
	Log     *slog.Logger
}

// Journal appends to and reads the cases. It is safe for concurrent use.
type Journal struct {
	nc       *nats.Conn
	refusals *bus.Refusals
	timeout  time.Duration
	log      *slog.Logger

	mu    sync.Mutex
	cache *caseCache
}

// New returns a journal over a connection, which stays the caller's.
func New(nc *nats.Conn, cfg Config) (*Journal, error) {
	if nc == nil {
		return nil, errors.New("open the journal: no NATS connection")
	}
	if cfg.CacheSize <= 0 {
		cfg.CacheSize = defaultCacheSize
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Journal{
		nc: nc, refusals: bus.WatchRefusals(nc),
		timeout: cfg.Timeout, log: cfg.Log, cache: newCaseCache(cfg.CacheSize),
	}, nil
}

// Conn returns the connection the journal uses.
func (j *Journal) Conn() *nats.Conn { return j.nc }

// Ref names a case.
type Ref struct {
	Org  string
	Case string
	// Closed reports whether the case has been closed.
	Closed bool
}

// Load returns the state of a case as of now. The case is shared: callers
// never change it. It returns ErrNotFound if nothing was ever appended.
// When nothing is new it costs one round trip to the stream's leader.
func (j *Journal) Load(ctx context.Context, org, caseID string) (*casefile.Case, error) {
	if err := checkTokens(org, caseID); err != nil {
		return nil, err
	}
	ctx, cancel := j.bounded(ctx)
	defer cancel()
	key := org + "/" + caseID
	j.mu.Lock()
	known := j.cache.get(key)
	j.mu.Unlock()
	var after uint64
	if known != nil {
		after = known.Seq
	}
	entries, err := j.since(ctx, event.CaseSubjects(org, caseID), after)
	if err != nil {
		return nil, fmt.Errorf("load case %s: %w", key, err)
	}
	if len(entries) == 0 {
		if known == nil {
			return nil, fmt.Errorf("load case %s: %w", key, ErrNotFound)
		}
		return known, nil
	}
	next := advance(known, entries)
	j.mu.Lock()
	j.cache.put(key, next)
	j.mu.Unlock()
	return next, nil
}

// advance folds entries after a case into a new one, so that whoever holds the
// older one is not disturbed.
func advance(known *casefile.Case, entries []casefile.Entry) *casefile.Case {
	if known == nil {
		c := casefile.Fold(entries)
		return &c
	}
	c := known.Clone()
	for _, e := range entries {
		c.Apply(e)
	}
	return c
}

// Entries returns every event of a case in journal order.
func (j *Journal) Entries(ctx context.Context, org, caseID string) ([]casefile.Entry, error) {
	if err := checkTokens(org, caseID); err != nil {
		return nil, err
	}
	ctx, cancel := j.bounded(ctx)
	defer cancel()
	entries, err := j.since(ctx, event.CaseSubjects(org, caseID), 0)
	if err != nil {
		return nil, fmt.Errorf("read case %s/%s: %w", org, caseID, err)
	}
	if len(entries) == 0 {
		return nil, fmt.Errorf("read case %s/%s: %w", org, caseID, ErrNotFound)
	}
	return entries, nil
}

// AsOf returns the case as it was known at an instant: the fold of the journal
// up to the first event that was appended later.
func (j *Journal) AsOf(ctx context.Context, org, caseID string, at time.Time) (*casefile.Case, error) {
	entries, err := j.Entries(ctx, org, caseID)
	if err != nil {
		return nil, err
	}
	n := 0
	for n < len(entries) && !entries[n].At.After(at) {
		n++
	}
	if n == 0 {
		return nil, fmt.Errorf("case %s/%s as of %s: %w", org, caseID, at.UTC().Format(time.RFC3339), ErrNotFound)
	}
	c := casefile.Fold(entries[:n])
	return &c, nil
}

// bounded gives a context without a deadline the journal's own.
func (j *Journal) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, j.timeout)
}

func checkTokens(org, caseID string) error {
	for _, s := range []string{org, caseID} {
		if !event.ValidToken(s) {
			return fmt.Errorf("%w: %q cannot name an organisation or a case; want lower-case letters, digits, '-' and '_', at most 64", ErrInvalid, s)
		}
	}
	return nil
}

func decodeEntry(seq uint64, subject string, data []byte) (casefile.Entry, error) {
	var e event.Event
	if err := json.Unmarshal(data, &e); err != nil {
		return casefile.Entry{}, fmt.Errorf("decode the event at sequence %d (%s): %w", seq, subject, err)
	}
	return casefile.Entry{Seq: seq, Event: e}, nil
}
