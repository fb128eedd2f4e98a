package inventory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strings"
)

// found is what a scan found in one chunk. Everything is indexed by the low 16
// bits of the person number.
type found struct {
	chunk uint32
	// exposed holds the categories exposed of each person, duplicates joined.
	exposed [chunkSize]uint32
	// ring is the most certain ring of each person.
	ring [chunkSize]uint8
	// groups holds exposed by group; nil when there is only one.
	groups []*[chunkSize]uint32
	attrs  attributeView
	erased int64
	some   []uint16
}

// carried is what a duplicate brings to the person it stands for. It holds no
// pointer: there are many, and the collector need not look through them.
type carried struct {
	attribute
	low     uint16
	ring    uint8
	exposed uint32
	groups  int // where its categories by group begin in scanner.groups
}

// scanner goes through the chunks from the highest to the lowest, so that a
// duplicate, which has the higher number, is met before the person it is.
type scanner struct {
	store  *Store
	q      querier
	head   head
	plan   *plan
	tombs  *tombstones
	found  found
	carry  [][]carried // by chunk
	groups []uint32    // categories of those who are carried, by group
	query  string
	visit  func(f *found) error
}

// scan calls visit for every chunk in which somebody is exposed.
func (s *Store) scan(ctx context.Context, tx *sql.Tx, h head, p *plan, visit func(f *found) error) (err error) {
	tombs, err := readTombstones(ctx, tx, h)
	if err != nil {
		return err
	}
	q := prepare(tx)
	defer func() { err = errors.Join(err, q.close()) }()
	sc := &scanner{store: s, q: q, head: h, plan: p, tombs: tombs, carry: make([][]carried, h.people>>16+1), visit: visit}
	if len(p.groups) > 1 || p.filters != nil {
		sc.found.groups = make([]*[chunkSize]uint32, len(p.groups))
		for i := range sc.found.groups {
			sc.found.groups[i] = new([chunkSize]uint32)
		}
	}
	marks := make([]string, len(p.datasets))
	for i := range marks {
		marks[i] = fmt.Sprintf("$%d", i+4)
	}
	sc.query = `SELECT a, body, shelf, at, size FROM segment WHERE inventory = $1 AND kind = 0 AND c = $2 AND generation <= $3 AND a IN (` +
		strings.Join(marks, ", ") + `)`
	if len(p.datasets) == 0 {
		return nil
	}
	for c := int64(h.people >> 16); c >= 0; c-- {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := sc.chunk(ctx, uint32(c)); err != nil {
			return err
		}
	}
	return nil
}

func (sc *scanner) chunk(ctx context.Context, chunk uint32) error {
	f := &sc.found
	f.chunk, f.erased = chunk, 0
	clear(f.exposed[:])
	if sc.plan.rings {
		clear(f.ring[:])
	}
	for _, g := range f.groups {
		clear(g[:])
	}
	any, err := sc.mark(ctx, chunk)
	if err != nil {
		return err
	}
	carry := sc.carry[chunk]
	sc.carry[chunk] = nil
	aliases, err := readSegment(ctx, sc.q, sc.head, segAliases, 0, int64(chunk))
	if err != nil {
		return err
	}
	if !any && len(carry) == 0 && len(aliases) == 0 {
		return nil
	}
	if err := sc.loadAttributes(ctx, chunk); err != nil {
		return segmentError(segAttributes, 0, int64(chunk), err)
	}
	if err := sc.moveBack(ctx, chunk); err != nil {
		return err
	}
	sc.bury(chunk)
	if err := sc.takeAliases(chunk, aliases, &carry); err != nil {
		return segmentError(segAliases, 0, int64(chunk), err)
	}
	for _, c := range carry {
		f.lay(c, sc.groups[c.groups:])
	}
	if sc.plan.filters != nil {
		f.sift(sc.plan)
	}
	return sc.visit(f)
}

// loadAttributes reads the attributes of the chunk with one copy.
func (sc *scanner) loadAttributes(ctx context.Context, chunk uint32) error {
	rows, err := sc.q.QueryContext(ctx, `SELECT body, shelf, at, size FROM segment WHERE inventory = $1 AND kind = 1 AND a = 0 AND c = $2 AND generation <= $3`,
		sc.head.id, int64(chunk), sc.head.generation)
	if err != nil {
		return err
	}
	found := false
	err = scanAll(rows, func() error {
		found = true
		body, err := sc.body(rows)
		return errors.Join(err, sc.found.attrs.load(body))
	})
	if err == nil && !found {
		err = sc.found.attrs.load(nil)
	}
	return err
}

