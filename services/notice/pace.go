package notice

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"tocsin.dev/pkg/organisation"
	"tocsin.dev/services/notice/carrier"
)

// longestWait bounds how far ahead a batch may be reserved: a paused or
// stopped order must not hold what others could use.
const longestWait = 2 * time.Second

// burst is how much unused time a bucket keeps: a worker that comes to its turn
// late makes up for it, and no more than this much ever leaves at once besides.
const burst = time.Second

// Buckets are rows of the store, so all replicas share them. A bucket's name is
// the key of its limit in Config.Rates; the one of an account also says until
// when the account wants no more.

func (a *account) bucket() string { return "account/" + a.name }

// shutter names the bucket that says until when an account is closed, so that another stands in.
func (a *account) shutter() string { return a.bucket() + "/closed" }

// domainLimit begins the key of a limit on a recipients' mail domain.
const domainLimit = "domain/"

// limit is a token bucket with its rate in messages a second; 0 means unlimited.
type limit struct {
	name string
	rate float64
}

// limits are what a batch through an account has to keep to: those of the
// vendor, of the account and of the sender, in order of name.
func (s *Service) limits(a *account, from organisation.Sender) []limit {
	sender := from.Email
	if a.channel == SMS {
		sender = a.senderOf(from)
	}
	all := []limit{{name: a.bucket()}, {name: a.provider()}, {name: a.provider() + "/" + sender}}
	for i := range all {
		all[i].rate = s.cfg.Rates[all[i].name]
	}
	return all
}

