package inventory

import (
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"tocsin.dev/pkg/category"
)

// Of every segment a reader sees one generation: the step that makes a newer
// one visible removes the older.

// readSegment returns the body that readers of h see, or nil if there is none.
func readSegment(ctx context.Context, q querier, h head, kind, a, c int64) ([]byte, error) {
	var body []byte
	var p place
	err := q.QueryRowContext(ctx, `SELECT body, shelf, at, size FROM segment WHERE inventory = $1 AND kind = $2 AND a = $3 AND c = $4 AND generation <= $5`,
		h.id, kind, a, c, h.generation).Scan(&body, &p.shelf, &p.at, &p.size)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err == nil && p.shelf != 0 {
		body, err = h.bodies.read(h.id, p)
	}
	if err != nil {
		return nil, segmentError(kind, a, c, err)
	}
	return body, nil
}

// readSegments calls f for the segments of a kind with c from, inclusive, to,
// exclusive, in order.
func readSegments(ctx context.Context, q querier, h head, kind, a, from, to int64, f func(c int64, body []byte) error) error {
	return placedSegments(ctx, q, h, kind, a, from, to, func(c int64, body []byte, p place) error {
		if p.shelf != 0 {
			var err error
			if body, err = h.bodies.read(h.id, p); err != nil {
				return err
			}
		}
		return f(c, body)
	})
}

// placedSegments is readSegments for those who read what stands on shelves themselves.
func placedSegments(ctx context.Context, q querier, h head, kind, a, from, to int64, f func(c int64, body []byte, p place) error) error {
	rows, err := q.QueryContext(ctx, `SELECT c, body, shelf, at, size FROM segment WHERE inventory = $1 AND kind = $2 AND a = $3 AND c >= $4 AND c < $5
		AND generation <= $6 ORDER BY c`, h.id, kind, a, from, to, h.generation)
	if err != nil {
		return segmentError(kind, a, from, err)
	}
	err = scanAll(rows, func() error {
		var c int64
		var body []byte
		var p place
		if err := rows.Scan(&c, &body, &p.shelf, &p.at, &p.size); err != nil {
			return err
		}
		return f(c, body, p)
	})
	if err != nil {
		return segmentError(kind, a, from, err)
	}
	return nil
}

// datasetRow is a dataset with what the catalogue knows of its records.
type datasetRow struct {
	Dataset
	declared    category.Set
	id          int64
	records     int64
	first, last uint32
}

