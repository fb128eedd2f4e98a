package notice

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"tocsin.dev/services/notice/carrier"
)

// delivery is one verified callback on its way into the store.
type delivery struct {
	from   *account
	raw    []byte
	facts  []carrier.Receipt
	strays []carrier.Receipt
}

// receiver gathers callbacks that arrive together into one transaction, so
// that one durable write serves many: a callback is answered 2xx only after
// its raw body is stored and its facts are applied.
type receiver struct {
	s    *Service
	some chan struct{} // holds one when callbacks wait

	mu      sync.Mutex
	waiting []*gathering
	ended   bool
}

// gathering is what goes into one transaction.
type gathering struct {
	all   []*delivery
	facts int
	done  chan struct{} // closed when err is known
	err   error
}

func newReceiver(s *Service) *receiver {
	return &receiver{s: s, some: make(chan struct{}, 1)}
}

const (
	// mostFacts bounds one transaction: whatever comes when it is reached goes into another.
	mostFacts = 4000
	// storeWithin bounds its time: providers hang up after 15 s and repeat.
	storeWithin = 14 * time.Second
	// plenty is how many facts are worth a transaction without waiting for more.
	plenty = 1000
	// lingers is how long callbacks of single messages collect while many arrive. By
	// bench fanout a message costs a tenth more without, and with twice as long.
	lingers = 5 * time.Millisecond
)

var errGone = errors.New("the service has stopped")

// take stores and applies one callback and returns when that is durable, also
// if the provider has hung up meanwhile: the store has a limit of its own.
func (r *receiver) take(d *delivery) error {
	g := r.join(d)
	if g == nil {
		return errGone
	}
	<-g.done
	return g.err
}

// join puts a callback among those that wait; nil when nobody will take them.
func (r *receiver) join(d *delivery) *gathering {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return nil
	}
	if n := len(r.waiting); n == 0 || r.waiting[n-1].facts >= mostFacts {
		r.waiting = append(r.waiting, &gathering{done: make(chan struct{})})
	}
	g := r.waiting[len(r.waiting)-1]
	g.all, g.facts = append(g.all, d), g.facts+len(d.facts)
	r.wake()
	return g
}

func (r *receiver) wake() {
	select {
	case r.some <- struct{}{}:
	default:
	}
}

func (r *receiver) run(ctx context.Context) {
	defer r.end()
	busy := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.some:
		}
		if busy && r.few() {
			r.linger(ctx)
		}
		if g := r.first(); g != nil {
			busy = len(g.all) > 4
			r.apply(ctx, g)
		}
	}
}

// end refuses what waits and whatever comes.
func (r *receiver) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	for _, g := range r.waiting {
		g.err = errGone
		close(g.done)
	}
	r.waiting = nil
}

// few reports whether what waits is hardly worth a transaction.
func (r *receiver) few() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.waiting) == 1 && r.waiting[0].facts < plenty
}

// linger lets callbacks of single messages collect: a transaction for five costs
// as much as one for fifty.
func (r *receiver) linger(ctx context.Context) {
	t := time.NewTimer(lingers)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// first returns what has waited longest; nobody can join it any more. While it is
// under way the next one collects by itself.
func (r *receiver) first() *gathering {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.waiting) == 0 {
		return nil
	}
	g := r.waiting[0]
	if r.waiting = slices.Delete(r.waiting, 0, 1); len(r.waiting) > 0 {
		r.wake()
	}
	return g
}

func (r *receiver) apply(ctx context.Context, g *gathering) {
	limited, cancel := context.WithTimeout(ctx, storeWithin)
	g.err = r.s.applyDeliveries(limited, g.all)
	cancel()
	verdict, facts := "applied", map[string]int{}
	if g.err != nil {
		verdict = "not_stored"
	}
	for _, d := range g.all {
		facts[d.from.name] += len(d.facts)
	}
	if g.err != nil && ctx.Err() == nil {
		r.s.log.ErrorContext(ctx, "receipts could not be stored; the provider will repeat them", "callbacks", len(g.all), "error", g.err)
	}
	close(g.done) // the bodies belong to the server again
	for account, n := range facts {
		r.s.meters.receipt(ctx, account, verdict, n)
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
