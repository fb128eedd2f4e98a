package notice

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/organisation"
	"tocsin.dev/services/notice/carrier"
)

// canaryState is what is known of a canary at the provider. Numbers are stored.
type canaryState uint8

const (
	canaryWaiting  canaryState = 1 // not asked yet, or the provider did not know it yet
	canaryRight    canaryState = 2
	canaryMismatch canaryState = 3
	canaryUnknown  canaryState = 4 // the provider was asked in vain
)

// keepCanary writes down that the provider has a canary. Its receipt may have
// been faster.
func (l *ledger) keepCanary(c *canary) error {
	_, err := l.tx.ExecContext(l.ctx, `INSERT INTO canary (attempt, plan, channel, who, message, words, tagged, state, ask_at, at)
		VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10) ON CONFLICT (attempt) DO UPDATE SET
		who=excluded.who, message=excluded.message, words=excluded.words, tagged=excluded.tagged, ask_at=excluded.ask_at`,
		c.attempt, c.plan, c.channel, c.who, c.message, c.words, c.tagged, canaryWaiting, l.now+canaryAsks[0].Milliseconds(), l.now)
	if err != nil {
		return fmt.Errorf("keep canary of attempt %d: %w", c.attempt, err)
	}
	return nil
}

// canaryAsks are the pauses before each look-up of one canary: the logs of a
// provider lag behind what it accepted.
var canaryAsks = [...]time.Duration{2 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute}

// canariesAtOnce bounds the look-ups of text messages in one round.
const canariesAtOnce = 20

// canaryAge is when a canary that was never looked up is let go.
const canaryAge = time.Hour

// watchCanaries asks the providers about canaries until ctx ends.
func (s *Service) watchCanaries(ctx context.Context) {
	tick := time.NewTicker(min(time.Second, s.cfg.CanaryEvery))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := s.askAboutCanaries(ctx); err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "canaries could not be checked; will try again", "error", err)
		}
	}
}

// askAboutCanaries looks up the newest canaries that are due: text messages as
// they come, mails as few as SendGrid allows, so those are a sample.
func (s *Service) askAboutCanaries(ctx context.Context) error {
	if len(s.canaryTo) == 0 {
		return nil // no organisation has any
	}
	for asked := 0; asked < canariesAtOnce; asked++ {
		if found, err := s.askAboutOne(ctx, SMS); err != nil {
			return err
		} else if !found {
			break
		}
	}
	if free, err := s.takeTurn(ctx, "canary/"+providerOf(Email), s.cfg.CanaryEvery); err != nil || !free {
		return err
	}
	found, err := s.askAboutOne(ctx, Email)
	if err == nil && !found { // nothing was asked, so nothing was used up
		_, err = s.store.db.ExecContext(ctx, `UPDATE bucket SET next_at=0 WHERE name=$1`, "canary/"+providerOf(Email))
	}
	return err
}

// takeTurn claims the right to ask, which replicas share, once in a while.
func (s *Service) takeTurn(ctx context.Context, name string, every time.Duration) (bool, error) {
	now := s.cfg.Now()
	res, err := s.store.db.ExecContext(ctx, `INSERT INTO bucket (name, next_at) VALUES ($1,$2)
		ON CONFLICT (name) DO UPDATE SET next_at=excluded.next_at WHERE bucket.next_at<=$3`, name, now.Add(every).UnixMicro(), now.UnixMicro())
	if err != nil {
		return false, fmt.Errorf("take a turn at %s: %w", name, err)
	}
	return mustTouch(res) == nil, nil
}

// askAboutOne looks up the newest canary of a channel that is due; false if none is.
func (s *Service) askAboutOne(ctx context.Context, ch Channel) (bool, error) {
	c, err := s.store.claimCanary(ctx, ch, s.cfg.Now())
	if err != nil || c == nil {
		return false, err
	}
	p, err := s.store.planByID(ctx, c.plan)
	if err != nil || p == nil {
		return true, err
	}
	org, err := s.cfg.Organisations.Get(p.org)
	if err != nil || c.who >= len(org.Canaries) {
		return true, s.store.setCanary(ctx, c.attempt, canaryUnknown) // the list was changed since
	}
	state, wrong, err := s.holds(ctx, c, org.Canaries[c.who])
	switch {
	case err != nil:
		s.log.InfoContext(ctx, "a provider could not be asked about a canary", "attempt", c.attempt, "error", err)
		fallthrough
	case state == canaryWaiting:
		if c.asks < len(canaryAsks) {
			return true, nil // claimCanary has put the next look-up off
		}
		state = canaryUnknown
	case state == canaryMismatch:
		return true, s.canaryIsWrong(ctx, c.attempt, wrong)
	}
	s.meters.canary(ctx, ch, state)
	return true, s.store.setCanary(ctx, c.attempt, state)
}

