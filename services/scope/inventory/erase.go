package inventory

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"tocsin.dev/pkg/category"
	"tocsin.dev/pkg/person"
)

func setOf(mask uint32) category.Set { return category.Set(mask) }

// Erase destroys the keys of people for good: their records can be read by
// nobody any more, neither here nor from a copy of the store made before, once
// the old root key is destroyed, which this does at the end. Their numbers stay
// as tombstones. People erased before are left alone; duplicates go with the
// person. It returns how many people were erased.
func (s *Store) Erase(ctx context.Context, org string, numbers []person.Number, actor, reason string) (int, error) {
	token, err := s.occupy(ctx, org, "erasure")
	if err != nil {
		return 0, err
	}
	defer s.release(ctx, org, token)
	h, err := s.readHead(ctx, s.db, org)
	if err != nil {
		return 0, err
	}
	e := &erasure{store: s, head: h, token: token, reason: reason, actor: actor}
	if err := e.collect(ctx, numbers); err != nil {
		return 0, fmt.Errorf("erase people of %s: %w", org, err)
	}
	if len(e.numbers) == 0 {
		return 0, nil
	}
	if err := e.run(ctx); err != nil {
		return 0, fmt.Errorf("erase people of %s: %w", org, err)
	}
	return e.people, s.destroyOld(ctx, org, h.keyVersion)
}

// RotateKeys replaces the table key and the root key version without touching
// records, and destroys the old version. Readers notice nothing.
func (s *Store) RotateKeys(ctx context.Context, org, actor string) error {
	token, err := s.occupy(ctx, org, "key rotation")
	if err != nil {
		return err
	}
	defer s.release(ctx, org, token)
	h, err := s.readHead(ctx, s.db, org)
	if err != nil {
		return err
	}
	e := &erasure{store: s, head: h, token: token, actor: actor, reason: "key rotation"}
	if err := e.run(ctx); err != nil {
		return fmt.Errorf("rotate keys of %s: %w", org, err)
	}
	return s.destroyOld(ctx, org, h.keyVersion)
}

type erasure struct {
	store   *Store
	head    head
	token   string
	actor   string
	reason  string
	numbers []uint32 // ascending, duplicates of people included
	people  int
	mailbox map[uint32][]byte // hash and tags of the mailbox, by number
}

// collect finds the numbers to erase, each with its duplicates, and what the
// tombstone must remember: the keyed hash of the mailbox.
func (e *erasure) collect(ctx context.Context, asked []person.Number) error {
	return e.store.read(ctx, func(tx *sql.Tx) error {
		p, err := e.store.people(ctx, tx, e.head.org)
		if err != nil {
			return err
		}
		seen := map[uint32]bool{}
		for _, n := range asked {
			if n == 0 || uint32(n) > e.head.people {
				return fmt.Errorf("there is no person %d", n)
			}
			number, err := p.standsFor(ctx, uint32(n))
			if err != nil {
				return err
			}
			if seen[number] || p.tombs.has(number) {
				continue
			}
			seen[number] = true
			e.people++
			e.numbers = append(e.numbers, number)
			others, err := p.duplicates(ctx, number)
			if err != nil {
				return err
			}
			for _, o := range others {
				e.numbers = append(e.numbers, uint32(o.Number))
			}
		}
		slices.Sort(e.numbers)
		return e.remember(ctx, p)
	})
}

func (e *erasure) remember(ctx context.Context, p *people) error {
	e.mailbox = map[uint32][]byte{}
	h := p.tree.blind.hasher()
	var who Person
	return p.each(ctx, e.numbers, func(number uint32, record string) error {
		if err := who.decode(record); err != nil {
			return err
		}
		e.mailbox[number] = mailboxTag(h, &who)
		return nil
	})
}

// mailboxTag is the hash of a mailbox with the tag of the name, or nil.
func mailboxTag(h *hasher, p *Person) []byte {
	name := normalName(nil, p.Given, p.Family)
	if p.Email == "" || len(name) == 0 {
		return nil
	}
	mailbox := h.hash(byEmail, normalEmail(nil, p.Email))
	full := h.hash(byName, name)
	return binary.BigEndian.AppendUint32(mailbox[:], max(1, binary.BigEndian.Uint32(full[8:])))
}

