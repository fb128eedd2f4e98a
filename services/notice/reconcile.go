package notice

import (
	"context"
	"fmt"
	"maps"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/organisation"
	"tocsin.dev/pkg/reconcile"
)

// view is what the store knows of one order when a case is looked at.
type view struct {
	plan  *plan // nil: not taken up yet
	tally event.Tally
	// refusal is why the order may not be taken up; only asked without a plan.
	refusal *Refusal
	// settled is whether nothing more is expected soon: receipts are in, or were
	// waited for. settles is when the wait ends.
	settled bool
	settles time.Time
	// night says that quiet hours were overridden, and for which duty; nil if they were not.
	night *event.QuietOverride
	// tell is whether it is time to report progress.
	tell bool
}

// act is what must be done in the store; say is what must be said in the journal.
type act uint8

const (
	actNone   act = iota
	actPlan       // make the job of the order
	actPause      // hold the workers
	actResume     // let them go on
	actSaid       // remember that the block stands in the journal
	actStop       // end it: what is planned is not sent
)

// judge is the pure heart: from an order as the journal has it and the store's
// view of it to what is to be done, said, and when time alone changes that.
func judge(o *casefile.Order, v view, now time.Time) (do act, say []event.Body, wake time.Time) {
	if v.plan == nil {
		switch {
		case o.Ended() || o.State == casefile.OrderPaused:
			return actNone, nil, wake
		case v.refusal != nil:
			return actNone, []event.Body{event.ApprovalRefused{Order: o.Order, Approval: o.Approval, Reason: v.refusal.Reason, Detail: v.refusal.Detail}}, wake
		case o.NotBefore != nil && now.Before(*o.NotBefore):
			return actNone, nil, *o.NotBefore
		}
		return actPlan, nil, wake
	}
	if o.Stopped && v.plan.state != planReplaced && v.plan.state != planRefused && (v.plan.state != planStopped || waiting(v.tally)) {
		// A page that was in work when the stop came puts its rows back, so look again.
		return actStop, nil, now.Add(time.Second)
	}
	do = judgeHalt(o, v.plan)
	if v.plan.state == planRefused && !o.Ended() {
		say = append(say, event.ApprovalRefused{Order: o.Order, Approval: o.Approval, Reason: v.plan.reason, Detail: v.plan.detail})
		return do, say, wake
	}
	if v.plan.state == planListing || v.plan.state == planReplaced {
		return do, append(say, judgeBlock(o, v.plan)...), wake
	}
	if o.Planned == nil {
		say = append(say, event.DispatchPlanned{
			Order: o.Order, Kind: o.Kind, Revision: o.Revision, People: v.plan.people, Messages: plannedBy(v.tally), Unreachable: v.tally.Unreachable,
		})
	}
	say = append(say, judgeBlock(o, v.plan)...)
	told := judgeTally(o, v)
	if len(told) == 0 && (o.Tally == nil || !sameTally(*o.Tally, v.tally)) {
		wake = now.Add(time.Second) // too soon to report again
	}
	if !v.settled && v.tally.Pending == 0 && o.State != casefile.OrderCompleted && v.settles.After(now) {
		wake = earliest(wake, v.settles)
	}
	return do, append(say, told...), wake
}

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

func judgeHalt(o *casefile.Order, p *plan) act {
	switch {
	case o.State == casefile.OrderPaused && p.halt != haltPaused:
		return actPause
	case o.State != casefile.OrderPaused && p.halt == haltPaused:
		return actResume
	case p.halt == haltBlocked && o.Blocked != nil && o.Blocked.Reason == p.reason && o.Blocked.Detail == p.detail:
		return actSaid
	case p.halt == haltSaid && o.Blocked == nil:
		return actResume // a person has looked and resumed
	}
	return actNone
}

// judgeBlock says once that an order is blocked, and why.
func judgeBlock(o *casefile.Order, p *plan) []event.Body {
	if p.reason == "" || p.state == planRefused || o.Ended() || p.halt == haltSaid || p.halt == haltPaused {
		return nil
	}
	if o.Blocked != nil && o.Blocked.Reason == p.reason && o.Blocked.Detail == p.detail {
		return nil
	}
	return []event.Body{event.DispatchBlocked{Order: o.Order, Reason: p.reason, Detail: p.detail}}
}

// judgeTally reports the counts: as completed when nobody is pending or in
// open doubt and receipts are in, else as progress now and then.
func judgeTally(o *casefile.Order, v view) []event.Body {
	if o.Tally != nil && sameTally(*o.Tally, v.tally) && (o.State == casefile.OrderCompleted || !complete(v)) {
		return nil
	}
	if complete(v) {
		if o.State == casefile.OrderCompleted && !v.tell || o.Stopped && !o.EndedAt.IsZero() && o.Tally != nil && sameTally(*o.Tally, v.tally) {
			return nil
		}
		return []event.Body{event.DispatchCompleted{Order: o.Order, Tally: v.tally, QuietOverridden: v.night}}
	}
	if !v.tell || o.Tally != nil && sameTally(*o.Tally, v.tally) {
		return nil
	}
	return []event.Body{event.DispatchProgressed{Order: o.Order, Tally: v.tally, QuietOverridden: v.night}}
}

