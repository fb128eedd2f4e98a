package inventory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/RoaringBitmap/roaring/v2"

	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/person"
)

// ErrNotOnList means that somebody asked for a person who is not on the list.
var ErrNotOnList = errors.New("not a person of the sealed list")

// answerBytes bounds the records in one answer, so that it fits one message of
// the bus (1 MB) in its packed form.
const answerBytes = 600 << 10

// people reads records of people in one snapshot.
type people struct {
	store *Store
	q     querier
	head  head
	tree  *tree
	tombs *tombstones
	pages map[uint32]*openedPage
	table map[uint32]*pageKeys
	links map[linkKey][]byte
	plain []byte
}

type openedPage struct {
	records recordPage
	keys    personKeys
}

func (s *Store) people(ctx context.Context, q querier, org string) (*people, error) {
	h, err := s.readHead(ctx, q, org)
	if err != nil {
		return nil, err
	}
	t, err := s.tree(ctx, h)
	if err != nil {
		return nil, err
	}
	tombs, err := readTombstones(ctx, q, h)
	if err != nil {
		return nil, err
	}
	return &people{
		store: s, q: q, head: h, tree: t, tombs: tombs, pages: map[uint32]*openedPage{}, table: map[uint32]*pageKeys{},
		links: map[linkKey][]byte{},
	}, nil
}

func (p *people) tableOf(ctx context.Context, chunk uint32) (*pageKeys, error) {
	if t := p.table[chunk]; t != nil {
		return t, nil
	}
	sealed, err := readSegment(ctx, p.q, p.head, segTable, 0, int64(chunk))
	if err != nil {
		return nil, err
	}
	t := new(pageKeys)
	if sealed != nil {
		if t, err = p.tree.openTable(chunk, sealed); err != nil {
			return nil, err
		}
	}
	p.table[chunk] = t
	return t, nil
}

// fetch opens the pages of the numbers, which ascend, with as few reads as it can.
func (p *people) fetch(ctx context.Context, numbers []uint32) error {
	clear(p.pages)
	for len(numbers) > 0 {
		first, n := numbers[0]/pageSize, 1
		last := first
		// A run of pages of one chunk without large holes is read at once.
		for n < len(numbers) && numbers[n]/pageSize <= last+2 && numbers[n]>>16 == numbers[0]>>16 {
			last = numbers[n] / pageSize
			n++
		}
		if err := p.fetchRun(ctx, first, last); err != nil {
			return err
		}
		numbers = numbers[n:]
	}
	return nil
}

func (p *people) fetchRun(ctx context.Context, first, last uint32) error {
	table, err := p.tableOf(ctx, first/pages)
	if err != nil {
		return err
	}
	open := func(c uint32, page *openedPage, body []byte) error {
		return openKeyPage(&table[c%pages], c*pageSize, body, &page.keys)
	}
	// Keys on a shelf are read with the records that follow them there.
	onShelf := map[int64]place{}
	err = placedSegments(ctx, p.q, p.head, segKeys, 0, int64(first), int64(last)+1, func(c int64, body []byte, at place) error {
		page := new(openedPage)
		p.pages[uint32(c)] = page
		if at.shelf != 0 {
			onShelf[c] = at
			return nil
		}
		return open(uint32(c), page, body)
	})
	if err != nil {
		return err
	}
	return placedSegments(ctx, p.q, p.head, segRecords, 0, int64(first), int64(last)+1, func(c int64, body []byte, at place) error {
		page := p.pages[uint32(c)]
		if page == nil {
			return nil
		}
		if keysAt := onShelf[c]; keysAt.shelf != 0 {
			keys, err := p.head.bodies.read(p.head.id, keysAt)
			if err := errors.Join(err, open(uint32(c), page, keys)); err != nil {
				return err
			}
		}
		if at.shelf != 0 {
			if body, err = p.head.bodies.read(p.head.id, at); err != nil {
				return err
			}
		}
		return page.records.parse(body)
	})
}

// record returns the opened record of a person whose page was fetched, or ""
// for a number that is nobody or erased.
func (p *people) record(number uint32) (string, error) {
	page, slot := p.pages[number/pageSize], number%pageSize
	if page == nil || len(page.records[slot]) == 0 || isZero(&page.keys[slot]) || p.tombs.has(number) {
		return "", nil
	}
	var err error
	p.plain, err = openOnce(p.plain[:0], &page.keys[slot], page.records[slot], numberContext(nil, number))
	if err != nil {
		return "", fmt.Errorf("record of person %d does not open with its key", number)
	}
	return string(p.plain), nil
}

