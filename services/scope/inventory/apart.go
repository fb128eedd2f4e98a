package inventory

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"tocsin.dev/pkg/person"
)

// pair is two numbers, the lower first.
type pair struct{ low, high uint32 }

func pairOf(a, b uint32) pair { return pair{min(a, b), max(a, b)} }

func readApart(ctx context.Context, q querier, h head) (map[pair]bool, error) {
	rows, err := q.QueryContext(ctx, `SELECT number, other FROM apart WHERE inventory = $1`, h.id)
	if err != nil {
		return nil, fmt.Errorf("read who was told apart in %s: %w", h.org, err)
	}
	apart := map[pair]bool{}
	return apart, scanAll(rows, func() error {
		var a, b uint32
		err := rows.Scan(&a, &b)
		apart[pairOf(a, b)] = true
		return err
	})
}

// TellApart undoes a joining: number, a duplicate so far, is a person of its own
// again, in every list sealed from then on, and no import joins it to the same
// person once more. Lists sealed before stay as they are.
func (s *Store) TellApart(ctx context.Context, org string, number person.Number, actor, reason string) error {
	if strings.TrimSpace(reason) == "" {
		return fmt.Errorf("%w: say why the two are told apart", ErrAsked)
	}
	token, err := s.occupy(ctx, org, "telling people apart")
	if err != nil {
		return err
	}
	defer s.release(ctx, org, token)
	h, err := s.readHead(ctx, s.db, org)
	if err != nil {
		return err
	}
	t, err := s.tree(ctx, h)
	if err != nil {
		return err
	}
	err = s.db.Tx(ctx, func(tx *sql.Tx) error {
		if err := s.renew(ctx, tx, org, token); err != nil {
			return err
		}
		before, err := readAliases(ctx, tx, h)
		if err != nil {
			return err
		}
		was, joined := before.pairs[uint32(number)]
		if !joined {
			return fmt.Errorf("%w: person %d is joined with nobody older", ErrAsked, number)
		}
		after := aliases{pairs: map[uint32]alias{}}
		for n, a := range before.pairs {
			if n != uint32(number) {
				after.pairs[n] = a
			}
		}
		put := func(ctx context.Context, r segmentRow) error { return replaceSegment(ctx, tx, h, r) }
		if err := putAliases(ctx, before, after, put); err != nil {
			return err
		}
		if err := s.dropSupplement(ctx, tx, h, t, was.target, uint32(number)); err != nil {
			return err
		}
		if err := dropUnfinished(ctx, tx, h); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO apart (inventory, number, other) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
			h.id, int64(was.target), int64(number)); err != nil {
			return err
		}
		return insertAudit(ctx, tx, h.id, s.cfg.Now(), audited{actor: actor, act: "tell apart", people: 2, detail: fmt.Sprintf("persons %d and %d: %s", was.target, number, reason)})
	})
	if err != nil {
		return fmt.Errorf("tell people of %s apart: %w", org, err)
	}
	return nil
}

// dropSupplement takes the record of a duplicate out of the record of the
// person it was joined with, under a fresh key.
func (s *Store) dropSupplement(ctx context.Context, tx *sql.Tx, h head, t *tree, target, number uint32) error {
	chunk, first, slot := target>>16, target/pageSize*pageSize, target%pageSize
	sealed, err := readSegment(ctx, tx, h, segTable, 0, int64(chunk))
	if err != nil || sealed == nil {
		return err
	}
	table, err := t.openTable(chunk, sealed)
	if err != nil {
		return err
	}
	var records recordPage
	var keys personKeys
	if err := s.openPage(ctx, tx, h, table, first, &records, &keys); err != nil {
		return err
	}
	if records[slot] == nil || isZero(&keys[slot]) {
		return nil
	}
	plain, err := openOnce(nil, &keys[slot], records[slot], numberContext(nil, target))
	if err != nil {
		return fmt.Errorf("record of person %d does not open with its key", target)
	}
	var who Person
	if err := who.decode(string(plain)); err != nil {
		return fmt.Errorf("person %d: %w", target, err)
	}
	who.supplements = slices.DeleteFunc(who.supplements, func(x supplement) bool { return x.number == number })
	pageKey := &table[first%chunkSize/pageSize]
	if err := randomKeys(s.cfg.Rand, &keys[slot], pageKey); err != nil {
		return err
	}
	records[slot] = sealOnce(nil, &keys[slot], who.encode(nil), numberContext(nil, target))
	body, err := t.sealTable(s.cfg.Rand, chunk, table)
	if err != nil {
		return err
	}
	for _, r := range []segmentRow{
		{kind: segRecords, c: int64(first / pageSize), body: records.append(nil)},
		{kind: segKeys, c: int64(first / pageSize), body: sealKeyPage(nil, pageKey, first, &keys)},
		{kind: segTable, c: int64(chunk), body: body},
	} {
		if err := replaceSegment(ctx, tx, h, r); err != nil {
			return err
		}
	}
	return nil
}
