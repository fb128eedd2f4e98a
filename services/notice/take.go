package notice

import (
	"fmt"
	"math"
	"slices"

	"tocsin.dev/pkg/person"
)

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
		was := before[i]
		if c := was.state.Counts(); c == Told || c == Doubtful || was.state == Submitted || was.state == Excluded && was.reason != ReasonPublicNotice {
			return false, nil
		}
		if before[i].state.Counts() != NotCounted {
			stands = i
		}
	}
	if stands < 0 || r.state != Planned && before[stands].state != Planned {
		return false, nil // not written to before and not now
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
			switch {
			case r.state == Excluded, r.reason == ReasonNextRung:
				why = r.reason
			case r.state == Unreachable:
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
