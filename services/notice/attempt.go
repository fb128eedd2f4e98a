package notice

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"tocsin.dev/pkg/person"
	"tocsin.dev/pkg/sqldb"
)

// attempt is one row of the write-ahead log.
type attempt struct {
	id         int64
	plan       int64
	campaign   int64
	channel    Channel
	chunk      int
	token      int64
	state      attemptState
	people     []person.Number
	digest     string
	flags      int
	account    string // that carried it
	batch      string // at SendGrid, or empty; can be recalled until sendAt
	sendAt     int64  // unix seconds; 0 means at once
	providerID string
	status     int
	code       int
	trace      string
	at         time.Time
	settleAt   int64
	probes     int
}

type attemptState uint8

// The states of an attempt. Numbers are stored; the index attempt_open names 1, 5 and 7.
const (
	attemptOpen     attemptState = 1 // written down; no answer recorded
	attemptAccepted attemptState = 2
	attemptRefused  attemptState = 3
	attemptNotSent  attemptState = 4
	attemptInDoubt  attemptState = 5
	attemptSettled  attemptState = 6 // was in doubt; nothing of it is any more
	attemptRecalled attemptState = 7 // its batch was cancelled; settle_at is when the cancellation can be forgotten
)

func packPeople(people []person.Number) []byte {
	b := make([]byte, 0, 3*len(people)+8)
	last := int64(0)
	for _, p := range people {
		b = binary.AppendVarint(b, int64(p)-last)
		last = int64(p)
	}
	return b
}

func unpackPeople(b []byte) ([]person.Number, error) {
	people := make([]person.Number, 0, len(b))
	last := int64(0)
	for len(b) > 0 {
		d, n := binary.Varint(b)
		if n <= 0 {
			return nil, errors.New("ledger: the list of people of an attempt is damaged")
		}
		last += d
		people = append(people, person.Number(last))
		b = b[n:]
	}
	return people, nil
}

const attemptColumns = `id, plan, campaign, channel, chunk, token, state, people, digest, flags, account, batch, send_at, provider_id, status, code, trace, at, settle_at, probes`

func scanAttempt(row interface{ Scan(...any) error }) (*attempt, error) {
	var a attempt
	var packed []byte
	var at int64
	if err := row.Scan(&a.id, &a.plan, &a.campaign, &a.channel, &a.chunk, &a.token, &a.state, &packed, &a.digest, &a.flags, &a.account, &a.batch, &a.sendAt,
		&a.providerID, &a.status, &a.code, &a.trace, &at, &a.settleAt, &a.probes); err != nil {
		return nil, err
	}
	a.at = time.UnixMilli(at).UTC()
	var err error
	a.people, err = unpackPeople(packed)
	return &a, err
}

// begin writes an attempt down. One without an id gets one.
func (l *ledger) begin(a *attempt) error {
	if a.id == 0 {
		ids, err := reserveIDs(l.ctx, l.tx, l.db.Engine, 1)
		if err != nil {
			return err
		}
		a.id = ids[0]
	}
	_, err := l.tx.ExecContext(l.ctx, `INSERT INTO attempt (id, plan, campaign, channel, chunk, token, state, people, n, digest, flags, account, batch, send_at, trace, at)
		VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16)`,
		a.id, a.plan, a.campaign, a.channel, a.chunk, a.token, attemptOpen, packPeople(a.people), len(a.people), a.digest, a.flags, a.account, a.batch, a.sendAt, a.trace, l.now)
	if err != nil {
		return fmt.Errorf("ledger: begin attempt: %w", err)
	}
	return nil
}

// idsAtOnce is how many ids of attempts a process takes at a time. What it does
// not use is never used.
const idsAtOnce = 64

// attemptID returns the id of an attempt that is not written down yet, so that
// a request, which carries it, can be composed before.
func (s *store) attemptID(ctx context.Context) (int64, error) {
	s.idMu.Lock()
	defer s.idMu.Unlock()
	if len(s.ids) == 0 {
		err := s.db.Tx(ctx, func(tx *sql.Tx) (err error) {
			s.ids, err = reserveIDs(ctx, tx, s.db.Engine, idsAtOnce)
			return err
		})
		if err != nil {
			s.ids = nil
			return 0, err
		}
	}
	id := s.ids[0]
	s.ids = s.ids[1:]
	return id, nil
}

