package notice

import (
	"context"
	"errors"
	"fmt"
	"math"
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
// workers share a page. Slice number 9 is the whole page.
const (
	slicesOfPage = 4
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
	ctx, span := s.tracer.Start(withTrace(ctx, p.trace), "notice list")
	defer span.End()
	if p, err = s.store.planByID(ctx, p.id); err != nil || p == nil {
		return err
	}
	l := &lister{s: s, p: p, token: token, shared: newSketch()}
	for p.nextPlace < p.people || p.people == 0 {
		k, refusal, err := s.verified(ctx, p)
		if err != nil {
			return err
		}
		if refusal != nil {
			return s.refusePlan(ctx, p, refusal)
		}
		if len(k.rule(nil, s.serves).channels) == 0 {
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
	from := p.nextPlace
	people, erased, next, err := l.s.page(ctx, p, from, min(from+pageSize, p.people))
	if err != nil {
		return false, err
	}
	if err := l.suspicious(k, people); err != nil {
		return true, l.s.blockPlan(ctx, p, "anomaly", err.Error())
	}
	mark := l.s.secrets.marker(p.org, p.caseID, k.order.Kind, p.revision)
	told, err := l.s.toldBefore(ctx, p, k.order.Kind, people)
	if err != nil {
		return false, err
	}
	rows := l.rows(k, mark, people, erased, told)
	state := planListing
	if next >= p.people {
		state = planSending
	}
	no := int(from / pageSize)
	counts, err := l.s.store.write(ctx, p.campaign, l.s.cfg.Now(), func(w *ledger) error {
		if err := w.advance(p, l.token, next, state, w.now+l.s.cfg.Lease.Milliseconds()); err != nil {
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
	p.nextPlace, p.state = next, state
	return state == planSending, nil
}

// rows decides for every person of a page on which channel to begin, or why not at all.
func (l *lister) rows(k *content, mark *marker, people []recipient, erased []person.Number, told map[person.Number]category.Set) []message {
	rows := make([]message, 0, len(people)+len(erased))
	r := k.rule(l.s.cfg.MailDomains[l.p.org], l.s.serves)
	for _, who := range people {
		m := message{person: who.named.Number, exposed: uint32(who.named.Exposed), place: packPlace(who.named.Jurisdiction)}
		m.ladder, m.reason = k.ladder(r, who)
		before, was := told[m.person]
		switch {
		case m.reason == ReasonDeceased:
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
		}
		rows = append(rows, m)
	}
	for _, n := range erased {
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
	case "correction":
		return told && before&^now != 0
	}
	return true // the campaign of first notices itself keeps people from being told again
}

// toldBefore returns what the people have been told of in earlier notices of
// the case. First notices need not ask.
func (s *Service) toldBefore(ctx context.Context, p *plan, kind string, people []recipient) (map[person.Number]category.Set, error) {
	if kind == "first" || len(people) == 0 {
		return nil, nil
	}
	numbers := make([]person.Number, len(people))
	for i := range people {
		numbers[i] = people[i].named.Number
	}
	text := string(appendPeople([]byte(`SELECT m.person, m.exposed FROM campaign c JOIN message m ON m.campaign=c.id
		WHERE c.org=$1 AND c.case_id=$2 AND c.id<>$3 AND m.channel IN (1,2,3,4) AND m.state IN ($4,$5,$6,$7) AND m.person IN (`), numbers))
	rows, err := s.store.db.QueryContext(ctx, text, p.org, p.caseID, p.campaign, Accepted, Deferred, Delivered, Silent)
	if err != nil {
		return nil, fmt.Errorf("read who was told: %w", err)
	}
	defer func() { _ = rows.Close() }()
	told := map[person.Number]category.Set{}
	for rows.Next() {
		var n person.Number
		var exposed category.Set
		if err := rows.Scan(&n, &exposed); err != nil {
			return nil, fmt.Errorf("read who was told: %w", err)
		}
		told[n] |= exposed
	}
	return told, rows.Err()
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

// take puts the rows of a page into the ledger. People who have a row already
// (an earlier order of the same kind took them up) keep it if they were or may
// have been told, and are planned anew if they were not.
func (l *ledger) take(p *plan, rows []message, last bool) error {
	var first bool
	err := l.tx.QueryRowContext(l.ctx, `SELECT COUNT(*)=1 FROM plan WHERE campaign=$1`, l.campaign).Scan(&first)
	if err != nil {
		return fmt.Errorf("ledger: read plans: %w", err)
	}
	if first && p.granted == 0 { // pages are whole transactions: nobody on this one can have a row
		_, err = l.put(rows)
		return err
	}
	numbers := make([]person.Number, len(rows))
	for i := range rows {
		numbers[i] = rows[i].person
	}
	slices.Sort(numbers)
	if err := l.leaveOut(p, numbers, last); err != nil {
		return err
	}
	known, err := messagesOf(l.ctx, l.tx, l.campaign, numbers)
	if err != nil {
		return err
	}
	before := map[person.Number][]message{}
	for _, m := range known {
		before[m.person] = append(before[m.person], m)
	}
	var fresh []message
	for i := range rows {
		r := &rows[i]
		if len(before[r.person]) == 0 {
			fresh = append(fresh, *r)
			continue
		}
		again, err := l.retake(r, before[r.person])
		if err != nil {
			return err
		}
		if again {
			fresh = append(fresh, *r)
		}
	}
	if _, err = l.put(fresh); err != nil || !last {
		return err
	}
	return l.carry(p)
}

// leaveOut excludes people who were planned under an earlier list, were not
// told, and stand between the last page and this one without being on either.
func (l *ledger) leaveOut(p *plan, numbers []person.Number, last bool) error {
	var below int64
	if err := l.tx.QueryRowContext(l.ctx, `SELECT COALESCE(MAX(last),0) FROM chunk WHERE plan=$1`, p.id).Scan(&below); err != nil {
		return fmt.Errorf("ledger: read chunks: %w", err)
	}
	upTo := int64(math.MaxUint32)
	if !last && len(numbers) > 0 {
		upTo = int64(numbers[len(numbers)-1])
	}
	for _, ch := range sendable {
		rows, err := scanMessages(l.tx.QueryContext(l.ctx, `SELECT `+messageColumns+` FROM message
			WHERE campaign=$1 AND channel=$2 AND person>$3 AND person<=$4 AND state=$5`, l.campaign, ch, below, upTo, Planned))
		if err != nil {
			return err
		}
		var gone []person.Number
		for _, m := range rows {
			if _, here := slices.BinarySearch(numbers, m.person); !here {
				gone = append(gone, m.person)
			}
		}
		if _, err := l.move(ch, gone, Planned, Excluded, ReasonNotOwed, set{}); err != nil {
			return err
		}
	}
	return nil
}

// carry notes how many people the campaign counts beyond the plan's own list,
// so that the ledger can be held against it.
func (l *ledger) carry(p *plan) error {
	if err := l.settle(); err != nil { // the sum below must include this page
		return err
	}
	var people int64
	err := l.tx.QueryRowContext(l.ctx, `SELECT COALESCE(SUM(CASE WHEN state IN (1,2,3,4,5,6,7,8,12,13,14) THEN n ELSE 0 END) - SUM(CASE WHEN was IN (1,2,3,4,5,6,7,8,12,13,14) THEN n ELSE 0 END),0)
		FROM moved WHERE campaign=$1`, l.campaign).Scan(&people)
	if err != nil {
		return fmt.Errorf("ledger: count people: %w", err)
	}
	_, err = l.tx.ExecContext(l.ctx, `UPDATE plan SET carried=$2 WHERE id=$1`, p.id, people-p.people)
	return err
}

// retake plans a person anew who was taken up before and not told. It reports
// whether a row of its own is still to be put.
func (l *ledger) retake(r *message, before []message) (put bool, err error) {
	one := []person.Number{r.person}
	stands := -1
	for i := range before {
		if c := before[i].state.Counts(); c == Told || c == Doubtful || before[i].state == Submitted || before[i].state == Excluded {
			return false, nil
		}
		if before[i].state.Counts() != NotCounted {
			stands = i
		}
	}
	if stands < 0 || r.state != Planned {
		return false, nil // unreachable before and now
	}
	old := before[stands]
	update := set{fresh: true, exposed: r.exposed, bind: r.bind}
	switch {
	case old.channel == r.channel && old.state == Planned:
		_, err = l.tx.ExecContext(l.ctx, `UPDATE message SET exposed=$4, bind=$5, ladder=$6 WHERE campaign=$1 AND channel=$2 AND person=$3`,
			l.campaign, r.channel, r.person, r.exposed, r.bind, r.ladder)
		return false, err
	case old.channel == r.channel && old.state == Stopped:
		_, err = l.move(r.channel, one, Stopped, Planned, ReasonReplanned, update)
		return false, err
	case old.state == Stopped:
		if _, err = l.move(old.channel, one, Stopped, Planned, ReasonReplanned, set{}); err != nil {
			return false, err
		}
		old.state = Planned
	}
	if _, err = l.move(old.channel, one, old.state, Withdrawn, ReasonReplanned, set{}); err != nil {
		return false, err
	}
	before[stands].state = Withdrawn
	return l.place(r, before, update)
}

// place puts a person on the first channel of r's ladder that was not tried
// before, or marks the person unreachable. It reports whether r, as it then
// is, must still be put as a new row.
func (l *ledger) place(r *message, before []message, update set) (put bool, err error) {
	one := []person.Number{r.person}
	for {
		there := -1
		for i := range before {
			if before[i].channel == r.channel {
				there = i
			}
		}
		switch {
		case there < 0:
			return true, nil
		case before[there].state == Withdrawn:
			why := ReasonReplanned
			if r.state == Unreachable {
				why = ReasonLadderEnd
			}
			_, err = l.move(r.channel, one, Withdrawn, r.state, why, update)
			return false, err
		case r.channel == None:
			return false, fmt.Errorf("ledger: person %d stands twice without a channel", r.person)
		}
		r.ladder = r.ladder.After(r.channel)
		if r.channel = r.ladder.First(); r.channel == None {
			r.state, r.reason = Unreachable, ReasonLadderEnd
		}
	}
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
			if err := w.open(chunk{plan: planID, channel: ch, no: page*10 + wholePage, first: first, last: last}, due); err != nil {
				return err
			}
			continue
		}
		slices.Sort(people)
		n := (len(people) + slicesOfPage - 1) / slicesOfPage
		for i := 0; i*n < len(people); i++ {
			part := people[i*n : min((i+1)*n, len(people))]
			if err := w.open(chunk{plan: planID, channel: ch, no: page*10 + i, first: part[0], last: part[len(part)-1]}, due); err != nil {
				return err
			}
		}
	}
	return nil
}

// page asks scope for the people at the places [from, to) of a plan's list.
func (s *Service) page(ctx context.Context, p *plan, from, to int64) (all []recipient, erased []person.Number, next int64, err error) {
	if from >= to {
		return nil, nil, to, nil
	}
	q := event.ContactsQuestion{Org: p.org, Case: p.caseID, Revision: p.revision, Order: p.order, From: from, To: to}
	a, err := s.contacts(ctx, q)
	if err != nil {
		return nil, nil, 0, err
	}
	if a.Next <= from || a.Next > to {
		return nil, nil, 0, fmt.Errorf("scope answered places %d to %d with next %d", from, to, a.Next)
	}
	all, err = s.withGuardians(ctx, p, a.Contacts)
	return all, a.Erased, a.Next, err
}

// people asks scope for people of a plan's list by number, in order.
func (s *Service) people(ctx context.Context, p *plan, numbers []person.Number) (all []recipient, erased []person.Number, err error) {
	var contacts []person.Contact
	for len(numbers) > 0 {
		n := min(len(numbers), event.MaxContacts)
		a, err := s.contacts(ctx, event.ContactsQuestion{Org: p.org, Case: p.caseID, Revision: p.revision, Order: p.order, Numbers: numbers[:n]})
		if err != nil {
			return nil, nil, err
		}
		if a.Next <= 0 || a.Next > int64(n) {
			return nil, nil, fmt.Errorf("scope answered %d numbers with next %d", n, a.Next)
		}
		contacts, erased, numbers = append(contacts, a.Contacts...), append(erased, a.Erased...), numbers[a.Next:]
	}
	all, err = s.withGuardians(ctx, p, contacts)
	return all, erased, err
}

func (s *Service) contacts(ctx context.Context, q event.ContactsQuestion) (event.ContactsAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	return bus.Ask[event.ContactsQuestion, event.ContactsAnswer](ctx, s.cfg.Bus, event.AskContacts, q)
}

// withGuardians gives every minor with a guardian the guardian's address.
func (s *Service) withGuardians(ctx context.Context, p *plan, contacts []person.Contact) ([]recipient, error) {
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
	a, err := s.contacts(ctx, event.ContactsQuestion{Org: p.org, Case: p.caseID, Revision: p.revision, Order: p.order, Numbers: guardians, Guardians: true})
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
