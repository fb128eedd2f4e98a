package inventory

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
)

// heldBack stands for the number of a row whose person was erased on request.
const heldBack = math.MaxUint32

// resolution is who the rows of a delivery are.
type resolution struct {
	numbers []uint32 // by ordinal; heldBack for erased people
	people  uint32   // the highest number after the delivery
	bits    int      // of the index after the delivery
	// firstNew is the highest number before the new people of each part.
	firstNew [partitions]uint32
	// chunks holds the holdings by chunk: number in chunk u16, then a holding.
	chunks *spill
	joins  []join
	// before and after say who is the same person as whom.
	before, after aliases
	write         func(ctx context.Context, seg segmentRow) error // nil in a check
}

// join says that two numbers are the same person.
type join struct {
	a, b   uint32
	reason uint8
}

// Reasons for joining; stored, never change.
const (
	joinedByEmailName = 1
	joinedByEmailBorn = 2
	joinedByOfficial  = 3
)

var joinReasons = [...]string{"", "email and name", "email and birth date", "government id"}

// resolve finds for every row the person it is about: a number known before or
// a new one. New numbers follow the order of the keyed hashes, so they do not
// depend on the order of rows.
func (d *Delivery) resolve(ctx context.Context, r *resolution) error {
	if err := d.flushRow(); err != nil {
		return err
	}
	for _, ds := range d.byID[1:] {
		if ds != nil && ds.arrived > 0 {
			d.report.Records[ds.Key] = ds.arrived
		}
	}
	r.numbers = make([]uint32, d.rows)
	r.people = d.head.people
	r.bits = d.head.indexBits
	if int64(d.head.people)+int64(d.rows) > smallIndex {
		r.bits = largeBits
	}
	tombs := d.tombs
	if err := d.resolveIdentity(ctx, r, tombs); err != nil {
		return err
	}
	for _, k := range [...]kindOfIndex{byEmail, byOfficial, byPhone, byName} {
		if err := d.resolveIndex(ctx, r, k, tombs); err != nil {
			return err
		}
	}
	return d.placeOwnHoldings(r)
}

func (d *Delivery) resolveIdentity(ctx context.Context, r *resolution, tombs *tombstones) error {
	w := &indexWalk{d: d, kind: byIdentity, bits: r.bits, write: r.write}
	guardians := make([][]guardianRef, partitions)
	for _, g := range d.guardian {
		guardians[g.hash[0]] = append(guardians[g.hash[0]], g)
	}
	seen := newBitset(d.head.people + 1)
	for q := range partitions {
		known, err := w.known(ctx, q)
		if err != nil {
			return err
		}
		fresh, err := w.fresh(q, nil)
		if err != nil {
			return err
		}
		r.firstNew[q] = r.people
		merged := d.number(r, w.merged[:0], known, fresh, tombs, seen)
		w.merged = merged
		if r.people == heldBack {
			return fmt.Errorf("inventory %s: an organisation holds at most %d people", d.org, heldBack-1)
		}
		if err := w.keep(ctx, q, merged, len(merged) != len(known)); err != nil {
			return err
		}
		if err := d.placeRefs(r, q, merged, tombs); err != nil {
			return err
		}
		for _, g := range guardians[q] {
			d.findGuardian(merged, g, tombs)
		}
		d.Progress("identify", float64(q+1)/partitions)
	}
	return nil
}

// number gives every fresh entry its person and appends the merged part to merged.
func (d *Delivery) number(r *resolution, merged, known, fresh []entry, tombs *tombstones, seen bitset) []entry {
	k := 0
	for f := 0; f < len(fresh); {
		for k < len(known) && (known[k].hi < fresh[f].hi || known[k].hi == fresh[f].hi && known[k].lo < fresh[f].lo) {
			merged = append(merged, known[k])
			k++
		}
		e := fresh[f]
		switch {
		case k < len(known) && known[k].sameHash(e):
			e.number = known[k].number
			k++
			if !tombs.has(e.number) && seen.add(e.number) {
				d.report.Known++
			}
		case tombs.byIdentity(e):
			e.number = heldBack
		default:
			r.people++
			e.number = r.people
			d.report.New++
		}
		number := e.number
		if number != heldBack && tombs.has(number) {
			number = heldBack
		}
		for hash := e; f < len(fresh) && fresh[f].sameHash(hash); f++ {
			r.numbers[fresh[f].number] = number
			if number == heldBack {
				d.report.Erased++
			}
		}
		if e.number != heldBack {
			merged = append(merged, e)
		}
	}
	return append(merged, known[k:]...)
}

