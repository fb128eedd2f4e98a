package notice

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/event"
	"tocsin.dev/services/notice/carrier"
	"tocsin.dev/services/notice/print"
)

// answerReturns answers event.AskReturns. A file is applied whole or not at
// all: with one fault in it nothing is changed. The same file twice changes
// nothing the second time. What was handed in is kept sealed like any receipt.
func (s *Service) answerReturns(ctx context.Context, q event.ReturnsQuestion) (a event.ReturnsAnswer, err error) {
	switch {
	case q.Asker.Kind != event.PersonActor || !slices.Contains([]string{"legal", "dpo", "admin"}, q.Asker.Role):
		return a, bus.Refuse("forbidden", "returns are handed in by the roles legal, dpo and admin")
	case strings.TrimSpace(q.Text) == "":
		return a, bus.Refuse("invalid", "the file is empty")
	case len(q.Text) > event.MaxReturns:
		return a, bus.Refuse("too_large", "the file has more than %d bytes; hand it in in parts, each with the header", event.MaxReturns)
	}
	b := &returning{s: s, q: q, file: readReturns(q.Text, s.cfg.Now())}
	if len(b.file.faults) == 0 {
		if err := b.resolve(ctx); err != nil {
			return a, err
		}
	}
	a = event.ReturnsAnswer{Kind: b.file.kind, DryRun: q.DryRun, Lines: int64(len(b.file.lines)), Outcomes: b.outcomes, Faults: b.file.faults}
	if len(a.Faults) > 0 {
		return a, nil
	}
	if err := b.apply(ctx, &a); err != nil {
		return a, err
	}
	if !q.DryRun {
		s.log.InfoContext(ctx, "returns were taken back", "org", q.Org, "case", q.Case, "by", q.Asker.ID, "kind", a.Kind, "lines", a.Lines, "changed", a.Changed)
		s.wakeUp()
		s.runner.Poke(q.Org, q.Case)
	}
	return a, nil
}

// returning holds one file against the ledger.
type returning struct {
	s        *Service
	q        event.ReturnsQuestion
	file     *returnsFile
	channel  Channel
	facts    []carrier.Receipt
	proofs   []proof
	outcomes map[string]int64
}

// proof is what a printer confirmed about one of our files.
type proof struct {
	attempt int64
	returned
}

// resolve finds the letter or file of each line, or says what is wrong with it.
func (b *returning) resolve(ctx context.Context) error {
	b.outcomes = map[string]int64{}
	seen := map[string]int{}
	for _, l := range b.file.lines {
		key := l.code + l.file
		if first, twice := seen[key]; twice {
			b.file.bad(l.line, b.column(), "the same stands in line %d already", first)
			continue
		}
		seen[key] = l.line
		take := b.outcome
		if b.file.kind == "proof" {
			take = b.proof
		}
		if err := take(ctx, l); err != nil {
			return err
		}
	}
	return nil
}

func (b *returning) column() string {
	if b.file.kind == "proof" {
		return "file"
	}
	return "code"
}

// paperCodes is the form of paperCode.
var paperCodes = regexp.MustCompile(`^T([1-9][0-9]{0,17})-([0-9]{1,4})-([0-9A-Z]{5})$`)

