package inventory

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"sync"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"tocsin.dev/pkg/category"
	"tocsin.dev/pkg/event"
)

// ErrNotSealed means that the case has no such sealed revision.
var ErrNotSealed = errors.New("no such sealed revision")

// Sealed is a sealed revision without its people.
type Sealed struct {
	Case      string
	Revision  int
	Statement string
	People    int64
	Digest    string
	SealedAt  time.Time
	// Preview holds all counts, the privileged ones included.
	Preview event.PreviewAnswer
}

// list is who is on a sealed revision: disjoint from names, one bitmap of person
// numbers per exposed category, their union, and one per controller.
type list struct {
	union       *roaring.Bitmap
	categories  [32]*roaring.Bitmap // nil where nobody
	controllers map[string]*roaring.Bitmap
}

// dense gathers bitmaps as plain words, one bit a person.
type dense struct {
	words       int
	categories  [32][]uint64
	controllers map[string][]uint64
}

func newDense(people uint32) *dense {
	return &dense{words: (int(people>>16) + 1) * chunkSize / 64, controllers: map[string][]uint64{}}
}

// add takes in the people of one chunk. Category sets are few, so people are
// first gathered by set and the sets then spread over their categories.
func (d *dense) add(f *found, p *plan) {
	var sets [][chunkSize / 64]uint64
	var masks []uint32
	index := map[uint32]int{}
	last, at := uint32(0), -1
	for i, m := range f.exposed {
		if m == 0 {
			continue
		}
		if m != last {
			known := false
			if at, known = index[m]; !known {
				at = len(masks)
				index[m] = at
				masks, sets = append(masks, m), append(sets, [chunkSize / 64]uint64{})
			}
			last = m
		}
		sets[at][i>>6] |= 1 << (i & 63)
	}
	offset := int(f.chunk) * chunkSize / 64
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
	d.addControllers(f, p, offset)
}

func (d *dense) addControllers(f *found, p *plan, offset int) {
	if len(p.groups) < 2 && (len(p.groups) == 0 || p.groups[0].controller == "") {
		return
	}
	for g, group := range p.groups {
		words := d.controllers[group.controller]
		if words == nil {
			words = make([]uint64, d.words)
			d.controllers[group.controller] = words
		}
		scratch := &f.exposed
		if f.groups != nil {
			scratch = f.groups[g]
		}
		for i, m := range scratch {
			if m != 0 {
				words[offset+i>>6] |= 1 << (i & 63)
			}
		}
	}
}

func (d *dense) list() *list {
	l := &list{controllers: map[string]*roaring.Bitmap{}}
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
	for name, words := range d.controllers {
		l.controllers[name] = fromWords(words)
	}
	return l
}

func fromWords(words []uint64) *roaring.Bitmap {
	b := roaring.FromDense(words, false)
	b.RunOptimize()
	return b
}

// digest is SHA-256 over the organisation and, in order of number, every person
// number and the categories exposed of that person, as two big-endian 32-bit
// words. Whoever has the list can compute it again.
func (l *list) digest(org string) string {
	h := sha256.New()
	h.Write([]byte("tocsin sealed list 1\n" + org + "\n"))
	var exposed [chunkSize]uint32
	buf := make([]byte, 0, 8*4096)
	l.each(&exposed, func(chunk uint32, lows *[chunkSize]uint32) {
		for i, m := range lows {
			if m == 0 {
				continue
			}
			buf = binary.BigEndian.AppendUint32(buf, chunk<<16|uint32(i))
			buf = binary.BigEndian.AppendUint32(buf, m)
			if len(buf) == cap(buf) {
				h.Write(buf)
				buf = buf[:0]
			}
		}
	})
	h.Write(buf)
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
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
	// Sizes are the lengths of the union, the categories and the controllers.
	Sizes []int `json:"sizes"`
}

