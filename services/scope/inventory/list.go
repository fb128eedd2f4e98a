package inventory

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"tocsin.dev/pkg/category"
	"tocsin.dev/pkg/seal"
)

// list is who is on a sealed revision: disjoint from names, one bitmap of person
// numbers per exposed category, their union, and the same for each controller.
type list struct {
	union       *roaring.Bitmap
	categories  [32]*roaring.Bitmap // nil where nobody
	controllers map[string]*list    // nil within a controller's list
}

// dense gathers bitmaps as plain words, one bit a person.
type dense struct {
	words       int
	categories  [32][]uint64
	controllers map[string]*dense
	scratch     [chunkSize]uint32
}

func newDense(people uint32) *dense {
	return &dense{words: (int(people>>16) + 1) * chunkSize / 64, controllers: map[string]*dense{}}
}

// add takes in the people of one chunk.
func (d *dense) add(f *found, p *plan) {
	d.addExposed(f.chunk, &f.exposed)
	d.addControllers(f, p)
}

// addExposed takes in what is exposed of the people of a chunk. Category sets
// are few, so people are first gathered by set and the sets then spread over
// their categories.
func (d *dense) addExposed(chunk uint32, exposed *[chunkSize]uint32) {
	var sets [][chunkSize / 64]uint64
	var masks []uint32
	index := map[uint32]int{}
	last, at := uint32(0), -1
	for i, m := range exposed {
		if m == 0 {
			continue
		}
		if m != last {
			if n, known := index[m]; known {
				at = n
			} else {
				at = len(masks)
				index[m] = at
				masks, sets = append(masks, m), append(sets, [chunkSize / 64]uint64{})
			}
			last = m
		}
		sets[at][i>>6] |= 1 << (i & 63)
	}
	offset := int(chunk) * chunkSize / 64
	for n, m := range masks {
		for ; m != 0; m &= m - 1 {
			c := &d.categories[bits.TrailingZeros32(m)]
			if *c == nil {
				*c = make([]uint64, d.words)
			}
			for w, word := range sets[n] {
				(*c)[offset+w] |= word
			}
		}
	}
}

// addControllers gathers by controller, unless all data are the organisation's own.
func (d *dense) addControllers(f *found, p *plan) {
	if !slices.ContainsFunc(p.groups, func(g group) bool { return g.controller != "" }) {
		return
	}
	for g, first := range p.groups {
		if slices.IndexFunc(p.groups, func(o group) bool { return o.controller == first.controller }) != g {
			continue
		}
		part := d.controllers[first.controller]
		if part == nil {
			part = &dense{words: d.words}
			d.controllers[first.controller] = part
		}
		if f.groups == nil {
			part.addExposed(f.chunk, &f.exposed)
			continue
		}
		clear(d.scratch[:])
		for o, other := range p.groups {
			if other.controller != first.controller {
				continue
			}
			for i, m := range f.groups[o] {
				d.scratch[i] |= m
			}
		}
		part.addExposed(f.chunk, &d.scratch)
	}
}

func (d *dense) list() *list {
	l := &list{}
	union := make([]uint64, d.words)
	for bit, words := range d.categories {
		if words == nil {
			continue
		}
		for i, w := range words {
			union[i] |= w
		}
		l.categories[bit] = fromWords(words)
	}
	l.union = fromWords(union)
	if len(d.controllers) > 0 {
		l.controllers = map[string]*list{}
	}
	for name, part := range d.controllers {
		l.controllers[name] = part.list()
	}
	return l
}

func fromWords(words []uint64) *roaring.Bitmap {
	b := roaring.FromDense(words, false)
	b.RunOptimize()
	return b
}

// digest is the digest of the list. Whoever reads the list can compute it again.
func (l *list) digest(org string) string { return l.sum(seal.NewListDigest(org)) }

// digestFor is the digest of a controller's list.
func (l *list) digestFor(org, controller string) string {
	return l.controllers[controller].sum(seal.NewControllerDigest(org, controller))
}

func (l *list) sum(d *seal.ListDigest) string {
	var exposed [chunkSize]uint32
	l.each(&exposed, func(chunk uint32, lows *[chunkSize]uint32) {
		for i, m := range lows {
			if m != 0 {
				d.Add(chunk<<16|uint32(i), m)
			}
		}
	})
	return d.Sum()
}

