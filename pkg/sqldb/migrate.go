package sqldb

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"regexp"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

var serviceName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,30}$`)

// Migrate brings the store's schema to the newest version of the service's
// migrations: goose files in the folders sqlite and postgres of fsys. Replicas
// that start together wait for each other. With PostgreSQL the tables live in
// a schema named after the service, unless the URL named a search_path.
//
// A DB belongs to the first service that migrates it; a second one is refused,
// because its tables would mix with the first one's.
func (db *DB) Migrate(ctx context.Context, service string, migrations fs.FS) error {
	if err := db.claim(service); err != nil {
		return err
	}
	if db.Engine == PostgreSQL && db.currentSchema() == "" {
		if err := db.useSchema(ctx, service); err != nil {
			return fmt.Errorf("migrate %s: %w", service, err)
		}
	}
	files, err := fs.Sub(migrations, string(db.Engine))
	if err != nil {
		return fmt.Errorf("migrate %s: %w", service, err)
	}
	options := []goose.ProviderOption{
		goose.WithTableName(service + "_schema_version"),
		goose.WithDisableGlobalRegistry(true),
	}
	dialect := goose.DialectSQLite3
	if db.Engine == PostgreSQL {
		dialect = goose.DialectPostgres
		// Look every second, for two minutes, whether another replica has finished.
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockID(lockID(db.currentSchema(), service)), lock.WithLockTimeout(1, 120))
		if err != nil {
			return fmt.Errorf("migrate %s: %w", service, err)
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	provider, err := goose.NewProvider(dialect, db.writer, files, options...)
	if err != nil {
		return fmt.Errorf("migrate %s: read folder %s: %w", service, db.Engine, err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate %s: %w", service, explainSQLite(err, ""))
	}
	return refuseNewer(ctx, service, provider)
}

// lockID names the lock between replicas of one service: other services, which
// have other schemas, need not wait.
func lockID(schema, service string) int64 {
	h := fnv.New64a()
	h.Write([]byte("tocsin migrate " + schema + " " + service))
	return int64(h.Sum64())
}

// refuseNewer stops an old program from writing to a store that a newer one
// has already changed.
func refuseNewer(ctx context.Context, service string, provider *goose.Provider) error {
	current, target, err := provider.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("migrate %s: read version: %w", service, err)
	}
	if current > target {
		return fmt.Errorf("migrate %s: the store has schema version %d and this program knows only %d; run the newer program", service, current, target)
	}
	return nil
}

// claim binds the store to the service.
func (db *DB) claim(service string) error {
	if !serviceName.MatchString(service) {
		return fmt.Errorf("migrate: %q is no service name: want lower-case letters, digits and _", service)
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.service != "" && db.service != service {
		return errors.New("migrate " + service + ": this store belongs to " + db.service + "; give each service its own database URL or sqldb.Open")
	}
	db.service = service
	return nil
}
