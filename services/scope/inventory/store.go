package inventory

import (
	"context"
	"crypto/rand"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"tocsin.dev/pkg/sqldb"
)

//go:embed migrations
var migrations embed.FS

// Errors that callers branch on.
var (
	// ErrBusy means that another import or erasure of the organisation is under way.
	ErrBusy = errors.New("the inventory is busy")
	// ErrNoInventory means that nothing was ever imported for the organisation.
	ErrNoInventory = errors.New("no inventory")
	// ErrUnknownDataset means that an exposure names a dataset that does not exist.
	ErrUnknownDataset = errors.New("unknown dataset")
)

// Config is what a Store needs.
type Config struct {
	DB *sqldb.DB
	// Root seals and destroys the keys at the top of every key tree.
	Root Root
	// Rand is the source of keys; the default is crypto/rand.
	Rand io.Reader
	// TempDir takes the encrypted working files of large imports; the default is the system's.
	TempDir string
	// ShelveFrom is how many rows about people make a delivery put its bulk
	// beside a SQLite file; the default is 200,000.
	ShelveFrom uint32
	Now        func() time.Time
	Log        *slog.Logger
}

// Store holds the inventories of all organisations of an installation.
type Store struct {
	cfg Config
	db  *sqldb.DB

	mu     sync.Mutex
	open   map[string]*opened // by organisation
	sealed *sealedCache

	shelves *shelves
}

// Open migrates the store and finishes what a crash left half done: root keys
// that an erasure had still to destroy.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	if cfg.Now == nil || cfg.DB == nil || cfg.Root == nil {
		return nil, errors.New("open inventory: a database, a root key and a clock are needed")
	}
	if cfg.ShelveFrom == 0 {
		cfg.ShelveFrom = shelveFrom
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, fmt.Errorf("open inventory: %w", err)
	}
	if err := cfg.DB.Migrate(ctx, "scope", files); err != nil {
		return nil, fmt.Errorf("open inventory: %w", err)
	}
	if cfg.DB.Engine == sqldb.SQLite {
		// Blobs are written once and not read again: a large cache for the one
		// writing connection costs 170 MB in an import and saves nothing.
		if _, err := cfg.DB.ExecContext(ctx, `PRAGMA cache_size = -8192`); err != nil {
			return nil, fmt.Errorf("open inventory: %w", err)
		}
	}
	s := &Store{cfg: cfg, db: cfg.DB, open: map[string]*opened{}, sealed: newSealedCache(), shelves: newShelves(cfg.DB)}
	if err := errors.Join(s.finishDestroying(ctx), s.tidyShelves(ctx)); err != nil {
		return nil, fmt.Errorf("open inventory: %w", err)
	}
	return s, nil
}

// head is the row of an organisation in the table inventory.
type head struct {
	id         int64
	org        string
	people     uint32 // the highest number given
	generation int64
	next       int64
	indexBits  int
	terms      terms
	keyVersion uint32
	keys       []byte
	secret     []byte
	bodies     *shelfReader
}

// terms are the words that columns refer to by index; index 0 is "unknown".
type terms struct {
	Jurisdictions []string `json:"jurisdictions"`
	Languages     []string `json:"languages"`
}

