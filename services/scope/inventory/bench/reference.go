package bench

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"

	"tocsin.dev/pkg/category"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/sqldb"
	"tocsin.dev/services/scope/inventory/synthetic"
)

// The reference keeps one SQL row per record, ordered by dataset and person,
// and answers a scope by merging one ordered cursor per dataset in Go: the best
// that was found with rows.

const referenceSchema = `CREATE TABLE person (number BIGINT PRIMARY KEY, jurisdiction TEXT NOT NULL);
CREATE TABLE held (dataset BIGINT NOT NULL, number BIGINT NOT NULL, first BIGINT NOT NULL, last BIGINT NOT NULL, mask BIGINT NOT NULL,
	PRIMARY KEY (dataset, number, first, mask)) WITHOUT ROWID;`

func (r *run) reference(ctx context.Context) (err error) {
	n := min(r.o.People, 1_000_000)
	db, err := sqldb.Open(ctx, "sqlite:"+filepath.Join(r.o.Dir, "reference.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := db.ExecContext(ctx, referenceSchema); err != nil {
		return err
	}
	set := synthetic.New("bench", n, r.o.Seed)
	ids, masks := map[string]int64{}, map[string]category.Set{}
	for i, d := range set.Datasets() {
		ids[d.Key], masks[d.Key] = int64(i), d.Categories
	}
	c := start()
	if err := fillReference(ctx, db, set, ids, masks); err != nil {
		return err
	}
	s := c.step("reference: fill with rows", int64(n))
	s.Note = "no sealing, no identity, no index"
	r.report(s)
	c = start()
	people, err := mergeRows(ctx, db, ids)
	s = c.step("reference: counts by jurisdiction", people)
	s.Ratio = s.CPU / float64(n) / r.cost[stepPreview]
	s.Note = fmt.Sprintf("%d people of %d: %.1f times the CPU of a preview, person by person", people, n, s.Ratio)
	r.report(s)
	return err
}

func fillReference(ctx context.Context, db *sqldb.DB, set *synthetic.Set, ids map[string]int64, masks map[string]category.Set) error {
	return db.Tx(ctx, func(tx *sql.Tx) error {
		people, err := tx.PrepareContext(ctx, `INSERT INTO person (number, jurisdiction) VALUES ($1, $2)`)
		if err != nil {
			return err
		}
		held, err := tx.PrepareContext(ctx, `INSERT INTO held (dataset, number, first, last, mask) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`)
		if err != nil {
			return err
		}
		return set.Each(func(i int, row *synthetic.Row) error {
			if _, err := people.ExecContext(ctx, i+1, row.Jurisdiction); err != nil {
				return err
			}
			for _, h := range row.Holdings {
				last := int64(h.Last)
				if last == 0 {
					last = 1 << 40
				}
				if _, err := held.ExecContext(ctx, ids[h.Dataset], i+1, int64(h.First), last, int64(masks[h.Dataset])); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// cursor walks the affected records of one dataset in order of person.
type cursor struct {
	rows   *sql.Rows
	number int64
	mask   int64
	done   bool
}

func (c *cursor) next() error {
	if !c.rows.Next() {
		c.done = true
		return c.rows.Err()
	}
	return c.rows.Scan(&c.number, &c.mask)
}

// mergeRows counts the affected people by jurisdiction.
func mergeRows(ctx context.Context, db *sqldb.DB, ids map[string]int64) (int64, error) {
	var cursors []*cursor
	for _, e := range Exposures(3) {
		c, err := openCursor(ctx, db, ids[e.Dataset], e)
		if err != nil {
			return 0, err
		}
		defer c.rows.Close() //nolint:errcheck // next has told what went wrong
		cursors = append(cursors, c)
	}
	places, err := db.QueryContext(ctx, `SELECT number, jurisdiction FROM person ORDER BY number`)
	if err != nil {
		return 0, err
	}
	defer places.Close() //nolint:errcheck // Err below tells what went wrong
	counts := map[string]int64{}
	var people int64
	for places.Next() {
		var number int64
		var jurisdiction string
		if err := places.Scan(&number, &jurisdiction); err != nil {
			return 0, err
		}
		mask := int64(0)
		for _, c := range cursors {
			for !c.done && c.number <= number {
				if c.number == number {
					mask |= c.mask
				}
				if err := c.next(); err != nil {
					return 0, err
				}
			}
		}
		if mask != 0 {
			people++
			counts[jurisdiction]++
		}
	}
	return people, places.Err()
}

func openCursor(ctx context.Context, db *sqldb.DB, dataset int64, e event.Exposure) (*cursor, error) {
	rows, err := db.QueryContext(ctx, `SELECT number, mask FROM held WHERE dataset = $1 AND first < $2 AND last >= $3 ORDER BY number`,
		dataset, e.To.Unix(), e.From.Unix())
	if err != nil {
		return nil, err
	}
	c := &cursor{rows: rows}
	return c, c.next()
}
