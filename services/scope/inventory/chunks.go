package inventory

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
)

// chunkWriter writes people and records chunk by chunk.
type chunkWriter struct {
	d          *Delivery
	w          *writer
	r          *resolution
	out        *spill // rows of people by leaf
	done       map[int64]bool
	duplicates bitset
	guarded    bitset // ordinals in the delivery's map, which is slow to ask
	placer     placer
	sorter     holdingSorter
	top        int // chunks above are written
	numbers    []uint32
	holdings   []byte      // of the chunk that is written
	sets       [][]arrived // the holdings by dataset
}

// writeChunks goes through the rows from the last part to the first. New people
// were numbered in that order, so the chunks above the present part are complete
// and can be written; a duplicate has a higher number than the person it is and
// so comes before the chunk that needs its record.
func (d *Delivery) writeChunks(ctx context.Context, w *writer, r *resolution, resumed bool) (err error) {
	c := &chunkWriter{d: d, w: w, r: r, out: newPassing(d.records.dir), top: int(r.people >> 16), duplicates: newBitset(r.people + 1)}
	c.placer = placer{d: d, w: w, earlier: map[int32]int32{}, context: make([]byte, 0, 4)}
	defer func() { err = errors.Join(err, c.out.close()) }()
	for n := range r.after.pairs {
		c.duplicates.add(n)
	}
	c.guarded = newBitset(d.rows)
	for ordinal := range d.guarded {
		c.guarded.add(ordinal)
	}
	if resumed {
		if c.done, err = d.written(ctx, w.generation, segTable, 0); err != nil {
			return err
		}
	}
	if err := d.supplementsOfKnown(ctx, r, c.out); err != nil {
		return err
	}
	for q := partitions - 1; q >= 0; q-- {
		if err := d.records.each(q, c.distribute); err != nil {
			return err
		}
		if err := d.records.drop(q); err != nil {
			return err
		}
		if err := c.writeAbove(ctx, int(max(r.firstNew[q]+1, d.head.people)>>16)); err != nil {
			return err
		}
		d.Progress("people", float64(partitions-q)/partitions)
	}
	return c.writeAbove(ctx, -1)
}

// distribute gives rows and their holdings to the chunks of their people.
func (c *chunkWriter) distribute(b []byte) error {
	c.lookUp(b)
	for _, number := range c.numbers {
		ordinal, holdings := binary.LittleEndian.Uint32(b), int(binary.LittleEndian.Uint16(b[4:]))
		size := recordHead + int(binary.LittleEndian.Uint16(b[rowHead+attributeSize:]))
		row := b[rowHead : rowHead+size]
		held := b[rowHead+size : rowHead+size+holdings*holdingSize]
		b = b[rowHead+size+holdings*holdingSize:]
		if number == heldBack {
			continue
		}
		placed, err := c.place(number, ordinal, row)
		if err != nil {
			return err
		}
		if c.duplicates.has(number) {
			if err := addSupplement(c.out, c.r.after.pairs[number].target, number, placed[placedHead:], supplementFresh); err != nil {
				return err
			}
		}
		for ; len(held) > 0; held = held[holdingSize:] {
			if err := c.r.place(number, held[:holdingSize]); err != nil {
				return err
			}
		}
	}
	return nil
}

// lookUp finds the numbers of the rows in b. Each lookup misses the caches; a
// loop that does nothing else lets the processor wait for many at once.
func (c *chunkWriter) lookUp(b []byte) {
	c.numbers = c.numbers[:0]
	for len(b) > 0 {
		c.numbers = append(c.numbers, c.r.numbers[binary.LittleEndian.Uint32(b)])
		size := recordHead + int(binary.LittleEndian.Uint16(b[rowHead+attributeSize:]))
		b = b[rowHead+size+int(binary.LittleEndian.Uint16(b[4:]))*holdingSize:]
	}
}

// place adds a row to the chunk of its person and returns it as it lies there.
func (c *chunkWriter) place(number, ordinal uint32, row []byte) ([]byte, error) {
	guardian, size := uint32(0), 2+len(row)
	if c.guarded.has(ordinal) {
		guardian, size = c.d.guarded[ordinal], size+guardianSize
	}
	b, err := c.out.room(leafOf(number), size)
	if err != nil {
		return nil, err
	}
	binary.LittleEndian.PutUint16(b, uint16(number))
	copy(b[2:], row)
	if guardian != 0 {
		putGuardian(b, guardian)
	}
	return b, nil
}

// writeAbove writes the chunks above chunk that are not written yet.
func (c *chunkWriter) writeAbove(ctx context.Context, chunk int) error {
	for ; c.top > chunk; c.top-- {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !c.done[int64(c.top)] {
			if err := c.write(ctx, c.top); err != nil {
				return err
			}
		}
		for leaf := range leaves {
			if err := c.out.drop(c.top*leaves + leaf); err != nil {
				return err
			}
		}
		if err := c.r.chunks.drop(c.top); err != nil {
			return err
		}
	}
	return nil
}

func (c *chunkWriter) write(ctx context.Context, chunk int) error {
	err := c.placer.chunk(ctx, uint32(chunk), c.out)
	if err != nil {
		return err
	}
	if c.holdings, err = c.r.chunks.load(chunk, c.holdings); err != nil {
		return err
	}
	c.sets = byDataset(c.sets, c.holdings)
	for id, rows := range c.sets {
		if len(rows) == 0 {
			continue
		}
		if err := c.d.writeSegment(ctx, c.w, &c.sorter, int64(id), int64(chunk), rows); err != nil {
			return err
		}
	}
	return c.w.boundary(ctx, false)
}

// placedHead is the number in the chunk before attribute, length and record.
const placedHead = 2 + recordHead

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
	return out.add(leafOf(target), append(head[:], record...))
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
	return p.each(ctx, numbers, func(number uint32, record string) error {
		if err := known.decode(record); err != nil {
			return err
		}
		known.supplements = nil // each duplicate brings its own
		return addSupplement(out, r.after.pairs[number].target, number, known.encode(nil), supplementKnown)
	})
}

// guardianSize is what a guardian takes at the end of a record.
const guardianSize = 1 + 1 + 4

// putGuardian writes the guardian to the end of a placed row, where there is
// room for it.
func putGuardian(placed []byte, number uint32) {
	field := placed[len(placed)-guardianSize:]
	field[0], field[1] = fieldGuardian, 4
	binary.LittleEndian.PutUint32(field[2:], number)
	binary.LittleEndian.PutUint16(placed[2+attributeSize:], uint16(len(placed)-placedHead))
}