func (l *list) marshal() ([]byte, error) {
	h := listHeader{Version: 1}
	maps := []*roaring.Bitmap{l.union}
	for bit, b := range l.categories {
		if b != nil {
			h.Categories = append(h.Categories, bit)
			maps = append(maps, b)
		}
	}
	for name := range l.controllers {
		h.Controllers = append(h.Controllers, name)
	}
	slices.Sort(h.Controllers)
	for _, name := range h.Controllers {
		maps = append(maps, l.controllers[name])
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
	if json.Unmarshal(body[4:4+n], &h) != nil || h.Version != 1 || len(h.Sizes) != 1+len(h.Categories)+len(h.Controllers) {
		return nil, errList
	}
	rest := body[4+n:]
	next := func() *roaring.Bitmap {
		size := h.Sizes[0]
		h.Sizes = h.Sizes[1:]
		if size > len(rest) || size < 0 {
			return nil
		}
		b := roaring.New()
		if _, err := b.FromBuffer(rest[:size]); err != nil {
			return nil
		}
		rest = rest[size:]
		return b
	}
	l := &list{union: next(), controllers: map[string]*roaring.Bitmap{}}
	ok := l.union != nil
	for _, bit := range h.Categories {
		if bit < 0 || bit > 31 {
			return nil, errList
		}
		l.categories[bit] = next()
		ok = ok && l.categories[bit] != nil
	}
	for _, name := range h.Controllers {
		l.controllers[name] = next()
		ok = ok && l.controllers[name] != nil
	}
	if !ok || len(rest) != 0 {
		return nil, errList
	}
	return l, nil
}

// Seal fixes the list of those whom the exposures reach as the next revision of
// the case. Sealing the same statement again returns what was sealed then, so
// a job that was cut off may simply run again.
func (s *Store) Seal(ctx context.Context, org, caseID, statement string, exposures []event.Exposure, policy Policy) (Sealed, error) {
	if done, err := s.SealedFor(ctx, org, caseID, statement); err == nil || !errors.Is(err, ErrNotSealed) {
		return done, err
	}
	sealed := Sealed{Case: caseID, Statement: statement, SealedAt: s.cfg.Now().UTC()}
	var h head
	var body []byte
	err := s.read(ctx, func(tx *sql.Tx) error {
		var err error
		if h, err = readHead(ctx, tx, org); err != nil {
			return err
		}
		known, err := readDatasets(ctx, tx, h)
		if err != nil {
			return err
		}
		p, err := newPlan(known, exposures, policy)
		if err != nil {
			return err
		}
		t, d := newTally(h, p), newDense(h.people)
		if err := s.scan(ctx, tx, h, p, func(f *found) error {
			t.add(f)
			d.add(f, p)
			return nil
		}); err != nil {
			return err
		}
		l := d.list()
		sealed.Preview, sealed.Digest = t.answer(h), l.digest(org)
		sealed.People = sealed.Preview.People
		body, err = l.marshal()
		return err
	})
	if err != nil {
		return Sealed{}, fmt.Errorf("seal statement %s of case %s/%s: %w", statement, org, caseID, err)
	}
	return s.keepSealed(ctx, h, sealed, exposures, body)
}

func (s *Store) keepSealed(ctx context.Context, h head, sealed Sealed, exposures []event.Exposure, body []byte) (Sealed, error) {
	stated, err := json.Marshal(exposures)
	if err != nil {
		return Sealed{}, fmt.Errorf("seal case %s/%s: %w", h.org, sealed.Case, err)
	}
	preview, err := json.Marshal(sealed.Preview)
	if err != nil {
		return Sealed{}, fmt.Errorf("seal case %s/%s: %w", h.org, sealed.Case, err)
	}
	err = s.db.Tx(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `INSERT INTO sealed
			(inventory, case_id, revision, statement, exposures, generation, people, digest, preview, sealed_at, body)
			SELECT $1, $2, COALESCE(MAX(revision), 0) + 1, $3, $4, $5, $6, $7, $8, $9, $10 FROM sealed WHERE inventory = $1 AND case_id = $2
			RETURNING revision`,
			h.id, sealed.Case, sealed.Statement, string(stated), h.generation, sealed.People, sealed.Digest, string(preview),
			sealed.SealedAt.UnixMilli(), body).Scan(&sealed.Revision)
	})
	if err != nil {
		// Another replica may have sealed the same statement meanwhile.
		if done, again := s.SealedFor(ctx, h.org, sealed.Case, sealed.Statement); again == nil {
			return done, nil
		}
		return Sealed{}, fmt.Errorf("keep sealed list of case %s/%s: %w", h.org, sealed.Case, err)
	}
	return sealed, nil
}

const sealedColumns = `SELECT s.case_id, s.revision, s.statement, s.people, s.digest, s.sealed_at, s.preview
	FROM sealed s JOIN inventory i ON i.id = s.inventory WHERE i.org = $1 AND s.case_id = $2 `

