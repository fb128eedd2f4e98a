package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
)

// Engine is the database behind a DB.
type Engine string

// The two engines. The values are also the folder names of migrations and the
// scheme of the URL.
const (
	SQLite     Engine = "sqlite"
	PostgreSQL Engine = "postgres"
)

// ErrLocked means that another process holds the SQLite file and did not let
// go within the busy time-out.
var ErrLocked = errors.New("database is locked by another process")

// DB is the SQL store of one service. The embedded *sql.DB is for reading:
// many connections at once. Everything that writes goes through Tx, or through
// ExecContext for a single statement.
type DB struct {
	*sql.DB
	// Engine says which of two texts to use where one does not do.
	Engine Engine
	// Path is the SQLite file; empty with PostgreSQL.
	Path string

	writer *sql.DB // SQLite: the only connection that writes. PostgreSQL: the same pool as DB.
	tx     *sql.TxOptions

	mu      sync.Mutex
	service string // the service that Migrate was called for
	schema  string // PostgreSQL: the search_path of every connection; "" until known
}

// Open connects to the store named by url and proves that it can be written to:
//
//	sqlite:/var/lib/tocsin/notice.db
//	postgres://user@host/database?sslmode=verify-full
//
// A SQLite file and its folder are created when missing, readable by their
// owner only. A PostgreSQL URL may carry search_path, to use another schema
// than the service's name, and pool_max_conns (default 8). Errors name the
// file or the host and never the password.
func Open(ctx context.Context, url string) (*DB, error) {
	scheme, rest, found := strings.Cut(url, ":")
	switch {
	case found && scheme == "sqlite":
		return openSQLite(ctx, strings.TrimPrefix(rest, "//"))
	case found && (scheme == "postgres" || scheme == "postgresql"):
		return openPostgres(ctx, url)
	}
	return nil, errors.New(`open database: the URL must begin with "sqlite:" or "postgres://"`)
}

// Close closes all connections.
func (db *DB) Close() error {
	if db.writer == db.DB {
		return db.DB.Close()
	}
	// The writer last: closing the last connection folds the WAL into the file.
	return errors.Join(db.DB.Close(), db.writer.Close())
}

// ExecContext runs one writing statement, in SQLite on the one connection that
// writes.
func (db *DB) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return db.writer.ExecContext(ctx, query, args...)
}

// Tx runs f in one transaction that may write, and commits if f returns nil.
// Transactions are serialisable: SQLite runs them one after the other (BEGIN
// IMMEDIATE on one connection), PostgreSQL refuses those that would not be and
// Tx runs f again. So f must do nothing outside of the transaction that may
// not happen twice, and must not call db inside, which would wait for itself.
func (db *DB) Tx(ctx context.Context, f func(*sql.Tx) error) error {
	if db.Engine == PostgreSQL {
		return retrySerialisation(ctx, func() error { return db.once(ctx, f) })
	}
	return explainSQLite(db.once(ctx, f), "")
}

// once runs f in one transaction. A panic in f rolls back and goes on.
func (db *DB) once(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := db.writer.BeginTx(ctx, db.tx)
	if err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	// After Commit this is a no-op; its error would only repeat an earlier one.
	defer func() { _ = tx.Rollback() }()
	if err := f(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit transaction: %w", err)
	}
	return nil
}
