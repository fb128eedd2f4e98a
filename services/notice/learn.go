package notice

import (
	"cmp"
	"fmt"
	"slices"

	"tocsin.dev/pkg/person"
	"tocsin.dev/services/notice/carrier"
)

// fact is a receipt with the message it is about.
type fact struct {
	carrier.Receipt
	channel Channel
	person  person.Number
	// scheduled is whether its request could be recalled.
	scheduled bool
}

// receive applies facts to the messages of one campaign: each at most once,
// in whatever order they come, from receipts or from a look-up. It sorts them.
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
	at := f.At.Unix()
	if f.At.IsZero() { // no clock of its own: when it came
		at = l.now / 1000
	}
	_, err := l.tx.ExecContext(l.ctx, `INSERT INTO remark (campaign, channel, person, attempt, meaning, code, at) VALUES ($1,$2,$3,$4,$5,$6,$7) ON CONFLICT DO NOTHING`,
		l.campaign, ch, f.person, f.Attempt, f.Meaning, f.Code, at)
	if err != nil {
		return fmt.Errorf("ledger: remark: %w", err)
	}
	return nil
}
