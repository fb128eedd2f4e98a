package sqldb_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"tocsin.dev/pkg/sqldb"
	"tocsin.dev/pkg/sqldb/sqldbtest"
)

// migrations is a small service's schema in both texts.
func migrations(versions int) fstest.MapFS {
	fsys := fstest.MapFS{}
	texts := []string{
		"-- +goose Up\nCREATE TABLE counter (name TEXT PRIMARY KEY, n BIGINT NOT NULL, body BYTEA, flag BOOLEAN);\n",
		"-- +goose Up\nCREATE TABLE second (n BIGINT PRIMARY KEY);\n",
	}
	for i, text := range texts[:versions] {
		for _, engine := range []string{"sqlite", "postgres"} {
			fsys[fmt.Sprintf("%s/%05d_step.sql", engine, i+1)] = &fstest.MapFile{Data: []byte(text)}
		}
	}
	return fsys
}

func migrate(t *testing.T, db *sqldb.DB) {
	t.Helper()
	if err := db.Migrate(t.Context(), "counting", migrations(1)); err != nil {
		t.Fatal(err)
	}
}

func TestConcurrentReadModifyWriteLosesNoUpdate(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		ctx := t.Context()
		migrate(t, db)
		if _, err := db.ExecContext(ctx, `INSERT INTO counter (name, n) VALUES ($1, $2)`, "a", 0); err != nil {
			t.Fatal(err)
		}
		const writers, rounds = 4, 10
		var wait sync.WaitGroup
		for range writers {
			wait.Go(func() {
				for range rounds {
					err := db.Tx(ctx, func(tx *sql.Tx) error {
						var n int64
						if err := tx.QueryRowContext(ctx, `SELECT n FROM counter WHERE name = $1`, "a").Scan(&n); err != nil {
							return err
						}
						_, err := tx.ExecContext(ctx, `UPDATE counter SET n = $1 WHERE name = $2`, n+1, "a")
						return err
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		wait.Wait()
		var n int64
		if err := db.QueryRowContext(ctx, `SELECT n FROM counter WHERE name = $1`, "a").Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n != writers*rounds {
			t.Errorf("counted %d, want %d", n, writers*rounds)
		}
	})
}

func TestAFailedTransactionLeavesNothing(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		ctx := t.Context()
		migrate(t, db)
		insert := func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `INSERT INTO counter (name, n) VALUES ('x', 1)`)
			return err
		}
		reason := errors.New("no")
		err := db.Tx(ctx, func(tx *sql.Tx) error { return errors.Join(insert(tx), reason) })
		if !errors.Is(err, reason) {
			t.Errorf("error = %v, want the one of the function", err)
		}
		func() {
			defer func() { _ = recover() }()
			_ = db.Tx(ctx, func(tx *sql.Tx) error {
				if err := insert(tx); err != nil {
					t.Error(err)
				}
				panic("in the middle")
			})
		}()
		var n int
		if err := db.QueryRowContext(ctx, `SELECT COUNT(*) FROM counter`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n != 0 {
			t.Errorf("%d rows were left behind", n)
		}
		if err := db.Tx(ctx, insert); err != nil {
			t.Errorf("the store does not work after a panic: %v", err)
		}
	})
}

func TestReadersGoOnWhileATransactionWrites(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		ctx := t.Context()
		migrate(t, db)
		err := db.Tx(ctx, func(tx *sql.Tx) error {
			if _, err := tx.ExecContext(ctx, `INSERT INTO counter (name, n) VALUES ('x', 1)`); err != nil {
				return err
			}
			var n int
			if err := db.QueryRowContext(ctx, `SELECT COUNT(*) FROM counter`).Scan(&n); err != nil {
				return fmt.Errorf("read beside the writer: %w", err)
			}
			if n != 0 {
				t.Errorf("a reader saw %d uncommitted rows", n)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestOneSQLTextServesBothEngines(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		ctx := t.Context()
		migrate(t, db)
		const upsert = `INSERT INTO counter (name, n, body, flag) VALUES ($1, $2, $3, $4)
			ON CONFLICT (name) DO UPDATE SET n = excluded.n WHERE counter.n < excluded.n RETURNING n`
		err := db.Tx(ctx, func(tx *sql.Tx) error {
			var n int64
			return tx.QueryRowContext(ctx, upsert, "a", int64(1)<<40, []byte{0, 1, 255}, true).Scan(&n)
		})
		if err != nil {
			t.Fatal(err)
		}
		var (
			n    int64
			body []byte
			flag bool
		)
		if err := db.QueryRowContext(ctx, `SELECT n, body, flag FROM counter WHERE (name, n) > ($1, $2)`, "a", 0).Scan(&n, &body, &flag); err != nil {
			t.Fatal(err)
		}
		if n != 1<<40 || string(body) != "\x00\x01\xff" || !flag {
			t.Errorf("read back %d %v %v", n, body, flag)
		}
	})
}

func TestMigratingTwiceChangesNothingAndANewVersionIsApplied(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		for _, versions := range []int{1, 1, 2} {
			if err := db.Migrate(t.Context(), "counting", migrations(versions)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := db.ExecContext(t.Context(), `INSERT INTO second (n) VALUES (1)`); err != nil {
			t.Error(err)
		}
	})
}

func TestAnOldProgramRefusesANewerStore(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		if err := db.Migrate(t.Context(), "counting", migrations(2)); err != nil {
			t.Fatal(err)
		}
		err := db.Migrate(t.Context(), "counting", migrations(1))
		if err == nil || !strings.Contains(err.Error(), "run the newer program") {
			t.Errorf("error = %v, want a refusal", err)
		}
	})
}

func TestAStoreBelongsToOneService(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		migrate(t, db)
		err := db.Migrate(t.Context(), "other", migrations(1))
		if err == nil || !strings.Contains(err.Error(), "belongs to counting") {
			t.Errorf("error = %v, want a refusal that names the owner", err)
		}
		if err := db.Migrate(t.Context(), `x"; DROP`, migrations(1)); err == nil {
			t.Error("a strange service name was accepted")
		}
	})
}

