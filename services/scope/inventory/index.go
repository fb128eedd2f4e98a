package inventory

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/bits"
	"slices"
)

// The blind index is kept as sorted runs: a partition holds the entries whose
// hash begins with the same bits, ascending. Small inventories have a single
// partition, larger ones 256; the number only grows.

const (
	smallIndex   = 50_000 // people up to which one partition does
	largeBits    = 8
	partitions   = 1 << largeBits
	identitySize = 16 + 4
	emailSize    = 16 + 4 + 4 + 4
	searchSize   = 8 + 4
)

// entrySize is the stored size of an entry: the hash (16 bytes, 8 for the search
// kinds), the number, and for mailboxes the tags of name and birth date.
func (k kindOfIndex) entrySize() int {
	switch k {
	case byIdentity, byOfficial:
		return identitySize
	case byEmail:
		return emailSize
	default:
		return searchSize
	}
}

func (k kindOfIndex) hashSize() int {
	if k == byPhone || k == byName {
		return 8
	}
	return 16
}

// entry is one entry of the index of any kind.
type entry struct {
	hi, lo uint64 // the hash, big-endian; lo is 0 for the search kinds
	number uint32
	name   uint32 // tags; mailboxes only
	born   uint32
}

func (e entry) compare(o entry) int {
	switch {
	case e.hi != o.hi:
		return less(e.hi < o.hi)
	case e.lo != o.lo:
		return less(e.lo < o.lo)
	case e.number != o.number:
		return less(e.number < o.number)
	case e.name != o.name:
		return less(e.name < o.name)
	case e.born != o.born:
		return less(e.born < o.born)
	}
	return 0
}

func less(yes bool) int {
	if yes {
		return -1
	}
	return 1
}

func (e entry) sameHash(o entry) bool { return e.hi == o.hi && e.lo == o.lo }

func (k kindOfIndex) append(b []byte, e entry) []byte {
	b = binary.BigEndian.AppendUint64(b, e.hi)
	if k.hashSize() == 16 {
		b = binary.BigEndian.AppendUint64(b, e.lo)
	}
	b = binary.LittleEndian.AppendUint32(b, e.number)
	if k == byEmail {
		b = binary.LittleEndian.AppendUint32(b, e.name)
		b = binary.LittleEndian.AppendUint32(b, e.born)
	}
	return b
}

// at reads the entry at b.
func (k kindOfIndex) at(b []byte) entry {
	e := entry{hi: binary.BigEndian.Uint64(b)}
	b = b[8:]
	if k.hashSize() == 16 {
		e.lo = binary.BigEndian.Uint64(b)
		b = b[8:]
	}
	e.number = binary.LittleEndian.Uint32(b)
	if k == byEmail {
		e.name, e.born = binary.LittleEndian.Uint32(b[4:]), binary.LittleEndian.Uint32(b[8:])
	}
	return e
}

func entryOf(k kindOfIndex, h hash128) entry {
	e := entry{hi: binary.BigEndian.Uint64(h[:])}
	if k.hashSize() == 16 {
		e.lo = binary.BigEndian.Uint64(h[8:])
	}
	return e
}

// entrySorter sorts entries in memory that it keeps.
type entrySorter struct {
	ends, starts []uint32
	numbers      numberSorter
}

// sort unpacks the entries of one part, but for those of nobody, and sorts them
// by hash and number into the memory of all. The entries of a part share the
// first eight bits and hashes are uniform: one counting pass over the bits that
// follow leaves runs of two or three, or of all who share a name.
func (s *entrySorter) sort(k kindOfIndex, all []entry, packed []byte) []entry {
	size, at := k.entrySize(), k.hashSize()
	n := len(packed) / size
	width := min(max(bits.Len(uint(n))-1, 1), 24-largeBits)
	digit := func(b []byte) uint32 { return binary.BigEndian.Uint32(b) << largeBits >> (32 - width) }
	s.ends = slices.Grow(s.ends[:0], 1<<width+1)[:1<<width+1]
	ends := s.ends
	clear(ends)
	for b := packed; len(b) >= size; b = b[size:] {
		if binary.LittleEndian.Uint32(b[at:]) != heldBack {
			ends[digit(b)+1]++
		}
	}
	for i := range len(ends) - 1 {
		ends[i+1] += ends[i]
	}
	all = slices.Grow(all[:0], n)[:ends[len(ends)-1]]
	s.starts = append(s.starts[:0], ends...)
	starts := s.starts
	for b := packed; len(b) >= size; b = b[size:] {
		if binary.LittleEndian.Uint32(b[at:]) != heldBack {
			to := &starts[digit(b)]
			all[*to] = k.at(b)
			*to++
		}
	}
	for i := range len(ends) - 1 {
		switch run := all[ends[i]:ends[i+1]]; {
		case len(run) <= longRun:
			insertEntries(run)
		case k.hashSize() == 16:
			slices.SortFunc(run, entry.compare)
		default:
			sortNamesakes(run, &s.numbers)
		}
	}
	return all
}

