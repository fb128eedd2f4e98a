package notice

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"sync"
	"time"

	"tocsin.dev/pkg/person"
	"tocsin.dev/pkg/sqldb"
)

//go:embed migrations
var migrationFiles embed.FS

// migrations is the schema for both engines.
func migrations() fs.FS {
	sub, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		return migrationFiles // cannot be: the folder is embedded above
	}
	return sub
}

// store is notice's own SQL store: the ledger and the jobs around it.
type store struct {
	db *sqldb.DB
	// shard spreads the counters, so that replicas do not wait for each other.
	shard int

	idMu sync.Mutex
	ids  []int64 // of attempts, reserved and not used yet
}

// batch is the most rows of one statement.
const batch = 1000

// message is one row of the ledger.
type message struct {
	person  person.Number
	channel Channel
	state   State
	reason  Reason
	tries   int
	flags   int
	meaning int
	code    int
	ladder  Ladder
	attempt int64
	exposed uint32
	bind    int64
	place   int64
	toldAt  int64
	at      int64
}

// Flags of a message.
const (
	// flagDuplicate marks a notice sent again after an unresolved doubt.
	flagDuplicate = 1
	// flagLate marks a failed message that arrived after all when another was already under way.
	flagLate = 2
	// flagGuardian marks a notice that goes to the person's guardian.
	flagGuardian = 4
	// flagComplained marks a notice that its receiver reported as spam.
	flagComplained = 8
	// flagOperator marks a decision made by a person.
	flagOperator = 16
	// flagRecall marks an attempt, never a message, of which the recall was asked for.
	flagRecall = 32
	// flagExposed marks a notice to a person one of whose channels was left out
	// because the breach itself exposed it.
	flagExposed = 64
)

// ledger is one transaction on the messages of a campaign. Every change of a
// state goes through put or move, which hold the table of transitions and
// count each change with its reason.
type ledger struct {
	db       *sqldb.DB
	tx       *sql.Tx
	ctx      context.Context
	campaign int64
	shard    int
	now      int64
	// counts are all changes of the transaction, unwritten those not yet in moved.
	counts, unwritten map[change]int64
}

type change struct {
	channel Channel
	was, is State
	why     Reason
}

// write runs f in one transaction on a campaign's messages.
func (s *store) write(ctx context.Context, campaign int64, now time.Time, f func(*ledger) error) (map[change]int64, error) {
	var l *ledger
	err := s.db.Tx(ctx, func(tx *sql.Tx) error {
		l = s.ledger(ctx, tx, campaign, now)
		if err := f(l); err != nil {
			return err
		}
		return l.settle()
	})
	if err != nil {
		return nil, err
	}
	return l.counts, nil
}

// persist is write for what must not be lost: while ctx lasts, it is tried again.
func (s *store) persist(ctx context.Context, campaign int64, now time.Time, f func(*ledger) error) (map[change]int64, error) {
	for {
		counts, err := s.write(ctx, campaign, now, f)
		if err == nil || ctx.Err() != nil || errors.Is(err, errTransition) {
			return counts, err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return nil, err
		}
	}
}

func (s *store) ledger(ctx context.Context, tx *sql.Tx, campaign int64, now time.Time) *ledger {
	return &ledger{db: s.db, tx: tx, ctx: ctx, campaign: campaign, shard: s.shard, now: now.UnixMilli(), counts: map[change]int64{}, unwritten: map[change]int64{}}
}

// settle writes the counters of the transaction.
func (l *ledger) settle() error {
	defer clear(l.unwritten)
	for c, n := range l.unwritten {
		_, err := l.tx.ExecContext(l.ctx, `INSERT INTO moved (campaign, shard, channel, was, state, reason, n) VALUES ($1,$2,$3,$4,$5,$6,$7)
			ON CONFLICT (campaign, shard, channel, was, state, reason) DO UPDATE SET n = moved.n + excluded.n`,
			l.campaign, l.shard, c.channel, c.was, c.is, c.why, n)
		if err != nil {
			return fmt.Errorf("ledger: count transitions: %w", err)
		}
	}
	return nil
}

func (l *ledger) count(c change, n int64) {
	if n != 0 {
		l.counts[c] += n
		l.unwritten[c] += n
	}
}