// contacts fills in the contacts of numbers, which ascend, and returns how many
// it answered before the answer grew too large.
func (p *people) contacts(ctx context.Context, numbers []uint32, out *event.ContactsAnswer) (int, error) {
	if err := p.fetch(ctx, numbers); err != nil {
		return 0, err
	}
	size := 0
	n := 0
	for ; n < len(numbers) && size < answerBytes; n++ {
		number := numbers[n]
		if p.tombs.has(number) {
			out.Erased = append(out.Erased, person.Number(number))
			continue
		}
		record, err := p.record(number)
		if err != nil {
			return n, err
		}
		size += len(record)
		c := person.Contact{Number: person.Number(number)}
		if record != "" {
			if err := contact(&c, record); err != nil {
				return n, fmt.Errorf("person %d: %w", number, err)
			}
		}
		out.Contacts = append(out.Contacts, c)
	}
	return n, nil
}

// each calls f with the opened record of every number, which ascend, that is
// somebody and not erased.
func (p *people) each(ctx context.Context, numbers []uint32, f func(number uint32, record string) error) error {
	for batch := range slices.Chunk(numbers, 1000) {
		if err := p.fetchScattered(ctx, batch); err != nil {
			return err
		}
		for _, number := range batch {
			record, err := p.record(number)
			if err != nil {
				return err
			}
			if record == "" {
				continue
			}
			if err := f(number, record); err != nil {
				return fmt.Errorf("person %d: %w", number, err)
			}
		}
	}
	return nil
}

// fetchScattered opens the pages of numbers, which ascend, that lie far apart.
func (p *people) fetchScattered(ctx context.Context, numbers []uint32) error {
	clear(p.pages)
	var at []uint32
	for _, n := range numbers {
		if page := n / pageSize; len(at) == 0 || at[len(at)-1] != page {
			at = append(at, page)
		}
	}
	for len(at) > 0 {
		n := min(len(at), 128)
		if err := p.fetchPages(ctx, at[:n]); err != nil {
			return err
		}
		at = at[n:]
	}
	return nil
}

// fetchPages opens pages with one read.
func (p *people) fetchPages(ctx context.Context, at []uint32) error {
	args := []any{p.head.id, p.head.generation}
	marks := make([]byte, 0, 5*len(at))
	for i, page := range at {
		args = append(args, int64(page))
		marks = strconv.AppendInt(append(marks, ", $"...), int64(i+3), 10)
		// Before the rows are open: PostgreSQL answers one question at a time.
		if _, err := p.tableOf(ctx, page/pages); err != nil {
			return err
		}
	}
	rows, err := p.q.QueryContext(ctx, `SELECT kind, c, body, shelf, at, size FROM segment WHERE inventory = $1 AND kind IN (2, 3) AND a = 0 AND generation <= $2
		AND c IN (`+string(marks[2:])+`) ORDER BY c, kind DESC, generation`, args...)
	if err != nil {
		return segmentError(segKeys, 0, int64(at[0]), err)
	}
	return scanAll(rows, func() error {
		var kind, c int64
		var body []byte
		var at place
		if err := rows.Scan(&kind, &c, &body, &at.shelf, &at.at, &at.size); err != nil {
			return err
		}
		if at.shelf != 0 {
			if body, err = p.head.bodies.read(p.head.id, at); err != nil {
				return err
			}
		}
		page := p.pages[uint32(c)]
		if page == nil {
			page = new(openedPage)
			p.pages[uint32(c)] = page
		}
		if kind == segRecords {
			return page.records.parse(body)
		}
		return openKeyPage(&p.table[uint32(c)/pages][c%pages], uint32(c)*pageSize, body, &page.keys)
	})
}

