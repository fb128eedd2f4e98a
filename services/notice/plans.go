package notice

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"

	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/person"
)

// planState is where the job of an order stands. Numbers are stored.
type planState uint8

const (
	planListing  planState = 1 // rows are being made
	planSending  planState = 2 // every person has a row
	planRefused  planState = 3
	planStopped  planState = 4
	planReplaced planState = 5 // a newer order of the same campaign took over
)

// halt says whether a plan is held. Numbers are stored.
type halt uint8

const (
	goes halt = 0
	// haltPaused: a person paused the order.
	haltPaused halt = 1
	// haltBlocked: the sending cannot go on by itself; the journal does not say so yet.
	haltBlocked halt = 2
	// haltSaid: as before, and the journal says so. A resumed order goes on.
	haltSaid halt = 3
)

// plan is the job of one order.
type plan struct {
	id        int64
	campaign  int64
	org       string
	caseID    string
	order     string
	revision  int
	state     planState
	halt      halt
	nextPlace int64
	people    int64
	token     int64
	leaseTill int64
	worker    string
	reason    string
	detail    string
	granted   int64
	carried   int64
	firstAt   int64
	lastAt    int64
	trace     string
	madeAt    int64
	// digest is the state of the list's digest after the people planned so far.
	digest []byte
	// nightDuty and nightDue (unix milliseconds) are the duty for whose sake quiet
	// hours were overridden last.
	nightDuty string
	nightDue  int64
	due       int64 // when people must be told, unix milliseconds; 0: not known
}

const planColumns = `id, campaign, org, case_id, order_id, revision, state, halt, next_place, people, token, lease_till, worker, reason, detail, granted, carried, first_at, last_at, trace, made_at, night_duty, night_due, due, list_digest`

func scanPlan(row interface{ Scan(...any) error }) (*plan, error) {
	var p plan
	err := row.Scan(&p.id, &p.campaign, &p.org, &p.caseID, &p.order, &p.revision, &p.state, &p.halt, &p.nextPlace, &p.people,
		&p.token, &p.leaseTill, &p.worker, &p.reason, &p.detail, &p.granted, &p.carried, &p.firstAt, &p.lastAt, &p.trace, &p.madeAt, &p.nightDuty, &p.nightDue, &p.due, &p.digest)
	return &p, err
}

func (s *store) planOf(ctx context.Context, org, caseID, order string) (*plan, error) {
	return onePlan(s.db.QueryRowContext(ctx, `SELECT `+planColumns+` FROM plan WHERE org=$1 AND case_id=$2 AND order_id=$3`, org, caseID, order))
}

func (s *store) planByID(ctx context.Context, id int64) (*plan, error) {
	return onePlan(s.db.QueryRowContext(ctx, `SELECT `+planColumns+` FROM plan WHERE id=$1`, id))
}

func onePlan(row *sql.Row) (*plan, error) {
	p, err := scanPlan(row)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read plan: %w", err)
	}
	return p, nil
}

// plans returns the plans in a state.
func (s *store) plans(ctx context.Context, state planState) ([]*plan, error) {
	return s.plansWhere(ctx, `state=$1`, state)
}

// atWork returns the plans that send and have something left to send.
func (s *store) atWork(ctx context.Context) ([]*plan, error) {
	return s.plansWhere(ctx, `state=$1 AND halt=0 AND id IN (SELECT plan FROM chunk WHERE open=1)`, planSending)
}

func (s *store) plansWhere(ctx context.Context, where string, args ...any) ([]*plan, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT `+planColumns+` FROM plan WHERE `+where+` ORDER BY id`, args...)
	if err != nil {
		return nil, fmt.Errorf("read plans: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var all []*plan
	for rows.Next() {
		p, err := scanPlan(rows)
		if err != nil {
			return nil, fmt.Errorf("read plans: %w", err)
		}
		all = append(all, p)
	}
	return all, rows.Err()
}

// makePlan creates the job of an order, or returns the one there is. First
// notices of a case share one campaign, so a person who was written to under
// an earlier order is not written to again under a later one.
func (s *store) makePlan(ctx context.Context, p plan, kind string, now time.Time) (*plan, error) {
	revision := 0
	if kind != "first" {
		revision = p.revision
	}
	err := s.db.Tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO campaign (org, case_id, kind, revision) VALUES ($1,$2,$3,$4) ON CONFLICT DO NOTHING`, p.org, p.caseID, kind, revision)
		if err != nil {
			return fmt.Errorf("make campaign: %w", err)
		}
		var campaign int64
		if err := tx.QueryRowContext(ctx, `SELECT id FROM campaign WHERE org=$1 AND case_id=$2 AND kind=$3 AND revision=$4`,
			p.org, p.caseID, kind, revision).Scan(&campaign); err != nil {
			return fmt.Errorf("make campaign: %w", err)
		}
		res, err := tx.ExecContext(ctx, `INSERT INTO plan (campaign, org, case_id, order_id, revision, state, people, trace, made_at)
			VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9) ON CONFLICT DO NOTHING`, campaign, p.org, p.caseID, p.order, p.revision, planListing, p.people, p.trace, now.UnixMilli())
		if err != nil {
			return fmt.Errorf("make plan: %w", err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return err
		}
		// The newest order of a campaign is the one that sends.
		_, err = tx.ExecContext(ctx, `UPDATE plan SET state=$3 WHERE campaign=$1 AND order_id<>$2 AND state IN ($4,$5)`,
			campaign, p.order, planReplaced, planListing, planSending)
		if err != nil {
			return fmt.Errorf("make plan: %w", err)
		}
		_, err = tx.ExecContext(ctx, `UPDATE chunk SET open=0 WHERE plan IN (SELECT id FROM plan WHERE campaign=$1 AND order_id<>$2)`, campaign, p.order)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("order %s of case %s/%s: %w", p.order, p.org, p.caseID, err)
	}
	return s.planOf(ctx, p.org, p.caseID, p.order)
}

