package notice

import (
	"context"
	"fmt"
	"time"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/event"
	"tocsin.dev/services/notice/carrier"
)

// answerProgress answers event.AskProgress from the ledger.
func (s *Service) answerProgress(ctx context.Context, q event.ProgressQuestion) (a event.ProgressAnswer, err error) {
	rows, err := s.store.db.QueryContext(ctx, `SELECT `+planColumns+` FROM plan WHERE org=$1 AND case_id=$2 ORDER BY id`, q.Org, q.Case)
	if err != nil {
		return a, fmt.Errorf("progress: %w", err)
	}
	defer func() { _ = rows.Close() }()
	a = event.ProgressAnswer{At: s.cfg.Now().UTC(), Orders: []event.OrderProgress{}, Receipts: map[string]event.ReceiptHealth{}}
	var plans []*plan
	for rows.Next() {
		p, err := scanPlan(rows)
		if err != nil {
			return a, fmt.Errorf("progress: %w", err)
		}
		if q.Order == "" || q.Order == p.order {
			plans = append(plans, p)
		}
	}
	if err := rows.Err(); err != nil {
		return a, fmt.Errorf("progress: %w", err)
	}
	for _, p := range plans {
		o, err := s.orderProgress(ctx, p)
		if err != nil {
			return a, err
		}
		a.Orders = append(a.Orders, o)
	}
	for _, from := range s.accounts {
		if !from.receives() {
			continue
		}
		if a.Receipts[from.name], err = s.receiptHealth(ctx, from.name); err != nil {
			return a, err
		}
	}
	return a, nil
}

func (s *Service) orderProgress(ctx context.Context, p *plan) (o event.OrderProgress, err error) {
	o = event.OrderProgress{Order: p.order, Revision: p.revision, State: p.word(), Reason: p.reason, Detail: p.detail,
		Listed: p.nextPlace, People: p.people, Reasons: map[string]map[string]int64{}}
	if o.Tally, err = s.store.tally(ctx, p.campaign); err != nil {
		return o, err
	}
	c, err := s.cfg.Journal.Load(ctx, p.org, p.caseID)
	if err != nil {
		return o, err
	}
	if err := s.countPublic(ctx, c, p.campaign, &o.Tally); err != nil {
		return o, err
	}
	rows, err := s.store.db.QueryContext(ctx, `SELECT channel, reason, SUM(n) FROM moved WHERE campaign=$1 GROUP BY channel, reason`, p.campaign)
	if err != nil {
		return o, fmt.Errorf("progress: %w", err)
	}
	defer func() { _ = rows.Close() }()
	handed := int64(0)
	for rows.Next() {
		var ch Channel
		var why Reason
		var n int64
		if err := rows.Scan(&ch, &why, &n); err != nil {
			return o, fmt.Errorf("progress: %w", err)
		}
		if o.Reasons[ch.String()] == nil {
			o.Reasons[ch.String()] = map[string]int64{}
		}
		o.Reasons[ch.String()][why.String()] = n
		switch why {
		case ReasonHandOver:
			handed += n
		case ReasonResend, ReasonOperatorResend, ReasonRecalledLate:
			o.PossibleDuplicates += n
		}
	}
	if o.Canaries, err = s.store.canaryCount(ctx, p.id); err != nil {
		return o, err
	}
	o.FirstSentAt, o.LastSentAt = instant(p.firstAt), instant(p.lastAt)
	if d := float64(p.lastAt-p.firstAt) / 1000; d > 0 {
		o.PerSecond = float64(handed) / d
	}
	return o, rows.Err()
}

func (p *plan) word() string {
	switch {
	case p.state == planStopped:
		return "stopped"
	case p.state == planRefused:
		return "refused"
	case p.state == planReplaced:
		return "replaced"
	case p.halt == haltPaused:
		return "paused"
	case p.halt != goes:
		return "blocked"
	case p.state == planListing:
		return "listing"
	}
	return "sending"
}

func instant(ms int64) *time.Time {
	if ms == 0 {
		return nil
	}
	t := time.UnixMilli(ms).UTC()
	return &t
}

func (s *Service) receiptHealth(ctx context.Context, account string) (h event.ReceiptHealth, err error) {
	rows, err := s.store.db.QueryContext(ctx, `SELECT ok_at, bad_at, bad FROM account WHERE name=$1`, account)
	if err != nil {
		return h, fmt.Errorf("receipts of account %s: %w", account, err)
	}
	defer func() { _ = rows.Close() }()
	if rows.Next() {
		var ok, bad, n int64
		if err := rows.Scan(&ok, &bad, &n); err != nil {
			return h, fmt.Errorf("receipts of account %s: %w", account, err)
		}
		h = event.ReceiptHealth{LastGood: instant(ok), LastBad: instant(bad), Healthy: ok > 0 && n == 0}
	}
	return h, rows.Err()
}