const longRun = 32

// sortNamesakes sorts a long run of a search kind. It is long because people
// share a name: their entries differ in the number alone, and numbers sort
// faster than entries.
func sortNamesakes(run []entry, numbers *numberSorter) {
	for len(run) > longRun {
		least := slices.MinFunc(run, entry.compare)
		same := numbers.all[:0]
		for i, e := range run {
			if e.hi == least.hi {
				run[i] = run[len(same)]
				same = append(same, e.number)
			}
		}
		numbers.all = same
		same = numbers.sort()
		for i, n := range same {
			run[i] = entry{hi: least.hi, number: n}
		}
		run = run[len(same):]
		if len(same) == 1 { // hardly anything is shared
			break
		}
	}
	slices.SortFunc(run, entry.compare)
}

// numberSorter sorts numbers in memory that it keeps.
type numberSorter struct{ all, other []uint32 }

// sort sorts all: many numbers byte by byte, which costs the same for each of them.
func (s *numberSorter) sort() []uint32 {
	if len(s.all) < 256 {
		slices.Sort(s.all)
		return s.all
	}
	s.other = slices.Grow(s.other[:0], len(s.all))[:len(s.all)]
	for shift := 0; shift < 32; shift += 8 {
		var starts [257]uint32
		for _, n := range s.all {
			starts[n>>shift&255+1]++
		}
		if starts[s.all[0]>>shift&255+1] == uint32(len(s.all)) {
			continue // they agree in this byte
		}
		for i := range 256 {
			starts[i+1] += starts[i]
		}
		for _, n := range s.all {
			to := &starts[n>>shift&255]
			s.other[*to] = n
			*to++
		}
		s.all, s.other = s.other, s.all
	}
	return s.all
}

// insertEntries sorts a short run.
func insertEntries(run []entry) {
	for i := 1; i < len(run); i++ {
		e, j := run[i], i
		for ; j > 0 && e.compare(run[j-1]) < 0; j-- {
			run[j] = run[j-1]
		}
		run[j] = e
	}
}

// indexKey is the key column a of a kind of index with a number of partitions.
func (h *head) indexKey(k kindOfIndex, bits int) int64 { return int64(k)*64 + int64(bits) }

// find returns the entries of a kind with the hash.
func (s *Store) find(ctx context.Context, q querier, h head, k kindOfIndex, hash hash128) ([]entry, error) {
	c := int64(0)
	if h.indexBits == largeBits {
		c = int64(hash[0])
	}
	body, err := readSegment(ctx, q, h, segIndex, h.indexKey(k, h.indexBits), c)
	if err != nil || body == nil {
		return nil, err
	}
	size := k.entrySize()
	if len(body)%size != 0 {
		return nil, segmentError(segIndex, h.indexKey(k, h.indexBits), c, errSegment)
	}
	prefix := hash[:k.hashSize()]
	n := len(body) / size
	lo, hi := 0, n
	for lo < hi {
		mid := (lo + hi) / 2
		if bytes.Compare(body[mid*size:mid*size+len(prefix)], prefix) < 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	var found []entry
	for ; lo < n && bytes.Equal(body[lo*size:lo*size+len(prefix)], prefix); lo++ {
		found = append(found, k.at(body[lo*size:]))
	}
	return found, nil
}