// run writes pages without the erased keys, and the whole page-key table under
// a new table key and root version, in one transaction.
func (e *erasure) run(ctx context.Context) error {
	s := e.store
	old, err := s.tree(ctx, e.head)
	if err != nil {
		return err
	}
	next, err := newVersion(ctx, s.cfg.Root, s.cfg.Rand, e.head.org, e.head.keyVersion+1, old.secret)
	if err != nil {
		return err
	}
	return s.db.Tx(ctx, func(tx *sql.Tx) error {
		if err := s.renew(ctx, tx, e.head.org, e.token); err != nil {
			return err
		}
		// What an unfinished delivery wrote holds the keys of before.
		if err := dropUnfinished(ctx, tx, e.head); err != nil {
			return err
		}
		edit := prepare(tx)
		err := e.resealTables(ctx, edit, old, next)
		if err == nil {
			err = e.setTombstones(ctx, edit)
		}
		if err := errors.Join(err, edit.close()); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE inventory SET key_version = $1, keys = $2, secret = $3, destroy = $4 WHERE id = $5`,
			int64(next.version), next.sealedTableKey, next.sealedSecret, int64(old.version), e.head.id); err != nil {
			return err
		}
		return insertAudit(ctx, tx, e.head.id, s.cfg.Now(), audited{actor: e.actor, act: "erase", people: int64(e.people), detail: e.reason})
	})
}

func (e *erasure) setTombstones(ctx context.Context, tx editor) error {
	at := e.store.cfg.Now().UnixMilli()
	for _, number := range e.numbers {
		if _, err := tx.ExecContext(ctx, `INSERT INTO tombstone (inventory, number, at, reason, identity, email) VALUES ($1, $2, $3, $4, $5, $6)`,
			e.head.id, int64(number), at, e.reason, []byte{}, emptyNotNil(e.mailbox[number])); err != nil {
			return err
		}
	}
	return nil
}

func (e *erasure) resealTables(ctx context.Context, tx editor, old, next *tree) error {
	rest := e.numbers
	for c := uint32(0); c <= e.head.people>>16; c++ {
		sealed, err := readSegment(ctx, tx, e.head, segTable, 0, int64(c))
		if err != nil {
			return err
		}
		n := 0
		for n < len(rest) && rest[n]>>16 == c {
			n++
		}
		if sealed == nil {
			rest = rest[n:]
			continue
		}
		table, err := old.openTable(c, sealed)
		if err != nil {
			return err
		}
		for here := rest[:n]; len(here) > 0; {
			k := 1
			for k < len(here) && here[k]/pageSize == here[0]/pageSize {
				k++
			}
			if err := e.dropKeys(ctx, tx, table, here[:k]); err != nil {
				return err
			}
			here = here[k:]
		}
		rest = rest[n:]
		body, err := next.sealTable(e.store.cfg.Rand, c, table)
		if err != nil {
			return err
		}
		if err := replaceSegment(ctx, tx, e.head, segmentRow{kind: segTable, c: int64(c), body: body}); err != nil {
			return err
		}
	}
	return nil
}

// dropKeys takes the keys of numbers of one page out of it.
func (e *erasure) dropKeys(ctx context.Context, tx editor, table *pageKeys, numbers []uint32) error {
	page := numbers[0] / pageSize
	key := &table[page%pages]
	if isZero(key) {
		return nil
	}
	body, err := readSegment(ctx, tx, e.head, segKeys, 0, int64(page))
	if err != nil {
		return err
	}
	var keys personKeys
	if err := openKeyPage(key, page*pageSize, body, &keys); err != nil {
		return err
	}
	for _, n := range numbers {
		keys[n%pageSize] = [keySize]byte{}
	}
	if err := randomKeys(e.store.cfg.Rand, key); err != nil {
		return err
	}
	return replaceSegment(ctx, tx, e.head, segmentRow{kind: segKeys, c: int64(page), body: sealKeyPage(nil, key, page*pageSize, &keys)})
}

// replaceSegment overwrites the visible segment and removes older ones.
func replaceSegment(ctx context.Context, tx editor, h head, r segmentRow) error {
	if _, err := tx.ExecContext(ctx, `UPDATE segment SET body = $1, shelf = 0, at = 0, size = 0 WHERE inventory = $2 AND kind = $3 AND a = $4 AND c = $5 AND generation =
		(SELECT MAX(generation) FROM segment WHERE inventory = $2 AND kind = $3 AND a = $4 AND c = $5 AND generation <= $6)`,
		r.body, h.id, r.kind, r.a, r.c, h.generation); err != nil {
		return err
	}
	return nil
}

// destroyOld destroys a root key version that nothing needs any more.
func (s *Store) destroyOld(ctx context.Context, org string, version uint32) error {
	if err := s.cfg.Root.Destroy(ctx, org, version); err != nil {
		return fmt.Errorf("destroy root key version %d of %s; it will be tried again at the next start: %w", version, org, err)
	}
	_, err := s.db.ExecContext(ctx, `UPDATE inventory SET destroy = 0 WHERE org = $1 AND destroy = $2`, org, int64(version))
	if err != nil {
		return fmt.Errorf("destroy root key of %s: %w", org, err)
	}
	return nil
}

// finishDestroying destroys what an erasure that was cut off had still to.
func (s *Store) finishDestroying(ctx context.Context) error {
	rows, err := s.db.QueryContext(ctx, `SELECT org, destroy FROM inventory WHERE destroy <> 0`)
	if err != nil {
		return err
	}
	pending := map[string]uint32{}
	if err := scanAll(rows, func() error {
		var org string
		var version uint32
		err := rows.Scan(&org, &version)
		pending[org] = version
		return err
	}); err != nil {
		return err
	}
	for org, version := range pending {
		if err := s.destroyOld(ctx, org, version); err != nil {
			return err
		}
	}
	return nil
}
