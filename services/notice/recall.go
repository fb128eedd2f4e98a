package notice

import (
	"context"
	"fmt"
	"time"

	"tocsin.dev/pkg/organisation"
	"tocsin.dev/services/notice/carrier"
	"tocsin.dev/services/notice/sendgrid"
)

// Recall is the policy «cancel»: email goes out under a batch that SendGrid
// holds back for a while. If the answer to a request is lost, its batch is
// cancelled; a cancellation in time proves that nobody got the mail, so its
// people are written to anew under another batch, and no copy is a possible
// duplicate. Where a cancellation cannot be had (another channel, too late,
// refused), a doubt is settled as under the policy «resend». SendGrid accepts a
// late one like any other, so what counts is the clock after its answer.

// policy is what becomes of doubts of an organisation that no evidence settles.
func (s *Service) policy(org string) string {
	if o, err := s.cfg.Organisations.Get(org); err == nil && o.InDoubt != "" {
		return o.InDoubt
	}
	return s.cfg.Doubt.Policy
}

// holdBack gives the requests of a batch each an id under which it can be
// recalled, and the instant until which SendGrid holds it. It returns an answer
// that is not Accepted if SendGrid gave no id; nothing is sent then. A mail that
// would come too late that way goes at once and cannot be recalled.
func (w *worker) holdBack(ctx context.Context, k *content, runs []*run) carrier.Answer {
	done := carrier.Answer{Class: carrier.Accepted}
	if !w.s.holdsBack(w.account, w.p.org) {
		return done
	}
	until := w.s.cfg.Now().Add(w.s.cfg.Doubt.Ahead).Add(time.Second - 1).Truncate(time.Second)
	if due := dueToPeople(k.c); due != nil && !until.Before(*due) {
		return done
	}
	for _, r := range runs {
		id, a := w.account.mail.NewBatch(ctx)
		w.account.heard(a)
		switch a.Class {
		case carrier.Accepted:
		case carrier.InDoubt: // an id that nobody knows does nothing
			a.Class = carrier.NotSent
			return a
		case carrier.Refused: // nobody's address is in it, so the account is at fault
			a.Class = carrier.Account
			return a
		default:
			return a
		}
		r.attempt.batch, r.attempt.sendAt = id, until.Unix()
	}
	return done
}

// holdsBack reports whether mail of an organisation through an account goes out so
// that it can be recalled.
func (s *Service) holdsBack(by *account, org string) bool {
	return by.mail != nil && s.policy(org) == organisation.Cancel
}

// notHeld is how long to wait when SendGrid gave no id.
func (w *worker) notHeld(ctx context.Context, r *run, a carrier.Answer) time.Duration {
	if w.account.mustRest() {
		return w.s.rest(ctx, w.account)
	}
	return w.heed(ctx, r, a)
}

// within is how long one request about a cancellation may take: two of them
// end before the last instant at which a cancellation is sure to count.
func (d *Doubt) within() time.Duration { return d.CancelBefore / 10 }

// recallable returns when a request in doubt is to be recalled, and whether it
// is not too late for that.
func (s *Service) recallable(a *attempt, now time.Time) (at time.Time, ok bool) {
	if a.batch == "" || s.accountNamed(a.account) == nil {
		return at, false
	}
	last := time.Unix(a.sendAt, 0).Add(-s.cfg.Doubt.CancelBefore - 2*s.cfg.Doubt.within())
	// Receipts may settle it until then.
	return a.at.Add(min(s.cfg.Doubt.Quiet, last.Sub(a.at)/2)), now.Before(last)
}

// recall cancels the batch of a request in doubt. It returns when to look
// again, or zero if the request is settled.
func (s *Service) recall(ctx context.Context, a *attempt) (time.Time, error) {
	soon := s.cfg.Now().Add(s.cfg.Doubt.within())
	var held int
	err := s.store.db.QueryRowContext(ctx, `SELECT COUNT(*) FROM attempt WHERE state=$1 AND settle_at>0 AND account=$2`, attemptRecalled, a.account).Scan(&held)
	if err != nil {
		return soon, fmt.Errorf("count cancelled batches of account %s: %w", a.account, err)
	}
	if held >= sendgrid.MostCancelled {
		return soon, nil
	}
	// Written down before it is asked for: from here on no receipt of this request
	// proves that it will be sent, whatever becomes of us.
	a.flags |= flagRecall
	if _, err := s.store.db.ExecContext(ctx, `UPDATE attempt SET flags=$2 WHERE id=$1 AND state=$3`, a.id, a.flags, attemptInDoubt); err != nil {
		return soon, fmt.Errorf("write down the recall of request %d: %w", a.id, err)
	}
	limited, cancel := context.WithTimeout(ctx, s.cfg.Doubt.within())
	defer cancel()
	if s.accountNamed(a.account).mail.Cancel(limited, a.batch).Class == carrier.Accepted {
		return time.Time{}, s.takeBack(ctx, a)
	}
	if settled, err := s.recalled(ctx, a); settled || err != nil {
		return time.Time{}, err
	}
	return soon, nil
}

