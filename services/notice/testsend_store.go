package notice

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/person"
	"tocsin.dev/services/notice/carrier"
)

// beginTest writes the copies of a test down before any of them is sent, and
// holds the organisation to its rate. It reports false and what is known if the
// test was begun before.
func (s *store) beginTest(ctx context.Context, t *testSend, now time.Time) (fresh bool, err error) {
	err = s.db.Tx(ctx, func(tx *sql.Tx) error {
		if fresh, err = firstAsked(ctx, tx, t, now); err != nil || !fresh {
			return err
		}
		for i := range t.copies {
			c := &t.copies[i]
			err := tx.QueryRowContext(ctx, `INSERT INTO test_message (org, case_id, test, by_user, to_user, text_key, digest, person, channel, notice, at)
				VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11) RETURNING id`,
				t.q.Org, t.q.Case, t.q.ID, t.q.Asker.ID, c.user, t.q.TextKey.String(), t.q.Digest, t.q.Person, t.channel, c.notice.String(), now.UnixMilli()).Scan(&c.row)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("begin test %s of %s: %w", t.q.ID, t.q.Org, err)
	}
	return fresh, nil
}

// firstAsked takes the organisation's turn, so that replicas count one after
// the other, and then reads what is there of the test and of the last hour.
func firstAsked(ctx context.Context, tx *sql.Tx, t *testSend, now time.Time) (bool, error) {
	_, err := tx.ExecContext(ctx, `INSERT INTO bucket (name, next_at) VALUES ($1, 0) ON CONFLICT (name) DO UPDATE SET next_at=bucket.next_at`, "test/"+t.q.Org)
	if err != nil {
		return false, err
	}
	known := 0
	for i := range t.copies {
		c := &t.copies[i]
		err := tx.QueryRowContext(ctx, `SELECT id, outcome, detail FROM test_message WHERE org=$1 AND test=$2 AND to_user=$3`, t.q.Org, t.q.ID, c.user).Scan(&c.row, &c.outcome, &c.detail)
		switch {
		case err == nil:
			known++
		case err != sql.ErrNoRows: //nolint:errorlint // Scan returns it bare
			return false, err
		}
		if c.row != 0 && c.outcome == "" {
			c.outcome, c.detail = carrier.InDoubt.String(), "it was begun before, and its outcome is not known"
		}
	}
	if known > 0 {
		if known < len(t.copies) {
			return false, bus.Refuse("conflict", "the test %s went to other people; give this one an id of its own", t.q.ID)
		}
		return false, nil
	}
	var sent int
	if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM test_message WHERE org=$1 AND at>$2`, t.q.Org, now.Add(-testWindow).UnixMilli()).Scan(&sent); err != nil {
		return false, err
	}
	if sent+len(t.copies) > mostTests {
		return false, bus.Refuse("too_many", "%d test messages were sent within the last hour, and %d are allowed; wait, or send it to fewer people", sent, mostTests)
	}
	return true, nil
}

func (s *store) endTest(ctx context.Context, c *testCopy) error {
	_, err := s.db.ExecContext(ctx, `UPDATE test_message SET outcome=$2, detail=$3 WHERE id=$1`, c.row, c.outcome, c.detail)
	if err != nil {
		return fmt.Errorf("end test message %d: %w", c.row, err)
	}
	return nil
}

// testReceipt records the receipt of a test message; false if it is about none.
func testReceipt(ctx context.Context, tx *sql.Tx, f carrier.Receipt) (bool, error) {
	res, err := tx.ExecContext(ctx, `UPDATE test_message SET meaning=$2 WHERE notice=$1`, f.Notice.String(), f.Meaning)
	if err != nil {
		return false, fmt.Errorf("receipt of a test: %w", err)
	}
	return mustTouch(res) == nil, nil
}

// unsaidTest is a test that may have to be said in the journal.
type unsaidTest struct {
	body event.WordingTested
	open int // copies without an outcome
	at   time.Time
}

func (s *store) unsaidTests(ctx context.Context, org, caseID string) (all []*unsaidTest, err error) {
	rows, err := s.db.QueryContext(ctx, `SELECT test, by_user, to_user, text_key, digest, person, outcome, at FROM test_message
		WHERE org=$1 AND case_id=$2 AND said=0 ORDER BY id`, org, caseID)
	if err != nil {
		return nil, fmt.Errorf("read tests of case %s/%s: %w", org, caseID, err)
	}
	defer func() { _ = rows.Close() }()
	var last *unsaidTest
	for rows.Next() {
		var b event.WordingTested
		var to, key, outcome string
		var who person.Number
		var at int64
		if err := rows.Scan(&b.Test, &b.By, &to, &key, &b.Digest, &who, &outcome, &at); err != nil {
			return nil, fmt.Errorf("read tests of case %s/%s: %w", org, caseID, err)
		}
		if last == nil || last.body.Test != b.Test {
			parts := strings.SplitN(key, "/", 3)
			b.TextKey = event.TextKey{Audience: parts[0], Channel: parts[1], Language: parts[2]}
			b.To, b.Person = []string{}, int64(who)
			last = &unsaidTest{body: b, at: time.UnixMilli(at)}
			all = append(all, last)
		}
		switch outcome {
		case carrier.Accepted.String():
			last.body.To = append(last.body.To, to)
		case "":
			last.open++
			fallthrough
		default:
			last.body.Failed = append(last.body.Failed, to)
		}
	}
	return all, rows.Err()
}

func (s *store) saidTest(ctx context.Context, org, test string) error {
	_, err := s.db.ExecContext(ctx, `UPDATE test_message SET said=1 WHERE org=$1 AND test=$2`, org, test)
	if err != nil {
		return fmt.Errorf("mark test %s as said: %w", test, err)
	}
	return nil
}
