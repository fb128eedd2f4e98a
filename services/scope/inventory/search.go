package inventory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/person"
)

// Errors of questions about people.
var (
	// ErrAsked means that a question is incomplete or malformed.
	ErrAsked = errors.New("the question cannot be answered")
	// ErrNotAllowed means that the asker may not have the answer.
	ErrNotAllowed = errors.New("not allowed")
)

// maxFound bounds one page of a search.
const maxFound = 50

// FindPerson finds people by an email address, a phone number, a full name or
// the organisation's own number, masked; or shows one person by number, and in
// full when asked to reveal with a reason. Every question is audited before it
// is answered; what was looked for is not written down.
func (s *Store) FindPerson(ctx context.Context, q event.PersonQuestion) (event.PersonAnswer, error) {
	act := "search"
	switch {
	case q.Number != 0 && q.Reveal:
		act = "reveal"
		if strings.TrimSpace(q.Reason) == "" {
			return event.PersonAnswer{}, fmt.Errorf("%w: say why the person is to be revealed", ErrAsked)
		}
	case q.Number != 0:
		act = "show"
	case q.Reveal:
		return event.PersonAnswer{}, fmt.Errorf("%w: reveal one person by number", ErrAsked)
	case q.Find == "" && q.Ref == "" || len(q.Find) > 400 || len(q.Ref) > 400:
		return event.PersonAnswer{}, fmt.Errorf("%w: give an email address, a phone number, a full name or a person number", ErrAsked)
	}
	detail := q.Reason
	if q.Number != 0 {
		detail = fmt.Sprintf("person %d: %s", q.Number, q.Reason)
	}
	if err := s.audit(ctx, q.Org, audited{actor: q.Asker.ID + " (" + q.Asker.Role + ")", act: act, caseID: q.Case, people: 1, detail: detail}); err != nil {
		return event.PersonAnswer{}, err
	}
	answer := event.PersonAnswer{People: []event.PersonFound{}}
	err := s.read(ctx, func(tx *sql.Tx) error {
		p, err := s.people(ctx, tx, q.Org)
		if err != nil {
			return err
		}
		numbers, err := p.search(ctx, q)
		if err != nil {
			return err
		}
		shown, last := map[uint32]bool{}, uint32(0)
		for _, found := range numbers {
			n, err := p.standsFor(ctx, found)
			if err != nil {
				return err
			}
			if shown[n] {
				continue
			}
			if len(answer.People) == maxFound {
				answer.Next = person.Number(last)
				break
			}
			f, err := p.show(ctx, n, q.Reveal)
			if err != nil {
				return err
			}
			answer.People = append(answer.People, f)
			shown[n], last = true, found
		}
		if answer.Next == 0 && len(numbers) > 4*maxFound { // the rest was not looked up
			answer.Next = person.Number(numbers[len(numbers)-1])
		}
		return nil
	})
	if err != nil {
		return event.PersonAnswer{}, fmt.Errorf("find a person of %s: %w", q.Org, err)
	}
	return answer, nil
}

// search returns the numbers a question means, ascending, a page and a little
// more; the search kinds of the index are short, so their finds are held
// against the record.
func (p *people) search(ctx context.Context, q event.PersonQuestion) ([]uint32, error) {
	if q.Number != 0 {
		if uint32(q.Number) > p.head.people {
			return nil, fmt.Errorf("%w: there is no person %d", ErrAsked, q.Number)
		}
		return []uint32{uint32(q.Number)}, nil
	}
	h := p.tree.blind.hasher()
	look := func(k kindOfIndex, hash hash128, same func(*Person) bool) ([]uint32, error) {
		l := lookup{people: p, same: same, after: uint32(q.After)}
		return l.numbers(ctx, k, hash)
	}
	if q.Ref != "" {
		return look(byIdentity, h.hash(byIdentity, appendRef(nil, "", q.Ref)), nil)
	}
	find := strings.TrimSpace(q.Find)
	switch {
	case strings.Contains(find, "@"):
		key := normalEmail(nil, find)
		return look(byEmail, h.hash(byEmail, key), func(r *Person) bool {
			return slices.ContainsFunc(append(r.otherEmails, r.Email), func(e string) bool { return string(normalEmail(nil, e)) == string(key) })
		})
	case strings.HasPrefix(find, "+") || strings.HasPrefix(find, "00"):
		number := bare(find)
		return look(byPhone, h.hash(byPhone, []byte(number)), func(r *Person) bool {
			return r.Phone == number || slices.Contains(r.otherPhones, number)
		})
	}
	key := normalName(nil, find, "")
	return look(byName, h.hash(byName, key), func(r *Person) bool { return string(normalName(nil, r.Given, r.Family)) == string(key) })
}

