package notice

import (
	"fmt"
	"slices"

	"tocsin.dev/pkg/person"
	"tocsin.dev/services/notice/carrier"
)

// refusedBy handles a refusal: whoever is named, or stands alone, is refused
// and goes to the next rung; everybody else was not sent to.
func (s *Service) refusedBy(l *ledger, p *plan, at *attempt, a carrier.Answer, people []person.Number) error {
	var bad, good []person.Number
	for i, n := range people {
		if len(people) == 1 || slices.Contains(a.Bad, i) {
			bad = append(bad, n)
		} else {
			good = append(good, n)
		}
	}
	for _, from := range []State{Submitted, InDoubt} {
		if _, err := l.move(at.channel, good, from, Planned, ReasonNotSent, set{onAttempt: at.id}); err != nil {
			return err
		}
	}
	meaning := a.Meaning
	if meaning == 0 {
		meaning = carrier.Hard
	}
	rows, err := onChannel(l.ctx, l.tx, l.campaign, at.channel, bad)
	if err != nil {
		return err
	}
	var fell []message
	for _, m := range rows {
		if m.attempt != at.id || m.state != Submitted && m.state != InDoubt {
			continue
		}
		if _, err := l.move(at.channel, []person.Number{m.person}, m.state, Refused, ReasonRefusal,
			set{onAttempt: at.id, receipt: true, meaning: int(meaning), code: a.Code, toldAt: l.now / 1000}); err != nil {
			return err
		}
		fell = append(fell, m)
	}
	return l.nextRung(p, fell)
}

// nextRung opens the next channel of people whose message failed, or marks
// them unreachable; whose letter came back because they are dead is left out. Without a plan that sends, it only marks them stopped.
func (l *ledger) nextRung(p *plan, fell []message) error {
	if len(fell) == 0 {
		return nil
	}
	numbers := make([]person.Number, len(fell))
	for i := range fell {
		numbers[i] = fell[i].person
	}
	slices.Sort(numbers)
	known, err := messagesOf(l.ctx, l.tx, l.campaign, numbers)
	if err != nil {
		return err
	}
	before := map[person.Number][]message{}
	for _, m := range known {
		before[m.person] = append(before[m.person], m)
	}
	for _, m := range fell {
		if counted(before[m.person]) {
			continue // another message of the person stands already
		}
		r := message{person: m.person, ladder: m.ladder.After(m.channel), state: Planned, reason: ReasonNextRung,
			exposed: m.exposed, bind: m.bind, place: m.place, flags: m.flags & flagGuardian}
		r.channel = r.ladder.First()
		switch {
		case m.meaning == int(carrier.Deceased) && m.flags&flagGuardian != 0:
			r.channel, r.ladder, r.state, r.reason = None, 0, Unreachable, ReasonGuardianMissing
		case m.meaning == int(carrier.Deceased):
			r.channel, r.ladder, r.state, r.reason = None, 0, Excluded, ReasonDeceased
		case r.channel == None:
			r.state, r.reason = Unreachable, ReasonLadderEnd
		}
		put, err := l.place(&r, before[m.person], set{fresh: true, exposed: r.exposed, bind: r.bind})
		if err != nil {
			return err
		}
		if put {
			if _, err := l.put([]message{r}); err != nil {
				return err
			}
		}
		if err := l.openFor(p, r); err != nil {
			return err
		}
	}
	return nil
}

func counted(rows []message) bool {
	for _, m := range rows {
		if m.state.Counts() != NotCounted {
			return true
		}
	}
	return false
}

// openFor opens the chunk of a newly planned message, or stops the message if
// its order does not send any more.
func (l *ledger) openFor(p *plan, r message) error {
	if r.state != Planned {
		return nil
	}
	if p == nil {
		_, err := l.move(r.channel, []person.Number{r.person}, Planned, Stopped, ReasonStop, set{})
		return err
	}
	c, ok, err := chunkOf(l.ctx, l.tx, p.id, r.person)
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("ledger: person %d belongs to no chunk of plan %d", r.person, p.id)
	}
	c.channel = r.channel
	return l.open(c, l.now)
}