// reserveIDs takes n ids that no other attempt has or will have.
func reserveIDs(ctx context.Context, tx *sql.Tx, engine sqldb.Engine, n int) ([]int64, error) {
	ids := make([]int64, n)
	if engine == sqldb.SQLite { // its own counter cannot be moved on without a row
		if err := tx.QueryRowContext(ctx, `UPDATE attempt_id SET next=next+$1 RETURNING next-$1`, n).Scan(&ids[0]); err != nil {
			return nil, fmt.Errorf("ledger: reserve ids: %w", err)
		}
		for i := range ids {
			ids[i] = ids[0] + int64(i)
		}
		return ids, nil
	}
	rows, err := tx.QueryContext(ctx, `SELECT nextval(pg_get_serial_sequence('attempt','id')) FROM generate_series(1,$1)`, n)
	if err != nil {
		return nil, fmt.Errorf("ledger: reserve ids: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for i := 0; rows.Next(); i++ {
		if err := rows.Scan(&ids[i]); err != nil {
			return nil, fmt.Errorf("ledger: reserve ids: %w", err)
		}
	}
	return ids, rows.Err()
}

// close records what an attempt came to. A recall is final: whatever answer
// comes after it, nobody got anything.
func (l *ledger) close(a *attempt, state attemptState, settleAt int64) error {
	_, err := l.tx.ExecContext(l.ctx, `UPDATE attempt SET state=$2, provider_id=$3, status=$4, code=$5, answered_at=$6, settle_at=$7 WHERE id=$1 AND state<>$8`,
		a.id, state, a.providerID, a.status, a.code, l.now, settleAt, attemptRecalled)
	if err != nil {
		return fmt.Errorf("ledger: close attempt %d: %w", a.id, err)
	}
	return nil
}

// readAttempt returns an attempt, or nil if there is none.
func readAttempt(ctx context.Context, q querier, id int64) (*attempt, error) {
	a, err := scanAttempt(q.QueryRowContext(ctx, `SELECT `+attemptColumns+` FROM attempt WHERE id=$1`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ledger: read attempt %d: %w", id, err)
	}
	return a, nil
}

func readAttempts(ctx context.Context, q querier, where string, args ...any) ([]*attempt, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+attemptColumns+` FROM attempt WHERE `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("ledger: read attempts: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var all []*attempt
	for rows.Next() {
		a, err := scanAttempt(rows)
		if err != nil {
			return nil, fmt.Errorf("ledger: read attempts: %w", err)
		}
		all = append(all, a)
	}
	return all, rows.Err()
}

// attemptCache keeps what never changes of recent attempts: receipts of one
// request arrive in many callbacks.
type attemptCache struct {
	mu  sync.Mutex
	all map[int64]*attempt
	old map[int64]*attempt
}

func newAttemptCache() *attemptCache {
	return &attemptCache{all: map[int64]*attempt{}, old: map[int64]*attempt{}}
}

// attemptsKept bounds the cache: two generations of this many, 4 KB each at most.
const attemptsKept = 2048

func (s *Service) attempt(ctx context.Context, id int64) (*attempt, error) {
	k := s.attempts
	k.mu.Lock()
	a := k.all[id]
	if a == nil {
		a = k.old[id]
	}
	k.mu.Unlock()
	if a != nil {
		return a, nil
	}
	a, err := readAttempt(ctx, s.store.db, id)
	if err != nil || a == nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.all) >= attemptsKept {
		k.old, k.all = k.all, map[int64]*attempt{}
	}
	k.all[id] = a
	return a, nil
}

// recoverLost finds what an earlier holder of the chunk wrote down and did not
// answer for: those messages may have left, so they are in doubt.
func (s *Service) recoverLost(ctx context.Context, p *plan, c *chunk) error {
	lost, err := readAttempts(ctx, s.store.db, `plan=$1 AND channel=$2 AND chunk=$3 AND state=$4 AND token<$5`, p.id, c.channel, c.no, attemptOpen, c.token)
	if err != nil || len(lost) == 0 {
		return err
	}
	s.log.WarnContext(ctx, "requests of a lost worker are in doubt", "org", p.org, "case", p.caseID, "channel", c.channel.String(), "chunk", c.no, "requests", len(lost))
	return s.abandon(ctx, p.campaign, lost)
}

// recoverAbandoned does the same for requests of which nobody takes up the
// chunk: it is closed, or its order has ended, or their outcome could not be
// recorded.
func (s *Service) recoverAbandoned(ctx context.Context) error {
	now := s.cfg.Now()
	lost, err := readAttempts(ctx, s.store.db, `state=$1 AND at<$2 AND EXISTS (SELECT 1 FROM chunk c WHERE c.plan=attempt.plan AND c.channel=attempt.channel AND c.no=attempt.chunk
		AND (c.lease_till<$3 OR c.token>attempt.token)) ORDER BY campaign LIMIT 64`, attemptOpen, now.Add(-s.cfg.Lease).UnixMilli(), now.UnixMilli())
	if err != nil {
		return err
	}
	for _, a := range lost {
		s.log.WarnContext(ctx, "a request that nobody answers for is in doubt", "attempt", a.id, "account", a.account, "people", len(a.people))
		if err := s.abandon(ctx, a.campaign, []*attempt{a}); err != nil {
			return err
		}
	}
	return nil
}

// abandon puts requests without a recorded outcome in doubt.
func (s *Service) abandon(ctx context.Context, campaign int64, lost []*attempt) error {
	counts, err := s.store.write(ctx, campaign, s.cfg.Now(), func(w *ledger) error {
		for _, a := range lost {
			if _, err := w.move(a.channel, a.people, Submitted, InDoubt, ReasonLostWorker, set{onAttempt: a.id}); err != nil {
				return err
			}
			if err := w.close(a, attemptInDoubt, w.now); err != nil {
				return err
			}
		}
		return nil
	})
	s.meters.changes(ctx, counts)
	return err
}
