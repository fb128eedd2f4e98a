package inventory

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
)

// Kinds of segment; stored, never change. a and c are the other key columns.
const (
	segHoldings   = 0 // a = dataset, c = chunk
	segAttributes = 1 // c = chunk
	segRecords    = 2 // c = page
	segKeys       = 3 // c = page
	segTable      = 4 // c = chunk
	segIndex      = 5 // a = kind of identifier × 64 + bits, c = partition
	segAliases    = 6 // c = chunk of the alias
	segJoined     = 7 // c = chunk of the person the aliases stand for
	segMoves      = 9 // c = chunk: number u16, day u32, former jurisdiction u16
	segWards      = 8 // c = chunk of the guardian: who is told through whom
)

// stillHeld is the last instant of a record that has not been deleted.
const stillHeld = math.MaxUint32

// holding is one record of one person in one dataset and chunk. Instants are
// seconds since 1970; last is the last at which it was held.
type holding struct {
	first, last uint32
	low         uint16 // number within the chunk
	mask        uint16 // index into the masks
}

// columns is a holdings segment:
//
//	rows u32, deleted u32, masks u32
//	masks   u32 × masks           distinct category sets
//	first   u32 × rows
//	last    u32 × deleted         of the records that were deleted
//	row     u32 × deleted         their rows, ascending
//	low     u16 × rows            ascending
//	mask    u8 or u16 × rows      u16 when there are more than 256 masks
//
// All numbers are little-endian.
type columns struct {
	rows, deleted             int
	masks                     []uint32
	first, last, row, low, ix []byte
	wide                      bool
}

var errSegment = errors.New("segment is damaged")

func parseColumns(body []byte) (columns, error) {
	var s columns
	if len(body) < 12 {
		return s, errSegment
	}
	s.rows = int(binary.LittleEndian.Uint32(body))
	s.deleted = int(binary.LittleEndian.Uint32(body[4:]))
	masks := int(binary.LittleEndian.Uint32(body[8:]))
	s.wide = masks > 256
	width := 1
	if s.wide {
		width = 2
	}
	if len(body) != 12+4*masks+4*s.rows+8*s.deleted+2*s.rows+width*s.rows {
		return s, errSegment
	}
	body = body[12:]
	cut := func(n int) []byte {
		part := body[:n:n]
		body = body[n:]
		return part
	}
	raw := cut(4 * masks)
	s.masks = make([]uint32, masks)
	for i := range s.masks {
		s.masks[i] = binary.LittleEndian.Uint32(raw[4*i:])
	}
	s.first, s.last, s.row = cut(4*s.rows), cut(4*s.deleted), cut(4*s.deleted)
	s.low, s.ix = cut(2*s.rows), cut(width*s.rows)
	return s, nil
}

// each calls f with every record in order of person.
func (s *columns) each(f func(h holding)) {
	d := 0
	for i := range s.rows {
		h := holding{first: binary.LittleEndian.Uint32(s.first[4*i:]), last: stillHeld, low: binary.LittleEndian.Uint16(s.low[2*i:])}
		if s.wide {
			h.mask = binary.LittleEndian.Uint16(s.ix[2*i:])
		} else {
			h.mask = uint16(s.ix[i])
		}
		if d < s.deleted && binary.LittleEndian.Uint32(s.row[4*d:]) == uint32(i) {
			h.last = binary.LittleEndian.Uint32(s.last[4*d:])
			d++
		}
		f(h)
	}
}

// mark ors into scratch the masked categories of the people whose record was
// held at any instant from, inclusive, to, exclusive.
func (s *columns) mark(scratch *[chunkSize]uint32, from, to, limit uint32) {
	masks := make([]uint32, max(256, len(s.masks)))
	for i, m := range s.masks {
		masks[i] = m & limit
	}
	d := 0
	next := -1
	if s.deleted > 0 {
		next = int(binary.LittleEndian.Uint32(s.row))
	}
	if s.wide {
		s.markWide(scratch, from, to, masks)
		return
	}
	small := (*[256]uint32)(masks)
	for start := 0; start < s.rows; {
		// Up to the next deleted record only the first instant counts.
		end := s.rows
		if next >= 0 {
			end = next
		}
		s.markHeld(scratch, start, end, to, small)
		if next < 0 {
			return
		}
		if last := binary.LittleEndian.Uint32(s.last[4*d:]); last >= from {
			s.markHeld(scratch, end, end+1, to, small)
		}
		start, next = end+1, -1
		if d++; d < s.deleted {
			next = int(binary.LittleEndian.Uint32(s.row[4*d:]))
		}
	}
}

