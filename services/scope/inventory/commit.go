package inventory

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// segmentRow is a segment to be written.
type segmentRow struct {
	kind, a, c int64
	body       []byte
	place      place
}

// writer writes segments of one generation in transactions of some megabytes.
// What must stand together is put between two calls of boundary.
type writer struct {
	d          *Delivery
	generation int64
	rows       []segmentRow
	shelved    []segmentRow // whose bodies are on the shelf
	size       int          // of rows
	settled    int64        // what the shelf held at the last boundary
	shelf      *shelf       // nil if bodies lie in their rows
}

const (
	// writeSize is half of what the writing connection caches, so that SQLite need
	// not write pages before their transaction ends.
	writeSize = 4 << 20
	// settleSize is how much goes to a shelf before it is synced.
	settleSize = 8 * writeSize
)

// put adds a segment. The body of a kind that stands on shelves may be used again.
func (w *writer) put(_ context.Context, seg segmentRow) error {
	switch {
	case shelfOf(seg.kind, w.generation) == 0:
	case w.shelf == nil:
		seg.body = slices.Clone(seg.body)
	default:
		var err error
		if seg.place, err = w.shelf.put(seg.kind, seg.body); err != nil {
			return fmt.Errorf("write the inventory of %s: %w", w.d.org, err)
		}
		seg.body = nil
		w.shelved = append(w.shelved, seg)
		return nil
	}
	w.rows, w.size = append(w.rows, seg), w.size+len(seg.body)
	return nil
}

func (w *writer) boundary(ctx context.Context, force bool) error {
	full := w.size >= writeSize || w.shelf != nil && w.shelf.size()-w.settled >= settleSize
	if !full && !force || len(w.rows)+len(w.shelved) == 0 {
		return nil
	}
	if w.shelf != nil {
		if err := w.shelf.settle(); err != nil {
			return fmt.Errorf("write the inventory of %s: %w", w.d.org, err)
		}
		w.settled = w.shelf.size()
	}
	d := w.d
	err := d.store.db.Tx(ctx, func(tx *sql.Tx) error {
		if err := d.store.renew(ctx, tx, d.org, d.token); err != nil {
			return err
		}
		if err := w.insertRows(ctx, tx); err != nil {
			return err
		}
		for some := range slices.Chunk(w.shelved, 64) {
			if err := w.insertShelved(ctx, tx, some); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write the inventory of %s: %w", d.org, err)
	}
	w.rows, w.shelved, w.size = w.rows[:0], w.shelved[:0], 0
	return nil
}

const (
	insertSegment    = `INSERT INTO segment (inventory, generation, kind, a, c, body, shelf, at, size) VALUES `
	insteadOfSegment = ` ON CONFLICT (inventory, kind, a, c, generation) DO UPDATE SET body = excluded.body, shelf = excluded.shelf, at = excluded.at, size = excluded.size`
)

func (w *writer) insertRows(ctx context.Context, tx *sql.Tx) (err error) {
	insert, err := tx.PrepareContext(ctx, insertSegment+`($1, $2, $3, $4, $5, $6, 0, 0, 0)`+insteadOfSegment)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, insert.Close()) }()
	for _, r := range w.rows {
		if _, err := insert.ExecContext(ctx, w.d.head.id, w.generation, r.kind, r.a, r.c, r.body); err != nil {
			return err
		}
	}
	return nil
}

// insertShelved writes rows in one statement: they are short, and a large
// delivery has tens of thousands.
func (w *writer) insertShelved(ctx context.Context, tx *sql.Tx, some []segmentRow) error {
	text := make([]byte, 0, len(insertSegment)+len(insteadOfSegment)+80*len(some))
	text = append(text, insertSegment...)
	for i, r := range some {
		if i > 0 {
			text = append(text, ',')
		}
		text = fmt.Appendf(text, `($1,$2,%d,%d,%d,x'',%d,%d,%d)`, r.kind, r.a, r.c, r.place.shelf, r.place.at, r.place.size)
	}
	_, err := tx.ExecContext(ctx, string(append(text, insteadOfSegment...)), w.d.head.id, w.generation) //nolint:gosec // G202: numbers
	return err
}

// Check resolves the delivery without taking anything in: the same counts and
// faults that Commit would report.
func (d *Delivery) Check(ctx context.Context) (Report, error) {
	r := &resolution{chunks: newPassing(d.records.dir)}
	defer func() { _ = r.chunks.close() }()
	if err := d.resolve(ctx, r); err != nil {
		return d.report, err
	}
	if err := d.joinPeople(ctx, r); err != nil {
		return d.report, err
	}
	d.report.Generation = d.head.generation
	return d.report, nil
}

