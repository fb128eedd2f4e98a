package notice

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"tocsin.dev/pkg/person"
	"tocsin.dev/services/notice/carrier"
)

// delivery is one verified callback on its way into the store.
type delivery struct {
	from   *account
	raw    []byte
	facts  []carrier.Receipt
	strays []carrier.Receipt
	done   chan error
}

// receiver gathers callbacks that arrive together into one transaction, so
// that one durable write serves many: a callback is answered 2xx only after
// its raw body is stored and its facts are applied.
type receiver struct {
	s    *Service
	in   chan *delivery
	gone chan struct{} // closed when run has ended
}

func newReceiver(s *Service) *receiver {
	return &receiver{s: s, in: make(chan *delivery, 512), gone: make(chan struct{})}
}

const (
	// mostFacts bounds one transaction.
	mostFacts = 4000
	// storeWithin bounds its time: providers hang up after 15 s and repeat.
	storeWithin = 14 * time.Second
)

// take stores and applies one callback and returns when that is durable, also
// if the provider has hung up meanwhile: the store has a limit of its own.
func (r *receiver) take(d *delivery) error {
	d.done = make(chan error, 1)
	select {
	case r.in <- d:
	case <-r.gone:
		return errGone
	}
	select {
	case err := <-d.done:
		return err
	case <-r.gone:
		return errGone
	}
}

var errGone = errors.New("the service has stopped")

func (r *receiver) run(ctx context.Context) {
	defer close(r.gone)
	busy := false
	for {
		select {
		case <-ctx.Done():
			return
		case first := <-r.in:
			if busy && len(first.facts) < 100 {
				r.linger(ctx)
			}
			all := r.gather(first)
			busy = len(all) > 4
			r.apply(ctx, all)
		}
	}
}

