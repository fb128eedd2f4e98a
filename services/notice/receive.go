package notice

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"tocsin.dev/services/notice/carrier"
)

// delivery is one verified callback on its way into the store.
type delivery struct {
	from   *account
	raw    []byte
	facts  []carrier.Receipt
	strays []carrier.Receipt
	done   chan error
}

// receiver gathers callbacks that arrive together into one transaction, so
// that one durable write serves many: a callback is answered 2xx only after
// its raw body is stored and its facts are applied.
type receiver struct {
	s    *Service
	in   chan *delivery
	gone chan struct{} // closed when run has ended
}

func newReceiver(s *Service) *receiver {
	return &receiver{s: s, in: make(chan *delivery, 512), gone: make(chan struct{})}
}

const (
	// mostFacts bounds one transaction.
	mostFacts = 4000
	// storeWithin bounds its time: providers hang up after 15 s and repeat.
	storeWithin = 14 * time.Second
)

// take stores and applies one callback and returns when that is durable, also
// if the provider has hung up meanwhile: the store has a limit of its own.
func (r *receiver) take(d *delivery) error {
	d.done = make(chan error, 1)
	select {
	case r.in <- d:
	case <-r.gone:
		return errGone
	}
	select {
	case err := <-d.done:
		return err
	case <-r.gone:
		return errGone
	}
}

var errGone = errors.New("the service has stopped")

func (r *receiver) run(ctx context.Context) {
	defer close(r.gone)
	busy := false
	for {
		select {
		case <-ctx.Done():
			return
		case first := <-r.in:
			if busy && len(first.facts) < 100 {
				r.linger(ctx)
			}
			all := r.gather(first)
			busy = len(all) > 4
			r.apply(ctx, all)
		}
	}
}