// markHeld marks rows that begin before the end of the window. Windows cut
// through the data, so a branch would be mispredicted every other time.
func (s *columns) markHeld(scratch *[chunkSize]uint32, start, end int, to uint32, masks *[256]uint32) {
	first, low, ix := s.first[4*start:4*end], s.low[2*start:2*end], s.ix[start:end]
	for i := range ix {
		begins := int64(binary.LittleEndian.Uint32(first[4*i : 4*i+4]))
		before := uint32((begins - int64(to)) >> 63) // all ones if begins < to
		scratch[binary.LittleEndian.Uint16(low[2*i:2*i+2])] |= masks[ix[i]] & before
	}
}

func (s *columns) markWide(scratch *[chunkSize]uint32, from, to uint32, masks []uint32) {
	s.each(func(h holding) {
		if h.first < to && h.last >= from {
			scratch[h.low] |= masks[h.mask]
		}
	})
}

// columnBuilder writes holdings segments, one after the other into the same memory.
type columnBuilder struct {
	local []uint16 // by mask of the delivery: its place in used and one more, or 0
	body  []byte
}

// build writes holdings, sorted by person, mask and first instant, with masks
// given as sets. The result is good until the next.
func (c *columnBuilder) build(rows []holding, sets []uint32) []byte {
	if len(c.local) < len(sets) {
		c.local = make([]uint16, len(sets))
	}
	clear(c.local)
	var used []uint32
	deleted := 0
	for i := range rows {
		if m := rows[i].mask; c.local[m] == 0 {
			used = append(used, sets[m])
			c.local[m] = uint16(len(used))
		}
		if rows[i].last != stillHeld {
			deleted++
		}
	}
	width := 1
	if len(used) > 256 {
		width = 2
	}
	size := 12 + 4*len(used) + (6+width)*len(rows) + 8*deleted
	c.body = slices.Grow(c.body[:0], size)[:size]
	b := c.body
	cut := func(n int) []byte {
		part := b[:n:n]
		b = b[n:]
		return part
	}
	head, masks := cut(12), cut(4*len(used))
	binary.LittleEndian.PutUint32(head, uint32(len(rows)))
	binary.LittleEndian.PutUint32(head[4:], uint32(deleted))
	binary.LittleEndian.PutUint32(head[8:], uint32(len(used)))
	for i, m := range used {
		binary.LittleEndian.PutUint32(masks[4*i:], m)
	}
	first, last, row, low, ix := cut(4*len(rows)), cut(4*deleted), cut(4*deleted), cut(2*len(rows)), cut(width*len(rows))
	d := 0
	for i := range rows {
		h := &rows[i]
		binary.LittleEndian.PutUint32(first[4*i:4*i+4], h.first)
		binary.LittleEndian.PutUint16(low[2*i:2*i+2], h.low)
		local := c.local[h.mask] - 1
		if width == 1 {
			ix[i] = byte(local)
		} else {
			binary.LittleEndian.PutUint16(ix[2*i:], local)
		}
		if h.last != stillHeld {
			binary.LittleEndian.PutUint32(last[4*d:], h.last)
			binary.LittleEndian.PutUint32(row[4*d:], uint32(i))
			d++
		}
	}
	return c.body
}

func compareHolding(a, b holding) int {
	switch {
	case a.low != b.low:
		return int(a.low) - int(b.low)
	case a.mask != b.mask:
		return int(a.mask) - int(b.mask)
	case a.first != b.first:
		if a.first < b.first {
			return -1
		}
		return 1
	case a.last != b.last:
		if a.last < b.last {
			return -1
		}
		return 1
	}
	return 0
}

// attributeColumns is an attribute segment: count u32, then jurisdiction u16,
// language u16, last active u16, class u8, channels u8, each × count.
type attributeColumns struct {
	jurisdiction, language, lastActive [chunkSize]uint16
	class, channels                    [chunkSize]uint8
	count                              int
}

