package inventory

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// arrived is a holding with where it comes from.
type arrived struct {
	holding
	fresh bool // from the delivery, not from the store
}

// byDataset sorts the packed holdings of a chunk by dataset into the memory of out.
func byDataset(out [][]arrived, body []byte) [][]arrived {
	const size = 2 + holdingSize
	var counts []int
	for off := 0; off < len(body); off += size {
		id := int(binary.LittleEndian.Uint16(body[off+2:]))
		for len(counts) <= id {
			counts = append(counts, 0)
		}
		counts[id]++
	}
	for len(out) < len(counts) {
		out = append(out, nil)
	}
	for id := range out {
		out[id] = out[id][:0]
	}
	for id, n := range counts {
		out[id] = slices.Grow(out[id], n)
	}
	for off := 0; off < len(body); off += size {
		b := body[off:]
		id := binary.LittleEndian.Uint16(b[2:])
		out[id] = append(out[id], arrived{fresh: true, holding: holding{
			low: binary.LittleEndian.Uint16(b), mask: binary.LittleEndian.Uint16(b[4:]),
			first: binary.LittleEndian.Uint32(b[6:]), last: binary.LittleEndian.Uint32(b[10:]),
		}})
	}
	return out
}

// writeSegment merges fresh rows into the segment of a dataset and chunk.
func (d *Delivery) writeSegment(ctx context.Context, w *writer, sorter *holdingSorter, id, chunk int64, rows []arrived) error {
	body, err := readSegment(ctx, d.store.db, d.head, segHoldings, id, chunk)
	if err != nil {
		return err
	}
	if body != nil {
		known, err := parseColumns(body)
		if err != nil {
			return segmentError(segHoldings, id, chunk, err)
		}
		if err := d.knownMasks(&known); err != nil {
			return err
		}
		known.each(func(h holding) {
			h.mask = d.masks[known.masks[h.mask]]
			rows = append(rows, arrived{holding: h})
		})
	}
	merged := sorter.columns.build(sorter.merge(rows), d.sets)
	if slices.Equal(merged, body) {
		return nil
	}
	return w.put(ctx, segmentRow{kind: segHoldings, a: id, c: chunk, body: merged})
}

func (d *Delivery) knownMasks(s *columns) error {
	for _, set := range s.masks {
		if _, known := d.masks[set]; known {
			continue
		}
		if len(d.sets) > 1<<16-1 {
			return fmt.Errorf("more than %d different sets of categories", 1<<16-1)
		}
		d.masks[set] = uint16(len(d.sets))
		d.sets = append(d.sets, set)
	}
	return nil
}

// holdingSorter sorts the rows of a chunk by person with two passes.
type holdingSorter struct {
	starts [chunkSize + 1]int32
	sorted []arrived
	out    []holding
	// columns writes what merge returns.
	columns columnBuilder
}

// merge sorts rows by person, categories and first instant and joins those that
// agree in all three: the delivery's last instant replaces the known one, and
// the latest of several in one delivery counts.
func (s *holdingSorter) merge(rows []arrived) []holding {
	clear(s.starts[:])
	for i := range rows {
		s.starts[int(rows[i].low)+1]++
	}
	for i := range chunkSize {
		s.starts[i+1] += s.starts[i]
	}
	s.sorted = slices.Grow(s.sorted[:0], len(rows))[:len(rows)]
	for i := range rows {
		at := &s.starts[rows[i].low]
		s.sorted[*at] = rows[i]
		*at++
	}
	s.out = s.out[:0]
	for i := 0; i < len(s.sorted); {
		j := i + 1
		for j < len(s.sorted) && s.sorted[j].low == s.sorted[i].low {
			j++
		}
		if j-i > 1 {
			slices.SortFunc(s.sorted[i:j], func(a, b arrived) int { return compareHolding(a.holding, b.holding) })
		}
		s.out = appendJoined(s.out, s.sorted[i:j])
		i = j
	}
	return s.out
}

// appendJoined appends the sorted rows of one person.
func appendJoined(out []holding, rows []arrived) []holding {
	for i := 0; i < len(rows); {
		keep := rows[i]
		j := i + 1
		for ; j < len(rows) && rows[j].mask == keep.mask && rows[j].first == keep.first; j++ {
			if rows[j].fresh || !keep.fresh {
				keep = rows[j]
			}
		}
		out = append(out, keep.holding)
		i = j
	}
	return out
}

