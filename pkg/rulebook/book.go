package rulebook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/law"
)

// Config is what a book is made from.
type Config struct {
	// NATS reaches the bucket of packages; nil means that the built-in rules hold for everybody.
	NATS    *nats.Conn
	BuiltIn *law.Rules
	// Own are the organisations' own rules by organisation id, as YAML.
	Own map[string][]byte
	Now func() time.Time
	Log *slog.Logger
}

// Book answers which rules hold for an organisation. It is safe for concurrent use.
type Book struct {
	cfg      Config
	js       jetstream.JetStream
	refusals *bus.Refusals

	mu      sync.RWMutex
	active  map[string]Acceptance // by organisation
	rules   map[string]*law.Rules // by organisation, with its own
	byBody  map[string]*law.Rules // by digest, without
	changed []func(org string)
}

// Acceptance says which package holds for an organisation, and by whom.
type Acceptance struct {
	Digest     string    `json:"digest"`
	ProposedBy string    `json:"proposed_by"`
	AcceptedBy string    `json:"accepted_by"`
	AcceptedAt time.Time `json:"accepted_at"`
}

// openTimeout bounds the reading of accepted packages at start.
const openTimeout = 20 * time.Second

// Open returns the book with every accepted package loaded. Own rules that do
// not load are an error that names the organisation.
func Open(ctx context.Context, cfg Config) (*Book, error) {
	if cfg.BuiltIn == nil {
		return nil, errors.New("open the rule book: no built-in rules")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	b := &Book{cfg: cfg, active: map[string]Acceptance{}, rules: map[string]*law.Rules{}, byBody: map[string]*law.Rules{}}
	for org := range cfg.Own {
		rules, err := b.combine(cfg.BuiltIn, org)
		if err != nil {
			return nil, err
		}
		b.rules[org] = rules
	}
	if cfg.NATS == nil {
		return b, nil
	}
	js, err := jetstream.New(cfg.NATS)
	if err != nil {
		return nil, fmt.Errorf("open the rule book: %w", err)
	}
	b.js, b.refusals = js, bus.WatchRefusals(cfg.NATS)
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	return b, b.follow(ctx, true)
}

// For returns the rules that hold for an organisation.
func (b *Book) For(org string) *law.Rules {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if r := b.rules[org]; r != nil {
		return r
	}
	return b.cfg.BuiltIn
}

// Active returns the acceptance that holds for an organisation; false means the built-in rules.
func (b *Book) Active(org string) (Acceptance, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	a, ok := b.active[org]
	return a, ok
}

// Changed asks to be told of every organisation for which other rules hold
// from now on. It is called before Run.
func (b *Book) Changed(f func(org string)) { b.changed = append(b.changed, f) }

// Run follows acceptances until ctx ends.
func (b *Book) Run(ctx context.Context) error {
	if b.js == nil {
		<-ctx.Done()
		return nil
	}
	for ctx.Err() == nil {
		if err := b.follow(ctx, false); err != nil && ctx.Err() == nil {
			b.cfg.Log.WarnContext(ctx, "the rule packages cannot be followed; will try again", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
	return nil
}

// follow takes acceptances over; with once it returns after those there are.
func (b *Book) follow(ctx context.Context, once bool) error {
	kv, err := b.bucket(ctx)
	if err != nil {
		return err
	}
	w, err := kv.Watch(ctx, activePrefix+"*")
	if err != nil {
		return fmt.Errorf("follow the rule packages: %w", err)
	}
	defer func() { _ = w.Stop() }()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e, ok := <-w.Updates():
			switch {
			case !ok:
				return errors.New("the watch ended")
			case e == nil && once:
				return nil
			case e != nil && e.Operation() == jetstream.KeyValuePut:
				b.take(ctx, kv, strings.TrimPrefix(e.Key(), activePrefix), e.Value())
			}
		}
	}
}

// take makes an acceptance hold.
func (b *Book) take(ctx context.Context, kv jetstream.KeyValue, org string, value []byte) {
	var a Acceptance
	err := json.Unmarshal(value, &a)
	if err == nil {
		if now, ok := b.Active(org); ok && now == a {
			return
		}
		err = b.use(ctx, kv, org, a)
	}
	if err != nil {
		b.cfg.Log.ErrorContext(ctx, "an accepted rule package does not load; the rules before it stay", "org", org, "package", a.Digest, "error", err)
		return
	}
	b.cfg.Log.InfoContext(ctx, "other rules hold", "org", org, "package", a.Digest)
	for _, f := range b.changed {
		f(org)
	}
}

func (b *Book) use(ctx context.Context, kv jetstream.KeyValue, org string, a Acceptance) error {
	rules, err := b.load(ctx, kv, a.Digest)
	if err != nil {
		return err
	}
	if rules, err = b.combine(rules, org); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.active[org], b.rules[org] = a, rules
	return nil
}

// load returns the rules of a stored package.
func (b *Book) load(ctx context.Context, kv jetstream.KeyValue, digest string) (*law.Rules, error) {
	b.mu.RLock()
	known := b.byBody[digest]
	b.mu.RUnlock()
	if known != nil {
		return known, nil
	}
	e, err := kv.Get(ctx, bodyPrefix+digest)
	if err != nil {
		return nil, fmt.Errorf("read rule package %s: %w", digest, err)
	}
	files, got, err := Unpack(e.Value())
	if err != nil {
		return nil, fmt.Errorf("rule package %s: %w", digest, err)
	}
	if got != digest {
		return nil, fmt.Errorf("rule package %s: its content has the digest %s", digest, got)
	}
	rules, err := law.Load(files)
	if err != nil {
		return nil, fmt.Errorf("rule package %s: %w", digest, err)
	}
	b.mu.Lock()
	b.byBody[digest] = rules
	b.mu.Unlock()
	return rules, nil
}

// combine adds the organisation's own rules, which may only be its own
// promises and contracts: they can neither shadow nor pose as law.
func (b *Book) combine(rules *law.Rules, org string) (*law.Rules, error) {
	own, ok := b.cfg.Own[org]
	if !ok {
		return rules, nil
	}
	name := org + ".rules.yaml"
	all, err := rules.With(map[string][]byte{name: own})
	if err != nil {
		return nil, fmt.Errorf("own rules of %s: %w", org, err)
	}
	for _, r := range all.All() {
		if r.File != name {
			continue
		}
		if r.Regime != org {
			return nil, fmt.Errorf("own rules of %s: %s: regime must be %q", org, name, org)
		}
		if s := r.Common.Status; s != law.Contract && s != law.PolicyRule {
			return nil, fmt.Errorf("own rules of %s: %s:%d: status is %q; an organisation can make a contract or policy only", org, name, r.Line, s)
		}
	}
	return all, nil
}

// bucket opens the bucket of packages.
func (b *Book) bucket(ctx context.Context) (jetstream.KeyValue, error) {
	if b.js == nil {
		return nil, errors.New("this installation keeps no rule packages")
	}
	guarded, done := b.refusals.Guard(ctx, "$JS.API.STREAM.INFO.KV_"+event.BucketLaw)
	defer done()
	kv, err := b.js.KeyValue(guarded, event.BucketLaw)
	if err != nil {
		return nil, fmt.Errorf("open the bucket %s: %w", event.BucketLaw, bus.Explain(guarded, err))
	}
	return kv, nil
}