// claimCanary takes the newest canary that is due and puts its next look-up off.
func (s *store) claimCanary(ctx context.Context, ch Channel, now time.Time) (*canary, error) {
	c := &canary{channel: ch}
	var at, askAt int64
	err := s.db.QueryRowContext(ctx, `SELECT attempt, plan, who, message, words, tagged, asks, ask_at, at FROM canary
		WHERE state=1 AND channel=$1 AND ask_at<=$2 AND at>$3 ORDER BY at DESC LIMIT 1`, ch, now.UnixMilli(), now.Add(-canaryAge).UnixMilli()).
		Scan(&c.attempt, &c.plan, &c.who, &c.message, &c.words, &c.tagged, &c.asks, &askAt, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read canaries: %w", err)
	}
	c.at = time.UnixMilli(at)
	c.asks++
	next := now.Add(canaryAsks[min(c.asks, len(canaryAsks)-1)])
	res, err := s.db.ExecContext(ctx, `UPDATE canary SET asks=$3, ask_at=$4 WHERE attempt=$1 AND ask_at=$2`, c.attempt, askAt, c.asks, next.UnixMilli())
	if err != nil {
		return nil, fmt.Errorf("claim canary: %w", err)
	}
	if mustTouch(res) != nil {
		return nil, nil // another replica has it
	}
	return c, nil
}

func (s *store) setCanary(ctx context.Context, attempt int64, state canaryState) error {
	_, err := s.db.ExecContext(ctx, `UPDATE canary SET state=$2 WHERE attempt=$1 AND state=$3`, attempt, state, canaryWaiting)
	if err != nil {
		return fmt.Errorf("record canary of attempt %d: %w", attempt, err)
	}
	return nil
}

