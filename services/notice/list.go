package notice

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/category"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/person"
)

// pageSize is how many people are listed in one transaction and sent in one
// email ticket.
const pageSize = event.MaxContacts

// slices of a page for channels with one request a person, so that several
// workers share a page: more would cost more rounds, fewer would leave more
// people to look up when a worker dies. Slice number 9 is the whole page.
const (
	slicesOfPage = 2
	wholePage    = 9
)

// list runs the planning jobs: every person of a sealed list gets a row before
// anything is sent. A job goes on where it, or another replica, left off.
func (s *Service) list(ctx context.Context) {
	for {
		plans, err := s.store.plans(ctx, planListing)
		if err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "planning: cannot read plans", "error", err)
		}
		for _, p := range plans {
			err := s.listPlan(ctx, p)
			if errors.Is(err, bus.ErrNobodyAnswers) { // scope is starting or away
				s.log.InfoContext(ctx, "planning waits for scope", "org", p.org, "case", p.caseID, "order", p.order)
				continue
			}
			if err != nil && ctx.Err() == nil && !errors.Is(err, errLost) {
				s.log.ErrorContext(ctx, "planning stopped; will try again", "org", p.org, "case", p.caseID, "order", p.order, "error", err)
			}
		}
		if !s.pause(ctx, time.Second) {
			return
		}
	}
}

// pause waits for work or a while; it reports whether to go on.
func (s *Service) pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
	case <-s.kick:
	}
	return ctx.Err() == nil
}

func (s *Service) listPlan(ctx context.Context, p *plan) error {
	now := s.cfg.Now()
	token, err := s.store.leasePlan(ctx, p.id, s.cfg.Replica, now, s.cfg.Lease)
	if err != nil || token == 0 {
		return err
	}
	defer s.store.releasePlan(context.WithoutCancel(ctx), p.id, token)
	ctx, span := s.tracer.Start(withTrace(ctx, p.trace), "notice list")
	defer span.End()
	if p, err = s.store.planByID(ctx, p.id); err != nil || p == nil {
		return err
	}
	l := &lister{s: s, p: p, token: token, shared: newSketch()}
	for {
		k, refusal, err := s.verified(ctx, p)
		if err != nil {
			return err
		}
		if refusal != nil {
			return s.refusePlan(ctx, p, refusal)
		}
		switch {
		case k.publicOnly() && s.publicText(ctx, k, "") == nil:
			return s.blockPlan(ctx, p, "no_public_text", "the order is for the public notice alone and its text cannot be shown: it has personal fields")
		case len(k.rule(nil, s.serves).channels) == 0:
			return s.blockPlan(ctx, p, "no_provider", "none of the order's channels is set up on this installation")
		}
		last, err := l.page(ctx, k)
		if err != nil {
			return err
		}
		if last {
			break
		}
	}
	if p.state == planSending {
		s.runner.Poke(p.org, p.caseID)
		s.wakeUp()
	}
	return nil
}

// lister makes the rows of one plan.
type lister struct {
	s      *Service
	p      *plan
	token  int64
	shared *sketch
}

// page lists one page of people in one transaction; last is whether it ended the plan.
func (l *lister) page(ctx context.Context, k *content) (last bool, err error) {
	p := l.p
	kind, from := k.order.Kind, p.nextPlace
	page, err := l.look(ctx, kind)
	if err != nil {
		return false, err
	}
	if err := l.suspicious(k, page.people); err != nil {
		return true, l.s.blockPlan(ctx, p, "anomaly", err.Error())
	}
	mark := l.s.secrets.marker(p.org, p.caseID, kind, p.revision)
	var rows []message
	if kind == correction {
		rows = l.correct(k, mark, page)
		if from == 0 { // the list says how many there are, but it is not the list that is walked
			p.people = 0
		}
		p.people += int64(len(rows))
	} else {
		wrong, err := p.sum(page, k.order.ScopeDigest)
		if err != nil {
			return false, err
		}
		if wrong != "" {
			return true, l.s.blockPlan(ctx, p, "list_mismatch", wrong)
		}
		rows = l.rows(k, mark, page)
	}
	state := planListing
	if page.last {
		state = planSending
	}
	no := int(from / pageSize)
	counts, err := l.s.store.write(ctx, p.campaign, l.s.cfg.Now(), func(w *ledger) error {
		if err := w.advance(p, l.token, page.next, state, w.now+l.s.cfg.Lease.Milliseconds()); err != nil {
			return err
		}
		if err := w.take(p, rows, state == planSending); err != nil {
			return err
		}
		return openChunks(w, p.id, no, rows, l.s.cfg.Canary)
	})
	if err != nil {
		return false, err
	}
	l.s.meters.changes(ctx, counts)
	p.nextPlace, p.state = page.next, state
	return page.last, nil
}