// querier is what reads: the pool or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// editor reads and writes.
type editor interface {
	querier
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func (s *Store) readHead(ctx context.Context, q querier, org string) (head, error) {
	h := head{org: org, bodies: s.shelves.bodies()}
	var text string
	err := q.QueryRowContext(ctx, `SELECT id, people, generation, next_generation, index_bits, terms, key_version, keys, secret
		FROM inventory WHERE org = $1`, org).
		Scan(&h.id, &h.people, &h.generation, &h.next, &h.indexBits, &text, &h.keyVersion, &h.keys, &h.secret)
	if errors.Is(err, sql.ErrNoRows) {
		return h, fmt.Errorf("%w for organisation %q", ErrNoInventory, org)
	}
	if err != nil {
		return h, fmt.Errorf("read inventory of %s: %w", org, err)
	}
	if err := json.Unmarshal([]byte(text), &h.terms); err != nil {
		return h, fmt.Errorf("read terms of inventory %s: %w", org, err)
	}
	return h, nil
}

// create makes an empty inventory for the organisation unless it exists.
func (s *Store) create(ctx context.Context, org string) error {
	if _, err := s.readHead(ctx, s.db, org); !errors.Is(err, ErrNoInventory) {
		return err
	}
	t, err := newTree(ctx, s.cfg.Root, s.cfg.Rand, org)
	if err != nil {
		return err
	}
	return s.db.Tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO inventory
			(id, org, people, generation, next_generation, index_bits, terms, key_version, keys, secret, destroy, busy_by, busy_until)
			SELECT COALESCE(MAX(id), 0) + 1, $1, 0, 0, 0, 0, $2, $3, $4, $5, 0, '', 0 FROM inventory WHERE true
			ON CONFLICT (org) DO NOTHING`,
			org, `{"jurisdictions":["unknown"],"languages":["unknown"]}`, int64(t.version), t.sealedTableKey, t.sealedSecret)
		if err != nil {
			return fmt.Errorf("create inventory of %s: %w", org, err)
		}
		return nil
	})
}

// opened is what is kept in memory of one organisation between questions.
type opened struct {
	mu   sync.Mutex
	tree *tree // valid for tree.version
}

func (s *Store) opened(org string) *opened {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.open[org]
	if o == nil {
		o = &opened{}
		s.open[org] = o
	}
	return o
}

// tree returns the keys of the organisation, opening them with the root key if
// this process has not yet, or if an erasure elsewhere replaced them.
func (s *Store) tree(ctx context.Context, h head) (*tree, error) {
	o := s.opened(h.org)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.tree != nil && o.tree.version == h.keyVersion {
		return o.tree, nil
	}
	t, err := openTree(ctx, s.cfg.Root, h)
	if err != nil {
		return nil, err
	}
	o.tree = t
	return t, nil
}

// read runs f in one snapshot of the store. Where the keys of the snapshot were
// replaced and destroyed before f could open them, f runs again in a new one.
func (s *Store) read(ctx context.Context, f func(*sql.Tx) error) error {
	err := s.readOnce(ctx, f)
	for tries := 1; errors.Is(err, ErrDestroyed) && tries < 3; tries++ {
		err = s.readOnce(ctx, f)
	}
	return err
}

func (s *Store) readOnce(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, readOnly(s.db.Engine))
	if err != nil {
		return fmt.Errorf("begin reading the inventory: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // nothing was written
	return f(tx)
}

func readOnly(e sqldb.Engine) *sql.TxOptions {
	if e == sqldb.PostgreSQL {
		return &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead}
	}
	return &sql.TxOptions{ReadOnly: true}
}

// lease is how long a crashed writer keeps others out.
const lease = time.Minute

// occupy makes the caller the only writer of the organisation's inventory, or
// returns ErrBusy saying who is. The caller calls renew at least every half
// minute and release at the end.
func (s *Store) occupy(ctx context.Context, org, what string) (token string, err error) {
	now := s.cfg.Now()
	token = what + " since " + now.UTC().Format("2006-01-02 15:04:05.000000 UTC")
	err = s.db.Tx(ctx, func(tx *sql.Tx) error {
		var by string
		var until int64
		if err := tx.QueryRowContext(ctx, `SELECT busy_by, busy_until FROM inventory WHERE org = $1`, org).Scan(&by, &until); err != nil {
			return fmt.Errorf("lock inventory of %s: %w", org, err)
		}
		if by != "" && until > now.UnixMilli() {
			return fmt.Errorf("%w: %s; wait for its end and try again", ErrBusy, by)
		}
		_, err := tx.ExecContext(ctx, `UPDATE inventory SET busy_by = $1, busy_until = $2 WHERE org = $3`, token, now.Add(lease).UnixMilli(), org)
		return err
	})
	return token, err
}

// renew prolongs the lease within a writer's transaction, and fails when it was lost.
func (s *Store) renew(ctx context.Context, tx *sql.Tx, org, token string) error {
	r, err := tx.ExecContext(ctx, `UPDATE inventory SET busy_until = $1 WHERE org = $2 AND busy_by = $3`,
		s.cfg.Now().Add(lease).UnixMilli(), org, token)
	if err != nil {
		return fmt.Errorf("keep lock of inventory %s: %w", org, err)
	}
	if n, err := r.RowsAffected(); err != nil || n != 1 {
		return fmt.Errorf("%w: the lock of %q was taken over by another writer", ErrBusy, token)
	}
	return nil
}

func (s *Store) release(ctx context.Context, org, token string) {
	_, err := s.db.ExecContext(context.WithoutCancel(ctx), `UPDATE inventory SET busy_by = '', busy_until = 0 WHERE org = $1 AND busy_by = $2`, org, token)
	if err != nil {
		s.cfg.Log.Warn("inventory lock not released; it runs out by itself", "org", org, "error", err)
	}
}