// aliases says which numbers are the same person as an older number.
type aliases struct {
	pairs map[uint32]alias // by the younger number
}

type alias struct {
	target uint32 // the oldest number of the person
	reason uint8
}

const aliasSize = 2 + 4 + 1

// with returns the aliases after further joins. The oldest number stands for
// all; who was already joined stays so with the reason of then. Whom a person
// told apart stays apart.
func (a aliases) with(joins []join, apart map[pair]bool) aliases {
	if len(joins) == 0 {
		return a
	}
	parent := make(map[uint32]uint32, len(a.pairs)+len(joins))
	var find func(n uint32) uint32
	find = func(n uint32) uint32 {
		p, linked := parent[n]
		if !linked {
			return n
		}
		root := find(p)
		parent[n] = root
		return root
	}
	reasons := make(map[uint32]uint8, len(a.pairs)+len(joins))
	link := func(x, y uint32, reason uint8) {
		if apart[pairOf(x, y)] {
			return
		}
		x, y = find(x), find(y)
		if x == y || apart[pairOf(x, y)] {
			return
		}
		parent[max(x, y)] = min(x, y)
		if reasons[max(x, y)] == 0 {
			reasons[max(x, y)] = reason
		}
	}
	for n, p := range a.pairs {
		reasons[n] = p.reason
		parent[n] = p.target // targets are roots: no chain is made
	}
	slices.SortFunc(joins, func(p, q join) int {
		switch {
		case p.a != q.a:
			return less(p.a < q.a)
		case p.b != q.b:
			return less(p.b < q.b)
		}
		return int(p.reason) - int(q.reason)
	})
	for _, j := range joins {
		link(j.a, j.b, j.reason)
	}
	out := aliases{pairs: make(map[uint32]alias, len(parent))}
	for n := range parent {
		out.pairs[n] = alias{target: find(n), reason: reasons[n]}
	}
	return out
}

// joinPeople finds who is the same person as whom after the delivery.
func (d *Delivery) joinPeople(ctx context.Context, r *resolution) (err error) {
	if r.before, err = readAliases(ctx, d.store.db, d.head); err != nil {
		return err
	}
	apart, err := readApart(ctx, d.store.db, d.head)
	if err != nil {
		return err
	}
	r.after = r.before.with(r.joins, apart)
	d.report.Joined = int64(len(r.after.pairs) - len(r.before.pairs))
	return nil
}

// putAliases writes the alias segments in which before and after differ.
func putAliases(ctx context.Context, before, after aliases, put func(context.Context, segmentRow) error) error {
	down, up := map[uint32]bool{}, map[uint32]bool{} // chunks that change
	differ := func(a, b aliases) {
		for n, p := range a.pairs {
			if q, same := b.pairs[n]; !same || q != p {
				down[n>>16], up[p.target>>16] = true, true
			}
		}
	}
	differ(before, after)
	differ(after, before)
	bodies := [2]map[uint32][]byte{{}, {}}
	numbers := make([]uint32, 0, len(after.pairs))
	for n := range after.pairs {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	for _, n := range numbers {
		p := after.pairs[n]
		if down[n>>16] {
			bodies[0][n>>16] = appendAlias(bodies[0][n>>16], uint16(n), p.target, p.reason)
		}
		if up[p.target>>16] {
			bodies[1][p.target>>16] = appendAlias(bodies[1][p.target>>16], uint16(p.target), n, p.reason)
		}
	}
	var err error
	for c := range down {
		err = errors.Join(err, put(ctx, segmentRow{kind: segAliases, c: int64(c), body: emptyNotNil(bodies[0][c])}))
	}
	for c := range up {
		err = errors.Join(err, put(ctx, segmentRow{kind: segJoined, c: int64(c), body: emptyNotNil(bodies[1][c])}))
	}
	return err
}

func emptyNotNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

func appendAlias(b []byte, low uint16, number uint32, reason uint8) []byte {
	b = binary.LittleEndian.AppendUint16(b, low)
	b = binary.LittleEndian.AppendUint32(b, number)
	return append(b, reason)
}

// eachAlias calls f for the entries of an alias segment.
func eachAlias(body []byte, f func(low uint16, number uint32, reason uint8)) error {
	if len(body)%aliasSize != 0 {
		return errSegment
	}
	for ; len(body) > 0; body = body[aliasSize:] {
		f(binary.LittleEndian.Uint16(body), binary.LittleEndian.Uint32(body[2:]), body[6])
	}
	return nil
}
