package sqldb_test

import (
	"database/sql"
	"testing"

	"tocsin.dev/pkg/sqldb"
	"tocsin.dev/pkg/sqldb/sqldbtest"
)

// BenchmarkBatch writes ledger-like rows, 1,000 in each durable transaction.
func BenchmarkBatch(b *testing.B) {
	for name, open := range map[string]func(testing.TB) *sqldb.DB{"sqlite": sqldbtest.SQLite, "postgres": sqldbtest.Postgres} {
		b.Run(name, func(b *testing.B) {
			ctx, db := b.Context(), open(b)
			if _, err := db.ExecContext(ctx, `CREATE TABLE ledger (id BIGINT PRIMARY KEY, org TEXT NOT NULL,
				person BIGINT NOT NULL, channel TEXT NOT NULL, state INTEGER NOT NULL, at BIGINT NOT NULL)`); err != nil {
				b.Fatal(err)
			}
			const rows = 1000
			insert := sqldb.Batch{Before: `INSERT INTO ledger (id, org, person, channel, state, at) VALUES`, Row: `(?,?,?,?,?,?)`}
			update := sqldb.Batch{
				Before: `WITH v (id, state) AS (VALUES`, Row: `(CAST(? AS BIGINT), CAST(? AS INTEGER))`,
				After: `) UPDATE ledger SET state = v.state FROM v WHERE ledger.id = v.id`,
			}
			run := func(batch sqldb.Batch, row func(id int64, args []any) []any) func(b *testing.B) {
				return func(b *testing.B) {
					next := int64(0)
					for b.Loop() {
						err := db.Tx(ctx, func(tx *sql.Tx) error {
							_, err := batch.Exec(ctx, db, tx, rows, func(i int, args []any) []any { return row(next+int64(i), args) })
							return err
						})
						if err != nil {
							b.Fatal(err)
						}
						next += rows
					}
					b.ReportMetric(float64(b.N)*rows/b.Elapsed().Seconds(), "rows/s")
				}
			}
			b.Run("insert", func(b *testing.B) {
				if _, err := db.ExecContext(ctx, `DELETE FROM ledger`); err != nil {
					b.Fatal(err)
				}
				run(insert, func(id int64, args []any) []any {
					return append(args, id, "tidewater", id, "email", 1, int64(1790000000))
				})(b)
			})
			b.Run("update", run(update, func(id int64, args []any) []any { return append(args, id%100_000, 2) }))
		})
	}
}