// complete reports whether an order has nothing left to do: held doubts wait
// for a person and do not count.
func complete(v view) bool {
	if v.tally.Pending > 0 || !v.settled {
		return false
	}
	for _, states := range v.tally.States {
		if states[InDoubt.String()] > 0 {
			return false
		}
	}
	return true
}

func sameTally(a, b event.Tally) bool {
	if a.People != b.People || a.Pending != b.Pending || a.Told != b.Told || a.InDoubt != b.InDoubt || a.Unreachable != b.Unreachable || a.Excluded != b.Excluded || a.Public != b.Public || len(a.States) != len(b.States) {
		return false
	}
	for ch, states := range a.States {
		if !maps.Equal(states, b.States[ch]) {
			return false
		}
	}
	return true
}

// plannedBy counts messages by channel, whatever has become of them since.
func plannedBy(t event.Tally) map[string]int64 {
	out := map[string]int64{}
	for ch, states := range t.States {
		for _, n := range states {
			out[ch] += n
		}
	}
	return out
}

// decide looks at every order of a case.
func (s *Service) decide(ctx context.Context, c *casefile.Case, now time.Time) (reconcile.Decision, error) {
	var d reconcile.Decision
	tests, err := s.testsToSay(ctx, c, now)
	if err != nil {
		return d, err
	}
	d.Events = append(d.Events, tests...)
	for _, o := range c.Orders {
		v, err := s.view(ctx, c, o, now)
		if err != nil {
			return d, err
		}
		do, say, wake := judge(o, v, now)
		if v.refusal != nil && len(say) > 0 {
			s.alarm(ctx, c.Org, c.Number, o.Order, v.refusal)
		}
		if err := s.carryOut(ctx, c, o, v, do); err != nil {
			return d, err
		}
		d.Events = append(d.Events, say...)
		if !wake.IsZero() {
			d.Wake = earliest(d.Wake, wake)
		}
	}
	return d, nil
}

func (s *Service) view(ctx context.Context, c *casefile.Case, o *casefile.Order, now time.Time) (v view, err error) {
	if v.plan, err = s.store.planOf(ctx, c.Org, c.Number, o.Order); err != nil {
		return v, err
	}
	if v.plan == nil {
		if !o.Ended() && o.State != casefile.OrderPaused {
			_, v.refusal, err = s.check(c, o)
		}
		return v, err
	}
	if err := s.keepDue(ctx, v.plan, c); err != nil {
		return v, err
	}
	if v.plan.state == planListing || v.plan.state == planReplaced {
		return v, nil
	}
	if v.tally, err = s.store.tally(ctx, v.plan.campaign); err != nil {
		return v, err
	}
	s.assertAddsUp(ctx, v.plan, v.tally)
	if v.night, err = s.store.overridden(ctx, v.plan); err != nil {
		return v, err
	}
	if err = s.countPublic(ctx, c, v.plan.campaign, &v.tally); err != nil {
		return v, err
	}
	v.settles = time.UnixMilli(v.plan.lastAt).Add(s.cfg.SettleFor)
	if s.policy(c.Org) == organisation.Cancel {
		v.settles = v.settles.Add(s.cfg.Doubt.Ahead) // receipts come only after that
	}
	v.settled = s.receiptsIn(v, now)
	v.tell, err = s.mayTell(ctx, v, now)
	return v, err
}

// receiptsIn reports whether every accepted message has its receipt, or was
// waited for long enough.
func (s *Service) receiptsIn(v view, now time.Time) bool {
	if v.plan.lastAt != 0 && !now.Before(v.settles) {
		return true
	}
	for ch, states := range v.tally.States {
		if ch != Post.String() && ch != Fax.String() && (states[Accepted.String()] > 0 || states[Deferred.String()] > 0) {
			return false
		}
	}
	return true
}

// mayTell claims the right to report progress, which replicas share.
func (s *Service) mayTell(ctx context.Context, v view, now time.Time) (bool, error) {
	res, err := s.store.db.ExecContext(ctx, `UPDATE plan SET told_at=$2 WHERE id=$1 AND told_at<=$3`,
		v.plan.id, now.UnixMilli(), now.Add(-s.cfg.ProgressEvery).UnixMilli())
	if err != nil {
		return false, fmt.Errorf("progress of plan %d: %w", v.plan.id, err)
	}
	return mustTouch(res) == nil, nil
}

// assertAddsUp holds the ledger against the sealed list while it runs: every
// person is counted exactly once, or the sending stops.
func (s *Service) assertAddsUp(ctx context.Context, p *plan, t event.Tally) {
	sum := t.Pending + t.Told + t.InDoubt + t.Unreachable + t.Excluded
	if t.People == sum && t.People == p.people+p.carried {
		return
	}
	s.meters.mismatch.Add(ctx, 1)
	detail := fmt.Sprintf("the ledger counts %d people (%d by standing) and the sealed list has %d, with %d from before", t.People, sum, p.people, p.carried)
	if p.halt == goes && p.state == planSending {
		if err := s.blockPlan(ctx, p, "ledger_mismatch", detail); err != nil {
			s.log.ErrorContext(ctx, "the ledger does not add up, and the sending could not be stopped", "plan", p.id, "error", err)
		}
	}
}

