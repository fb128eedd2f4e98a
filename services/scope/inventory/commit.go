package inventory

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"unsafe"
)

// segmentRow is a segment to be written.
type segmentRow struct {
	kind, a, c int64
	body       []byte
}

// writer writes segments of one generation in transactions of some megabytes.
// What must stand together is put between two calls of boundary.
type writer struct {
	d          *Delivery
	generation int64
	rows       []segmentRow
	size       int
}

const writeSize = 8 << 20

func (w *writer) put(_ context.Context, seg segmentRow) error {
	w.rows = append(w.rows, seg)
	w.size += len(seg.body)
	return nil
}

func (w *writer) boundary(ctx context.Context, force bool) error {
	if w.size < writeSize && !force || len(w.rows) == 0 {
		return nil
	}
	d := w.d
	err := d.store.db.Tx(ctx, func(tx *sql.Tx) error {
		if err := d.store.renew(ctx, tx, d.org, d.token); err != nil {
			return err
		}
		insert, err := tx.PrepareContext(ctx, `INSERT INTO segment (inventory, kind, a, c, generation, body) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (inventory, kind, a, c, generation) DO UPDATE SET body = excluded.body`)
		if err != nil {
			return err
		}
		defer func() { _ = insert.Close() }() // the transaction ends it in any case
		for _, r := range w.rows {
			if _, err := insert.ExecContext(ctx, d.head.id, r.kind, r.a, r.c, w.generation, r.body); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write the inventory of %s: %w", d.org, err)
	}
	w.rows, w.size = w.rows[:0], 0
	return nil
}

// Check resolves the delivery without taking anything in: the same counts and
// faults that Commit would report.
func (d *Delivery) Check(ctx context.Context) (Report, error) {
	r := &resolution{chunks: newSpill(d.records.dir)}
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
func (d *Delivery) Commit(ctx context.Context, id string, skipBad bool) (Report, error) {
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
	r := &resolution{chunks: newSpill(d.records.dir)}
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
	if err := d.writePeople(ctx, w, r, resumed); err != nil {
		return d.report, err
	}
	if err := d.writeHoldings(ctx, w, r, resumed); err != nil {
		return d.report, err
	}
	if err := putAliases(ctx, r.before, r.after, w.put); err != nil {
		return d.report, err
	}
	if err := w.boundary(ctx, true); err != nil {
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
	return d.store.db.Tx(ctx, func(tx *sql.Tx) error { return dropUnfinished(ctx, tx, d.head) })
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

// writePeople writes attributes, records and keys chunk by chunk.
func (d *Delivery) writePeople(ctx context.Context, w *writer, r *resolution, resumed bool) error {
	byChunk, err := d.recordsByChunk(ctx, r)
	if err != nil {
		return err
	}
	defer func() { _ = byChunk.close() }()
	done := map[int64]bool{}
	if resumed {
		if done, err = d.written(ctx, w.generation, segTable, 0); err != nil {
			return err
		}
	}
	p := &placer{d: d, w: w}
	for c := range byChunk.parts {
		if byChunk.parts[c].size == 0 || done[int64(c)] {
			continue
		}
		body, err := byChunk.load(c)
		if err != nil {
			return err
		}
		byChunk.drop(c)
		if err := p.chunk(ctx, uint32(c), body); err != nil {
			return err
		}
		if err := w.boundary(ctx, false); err != nil {
			return err
		}
		d.Progress("people", float64(c+1)/float64(len(byChunk.parts)))
	}
	return nil
}

// placedHead is the number in the chunk before attribute, length and record.
const placedHead = 2 + recordHead

// recordsByChunk sorts the records, which came in the order of rows, by chunk.
// The record of a duplicate goes to the person it is as well.
func (d *Delivery) recordsByChunk(ctx context.Context, r *resolution) (*spill, error) {
	out := newSpill(d.records.dir)
	duplicates := newBitset(r.people + 1)
	for n := range r.after.pairs {
		duplicates.add(n)
	}
	ordinal := uint32(0)
	var buf []byte
	err := d.records.each(0, func(b []byte) error {
		for len(b) > 0 {
			size := recordHead + int(binary.LittleEndian.Uint16(b[8:]))
			number := r.numbers[ordinal]
			if number != heldBack {
				buf = binary.LittleEndian.AppendUint16(buf[:0], uint16(number))
				buf = append(buf, b[:size]...)
				if g := d.guarded[ordinal]; g != 0 {
					buf = appendGuardianTo(buf, g)
				}
				if err := out.add(int(number>>16), buf); err != nil {
					return err
				}
				if duplicates.has(number) {
					if err := addSupplement(out, r.after.pairs[number].target, number, buf[placedHead:], supplementFresh); err != nil {
						return err
					}
				}
			}
			b = b[size:]
			ordinal++
		}
		return nil
	})
	d.records.drop(0)
	if err == nil {
		err = d.supplementsOfKnown(ctx, r, out)
	}
	if err != nil {
		return nil, errors.Join(err, out.close())
	}
	return out, nil
}

// Marks of a supplement among the rows of a chunk, in the place of channels:
// what the store knew of the duplicate comes before what the delivery says.
const (
	supplementKnown = 0
	supplementFresh = 1
)

// addSupplement adds the record of a duplicate to the chunk of its person. Its
// attribute says nobody.
func addSupplement(out *spill, target, number uint32, record []byte, mark byte) error {
	var head [placedHead + 4]byte
	binary.LittleEndian.PutUint16(head[:], uint16(target))
	head[2+7] = mark
	if len(record)+4 > maxRecord {
		return nil // too long to keep twice; the duplicate's own record has it
	}
	binary.LittleEndian.PutUint16(head[2+attributeSize:], uint16(len(record)+4))
	binary.LittleEndian.PutUint32(head[placedHead:], number)
	return out.add(int(target>>16), append(head[:], record...))
}

// supplementsOfKnown adds the stored records of people known before who turned
// out to be duplicates.
func (d *Delivery) supplementsOfKnown(ctx context.Context, r *resolution, out *spill) error {
	var numbers []uint32
	for n, a := range r.after.pairs {
		if n <= d.head.people && r.before.pairs[n] != a {
			numbers = append(numbers, n)
		}
	}
	if len(numbers) == 0 {
		return nil
	}
	slices.Sort(numbers)
	p, err := d.store.people(ctx, d.store.db, d.org)
	if err != nil {
		return err
	}
	var known Person
	for len(numbers) > 0 {
		n := min(len(numbers), 1000)
		if err := p.fetchScattered(ctx, numbers[:n]); err != nil {
			return err
		}
		for _, number := range numbers[:n] {
			record, err := p.record(number)
			if err != nil {
				return err
			}
			if record == "" {
				continue
			}
			if err := known.decode(record); err != nil {
				return fmt.Errorf("person %d: %w", number, err)
			}
			known.supplements = nil // each duplicate brings its own
			if err := addSupplement(out, r.after.pairs[number].target, number, known.encode(nil), supplementKnown); err != nil {
				return err
			}
		}
		numbers = numbers[n:]
	}
	return nil
}

// appendGuardianTo adds the guardian to the record in buf.
func appendGuardianTo(buf []byte, number uint32) []byte {
	buf = append(buf, fieldGuardian, 4)
	buf = binary.LittleEndian.AppendUint32(buf, number)
	binary.LittleEndian.PutUint16(buf[2+attributeSize:], uint16(len(buf)-placedHead))
	return buf
}

// placer writes the people of one chunk after the other.
type placer struct {
	d       *Delivery
	w       *writer
	attrs   attributeColumns
	heads   [chunkSize]int32 // offset + 1 of the last row of each number
	table   *pageKeys
	records recordPage
	keys    personKeys
	fresh   [pageSize + 1][keySize]byte
	old     Person
	newer   Person
	buf     []byte
	rows    [][]byte
}

func (p *placer) chunk(ctx context.Context, chunk uint32, body []byte) error {
	d := p.d
	clear(p.heads[:])
	// Rows of one number are chained through the room of their own number field,
	// as offsets: a chunk holds far less than 2 GiB.
	next := map[int32]int32{}
	for off := 0; off < len(body); {
		low := binary.LittleEndian.Uint16(body[off:])
		if p.heads[low] != 0 {
			next[int32(off)+1] = p.heads[low]
		}
		p.heads[low] = int32(off) + 1
		off += placedHead + int(binary.LittleEndian.Uint16(body[off+2+attributeSize:]))
	}
	attrs, err := readSegment(ctx, d.store.db, d.head, segAttributes, 0, int64(chunk))
	if err != nil {
		return err
	}
	if err := p.attrs.parse(attrs); err != nil {
		return segmentError(segAttributes, 0, int64(chunk), err)
	}
	if err := p.openChunk(ctx, chunk); err != nil {
		return err
	}
	changed := false
	for page := range uint32(pages) {
		c, err := p.page(ctx, chunk, page, body, next)
		if err != nil {
			return err
		}
		changed = changed || c
	}
	if !changed {
		return nil
	}
	table, err := d.tree.sealTable(d.store.cfg.Rand, chunk, p.table)
	if err != nil {
		return err
	}
	return errors.Join(p.w.put(ctx, segmentRow{segAttributes, 0, int64(chunk), p.attrs.build()}),
		p.w.put(ctx, segmentRow{segTable, 0, int64(chunk), table}))
}

func (p *placer) openChunk(ctx context.Context, chunk uint32) error {
	sealed, err := readSegment(ctx, p.d.store.db, p.d.head, segTable, 0, int64(chunk))
	if err != nil {
		return err
	}
	if sealed == nil {
		p.table = new(pageKeys)
		return nil
	}
	p.table, err = p.d.tree.openTable(chunk, sealed)
	return err
}

// page writes one page if a row of the delivery changes it.
func (p *placer) page(ctx context.Context, chunk, page uint32, body []byte, next map[int32]int32) (bool, error) {
	touched := false
	for i := range uint32(pageSize) {
		touched = touched || p.heads[page*pageSize+i] != 0
	}
	if !touched {
		return false, nil
	}
	first := chunk<<16 | page*pageSize
	if err := p.d.store.openPage(ctx, p.d.store.db, p.d.head, p.table, first, &p.records, &p.keys); err != nil {
		return false, err
	}
	if _, err := io.ReadFull(p.d.store.cfg.Rand, unsafe.Slice(&p.fresh[0][0], len(p.fresh)*keySize)); err != nil {
		return false, fmt.Errorf("make keys: %w", err)
	}
	p.buf = p.buf[:0]
	changed := false
	for i := range uint32(pageSize) {
		at := p.heads[page*pageSize+i]
		if at == 0 {
			continue
		}
		c, err := p.person(first+i, int(i), p.rowsOf(body, next, at))
		if err != nil {
			return false, err
		}
		changed = changed || c
	}
	if !changed {
		return false, nil
	}
	p.table[page] = p.fresh[pageSize]
	row := int64(first / pageSize)
	return true, errors.Join(
		p.w.put(ctx, segmentRow{segRecords, 0, row, p.records.build()}),
		p.w.put(ctx, segmentRow{segKeys, 0, row, sealKeyPage(&p.table[page], first, &p.keys)}))
}

// rowsOf returns the rows of one number in a canonical order, those about the
// person first. The slice is used again.
func (p *placer) rowsOf(body []byte, next map[int32]int32, at int32) [][]byte {
	p.rows = p.rows[:0]
	for {
		row := body[at-1:]
		p.rows = append(p.rows, row[2:placedHead+int(binary.LittleEndian.Uint16(row[2+attributeSize:]))])
		if len(next) == 0 {
			return p.rows
		}
		if at = next[at]; at == 0 {
			break
		}
	}
	if len(p.rows) > 1 {
		slices.SortFunc(p.rows, compareRows)
	}
	return p.rows
}

func compareRows(a, b []byte) int {
	if x, y := isSupplement(a), isSupplement(b); x != y {
		return less(y)
	} else if x && a[7] != b[7] {
		return less(a[7] < b[7])
	}
	return bytes.Compare(a[recordHead:], b[recordHead:])
}

func isSupplement(row []byte) bool { return row[6]&classPresent == 0 }

// person lays the rows of one person over what is known and seals the result.
func (p *placer) person(number uint32, slot int, rows [][]byte) (changed bool, err error) {
	known := p.records[slot] != nil
	record, attr := rows[0][recordHead:], attributeOf(rows[0])
	var before []byte
	if known || len(rows) > 1 {
		if known {
			if before, err = openOnce(nil, &p.keys[slot], p.records[slot], numberContext(number)); err != nil {
				return false, fmt.Errorf("record of person %d does not open with its key", number)
			}
		} else {
			before, rows = rows[0][recordHead:], rows[1:]
		}
		if record, attr, err = p.fold(string(before), rows); err != nil {
			return false, fmt.Errorf("person %d: %w", number, err)
		}
	}
	if known {
		if bytes.Equal(record, before) {
			return false, nil
		}
		p.d.report.Changed++
	}
	p.keys[slot] = p.fresh[slot]
	start := len(p.buf)
	p.buf = sealOnce(p.buf, &p.keys[slot], record, numberContext(number))
	p.records[slot] = p.buf[start:len(p.buf):len(p.buf)]
	p.attrs.set(uint16(number), attr)
	return true, nil
}

// fold lays rows over a record and returns the new record with its attribute.
func (p *placer) fold(before string, rows [][]byte) ([]byte, attribute, error) {
	if err := p.old.decode(before); err != nil {
		return nil, attribute{}, err
	}
	p.old.Address = slices.Clone(p.old.Address)
	for _, row := range rows {
		if isSupplement(row) {
			if err := p.supplement(row[recordHead:]); err != nil {
				return nil, attribute{}, err
			}
			continue
		}
		if err := p.newer.decode(string(row[recordHead:])); err != nil {
			return nil, attribute{}, err
		}
		p.old.laidOver(&p.newer)
		p.old.Address = slices.Clone(p.old.Address)
	}
	slices.SortFunc(p.old.supplements, func(a, b supplement) int { return less(a.number < b.number) })
	attr, err := p.d.attribute(&p.old)
	record := p.old.encode(nil)
	if len(record) > maxRecord {
		p.old.supplements = nil // the duplicates keep their own records
		record = p.old.encode(nil)
	}
	return record, attr, err
}

// supplement lays a row of a duplicate over what is kept of it.
func (p *placer) supplement(row []byte) error {
	number := binary.LittleEndian.Uint32(row)
	i := slices.IndexFunc(p.old.supplements, func(s supplement) bool { return s.number == number })
	if i < 0 {
		p.old.supplements = append(p.old.supplements, supplement{number, string(row[4:])})
		return nil
	}
	var kept Person
	if err := errors.Join(kept.decode(p.old.supplements[i].record), p.newer.decode(string(row[4:]))); err != nil {
		return err
	}
	kept.laidOver(&p.newer)
	p.old.supplements[i].record = string(kept.encode(nil))
	return nil
}

func attributeOf(row []byte) attribute {
	return attribute{
		jurisdiction: binary.LittleEndian.Uint16(row), language: binary.LittleEndian.Uint16(row[2:]),
		lastActive: binary.LittleEndian.Uint16(row[4:]), class: row[6], channels: row[7],
	}
}
