package notice

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"tocsin.dev/services/notice/carrier"
	"tocsin.dev/services/notice/smtp"
)

// ownServerBatch is how many messages one batch hands to the own mail server,
// one after the other on each connection: few, so that the lease outlasts them.
const ownServerBatch = 100

// faxBatch is how many faxes one batch writes, each a file of its own that takes
// some 20 ms: few, so that the lease outlasts them.
const faxBatch = 200

// mostDeferrals is how often the own mail server may put a recipient off, a
// minute or more each time, before the person's next channel is opened.
const mostDeferrals = 60

// route chooses the account through which planned messages go, and which of
// them. While an account is closed, the next of its channel stands in, but only
// for messages that provably no account has: one that is sent again after an
// unresolved doubt waits for the account that may have it already.
func (s *Service) route(ctx context.Context, ch Channel, rows []message) (*account, []message, error) {
	all := s.accountsOn(ch)
	switch {
	case len(all) == 0:
		return nil, nil, block("no_provider", "messages by %s are planned, and no account for it is set up on this installation", ch)
	case len(all) == 1:
		return all[0], all[0].handful(rows), nil
	}
	had, err := s.mayHave(ctx, rows, all[0].name)
	if err != nil {
		return nil, nil, err
	}
	var waits *account // the first with messages, should every one of them be closed
	var waiting []message
	for _, a := range all {
		now := make([]message, 0, len(rows))
		for i := range rows {
			if rows[i].flags&flagDuplicate == 0 || had[rows[i].attempt] == a.name {
				now = append(now, rows[i])
			}
		}
		if len(now) == 0 {
			continue
		}
		closed, err := s.closed(ctx, a)
		if err != nil {
			return nil, nil, err
		}
		if !closed {
			return a, a.handful(now), nil
		}
		if waits == nil {
			waits, waiting = a, a.handful(now)
		}
	}
	if waits == nil {
		return nil, nil, block("no_provider", "messages by %s may have left by accounts that are not set up any more", ch)
	}
	return waits, waiting, nil
}

// mayHave returns the account that may have a message already, by attempt, for
// those that are sent again after an unresolved doubt. For an attempt that is
// not known any more it is the one that would have carried it.
func (s *Service) mayHave(ctx context.Context, rows []message, usual string) (map[int64]string, error) {
	had := map[int64]string{}
	for i := range rows {
		id := rows[i].attempt
		if _, known := had[id]; known || rows[i].flags&flagDuplicate == 0 {
			continue
		}
		a, err := s.attempt(ctx, id)
		if err != nil {
			return nil, err
		}
		if had[id] = usual; a != nil {
			had[id] = a.account
		}
	}
	return had, nil
}

// handful limits what one batch hands over as a file of faxes or to the own mail
// server; whom that put off comes after those who were not tried yet.
func (a *account) handful(rows []message) []message {
	if a.channel == Fax {
		return rows[:min(len(rows), faxBatch)]
	}
	if a.smtp == nil {
		return rows
	}
	slices.SortStableFunc(rows, func(a, b message) int { return a.tries - b.tries })
	return rows[:min(len(rows), ownServerBatch)]
}

// closed reports whether an account refuses us or rests.
func (s *Service) closed(ctx context.Context, a *account) (bool, error) {
	var until int64
	err := s.store.db.QueryRowContext(ctx, `SELECT next_at FROM bucket WHERE name=$1`, a.shutter()).Scan(&until)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return false, fmt.Errorf("read whether account %s is closed: %w", a.name, err)
	}
	return until > s.cfg.Now().UnixMicro(), nil
}

// standIn reports whether another account of the channel is open.
func (s *Service) standIn(ctx context.Context, shut *account) bool {
	for _, a := range s.accountsOn(shut.channel) {
		if a == shut {
			continue
		}
		if closed, err := s.closed(ctx, a); err == nil && !closed {
			return true
		}
	}
	return false
}

// mailOwn sends one person's message through the own mail server. An error
// means that the letter failed the second check and nothing was sent.
func (w *worker) mailOwn(ctx context.Context, k *content, r *run) (carrier.Answer, error) {
	unsent := carrier.Answer{Class: carrier.NotSent, Detail: "held back"}
	l := &r.letters[0]
	m, err := l.text.Render(l.rec)
	if err != nil {
		return unsent, block("empty_merge", "%v", err)
	}
	if err := w.inspectText(m.Text, l); err != nil {
		return unsent, err
	}
	from := k.org.Sender
	a := w.account.smtp.Send(ctx, smtp.Mail{
		FromName: from.EmailName, From: from.Email, ReplyTo: from.ReplyTo, To: l.to.reach.Email.Reveal(),
		Subject: m.Subject, Text: m.Text, HTML: m.HTML, Notice: l.id, Attempt: r.attempt.id,
	})
	w.account.heard(a)
	if a.Class == carrier.NotSent && a.RetryAfter > 0 && l.row.tries >= mostDeferrals {
		a.Class, a.Meaning = carrier.Refused, carrier.Soft
	}
	return a, nil
}
