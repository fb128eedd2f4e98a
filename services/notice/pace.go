package notice

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"tocsin.dev/pkg/organisation"
	"tocsin.dev/services/notice/carrier"
)

// providerOf names the account through which a channel is sent as a rule.
func providerOf(ch Channel) string {
	switch ch {
	case Email:
		return "sendgrid"
	case SMS:
		return "twilio"
	}
	return ch.String()
}

// longestWait bounds how far ahead a batch may be reserved: a paused or
// stopped order must not hold what others could use.
const longestWait = 2 * time.Second

// burst is how much unused time a bucket keeps: a worker that comes to its turn
// late makes up for it, and no more than this much ever leaves at once besides.
const burst = time.Second

// reserve takes room for n messages from the token bucket of a sender. Buckets
// are rows of the store, so all replicas share them. It returns 0 if the batch
// may be sent now, or how long to wait before asking again.
func (s *Service) reserve(ctx context.Context, account string, from organisation.Sender, n int) (time.Duration, error) {
	name := account
	rate, ok := s.cfg.Rates[name+"/"+from.SMS]
	if account == providerOf(SMS) && ok {
		name += "/" + from.SMS
	} else {
		rate = s.cfg.Rates[name]
	}
	now := s.cfg.Now().UnixMicro()
	cost := int64(0)
	if rate > 0 {
		cost = int64(float64(n) * 1e6 / rate)
	}
	var free int64
	err := s.store.db.QueryRowContext(ctx, `SELECT next_at FROM bucket WHERE name=$1`, name).Scan(&free)
	if errors.Is(err, sql.ErrNoRows) {
		if cost == 0 {
			return 0, nil
		}
	} else if err != nil {
		return 0, fmt.Errorf("pace %s: %w", name, err)
	}
	if wait := time.Duration(free-now) * time.Microsecond; wait > 0 {
		return min(wait, longestWait), nil
	}
	if cost == 0 {
		return 0, nil
	}
	var taken bool
	err = s.store.db.Tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO bucket (name, next_at) VALUES ($1, 0) ON CONFLICT DO NOTHING`, name); err != nil {
			return err
		}
		res, err := tx.ExecContext(ctx, `UPDATE bucket SET next_at = (CASE WHEN next_at > $4 THEN next_at ELSE $4 END) + $3 WHERE name=$1 AND next_at <= $2`,
			name, now, cost, now-burst.Microseconds())
		if err != nil {
			return err
		}
		k, err := res.RowsAffected()
		taken = k == 1
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("pace %s: %w", name, err)
	}
	if !taken { // another worker was faster
		return 20 * time.Millisecond, nil
	}
	return 0, nil
}

// slowDown closes a provider for a while: as long as it asks for after a 429,
// and longer with every refusal in a row when the account itself is the fault.
func (s *Service) slowDown(ctx context.Context, p *plan, account string, a carrier.Answer) time.Duration {
	wait := a.RetryAfter
	var strikes int
	now := s.cfg.Now()
	err := s.store.db.Tx(ctx, func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, `INSERT INTO bucket (name, next_at, strikes) VALUES ($1, 0, 1)
			ON CONFLICT (name) DO UPDATE SET strikes = bucket.strikes + 1 RETURNING strikes`, account).Scan(&strikes)
		if err != nil {
			return err
		}
		if a.Class == carrier.Account {
			wait = max(wait, min(30*time.Second<<min(strikes-1, 4), 5*time.Minute))
		} else if wait <= 0 {
			wait = min(time.Second<<min(strikes-1, 6), time.Minute)
		}
		until := now.Add(wait).UnixMicro()
		if _, err = tx.ExecContext(ctx, `UPDATE bucket SET next_at = CASE WHEN next_at > $2 THEN next_at ELSE $2 END WHERE name=$1`, account, until); err != nil {
			return err
		}
		if a.Class == carrier.Account {
			_, err = tx.ExecContext(ctx, `INSERT INTO bucket (name, next_at) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET next_at=excluded.next_at`, closedAccount(account), until)
		}
		return err
	})
	if err != nil {
		s.log.ErrorContext(ctx, "pacing could not be written", "provider", account, "error", err)
	}
	if a.Class == carrier.Account {
		s.log.ErrorContext(ctx, "a provider refuses our account", "provider", account, "detail", a.Detail, "again_in", wait)
		if account == providerOf(Email) && s.smtp != nil {
			return another // the own mail server stands in
		}
		if _, err := s.store.db.ExecContext(ctx, `UPDATE plan SET reason=$2, detail=$3 WHERE id=$1`, p.id, "provider_account", account+": "+a.Detail); err == nil {
			s.runner.Poke(p.org, p.caseID)
		}
	}
	return wait
}

// providerWorks forgets earlier refusals.
func (s *Service) providerWorks(ctx context.Context, account string) {
	var strikes int
	if err := s.store.db.QueryRowContext(ctx, `SELECT strikes FROM bucket WHERE name=$1`, account).Scan(&strikes); err != nil || strikes == 0 {
		return
	}
	if _, err := s.store.db.ExecContext(ctx, `UPDATE bucket SET strikes=0 WHERE name=$1`, account); err != nil {
		s.log.WarnContext(ctx, "pacing could not be written", "provider", account, "error", err)
	}
}