// outcome turns a line about a letter into a receipt.
func (b *returning) outcome(ctx context.Context, l returned) error {
	m := paperCodes.FindStringSubmatch(l.code)
	if m == nil {
		b.file.bad(l.line, "code", "this is not the code of a letter, such as T12-3-K7QX9")
		return nil
	}
	id, _ := strconv.ParseInt(m[1], 10, 64) // the pattern lets digits through alone
	pos, _ := strconv.Atoi(m[2])
	a, c, err := b.handedOver(ctx, id)
	if err != nil {
		return err
	}
	if a == nil || pos >= len(a.people) {
		b.file.bad(l.line, "code", "no letter of this case bears the code")
		return nil
	}
	c.mu.Lock()
	notice := c.mark.notice(a.people[pos], a.channel, a.digest)
	c.mu.Unlock()
	if reference(notice)[:5] != m[3] {
		b.file.bad(l.line, "code", "the end of the code does not fit its beginning; it was mistyped")
		return nil
	}
	if !b.oneChannel(l, "code", a) {
		return nil
	}
	table := print.Letters
	if a.channel == Fax {
		table = print.Faxes
	}
	o, ok := print.Find(table, l.outcome)
	if !ok {
		b.file.bad(l.line, "outcome", "this is none of %s", print.Words(table))
		return nil
	}
	if l.at.IsZero() {
		l.at = b.s.cfg.Now()
	} else if l.at.Before(a.at.Truncate(time.Second)) {
		b.file.bad(l.line, "at", "this is before the letter was made")
		return nil
	}
	b.outcomes[o.Word]++
	b.facts = append(b.facts, carrier.Receipt{Notice: notice, Attempt: id, Pos: pos, Meaning: o.Meaning, Code: o.Code, At: l.at, Message: l.code})
	return nil
}

// proof holds a printer's confirmation against the file that it names.
func (b *returning) proof(ctx context.Context, l returned) error {
	name := strings.TrimSuffix(strings.TrimSuffix(l.file, ".csv"), ".pdf")
	id, err := strconv.ParseInt(name[strings.LastIndexByte(name, '-')+1:], 10, 64)
	var a *attempt
	var c *campaign
	if err == nil {
		if a, c, err = b.handedOver(ctx, id); err != nil {
			return err
		}
	}
	switch {
	case a == nil || name != b.s.printName(c.org, c.caseID, id):
		b.file.bad(l.line, "file", "no file of this case has the name")
		return nil
	case l.count != int64(len(a.people)):
		b.file.bad(l.line, "count", "the file holds %d; hand in those that were not posted as returns with the outcome not_printed, and the whole count here", len(a.people))
		return nil
	case l.at.Before(a.at.Truncate(time.Second)):
		b.file.bad(l.line, "posted_at", "this is before the file was made")
		return nil
	case !b.oneChannel(l, "file", a):
		return nil
	}
	switch had, err := b.s.proofOf(ctx, id); {
	case err != nil:
		return err
	case had != nil && (had.at.Unix() != l.at.Unix() || had.batch != l.batch):
		b.file.bad(l.line, "file", "its posting was proven before with another time or batch; that proof stands")
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for pos, who := range a.people {
		b.facts = append(b.facts, carrier.Receipt{Notice: c.mark.notice(who, a.channel, a.digest), Attempt: id, Pos: pos, Meaning: carrier.Processed, At: l.at})
	}
	b.proofs = append(b.proofs, proof{attempt: id, returned: l})
	return nil
}

// handedOver returns an attempt on paper of the case that is asked about, or nil.
func (b *returning) handedOver(ctx context.Context, id int64) (*attempt, *campaign, error) {
	a, err := b.s.attempt(ctx, id)
	if err != nil || a == nil || !onPaper(a.channel) {
		return nil, nil, err
	}
	c, err := b.s.campaign(ctx, a.campaign)
	if err != nil || c == nil || c.org != b.q.Org || c.caseID != b.q.Case {
		return nil, nil, err
	}
	return a, c, nil
}

// oneChannel keeps letters and faxes, whose words differ, in files of their own.
func (b *returning) oneChannel(l returned, column string, a *attempt) bool {
	if b.channel == None {
		b.channel = a.channel
	}
	if b.channel != a.channel {
		b.file.bad(l.line, column, "this is of the channel %s, and the file began with %s; hand them in apart", a.channel, b.channel)
		return false
	}
	return true
}

// errDryRun undoes what a dry run has tried.
var errDryRun = errors.New("dry run")

// apply applies the file in one transaction and counts what that changed.
func (b *returning) apply(ctx context.Context, a *event.ReturnsAnswer) error {
	from := b.s.accountNamed(b.channel.String())
	if from == nil { // its folder is not set any more, and what was handed over still comes back
		from = &account{name: b.channel.String(), channel: b.channel}
	}
	d := &delivery{from: from, raw: []byte(b.q.Text), facts: b.facts}
	err := b.s.applyWith(ctx, []*delivery{d}, func(tx *sql.Tx, counted []map[change]int64) error {
		a.Changed, a.NextRung, a.Unreachable, a.Excluded = 0, 0, 0, 0
		b.count(a, counted)
		if err := b.keepProofs(ctx, tx, a); err != nil {
			return err
		}
		if b.q.DryRun {
			return errDryRun
		}
		return nil
	})
	if errors.Is(err, errDryRun) {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("apply returns: %w", err)
	}
	a.Known = a.Lines - a.Changed
	return nil
}

// count adds up what the receipts have changed.
func (b *returning) count(a *event.ReturnsAnswer, counted []map[change]int64) {
	for _, counts := range counted {
		for c, n := range counts {
			switch {
			case c.is == Planned:
				a.NextRung += n
			case c.is == Unreachable:
				a.Unreachable += n
			case c.is == Excluded:
				a.Excluded += n
			case c.channel == b.channel && b.file.kind == "outcomes":
				a.Changed += n
			}
		}
	}
}

func (b *returning) keepProofs(ctx context.Context, tx *sql.Tx, a *event.ReturnsAnswer) error {
	for _, p := range b.proofs {
		res, err := tx.ExecContext(ctx, `INSERT INTO proof (attempt, posted_at, count, batch, by_user, at) VALUES ($1,$2,$3,$4,$5,$6) ON CONFLICT DO NOTHING`,
			p.attempt, p.at.Unix(), p.count, p.batch, b.q.Asker.ID, b.s.cfg.Now().UnixMilli())
		if err != nil {
			return fmt.Errorf("keep proof of posting: %w", err)
		}
		if mustTouch(res) == nil {
			a.Changed++
		}
	}
	return nil
}

// proofOf returns the proof of posting of a file, or nil.
func (s *Service) proofOf(ctx context.Context, attempt int64) (*proof, error) {
	p, at := &proof{attempt: attempt}, int64(0)
	err := s.store.db.QueryRowContext(ctx, `SELECT posted_at, batch FROM proof WHERE attempt=$1`, attempt).Scan(&at, &p.batch)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read proof of posting: %w", err)
	}
	p.at = time.Unix(at, 0).UTC()
	return p, nil
}