// lookup holds the finds of an index against the records.
type lookup struct {
	*people
	// same reports whether a record is what was looked for; nil takes every find.
	same  func(*Person) bool
	after uint32
	who   Person
}

// numbers returns those beyond after, ascending, without the duplicates of
// people who are found themselves.
func (l *lookup) numbers(ctx context.Context, k kindOfIndex, hash hash128) ([]uint32, error) {
	entries, err := l.store.find(ctx, l.q, l.head, k, hash)
	if err != nil {
		return nil, err
	}
	found := map[uint32]bool{}
	for _, e := range entries {
		found[e.number] = true
	}
	var numbers []uint32
	for _, n := range slices.Sorted(maps.Keys(found)) {
		if n <= l.after || l.tombs.has(n) && k != byIdentity {
			continue
		}
		if len(numbers) > 4*maxFound { // enough for a page, whatever is joined
			break
		}
		is, err := l.is(ctx, n)
		if err != nil {
			return nil, err
		}
		oldest, err := l.standsFor(ctx, n)
		if err != nil {
			return nil, err
		}
		if is && oldest != n && found[oldest] {
			if is, err = l.is(ctx, oldest); err != nil {
				return nil, err
			}
			is = !is
		}
		if is {
			numbers = append(numbers, n)
		}
	}
	return numbers, nil
}

// is reports whether the person with the number is who was looked for.
func (l *lookup) is(ctx context.Context, number uint32) (bool, error) {
	if l.same == nil {
		return true, nil
	}
	if err := l.fetch(ctx, []uint32{number}); err != nil {
		return false, err
	}
	record, err := l.record(number)
	if err != nil || record == "" {
		return false, err
	}
	return l.who.decode(record) == nil && l.same(&l.who), nil
}

// show describes one person.
func (p *people) show(ctx context.Context, number uint32, reveal bool) (event.PersonFound, error) {
	f := event.PersonFound{Number: person.Number(number)}
	if p.tombs.has(number) {
		at := p.tombs.at[number]
		f.ErasedAt = &at
		return f, nil
	}
	var a event.ContactsAnswer
	if _, err := p.contacts(ctx, []uint32{number}, &a); err != nil {
		return f, err
	}
	c := a.Contacts[0]
	f.Masked = masked(&c)
	if reveal {
		f.Revealed = &c
	}
	var err error
	if f.Joined, err = p.duplicates(ctx, number); err != nil {
		return f, err
	}
	f.Datasets, err = p.datasets(ctx, number, f.Joined)
	return f, err
}

// datasets returns the keys of the datasets that hold a record of the person.
func (p *people) datasets(ctx context.Context, number uint32, joined []event.PersonJoined) ([]string, error) {
	all, err := readDatasets(ctx, p.q, p.head)
	if err != nil {
		return nil, err
	}
	numbers := []uint32{number}
	for _, j := range joined {
		numbers = append(numbers, uint32(j.Number))
	}
	var keys []string
	for _, d := range all {
		for _, n := range numbers {
			body, err := readSegment(ctx, p.q, p.head, segHoldings, d.id, int64(n>>16))
			if err != nil {
				return nil, err
			}
			if body == nil {
				continue
			}
			s, err := parseColumns(body)
			if err != nil {
				return nil, segmentError(segHoldings, d.id, int64(n>>16), err)
			}
			held := false
			s.each(func(h holding) { held = held || h.low == uint16(n) })
			if held {
				keys = append(keys, d.Key)
				break
			}
		}
	}
	return keys, nil
}

// masked shows enough of a contact to tell namesakes apart.
func masked(c *person.Contact) []string {
	var out []string
	if name := strings.TrimSpace(initial(c.GivenName.Reveal()) + " " + initial(c.FamilyName.Reveal())); name != "" {
		out = append(out, name)
	}
	if local, domain, ok := strings.Cut(c.Email.Reveal(), "@"); ok {
		out = append(out, initial(local)+"@"+initial(domain))
	}
	if p := c.Phone.Reveal(); len(p) > 6 {
		out = append(out, p[:3]+"…"+p[len(p)-2:])
	}
	if c.Jurisdiction != "" {
		out = append(out, c.Jurisdiction)
	}
	return out
}

func initial(s string) string {
	if s == "" {
		return ""
	}
	r, _ := utf8.DecodeRuneInString(s)
	return string(r) + "…"
}