// mark reads the segments of the chunk and marks who is exposed.
func (sc *scanner) mark(ctx context.Context, chunk uint32) (bool, error) {
	args := []any{sc.head.id, int64(chunk), sc.head.generation}
	for _, d := range sc.plan.datasets {
		args = append(args, d)
	}
	rows, err := sc.q.QueryContext(ctx, sc.query, args...)
	if err != nil {
		return false, segmentError(segHoldings, 0, int64(chunk), err)
	}
	any := false
	err = scanAll(rows, func() error {
		var a int64
		body, err := sc.body(rows, &a)
		if err != nil {
			return err
		}
		any = true
		s, err := parseColumns(body)
		if err != nil {
			return segmentError(segHoldings, a, int64(chunk), err)
		}
		sc.markDataset(&s, a)
		return nil
	})
	return any, err
}

// body reads a row of further columns, body, shelf, at and size, and returns the
// body, which is good until the next is read.
func (sc *scanner) body(rows *sql.Rows, further ...any) ([]byte, error) {
	var raw sql.RawBytes
	var p place
	if err := rows.Scan(append(further, &raw, &p.shelf, &p.at, &p.size)...); err != nil || p.shelf == 0 {
		return raw, err
	}
	return sc.head.bodies.view(sc.head.id, p)
}

func (sc *scanner) markDataset(s *columns, dataset int64) {
	f := &sc.found
	for _, r := range sc.plan.reaches {
		if r.dataset != dataset {
			continue
		}
		switch {
		case f.groups != nil:
			s.mark(f.groups[r.group], r.from, r.to, r.mask)
			s.mark(&f.exposed, r.from, r.to, r.mask)
		default:
			s.mark(&f.exposed, r.from, r.to, r.mask)
		}
		if sc.plan.rings && sc.plan.filters == nil {
			s.markRing(&f.ring, r.from, r.to, r.mask, r.ring)
		}
	}
}

// markRing raises the ring of the people whose record was held in the window.
func (s *columns) markRing(rings *[chunkSize]uint8, from, to, limit uint32, ring uint8) {
	s.each(func(h holding) {
		if h.first < to && h.last >= from && s.masks[h.mask]&limit != 0 {
			rings[h.low] = max(rings[h.low], ring)
		}
	})
}

// bury takes out those who were erased on request, and counts them.
func (sc *scanner) bury(chunk uint32) {
	if sc.tombs.numbers.IsEmpty() {
		return
	}
	f := &sc.found
	it := sc.tombs.numbers.Iterator()
	it.AdvanceIfNeeded(chunk << 16)
	for it.HasNext() {
		n := it.Next()
		if n>>16 != chunk {
			return
		}
		low := uint16(n)
		if f.passes(sc.plan, low) {
			f.erased++
		}
		f.clear(low)
		if f.attrs.has(low) {
			f.attrs.set(int(low), attribute{})
		}
	}
}

func (f *found) clear(low uint16) {
	f.exposed[low], f.ring[low] = 0, 0
	for _, g := range f.groups {
		g[low] = 0
	}
}

// takeAliases moves what duplicates have to the people they are.
func (sc *scanner) takeAliases(chunk uint32, body []byte, here *[]carried) error {
	f := &sc.found
	return eachAlias(body, func(low uint16, target uint32, _ uint8) {
		c := carried{low: uint16(target), ring: f.ring[low], exposed: f.exposed[low], groups: len(sc.groups)}
		if f.attrs.has(low) {
			c.attribute = f.attrs.at(int(low))
		}
		for _, g := range f.groups {
			sc.groups = append(sc.groups, g[low])
		}
		f.clear(low)
		if target>>16 == chunk {
			*here = append(*here, c)
			return
		}
		sc.carry[target>>16] = append(sc.carry[target>>16], c)
	})
}

// people returns the numbers in the chunk of those exposed.
func (f *found) people() []uint16 {
	if f.some == nil {
		f.some = make([]uint16, chunkSize+1)
	}
	n := 0
	for i := range f.exposed {
		f.some[n] = uint16(i)
		n += int((uint64(f.exposed[i]) + math.MaxUint32) >> 32) // 1 if exposed, without a branch
	}
	return f.some[:n]
}

// lay adds what a duplicate brings, with its categories by group.
func (f *found) lay(c carried, groups []uint32) {
	f.exposed[c.low] |= c.exposed
	f.ring[c.low] = max(f.ring[c.low], c.ring)
	for i, g := range f.groups {
		g[c.low] |= groups[i]
	}
	if !f.attrs.has(c.low) {
		return
	}
	a := f.attrs.at(int(c.low))
	a.channels |= c.channels
	a.lastActive = max(a.lastActive, c.lastActive)
	if a.jurisdiction == 0 {
		a.jurisdiction = c.jurisdiction
	}
	if a.language == 0 {
		a.language = c.language
	}
	f.attrs.set(int(c.low), a)
}
