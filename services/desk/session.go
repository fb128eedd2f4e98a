package desk

import (
	"context"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tocsin.dev/pkg/event"
)

// cookieName is the session cookie, as the API's contract names it.
const cookieName = "tocsin_session"

// Keys of a session.
const (
	keyUser = "user"
	// keyCredential ties a session to the password it was opened with: a changed
	// password or a removed user ends it.
	keyCredential = "credential"
)

func (s *Service) newSessions() *scs.SessionManager {
	m := scs.New()
	m.Store = s.store
	m.HashTokenInStore = true
	m.IdleTimeout, m.Lifetime = s.cfg.Idle, s.cfg.Life
	m.Cookie.Name = cookieName
	m.Cookie.HttpOnly = true
	m.Cookie.SameSite = http.SameSiteLaxMode
	m.Cookie.Secure = s.cfg.Secure
	m.Cookie.Persist = false
	m.ErrorFunc = func(w http.ResponseWriter, r *http.Request, err error) {
		s.cfg.Log.ErrorContext(r.Context(), "session store failed", "error", err)
		http.Error(w, "The sessions cannot be reached at the moment. Please try again.", http.StatusServiceUnavailable)
	}
	return m
}

// signIn checks the password and opens a session. Every wrong answer takes the
// same time and says the same.
func (s *Service) signIn(ctx context.Context, from, id, password string) (User, error) {
	id = strings.ToLower(strings.TrimSpace(id))
	if wait := s.throttle.wait(id, from); wait > 0 {
		return User{}, &TooMany{Wait: wait}
	}
	user, known := s.cfg.Users.Get(id)
	stored := user.Password
	if !known || stored == "" {
		stored = nobody
	}
	hash, err := parseHash(stored)
	if err != nil {
		return User{}, fmt.Errorf("password of user %s: %w", id, err)
	}
	right := false
	if err := s.throttle.compute(ctx, func() { right = len(password) <= maxPassword && hash.matches(password) }); err != nil {
		return User{}, err
	}
	if !right || !known || user.Password == "" {
		s.throttle.failed(id, from)
		return User{}, invalid("password", "User or password is wrong")
	}
	s.throttle.succeeded(id, from)
	// A fresh token: nobody can have planted it.
	if err := s.sessions.RenewToken(ctx); err != nil {
		return User{}, fmt.Errorf("open a session: %w", err)
	}
	s.sessions.Put(ctx, keyUser, user.ID)
	s.sessions.Put(ctx, keyCredential, HashToken(user.Password))
	return user, nil
}

// nobody is the hash of a password that nobody has, so that an unknown user costs as much as a known one.
const nobody = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// sessionUser returns the user of the session in ctx.
func (s *Service) sessionUser(ctx context.Context) (User, bool) {
	user, ok := s.cfg.Users.Get(s.sessions.GetString(ctx, keyUser))
	if !ok {
		return User{}, false
	}
	same := subtle.ConstantTimeCompare([]byte(s.sessions.GetString(ctx, keyCredential)), []byte(HashToken(user.Password)))
	if same != 1 {
		return User{}, false
	}
	return user, true
}

// sessionStore keeps sessions in a JetStream bucket that all replicas share.
// Keys are digests of tokens: who reads the bucket cannot sign in with it.
type sessionStore struct {
	js  jetstream.JetStream
	now func() time.Time

	mu sync.Mutex
	kv jetstream.KeyValue // looked up once it is first needed
}

func newSessionStore(nc *nats.Conn, now func() time.Time) (*sessionStore, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	return &sessionStore{js: js, now: now}, nil
}

func (st *sessionStore) bucket(ctx context.Context) (jetstream.KeyValue, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.kv != nil {
		return st.kv, nil
	}
	kv, err := st.js.KeyValue(ctx, event.BucketSessions)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", event.BucketSessions, err)
	}
	st.kv = kv
	return kv, nil
}

// storeTimeout bounds one look into the bucket.
const storeTimeout = 5 * time.Second

// FindCtx implements scs.CtxStore. A value is the expiry in Unix seconds, then the data.
func (st *sessionStore) FindCtx(ctx context.Context, token string) ([]byte, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	kv, err := st.bucket(ctx)
	if err != nil {
		return nil, false, err
	}
	e, err := kv.Get(ctx, token)
	if errors.Is(err, jetstream.ErrKeyNotFound) || errors.Is(err, jetstream.ErrInvalidKey) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("read a session: %w", err)
	}
	if expired(e.Value(), st.now()) {
		return nil, false, nil
	}
	return e.Value()[8:], true, nil
}

