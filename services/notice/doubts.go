package notice

import (
	"context"
	"fmt"
	"slices"
	"time"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/event"
)

// answerDoubts answers event.AskDoubts: every request in doubt with both risks.
func (s *Service) answerDoubts(ctx context.Context, q event.DoubtsQuestion) (a event.DoubtsAnswer, err error) {
	limit := q.Limit
	if limit <= 0 || limit > 1000 {
		limit = 100
	}
	found, err := readAttempts(ctx, s.store.db, `state=$1 AND campaign IN (SELECT id FROM campaign WHERE org=$2 AND case_id=$3) ORDER BY at LIMIT $4`,
		attemptInDoubt, q.Org, q.Case, limit)
	if err != nil {
		return a, err
	}
	a.Doubts = []event.Doubt{}
	for _, at := range found {
		rows, err := brief(ctx, s.store.db, at.campaign, at.channel, at.people)
		if err != nil {
			return a, err
		}
		d := event.Doubt{Attempt: at.id, Channel: at.channel.String(), Since: at.at, Probes: at.probes, Next: time.UnixMilli(at.settleAt).UTC()}
		for _, m := range rows {
			if m.attempt == at.id && (m.state == InDoubt || m.state == Held) {
				d.People = append(d.People, m.person)
				d.Held = d.Held || m.state == Held
			}
		}
		if len(d.People) == 0 {
			continue
		}
		d.IfSentAgain = fmt.Sprintf("up to %d people may receive the same notice twice, under the same reference and marked as a possible duplicate", len(d.People))
		d.IfLeft = fmt.Sprintf("up to %d people may never be told on this channel", len(d.People))
		a.People += int64(len(d.People))
		a.Doubts = append(a.Doubts, d)
	}
	return a, nil
}

// answerSettle answers event.AskSettle: a person's decision about doubts.
func (s *Service) answerSettle(ctx context.Context, q event.SettleQuestion) (a event.SettleAnswer, err error) {
	switch {
	case q.Asker.Kind != event.PersonActor || !slices.Contains([]string{"legal", "dpo", "admin"}, q.Asker.Role):
		return a, bus.Refuse("forbidden", "doubts are settled by the roles legal, dpo and admin")
	case q.Reason == "":
		return a, bus.Refuse("invalid", "give the reason for the decision")
	case len(q.Attempts) == 0 || len(q.Attempts) > 1000:
		return a, bus.Refuse("invalid", "name between 1 and 1,000 requests in doubt")
	case !slices.Contains([]string{"resend", "accept", "drop"}, q.Decision):
		return a, bus.Refuse("invalid", "the decision is resend, accept or drop")
	}
	for _, id := range q.Attempts {
		at, err := readAttempt(ctx, s.store.db, id)
		if err != nil {
			return a, err
		}
		if at == nil {
			return a, bus.Refuse("not_found", "there is no request %d", id)
		}
		c, err := s.campaign(ctx, at.campaign)
		if err != nil {
			return a, err
		}
		if c == nil || c.org != q.Org || c.caseID != q.Case {
			return a, bus.Refuse("not_found", "there is no request %d in case %s", id, q.Case)
		}
		n, err := s.settleBy(ctx, at, q.Decision)
		if err != nil {
			return a, err
		}
		a.People += n
		s.log.WarnContext(ctx, "a person settled a doubt", "org", q.Org, "case", q.Case, "attempt", id, "by", q.Asker.ID, "decision", q.Decision, "reason", q.Reason, "people", n)
	}
	s.wakeUp()
	s.runner.Poke(q.Org, q.Case)
	return a, nil
}

// settleBy carries a person's decision out.
func (s *Service) settleBy(ctx context.Context, at *attempt, decision string) (n int64, err error) {
	if _, ok := s.recallable(at, s.cfg.Now()); ok && at.state == attemptInDoubt && at.flags&flagRecall != 0 {
		return 0, bus.Refuse("conflict", "request %d is being recalled; look again in a minute", at.id)
	}
	counts, err := s.store.write(ctx, at.campaign, s.cfg.Now(), func(l *ledger) error {
		n = 0
		p, err := activePlan(ctx, l.tx, at.campaign)
		if err != nil {
			return err
		}
		rows, err := onChannel(ctx, l.tx, at.campaign, at.channel, at.people)
		if err != nil {
			return err
		}
		for _, from := range []State{InDoubt, Held} {
			var some []message
			for _, m := range rows {
				if m.attempt == at.id && m.state == from {
					some = append(some, m)
				}
			}
			if err := l.settleAs(p, at, some, from, decision); err != nil {
				return err
			}
			n += int64(len(some))
		}
		return l.close(at, attemptSettled, 0)
	})
	s.meters.changes(ctx, counts)
	return n, err
}

func (l *ledger) settleAs(p *plan, at *attempt, some []message, from State, decision string) error {
	if len(some) == 0 {
		return nil
	}
	people, on := numbersOf(some), set{onAttempt: at.id, flags: flagOperator}
	switch decision {
	case "accept":
		_, err := l.move(at.channel, people, from, Accepted, ReasonOperatorAccept, on)
		return err
	case "drop":
		if _, err := l.move(at.channel, people, from, Failed, ReasonOperatorDrop, on); err != nil {
			return err
		}
		return l.nextRung(p, some)
	}
	if p == nil {
		return bus.Refuse("stopped", "the order does not send any more; accept or drop the doubt")
	}
	return l.resend(p, at, people, from, ReasonOperatorResend, flagOperator)
}
