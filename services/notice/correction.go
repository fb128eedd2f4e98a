package notice

import (
	"context"
	"fmt"
	"slices"

	"tocsin.dev/pkg/category"
	"tocsin.dev/pkg/person"
)

// A correction goes to whoever was told in error: of categories that the present
// list does not show any more, or of anything although the list does not hold
// the person any more. So it is not the list that says who is looked at but the
// ledger, and what its letters call exposed is what was told in error.
const correction = "correction"

// told is what people have been told of, net of what was put right since. Whoever
// is in it was told something, if only that it was an error.
type told map[person.Number]category.Set

// hear adds a notice of a kind; a person's notices come in the order of their campaigns.
func (t told) hear(who person.Number, kind string, named category.Set) {
	if kind == correction {
		t[who] &^= named
		return
	}
	t[who] |= named
}

// toldPage is one page of a correction: the people told in earlier notices of
// the case, in order of number, and what those notices named.
type toldPage struct {
	numbers []person.Number
	named   told
	last    bool
}

// toldAfter returns the next page of people told in the case by other campaigns
// than the plan's own.
func (s *Service) toldAfter(ctx context.Context, p *plan, after int64) (t toldPage, err error) {
	earlier, err := s.store.otherCampaigns(ctx, p)
	if err != nil {
		return t, err
	}
	t.named = told{}
	for _, c := range earlier {
		for _, ch := range sendable {
			if err := s.store.toldOn(ctx, c.id, c.kind, ch, after, t.named); err != nil {
				return t, err
			}
		}
	}
	for n := range t.named {
		t.numbers = append(t.numbers, n)
	}
	slices.Sort(t.numbers)
	// Every channel was read for a page, so the first page of all of them is complete.
	t.last = len(t.numbers) <= pageSize
	t.numbers = t.numbers[:min(len(t.numbers), pageSize)]
	return t, nil
}

// idAndKind is so much of a campaign as what was told depends on.
type idAndKind struct {
	id   int64
	kind string
}

// otherCampaigns returns the campaigns of a plan's case besides its own, oldest first.
func (s *store) otherCampaigns(ctx context.Context, p *plan) (all []idAndKind, err error) {
	rows, err := s.db.QueryContext(ctx, `SELECT id, kind FROM campaign WHERE org=$1 AND case_id=$2 AND id<>$3 ORDER BY id`, p.org, p.caseID, p.campaign)
	if err != nil {
		return nil, fmt.Errorf("read campaigns: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var c idAndKind
		if err := rows.Scan(&c.id, &c.kind); err != nil {
			return nil, fmt.Errorf("read campaigns: %w", err)
		}
		all = append(all, c)
	}
	return all, rows.Err()
}

// toldOn adds what a campaign told people on one channel, a page of them and
// one more, so that it shows whether there are others.
func (s *store) toldOn(ctx context.Context, id int64, kind string, ch Channel, after int64, named told) error {
	rows, err := s.db.QueryContext(ctx, `SELECT person, exposed FROM message WHERE campaign=$1 AND channel=$2 AND person>$3 AND state IN ($4,$5,$6,$7)
		ORDER BY person LIMIT $8`, id, ch, after, Accepted, Deferred, Delivered, Silent, pageSize+1)
	if err != nil {
		return fmt.Errorf("read who was told: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var n person.Number
		var exposed category.Set
		if err := rows.Scan(&n, &exposed); err != nil {
			return fmt.Errorf("read who was told: %w", err)
		}
		named.hear(n, kind, exposed)
	}
	return rows.Err()
}

// correct decides for every person of a page whether a correction is owed. A
// channel that the list shows as exposed today is not used.
func (l *lister) correct(k *content, mark *marker, page listed) []message {
	rows := l.rows(k, mark, page)
	for i := range rows {
		r := &rows[i]
		if r.state != Planned {
			continue
		}
		who := page.people[i]
		who.named.Exposed = page.told[r.person] &^ who.named.Exposed
		r.exposed, r.bind = uint32(who.named.Exposed), mark.bind(r.person, who.reach, who.named)
	}
	return rows
}

// corrected lets a contact show what was told in error instead of what the
// list shows now. It reports whether that still holds.
func corrected(c *person.Contact, inError category.Set) bool {
	holds := c.Exposed&inError == 0
	c.Exposed = inError
	return holds
}

// listed is one page of the people of a plan.
type listed struct {
	people []recipient
	erased []person.Number
	// erasedExposed is what the list says was exposed of the erased.
	erasedExposed []category.Set
	// told is what earlier notices of the case named, for those they reached.
	told told
	// next is where the next page begins: a place on the sealed list, or for a
	// correction the last number of this page.
	next int64
	last bool
}

// look fetches the next page: of the sealed list, or for a correction of those
// who were told.
func (l *lister) look(ctx context.Context, kind string) (page listed, err error) {
	p, from := l.p, l.p.nextPlace
	if kind != correction {
		page, err = l.s.page(ctx, p, from, min(from+pageSize, p.people))
		if err != nil {
			return page, err
		}
		page.last = page.next >= p.people
		page.told, err = l.s.toldBefore(ctx, p, kind, page.people)
		return page, err
	}
	t, err := l.s.toldAfter(ctx, p, from)
	if err != nil {
		return page, err
	}
	if page.people, page.erased, err = l.s.people(ctx, p, t.numbers); err != nil {
		return page, err
	}
	if len(page.people)+len(page.erased) != len(t.numbers) {
		return page, fmt.Errorf("scope answered %d of %d people who were told", len(page.people)+len(page.erased), len(t.numbers))
	}
	if n := len(t.numbers); n > 0 {
		from = int64(t.numbers[n-1])
	}
	page.told, page.next, page.last = t.named, from, t.last
	return page, nil
}