// leasePlan takes the planning job for a while. It returns 0 if another has it.
func (s *store) leasePlan(ctx context.Context, id int64, worker string, now time.Time, lease time.Duration) (token int64, err error) {
	ms := now.UnixMilli()
	err = s.db.Tx(ctx, func(tx *sql.Tx) error {
		token = 0
		err := tx.QueryRowContext(ctx, `UPDATE plan SET token=token+1, worker=$2, lease_till=$3
			WHERE id=$1 AND state=$4 AND halt=0 AND lease_till<$5 RETURNING token`, id, worker, ms+lease.Milliseconds(), planListing, ms).Scan(&token)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("lease plan %d: %w", id, err)
	}
	return token, nil
}

// releasePlan gives the planning job back, so that it need not be waited for
// until the lease ends; which it does by itself if this fails.
func (s *store) releasePlan(ctx context.Context, id, token int64) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, _ = s.db.ExecContext(ctx, `UPDATE plan SET lease_till=0 WHERE id=$1 AND token=$2`, id, token)
}

// errLost means that another worker has taken over: stop, write nothing more.
var errLost = errors.New("the lease was taken over")

// advance moves a planning job on; it fails with errLost under a newer token.
func (l *ledger) advance(p *plan, token, next int64, state planState, leaseTill int64) error {
	res, err := l.tx.ExecContext(l.ctx, `UPDATE plan SET next_place=$3, state=$4, lease_till=$5, people=$7, list_digest=$8 WHERE id=$1 AND token=$2 AND state=$6`,
		p.id, token, next, state, leaseTill, planListing, p.people, p.digest)
	if err != nil {
		return fmt.Errorf("advance plan %d: %w", p.id, err)
	}
	return mustTouch(res)
}

func mustTouch(res sql.Result) error {
	n, err := res.RowsAffected()
	if err == nil && n == 0 {
		return errLost
	}
	return err
}

// setPlan ends or blocks a plan with a reason.
func (s *store) setPlan(ctx context.Context, id int64, state planState, reason, detail string) error {
	_, err := s.db.ExecContext(ctx, `UPDATE plan SET state=$2, reason=$3, detail=$4 WHERE id=$1`, id, state, reason, detail)
	if err != nil {
		return fmt.Errorf("set plan %d: %w", id, err)
	}
	return nil
}

// halt holds a plan or lets it go on; workers look at it before every request.
// A plan that goes on is announced anew at once.
func (s *store) halt(ctx context.Context, id int64, h halt, reason, detail string) error {
	err := s.db.Tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `UPDATE plan SET halt=$2, reason=$3, detail=$4 WHERE id=$1`, id, h, reason, detail); err != nil {
			return err
		}
		if h != goes {
			return nil
		}
		_, err := tx.ExecContext(ctx, `UPDATE chunk SET ticket_at=0 WHERE plan=$1 AND open=1`, id)
		return err
	})
	if err != nil {
		return fmt.Errorf("halt plan %d: %w", id, err)
	}
	return nil
}

// mayGo reports whether a plan is neither paused nor ended.
func (s *store) mayGo(ctx context.Context, id int64) (bool, error) {
	var state planState
	var h halt
	if err := s.db.QueryRowContext(ctx, `SELECT state, halt FROM plan WHERE id=$1`, id).Scan(&state, &h); err != nil {
		return false, fmt.Errorf("read plan %d: %w", id, err)
	}
	return state == planSending && h == goes, nil
}

// chunk is a slice of a plan on one channel.
type chunk struct {
	plan        int64
	channel     Channel
	no          int
	first, last person.Number
	token       int64
	gen         int
	harm        int // decides about its wave
}