func TestServicesShareOnePostgreSQLWithoutSeeingEachOther(t *testing.T) {
	// The schemas of this test are named after services, as in production.
	server := os.Getenv(sqldbtest.Env)
	if server == "" {
		sqldbtest.Postgres(t) // skips, or fails in CI
	}
	services := []string{"sqldbtest_one", "sqldbtest_two"}
	var wait sync.WaitGroup
	for _, service := range append(services, services...) { // two replicas each, at once
		wait.Go(func() {
			db, err := sqldb.Open(t.Context(), server)
			if err != nil {
				t.Error(err)
				return
			}
			defer db.Close() //nolint:errcheck // the test is about what was written
			if err := db.Migrate(t.Context(), service, migrations(1)); err != nil {
				t.Error(err)
				return
			}
			if _, err := db.ExecContext(t.Context(), `INSERT INTO counter (name, n) VALUES ($1, 1) ON CONFLICT DO NOTHING`, service); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	admin, err := sqldb.Open(t.Context(), server)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close() //nolint:errcheck // nothing is pending
	for _, service := range services {
		var names string
		if err := admin.QueryRowContext(t.Context(), `SELECT STRING_AGG(name, ',') FROM `+service+`.counter`).Scan(&names); err != nil {
			t.Error(err)
		} else if names != service {
			t.Errorf("the table of %s holds %s", service, names)
		}
		if _, err := admin.ExecContext(context.Background(), `DROP SCHEMA IF EXISTS `+service+` CASCADE`); err != nil {
			t.Error(err)
		}
	}
}

func TestSQLiteIsDurableAndPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new folder", "a?b#c.db")
	db, err := sqldb.Open(t.Context(), "sqlite:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // the test only reads settings
	err = db.Tx(t.Context(), func(tx *sql.Tx) error {
		for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "page_size": "8192", "foreign_keys": "1", "cache_size": "-16384"} {
			var got string
			if err := tx.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil {
				return err
			}
			if got != want {
				t.Errorf("%s = %s, want %s", pragma, got, want)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 {
		t.Errorf("the file can be read by others: %v", mode)
	}
}

func TestOpenSaysWhatIsWrongAndWhatToDo(t *testing.T) {
	folder := t.TempDir()
	notADatabase := filepath.Join(folder, "text.db")
	if err := os.WriteFile(notADatabase, []byte(strings.Repeat("this is text. ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ url, want string }{
		"no scheme":         {"/var/lib/x.db", `must begin with "sqlite:" or "postgres://"`},
		"in memory":         {"sqlite::memory:", "is not a file path"},
		"a folder":          {"sqlite:" + folder, "is a directory"},
		"below a file":      {"sqlite:" + notADatabase + "/x.db", "not a directory"},
		"no database":       {"sqlite:" + notADatabase, "not an intact SQLite database"},
		"no server":         {"postgres://u:secret@127.0.0.1:1/db", "127.0.0.1:1"},
		"wrong pool":        {"postgres://u:secret@127.0.0.1:1/db?pool_max_conns=many", "pool_max_conns=many"},
		"not a URL for pgx": {"postgres://u:secret@127.0.0.1:x/db", "open database"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := sqldb.Open(t.Context(), c.url)
			if err == nil {
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q does not say %q", err, c.want)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("error %q tells the password", err)
			}
		})
	}
}

func TestALockedFileIsReportedAsLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	one, err := sqldb.Open(t.Context(), "sqlite:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close() //nolint:errcheck // nothing is pending
	if testing.Short() {
		t.Skip("waits for SQLite's busy time-out")
	}
	err = one.Tx(t.Context(), func(*sql.Tx) error {
		two, err := sqldb.Open(t.Context(), "sqlite:"+path)
		if err == nil {
			return errors.Join(errors.New("opened a locked file"), two.Close())
		}
		if !errors.Is(err, sqldb.ErrLocked) || !strings.Contains(err.Error(), path) {
			t.Errorf("error = %v, want ErrLocked and the path", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestABatchWritesEveryRowOnceOnBothEngines(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		ctx := t.Context()
		migrate(t, db)
		insert := sqldb.Batch{Before: `INSERT INTO counter (name, n, flag) VALUES`, Row: `(?, ?, ?)`, After: `ON CONFLICT DO NOTHING`}
		update := sqldb.Batch{
			Before: `WITH v (name, n) AS (VALUES`, Row: `(CAST(? AS TEXT), CAST(? AS BIGINT))`,
			After: `) UPDATE counter SET n = v.n FROM v WHERE counter.name = v.name`,
		}
		total := 0
		for _, n := range []int{0, 1, 99, 100, 101, 350} { // the rows of each begin anew, so all but the growth conflicts
			var inserted, updated int64
			err := db.Tx(ctx, func(tx *sql.Tx) (err error) {
				inserted, err = insert.Exec(ctx, db, tx, n, func(i int, args []any) []any { return append(args, fmt.Sprint(i), i, true) })
				if err != nil {
					return err
				}
				updated, err = update.Exec(ctx, db, tx, n, func(i int, args []any) []any { return append(args, fmt.Sprint(i), -i) })
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if inserted != int64(n-total) || updated != int64(n) {
				t.Errorf("batch of %d: inserted %d, updated %d, want %d and %d", n, inserted, updated, n-total, n)
			}
			total = n
		}
		var rows, sum int64
		if err := db.QueryRowContext(ctx, `SELECT COUNT(*), CAST(SUM(n) AS BIGINT) FROM counter`).Scan(&rows, &sum); err != nil {
			t.Fatal(err)
		}
		if rows != 350 || sum != -350*349/2 {
			t.Errorf("%d rows with sum %d", rows, sum)
		}
	})
}

func TestABatchWithAWrongRowIsRefused(t *testing.T) {
	db := sqldbtest.SQLite(t)
	migrate(t, db)
	err := db.Tx(t.Context(), func(tx *sql.Tx) error {
		_, err := sqldb.Batch{Before: `INSERT INTO counter (name, n) VALUES`, Row: `(?, ?)`}.Exec(t.Context(), db, tx, 2,
			func(i int, args []any) []any { return append(args, make([]any, 2-i)...) })
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "row 1 has 1 values and not 2") {
		t.Errorf("error = %v", err)
	}
}
