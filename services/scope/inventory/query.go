package inventory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"
)

// Query is the source of a SQL query at a database of the organisation. The URL
// is postgres://, mysql:// or sqlite:; the query runs in a transaction that can
// only read, and each of its columns is a column of the table.
func Query(name, databaseURL, query string, m Mapping) Source {
	return Source{Name: name, Mapping: m, Read: func(ctx context.Context, d *Delivery, digest io.Writer) error {
		if err := d.query(ctx, name, databaseURL, query, digest, m); err != nil {
			return fmt.Errorf("query %s: %w", name, err)
		}
		return nil
	}}
}

// openSource opens a database to read from. Errors never show the URL, which
// may hold a password.
func openSource(databaseURL string) (*sql.DB, error) {
	scheme, rest, _ := strings.Cut(databaseURL, ":")
	switch scheme {
	case "postgres", "postgresql":
		return sql.Open("pgx", databaseURL)
	case "sqlite":
		return sql.Open("sqlite", "file:"+strings.TrimPrefix(rest, "//")+"?mode=ro&_pragma=query_only(1)")
	case "mysql":
		u, err := url.Parse(databaseURL)
		if err != nil {
			return nil, errors.New("the database URL is malformed: write mysql://user:password@host:3306/database")
		}
		cfg := mysql.NewConfig()
		cfg.User, cfg.Net, cfg.Addr, cfg.DBName = u.User.Username(), "tcp", u.Host, strings.TrimPrefix(u.Path, "/")
		cfg.Passwd, _ = u.User.Password()
		cfg.ParseTime, cfg.TLSConfig = true, u.Query().Get("tls")
		connector, err := mysql.NewConnector(cfg)
		if err != nil {
			return nil, fmt.Errorf("connect to %s: %w", u.Host, err)
		}
		return sql.OpenDB(connector), nil
	}
	return nil, errors.New("the database URL has another scheme than postgres, mysql or sqlite")
}

func (d *Delivery) query(ctx context.Context, name, databaseURL, query string, digest io.Writer, m Mapping) (err error) {
	db, err := openSource(databaseURL)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	tx, err := beginReading(ctx, db, databaseURL)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // nothing was written
	rows, err := tx.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	columns, err := rows.Columns()
	if err != nil {
		return errors.Join(err, rows.Close())
	}
	t, err := newTable(d, name, columns, m)
	if err != nil {
		return errors.Join(err, rows.Close())
	}
	values, places, text := make([]any, len(columns)), make([]any, len(columns)), make([]string, len(columns))
	for i := range values {
		places[i] = &values[i]
	}
	line := uint32(0)
	return scanAll(rows, func() error {
		line++
		if err := rows.Scan(places...); err != nil {
			return fmt.Errorf("row %d: %w", line, err)
		}
		for i, v := range values {
			text[i] = columnText(v)
			if _, err := fmt.Fprintf(digest, "%d:%s", len(text[i]), text[i]); err != nil {
				return err
			}
		}
		return t.take(text, line)
	})
}

// beginReading begins a transaction in which a query cannot write. At MySQL it
// takes the session to be read-only as well: a statement that makes or drops a
// table ends the transaction before it runs.
func beginReading(ctx context.Context, db *sql.DB, databaseURL string) (*sql.Tx, error) {
	opts := &sql.TxOptions{ReadOnly: true}
	switch scheme, _, _ := strings.Cut(databaseURL, ":"); scheme {
	case "sqlite":
		opts = nil // opened read-only already
	case "mysql":
		db.SetMaxOpenConns(1) // the session of the transaction
		if _, err := db.ExecContext(ctx, `SET SESSION TRANSACTION READ ONLY`); err != nil {
			return nil, err
		}
	}
	return db.BeginTx(ctx, opts)
}

// columnText writes a value of a driver as text.
func columnText(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case []byte:
		return string(v)
	case time.Time:
		if v.Hour() == 0 && v.Minute() == 0 && v.Second() == 0 && v.Nanosecond() == 0 {
			return v.Format(time.DateOnly)
		}
		return v.UTC().Format(time.RFC3339)
	case int64:
		return strconv.FormatInt(v, 10)
	case bool:
		return strconv.FormatBool(v)
	}
	return fmt.Sprint(v)
}