func expired(v []byte, now time.Time) bool {
	return len(v) < 8 || now.Unix() >= int64(binary.BigEndian.Uint64(v))
}

// CommitCtx implements scs.CtxStore.
func (st *sessionStore) CommitCtx(ctx context.Context, token string, b []byte, expiry time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	kv, err := st.bucket(ctx)
	if err != nil {
		return err
	}
	value := binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(b)), uint64(expiry.Unix()))
	if _, err := kv.Put(ctx, token, append(value, b...)); err != nil {
		return fmt.Errorf("store a session: %w", err)
	}
	return nil
}

// DeleteCtx implements scs.CtxStore.
func (st *sessionStore) DeleteCtx(ctx context.Context, token string) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	kv, err := st.bucket(ctx)
	if err != nil {
		return err
	}
	if err := kv.Purge(ctx, token); err != nil && !errors.Is(err, jetstream.ErrKeyNotFound) && !errors.Is(err, jetstream.ErrInvalidKey) {
		return fmt.Errorf("delete a session: %w", err)
	}
	return nil
}

// Find, Commit and Delete implement scs.Store for callers without a context; scs uses the others.
func (st *sessionStore) Find(token string) ([]byte, bool, error) {
	return st.FindCtx(context.Background(), token)
}

// Commit implements scs.Store.
func (st *sessionStore) Commit(token string, b []byte, expiry time.Time) error {
	return st.CommitCtx(context.Background(), token, b, expiry)
}

// Delete implements scs.Store.
func (st *sessionStore) Delete(token string) error { return st.DeleteCtx(context.Background(), token) }

// sweep removes expired sessions.
func (st *sessionStore) sweep(ctx context.Context) error {
	kv, err := st.bucket(ctx)
	if err != nil {
		return err
	}
	keys, err := kv.ListKeys(ctx)
	if err != nil {
		return fmt.Errorf("list sessions: %w", err)
	}
	defer func() { _ = keys.Stop() }()
	for key := range keys.Keys() {
		e, err := kv.Get(ctx, key)
		if err != nil || !expired(e.Value(), st.now()) {
			continue
		}
		if err := kv.Purge(ctx, key, jetstream.LastRevision(e.Revision())); err != nil && ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// TooMany means that sign-in failed too often; Wait is when to try again.
type TooMany struct{ Wait time.Duration }

func (e *TooMany) Error() string {
	return fmt.Sprintf("sign-in failed too often; try again in %s", e.Wait.Round(time.Second))
}

// throttle slows down guessing, per user and per address. Its counters live in this process.
type throttle struct {
	now   func() time.Time
	slots chan struct{} // argon2 takes 19 MiB each time

	mu    sync.Mutex
	fails map[string]failures
}

type failures struct {
	count int
	until time.Time
	last  time.Time
}

// Sign-ins that fail before waiting begins, the first wait and the longest.
const (
	freeUser, freeAddress = 5, 20
	firstWait             = 5 * time.Second
	longestWait           = 15 * time.Minute
	maxTracked            = 100_000
)

func newThrottle(now func() time.Time) *throttle {
	return &throttle{now: now, slots: make(chan struct{}, 4), fails: map[string]failures{}}
}

func throttleKeys(id, from string) [2]string {
	if host, _, err := net.SplitHostPort(from); err == nil {
		from = host
	}
	if len(id) > 64 {
		id = id[:64]
	}
	return [2]string{"user " + id, "from " + from}
}

func (t *throttle) wait(id, from string) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	var wait time.Duration
	for _, k := range throttleKeys(id, from) {
		wait = max(wait, t.fails[k].until.Sub(t.now()))
	}
	return wait
}

func (t *throttle) failed(id, from string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, k := range throttleKeys(id, from) {
		f := t.fails[k]
		f.count, f.last = f.count+1, t.now()
		if over := f.count - [2]int{freeUser, freeAddress}[i]; over >= 0 {
			f.until = t.now().Add(min(firstWait<<min(over, 10), longestWait))
		}
		if len(t.fails) < maxTracked || t.fails[k].count > 0 {
			t.fails[k] = f
		}
	}
}

func (t *throttle) succeeded(id, from string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.fails, throttleKeys(id, from)[0])
}

// sweep forgets failures older than an hour.
func (t *throttle) sweep() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for k, f := range t.fails {
		if t.now().Sub(f.last) > time.Hour {
			delete(t.fails, k)
		}
	}
}

// compute runs f when one of few slots is free.
func (t *throttle) compute(ctx context.Context, f func()) error {
	select {
	case t.slots <- struct{}{}:
		defer func() { <-t.slots }()
		f()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
