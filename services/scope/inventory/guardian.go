package inventory

import (
	"context"
	"fmt"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
)

// writeWards adds who is the guardian of whom, by the chunk of the guardian, so
// that a guardian's contact can be given to the sender only if a ward is on the
// list. An entry is like that of an alias: number in the chunk, the ward, 0.
func (d *Delivery) writeWards(ctx context.Context, w *writer, r *resolution) error {
	byChunk := map[uint32]map[[2]uint32]bool{}
	for ordinal, guardian := range d.guarded {
		ward := r.numbers[ordinal]
		if ward == heldBack {
			continue
		}
		chunk := guardian >> 16
		if byChunk[chunk] == nil {
			byChunk[chunk] = map[[2]uint32]bool{}
		}
		byChunk[chunk][[2]uint32{guardian, ward}] = true
	}
	for chunk, pairs := range byChunk {
		known, err := readSegment(ctx, d.store.db, d.head, segWards, 0, int64(chunk))
		if err != nil {
			return err
		}
		if err := eachAlias(known, func(low uint16, ward uint32, _ uint8) { pairs[[2]uint32{chunk<<16 | uint32(low), ward}] = true }); err != nil {
			return segmentError(segWards, 0, int64(chunk), err)
		}
		if len(known) == len(pairs)*aliasSize {
			continue
		}
		sorted := make([][2]uint32, 0, len(pairs))
		for p := range pairs {
			sorted = append(sorted, p)
		}
		slices.SortFunc(sorted, func(a, b [2]uint32) int { return slices.Compare(a[:], b[:]) })
		var body []byte
		for _, p := range sorted {
			body = appendAlias(body, uint16(p[0]), p[1], 0)
		}
		if err := w.put(ctx, segmentRow{kind: segWards, c: int64(chunk), body: body}); err != nil {
			return err
		}
	}
	return nil
}

// guards refuses numbers that are neither on the list nor the guardian of
// anybody on it.
func (p *people) guards(ctx context.Context, numbers []uint32, on *roaring.Bitmap) error {
	wards := map[uint32]map[uint16][]uint32{}
	for _, n := range numbers {
		if on.Contains(n) {
			continue
		}
		chunk := n >> 16
		if wards[chunk] == nil {
			body, err := readSegment(ctx, p.q, p.head, segWards, 0, int64(chunk))
			if err != nil {
				return err
			}
			wards[chunk] = map[uint16][]uint32{}
			if err := eachAlias(body, func(low uint16, ward uint32, _ uint8) { wards[chunk][low] = append(wards[chunk][low], ward) }); err != nil {
				return segmentError(segWards, 0, int64(chunk), err)
			}
		}
		if !slices.ContainsFunc(wards[chunk][uint16(n)], on.Contains) {
			return fmt.Errorf("%w: number %d is nobody's guardian there", ErrNotOnList, n)
		}
	}
	return nil
}