// rows decides for every person of a page on which channel to begin, or why not at all.
func (l *lister) rows(k *content, mark *marker, page listed) []message {
	rows := make([]message, 0, len(page.people)+len(page.erased))
	r := k.rule(l.s.cfg.MailDomains[l.p.org], l.s.serves)
	for _, who := range page.people {
		m := message{person: who.named.Number, exposed: uint32(who.named.Exposed), place: packPlace(who.named.Jurisdiction)}
		m.ladder, m.reason = k.ladder(r, who)
		before, was := page.told[m.person]
		switch {
		case m.reason == ReasonDeceased, m.reason == ReasonPublicNotice:
			m.state = Excluded
		case !owed(k.order.Kind, was, before, who.named.Exposed):
			m.state, m.reason = Excluded, ReasonNotOwed
		case m.ladder == 0:
			m.state = Unreachable
		default:
			m.state, m.channel = Planned, m.ladder.First()
			m.bind = mark.bind(who.named.Number, who.reach, who.named)
		}
		if who.named != who.reach {
			m.flags |= flagGuardian
		} else if r.leavesOut(who.named) {
			m.flags |= flagExposed
		}
		rows = append(rows, m)
	}
	for _, n := range page.erased {
		rows = append(rows, message{person: n, state: Excluded, reason: ReasonErased})
	}
	return rows
}

// owed reports whether a person is owed a notice of a kind: the first to
// whoever was not told, a supplement to whoever was told of less than is known
// now, a correction to whoever was told of more.
func owed(kind string, told bool, before, now category.Set) bool {
	switch kind {
	case "supplement":
		return told && now&^before != 0
	case correction:
		return told && before&^now != 0
	}
	return true // the campaign of first notices itself keeps people from being told again
}

// toldBefore returns what the people have been told of in earlier notices of
// the case. First notices need not ask.
func (s *Service) toldBefore(ctx context.Context, p *plan, kind string, people []recipient) (told, error) {
	if kind == "first" || len(people) == 0 {
		return nil, nil
	}
	numbers := make([]person.Number, len(people))
	for i := range people {
		numbers[i] = people[i].named.Number
	}
	text := string(appendWho([]byte(`SELECT m.person, c.kind, m.exposed FROM campaign c JOIN message m ON m.campaign=c.id
		WHERE c.org=$1 AND c.case_id=$2 AND c.id<>$3 AND m.channel IN (1,2,3,4) AND m.state IN ($4,$5,$6,$7) AND `), numbers)) + ` ORDER BY c.id`
	rows, err := s.store.db.QueryContext(ctx, text, p.org, p.caseID, p.campaign, Accepted, Deferred, Delivered, Silent)
	if err != nil {
		return nil, fmt.Errorf("read who was told: %w", err)
	}
	defer func() { _ = rows.Close() }()
	before := told{}
	for rows.Next() {
		var n person.Number
		var kind string
		var exposed category.Set
		if err := rows.Scan(&n, &kind, &exposed); err != nil {
			return nil, fmt.Errorf("read who was told: %w", err)
		}
		before.hear(n, kind, exposed)
	}
	return before, rows.Err()
}

// ladder is the channels on which a recipient can be told in approved words.
func (k *content) ladder(r rule, who recipient) (Ladder, Reason) {
	if who.named.Deceased {
		return 0, ReasonDeceased
	}
	if who.named.AgeClass == person.AgeMinor && who.named == who.reach {
		return 0, ReasonGuardianMissing
	}
	reach := *who.reach
	reach.Exposed = who.named.Exposed & boolSet(who.named == who.reach) // a guardian's own data were not exposed
	all, why := r.climb(&reach)
	if all == 0 {
		return 0, why
	}
	if k.publicOnly() {
		return 0, ReasonPublicNotice
	}
	var worded []Channel
	for _, ch := range all.Channels() {
		if k.text(who, ch) != nil {
			worded = append(worded, ch)
		}
	}
	if len(worded) == 0 {
		return 0, ReasonNoText
	}
	return makeLadder(worded), ReasonPlanned
}

