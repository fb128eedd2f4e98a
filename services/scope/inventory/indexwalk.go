package inventory

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
)

// indexWalk goes through the index of a kind part by part beside the delivery.
type indexWalk struct {
	d       *Delivery
	kind    kindOfIndex
	bits    int // of the new index
	whole   []entry
	read    bool
	out     []byte
	changed bool
	// Of the present part, and used again for the next.
	packed         []byte
	sorted, merged []entry
	sorter         entrySorter
	write          func(ctx context.Context, seg segmentRow) error
}

// known returns the entries of part q of 256 that were there before.
func (w *indexWalk) known(ctx context.Context, q int) ([]entry, error) {
	h := w.d.head
	if h.indexBits == largeBits {
		body, err := readSegment(ctx, w.d.store.db, h, segIndex, h.indexKey(w.kind, h.indexBits), int64(q))
		if err != nil {
			return nil, err
		}
		return w.parse(body)
	}
	if !w.read {
		body, err := readSegment(ctx, w.d.store.db, h, segIndex, h.indexKey(w.kind, 0), 0)
		if err != nil {
			return nil, err
		}
		if w.whole, err = w.parse(body); err != nil {
			return nil, err
		}
		w.read = true
	}
	n, _ := slices.BinarySearchFunc(w.whole, uint64(q+1), func(e entry, next uint64) int {
		if e.hi>>(64-largeBits) < next {
			return -1
		}
		return 1
	})
	part := w.whole[:n]
	w.whole = w.whole[n:]
	return part, nil
}

func (w *indexWalk) parse(body []byte) ([]entry, error) {
	size := w.kind.entrySize()
	if len(body)%size != 0 {
		return nil, fmt.Errorf("index %d of inventory %s: %w", w.kind, w.d.org, errSegment)
	}
	all := make([]entry, len(body)/size)
	for i := range all {
		all[i] = w.kind.at(body[i*size:])
	}
	return all, nil
}

// fresh returns the entries of part q of the delivery, sorted. Their numbers are
// ordinals, or with numbers given the people these stand for.
func (w *indexWalk) fresh(q int, numbers []uint32) ([]entry, error) {
	s := w.d.index[w.kind]
	var err error
	if w.packed, err = s.load(q, w.packed); err != nil {
		return nil, err
	}
	if err := s.drop(q); err != nil {
		return nil, err
	}
	if numbers != nil {
		w.giveNumbers(w.packed, numbers)
	}
	w.sorted = w.sorter.sort(w.kind, w.sorted, w.packed)
	return w.sorted, nil
}

// giveNumbers replaces the ordinals of packed entries, which are read only once,
// by numbers; see lookUp for why it does nothing else.
func (w *indexWalk) giveNumbers(b []byte, numbers []uint32) {
	size, at := w.kind.entrySize(), w.kind.hashSize()
	for ; len(b) >= size; b = b[size:] {
		binary.LittleEndian.PutUint32(b[at:at+4], numbers[binary.LittleEndian.Uint32(b[at:at+4])])
	}
}

// keep writes the merged part q; changed says whether it differs from before.
func (w *indexWalk) keep(ctx context.Context, q int, merged []entry, changed bool) error {
	if w.write == nil {
		return nil
	}
	if w.bits == largeBits {
		if !changed && (w.d.head.indexBits == largeBits || len(merged) == 0) {
			return nil
		}
		w.out = slices.Grow(w.out[:0], len(merged)*w.kind.entrySize())
		for _, e := range merged {
			w.out = w.kind.append(w.out, e)
		}
		return w.write(ctx, segmentRow{kind: segIndex, a: w.d.head.indexKey(w.kind, w.bits), c: int64(q), body: w.out})
	}
	w.changed = w.changed || changed
	for _, e := range merged {
		w.out = w.kind.append(w.out, e)
	}
	if q < partitions-1 || !w.changed {
		return nil
	}
	return w.write(ctx, segmentRow{kind: segIndex, a: w.d.head.indexKey(w.kind, 0), body: emptyNotNil(w.out)})
}