func (a *attributeColumns) parse(body []byte) error {
	*a = attributeColumns{}
	if body == nil {
		return nil
	}
	if len(body) < 4 {
		return errSegment
	}
	n := int(binary.LittleEndian.Uint32(body))
	if n > chunkSize || len(body) != 4+attributeSize*n {
		return errSegment
	}
	a.count = n
	body = body[4:]
	for i := range n {
		a.jurisdiction[i] = binary.LittleEndian.Uint16(body[2*i:])
		a.language[i] = binary.LittleEndian.Uint16(body[2*n+2*i:])
		a.lastActive[i] = binary.LittleEndian.Uint16(body[4*n+2*i:])
	}
	copy(a.class[:], body[6*n:7*n])
	copy(a.channels[:], body[7*n:])
	return nil
}

func (a *attributeColumns) set(low uint16, v attribute) {
	a.jurisdiction[low], a.language[low], a.lastActive[low] = v.jurisdiction, v.language, v.lastActive
	a.class[low], a.channels[low] = v.class, v.channels
	a.count = max(a.count, int(low)+1)
}

func (a *attributeColumns) build(b []byte) []byte {
	n := a.count
	b = slices.Grow(b[:0], 4+attributeSize*n)
	b = binary.LittleEndian.AppendUint32(b, uint32(n))
	for _, column := range [...]*[chunkSize]uint16{&a.jurisdiction, &a.language, &a.lastActive} {
		for i := range n {
			b = binary.LittleEndian.AppendUint16(b, column[i])
		}
	}
	b = append(b, a.class[:n]...)
	return append(b, a.channels[:n]...)
}

// attributeView reads an attribute segment where it lies, and lets what a
// duplicate brings be laid over it.
type attributeView struct {
	jurisdictions, languages, actives, classes, channelBits []byte
	body                                                    []byte
}

// load takes a copy of a segment into the view's own memory.
func (v *attributeView) load(body []byte) error {
	v.body = append(v.body[:0], body...)
	if len(v.body) == 0 {
		v.body = append(v.body, 0, 0, 0, 0)
	}
	if len(v.body) < 4 {
		return errSegment
	}
	n := int(binary.LittleEndian.Uint32(v.body))
	if n > chunkSize || len(v.body) != 4+attributeSize*n {
		return errSegment
	}
	b := v.body[4:]
	v.jurisdictions, v.languages, v.actives, v.classes, v.channelBits = b[:2*n], b[2*n:4*n], b[4*n:6*n], b[6*n:7*n], b[7*n:]
	return nil
}

func (v *attributeView) at(i int) attribute {
	return attribute{
		jurisdiction: binary.LittleEndian.Uint16(v.jurisdictions[2*i:]), language: binary.LittleEndian.Uint16(v.languages[2*i:]),
		lastActive: binary.LittleEndian.Uint16(v.actives[2*i:]), class: v.classes[i], channels: v.channelBits[i],
	}
}

func (v *attributeView) set(i int, a attribute) {
	binary.LittleEndian.PutUint16(v.jurisdictions[2*i:], a.jurisdiction)
	binary.LittleEndian.PutUint16(v.languages[2*i:], a.language)
	binary.LittleEndian.PutUint16(v.actives[2*i:], a.lastActive)
	v.classes[i], v.channelBits[i] = a.class, a.channels
}

// has reports whether the segment reaches to a number.
func (v *attributeView) has(low uint16) bool { return int(low) < len(v.classes) }

// recordPage is a page of 128 sealed records: 128 lengths u16, then the records.
type recordPage [pageSize][]byte

func (p *recordPage) parse(body []byte) error {
	*p = recordPage{}
	if body == nil {
		return nil
	}
	if len(body) < 2*pageSize {
		return errSegment
	}
	rest := body[2*pageSize:]
	for i := range p {
		n := int(binary.LittleEndian.Uint16(body[2*i:]))
		if n > len(rest) {
			return errSegment
		}
		if n > 0 { // nil stands for nobody
			p[i], rest = rest[:n:n], rest[n:]
		}
	}
	if len(rest) != 0 {
		return errSegment
	}
	return nil
}

// append appends the page to dst.
func (p *recordPage) append(dst []byte) []byte {
	for i := range p {
		dst = binary.LittleEndian.AppendUint16(dst, uint16(len(p[i])))
	}
	for i := range p {
		dst = append(dst, p[i]...)
	}
	return dst
}

func segmentError(kind, a, c int64, err error) error {
	return fmt.Errorf("read segment kind %d, %d, %d: %w", kind, a, c, err)
}
