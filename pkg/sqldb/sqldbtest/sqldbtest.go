// Package sqldbtest runs a test on every engine that the stores support: on
// real SQLite files always, on a real PostgreSQL when one is given.
package sqldbtest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"tocsin.dev/pkg/sqldb"
)

// Env names the environment variable with the URL of a PostgreSQL database in
// which tests may create and drop schemas.
const Env = "TOCSIN_TEST_POSTGRES"

// Each runs f as one subtest on SQLite and one on PostgreSQL. Without a
// PostgreSQL the second is skipped, saying how to get one; in CI it fails
// instead, so that nothing goes unproven there.
func Each(t *testing.T, f func(t *testing.T, db *sqldb.DB)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { f(t, SQLite(t)) })
	t.Run("postgres", func(t *testing.T) { f(t, Postgres(t)) })
}

// SQLite returns a store in a file of its own, closed and removed with the test.
func SQLite(t testing.TB) *sqldb.DB {
	t.Helper()
	return open(t, "sqlite:"+filepath.Join(t.TempDir(), "test.db"))
}

// Postgres returns a store in a schema of its own, dropped with the test, or
// skips the test when there is no PostgreSQL.
func Postgres(t testing.TB) *sqldb.DB {
	t.Helper()
	return open(t, PostgresURL(t))
}

// PostgresURL returns the address of a fresh schema, for tests that hand an
// address on to a program. The schema is dropped with the test.
func PostgresURL(t testing.TB) string {
	t.Helper()
	server := os.Getenv(Env)
	if server == "" {
		missing(t)
	}
	schema := freshName(t)
	admin := open(t, server)
	if _, err := admin.ExecContext(t.Context(), `CREATE SCHEMA `+schema); err != nil {
		t.Fatalf("create schema on %s: %v", Env, err)
	}
	t.Cleanup(func() {
		// t.Context has ended by now.
		if _, err := admin.ExecContext(context.Background(), `DROP SCHEMA `+schema+` CASCADE`); err != nil {
			t.Errorf("drop schema %s: %v", schema, err)
		}
	})
	u, err := url.Parse(server)
	if err != nil {
		t.Fatalf("%s is not a URL", Env)
	}
	q := u.Query()
	q.Set("search_path", schema)
	u.RawQuery = q.Encode()
	return u.String()
}

// missing skips, or fails where PostgreSQL is promised.
func missing(t testing.TB) {
	t.Helper()
	const how = "set " + Env + " to a PostgreSQL 15 or newer, such as postgres://postgres@127.0.0.1:5432/postgres " +
		"(apt-get install postgresql, or docker run -p 5432:5432 -e POSTGRES_HOST_AUTH_METHOD=trust postgres:15)"
	if os.Getenv("CI") == "true" {
		t.Fatal("CI must have PostgreSQL: " + how)
	}
	t.Skip("no PostgreSQL: " + how)
}

func freshName(t testing.TB) string {
	t.Helper()
	b := make([]byte, 8)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return "test_" + hex.EncodeToString(b)
}

func open(t testing.TB, address string) *sqldb.DB {
	t.Helper()
	db, err := sqldb.Open(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return db
}