// put adds new messages. A message that exists already is left as it is; put
// returns how many were new. The database, not the caller, keeps them unique.
func (l *ledger) put(rows []message) (added int64, err error) {
	alike := map[change][]*message{}
	for i := range rows {
		c := change{channel: rows[i].channel, is: rows[i].state, why: rows[i].reason}
		alike[c] = append(alike[c], &rows[i])
	}
	for c, some := range alike {
		n, err := l.putAlike(c, some)
		if err != nil {
			return added, err
		}
		l.count(c, n)
		added += n
	}
	return added, nil
}

// putAlike adds messages that come into being in the same way. What they share
// stands in the statement, the rest is bound: it is parsed once for many rows.
func (l *ledger) putAlike(c change, rows []*message) (added int64, err error) {
	if !Permitted(0, c.is, c.why) {
		return 0, refusedMove(0, c.is, c.why)
	}
	insert := sqldb.Batch{
		Before: `INSERT INTO message (campaign, channel, person, state, reason, tries, flags, meaning, code, ladder, attempt, exposed, bind, place, told_at, at) VALUES`,
		Row:    fmt.Sprintf(`(%d,%d,?,%d,%d,0,?,0,0,?,0,?,?,?,0,%d)`, l.campaign, c.channel, c.is, c.why, l.now),
		After:  `ON CONFLICT (campaign, channel, person) DO NOTHING`,
	}
	added, err = insert.Exec(l.ctx, l.db, l.tx, len(rows), func(i int, args []any) []any {
		r := rows[i]
		return append(args, int64(r.person), int64(r.flags), int64(r.ladder), int64(r.exposed), r.bind, r.place)
	})
	if err != nil {
		return added, fmt.Errorf("ledger: add messages: %w", err)
	}
	return added, nil
}

// set is what a move changes besides the state.
type set struct {
	attempt   int64 // a new attempt; counts a try
	onAttempt int64 // only messages of this attempt
	receipt   bool  // meaning, code and toldAt are set
	meaning   int
	code      int
	toldAt    int64
	flags     int // added
	fresh     bool
	exposed   uint32
	bind      int64
}

// move takes messages of one channel from one state to another, and returns
// how many were in that state. People that are not are left alone.
func (l *ledger) move(ch Channel, people []person.Number, from, to State, why Reason, s set) (int64, error) {
	if !Permitted(from, to, why) {
		return 0, refusedMove(from, to, why)
	}
	var moved int64
	for len(people) > 0 {
		n := min(len(people), batch)
		res, err := l.tx.ExecContext(l.ctx, l.moveText(ch, people[:n], from, to, why, s))
		if err != nil {
			return moved, fmt.Errorf("ledger: %v to %v: %w", from, to, err)
		}
		k, err := res.RowsAffected()
		if err != nil {
			return moved, fmt.Errorf("ledger: %v to %v: %w", from, to, err)
		}
		moved += k
		people = people[n:]
	}
	l.count(change{ch, from, to, why}, moved)
	return moved, nil
}

func (l *ledger) moveText(ch Channel, people []person.Number, from, to State, why Reason, s set) string {
	b := make([]byte, 0, 300+8*len(people))
	num := func(text string, v int64) { b = strconv.AppendInt(append(b, text...), v, 10) }
	num("UPDATE message SET state=", int64(to))
	num(", reason=", int64(why))
	num(", at=", l.now)
	if s.attempt != 0 {
		num(", tries=tries+1, attempt=", s.attempt)
	}
	if s.receipt {
		num(", meaning=", int64(s.meaning))
		num(", code=", int64(s.code))
		num(", told_at=", s.toldAt)
	}
	if s.flags != 0 {
		num(", flags=flags|", int64(s.flags))
	}
	if s.fresh {
		num(", exposed=", int64(s.exposed))
		num(", bind=", s.bind)
	}
	num(" WHERE campaign=", l.campaign)
	num(" AND channel=", int64(ch))
	num(" AND state=", int64(from))
	if s.onAttempt != 0 {
		num(" AND attempt=", s.onAttempt)
	}
	return string(appendWho(append(b, " AND "...), people))
}

// appendWho writes the condition that a row is about one of people. Who stand close
// together are a range without the few in between: its rows are read one after
// the other, where each number of a list is looked up.
func appendWho(b []byte, people []person.Number) []byte {
	among, is := people, "person IN ("
	if between, few := gaps(people); few {
		b = fmt.Appendf(b, "person BETWEEN %d AND %d", people[0], people[len(people)-1])
		if len(between) == 0 {
			return b
		}
		among, is = between, " AND person NOT IN ("
	}
	b = append(b, is...)
	for i, p := range among {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, uint64(p), 10)
	}
	return append(b, ')')
}

