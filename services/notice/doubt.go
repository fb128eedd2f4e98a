package notice

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tocsin.dev/pkg/organisation"
	"tocsin.dev/pkg/person"
)

// settleDoubts works on requests in doubt until ctx ends.
func (s *Service) settleDoubts(ctx context.Context) {
	every := min(max(s.cfg.Doubt.Quiet/4, 50*time.Millisecond), 5*time.Second)
	tick := time.NewTicker(every)
	defer tick.Stop()
	swept := s.cfg.Now()
	for {
		if err := s.recoverAbandoned(ctx); err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "abandoned requests could not be read; will try again", "error", err)
		}
		if err := s.settleSome(ctx); err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "settling doubts failed; will try again", "error", err)
		}
		if err := s.forgetRecalled(ctx); err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "recalled requests could not be forgotten; will try again", "error", err)
		}
		if err := s.watchFailures(ctx); err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "failures could not be counted; will try again", "error", err)
		}
		if err := s.watchBudget(ctx); err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "the doubt budget could not be checked; will try again", "error", err)
		}
		if now := s.cfg.Now(); now.Sub(swept) >= s.cfg.Doubt.Silent/24 {
			swept = now
			if err := s.markSilent(ctx); err != nil && ctx.Err() == nil {
				s.log.ErrorContext(ctx, "silent messages could not be marked; will try again", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *Service) settleSome(ctx context.Context) error {
	now := s.cfg.Now()
	due, err := readAttempts(ctx, s.store.db, `state=$1 AND settle_at<=$2 ORDER BY settle_at LIMIT 64`, attemptInDoubt, now.UnixMilli())
	if err != nil {
		return err
	}
	for _, a := range due {
		if ctx.Err() != nil {
			return nil
		}
		// Whoever moves the date works on it; the others see a later date.
		res, err := s.store.db.ExecContext(ctx, `UPDATE attempt SET settle_at=$3, probes=probes+1 WHERE id=$1 AND settle_at=$2 AND state=$4`,
			a.id, a.settleAt, now.Add(3*s.cfg.Lease).UnixMilli(), attemptInDoubt)
		if err != nil {
			return fmt.Errorf("claim doubt %d: %w", a.id, err)
		}
		if mustTouch(res) != nil {
			continue
		}
		next, err := s.settleOne(ctx, a)
		if err != nil {
			s.log.WarnContext(ctx, "a doubt could not be examined; will try again", "attempt", a.id, "error", err)
			next = s.cfg.Now().Add(s.cfg.Doubt.Quiet / 2)
		}
		if next.IsZero() {
			continue
		}
		if _, err := s.store.db.ExecContext(ctx, `UPDATE attempt SET settle_at=$2 WHERE id=$1 AND state=$3`, a.id, next.UnixMilli(), attemptInDoubt); err != nil {
			return fmt.Errorf("put off doubt %d: %w", a.id, err)
		}
	}
	return nil
}

// settleOne examines one request in doubt: receipts first, then the provider,
// then the policy. It returns when to look again, or zero if it is settled.
func (s *Service) settleOne(ctx context.Context, a *attempt) (time.Time, error) {
	if a.flags&flagRecall != 0 {
		settled, err := s.recalled(ctx, a)
		if settled || err != nil {
			return time.Time{}, err
		}
		if _, ok := s.recallable(a, s.cfg.Now()); ok {
			return s.recall(ctx, a)
		}
		if a.flags&flagRecall != 0 {
			return s.cfg.Now().Add(s.cfg.Doubt.within()), nil
		}
	}
	rows, err := brief(ctx, s.store.db, a.campaign, a.channel, a.people)
	if err != nil {
		return time.Time{}, err
	}
	doubtful, held, proven := s.weigh(a, rows)
	switch {
	case len(doubtful)+len(held) == 0:
		return time.Time{}, s.closeDoubt(ctx, a)
	case proven:
		return time.Time{}, s.believe(ctx, a, append(doubtful, held...))
	}
	now := s.cfg.Now()
	age := now.Sub(a.at)
	if len(doubtful) == 0 { // a person decides, unless evidence comes first
		asked, err := s.lookUp(ctx, a, held)
		if err != nil && !errors.Is(err, errLookUp) {
			return time.Time{}, err
		}
		if asked.found > 0 {
			return now, nil
		}
		return now.Add(max(s.cfg.Doubt.Quiet, age/4)), nil
	}
	quiet := a.at.Add(s.cfg.Doubt.Quiet)
	at, recallable := s.recallable(a, now)
	if recallable {
		quiet = at
	}
	if now.Before(quiet) {
		return quiet, nil
	}
	asked, err := s.lookUp(ctx, a, doubtful)
	if err != nil && !errors.Is(err, errLookUp) {
		return time.Time{}, err
	}
	if asked.found > 0 {
		return now, nil // what was found is applied; look at what is left
	}
	if recallable {
		return s.recall(ctx, a)
	}
	if age < s.cfg.Doubt.After {
		return earliest(now.Add(s.cfg.Doubt.Quiet), a.at.Add(s.cfg.Doubt.After)), nil
	}
	if !asked.complete && s.frozen(ctx, a, now) {
		return now.Add(s.cfg.Doubt.Quiet), nil
	}
	return time.Time{}, s.decideDoubt(ctx, a, doubtful)
}

// weigh sorts the messages of a request. proven is whether another message of
// the same email request is known to have been accepted: SendGrid takes a
// request whole or not at all.
func (s *Service) weigh(a *attempt, rows []message) (doubtful, held []message, proven bool) {
	for _, m := range rows {
		if m.attempt != a.id {
			continue
		}
		switch m.state {
		case InDoubt:
			doubtful = append(doubtful, m)
		case Held:
			held = append(held, m)
		case Accepted, Deferred, Delivered, Failed, Silent:
			proven = proven || a.channel == Email
		}
	}
	return doubtful, held, proven
}

func numbersOf(rows []message) []person.Number {
	all := make([]person.Number, len(rows))
	for i := range rows {
		all[i] = rows[i].person
	}
	return all
}

// believe accepts the rest of a request of which a part is proven.
func (s *Service) believe(ctx context.Context, a *attempt, doubtful []message) error {
	counts, err := s.store.write(ctx, a.campaign, s.cfg.Now(), func(l *ledger) error {
		for _, from := range []State{InDoubt, Held} {
			if _, err := l.move(a.channel, numbersOf(doubtful), from, Accepted, ReasonSameRequest, set{onAttempt: a.id}); err != nil {
				return err
			}
		}
		return l.close(a, attemptSettled, 0)
	})
	s.meters.changes(ctx, counts)
	return err
}

func (s *Service) closeDoubt(ctx context.Context, a *attempt) error {
	_, err := s.store.write(ctx, a.campaign, s.cfg.Now(), func(l *ledger) error { return l.close(a, attemptSettled, 0) })
	return err
}

// frozen reports whether our own sources of evidence are unfit, so that
// silence proves nothing: no receipt has come since the request, or the last
// ones could not be verified. A freeze ends by itself after a while, or when
// the legal due instant is near.
func (s *Service) frozen(ctx context.Context, a *attempt, now time.Time) bool {
	if now.Sub(a.at) > s.cfg.Doubt.After+s.cfg.Doubt.Freeze {
		return false
	}
	if c, err := s.campaign(ctx, a.campaign); err == nil && c != nil {
		if file, err := s.cfg.Journal.Load(ctx, c.org, c.caseID); err == nil {
			if d := file.NextDue(); d != nil && d.Due.Sub(now) < s.cfg.Doubt.Guard {
				return false
			}
		}
	}
	var okAt, bad int64
	err := s.store.db.QueryRowContext(ctx, `SELECT ok_at, bad FROM account WHERE name=$1`, a.account).Scan(&okAt, &bad)
	return err != nil || bad > 0 || okAt < a.at.UnixMilli()
}

// decideDoubt applies the policy to messages whose doubt no evidence settled.
func (s *Service) decideDoubt(ctx context.Context, a *attempt, doubtful []message) error {
	c, err := s.campaign(ctx, a.campaign)
	if err != nil || c == nil {
		return err
	}
	policy := s.policy(c.org)
	counts, err := s.store.write(ctx, a.campaign, s.cfg.Now(), func(l *ledger) error {
		p, err := activePlan(ctx, l.tx, a.campaign)
		if err != nil {
			return err
		}
		people := numbersOf(doubtful)
		if policy == organisation.Hold || p == nil || p.state != planSending {
			if _, err := l.move(a.channel, people, InDoubt, Held, ReasonHold, set{onAttempt: a.id}); err != nil {
				return err
			}
			return l.close(a, attemptInDoubt, l.now+s.cfg.Doubt.Quiet.Milliseconds()) // evidence may still come
		}
		if err := l.resend(p, a, people, InDoubt, ReasonResend, 0); err != nil {
			return err
		}
		return l.close(a, attemptSettled, 0)
	})
	if err != nil {
		return err
	}
	s.meters.changes(ctx, counts)
	s.log.WarnContext(ctx, "doubts settled by policy", "attempt", a.id, "people", len(doubtful), "policy", policy)
	s.wakeUp()
	return nil
}

// resend plans messages in doubt once more, marked as possible duplicates
// under the same reference.
//
// After SIGKILL a request that was written down and never made looks the same
// as one that was made and not answered, so up to one page of each worker is
// marked although nobody got it. The mark stays even if the provider, asked,
// knows none of them: SendGrid's logs lag behind what it accepted and only some
// of a request are looked up, and Twilio's list is searched by words. A second
// copy that says it may be one harms less than one that does not.
func (l *ledger) resend(p *plan, a *attempt, people []person.Number, from State, why Reason, flags int) error {
	if _, err := l.move(a.channel, people, from, Planned, why, set{onAttempt: a.id, flags: flagDuplicate | flags}); err != nil {
		return err
	}
	return l.reopen(p, a.channel, people)
}

// reopen opens the chunks of people, in order of number, who are planned again.
func (l *ledger) reopen(p *plan, ch Channel, people []person.Number) error {
	for _, n := range people {
		c, ok, err := chunkOf(l.ctx, l.tx, p.id, n)
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("ledger: person %d belongs to no chunk of plan %d", n, p.id)
		}
		c.channel = ch
		if err := l.open(c, l.now); err != nil {
			return err
		}
		if n >= people[len(people)-1] || c.last >= people[len(people)-1] {
			break // one chunk holds them all
		}
	}
	return nil
}

// fewDoubts is how many people may be in doubt in any plan, however small,
// before the budget counts.
const fewDoubts = 20

// watchBudget stops a sending whose doubts are more than noise: that is an
// outage or a mistake of ours, and sending on would only add to it. Each time a
// person resumes the order, as much again is allowed.
func (s *Service) watchBudget(ctx context.Context) error {
	if s.cfg.Doubt.Budget >= 1 {
		return nil
	}
	plans, err := s.store.plansWhere(ctx, `state=$1 AND halt=0 AND id IN (SELECT plan FROM attempt WHERE state=$2)`, planSending, attemptInDoubt)
	if err != nil {
		return err
	}
	for _, p := range plans {
		var n int64
		err := s.store.db.QueryRowContext(ctx, `SELECT COALESCE(SUM(n),0) FROM attempt WHERE state=$1 AND plan=$2 AND at<$3`,
			attemptInDoubt, p.id, s.cfg.Now().Add(-s.cfg.Doubt.Quiet).UnixMilli()).Scan(&n)
		if err != nil {
			return fmt.Errorf("count doubts of plan %d: %w", p.id, err)
		}
		if allowed := max(fewDoubts, int64(s.cfg.Doubt.Budget*float64(p.people))) * (1 + p.granted); n > allowed {
			if err := s.blockPlan(ctx, p, "doubt_budget", fmt.Sprintf("requests for %d people are in doubt for more than %v; at most %d are noise", n, s.cfg.Doubt.Quiet, allowed)); err != nil {
				return err
			}
		}
	}
	return nil
}

// markSilent notes accepted messages of which no receipt ever told what became
// of them. They still count as told.
func (s *Service) markSilent(ctx context.Context) error {
	before := s.cfg.Now().Add(-s.cfg.Doubt.Silent)
	plans, err := s.store.plansWhere(ctx, `state=$1 AND last_at>$2`, planSending, before.Add(-3*s.cfg.Doubt.Silent).UnixMilli())
	if err != nil {
		return err
	}
	for _, p := range plans {
		for _, ch := range []Channel{Email, SMS} {
			for _, from := range []State{Accepted, Deferred} {
				if err := s.markSilentOn(ctx, p, ch, from, before); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (s *Service) markSilentOn(ctx context.Context, p *plan, ch Channel, from State, before time.Time) error {
	for {
		rows, err := scanMessages(s.store.db.QueryContext(ctx, `SELECT `+messageColumns+` FROM message
			WHERE campaign=$1 AND channel=$2 AND state=$3 AND at<$4 LIMIT 1000`, p.campaign, ch, from, before.UnixMilli()))
		if err != nil || len(rows) == 0 {
			return err
		}
		counts, err := s.store.write(ctx, p.campaign, s.cfg.Now(), func(l *ledger) error {
			_, err := l.move(ch, numbersOf(rows), from, Silent, ReasonSilence, set{})
			return err
		})
		if err != nil {
			return err
		}
		s.meters.changes(ctx, counts)
	}
}

// watchFailures stops a sending of which too much fails: a wrong list or a
// wrong sender shows so, on the canary page if there is one.
func (s *Service) watchFailures(ctx context.Context) error {
	plans, err := s.store.atWork(ctx)
	if err != nil {
		return err
	}
	for _, p := range plans {
		if p.granted > 0 {
			continue
		}
		t, err := s.store.tally(ctx, p.campaign)
		if err != nil {
			return err
		}
		for ch, states := range t.States {
			bad := states[Failed.String()] + states[Refused.String()]
			ended := bad + states[Delivered.String()]
			if ended < 100 || float64(bad) <= s.cfg.MaxFailed*float64(ended) || states[Planned.String()] == 0 {
				continue
			}
			if err := s.blockPlan(ctx, p, "too_many_failures", fmt.Sprintf("%d of %d messages by %s failed", bad, ended, ch)); err != nil {
				return err
			}
		}
	}
	return nil
}
