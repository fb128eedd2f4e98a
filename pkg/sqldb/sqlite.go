package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Settings measured for the inventory index and the message ledger. A page in
// the cache of the writer takes two to five times its size, as the memory of
// the driver is cut, and more than 16 MiB buys neither of them anything.
// Readers mostly scan blobs once or read what was just written.
const (
	pageSize    = 8192  // bytes
	writerCache = 16384 // KiB
	readerCache = 2048  // KiB
	readers     = 6
	busyTimeout = 5_000 // milliseconds
)

// openSQLite opens the file at path, creating it when missing.
func openSQLite(ctx context.Context, path string) (*DB, error) {
	if path == "" || path[0] == ':' {
		return nil, fmt.Errorf("open database: %q is not a file path; write sqlite:/folder/file.db", path)
	}
	if err := touch(path); err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	writer, err := sql.Open("sqlite", sqliteDSN(path, writerCache)+"&_txlock=immediate")
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	writer.SetMaxOpenConns(1)
	writer.SetMaxIdleConns(1)
	reader, err := sql.Open("sqlite", sqliteDSN(path, readerCache))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open database %s: %w", path, err), writer.Close())
	}
	reader.SetMaxOpenConns(readers)
	reader.SetMaxIdleConns(readers)
	db := &DB{DB: reader, Engine: SQLite, Path: path, writer: writer}
	if err := db.prove(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open database %s: %w", path, explainSQLite(err, path)), db.Close())
	}
	return db, nil
}

// touch makes sure that the file exists, belongs to its owner only and can be
// written. SQLite gives its side files the same mode.
func touch(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the operator names the file
	if err != nil {
		return err
	}
	return f.Close()
}

// sqliteDSN is the address under which the driver applies the same settings to
// every new connection. The driver applies the _pragma list sorted and before
// the other keys; page_size must come before the journal mode, since a file in
// WAL mode keeps its page size.
func sqliteDSN(path string, cacheKiB int) string {
	settings := url.Values{
		"_busy_timeout": {strconv.Itoa(busyTimeout)},
		"_pragma": {
			fmt.Sprintf("page_size(%d)", pageSize),
			fmt.Sprintf("cache_size(-%d)", cacheKiB),
			"temp_store(MEMORY)",
		},
		"_journal_mode": {"WAL"},
		"_synchronous":  {"FULL"},
		"_foreign_keys": {"1"},
	}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + settings.Encode()
}

// prove takes and releases the write lock, so that a file that is locked or on
// a read-only disk is found at start and not at the first write.
func (db *DB) prove(ctx context.Context) error {
	tx, err := db.writer.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	return tx.Rollback()
}

// explainSQLite turns the driver's codes into words that say what to do.
func explainSQLite(err error, path string) error {
	var code *sqlite.Error
	if !errors.As(err, &code) {
		return err
	}
	switch code.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fmt.Errorf("%w: stop the other process or give this one its own data folder: %w", ErrLocked, err)
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		return fmt.Errorf("the file cannot be written; check its owner and mode and that the disk is not read-only: %w", err)
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("the disk is full: %w", err)
	case sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT:
		return fmt.Errorf("%s is not an intact SQLite database; restore it from a backup: %w", filepath.Base(path), err)
	}
	return err
}
