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

// ownServer names the organisation's own mail server among the accounts.
const ownServer = "smtp"

// ownServerBatch is how many messages one batch hands to the own mail server,
// one after the other on each connection: few, so that the lease outlasts them.
const ownServerBatch = 100

// mostDeferrals is how often the own mail server may put a recipient off, a
// minute or more each time, before the person's next channel is opened.
const mostDeferrals = 60

// closedAccount names the bucket that says until when an account refuses us.
func closedAccount(account string) string { return account + "/account" }

// route chooses the account through which planned messages go, and which of
// them. While SendGrid refuses our account, the own mail server stands in, but
// only for messages that provably no other account has: one that is sent again
// after an unresolved doubt waits for the account that may have it already.
func (s *Service) route(ctx context.Context, ch Channel, rows []message) (account string, now []message, err error) {
	if ch != Email || s.smtp == nil {
		return providerOf(ch), rows, nil
	}
	if s.mail != nil {
		var until int64
		err := s.store.db.QueryRowContext(ctx, `SELECT next_at FROM bucket WHERE name=$1`, closedAccount(providerOf(Email))).Scan(&until)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return "", nil, fmt.Errorf("read whether an account is closed: %w", err)
		}
		if until <= s.cfg.Now().UnixMicro() {
			return providerOf(Email), rows, nil
		}
		unsent := make([]message, 0, len(rows))
		for i := range rows {
			if rows[i].flags&flagDuplicate == 0 {
				unsent = append(unsent, rows[i])
			}
		}
		if len(unsent) == 0 {
			return providerOf(Email), rows, nil
		}
		rows = unsent
	}
	// Whom the server put off comes after those who were not tried yet.
	slices.SortStableFunc(rows, func(a, b message) int { return a.tries - b.tries })
	return ownServer, rows[:min(len(rows), ownServerBatch)], nil
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
	a := w.s.smtp.Send(ctx, smtp.Mail{
		FromName: from.EmailName, From: from.Email, ReplyTo: from.ReplyTo, To: l.to.reach.Email.Reveal(),
		Subject: m.Subject, Text: m.Text, HTML: m.HTML, Notice: l.id, Attempt: r.attempt.id,
	})
	if a.Class == carrier.NotSent && a.RetryAfter > 0 && l.row.tries >= mostDeferrals {
		a.Class, a.Meaning = carrier.Refused, carrier.Soft
	}
	return a, nil
}