// SealedFor returns the revision that was sealed for a statement, or ErrNotSealed.
func (s *Store) SealedFor(ctx context.Context, org, caseID, statement string) (Sealed, error) {
	return scanSealed(s.db.QueryRowContext(ctx, sealedColumns+`AND s.statement = $3`, org, caseID, statement))
}

// SealedRevision returns a sealed revision of a case, or ErrNotSealed.
func (s *Store) SealedRevision(ctx context.Context, org, caseID string, revision int) (Sealed, error) {
	return scanSealed(s.db.QueryRowContext(ctx, sealedColumns+`AND s.revision = $3`, org, caseID, revision))
}

func scanSealed(row *sql.Row) (Sealed, error) {
	var x Sealed
	var at int64
	var preview string
	err := row.Scan(&x.Case, &x.Revision, &x.Statement, &x.People, &x.Digest, &at, &preview)
	if errors.Is(err, sql.ErrNoRows) {
		return x, ErrNotSealed
	}
	if err != nil {
		return x, fmt.Errorf("read sealed revision: %w", err)
	}
	x.SealedAt = time.UnixMilli(at).UTC()
	if err := json.Unmarshal([]byte(preview), &x.Preview); err != nil {
		return x, fmt.Errorf("read sealed revision: %w", err)
	}
	return x, nil
}

// sealedCache keeps the lists in use in memory: a sending asks thousands of
// times for the same one. A sealed list never changes, so nothing goes stale.
type sealedCache struct {
	mu    sync.Mutex
	lists map[sealedKey]*list
	order []sealedKey // least recently used first
}

type sealedKey struct {
	org, caseID string
	revision    int
}

const cachedLists = 4

func newSealedCache() *sealedCache { return &sealedCache{lists: map[sealedKey]*list{}} }

// list returns the people of a sealed revision, or ErrNotSealed.
func (s *Store) list(ctx context.Context, org, caseID string, revision int) (*list, error) {
	key := sealedKey{org, caseID, revision}
	c := s.sealed
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.lists[key]
	if l == nil {
		var body []byte
		err := s.db.QueryRowContext(ctx, `SELECT s.body FROM sealed s JOIN inventory i ON i.id = s.inventory
			WHERE i.org = $1 AND s.case_id = $2 AND s.revision = $3`, org, caseID, revision).Scan(&body)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, fmt.Errorf("%w: revision %d of case %s/%s", ErrNotSealed, revision, org, caseID)
		}
		if err != nil {
			return nil, fmt.Errorf("read sealed list: %w", err)
		}
		if l, err = unmarshalList(body); err != nil {
			return nil, fmt.Errorf("revision %d of case %s/%s: %w", revision, org, caseID, err)
		}
		c.lists[key] = l
	}
	c.order = append(slices.DeleteFunc(c.order, func(k sealedKey) bool { return k == key }), key)
	if len(c.order) > cachedLists {
		delete(c.lists, c.order[0])
		c.order = c.order[1:]
	}
	return l, nil
}

// Difference compares two sealed revisions of a case.
func (s *Store) Difference(ctx context.Context, org, caseID string, from, to int) (event.DifferenceAnswer, error) {
	out := event.DifferenceAnswer{From: from, To: to, WidenedBy: map[string]int64{}, NarrowedBy: map[string]int64{}}
	a, err := s.list(ctx, org, caseID, from)
	if err != nil {
		return out, err
	}
	b, err := s.list(ctx, org, caseID, to)
	if err != nil {
		return out, err
	}
	both := roaring.And(a.union, b.union)
	out.Added = int64(b.union.GetCardinality() - both.GetCardinality())
	out.Removed = int64(a.union.GetCardinality() - both.GetCardinality())
	widened, narrowed := roaring.New(), roaring.New()
	for bit := range a.categories {
		was, is := orEmpty(a.categories[bit]), orEmpty(b.categories[bit])
		gained, lost := roaring.AndNot(is, was), roaring.AndNot(was, is)
		gained.And(both)
		lost.And(both)
		code := category.All()[bit].Code
		if n := gained.GetCardinality(); n > 0 {
			out.WidenedBy[code] = int64(n)
			widened.Or(gained)
		}
		if n := lost.GetCardinality(); n > 0 {
			out.NarrowedBy[code] = int64(n)
			narrowed.Or(lost)
		}
	}
	out.Widened, out.Narrowed = int64(widened.GetCardinality()), int64(narrowed.GetCardinality())
	return out, nil
}

func orEmpty(b *roaring.Bitmap) *roaring.Bitmap {
	if b == nil {
		return roaring.New()
	}
	return b
}