// Contacts answers a question for contact records of a sealed revision and
// writes it to the audit. It returns ErrNotSealed if the revision was never
// sealed for the case and ErrNotOnList if a number is not on it.
func (s *Store) Contacts(ctx context.Context, q event.ContactsQuestion) (event.ContactsAnswer, error) {
	var answer event.ContactsAnswer
	whole, err := s.list(ctx, q.Org, q.Case, q.Revision)
	if err != nil {
		return answer, err
	}
	l, err := whole.of(q.Controller)
	if err != nil {
		return answer, fmt.Errorf("revision %d of case %s/%s: %w", q.Revision, q.Org, q.Case, err)
	}
	on := l.union
	if q.Earlier {
		if on, err = s.everListed(ctx, q, l); err != nil {
			return answer, err
		}
	}
	numbers, err := l.asked(q, on)
	if err != nil {
		return answer, err
	}
	answer.Next = q.From
	if len(q.Numbers) > 0 {
		answer.Next = 0
	}
	if len(numbers) == 0 {
		return answer, nil
	}
	err = s.read(ctx, func(tx *sql.Tx) error {
		p, err := s.people(ctx, tx, q.Org)
		if err != nil {
			return err
		}
		if q.Guardians {
			if err := p.guards(ctx, numbers, on); err != nil {
				return err
			}
		}
		answer.Contacts = make([]person.Contact, 0, len(numbers))
		n, err := p.contacts(ctx, numbers, &answer)
		answer.Next += int64(n)
		if err != nil {
			return err
		}
		for _, gone := range answer.Erased {
			answer.ErasedExposed = append(answer.ErasedExposed, l.exposedOf(uint32(gone)))
		}
		return p.exposed(ctx, l, answer.Contacts, q.Earlier)
	})
	if err != nil {
		return event.ContactsAnswer{}, fmt.Errorf("contacts of case %s/%s: %w", q.Org, q.Case, err)
	}
	// Told before it is handed out: an answer without its audit must not exist.
	if err := s.audit(ctx, q.Org, told(q, answer)); err != nil {
		return event.ContactsAnswer{}, err
	}
	return answer, nil
}

// everListed returns everybody who is on a list or was on an earlier one of the case.
func (s *Store) everListed(ctx context.Context, q event.ContactsQuestion, l *list) (*roaring.Bitmap, error) {
	all := l.union.Clone()
	for revision := q.Revision - 1; revision > 0; revision-- {
		earlier, err := s.list(ctx, q.Org, q.Case, revision)
		if err != nil {
			return nil, err
		}
		all.Or(earlier.union)
	}
	return all, nil
}

// exposed fills in what a list says was exposed of the contacts. Of people of
// earlier lists, one who has been found to be the same person as another since
// counts as that other.
func (p *people) exposed(ctx context.Context, l *list, contacts []person.Contact, earlier bool) error {
	for i := range contacts {
		c := &contacts[i]
		number := uint32(c.Number)
		if earlier && !l.union.Contains(number) {
			same, err := p.standsFor(ctx, number)
			if err != nil {
				return err
			}
			number = same
		}
		c.Exposed = l.exposedOf(number)
	}
	return nil
}

// told is the audit of an answer: to the sender, or to a person who looks at
// what somebody would be sent.
func told(q event.ContactsQuestion, a event.ContactsAnswer) audited {
	if q.Asker != nil && len(q.Numbers) > 0 {
		return audited{actor: q.Asker.ID + " (" + q.Asker.Role + ")", act: "preview", caseID: q.Case, people: int64(len(a.Contacts)),
			detail: fmt.Sprintf("revision %d, person %d: %s", q.Revision, q.Numbers[0], clip(q.Reason))}
	}
	return audited{actor: "service notice", act: "contacts", caseID: q.Case, people: int64(len(a.Contacts)),
		detail: fmt.Sprintf("revision %d%s, order %s, from %d to %d", q.Revision, onBehalf(q.Controller), clip(q.Order), q.From, a.Next)}
}

// onBehalf names a controller for the audit.
func onBehalf(controller *string) string {
	switch {
	case controller == nil:
		return ""
	case *controller == "":
		return ", own data"
	}
	return ", controller " + clip(*controller)
}