// open makes or reopens the chunk of a plan on a channel.
func (l *ledger) open(c chunk, due int64) error {
	_, err := l.tx.ExecContext(l.ctx, `INSERT INTO chunk (plan, channel, no, first, last, harm, open, due_at) VALUES ($1,$2,$3,$4,$5,$7,1,$6)
		ON CONFLICT (plan, channel, no) DO UPDATE SET open=1, due_at=CASE WHEN chunk.open=1 AND chunk.due_at<excluded.due_at THEN chunk.due_at ELSE excluded.due_at END`,
		c.plan, c.channel, c.no, c.first, c.last, due, c.harm)
	if err != nil {
		return fmt.Errorf("open chunk: %w", err)
	}
	return nil
}

// claim takes a chunk for a while under a new fencing token, or returns nil if
// it is closed, not due, or in another's hands. Its ticket is used up by that:
// should the lease run out, the chunk is announced anew at once.
func (s *store) claim(ctx context.Context, plan int64, ch Channel, no int, worker string, now time.Time, lease time.Duration) (*chunk, error) {
	ms := now.UnixMilli()
	var c *chunk
	err := s.db.Tx(ctx, func(tx *sql.Tx) error {
		c = &chunk{plan: plan, channel: ch, no: no}
		err := tx.QueryRowContext(ctx, `UPDATE chunk SET token=token+1, worker=$4, lease_till=$5, ticket_at=0
			WHERE plan=$1 AND channel=$2 AND no=$3 AND open=1 AND due_at<=$6 AND lease_till<$6 RETURNING first, last, token, gen`,
			plan, ch, no, worker, ms+lease.Milliseconds(), ms).Scan(&c.first, &c.last, &c.token, &c.gen)
		if errors.Is(err, sql.ErrNoRows) {
			c = nil
			return nil
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("claim chunk %d/%v/%d: %w", plan, ch, no, err)
	}
	return c, nil
}

// fence proves inside a transaction that the chunk is still ours, and renews its lease.
func (l *ledger) fence(c *chunk, leaseTill int64) error {
	res, err := l.tx.ExecContext(l.ctx, `UPDATE chunk SET lease_till=$5 WHERE plan=$1 AND channel=$2 AND no=$3 AND token=$4 AND open=1`,
		c.plan, c.channel, c.no, c.token, leaseTill)
	if err != nil {
		return fmt.Errorf("fence chunk: %w", err)
	}
	return mustTouch(res)
}

// release gives a chunk back: closed if nothing on it is planned any more, else due again.
func (s *store) release(ctx context.Context, campaign int64, c *chunk, due time.Time) (closed bool, err error) {
	err = s.db.Tx(ctx, func(tx *sql.Tx) error {
		var left int
		err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM message WHERE campaign=$1 AND channel=$2 AND person BETWEEN $3 AND $4 AND state=$5 LIMIT 1) AS one`,
			campaign, c.channel, c.first, c.last, Planned).Scan(&left)
		if err != nil {
			return err
		}
		closed = left == 0
		open := 1
		if closed {
			open = 0
		}
		_, err = tx.ExecContext(ctx, `UPDATE chunk SET open=$5, due_at=$6, lease_till=0, gen=gen+1, ticket_at=0 WHERE plan=$1 AND channel=$2 AND no=$3 AND token=$4`,
			c.plan, c.channel, c.no, c.token, open, due.UnixMilli())
		return err
	})
	if err != nil {
		return false, fmt.Errorf("release chunk %d/%v/%d: %w", c.plan, c.channel, c.no, err)
	}
	return closed, nil
}

// dueChunks marks open chunks that nobody works on as announced and returns
// them, the most pressing first (wave.go), as many as keep at most most
// announced and waiting. A chunk announced longer than again ago is announced
// anew. Cases that are due within guard go before all others.
func (s *store) dueChunks(ctx context.Context, now time.Time, again, guard time.Duration, most int) ([]chunk, error) {
	ms := now.UnixMilli()
	// Looking takes no lock: most looks find nothing.
	const due = ` FROM chunk c JOIN plan p ON p.id=c.plan WHERE c.open=1 AND c.due_at<=$1 AND c.lease_till<$1 AND p.state=$2 AND p.halt=0`
	var waiting, found int
	err := s.db.QueryRowContext(ctx, `SELECT COUNT(*) FILTER (WHERE c.ticket_at>=$3), COUNT(*) FILTER (WHERE c.ticket_at<$3)`+due,
		ms, planSending, ms-again.Milliseconds()).Scan(&waiting, &found)
	if err != nil {
		return nil, fmt.Errorf("find due chunks: %w", err)
	}
	if found == 0 || waiting >= most {
		return nil, nil
	}
	var all []chunk
	err = s.db.Tx(ctx, func(tx *sql.Tx) error {
		all = nil
		rows, err := tx.QueryContext(ctx, `SELECT c.plan, c.channel, c.no, c.first, c.last, c.gen`+due+` AND c.ticket_at<$3
			ORDER BY CASE WHEN p.due>0 AND p.due<$5 THEN p.due ELSE $6 END, c.harm DESC, CASE WHEN p.due>0 THEN p.due ELSE $6 END, c.due_at, c.plan, c.no LIMIT $4`,
			ms, planSending, ms-again.Milliseconds(), most-waiting, ms+guard.Milliseconds(), int64(math.MaxInt64))
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var c chunk
			if err := rows.Scan(&c.plan, &c.channel, &c.no, &c.first, &c.last, &c.gen); err != nil {
				return err
			}
			all = append(all, c)
		}
		if err := rows.Err(); err != nil {
			return err
		}
		for i := range all {
			c := &all[i]
			c.gen++
			if _, err := tx.ExecContext(ctx, `UPDATE chunk SET ticket_at=$4, gen=$5 WHERE plan=$1 AND channel=$2 AND no=$3`, c.plan, c.channel, c.no, ms, c.gen); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("find due chunks: %w", err)
	}
	return all, nil
}

// freeLeases gives back what an earlier life of this replica held.
func (s *store) freeLeases(ctx context.Context, worker string) error {
	return s.db.Tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `UPDATE chunk SET lease_till=0, ticket_at=0 WHERE open=1 AND worker=$1`, worker); err != nil {
			return fmt.Errorf("free leases: %w", err)
		}
		if _, err := tx.ExecContext(ctx, `UPDATE plan SET lease_till=0 WHERE worker=$1`, worker); err != nil {
			return fmt.Errorf("free leases: %w", err)
		}
		return nil
	})
}

// chunkOf finds the chunk of a plan that a person belongs to, on any channel.
func chunkOf(ctx context.Context, q querier, plan int64, who person.Number) (c chunk, ok bool, err error) {
	c.plan = plan
	err = q.QueryRowContext(ctx, `SELECT no, first, last, harm FROM chunk WHERE plan=$1 AND first<=$2 AND last>=$2 LIMIT 1`, plan, who).Scan(&c.no, &c.first, &c.last, &c.harm)
	if errors.Is(err, sql.ErrNoRows) {
		return c, false, nil
	}
	if err != nil {
		return c, false, fmt.Errorf("find chunk: %w", err)
	}
	return c, true, nil
}

// activePlan returns the plan that sends for a campaign, or nil.
func activePlan(ctx context.Context, q querier, campaign int64) (*plan, error) {
	return onePlan(q.QueryRowContext(ctx, `SELECT `+planColumns+` FROM plan WHERE campaign=$1 AND state IN ($2,$3) ORDER BY id DESC LIMIT 1`, campaign, planListing, planSending))
}

// tally sums the counters of a campaign.
func (s *store) tally(ctx context.Context, campaign int64) (event.Tally, error) {
	t := event.Tally{States: map[string]map[string]int64{}}
	rows, err := s.db.QueryContext(ctx, `SELECT channel, was, state, SUM(n) FROM moved WHERE campaign=$1 GROUP BY channel, was, state`, campaign)
	if err != nil {
		return t, fmt.Errorf("tally: %w", err)
	}
	defer func() { _ = rows.Close() }()
	counts := map[Channel]*[stateCount]int64{}
	for rows.Next() {
		var ch Channel
		var was, is State
		var n int64
		if err := rows.Scan(&ch, &was, &is, &n); err != nil {
			return t, fmt.Errorf("tally: %w", err)
		}
		if counts[ch] == nil {
			counts[ch] = &[stateCount]int64{}
		}
		counts[ch][was] -= n
		counts[ch][is] += n
	}
	if err := rows.Err(); err != nil {
		return t, fmt.Errorf("tally: %w", err)
	}
	for ch, states := range counts {
		sumUp(&t, ch, states)
	}
	return t, nil
}

// sumUp adds the messages of one channel to a tally. People is what was taken
// into the ledger; the caller holds it against the sealed list.
func sumUp(t *event.Tally, ch Channel, states *[stateCount]int64) {
	for st := State(1); st < stateCount; st++ {
		n := states[st]
		if n == 0 {
			continue
		}
		if ch != None {
			if t.States[ch.String()] == nil {
				t.States[ch.String()] = map[string]int64{}
			}
			t.States[ch.String()][st.String()] += n
		}
		switch st.Counts() {
		case Pending:
			t.Pending += n
		case Told:
			t.Told += n
		case Doubtful:
			t.InDoubt += n
		case Unreached:
			t.Unreachable += n
		case LeftOut:
			t.Excluded += n
		default:
			continue
		}
		t.People += n
	}
}