// Commit takes the delivery in under an id that stands for its content: the
// same content twice changes nothing, and a delivery that was cut off by a
// crash goes on where it was when it is delivered again. If rows have faults
// and skipBad is not set, nothing is taken in and ErrBadRows is returned.
func (d *Delivery) Commit(ctx context.Context, id string, skipBad bool) (report Report, err error) {
	if d.report.Bad > 0 && !skipBad {
		return d.report, ErrBadRows
	}
	if done, err := d.taken(ctx, id); err != nil || done {
		return d.report, err
	}
	generation, resumed, err := d.begin(ctx, id)
	if err != nil {
		return d.report, err
	}
	w := &writer{d: d, generation: generation}
	if d.store.shelves.path != "" && d.rows >= d.store.cfg.ShelveFrom {
		if w.shelf, err = d.store.shelves.fill(d.head.id, generation); err != nil {
			return d.report, err
		}
		defer func() { err = errors.Join(err, w.shelf.Close()) }()
	}
	r := &resolution{chunks: newPassing(d.records.dir)}
	defer func() { _ = r.chunks.close() }()
	r.write = func(ctx context.Context, seg segmentRow) error {
		return errors.Join(w.put(ctx, seg), w.boundary(ctx, false))
	}
	if err := d.resolve(ctx, r); err != nil {
		return d.report, err
	}
	if d.report.Bad > 0 && !skipBad {
		return d.report, errors.Join(ErrBadRows, d.abandon(ctx))
	}
	if err := d.joinPeople(ctx, r); err != nil {
		return d.report, err
	}
	if err := d.writeChunks(ctx, w, r, resumed); err != nil {
		return d.report, err
	}
	if err := putAliases(ctx, r.before, r.after, w.put); err != nil {
		return d.report, err
	}
	if err := d.writeWards(ctx, w, r); err != nil {
		return d.report, err
	}
	if err := errors.Join(w.boundary(ctx, true), w.gather(ctx)); err != nil {
		return d.report, err
	}
	return d.report, d.publish(ctx, id, generation, r)
}

// taken reports whether the same content is already what the inventory holds.
func (d *Delivery) taken(ctx context.Context, id string) (bool, error) {
	var state, report string
	var generation int64
	err := d.store.db.QueryRowContext(ctx, `SELECT state, report, generation FROM delivery WHERE inventory = $1 AND id = $2`, d.head.id, id).
		Scan(&state, &report, &generation)
	if errors.Is(err, sql.ErrNoRows) || err == nil && (state != deliveryDone || generation != d.head.generation) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look up delivery: %w", err)
	}
	d.report = Report{}
	if err := json.Unmarshal([]byte(report), &d.report); err != nil {
		return false, fmt.Errorf("read report of delivery: %w", err)
	}
	d.report.Unchanged = true
	return true, nil
}

// States of a delivery.
const (
	deliveryRunning = "running"
	deliveryDone    = "done"
)

// begin finds the unfinished delivery of the same content to go on with, or
// drops any other one and starts anew.
func (d *Delivery) begin(ctx context.Context, id string) (generation int64, resumed bool, err error) {
	s := d.store
	err = s.db.Tx(ctx, func(tx *sql.Tx) error {
		resumed = false
		if err := s.renew(ctx, tx, d.org, d.token); err != nil {
			return err
		}
		err := tx.QueryRowContext(ctx, `SELECT generation FROM delivery WHERE inventory = $1 AND id = $2 AND state = $3 AND base = $4`,
			d.head.id, id, deliveryRunning, d.head.generation).Scan(&generation)
		if err == nil {
			resumed = true
			return nil
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if err := dropUnfinished(ctx, tx, d.head); err != nil {
			return err
		}
		if err := tx.QueryRowContext(ctx, `UPDATE inventory SET next_generation = next_generation + 1 WHERE id = $1 RETURNING next_generation`,
			d.head.id).Scan(&generation); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO delivery (inventory, id, base, generation, state, source, report, started_at, ended_at)
			VALUES ($1, $2, $3, $4, $5, $6, '{}', $7, 0)
			ON CONFLICT (inventory, id) DO UPDATE SET base = excluded.base, generation = excluded.generation, state = excluded.state,
				started_at = excluded.started_at, ended_at = 0, report = '{}'`,
			d.head.id, id, d.head.generation, generation, deliveryRunning, d.token, s.cfg.Now().UnixMilli())
		return err
	})
	if err == nil {
		err = s.tidyShelves(ctx)
	}
	if err != nil {
		return 0, false, fmt.Errorf("begin delivery to %s: %w", d.org, err)
	}
	return generation, resumed, nil
}

// dropUnfinished removes what an unfinished delivery wrote. Nobody has seen it.
func dropUnfinished(ctx context.Context, tx *sql.Tx, h head) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM segment WHERE inventory = $1 AND generation > $2`, h.id, h.generation); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `DELETE FROM delivery WHERE inventory = $1 AND state = $2`, h.id, deliveryRunning)
	return err
}

func (d *Delivery) abandon(ctx context.Context) error {
	err := d.store.db.Tx(ctx, func(tx *sql.Tx) error { return dropUnfinished(ctx, tx, d.head) })
	return errors.Join(err, d.store.tidyShelves(ctx))
}

// written returns the values of c that a kind already has in a generation.
func (d *Delivery) written(ctx context.Context, generation, kind, a int64) (map[int64]bool, error) {
	rows, err := d.store.db.QueryContext(ctx, `SELECT c FROM segment WHERE inventory = $1 AND kind = $2 AND a = $3 AND generation = $4`, d.head.id, kind, a, generation)
	if err != nil {
		return nil, fmt.Errorf("resume delivery: %w", err)
	}
	done := map[int64]bool{}
	return done, scanAll(rows, func() error {
		var c int64
		err := rows.Scan(&c)
		done[c] = true
		return err
	})
}

// scanAll calls f for every row and closes rows.
func scanAll(rows *sql.Rows, f func() error) error {
	defer func() { _ = rows.Close() }() // Err below says what went wrong
	for rows.Next() {
		if err := f(); err != nil {
			return err
		}
	}
	return rows.Err()
}
