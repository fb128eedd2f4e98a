package inventory

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/person"
)

// Walked is some people of a sealed list, whose slices and maps are used again.
type Walked struct {
	Contacts []person.Contact
	// Guardians are the guardians of the minors among them, by number.
	Guardians map[person.Number]*person.Contact
	// Erased is how many of the list's people have been erased since.
	Erased int
}

// WalkBegins writes to the audit that all people of a sealed revision are
// walked over, and why; people leave the inventory in no other form than counts.
func (s *Store) WalkBegins(ctx context.Context, org, caseID string, revision int, actor, why string) error {
	l, err := s.list(ctx, org, caseID, revision)
	if err != nil {
		return err
	}
	return s.audit(ctx, org, audited{actor: actor, act: "walk", caseID: caseID, people: int64(l.union.GetCardinality()),
		detail: fmt.Sprintf("revision %d, %s", revision, clip(why))})
}

// Walk calls visit with the people of every parts-th chunk of a sealed
// revision, beginning with part, so that several goroutines share a list. It
// returns the generation of the inventory it read.
func (s *Store) Walk(ctx context.Context, org, caseID string, revision, part, parts int, visit func(Walked) error) (generation int64, err error) {
	l, err := s.list(ctx, org, caseID, revision)
	if err != nil {
		return 0, err
	}
	err = s.read(ctx, func(tx *sql.Tx) error {
		p, err := s.people(ctx, tx, org)
		if err != nil {
			return err
		}
		defer p.head.bodies.readOn()()
		generation = p.head.generation
		w := walker{p: p, visit: visit, numbers: make([]uint32, 0, walkBatch), guardians: map[person.Number]*person.Contact{}}
		var exposed [chunkSize]uint32
		var failed error
		l.each(&exposed, func(chunk uint32, exposed *[chunkSize]uint32) {
			if failed == nil && int(chunk)%parts == part {
				failed = w.chunk(ctx, chunk, exposed)
			}
		})
		return failed
	})
	return generation, err
}

// walkBatch is how many people are opened at a time.
const walkBatch = 4096

type walker struct {
	p         *people
	visit     func(Walked) error
	numbers   []uint32
	answer    event.ContactsAnswer
	guardians map[person.Number]*person.Contact
	wanted    []uint32
}

func (w *walker) chunk(ctx context.Context, chunk uint32, exposed *[chunkSize]uint32) error {
	w.numbers = w.numbers[:0]
	for i := range exposed {
		if exposed[i] != 0 {
			w.numbers = append(w.numbers, chunk<<16|uint32(i))
		}
		if len(w.numbers) < walkBatch && i < chunkSize-1 {
			continue
		}
		for rest := w.numbers; len(rest) > 0; {
			n, err := w.batch(ctx, rest, exposed)
			if err != nil {
				return err
			}
			rest = rest[n:]
		}
		w.numbers = w.numbers[:0]
	}
	delete(w.p.table, chunk)
	return ctx.Err()
}

func (w *walker) batch(ctx context.Context, numbers []uint32, exposed *[chunkSize]uint32) (int, error) {
	w.answer.Contacts, w.answer.Erased = w.answer.Contacts[:0], w.answer.Erased[:0]
	n, err := w.p.contacts(ctx, numbers, &w.answer)
	if err != nil {
		return 0, err
	}
	w.wanted = w.wanted[:0]
	for i := range w.answer.Contacts {
		c := &w.answer.Contacts[i]
		c.Exposed = setOf(exposed[uint16(c.Number)])
		if c.AgeClass == person.AgeMinor && c.Guardian != 0 {
			w.wanted = append(w.wanted, uint32(c.Guardian))
		}
	}
	if err := w.findGuardians(ctx); err != nil {
		return 0, err
	}
	return n, w.visit(Walked{w.answer.Contacts, w.guardians, len(w.answer.Erased)})
}

func (w *walker) findGuardians(ctx context.Context) error {
	clear(w.guardians)
	if len(w.wanted) == 0 {
		return nil
	}
	slices.Sort(w.wanted)
	w.wanted = slices.Compact(w.wanted)
	return w.p.each(ctx, w.wanted, func(number uint32, record string) error {
		c := &person.Contact{Number: person.Number(number)}
		if err := contact(c, record); err != nil {
			return err
		}
		w.guardians[c.Number] = c
		return nil
	})
}

// Generation returns the state of an organisation's inventory; it grows with
// every delivery and erasure.
func (s *Store) Generation(ctx context.Context, org string) (int64, error) {
	h, err := s.readHead(ctx, s.db, org)
	return h.generation, err
}