func readDatasets(ctx context.Context, q querier, h head) ([]datasetRow, error) {
	rows, err := q.QueryContext(ctx, `SELECT id, key, system, name, categories, declared, purpose, retention, role, controller, medium, records, first_seen, last_seen
		FROM dataset WHERE inventory = $1 ORDER BY system, key`, h.id)
	if err != nil {
		return nil, fmt.Errorf("read datasets of %s: %w", h.org, err)
	}
	var all []datasetRow
	err = scanAll(rows, func() error {
		var d datasetRow
		var categories, declared int64
		err := rows.Scan(&d.id, &d.Key, &d.System, &d.Name, &categories, &declared, &d.Purpose, &d.RetentionMonths, &d.Role, &d.Controller, &d.Medium,
			&d.records, &d.first, &d.last)
		d.Categories, d.declared = category.Set(categories), category.Set(declared)
		all = append(all, d)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read datasets of %s: %w", h.org, err)
	}
	return all, nil
}

func readSystems(ctx context.Context, q querier, h head) ([]System, error) {
	rows, err := q.QueryContext(ctx, `SELECT key, name, note FROM system WHERE inventory = $1 ORDER BY key`, h.id)
	if err != nil {
		return nil, fmt.Errorf("read systems of %s: %w", h.org, err)
	}
	var all []System
	err = scanAll(rows, func() error {
		var s System
		err := rows.Scan(&s.Key, &s.Name, &s.Note)
		all = append(all, s)
		return err
	})
	return all, err
}

func readAliases(ctx context.Context, q querier, h head) (aliases, error) {
	a := aliases{pairs: map[uint32]alias{}}
	err := readSegments(ctx, q, h, segAliases, 0, 0, 1<<16, func(c int64, body []byte) error {
		return eachAlias(body, func(low uint16, target uint32, reason uint8) {
			a.pairs[uint32(c)<<16|uint32(low)] = alias{target, reason}
		})
	})
	return a, err
}

// tombstones are the people who were erased on request.
type tombstones struct {
	numbers    *roaring.Bitmap
	identities map[hash128]bool
	// mailboxes holds the hash of each mailbox with the tag of the name.
	mailboxes map[[20]byte]time.Time
	at        map[uint32]time.Time
}

func readTombstones(ctx context.Context, q querier, h head) (*tombstones, error) {
	t := &tombstones{numbers: roaring.New(), identities: map[hash128]bool{}, mailboxes: map[[20]byte]time.Time{}, at: map[uint32]time.Time{}}
	rows, err := q.QueryContext(ctx, `SELECT number, at, email FROM tombstone WHERE inventory = $1`, h.id)
	if err != nil {
		return nil, fmt.Errorf("read tombstones of %s: %w", h.org, err)
	}
	err = scanAll(rows, func() error {
		var number uint32
		var at int64
		var mailbox []byte
		if err := rows.Scan(&number, &at, &mailbox); err != nil {
			return err
		}
		t.numbers.Add(number)
		t.at[number] = time.UnixMilli(at).UTC()
		if len(mailbox) == 20 {
			t.mailboxes[[20]byte(mailbox)] = t.at[number]
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read tombstones of %s: %w", h.org, err)
	}
	return t, nil
}

func (t *tombstones) has(number uint32) bool {
	return !t.numbers.IsEmpty() && t.numbers.Contains(number)
}

func (t *tombstones) byIdentity(e entry) bool {
	if len(t.identities) == 0 {
		return false
	}
	var h hash128
	binary.BigEndian.PutUint64(h[:], e.hi)
	binary.BigEndian.PutUint64(h[8:], e.lo)
	return t.identities[h]
}

// openPage reads a page of records with its keys; first is its first number.
func (s *Store) openPage(ctx context.Context, q querier, h head, table *pageKeys, first uint32, records *recordPage, keys *personKeys) error {
	key := &table[first%chunkSize/pageSize]
	*records, *keys = recordPage{}, personKeys{}
	if isZero(key) {
		return nil
	}
	c := int64(first / pageSize)
	sealed, err := readSegment(ctx, q, h, segKeys, 0, c)
	if err != nil {
		return err
	}
	if err := openKeyPage(key, first, sealed, keys); err != nil {
		return err
	}
	body, err := readSegment(ctx, q, h, segRecords, 0, c)
	if err != nil {
		return err
	}
	if err := records.parse(body); err != nil {
		return segmentError(segRecords, 0, c, err)
	}
	return nil
}

// publish makes the generation visible in one step and removes what it replaced.
func (d *Delivery) publish(ctx context.Context, id string, generation int64, r *resolution) error {
	s, h := d.store, d.head
	d.report.Generation = generation
	report, err := json.Marshal(d.report)
	if err != nil {
		return fmt.Errorf("publish delivery: %w", err)
	}
	termsText, err := json.Marshal(h.terms)
	if err != nil {
		return fmt.Errorf("publish delivery: %w", err)
	}
	err = s.db.Tx(ctx, func(tx *sql.Tx) error {
		if err := s.renew(ctx, tx, d.org, d.token); err != nil {
			return err
		}
		if err := d.writeCatalogue(ctx, tx, generation); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE inventory SET people = $1, generation = $2, index_bits = $3, terms = $4 WHERE id = $5`,
			r.people, generation, r.bits, string(termsText), h.id); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE delivery SET state = $1, report = $2, ended_at = $3 WHERE inventory = $4 AND id = $5`,
			deliveryDone, string(report), s.cfg.Now().UnixMilli(), h.id, id); err != nil {
			return err
		}
		if h.generation == 0 {
			return nil
		}
		return removeReplaced(ctx, tx, h, generation, r.bits)
	})
	if err != nil {
		return fmt.Errorf("publish delivery to %s: %w", d.org, err)
	}
	return nil
}

func removeReplaced(ctx context.Context, tx *sql.Tx, h head, generation int64, bits int) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM segment WHERE inventory = $1 AND generation < $2 AND EXISTS (
		SELECT 1 FROM segment n WHERE n.inventory = segment.inventory AND n.kind = segment.kind AND n.a = segment.a AND n.c = segment.c AND n.generation = $2)`,
		h.id, generation)
	if err == nil && bits != h.indexBits {
		_, err = tx.ExecContext(ctx, `DELETE FROM segment WHERE inventory = $1 AND kind = $2 AND a % 64 <> $3`, h.id, segIndex, bits)
	}
	return err
}

func (d *Delivery) writeCatalogue(ctx context.Context, tx *sql.Tx, generation int64) error {
	visible := d.head
	visible.generation = generation
	for _, s := range d.systems {
		if _, err := tx.ExecContext(ctx, `INSERT INTO system (inventory, key, name, note) VALUES ($1, $2, $3, $4)
			ON CONFLICT (inventory, key) DO UPDATE SET name = CASE WHEN excluded.name = '' THEN system.name ELSE excluded.name END,
				note = CASE WHEN excluded.note = '' THEN system.note ELSE excluded.note END`, d.head.id, s.Key, s.Name, s.Note); err != nil {
			return err
		}
	}
	for _, ds := range d.byID[1:] {
		if ds == nil || !ds.touched {
			continue
		}
		records, err := countRecords(ctx, tx, visible, int64(ds.id))
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO dataset
			(inventory, id, key, system, name, categories, purpose, retention, role, controller, medium, records, first_seen, last_seen, declared)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
			ON CONFLICT (inventory, id) DO UPDATE SET system = excluded.system, name = excluded.name, categories = excluded.categories,
				declared = excluded.declared, purpose = excluded.purpose, retention = excluded.retention, role = excluded.role, controller = excluded.controller,
				medium = excluded.medium, records = excluded.records, first_seen = excluded.first_seen, last_seen = excluded.last_seen`,
			d.head.id, ds.id, ds.Key, ds.System, ds.Name, int64(ds.Categories), ds.Purpose, ds.RetentionMonths, ds.Role, ds.Controller, ds.Medium,
			records, int64(ds.first), int64(ds.last), int64(ds.declared)); err != nil {
			return err
		}
	}
	return nil
}

// countRecords adds up the row counts at the head of the segments of a dataset.
func countRecords(ctx context.Context, q querier, h head, dataset int64) (int64, error) {
	rows, err := q.QueryContext(ctx, `SELECT c, SUBSTR(body, 1, 4), shelf, at FROM segment WHERE inventory = $1 AND kind = $2 AND a = $3 AND generation <= $4
		ORDER BY c, generation`, h.id, segHoldings, dataset, h.generation)
	if err != nil {
		return 0, err
	}
	byChunk := map[int64]int64{}
	var total int64
	err = scanAll(rows, func() error {
		var c int64
		var head []byte
		p := place{size: 4}
		if err := rows.Scan(&c, &head, &p.shelf, &p.at); err != nil {
			return err
		}
		if p.shelf != 0 {
			if head, err = h.bodies.view(h.id, p); err != nil {
				return err
			}
		}
		total += rowCount(head) - byChunk[c]
		byChunk[c] = rowCount(head)
		return nil
	})
	return total, err
}