// answerMessages answers event.AskMessages: a page of the ledger, or one person's history.
func (s *Service) answerMessages(ctx context.Context, q event.MessagesQuestion) (a event.MessagesAnswer, err error) {
	limit := q.Limit
	if limit <= 0 {
		limit = 100
	}
	if limit > 1000 {
		return a, bus.Refuse("invalid", "limit is at most 1,000")
	}
	state, ok := stateNamed(q.State)
	if !ok {
		return a, bus.Refuse("invalid", "there is no state %q", q.State)
	}
	channel := -1
	if q.Channel != "" {
		ch, known := channelNamed(q.Channel)
		if !known && q.Channel != "none" {
			return a, bus.Refuse("invalid", "there is no channel %q", q.Channel)
		}
		channel = int(ch)
	}
	rows, err := s.store.db.QueryContext(ctx, `SELECT c.id, m.channel, m.person, m.state, m.reason, m.tries, m.flags, m.meaning, m.code, m.ladder, m.attempt, m.place, m.at
		FROM campaign c JOIN message m ON m.campaign=c.id
		WHERE c.org=$1 AND c.case_id=$2 AND ($3=0 OR m.person=$3) AND m.person>$4 AND ($5=0 OR m.state=$5) AND ($6<0 OR m.channel=$6)
		ORDER BY m.person, c.id, m.channel LIMIT $7`, q.Org, q.Case, int64(q.Person), int64(q.After), int64(state), channel, limit+1)
	if err != nil {
		return a, fmt.Errorf("messages: %w", err)
	}
	defer func() { _ = rows.Close() }()
	a.Messages = []event.MessageRow{}
	var raw []ledgerRow
	for rows.Next() {
		var r ledgerRow
		if err := rows.Scan(&r.campaign, &r.channel, &r.person, &r.state, &r.reason, &r.tries, &r.flags, &r.meaning, &r.code, &r.ladder, &r.attempt, &r.place, &r.at); err != nil {
			return a, fmt.Errorf("messages: %w", err)
		}
		raw = append(raw, r)
	}
	if err := rows.Err(); err != nil {
		return a, fmt.Errorf("messages: %w", err)
	}
	if len(raw) > limit {
		a.More, raw = true, wholePeople(raw, limit)
	}
	for _, r := range raw {
		row, err := s.show(ctx, r, q.Person != 0)
		if err != nil {
			return a, err
		}
		a.Messages = append(a.Messages, row)
	}
	return a, nil
}

type ledgerRow struct {
	message
	campaign int64
}

// wholePeople cuts a list so that nobody's messages are split between pages.
func wholePeople(rows []ledgerRow, limit int) []ledgerRow {
	n := limit
	for n > 1 && rows[n-1].person == rows[n].person {
		n--
	}
	if n == 1 {
		n = limit
	}
	return rows[:n]
}

func (s *Service) show(ctx context.Context, r ledgerRow, history bool) (event.MessageRow, error) {
	c, err := s.campaign(ctx, r.campaign)
	if err != nil || c == nil {
		return event.MessageRow{}, err
	}
	row := event.MessageRow{
		Kind: c.kind, Person: r.person, Channel: r.channel.String(), State: r.state.String(), Reason: r.reason.String(), Code: r.code,
		Tries: r.tries, At: time.UnixMilli(r.at).UTC(), Jurisdiction: unpackPlace(r.place),
		PossibleDuplicate: r.flags&flagDuplicate != 0, ArrivedLate: r.flags&flagLate != 0, ExposedChannel: r.flags&flagExposed != 0,
		Complained: r.flags&flagComplained != 0, Guardian: r.flags&flagGuardian != 0,
	}
	if r.meaning != 0 {
		row.Meaning = carrier.Meaning(r.meaning).String()
	}
	if r.state == Planned && r.channel == SMS {
		if row.EarliestStart, err = s.earliestStart(ctx, c, r.place); err != nil {
			return row, err
		}
	}
	for _, ch := range r.ladder.Channels() {
		row.Ladder = append(row.Ladder, ch.String())
	}
	if r.attempt != 0 {
		a, err := s.attempt(ctx, r.attempt)
		if err != nil {
			return row, err
		}
		if a != nil {
			c.mu.Lock()
			row.Reference = reference(c.mark.notice(r.person, r.channel, a.digest))
			c.mu.Unlock()
		}
	}
	if onPaper(r.channel) && r.attempt != 0 {
		p, err := s.proofOf(ctx, r.attempt)
		if err != nil {
			return row, err
		}
		if p != nil {
			row.PostedAt = &p.at
		}
	}
	if history {
		row.History, err = s.history(ctx, r)
	}
	return row, err
}

func (s *Service) history(ctx context.Context, r ledgerRow) (all []event.MessageReceipt, err error) {
	rows, err := s.store.db.QueryContext(ctx, `SELECT attempt, meaning, code, at FROM remark WHERE campaign=$1 AND channel=$2 AND person=$3 ORDER BY at, attempt`,
		r.campaign, r.channel, int64(r.person))
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var m carrier.Meaning
		var at int64
		var one event.MessageReceipt
		if err := rows.Scan(&one.Attempt, &m, &one.Code, &at); err != nil {
			return nil, fmt.Errorf("history: %w", err)
		}
		one.Meaning, one.At = m.String(), time.Unix(at, 0).UTC()
		all = append(all, one)
	}
	return all, rows.Err()
}

func stateNamed(name string) (State, bool) {
	if name == "" {
		return 0, true
	}
	for st := State(1); st < stateCount; st++ {
		if st.String() == name {
			return st, true
		}
	}
	return 0, false
}