// linger lets callbacks of single messages collect while many arrive: a
// transaction for five costs as much as one for fifty, and a provider that
// waits 15 s does not mind.
func (r *receiver) linger(ctx context.Context) {
	t := time.NewTimer(12 * time.Millisecond)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// gather takes whatever waits already; while one transaction is under way the
// next batch collects by itself.
func (r *receiver) gather(first *delivery) []*delivery {
	all, n := []*delivery{first}, len(first.facts)
	for n < mostFacts {
		select {
		case d := <-r.in:
			all, n = append(all, d), n+len(d.facts)
		default:
			return all
		}
	}
	return all
}

func (r *receiver) apply(ctx context.Context, all []*delivery) {
	limited, cancel := context.WithTimeout(ctx, storeWithin)
	err := r.s.applyDeliveries(limited, all)
	cancel()
	verdict, facts := "applied", map[string]int{}
	if err != nil {
		verdict = "not_stored"
	}
	for _, d := range all {
		facts[d.from.name] += len(d.facts)
		d.done <- err
	}
	for account, n := range facts {
		r.s.meters.receipt(ctx, account, verdict, n)
	}
	if err != nil && ctx.Err() == nil {
		r.s.log.ErrorContext(ctx, "receipts could not be stored; the provider will repeat them", "callbacks", len(all), "error", err)
	}
}

// applyDeliveries stores raw bodies and applies facts in one transaction.
func (s *Service) applyDeliveries(ctx context.Context, all []*delivery) error {
	return s.applyWith(ctx, all, nil)
}

// applyWith is applyDeliveries with a last word: last sees what has changed, may
// write more in the same transaction, and undoes all of it by an error.
func (s *Service) applyWith(ctx context.Context, all []*delivery, last func(*sql.Tx, []map[change]int64) error) error {
	byCampaign := map[int64][]fact{}
	now := s.cfg.Now()
	for _, d := range all {
		for _, f := range d.facts {
			a, err := s.attempt(ctx, f.Attempt)
			if err != nil {
				return err
			}
			canary := a != nil && s.isCanary(a, f)
			if a == nil || a.account != d.from.name || !canary && !s.genuine(ctx, a, f) {
				d.strays = append(d.strays, f)
				continue
			}
			if err := s.canaryReceipt(ctx, a, f, canary); err != nil {
				return err
			}
			if canary {
				continue
			}
			if byCampaign[a.campaign] == nil {
				byCampaign[a.campaign] = make([]fact, 0, len(all))
			}
			byCampaign[a.campaign] = append(byCampaign[a.campaign], fact{Receipt: f, channel: a.channel, person: a.people[f.Pos], scheduled: a.batch != ""})
		}
	}
	var counted []map[change]int64
	err := s.store.db.Tx(ctx, func(tx *sql.Tx) error {
		counted = nil
		if err := s.keepRaw(ctx, tx, all, now); err != nil {
			return err
		}
		for campaign, facts := range byCampaign {
			l := s.store.ledger(ctx, tx, campaign, now)
			if err := l.receive(facts, ReasonReceipt); err != nil {
				return err
			}
			if err := l.settle(); err != nil {
				return err
			}
			counted = append(counted, l.counts)
		}
		if last != nil {
			return last(tx, counted)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, c := range counted {
		s.meters.changes(ctx, c)
		for _, d := range all {
			s.provenBy(ctx, d.from, c)
		}
	}
	return nil
}

// provenBy notes that an account took requests whose answers were lost: it is
// at work, however silent it seemed.
func (s *Service) provenBy(ctx context.Context, by *account, counts map[change]int64) {
	if by.unanswered.Load() == 0 {
		return
	}
	for c := range counts {
		if c.channel == by.channel && c.was == InDoubt {
			by.unanswered.Store(0)
			s.providerWorks(ctx, by)
			return
		}
	}
}

// keepRaw stores bodies as they came, those of one account sealed together,
// with the facts that fit no attempt.
func (s *Service) keepRaw(ctx context.Context, tx *sql.Tx, all []*delivery, now time.Time) error {
	raw, sizes := map[*account][]byte{}, map[*account]int{}
	for _, d := range all {
		sizes[d.from] += binary.MaxVarintLen32 + len(d.raw)
	}
	for from, size := range sizes {
		// The nonce comes before and the tag after, so that they are sealed where they lie.
		raw[from] = make([]byte, s.vault.NonceSize(), s.vault.NonceSize()+size+s.vault.Overhead())
	}
	for _, d := range all {
		b := binary.AppendUvarint(raw[d.from], uint64(len(d.raw)))
		raw[d.from] = append(b, d.raw...)
		for _, f := range d.strays {
			if test, err := testReceipt(ctx, tx, f); test || err != nil {
				if err != nil {
					return err
				}
				continue
			}
			if _, err := tx.ExecContext(ctx, `INSERT INTO stray (provider, message, meaning, code, at) VALUES ($1,$2,$3,$4,$5)`,
				d.from.channel, f.Message, f.Meaning, f.Code, now.UnixMilli()); err != nil {
				return fmt.Errorf("store stray receipt: %w", err)
			}
		}
	}
	for from, bodies := range raw {
		nonce, bodies := bodies[:s.vault.NonceSize()], bodies[s.vault.NonceSize():]
		if _, err := rand.Read(nonce); err != nil {
			return fmt.Errorf("seal receipts: %w", err)
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO raw_receipt (provider, at, body) VALUES ($1,$2,$3)`,
			from.channel, now.UnixMilli(), s.vault.Seal(nonce, nonce, bodies, nil)); err != nil {
			return fmt.Errorf("store receipts: %w", err)
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO account (name, ok_at, good) VALUES ($1,$2,1)
			ON CONFLICT (name) DO UPDATE SET ok_at=excluded.ok_at, good=account.good+1, bad=0`, from.name, now.UnixMilli())
		if err != nil {
			return fmt.Errorf("store receipts: %w", err)
		}
	}
	return nil
}

// genuine reports whether a receipt's notice id is the one that its attempt
// and position had: ids are keyed, so nobody else can make one up.
func (s *Service) genuine(ctx context.Context, a *attempt, f carrier.Receipt) bool {
	if f.Pos < 0 || f.Pos >= len(a.people) {
		return false
	}
	c, err := s.campaign(ctx, a.campaign)
	if err != nil || c == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mark.notice(a.people[f.Pos], a.channel, a.digest) == f.Notice
}

// fact is a receipt with the message it is about.
type fact struct {
	carrier.Receipt
	channel Channel
	person  person.Number
	// scheduled is whether its request could be recalled.
	scheduled bool
}

// receive applies facts to the messages of one campaign: each at most once,
// in whatever order they come, from receipts or from a look-up.
func (l *ledger) receive(facts []fact, why Reason) error {
	slices.SortStableFunc(facts, func(a, b fact) int { return cmp.Compare(a.channel, b.channel) })
	for len(facts) > 0 {
		ch, n := facts[0].channel, 1
		for n < len(facts) && facts[n].channel == ch {
			n++
		}
		if err := l.receiveOn(ch, facts[:n], why); err != nil {
			return err
		}
		facts = facts[n:]
	}
	return nil
}

func (l *ledger) receiveOn(ch Channel, facts []fact, why Reason) error {
	numbers := make([]person.Number, 0, len(facts))
	for _, f := range facts {
		numbers = append(numbers, f.person)
	}
	slices.Sort(numbers)
	numbers = slices.Compact(numbers)
	rows, err := brief(l.ctx, l.tx, l.campaign, ch, numbers)
	if err != nil {
		return err
	}
	// Asked after the rows are read: a recall changes both in one transaction.
	if facts, err = l.standing(facts); err != nil {
		return err
	}
	now := make(map[person.Number]*message, len(rows))
	learned := slices.Clone(rows)
	for i := range learned {
		now[learned[i].person] = &learned[i]
	}
	slices.SortStableFunc(facts, func(a, b fact) int { return cmp.Compare(a.At.Unix(), b.At.Unix()) })
	for _, f := range facts {
		if m := now[f.person]; m != nil {
			learn(m, f.Receipt)
			if err := l.remark(ch, f); err != nil {
				return err
			}
		}
	}
	return l.applyLearned(ch, rows, now, why)
}

// standing leaves out what is said of recalled requests: SendGrid has worked on
// them and will discard them. Only if one was delivered for all that, it counts.
func (l *ledger) standing(facts []fact) ([]fact, error) {
	recalled := map[int64]bool{}
	for _, f := range facts {
		if _, asked := recalled[f.Attempt]; asked || !f.scheduled {
			continue
		}
		a, err := readAttempt(l.ctx, l.tx, f.Attempt)
		if err != nil {
			return nil, err
		}
		recalled[f.Attempt] = a != nil && a.state == attemptRecalled
	}
	if len(recalled) == 0 {
		return facts, nil
	}
	return slices.DeleteFunc(slices.Clone(facts), func(f fact) bool {
		return recalled[f.Attempt] && f.Meaning != carrier.Delivered && f.Meaning != carrier.Complained
	}), nil
}

// learn folds one receipt into what is known of a message. It is pure and does
// not mind repeats or order: of two statements the later by the provider's own
// clock counts, and a failure wins a tie, because one notice too many on
// another channel harms less than none.
func learn(m *message, r carrier.Receipt) {
	at := r.At.Unix()
	if r.At.IsZero() {
		at = m.toldAt // no clock of its own: order of arrival
	}
	older := r.Attempt != 0 && m.attempt != 0 && r.Attempt < m.attempt
	switch {
	case r.Meaning == carrier.Delivered, r.Meaning == carrier.Complained: // who complains has it
		if r.Meaning == carrier.Complained {
			m.flags |= flagComplained
		}
		if m.state == Failed && at <= m.toldAt {
			return
		}
		note(m, Delivered, r, at)
	case r.Meaning.Failed():
		if older || m.state == Planned && r.Attempt != m.attempt || m.state == Delivered && at < m.toldAt {
			return
		}
		note(m, Failed, r, at)
	case r.Meaning == carrier.Deferred:
		if m.state == Delivered || m.state == Failed || m.state == Refused {
			return
		}
		note(m, Deferred, r, at)
	case r.Meaning == carrier.Processed:
		switch m.state {
		case Planned, Submitted, InDoubt, Held, Stopped:
			note(m, Accepted, r, at)
		}
	}
}

func note(m *message, to State, r carrier.Receipt, at int64) {
	if m.state == Withdrawn || m.state == Refused || m.state == Excluded || m.state == Unreachable {
		return
	}
	if m.state == Planned && m.tries == 0 {
		return // never handed over: no receipt can be about it
	}
	if to == Delivered || to == Failed { // only what decides has an instant to compare
		m.toldAt = max(m.toldAt, at)
		if to == m.state {
			return
		}
	}
	m.state, m.meaning, m.code = to, int(r.Meaning), r.Code
}

// applyLearned writes what has changed, in as few statements as there are kinds of change.
func (l *ledger) applyLearned(ch Channel, was []message, now map[person.Number]*message, why Reason) error {
	type kind struct {
		from, to      State
		meaning, code int
		toldAt        int64
		flags         int
	}
	groups := map[kind][]person.Number{}
	var fell []message
	var risen, later []message
	for i := range was {
		m := now[was[i].person]
		if m.state == was[i].state {
			if m.toldAt != was[i].toldAt || m.flags != was[i].flags {
				later = append(later, *m)
			}
			continue
		}
		if was[i].state == Failed { // late delivery: what became of the next rung decides
			risen = append(risen, *m)
			continue
		}
		if !Permitted(was[i].state, m.state, why) {
			continue // what comes too late to mean anything, such as for a stopped message
		}
		k := kind{was[i].state, m.state, m.meaning, m.code, m.toldAt, m.flags &^ was[i].flags}
		groups[k] = append(groups[k], m.person)
		if m.state == Failed {
			fell = append(fell, *m)
		}
	}
	for k, people := range groups {
		if _, err := l.move(ch, people, k.from, k.to, why, set{receipt: true, meaning: k.meaning, code: k.code, toldAt: k.toldAt, flags: k.flags}); err != nil {
			return err
		}
	}
	for _, m := range later { // rare: the same again with another instant, or a complaint
		if _, err := l.tx.ExecContext(l.ctx, `UPDATE message SET told_at=$4, flags=$5 WHERE campaign=$1 AND channel=$2 AND person=$3`,
			l.campaign, ch, m.person, m.toldAt, m.flags); err != nil {
			return fmt.Errorf("ledger: later receipt: %w", err)
		}
	}
	if err := l.arrivedLate(ch, risen); err != nil {
		return err
	}
	if len(fell) == 0 {
		return nil
	}
	p, err := activePlan(l.ctx, l.tx, l.campaign)
	if err != nil {
		return err
	}
	whole, err := onChannel(l.ctx, l.tx, l.campaign, ch, numbersOf(fell))
	if err != nil {
		return err
	}
	return l.nextRung(p, whole)
}

// arrivedLate handles messages that arrived after they had counted as failed.
// If the next rung has not been sent, it is withdrawn; else both stand and the
// early one is marked.
func (l *ledger) arrivedLate(ch Channel, risen []message) error {
	for _, m := range risen {
		one := []person.Number{m.person}
		others, err := messagesOf(l.ctx, l.tx, l.campaign, one)
		if err != nil {
			return err
		}
		free := true
		for _, o := range others {
			if o.channel == ch {
				continue
			}
			switch {
			case o.state == Planned && o.tries == 0:
				_, err = l.move(o.channel, one, Planned, Withdrawn, ReasonOvertaken, set{})
			case o.state == Unreachable:
				_, err = l.move(o.channel, one, Unreachable, Withdrawn, ReasonLateDelivery, set{})
			case o.state.Counts() != NotCounted:
				free = false
			}
			if err != nil {
				return err
			}
		}
		if free {
			_, err = l.move(ch, one, Failed, Delivered, ReasonLateDelivery, set{receipt: true, meaning: m.meaning, code: m.code, toldAt: m.toldAt})
		} else {
			_, err = l.tx.ExecContext(l.ctx, `UPDATE message SET flags=flags|$4 WHERE campaign=$1 AND channel=$2 AND person=$3`, l.campaign, ch, m.person, flagLate)
		}
		if err != nil {
			return fmt.Errorf("ledger: late delivery: %w", err)
		}
	}
	return nil
}

// remark keeps what says more than «processed» or «delivered», once.
func (l *ledger) remark(ch Channel, f fact) error {
	if f.Meaning == carrier.Processed || f.Meaning == carrier.Delivered {
		return nil
	}
	_, err := l.tx.ExecContext(l.ctx, `INSERT INTO remark (campaign, channel, person, attempt, meaning, code, at) VALUES ($1,$2,$3,$4,$5,$6,$7) ON CONFLICT DO NOTHING`,
		l.campaign, ch, f.person, f.Attempt, f.Meaning, f.Code, f.At.Unix())
	if err != nil {
		return fmt.Errorf("ledger: remark: %w", err)
	}
	return nil
}