// linger lets callbacks of single messages collect while many arrive: a
// transaction for five costs as much as one for fifty, and a provider that
// waits 15 s does not mind.
func (r *receiver) linger(ctx context.Context) {
	t := time.NewTimer(12 * time.Millisecond)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// gather takes whatever waits already; while one transaction is under way the
// next batch collects by itself.
func (r *receiver) gather(first *delivery) []*delivery {
	all, n := []*delivery{first}, len(first.facts)
	for n < mostFacts {
		select {
		case d := <-r.in:
			all, n = append(all, d), n+len(d.facts)
		default:
			return all
		}
	}
	return all
}

func (r *receiver) apply(ctx context.Context, all []*delivery) {
	limited, cancel := context.WithTimeout(ctx, storeWithin)
	err := r.s.applyDeliveries(limited, all)
	cancel()
	verdict, facts := "applied", map[string]int{}
	if err != nil {
		verdict = "not_stored"
	}
	for _, d := range all {
		facts[d.from.name] += len(d.facts)
		d.done <- err
	}
	for account, n := range facts {
		r.s.meters.receipt(ctx, account, verdict, n)
	}
	if err != nil && ctx.Err() == nil {
		r.s.log.ErrorContext(ctx, "receipts could not be stored; the provider will repeat them", "callbacks", len(all), "error", err)
	}
}

// applyDeliveries stores raw bodies and applies facts in one transaction.
func (s *Service) applyDeliveries(ctx context.Context, all []*delivery) error {
	return s.applyWith(ctx, all, nil)
}

// applyWith is applyDeliveries with a last word: last sees what has changed, may
// write more in the same transaction, and undoes all of it by an error.
func (s *Service) applyWith(ctx context.Context, all []*delivery, last func(*sql.Tx, []map[change]int64) error) error {
	byCampaign := map[int64][]fact{}
	now := s.cfg.Now()
	for _, d := range all {
		for _, f := range d.facts {
			a, err := s.attempt(ctx, f.Attempt)
			if err != nil {
				return err
			}
			canary := a != nil && s.isCanary(a, f)
			if a == nil || a.account != d.from.name || !canary && !s.genuine(ctx, a, f) {
				d.strays = append(d.strays, f)
				continue
			}
			if err := s.canaryReceipt(ctx, a, f, canary); err != nil {
				return err
			}
			if canary {
				continue
			}
			if byCampaign[a.campaign] == nil {
				byCampaign[a.campaign] = make([]fact, 0, len(all))
			}
			byCampaign[a.campaign] = append(byCampaign[a.campaign], fact{Receipt: f, channel: a.channel, person: a.people[f.Pos], scheduled: a.batch != ""})
		}
	}
	var counted []map[change]int64
	err := s.store.db.Tx(ctx, func(tx *sql.Tx) error {
		counted = nil
		if err := s.keepRaw(ctx, tx, all, now); err != nil {
			return err
		}
		for campaign, facts := range byCampaign {
			l := s.store.ledger(ctx, tx, campaign, now)
			if err := l.receive(facts, ReasonReceipt); err != nil {
				return err
			}
			if err := l.settle(); err != nil {
				return err
			}
			counted = append(counted, l.counts)
		}
		if last != nil {
			return last(tx, counted)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, c := range counted {
		s.meters.changes(ctx, c)
		for _, d := range all {
			s.provenBy(ctx, d.from, c)
		}
	}
	return nil
}

// provenBy notes that an account took requests whose answers were lost: it is
// at work, however silent it seemed.
func (s *Service) provenBy(ctx context.Context, by *account, counts map[change]int64) {
	if by.unanswered.Load() == 0 {
		return
	}
	for c := range counts {
		if c.channel == by.channel && c.was == InDoubt {
			by.unanswered.Store(0)
			s.providerWorks(ctx, by)
			return
		}
	}
}

// keepRaw stores bodies as they came, those of one account sealed together,
// with the facts that fit no attempt.
func (s *Service) keepRaw(ctx context.Context, tx *sql.Tx, all []*delivery, now time.Time) error {
	raw, sizes := map[*account][]byte{}, map[*account]int{}
	for _, d := range all {
		sizes[d.from] += binary.MaxVarintLen32 + len(d.raw)
	}
	for from, size := range sizes {
		// The nonce comes before and the tag after, so that they are sealed where they lie.
		raw[from] = make([]byte, s.vault.NonceSize(), s.vault.NonceSize()+size+s.vault.Overhead())
	}
	for _, d := range all {
		b := binary.AppendUvarint(raw[d.from], uint64(len(d.raw)))
		raw[d.from] = append(b, d.raw...)
		for _, f := range d.strays {
			if test, err := testReceipt(ctx, tx, f); test || err != nil {
				if err != nil {
					return err
				}
				continue
			}
			if _, err := tx.ExecContext(ctx, `INSERT INTO stray (provider, message, meaning, code, at) VALUES ($1,$2,$3,$4,$5)`,
				d.from.channel, f.Message, f.Meaning, f.Code, now.UnixMilli()); err != nil {
				return fmt.Errorf("store stray receipt: %w", err)
			}
		}
	}
	for from, room := range raw {
		nonce, bodies := room[:s.vault.NonceSize()], room[s.vault.NonceSize():]
		if _, err := rand.Read(nonce); err != nil {
			return fmt.Errorf("seal receipts: %w", err)
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO raw_receipt (provider, at, body) VALUES ($1,$2,$3)`,
			from.channel, now.UnixMilli(), s.vault.Seal(nonce, nonce, bodies, nil)); err != nil {
			return fmt.Errorf("store receipts: %w", err)
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO account (name, ok_at, good) VALUES ($1,$2,1)
			ON CONFLICT (name) DO UPDATE SET ok_at=excluded.ok_at, good=account.good+1, bad=0`, from.name, now.UnixMilli())
		if err != nil {
			return fmt.Errorf("store receipts: %w", err)
		}
	}
	return nil
}

// genuine reports whether a receipt's notice id is the one that its attempt
// and position had: ids are keyed, so nobody else can make one up.
func (s *Service) genuine(ctx context.Context, a *attempt, f carrier.Receipt) bool {
	if f.Pos < 0 || f.Pos >= len(a.people) {
		return false
	}
	c, err := s.campaign(ctx, a.campaign)
	if err != nil || c == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mark.notice(a.people[f.Pos], a.channel, a.digest) == f.Notice
}