func (s *Service) carryOut(ctx context.Context, c *casefile.Case, o *casefile.Order, v view, do act) error {
	switch do {
	case actPlan:
		list := c.Revision(o.Revision)
		_, err := s.store.makePlan(ctx, plan{
			org: c.Org, caseID: c.Number, order: o.Order, revision: o.Revision, people: list.People, trace: traceOf(ctx),
		}, o.Kind, s.cfg.Now())
		s.wakeUp()
		return err
	case actPause:
		return s.store.halt(ctx, v.plan.id, haltPaused, v.plan.reason, v.plan.detail)
	case actResume:
		return s.resume(ctx, v.plan)
	case actSaid:
		return s.store.halt(ctx, v.plan.id, haltSaid, v.plan.reason, v.plan.detail)
	case actStop:
		return s.stop(ctx, v.plan)
	}
	return nil
}

// resume lets a plan go on. Records that did not fit are listed anew.
func (s *Service) resume(ctx context.Context, p *plan) error {
	if p.reason == "record_mismatch" || p.reason == "list_mismatch" || p.reason == "anomaly" {
		if _, err := s.store.db.ExecContext(ctx, `UPDATE plan SET state=$2, next_place=0, lease_till=0 WHERE id=$1 AND state IN ($2,$3)`, p.id, planListing, planSending); err != nil {
			return fmt.Errorf("list plan %d anew: %w", p.id, err)
		}
	}
	if _, err := s.store.db.ExecContext(ctx, `UPDATE plan SET granted=$2 WHERE id=$1`, p.id, p.granted+1); err != nil {
		return fmt.Errorf("resume plan %d: %w", p.id, err)
	}
	if err := s.store.halt(ctx, p.id, goes, "", ""); err != nil {
		return err
	}
	s.wakeUp()
	return nil
}

// waiting reports whether any message still waits to be sent.
func waiting(t event.Tally) bool {
	for _, states := range t.States {
		if states[Planned.String()] > 0 {
			return true
		}
	}
	return false
}

// stop ends a plan for good: what is planned is marked as stopped, what has
// left stays as it is, and doubts are settled by evidence alone.
func (s *Service) stop(ctx context.Context, p *plan) error {
	if err := s.store.setPlan(ctx, p.id, planStopped, "", ""); err != nil {
		return err
	}
	for _, ch := range sendable {
		if err := s.stopChannel(ctx, p, ch); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) stopChannel(ctx context.Context, p *plan, ch Channel) error {
	after := int64(-1)
	for {
		rows, err := scanMessages(s.store.db.QueryContext(ctx, `SELECT `+messageColumns+` FROM message
			WHERE campaign=$1 AND channel=$2 AND person>$3 AND state=$4 ORDER BY person LIMIT 1000`, p.campaign, ch, after, Planned))
		if err != nil || len(rows) == 0 {
			return err
		}
		after = int64(rows[len(rows)-1].person)
		counts, err := s.store.write(ctx, p.campaign, s.cfg.Now(), func(l *ledger) error {
			_, err := l.move(ch, numbersOf(rows), Planned, Stopped, ReasonStop, set{})
			return err
		})
		if err != nil {
			return err
		}
		s.meters.changes(ctx, counts)
	}
}

// tellFor is how long after its last message the counts of an order are
// followed by the second; what comes later is seen by the reconciler's sweep.
const tellFor = time.Hour

// tell pokes the reconciler when the counts of an order have changed.
func (s *Service) tell(ctx context.Context) {
	known := map[int64]int64{}
	tick := time.NewTicker(min(s.cfg.ProgressEvery, time.Second))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := s.tellChanged(ctx, known); err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "progress could not be read; will try again", "error", err)
		}
	}
}

func (s *Service) tellChanged(ctx context.Context, known map[int64]int64) error {
	rows, err := s.store.db.QueryContext(ctx, `SELECT p.id, p.org, p.case_id, COALESCE((SELECT SUM(n) FROM moved m WHERE m.campaign=p.campaign), 0)
		FROM plan p WHERE p.state IN ($1,$2) AND (p.last_at=0 OR p.last_at>$3)`, planSending, planStopped, s.cfg.Now().Add(-tellFor).UnixMilli())
	if err != nil {
		return fmt.Errorf("read counts: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id, n int64
		var org, caseID string
		if err := rows.Scan(&id, &org, &caseID, &n); err != nil {
			return fmt.Errorf("read counts: %w", err)
		}
		// A negative number marks a count that has been seen unchanged once: the
		// last look happens after things have come to rest.
		switch known[id] {
		case -n - 1:
		case n + 1:
			known[id] = -n - 1
			s.runner.Poke(org, caseID)
		default:
			known[id] = n + 1
			s.runner.Poke(org, caseID)
		}
	}
	return rows.Err()
}