// reserve takes room for n messages from every bucket of an account. It returns
// 0 if the batch may be sent now, or how long to wait before asking again.
func (s *Service) reserve(ctx context.Context, a *account, from organisation.Sender, n int) (time.Duration, error) {
	all := s.limits(a, from)
	now := s.cfg.Now().UnixMicro()
	var free sql.NullInt64
	if err := s.store.db.QueryRowContext(ctx, `SELECT MAX(next_at) FROM bucket WHERE name IN ($1,$2,$3)`, all[0].name, all[1].name, all[2].name).Scan(&free); err != nil {
		return 0, fmt.Errorf("pace account %s: %w", a.name, err)
	}
	if wait := time.Duration(free.Int64-now) * time.Microsecond; wait > 0 {
		return min(wait, longestWait), nil
	}
	all = slices.DeleteFunc(all, func(l limit) bool { return l.rate <= 0 })
	if len(all) == 0 {
		return 0, nil
	}
	err := s.store.db.Tx(ctx, func(tx *sql.Tx) error {
		for _, l := range all {
			if err := l.take(ctx, tx, now, n); err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, errTaken) {
		return 20 * time.Millisecond, nil
	}
	if err != nil {
		return 0, fmt.Errorf("pace account %s: %w", a.name, err)
	}
	return 0, nil
}

// errTaken means that another worker was faster.
var errTaken = errors.New("the bucket is empty")

// take takes n tokens from a bucket, or fails with errTaken while it is empty.
func (l limit) take(ctx context.Context, tx *sql.Tx, now int64, n int) error {
	if _, err := tx.ExecContext(ctx, `INSERT INTO bucket (name, next_at) VALUES ($1, 0) ON CONFLICT DO NOTHING`, l.name); err != nil {
		return err
	}
	res, err := tx.ExecContext(ctx, `UPDATE bucket SET next_at = (CASE WHEN next_at > $4 THEN next_at ELSE $4 END) + $3 WHERE name=$1 AND next_at <= $2`,
		l.name, now, l.cost(n), now-burst.Microseconds())
	if err != nil {
		return err
	}
	if k, err := res.RowsAffected(); err != nil || k == 1 {
		return err
	}
	return errTaken
}

// cost is how long n messages take, in microseconds.
func (l limit) cost(n int) int64 { return int64(float64(n) * 1e6 / l.rate) }

// giveBack returns the room of n messages that are not sent now after all.
func (s *Service) giveBack(ctx context.Context, a *account, from organisation.Sender, n int) error {
	for _, l := range s.limits(a, from) {
		if l.rate <= 0 || n == 0 {
			continue
		}
		if _, err := s.store.db.ExecContext(ctx, `UPDATE bucket SET next_at = next_at - $2 WHERE name=$1`, l.name, l.cost(n)); err != nil {
			return fmt.Errorf("pace account %s: %w", a.name, err)
		}
	}
	return nil
}

// withinDomains returns the letters whose recipients' mail domains take more
// now, and how long to wait before the others are tried. A domain without a limit takes
// everything; one with a limit takes a second's worth at a time.
func (s *Service) withinDomains(ctx context.Context, letters []letter) (may []letter, wait time.Duration, err error) {
	byDomain := map[string][]letter{}
	for _, l := range letters {
		_, domain, _ := strings.Cut(l.to.reach.Email.Reveal(), "@")
		name := domainLimit + strings.ToLower(domain)
		if s.cfg.Rates[name] <= 0 {
			may = append(may, l)
			continue
		}
		byDomain[name] = append(byDomain[name], l)
	}
	for name, some := range byDomain {
		l := limit{name, s.cfg.Rates[name]}
		n := min(len(some), max(1, int(l.rate)))
		err := s.store.db.Tx(ctx, func(tx *sql.Tx) error { return l.take(ctx, tx, s.cfg.Now().UnixMicro(), n) })
		if errors.Is(err, errTaken) {
			n = 0
		} else if err != nil {
			return nil, 0, fmt.Errorf("pace a mail domain: %w", err)
		}
		may = append(may, some[:n]...)
		if n < len(some) {
			wait = time.Second // by then each takes as many again
		}
	}
	return may, wait, nil
}

// hasDomainLimits reports whether any mail domain is limited.
func (c *Config) hasDomainLimits() bool {
	for name := range c.Rates {
		if strings.HasPrefix(name, domainLimit) {
			return true
		}
	}
	return false
}

// longestSlow is how long an account may ask us to wait before another stands in.
const longestSlow = time.Minute

// slowDown keeps off an account for a while: as long as it asks for after a 429,
// and longer with every refusal in a row when the account itself is the fault.
func (s *Service) slowDown(ctx context.Context, w *worker, r *run, a carrier.Answer) time.Duration {
	wait, err := s.strike(ctx, w.account, func(strikes int) time.Duration {
		switch {
		case a.Class == carrier.Account:
			return max(a.RetryAfter, min(30*time.Second<<min(strikes-1, 4), 5*time.Minute))
		case a.RetryAfter <= 0:
			return min(time.Second<<min(strikes-1, 6), time.Minute)
		}
		return a.RetryAfter
	}, a.Class == carrier.Account)
	if err != nil {
		s.log.ErrorContext(ctx, "pacing could not be written", "account", w.account.name, "error", err)
	}
	if a.Class != carrier.Account {
		return wait
	}
	s.log.ErrorContext(ctx, "a provider refuses our account", "account", w.account.name, "detail", a.Detail, "again_in", wait)
	// What this account may have already waits for it, whoever stands in.
	if s.standIn(ctx, w.account) && r.attempt.flags&flagDuplicate == 0 {
		return another
	}
	if _, err := s.store.db.ExecContext(ctx, `UPDATE plan SET reason=$2, detail=$3 WHERE id=$1`, w.p.id, "provider_account", w.account.name+": "+a.Detail); err == nil {
		s.runner.Poke(w.p.org, w.p.caseID)
	}
	return wait
}

// rest closes an account that leaves one request after the other unanswered:
// what it may have is in doubt, and each further request would add to that.
func (s *Service) rest(ctx context.Context, a *account) time.Duration {
	wait, err := s.strike(ctx, a, func(strikes int) time.Duration { return min(time.Second<<min(strikes-1, 6), time.Minute) }, true)
	if err != nil {
		s.log.ErrorContext(ctx, "pacing could not be written", "account", a.name, "error", err)
	}
	s.log.ErrorContext(ctx, "an account does not answer and rests", "account", a.name, "again_in", wait)
	if s.standIn(ctx, a) {
		return another
	}
	return wait
}

// strike counts a refusal, and keeps off the account for a while that depends
// on how many there were in a row. shut lets another account stand in meanwhile.
func (s *Service) strike(ctx context.Context, a *account, pause func(strikes int) time.Duration, shut bool) (wait time.Duration, err error) {
	now := s.cfg.Now()
	err = s.store.db.Tx(ctx, func(tx *sql.Tx) error {
		var strikes int
		err := tx.QueryRowContext(ctx, `INSERT INTO bucket (name, next_at, strikes) VALUES ($1, 0, 1)
			ON CONFLICT (name) DO UPDATE SET strikes = bucket.strikes + 1 RETURNING strikes`, a.bucket()).Scan(&strikes)
		if err != nil {
			return err
		}
		wait = pause(strikes)
		until := now.Add(wait).UnixMicro()
		if _, err = tx.ExecContext(ctx, `UPDATE bucket SET next_at = CASE WHEN next_at > $2 THEN next_at ELSE $2 END WHERE name=$1`, a.bucket(), until); err != nil {
			return err
		}
		if shut || wait > longestSlow {
			_, err = tx.ExecContext(ctx, `INSERT INTO bucket (name, next_at) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET next_at=excluded.next_at`, a.shutter(), until)
		}
		return err
	})
	return wait, err
}

// providerWorks forgets earlier refusals.
func (s *Service) providerWorks(ctx context.Context, a *account) {
	var strikes int
	if err := s.store.db.QueryRowContext(ctx, `SELECT strikes FROM bucket WHERE name=$1`, a.bucket()).Scan(&strikes); err != nil || strikes == 0 {
		return
	}
	if _, err := s.store.db.ExecContext(ctx, `UPDATE bucket SET strikes=0 WHERE name=$1`, a.bucket()); err != nil {
		s.log.WarnContext(ctx, "pacing could not be written", "account", a.name, "error", err)
	}
}