// holds asks the provider what it holds for a canary. wrong says what is not
// what was handed over; it names no address.
func (s *Service) holds(ctx context.Context, c *canary, own organisation.Canary) (state canaryState, wrong string, err error) {
	a, err := s.attempt(ctx, c.attempt)
	if err != nil || a == nil {
		return canaryWaiting, "", err
	}
	by := s.accountNamed(a.account)
	if by == nil {
		return canaryUnknown, "", nil // it is not configured any more
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if c.channel == SMS {
		to, body, err := by.sms.Fetch(ctx, c.message)
		switch {
		case err != nil:
			return canaryWaiting, "", err
		case to != own.Phone.Reveal():
			return canaryMismatch, "the canary's message is for another number", nil
		case digest(body) != c.words:
			return canaryMismatch, "the canary's message says something else than was handed over", nil
		}
		return canaryRight, "", nil
	}
	held, err := by.mail.Held(ctx, own.Email.Reveal(), c.message, c.at)
	if err != nil {
		return canaryWaiting, "", err
	}
	for _, m := range held {
		switch subject := digest(m.Subject); {
		case m.Notice != s.secrets.canary(c.attempt) || m.Attempt != c.attempt:
			return canaryMismatch, "the mail for the canary's address belongs to somebody else", nil
		case subject != c.words && subject != c.tagged:
			return canaryMismatch, "the canary's mail has another subject than was handed over", nil
		}
	}
	switch len(held) {
	case 0:
		return canaryWaiting, "", nil
	case 1:
		return canaryRight, "", nil
	}
	return canaryMismatch, fmt.Sprintf("the request holds %d mails for the canary", len(held)), nil
}

// isCanary reports whether a receipt is about the canary of its attempt.
func (s *Service) isCanary(a *attempt, f carrier.Receipt) bool {
	return f.Pos == len(a.people) && f.Notice == s.secrets.canary(a.id)
}

// canaryReceipt holds a receipt about an attempt against the addresses of the
// organisation's canaries: a canary's message goes to one of them, and no
// other message does. It runs for every receipt, so it is quick.
func (s *Service) canaryReceipt(ctx context.Context, a *attempt, f carrier.Receipt, ofCanary bool) error {
	c, err := s.campaign(ctx, a.campaign)
	if err != nil || c == nil || f.To == 0 {
		return err
	}
	own := s.canaryTo[c.org][f.To]
	switch {
	case !ofCanary && !own:
		return nil
	case ofCanary && !own:
		return s.canaryIsWrong(ctx, a.id, "the canary's message went to another address")
	case !ofCanary:
		return s.canaryIsWrong(ctx, a.id, fmt.Sprintf("the message of person %d went to the canary", a.people[f.Pos]))
	}
	// Before keepCanary there is nothing to look it up by.
	_, err = s.store.db.ExecContext(ctx, `INSERT INTO canary (attempt, plan, channel, who, message, words, state, receipt, ask_at, at) VALUES ($1,$2,$3,0,'','',$4,$5,$6,$7)
		ON CONFLICT (attempt) DO UPDATE SET receipt=excluded.receipt`, a.id, a.plan, a.channel, canaryWaiting, f.Meaning, int64(math.MaxInt64), s.cfg.Now().UnixMilli())
	if err != nil {
		return fmt.Errorf("receipt of a canary: %w", err)
	}
	return nil
}

// blockedByCanary is the reason of the block that a wrong canary is.
const blockedByCanary = "canary_mismatch"

// canaryIsWrong stops the sending of a batch's plan. Every batch counts once,
// and the first one is named: a block that stands is not said again.
func (s *Service) canaryIsWrong(ctx context.Context, attempt int64, wrong string) error {
	a, err := s.attempt(ctx, attempt)
	if err != nil || a == nil {
		return err
	}
	now := s.cfg.Now().UnixMilli()
	res, err := s.store.db.ExecContext(ctx, `INSERT INTO canary (attempt, plan, channel, who, message, words, state, ask_at, at) VALUES ($1,$2,$3,0,'','',$4,$5,$5)
		ON CONFLICT (attempt) DO UPDATE SET state=excluded.state WHERE canary.state<>excluded.state`, a.id, a.plan, a.channel, canaryMismatch, now)
	if err != nil {
		return fmt.Errorf("record canary of attempt %d: %w", a.id, err)
	}
	if mustTouch(res) != nil {
		return nil
	}
	s.meters.canary(ctx, a.channel, canaryMismatch)
	p, err := s.store.planByID(ctx, a.plan)
	if err != nil || p == nil {
		return err
	}
	detail := fmt.Sprintf("batch %d by %s, to %d people beginning with person %d: %s", a.id, a.channel, len(a.people), a.people[0], wrong)
	if p.state != planSending || p.halt != goes && p.reason == blockedByCanary {
		s.log.ErrorContext(ctx, "a canary is wrong, and the sending has ended or stands", "org", p.org, "case", p.caseID, "order", p.order, "detail", detail)
		return nil
	}
	return s.blockPlan(ctx, p, blockedByCanary, detail)
}

// canaryAddresses returns the hashes of the addresses of every organisation's canaries.
func canaryAddresses(orgs *organisation.Registry) map[string]map[uint64]bool {
	all := map[string]map[uint64]bool{}
	for _, o := range orgs.All() {
		for _, c := range o.Canaries {
			for _, ch := range []Channel{Email, SMS} {
				if to := canaryAddress(c, ch); to != "" {
					if all[o.ID] == nil {
						all[o.ID] = map[uint64]bool{}
					}
					all[o.ID][carrier.AddressHash(to)] = true
				}
			}
		}
	}
	return all
}

// canaryCount counts the canaries of a plan; nil if it sent none.
func (s *store) canaryCount(ctx context.Context, plan int64) (*event.CanaryCount, error) {
	var n event.CanaryCount
	err := s.db.QueryRowContext(ctx, `SELECT COUNT(*), COUNT(*) FILTER (WHERE state=2), COUNT(*) FILTER (WHERE state=3), COUNT(*) FILTER (WHERE receipt<>0 AND state<>3) FROM canary WHERE plan=$1`,
		plan).Scan(&n.Sent, &n.LookedUp, &n.Wrong, &n.Received)
	if err != nil {
		return nil, fmt.Errorf("count canaries of plan %d: %w", plan, err)
	}
	if n.Sent == 0 {
		return nil, nil
	}
	return &n, nil
}

func (s canaryState) String() string {
	return map[canaryState]string{canaryRight: "right", canaryMismatch: "mismatch", canaryUnknown: "unknown"}[s]
}

func (m *meters) canary(ctx context.Context, ch Channel, s canaryState) {
	m.canaries.Add(ctx, 1, metric.WithAttributes(attribute.String("channel", ch.String()), attribute.String("verdict", s.String())))
}
