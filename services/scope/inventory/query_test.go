package inventory

import (
	"context"
	"net/url"
	"os"
	"strings"
	"testing"

	"tocsin.dev/pkg/sqldb/sqldbtest"
)

// mysqlEnv names the environment variable with the URL of a MySQL or MariaDB
// server at which tests may create and drop databases.
const mysqlEnv = "TOCSIN_TEST_MYSQL"

// mysqlURL returns the address of an empty database of its own, dropped with
// the test. Without a server the test is skipped, saying how to get one; in CI
// it fails instead.
func mysqlURL(t *testing.T) string {
	t.Helper()
	server := os.Getenv(mysqlEnv)
	if server == "" {
		const how = "set " + mysqlEnv + " to a MySQL 8 or MariaDB 10.6 or newer, such as mysql://root@127.0.0.1:3306/ " +
			"(apt-get install mariadb-server, or docker run -p 3306:3306 -e MARIADB_ALLOW_EMPTY_ROOT_PASSWORD=1 mariadb:10.11)"
		if os.Getenv("CI") == "true" {
			t.Fatal("CI must have MySQL: " + how)
		}
		t.Skip("no MySQL: " + how)
	}
	admin, err := openSource(server)
	if err != nil {
		t.Fatal(err)
	}
	name := "test_" + strings.ToLower(t.Name()[strings.LastIndexByte(t.Name(), '/')+1:])
	// Its own encoding is not ours: the driver has to ask for UTF-8.
	for _, q := range []string{`DROP DATABASE IF EXISTS ` + name, `CREATE DATABASE ` + name + ` CHARACTER SET latin1`} {
		if _, err := admin.ExecContext(t.Context(), q); err != nil {
			t.Fatalf("%s at %s: %v", q, mysqlEnv, err)
		}
	}
	t.Cleanup(func() {
		// t.Context has ended by now.
		if _, err := admin.ExecContext(context.Background(), `DROP DATABASE `+name); err != nil {
			t.Errorf("drop database %s: %v", name, err)
		}
		_ = admin.Close()
	})
	u, err := url.Parse(server)
	if err != nil {
		t.Fatalf("%s is not a URL", mysqlEnv)
	}
	u.Path = "/" + name
	return u.String()
}

// fillServer writes the table that the other formats hold to a server, in the
// types that such a table would have there.
func fillServer(t *testing.T, address string) {
	t.Helper()
	db, err := openSource(address)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{
		`CREATE TABLE people (id BIGINT PRIMARY KEY, given_name VARCHAR(40), family_name VARCHAR(40), email TEXT, country CHAR(2), born DATE, opt_out BOOLEAN,
			dataset VARCHAR(40), first_seen TIMESTAMP)`,
		`INSERT INTO people VALUES (1, 'Åsa', 'Ek', 'asa@example.test', 'SE', '1980-02-03', true, 'crm.customers', '2024-01-01 00:00:00'),
			(2, 'Bo', 'Öberg', NULL, 'GB', NULL, false, 'shop.orders', '2025-06-01 00:00:00')`,
	} {
		if _, err := db.ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAQueryAtADatabaseServerGivesTheSameListAsAFile(t *testing.T) {
	m := Mapping{Columns: map[string]string{"person": "id"}}
	for name, server := range map[string]func(*testing.T) string{
		"postgres": func(t *testing.T) string { return sqldbtest.PostgresURL(t) },
		"mysql":    mysqlURL,
	} {
		t.Run(name, func(t *testing.T) {
			address := server(t)
			fillServer(t, address)
			want := sealAll(t, append(catalogueSources(), Query("list", "sqlite:"+sqlTable(t), `SELECT * FROM people`, m)))
			got := sealAll(t, append(catalogueSources(), Query("list", address, `SELECT * FROM people`, m)))
			if got.Digest != want.Digest || got.People != 2 {
				t.Errorf("%d people, another digest than from SQLite", got.People)
			}
			mustStayAsItIs(t, address)

			s := openStore(t, sqlite(t))
			mustImport(t, s, "vardag", catalogueSources())
			r, err := s.Import(t.Context(), "vardag", []Source{Query("list", address, `SELECT id, 'no address' AS email FROM people`, m)}, Options{})
			if err == nil || len(r.Errors) != 2 || r.Errors[1].Error() != "list line 2, column email: not an email address" {
				t.Errorf("a row with a fault: %v, %v", err, r.Errors)
			}
			if _, err := s.Import(t.Context(), "vardag", []Source{Query("list", address, `SELECT nothing FROM people`, m)}, Options{}); err == nil || !strings.Contains(err.Error(), "nothing") {
				t.Errorf("a query with a fault: %v", err)
			}
		})
	}
}

// mustStayAsItIs shows that a query cannot write at the source.
func mustStayAsItIs(t *testing.T, address string) {
	t.Helper()
	s := openStore(t, sqlite(t))
	for _, query := range []string{`DELETE FROM people`, `DROP TABLE people`, `CREATE TABLE more (id INT)`} {
		_, err := s.Import(t.Context(), "vardag", []Source{Query("list", address, query, Mapping{})}, Options{})
		if err == nil || !strings.Contains(strings.ReplaceAll(strings.ToLower(err.Error()), " ", "-"), "read-only") {
			t.Errorf("%s at the source: %v", query, err)
		}
	}
	db, err := openSource(address)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var rows int
	if err := db.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM people`).Scan(&rows); err != nil || rows != 2 {
		t.Errorf("the source has %d rows after it was read: %v", rows, err)
	}
}

func TestADatabaseThatCannotBeReachedIsAnErrorWithoutThePassword(t *testing.T) {
	s := openStore(t, sqlite(t))
	for _, address := range []string{
		"mysql://reader:hush-hush@127.0.0.1:1/shop", "postgres://reader:hush-hush@127.0.0.1:1/shop", "mysql://reader:hush-hush@127.0.0.1:port/shop",
		"postgres://reader:hush-hush@127.0.0.1:port/shop", "mssql://reader:hush-hush@127.0.0.1/shop",
	} {
		_, err := s.Import(t.Context(), "vardag", []Source{Query("shop", address, `SELECT 1`, Mapping{})}, Options{})
		if err == nil || strings.Contains(err.Error(), "hush") || !strings.Contains(err.Error(), "query shop") {
			t.Errorf("%s: %v", address, err)
		}
	}
}
