package inventory

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"unsafe"
)

// placer writes the people of one chunk after the other.
type placer struct {
	d     *Delivery
	w     *writer
	attrs attributeColumns
	// heads holds offset + 1 of the last row of each number of a leaf, negative if
	// there are more: earlier then leads from each to the one before.
	heads   [leafSize]int32
	earlier map[int32]int32
	body    []byte // the rows of the leaf
	table   *pageKeys
	records recordPage
	keys    personKeys
	fresh   [pageSize + 1][keySize]byte
	old     Person
	newer   Person
	context []byte
	buf     []byte
	rows    [][]byte
	moves   map[uint16]move
	moved   bool // the moves of the chunk changed
	// The present page as it is written.
	keyPage, recordPage []byte
	attributes          []byte
}

// A leaf is what is put in order at once. Its rows stay near the processor, which
// those of a chunk do not.
const (
	leafSize = 8192 // people
	leaves   = chunkSize / leafSize
)

// leafOf returns the leaf of a person.
func leafOf(number uint32) int { return int(number / leafSize) }

// chunk writes the people of a chunk whose rows lie in out, by leaf.
func (p *placer) chunk(ctx context.Context, chunk uint32, out *spill) error {
	first := int(chunk) * leaves
	if !out.holds(first, leaves) {
		return nil
	}
	d := p.d
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
	if p.moves, err = readMoves(ctx, d.store.db, d.head, chunk); err != nil {
		return err
	}
	p.moved = false
	changed := false
	for leaf := range leaves {
		c, err := p.leaf(ctx, first+leaf, out)
		if err != nil {
			return err
		}
		changed = changed || c
	}
	if !changed {
		return nil
	}
	if p.moved {
		if err := p.w.put(ctx, segmentRow{kind: segMoves, c: int64(chunk), body: buildMoves(p.moves)}); err != nil {
			return err
		}
	}
	table, err := d.tree.sealTable(d.store.cfg.Rand, chunk, p.table)
	if err != nil {
		return err
	}
	p.attributes = p.attrs.build(p.attributes)
	return errors.Join(p.w.put(ctx, segmentRow{kind: segAttributes, c: int64(chunk), body: p.attributes}),
		p.w.put(ctx, segmentRow{kind: segTable, c: int64(chunk), body: table}))
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

// leaf writes the pages of a leaf that its rows change.
func (p *placer) leaf(ctx context.Context, leaf int, out *spill) (changed bool, err error) {
	if p.body, err = out.load(leaf, p.body); err != nil || len(p.body) == 0 {
		return false, err
	}
	clear(p.heads[:])
	clear(p.earlier)
	for off := 0; off < len(p.body); {
		last := &p.heads[binary.LittleEndian.Uint16(p.body[off:])%leafSize]
		at := int32(off) + 1 //nolint:gosec // G115: a leaf holds far less than 2 GiB
		if *last != 0 {
			p.earlier[at] = *last
			at = -at
		}
		*last = at
		off += placedHead + int(binary.LittleEndian.Uint16(p.body[off+2+attributeSize:]))
	}
	for i := 0; i < leafSize; i += pageSize {
		c, err := p.page(ctx, uint32(leaf*leafSize+i), p.heads[i:][:pageSize]) //nolint:gosec // G115: a person's number
		if err != nil {
			return false, err
		}
		changed = changed || c
	}
	return changed, nil
}

// page writes the page that begins with a number if a row of the delivery changes it.
func (p *placer) page(ctx context.Context, first uint32, heads []int32) (bool, error) {
	// The rows lie about in memory. A loop that does nothing but look at them lets
	// the processor fetch many at once.
	touched := 0
	for _, at := range heads {
		if at != 0 {
			touched |= 1 | int(p.body[max(at, -at)-1])
		}
	}
	if touched == 0 {
		return false, nil
	}
	if err := p.d.store.openPage(ctx, p.d.store.db, p.d.head, p.table, first, &p.records, &p.keys); err != nil {
		return false, err
	}
	if err := makeKeys(p.d.store.cfg.Rand, unsafe.Slice(&p.fresh[0][0], len(p.fresh)*keySize)); err != nil {
		return false, err
	}
	p.buf = p.buf[:0]
	changed := false
	for i, at := range heads {
		if at == 0 {
			continue
		}
		c, err := p.person(first+uint32(i), i, p.rowsOf(at)) //nolint:gosec // G115: less than pageSize
		if err != nil {
			return false, err
		}
		changed = changed || c
	}
	if !changed {
		return false, nil
	}
	row := int64(first / pageSize)
	key := &p.table[row%pages]
	*key = p.fresh[pageSize]
	p.keyPage = sealKeyPage(p.keyPage[:0], key, first, &p.keys)
	p.recordPage = p.records.append(p.recordPage[:0])
	return true, errors.Join(p.w.put(ctx, segmentRow{kind: segKeys, c: row, body: p.keyPage}),
		p.w.put(ctx, segmentRow{kind: segRecords, c: row, body: p.recordPage}))
}

// rowsOf returns the rows of one number in a canonical order, those about the
// person first. The slice is used again.
func (p *placer) rowsOf(at int32) [][]byte {
	p.rows = p.rows[:0]
	for {
		row := p.body[max(at, -at)-1:]
		p.rows = append(p.rows, row[2:placedHead+int(binary.LittleEndian.Uint16(row[2+attributeSize:]))])
		if at > 0 {
			break
		}
		at = p.earlier[-at]
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
	// Whose key was destroyed is written anew, as after a lifted tombstone.
	known := p.records[slot] != nil && !isZero(&p.keys[slot])
	record, attr := rows[0][recordHead:], attributeOf(rows[0])
	var before []byte
	if known || len(rows) > 1 {
		if known {
			if before, err = openOnce(nil, &p.keys[slot], p.records[slot], numberContext(p.context[:0], number)); err != nil {
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
	p.buf = sealOnce(p.buf, &p.keys[slot], record, numberContext(p.context[:0], number))
	p.records[slot] = p.buf[start:len(p.buf):len(p.buf)]
	p.attrs.set(uint16(number), attr)
	return true, p.move(uint16(number), attr, record)
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
