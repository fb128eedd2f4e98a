package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// defaultConns bounds one service's connections: five services with three
// replicas each would otherwise exhaust PostgreSQL's own default of 100 soon.
const defaultConns = 6

// attempts is how often a transaction is run when PostgreSQL refuses to
// serialise it. The waits between them add up to about two seconds.
const attempts = 12

// openPostgres connects to the server and proves it with a ping.
func openPostgres(ctx context.Context, url string) (*DB, error) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		// pgx leaves passwords out of its parse errors.
		return nil, fmt.Errorf("open database: %w", err)
	}
	conns, err := poolSize(cfg)
	if err != nil {
		return nil, fmt.Errorf("open database on %s: %w", cfg.Host, err)
	}
	if cfg.RuntimeParams["application_name"] == "" {
		cfg.RuntimeParams["application_name"] = "tocsin"
	}
	db := &DB{Engine: PostgreSQL, tx: &sql.TxOptions{Isolation: sql.LevelSerializable}, schema: cfg.RuntimeParams["search_path"]}
	// The schema is known only at Migrate; connections made after it start there.
	before := stdlib.OptionBeforeConnect(func(_ context.Context, c *pgx.ConnConfig) error {
		if schema := db.currentSchema(); schema != "" {
			// c is this connection's own, but its map is shared with all others.
			c.RuntimeParams = maps.Clone(c.RuntimeParams)
			c.RuntimeParams["search_path"] = schema
		}
		return nil
	})
	db.DB = stdlib.OpenDB(*cfg, before)
	db.writer = db.DB
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	db.SetConnMaxIdleTime(5 * time.Minute)
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open database %s on %s:%d: %w", cfg.Database, cfg.Host, cfg.Port, err), db.Close())
	}
	return db, nil
}

// poolSize takes pool_max_conns out of the parameters that go to the server.
func poolSize(cfg *pgx.ConnConfig) (int, error) {
	text, set := cfg.RuntimeParams["pool_max_conns"]
	if !set {
		return defaultConns, nil
	}
	delete(cfg.RuntimeParams, "pool_max_conns")
	n, err := strconv.Atoi(text)
	if err != nil || n < 2 || n > 1000 {
		return 0, fmt.Errorf("pool_max_conns=%s: want a number from 2 to 1000", text)
	}
	return n, nil
}

func (db *DB) currentSchema() string {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.schema
}

// useSchema creates the schema and makes every connection start in it.
func (db *DB) useSchema(ctx context.Context, schema string) error {
	// Replicas start together, and CREATE SCHEMA IF NOT EXISTS may still collide.
	err := db.Tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock(hashtext($1))`, "tocsin "+schema); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `CREATE SCHEMA IF NOT EXISTS `+pgx.Identifier{schema}.Sanitize())
		return err
	})
	if err != nil {
		return fmt.Errorf("create schema %s: %w", schema, err)
	}
	db.mu.Lock()
	db.schema = pgx.Identifier{schema}.Sanitize()
	db.mu.Unlock()
	db.dropIdle()
	return nil
}

// dropIdle closes the connections that were made before the schema was known.
func (db *DB) dropIdle() {
	n := db.Stats().MaxOpenConnections
	db.SetMaxIdleConns(-1)
	db.SetMaxIdleConns(n)
}

// retrySerialisation runs f again while PostgreSQL says that a concurrent
// transaction was in its way.
func retrySerialisation(ctx context.Context, f func() error) error {
	var err error
	for n := range attempts {
		if err = f(); !serialisationFailure(err) {
			return err
		}
		// Full jitter: 2 ms, 4 ms, … at most 512 ms.
		limit := time.Millisecond << min(n+1, 9)
		select {
		case <-time.After(rand.N(limit)): //nolint:gosec // spreads retries, guards nothing
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
	}
	return fmt.Errorf("gave up after %d attempts: %w", attempts, err)
}

// serialisationFailure reports SQLSTATE 40001 (serialization_failure) and
// 40P01 (deadlock_detected): nothing was written and f may run again.
func serialisationFailure(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40001" || pg.Code == "40P01")
}
