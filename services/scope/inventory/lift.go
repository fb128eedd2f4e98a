package inventory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"tocsin.dev/pkg/person"
)

// Lift takes away the tombstones of people, so that an import takes them in
// again under their old numbers: the erasure was a mistake, or they became
// customers anew. What was erased stays unreadable. Until a delivery brings
// them, they count with nothing known about them but their records in datasets.
// It returns how many people were lifted; those without a tombstone do not count.
func (s *Store) Lift(ctx context.Context, org string, numbers []person.Number, actor, reason string) (int, error) {
	if reason == "" || len(numbers) == 0 {
		return 0, errors.New("lift tombstones: name the people and say why")
	}
	token, err := s.occupy(ctx, org, "lifting of tombstones")
	if err != nil {
		return 0, err
	}
	defer s.release(ctx, org, token)
	h, err := s.readHead(ctx, s.db, org)
	if err != nil {
		return 0, err
	}
	l := &lifting{store: s, head: h}
	if err := l.collect(ctx, numbers); err != nil {
		return 0, fmt.Errorf("lift tombstones of %s: %w", org, err)
	}
	if len(l.numbers) == 0 {
		return 0, nil
	}
	err = s.db.Tx(ctx, func(tx *sql.Tx) error {
		if err := s.renew(ctx, tx, org, token); err != nil {
			return err
		}
		if err := l.run(ctx, tx); err != nil {
			return err
		}
		return insertAudit(ctx, tx, h.id, s.cfg.Now(), audited{actor: actor, act: "lift", people: int64(l.people), detail: reason})
	})
	if err != nil {
		return 0, fmt.Errorf("lift tombstones of %s: %w", org, err)
	}
	return l.people, nil
}

type lifting struct {
	store   *Store
	head    head
	numbers []uint32 // ascending, duplicates of people included
	people  int
}

// collect finds the tombstones of the people and of their duplicates.
func (l *lifting) collect(ctx context.Context, asked []person.Number) error {
	return l.store.read(ctx, func(tx *sql.Tx) error {
		p, err := l.store.people(ctx, tx, l.head.org)
		if err != nil {
			return err
		}
		seen := map[uint32]bool{}
		for _, n := range asked {
			number, err := p.standsFor(ctx, uint32(n))
			if err != nil {
				return err
			}
			if seen[number] || !p.tombs.has(number) {
				continue
			}
			seen[number] = true
			l.people++
			l.numbers = append(l.numbers, number)
			others, err := p.duplicates(ctx, number)
			if err != nil {
				return err
			}
			for _, o := range others {
				l.numbers = append(l.numbers, uint32(o.Number))
			}
		}
		slices.Sort(l.numbers)
		return nil
	})
}

func (l *lifting) run(ctx context.Context, tx *sql.Tx) error {
	// An unfinished delivery left these people out.
	if err := dropUnfinished(ctx, tx, l.head); err != nil {
		return err
	}
	// The same files again must not pass for taken in.
	if _, err := tx.ExecContext(ctx, `UPDATE delivery SET generation = 0 WHERE inventory = $1`, l.head.id); err != nil {
		return err
	}
	var attrs attributeColumns
	for rest := l.numbers; len(rest) > 0; {
		chunk, n := rest[0]>>16, 1
		for n < len(rest) && rest[n]>>16 == chunk {
			n++
		}
		body, err := readSegment(ctx, tx, l.head, segAttributes, 0, int64(chunk))
		if err != nil {
			return err
		}
		if err := attrs.parse(body); err != nil {
			return segmentError(segAttributes, 0, int64(chunk), err)
		}
		for _, number := range rest[:n] {
			// What stood there describes a record that nobody can open any more.
			attrs.set(uint16(number), attribute{})
			if _, err := tx.ExecContext(ctx, `DELETE FROM tombstone WHERE inventory = $1 AND number = $2`, l.head.id, int64(number)); err != nil {
				return err
			}
		}
		if err := replaceSegment(ctx, tx, l.head, segmentRow{kind: segAttributes, c: int64(chunk), body: attrs.build(nil)}); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}
