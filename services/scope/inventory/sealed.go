package inventory

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
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
		var p *plan
		var err error
		if h, p, err = s.planOf(ctx, tx, org, exposures, policy); err != nil {
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
		for name := range l.controllers {
			counts := sealed.Preview.Controllers[name]
			counts.Digest = l.digestFor(org, name)
			sealed.Preview.Controllers[name] = counts
		}
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

// Exposures returns what the newest sealed list of a case was sealed for.
func (s *Store) Exposures(ctx context.Context, org, caseID string) ([]event.Exposure, error) {
	var text string
	err := s.db.QueryRowContext(ctx, `SELECT s.exposures FROM sealed s JOIN inventory i ON i.id = s.inventory
		WHERE i.org = $1 AND s.case_id = $2 ORDER BY s.revision DESC LIMIT 1`, org, caseID).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("%w: case %s/%s has none", ErrNotSealed, org, caseID)
	}
	var all []event.Exposure
	if err == nil {
		err = json.Unmarshal([]byte(text), &all)
	}
	if err != nil {
		return nil, fmt.Errorf("read what case %s/%s was sealed for: %w", org, caseID, err)
	}
	return all, nil
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