// recalled finds out what became of a recall that was asked for, and takes the
// messages back if it is in force. A recall that is not, and that it is too late
// to repeat, is forgotten: the mail will be sent if SendGrid has it.
func (s *Service) recalled(ctx context.Context, a *attempt) (settled bool, err error) {
	by := s.accountNamed(a.account)
	if by == nil || by.mail == nil {
		return false, fmt.Errorf("account %s of the recalled request %d is not configured any more", a.account, a.id)
	}
	limited, cancel := context.WithTimeout(ctx, s.cfg.Doubt.within())
	defer cancel()
	inForce, answer := by.mail.Cancelled(limited, a.batch)
	switch {
	case inForce:
		return true, s.takeBack(ctx, a)
	case answer.Class != carrier.Accepted:
		s.log.WarnContext(ctx, "it is not known whether a batch is cancelled; will ask again", "attempt", a.id, "detail", answer.Detail)
		return false, nil
	}
	if _, ok := s.recallable(a, s.cfg.Now()); ok {
		return false, nil // what was asked for may still be on its way
	}
	a.flags &^= flagRecall
	_, err = s.store.db.ExecContext(ctx, `UPDATE attempt SET flags=$2 WHERE id=$1 AND state=$3`, a.id, a.flags, attemptInDoubt)
	return false, err
}

// takeBack plans the people of a request anew whose cancellation is now known to
// be in force. Only if there is still time, it was in time: a process may stand
// still, with its machine for example, between a look at the clock and its request.
func (s *Service) takeBack(ctx context.Context, a *attempt) error {
	sendAt, why := time.Unix(a.sendAt, 0), ReasonRecalled
	if !s.cfg.Now().Before(sendAt.Add(-s.cfg.Doubt.CancelBefore)) {
		why = ReasonRecalledLate
	}
	forget := sendAt.Add(s.cfg.Doubt.CancelBefore)
	counts, err := s.store.write(ctx, a.campaign, s.cfg.Now(), func(l *ledger) error { return l.takeBack(a, forget, why) })
	if err != nil {
		return err
	}
	s.meters.changes(ctx, counts)
	s.log.WarnContext(ctx, "a request in doubt was recalled", "attempt", a.id, "account", a.account, "reason", why)
	s.wakeUp()
	return nil
}

// takeBack also takes those back of whom SendGrid says that it works on them:
// the batch is discarded whole. If it was cancelled late, it may have been sent,
// and its people's next copy is marked, also under a later order. The cancellation
// can be forgotten at an instant.
func (l *ledger) takeBack(a *attempt, forget time.Time, why Reason) error {
	flags := 0
	if why == ReasonRecalledLate {
		flags = flagDuplicate
	}
	for _, from := range []State{InDoubt, Accepted} {
		if _, err := l.move(a.channel, a.people, from, Planned, why, set{onAttempt: a.id, flags: flags}); err != nil {
			return err
		}
	}
	p, err := activePlan(l.ctx, l.tx, a.campaign)
	if err != nil {
		return err
	}
	if p == nil {
		_, err = l.move(a.channel, a.people, Planned, Stopped, ReasonStop, set{onAttempt: a.id})
	} else {
		err = l.reopen(p, a.channel, a.people)
	}
	if err != nil {
		return err
	}
	return l.close(a, attemptRecalled, forget.UnixMilli())
}

// forgetRecalled gives the places of cancelled batches back once their mails
// have been discarded.
func (s *Service) forgetRecalled(ctx context.Context) error {
	now := s.cfg.Now()
	over, err := readAttempts(ctx, s.store.db, `state=$1 AND settle_at>0 AND settle_at<=$2 ORDER BY settle_at LIMIT 64`, attemptRecalled, now.UnixMilli())
	if err != nil {
		return err
	}
	for _, a := range over {
		by, next := s.accountNamed(a.account), int64(0)
		if by != nil && by.mail != nil {
			if said := by.mail.Forget(ctx, a.batch); said.Class != carrier.Accepted {
				next = now.Add(s.cfg.Doubt.Quiet).UnixMilli()
			}
		}
		if _, err := s.store.db.ExecContext(ctx, `UPDATE attempt SET settle_at=$2 WHERE id=$1`, a.id, next); err != nil {
			return fmt.Errorf("forget the recalled request %d: %w", a.id, err)
		}
	}
	return nil
}