// each calls f for every chunk with people, ascending, with what is exposed of them.
func (l *list) each(exposed *[chunkSize]uint32, f func(chunk uint32, exposed *[chunkSize]uint32)) {
	var its [32]roaring.ManyIntIterable
	var heads [32][]uint32
	var bufs [32][]uint32
	for bit, b := range l.categories {
		if b != nil {
			its[bit], bufs[bit] = b.ManyIterator(), make([]uint32, 1024)
		}
	}
	if l.union.IsEmpty() {
		return
	}
	for chunk := l.union.Minimum() >> 16; chunk <= l.union.Maximum()>>16; chunk++ {
		clear(exposed[:])
		some := false
		for bit, it := range its {
			if it == nil {
				continue
			}
			for {
				if len(heads[bit]) == 0 {
					n := it.NextMany(bufs[bit])
					if n == 0 {
						its[bit] = nil
						break
					}
					heads[bit] = bufs[bit][:n]
				}
				n := 0
				for n < len(heads[bit]) && heads[bit][n]>>16 == chunk {
					exposed[uint16(heads[bit][n])] |= 1 << bit
					n++
				}
				some = some || n > 0
				heads[bit] = heads[bit][n:]
				if len(heads[bit]) > 0 {
					break
				}
			}
		}
		if some {
			f(chunk, exposed)
		}
	}
}

// exposedOf returns the categories exposed of a person.
func (l *list) exposedOf(number uint32) category.Set {
	var set category.Set
	for bit, b := range l.categories {
		if b != nil && b.Contains(number) {
			set |= 1 << bit
		}
	}
	return set
}

// listHeader says what the bitmaps of a stored list are, in order.
type listHeader struct {
	Version     int      `json:"v"`
	Categories  []int    `json:"categories"`
	Controllers []string `json:"controllers,omitempty"`
	// Of are the categories of each controller, whose bitmaps follow its union.
	Of [][]int `json:"of,omitempty"`
	// Sizes are the lengths of the union, the categories and the controllers.
	Sizes []int `json:"sizes"`
}

func (l *list) marshal() ([]byte, error) {
	h := listHeader{Version: 1}
	maps := []*roaring.Bitmap{}
	with := func(l *list) (categories []int) {
		maps = append(maps, l.union)
		for bit, b := range l.categories {
			if b != nil {
				categories = append(categories, bit)
				maps = append(maps, b)
			}
		}
		return categories
	}
	h.Categories = with(l)
	for name := range l.controllers {
		h.Controllers = append(h.Controllers, name)
	}
	slices.Sort(h.Controllers)
	for _, name := range h.Controllers {
		h.Of = append(h.Of, with(l.controllers[name]))
	}
	var bodies []byte
	for _, b := range maps {
		raw, err := b.ToBytes()
		if err != nil {
			return nil, fmt.Errorf("store sealed list: %w", err)
		}
		h.Sizes = append(h.Sizes, len(raw))
		bodies = append(bodies, raw...)
	}
	head, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("store sealed list: %w", err)
	}
	out := binary.LittleEndian.AppendUint32(nil, uint32(len(head)))
	out = append(out, head...)
	return append(out, bodies...), nil
}

var errList = errors.New("sealed list is damaged")

func unmarshalList(body []byte) (*list, error) {
	if len(body) < 4 {
		return nil, errList
	}
	n := int(binary.LittleEndian.Uint32(body))
	if n > len(body)-4 {
		return nil, errList
	}
	var h listHeader
	if json.Unmarshal(body[4:4+n], &h) != nil || h.Version != 1 || len(h.Of) != len(h.Controllers) {
		return nil, errList
	}
	r := listReader{rest: body[4+n:], sizes: h.Sizes}
	l := r.list(h.Categories)
	for i, name := range h.Controllers {
		if l.controllers == nil {
			l.controllers = map[string]*list{}
		}
		l.controllers[name] = r.list(h.Of[i])
	}
	if r.damaged || len(r.rest) != 0 || len(r.sizes) != 0 {
		return nil, errList
	}
	return l, nil
}

// listReader cuts bitmaps off the body of a stored list.
type listReader struct {
	rest    []byte
	sizes   []int
	damaged bool
}

func (r *listReader) bitmap() *roaring.Bitmap {
	b := roaring.New()
	if len(r.sizes) == 0 || r.sizes[0] < 0 || r.sizes[0] > len(r.rest) {
		r.damaged = true
		return b
	}
	if _, err := b.FromBuffer(r.rest[:r.sizes[0]]); err != nil {
		r.damaged = true
		return roaring.New()
	}
	r.rest, r.sizes = r.rest[r.sizes[0]:], r.sizes[1:]
	return b
}

// list reads a union and the bitmaps of the categories.
func (r *listReader) list(categories []int) *list {
	l := &list{union: r.bitmap()}
	for _, bit := range categories {
		if bit < 0 || bit > 31 {
			r.damaged = true
			return l
		}
		l.categories[bit] = r.bitmap()
	}
	return l
}

// of returns the list of a controller, or the whole for nil. A list without
// controllers is all the organisation's own.
func (l *list) of(controller *string) (*list, error) {
	if controller == nil || l.controllers == nil && *controller == "" {
		return l, nil
	}
	part := l.controllers[*controller]
	if part == nil {
		return nil, fmt.Errorf("%w: nothing of controller %q", ErrNotSealed, clip(*controller))
	}
	return part, nil
}