// openChunks opens a page's chunks on every channel on which somebody of it is planned.
func openChunks(w *ledger, planID int64, page int, rows []message, canary time.Duration) error {
	byChannel := map[Channel][]person.Number{}
	for i := range rows {
		if rows[i].state == Planned {
			byChannel[rows[i].channel] = append(byChannel[rows[i].channel], rows[i].person)
		}
	}
	if len(rows) == 0 {
		return nil
	}
	due := w.now
	if page > 0 {
		due += canary.Milliseconds()
	}
	first, last := rows[0].person, rows[0].person
	for i := range rows {
		first, last = min(first, rows[i].person), max(last, rows[i].person)
	}
	for ch, people := range byChannel {
		if ch != SMS {
			if err := w.open(chunk{plan: planID, channel: ch, no: page*10 + wholePage, first: first, last: last, harm: harmOf(rows, ch)}, due); err != nil {
				return err
			}
			continue
		}
		slices.Sort(people)
		n := (len(people) + slicesOfPage - 1) / slicesOfPage
		for i := 0; i*n < len(people); i++ {
			part := people[i*n : min((i+1)*n, len(people))]
			if err := w.open(chunk{plan: planID, channel: ch, no: page*10 + i, first: part[0], last: part[len(part)-1], harm: harmOf(rows, ch)}, due); err != nil {
				return err
			}
		}
	}
	return nil
}

// page asks scope for the people at the places [from, to) of a plan's list.
func (s *Service) page(ctx context.Context, p *plan, from, to int64) (page listed, err error) {
	if from >= to {
		return listed{next: to}, nil
	}
	q := event.ContactsQuestion{Org: p.org, Case: p.caseID, Revision: p.revision, Order: p.order, From: from, To: to}
	a, err := s.contacts(ctx, q)
	if err != nil {
		return page, err
	}
	if a.Next <= from || a.Next > to {
		return page, fmt.Errorf("scope answered places %d to %d with next %d", from, to, a.Next)
	}
	page = listed{erased: a.Erased, erasedExposed: a.ErasedExposed, next: a.Next}
	page.people, err = s.withGuardians(ctx, q, a.Contacts)
	return page, err
}

// people asks scope for people of a plan by number, in order.
func (s *Service) people(ctx context.Context, p *plan, numbers []person.Number) (all []recipient, erased []person.Number, err error) {
	c, err := s.campaign(ctx, p.campaign)
	if err != nil {
		return nil, nil, err
	}
	q := event.ContactsQuestion{Org: p.org, Case: p.caseID, Revision: p.revision, Order: p.order, Earlier: c.kind == correction}
	var contacts []person.Contact
	for len(numbers) > 0 {
		n := min(len(numbers), event.MaxContacts)
		q.Numbers = numbers[:n]
		a, err := s.contacts(ctx, q)
		if err != nil {
			return nil, nil, err
		}
		if a.Next <= 0 || a.Next > int64(n) {
			return nil, nil, fmt.Errorf("scope answered %d numbers with next %d", n, a.Next)
		}
		contacts, erased, numbers = append(contacts, a.Contacts...), append(erased, a.Erased...), numbers[a.Next:]
	}
	all, err = s.withGuardians(ctx, q, contacts)
	return all, erased, err
}

// A question waits in place for a scope that does not answer yet, as after a
// restart of everything: three seconds, well below the lease of whoever asks.
const (
	askAgain = 20 * time.Millisecond
	mostAsks = 150
)

func (s *Service) contacts(ctx context.Context, q event.ContactsQuestion) (a event.ContactsAnswer, err error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for asked := 1; ; asked++ {
		a, err = bus.Ask[event.ContactsQuestion, event.ContactsAnswer](ctx, s.cfg.Bus, event.AskContacts, q)
		if !errors.Is(err, bus.ErrNobodyAnswers) || asked == mostAsks || rest(ctx, askAgain) != nil {
			return a, err
		}
	}
}

// withGuardians gives every minor with a guardian the guardian's address; q is
// the question that the contacts answer.
func (s *Service) withGuardians(ctx context.Context, q event.ContactsQuestion, contacts []person.Contact) ([]recipient, error) {
	all := make([]recipient, len(contacts))
	var guardians []person.Number
	for i := range contacts {
		c := &contacts[i]
		all[i] = recipient{named: c, reach: c}
		if c.AgeClass == person.AgeMinor && c.Guardian != 0 {
			guardians = append(guardians, c.Guardian)
		}
	}
	if len(guardians) == 0 {
		return all, nil
	}
	slices.Sort(guardians)
	guardians = slices.Compact(guardians)
	found := map[person.Number]*person.Contact{}
	q.Numbers, q.Guardians = guardians, true
	a, err := s.contacts(ctx, q)
	if err != nil {
		return nil, err
	}
	for i := range a.Contacts {
		found[a.Contacts[i].Number] = &a.Contacts[i]
	}
	for i := range all {
		if g := found[all[i].named.Guardian]; g != nil && all[i].named.AgeClass == person.AgeMinor {
			all[i].reach = g
		}
	}
	return all, nil
}