// gaps returns the numbers between people that are not theirs, if people stand in
// order and there are few.
func gaps(people []person.Number) (between []person.Number, few bool) {
	n := len(people)
	if n < 2 || !slices.IsSorted(people) || uint64(people[n-1]-people[0]) >= uint64(n+n/4) {
		return nil, false
	}
	for i := 1; i < n; i++ {
		for p := people[i-1] + 1; p < people[i]; p++ {
			between = append(between, p)
		}
	}
	return between, true
}

const messageColumns = `channel, person, state, reason, tries, flags, meaning, code, ladder, attempt, exposed, bind, place, told_at, at`

// querier is what reads: the store or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func scanMessages(rows *sql.Rows, err error) ([]message, error) {
	if err != nil {
		return nil, fmt.Errorf("ledger: read messages: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var all []message
	for rows.Next() {
		var m message
		if err := rows.Scan(&m.channel, &m.person, &m.state, &m.reason, &m.tries, &m.flags, &m.meaning, &m.code,
			&m.ladder, &m.attempt, &m.exposed, &m.bind, &m.place, &m.toldAt, &m.at); err != nil {
			return nil, fmt.Errorf("ledger: read messages: %w", err)
		}
		all = append(all, m)
	}
	return all, rows.Err()
}

// messagesOf returns every message of the people, on all channels, in order of channel.
func messagesOf(ctx context.Context, q querier, campaign int64, people []person.Number) ([]message, error) {
	var all []message
	for len(people) > 0 {
		n := min(len(people), batch)
		text := string(appendWho([]byte(`SELECT `+messageColumns+` FROM message WHERE campaign=$1 AND channel IN (0,1,2,3,4) AND `), people[:n]))
		some, err := scanMessages(q.QueryContext(ctx, text, campaign))
		if err != nil {
			return nil, err
		}
		all, people = append(all, some...), people[n:]
	}
	return all, nil
}

// briefColumns are what a receipt needs to know of a message, in four numbers:
// reading columns costs more than looking a row up. The cast is for PostgreSQL,
// where the product of two integers is an integer.
const briefColumns = `person, attempt, told_at, state + 16*flags + 4096*meaning + 1048576*(CASE WHEN tries>255 THEN 255 ELSE tries END) + 268435456*CAST(code AS BIGINT)`

// brief returns the messages of the people on one channel, without ladder,
// exposed, bind, place, reason and at.
func brief(ctx context.Context, q querier, campaign int64, ch Channel, people []person.Number) ([]message, error) {
	all := make([]message, 0, len(people))
	for len(people) > 0 {
		n := min(len(people), batch)
		text := string(appendWho([]byte(`SELECT `+briefColumns+` FROM message WHERE campaign=$1 AND channel=$2 AND `), people[:n]))
		var err error
		if all, err = scanBrief(ctx, q, all, text, campaign, ch); err != nil {
			return nil, err
		}
		people = people[n:]
	}
	return all, nil
}

func scanBrief(ctx context.Context, q querier, all []message, text string, campaign int64, ch Channel) ([]message, error) {
	rows, err := q.QueryContext(ctx, text, campaign, ch)
	if err != nil {
		return nil, fmt.Errorf("ledger: read messages: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		m := message{channel: ch}
		var packed int64
		if err := rows.Scan(&m.person, &m.attempt, &m.toldAt, &packed); err != nil {
			return nil, fmt.Errorf("ledger: read messages: %w", err)
		}
		m.state, m.flags, m.meaning = State(packed&15), int(packed>>4&255), int(packed>>12&255)
		m.tries, m.code = int(packed>>20&255), int(packed>>28)
		all = append(all, m)
	}
	return all, rows.Err()
}

// onChannel returns the messages of the people on one channel.
func onChannel(ctx context.Context, q querier, campaign int64, ch Channel, people []person.Number) ([]message, error) {
	var all []message
	for len(people) > 0 {
		n := min(len(people), batch)
		text := string(appendWho([]byte(`SELECT `+messageColumns+` FROM message WHERE campaign=$1 AND channel=$2 AND `), people[:n]))
		some, err := scanMessages(q.QueryContext(ctx, text, campaign, ch))
		if err != nil {
			return nil, err
		}
		all, people = append(all, some...), people[n:]
	}
	return all, nil
}
