package inventory

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"unsafe"

	"tocsin.dev/pkg/sqldb"
)

// SQLite writes what it is given twice, to its log and to its file, page by
// page, and gathers a body from its pages whenever it is read. So large
// deliveries put the bulk that nobody searches on a shelf beside the database.
// The row of a segment says where its body lies there.
//
// A shelf is two files. Sealed records, their keys and the parts of the index are
// written past the page cache, whose memory the import needs for other things.
// Columns, which are asked soon and often, are written through it.
//
// A body is on the disk before the transaction that names it, and is never
// changed: what no row names was left by a delivery that did not end, or
// replaced. A shelf that no row names is removed when the next delivery begins
// or the store is opened; one that is mostly unnamed is moved by the next large
// delivery to its own.

// shelveFrom is how many rows about people make a delivery a large one.
const shelveFrom = 200_000

// blockSize is what reads and writes past the page cache must be a multiple of.
const blockSize = 4096

// place says where the body of a segment lies; on shelf 0 it lies in its row.
// Shelves are numbered by the generation of the delivery that fills them, the
// file of their columns by its negative.
type place struct{ shelf, at, size int64 }

// shelfOf returns the number of the file for a kind of segment on the shelf of a
// delivery, or 0 if the kind always lies in its row.
func shelfOf(kind, generation int64) int64 {
	switch kind {
	case segRecords, segKeys, segIndex:
		return generation
	case segHoldings, segAttributes:
		return -generation
	}
	return 0
}

// shelves are the shelves beside a database.
type shelves struct {
	path string // of the database; empty if it takes none
	mu   sync.Mutex
	open map[shelfName]openShelf
}

// openShelf is a shelf that is read: here and there through the page cache, as
// the same may be asked for again, and from one end to the other past it. The
// columns are in the cache already.
type openShelf struct{ cached, direct *os.File }

type shelfName struct{ inventory, number int64 }

const columnsSuffix = "-columns"

func newShelves(db *sqldb.DB) *shelves {
	return &shelves{path: db.Path, open: map[shelfName]openShelf{}}
}

func (s *shelves) bodies() *shelfReader { return &shelfReader{shelves: s} }

func (s *shelves) file(n shelfName) string {
	if n.number < 0 {
		return fmt.Sprintf("%s-shelf-%d-%d%s", s.path, n.inventory, -n.number, columnsSuffix)
	}
	return fmt.Sprintf("%s-shelf-%d-%d", s.path, n.inventory, n.number)
}

// reader returns a shelf to be read. It stays open: whoever began to read before
// it was replaced can go on.
func (s *shelves) reader(n shelfName) (openShelf, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f, open := s.open[n]; open {
		return f, nil
	}
	cached, err := os.Open(s.file(n))
	if errors.Is(err, fs.ErrNotExist) {
		return openShelf{}, fmt.Errorf("%w; if that was not just now, restore the file from the backup of the database", errReplaced)
	}
	if err != nil {
		return openShelf{}, err
	}
	direct := cached
	if n.number > 0 {
		if direct, err = openShelfFile(s.file(n), os.O_RDONLY, directIO); err != nil {
			return openShelf{}, errors.Join(err, cached.Close())
		}
	}
	s.open[n] = openShelf{cached, direct}
	return s.open[n], nil
}

var errReplaced = errors.New("what is read was replaced by a delivery: try again")

// openShelfFile opens a file, past the page cache if direct is directIO and the
// system knows how.
func openShelfFile(path string, flag, direct int) (*os.File, error) {
	f, err := os.OpenFile(path, flag|direct, 0o600)
	if err != nil && direct != 0 && !errors.Is(err, fs.ErrNotExist) {
		f, err = os.OpenFile(path, flag, 0o600) // as on a file system in memory
	}
	return f, err
}

// aligned returns an empty buffer of a capacity for reads and writes past the
// page cache.
func aligned(capacity int) []byte {
	b := make([]byte, capacity+blockSize)
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) & (blockSize - 1)
	return b[skip : skip : skip+capacity]
}

func roundUp(n int64) int64 { return (n + blockSize - 1) &^ (blockSize - 1) }

// shelfReader reads bodies that lie near each other with few reads. It serves
// one goroutine.
type shelfReader struct {
	shelves *shelves
	stretch
	spare []byte
	// next is what is read while the present stretch is used; nil without readOn.
	on   bool
	next chan stretch
}

// stretch is a part of a shelf.
type stretch struct {
	name  shelfName
	from  int64
	bytes []byte // aligned
	err   error
}

func (s *stretch) holds(name shelfName, p place) bool {
	return name == s.name && p.at >= s.from && p.at+p.size <= s.from+int64(len(s.bytes))
}

// A read that goes on where the last one ended, or nearly, reads ahead; the
// next stretch overlaps by what a body takes at most, but for giants.
const (
	readAhead = 1 << 20
	nearby    = 64 << 10
	atLeast   = 32 << 10 // a page of keys with the records behind it
)

// readOn lets the reader read the next stretch while the present one is used,
// until the function it returns is called.
func (r *shelfReader) readOn() (stop func()) {
	r.on = true
	return func() {
		r.on = false
		if r.next != nil {
			<-r.next
			r.next = nil
		}
	}
}

// read returns a copy of a body.
func (r *shelfReader) read(inventory int64, p place) ([]byte, error) {
	body, err := r.view(inventory, p)
	return append(make([]byte, 0, len(body)), body...), err
}

// view returns a body, which is good until the next is asked for.
func (r *shelfReader) view(inventory int64, p place) ([]byte, error) {
	name := shelfName{inventory, p.shelf}
	if !r.holds(name, p) {
		if err := r.move(name, p); err != nil {
			return nil, fmt.Errorf("read shelf %s: %w", filepath.Base(r.shelves.file(name)), err)
		}
	}
	return r.bytes[p.at-r.from:][:p.size], nil
}

// move reads the stretch that begins with a body.
func (r *shelfReader) move(name shelfName, p place) error {
	f, err := r.shelves.reader(name)
	if err != nil {
		return err
	}
	gap := p.at - r.from - int64(len(r.bytes))
	goesOn := name.number > 0 && name == r.name && gap > -nearby && gap < nearby
	if r.next != nil {
		last := r.stretch
		r.stretch, r.next = <-r.next, nil
		r.spare = last.bytes
	}
	if !r.holds(name, p) {
		from := p.at &^ (blockSize - 1)
		size := roundUp(p.at+p.size) - from
		file := f.cached
		switch {
		case goesOn:
			file, size = f.direct, max(size, readAhead)
		case name.number > 0:
			size = max(size, atLeast)
		}
		r.stretch = readStretch(file, name, from, size, r.bytes)
	}
	if !r.holds(name, p) {
		err := errors.Join(r.err, errSegment)
		r.stretch = stretch{bytes: r.bytes}
		return err
	}
	if r.on && goesOn {
		next := make(chan stretch, 1)
		from, into := (r.from+int64(len(r.bytes))-nearby)&^(blockSize-1), r.spare
		go func() { next <- readStretch(f.direct, name, from, readAhead, into) }()
		r.next, r.spare = next, nil
	}
	return nil
}

// readStretch reads into the memory of another stretch.
func readStretch(f *os.File, name shelfName, from, size int64, into []byte) stretch {
	if int64(cap(into)) < size {
		into = aligned(int(size))
	}
	n, err := f.ReadAt(into[:size], from)
	return stretch{name, from, into[:n], err}
}