// paperFiles lists the files of a case with their proofs, newest first.
func (s *Service) paperFiles(ctx context.Context, org, caseID string) ([]event.PaperFile, error) {
	rows, err := s.store.db.QueryContext(ctx, `SELECT a.id, a.channel, a.n, a.at, COALESCE(p.posted_at,0), COALESCE(p.batch,'')
		FROM campaign c JOIN attempt a ON a.campaign=c.id LEFT JOIN proof p ON p.attempt=a.id
		WHERE c.org=$1 AND c.case_id=$2 AND a.channel IN (3,4) AND a.state IN ($3,$4,$5) ORDER BY a.id DESC LIMIT 1000`,
		org, caseID, attemptAccepted, attemptSettled, attemptInDoubt)
	if err != nil {
		return nil, fmt.Errorf("read print files: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var all []event.PaperFile
	for rows.Next() {
		var id, at, posted int64
		var ch Channel
		var f event.PaperFile
		if err := rows.Scan(&id, &ch, &f.Letters, &at, &posted, &f.Batch); err != nil {
			return nil, fmt.Errorf("read print files: %w", err)
		}
		f.Name, f.Channel, f.WrittenAt = s.printName(org, caseID, id), ch.String(), time.UnixMilli(at).UTC()
		if posted > 0 {
			t := time.Unix(posted, 0).UTC()
			f.PostedAt = &t
		}
		all = append(all, f)
	}
	return all, rows.Err()
}