// seek finds the number of a hash among the merged entries of its part. Hashes
// are uniform, so the place is guessed from the hash itself.
func seek(merged []entry, h entry) (uint32, bool) {
	n := len(merged)
	if n == 0 {
		return 0, false
	}
	i := int((h.hi << largeBits >> 32) * uint64(n) >> 32)
	for i > 0 && (merged[i].hi > h.hi || merged[i].hi == h.hi && merged[i].lo > h.lo) {
		i--
	}
	for i < n-1 && (merged[i].hi < h.hi || merged[i].hi == h.hi && merged[i].lo < h.lo) {
		i++
	}
	return merged[i].number, merged[i].sameHash(h)
}

// placeRefs gives the holdings that name their person by number to the chunk of
// that person.
func (d *Delivery) placeRefs(r *resolution, q int, merged []entry, tombs *tombstones) error {
	const size = 16 + holdingSize + 6
	err := d.byRef.each(q, func(b []byte) error {
		for ; len(b) > 0; b = b[size:] {
			e := byIdentity.at(b) // the number read beyond the hash is not used
			number, found := seek(merged, e)
			if !found {
				if tombs.byIdentity(e) {
					d.report.Erased++
					continue
				}
				at := Origin{File: binary.LittleEndian.Uint16(b[16+holdingSize:]), Line: binary.LittleEndian.Uint32(b[18+holdingSize:])}
				d.Bad(at, "person", "nobody has this number, neither in this delivery nor in the inventory")
				continue
			}
			if tombs.has(number) {
				d.report.Erased++
				continue
			}
			if err := r.place(number, b[16:16+holdingSize]); err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(err, d.byRef.drop(q))
}

// place puts a packed holding into the chunk of its person.
func (r *resolution) place(number uint32, holding []byte) error {
	var buf [2 + holdingSize]byte
	binary.LittleEndian.PutUint16(buf[:], uint16(number))
	copy(buf[2:], holding)
	return r.chunks.add(int(number>>16), buf[:])
}

func (d *Delivery) placeOwnHoldings(r *resolution) error {
	const size = 4 + holdingSize
	err := d.byRow.each(0, func(b []byte) error {
		for ; len(b) > 0; b = b[size:] {
			number := r.numbers[binary.LittleEndian.Uint32(b)]
			if number == heldBack {
				continue
			}
			if err := r.place(number, b[4:size]); err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(err, d.byRow.drop(0))
}

func (d *Delivery) findGuardian(merged []entry, g guardianRef, tombs *tombstones) {
	number, found := seek(merged, entryOf(byIdentity, g.hash))
	if !found || tombs.has(number) {
		d.Bad(g.origin, "guardian", "nobody has this number, neither in this delivery nor in the inventory")
		return
	}
	d.guarded[g.ordinal] = number
}

// resolveIndex merges the delivery into the index of a kind and finds who is
// the same person as another.
func (d *Delivery) resolveIndex(ctx context.Context, r *resolution, k kindOfIndex, tombs *tombstones) error {
	w := &indexWalk{d: d, kind: k, bits: r.bits, write: r.write}
	for q := range partitions {
		known, err := w.known(ctx, q)
		if err != nil {
			return err
		}
		fresh, err := w.fresh(q, r.numbers)
		if err != nil {
			return err
		}
		merged, added := mergeEntries(w.merged[:0], known, fresh, tombs)
		w.merged = merged
		if added {
			d.findJoins(r, k, merged)
		}
		if err := w.keep(ctx, q, merged, added || len(merged) != len(known)); err != nil {
			return err
		}
	}
	d.Progress("index", float64(k)/float64(indexKinds))
	return nil
}

// mergeEntries appends two sorted lists to merged as one, leaves out doubles and
// erased people, and reports whether fresh brought anything.
func mergeEntries(merged, known, fresh []entry, tombs *tombstones) (_ []entry, added bool) {
	for len(known) > 0 || len(fresh) > 0 {
		var e entry
		isNew := len(known) == 0 || len(fresh) > 0 && fresh[0].compare(known[0]) < 0
		if isNew {
			e, fresh = fresh[0], fresh[1:]
		} else {
			e, known = known[0], known[1:]
		}
		if n := len(merged); n > 0 && merged[n-1] == e || tombs.has(e.number) {
			continue
		}
		added = added || isNew
		merged = append(merged, e)
	}
	return merged, added
}

// findJoins goes through the entries of equal hash.
func (d *Delivery) findJoins(r *resolution, k kindOfIndex, merged []entry) {
	if k != byEmail && k != byOfficial {
		return
	}
	for i := 0; i < len(merged); {
		j := i + 1
		for j < len(merged) && merged[j].sameHash(merged[i]) {
			j++
		}
		if j-i > 1 {
			if k == byOfficial {
				for n := i + 1; n < j; n++ {
					r.join(merged[i].number, merged[n].number, joinedByOfficial)
				}
			} else {
				r.joinMailbox(merged[i:j])
			}
		}
		i = j
	}
}

func (r *resolution) join(a, b uint32, reason uint8) {
	if a != b {
		r.joins = append(r.joins, join{min(a, b), max(a, b), reason})
	}
}

// joinMailbox joins the people of one verified mailbox who are the same by name
// or birth date. A household may share it, twins their birth date and father
// and son their name: so the name decides, a birth date that contradicts it
// keeps two people apart, and a birth date alone joins only someone nameless to
// the one person it can mean.
func (r *resolution) joinMailbox(same []entry) {
	named := slices.Clone(same)
	slices.SortFunc(named, func(a, b entry) int {
		if a.name != b.name {
			return less(a.name < b.name)
		}
		if a.born != b.born {
			return less(a.born < b.born)
		}
		return less(a.number < b.number)
	})
	for i := 0; i < len(named); {
		j := i + 1
		for j < len(named) && named[j].name == named[i].name {
			j++
		}
		if group := named[i:j]; group[0].name != 0 {
			r.joinNamesakes(group)
		} else {
			r.joinNameless(group, named[j:])
		}
		i = j
	}
}

// joinNamesakes joins entries of equal mailbox and name, in order of birth tag.
func (r *resolution) joinNamesakes(group []entry) {
	births := 0
	for i := range group {
		if group[i].born != 0 && (i == 0 || group[i].born != group[i-1].born) {
			births++
		}
	}
	for i := 1; i < len(group); i++ {
		if births <= 1 || group[i].born != 0 && group[i].born == group[i-1].born {
			r.join(group[i-1].number, group[i].number, joinedByEmailName)
		}
	}
}

// joinNameless joins entries without a name to the only named person of the
// mailbox with the same birth date.
func (r *resolution) joinNameless(nameless, named []entry) {
	for _, e := range nameless {
		if e.born == 0 {
			continue
		}
		var match *entry
		several := false
		for i := range named {
			if named[i].born == e.born {
				several = several || match != nil && match.name != named[i].name
				match = &named[i]
			}
		}
		if match != nil && !several {
			r.join(match.number, e.number, joinedByEmailBorn)
		}
	}
}

// bitset is a set of person numbers.
type bitset []uint64

func newBitset(n uint32) bitset { return make(bitset, n/64+1) }

// add puts n in and reports whether it was not there before.
func (b bitset) add(n uint32) bool {
	w, bit := n/64, uint64(1)<<(n%64)
	fresh := b[w]&bit == 0
	b[w] |= bit
	return fresh
}

func (b bitset) has(n uint32) bool { return int(n/64) < len(b) && b[n/64]&(1<<(n%64)) != 0 }