// asked returns the numbers a question is about, ascending, after checking that
// they may be asked for: on is who may be asked for by number.
func (l *list) asked(q event.ContactsQuestion, on *roaring.Bitmap) ([]uint32, error) {
	if len(q.Numbers) == 0 {
		people := int64(l.union.GetCardinality())
		if q.From < 0 || q.To < q.From || q.To-q.From > event.MaxContacts {
			return nil, fmt.Errorf("ask for 0 to %d places of the list, not for %d to %d", event.MaxContacts, q.From, q.To)
		}
		to := min(q.To, people)
		if q.From >= to {
			return nil, nil
		}
		first, err := l.union.Select(uint32(q.From))
		if err != nil {
			return nil, fmt.Errorf("place %d of the list: %w", q.From, err)
		}
		it := l.union.ManyIterator()
		if adv, ok := it.(interface{ AdvanceIfNeeded(uint32) }); ok {
			adv.AdvanceIfNeeded(first)
			buf := make([]uint32, to-q.From)
			return buf[:it.NextMany(buf)], nil
		}
		return l.slow(first, int(to-q.From)), nil
	}
	if len(q.Numbers) > event.MaxContacts {
		return nil, fmt.Errorf("ask for at most %d people at once, not for %d", event.MaxContacts, len(q.Numbers))
	}
	numbers := make([]uint32, len(q.Numbers))
	for i, n := range q.Numbers {
		numbers[i] = uint32(n)
		if !q.Guardians && !on.Contains(uint32(n)) {
			return nil, fmt.Errorf("%w: number %d, revision %d of case %s/%s", ErrNotOnList, n, q.Revision, q.Org, q.Case)
		}
	}
	if !slices.IsSorted(numbers) {
		return nil, errors.New("ask for person numbers in ascending order")
	}
	return numbers, nil
}

// slow walks from a number on, n people.
func (l *list) slow(first uint32, n int) []uint32 {
	it := l.union.Iterator()
	it.AdvanceIfNeeded(first)
	out := make([]uint32, 0, n)
	for it.HasNext() && len(out) < n {
		out = append(out, it.Next())
	}
	return out
}

// Stream calls visit with all contacts of a sealed revision in order of number,
// some thousands at a time; the slice is used again. With a controller it is
// that controller's list and shows only what of its data was exposed; "" is the
// organisation's own. It is written to the audit as one act of the actor.
func (s *Store) Stream(ctx context.Context, org, caseID string, revision int, controller *string, actor string, visit func([]person.Contact) error) error {
	l, err := s.list(ctx, org, caseID, revision)
	if err != nil {
		return err
	}
	if l, err = l.of(controller); err != nil {
		return fmt.Errorf("revision %d of case %s/%s: %w", revision, org, caseID, err)
	}
	if err := s.audit(ctx, org, audited{actor: actor, act: "export", caseID: caseID, people: int64(l.union.GetCardinality()),
		detail: fmt.Sprintf("revision %d%s, all contacts", revision, onBehalf(controller))}); err != nil {
		return err
	}
	return s.read(ctx, func(tx *sql.Tx) error {
		p, err := s.people(ctx, tx, org)
		if err != nil {
			return err
		}
		defer p.head.bodies.readOn()()
		var answer event.ContactsAnswer
		return eachBatch(l, func(numbers []uint32, exposed *[chunkSize]uint32) error {
			for len(numbers) > 0 {
				answer.Contacts, answer.Erased = answer.Contacts[:0], answer.Erased[:0]
				n, err := p.contacts(ctx, numbers, &answer)
				if err != nil {
					return err
				}
				for i := range answer.Contacts {
					c := &answer.Contacts[i]
					c.Exposed = setOf(exposed[uint16(c.Number)])
				}
				if err := visit(answer.Contacts); err != nil {
					return err
				}
				numbers = numbers[n:]
			}
			return ctx.Err()
		})
	})
}

// eachBatch calls f with up to 4,096 numbers of one chunk and what is exposed
// of the people of that chunk.
func eachBatch(l *list, f func(numbers []uint32, exposed *[chunkSize]uint32) error) error {
	var scratch [chunkSize]uint32
	var failed error
	batch := make([]uint32, 0, 4096)
	l.each(&scratch, func(chunk uint32, exposed *[chunkSize]uint32) {
		for i := 0; i < chunkSize && failed == nil; i++ {
			if exposed[i] != 0 {
				batch = append(batch, chunk<<16|uint32(i))
			}
			if len(batch) == cap(batch) || i == chunkSize-1 && len(batch) > 0 {
				failed = f(batch, exposed)
				batch = batch[:0]
			}
		}
	})
	return failed
}
