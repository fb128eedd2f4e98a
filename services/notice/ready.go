package notice

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tocsin.dev/pkg/category"
	"tocsin.dev/pkg/person"
	"tocsin.dev/pkg/wording"
	"tocsin.dev/services/notice/carrier"
)

// outgoing is a batch that is written down and may leave.
type outgoing struct {
	k    *content
	runs []*run
	all  bool // of the messages that were read
}

// ready gets a batch ready, up to the words and the record of every request, so
// that hardly anything is left to do between the record and the request: what
// dies there is in doubt although nobody got it. Without a batch it returns another, or how long the chunk can wait.
func (w *worker) ready(ctx context.Context) (out *outgoing, wait time.Duration, err error) {
	s := w.s
	if ok, err := s.store.mayGo(ctx, w.p.id); err != nil || !ok {
		return nil, 0, err
	}
	k, refusal, err := s.verified(ctx, w.p)
	if err != nil {
		return nil, 0, err
	}
	if refusal != nil {
		return nil, 0, s.refusePlan(ctx, w.p, refusal)
	}
	if k.waits(s) {
		return nil, time.Second, nil
	}
	rows, err := s.planned(ctx, w.p.campaign, w.c)
	if err != nil || len(rows) == 0 {
		return nil, 0, err
	}
	letters, wait, err := w.letters(ctx, k, rows)
	if err != nil || len(letters) == 0 {
		return nil, wait, err
	}
	runs, wait, err := w.writeDown(ctx, k, letters)
	if err != nil || runs == nil {
		return nil, wait, err
	}
	return &outgoing{k: k, runs: runs, all: len(letters) == len(rows)}, 0, nil
}

// letters lays out the letters of those rows that may be written to now.
// Without any it returns another, or how long the chunk can wait.
func (w *worker) letters(ctx context.Context, k *content, rows []message) (letters []letter, wait time.Duration, err error) {
	s := w.s
	if w.c.channel == SMS {
		now := s.cfg.Now()
		may, next := k.awake(rows, now)
		if len(may) == 0 {
			return nil, min(next.Sub(now), quietLook), nil
		}
		if err := w.sayOverridden(ctx, k, may); err != nil {
			return nil, 0, err
		}
		rows = may
	}
	if w.account, rows, err = s.route(ctx, w.c.channel, rows); err != nil {
		return nil, 0, err
	}
	if wait, err := s.reserve(ctx, w.account, k.org.Sender, len(rows)); err != nil || wait > 0 {
		return nil, wait, err
	}
	letters, err = w.prepare(ctx, k, rows)
	if err != nil || len(letters) == 0 {
		return nil, another, err
	}
	if w.c.channel == Email && s.cfg.hasDomainLimits() {
		reserved := len(letters)
		if letters, wait, err = s.withinDomains(ctx, letters); err != nil {
			return nil, 0, err
		}
		if err := s.giveBack(ctx, w.account, k.org.Sender, reserved-len(letters)); err != nil {
			return nil, 0, err
		}
	}
	return letters, wait, nil
}

// writeDown turns letters into requests, composed and written ahead. It
// returns none, and how long the chunk can wait, if nothing may leave.
func (w *worker) writeDown(ctx context.Context, k *content, letters []letter) ([]*run, time.Duration, error) {
	if len(w.canariesOf(k.org)) > 0 {
		w.most = min(w.most, pageSize-1) // the canary takes a place
	}
	runs := w.divide(letters)
	if a := w.holdBack(ctx, k, runs); a.Class != carrier.Accepted {
		return nil, w.notHeld(ctx, runs[0], a), nil
	}
	if err := w.number(ctx, runs); err != nil {
		return nil, 0, err
	}
	w.addCanaries(k, runs)
	if err := w.composeAhead(k, runs); err != nil {
		return nil, 0, err
	}
	if err := w.writeAhead(ctx, runs); errors.Is(err, errChanged) {
		return nil, another, nil
	} else if err != nil {
		return nil, 0, err
	}
	return runs, 0, nil
}

// planned returns what sending needs to know of the planned messages of a
// chunk, at most one page.
func (s *Service) planned(ctx context.Context, campaign int64, c *chunk) ([]message, error) {
	rows, err := s.store.db.QueryContext(ctx, `SELECT person, flags, exposed, bind, tries, place, attempt FROM message
		WHERE campaign=$1 AND channel=$2 AND person BETWEEN $3 AND $4 AND state=$5 ORDER BY person LIMIT $6`,
		campaign, c.channel, c.first, c.last, Planned, pageSize)
	if err != nil {
		return nil, fmt.Errorf("ledger: read planned: %w", err)
	}
	defer func() { _ = rows.Close() }()
	all := make([]message, 0, pageSize)
	for rows.Next() {
		m := message{channel: c.channel, state: Planned, reason: ReasonHandOver}
		if err := rows.Scan(&m.person, &m.flags, &m.exposed, &m.bind, &m.tries, &m.place, &m.attempt); err != nil {
			return nil, fmt.Errorf("ledger: read planned: %w", err)
		}
		all = append(all, m)
	}
	return all, rows.Err()
}

// prepare asks for the contacts of the rows and lays their letters out. Every
// letter is held against what was planned for its person number; one that does
// not fit blocks the sending and is named.
func (w *worker) prepare(ctx context.Context, k *content, rows []message) ([]letter, error) {
	numbers := make([]person.Number, len(rows))
	byNumber := make(map[person.Number]*message, len(rows))
	for i := range rows {
		numbers[i] = rows[i].person
		byNumber[rows[i].person] = &rows[i]
	}
	people, erased, err := w.s.people(ctx, w.p, numbers)
	if err != nil {
		return nil, err
	}
	if err := w.dropErased(ctx, erased); err != nil {
		return nil, err
	}
	if len(people)+len(erased) != len(rows) {
		return nil, block("list_mismatch", "scope answered %d of %d people of chunk %d", len(people)+len(erased), len(rows), w.c.no)
	}
	mark := w.s.secrets.marker(w.p.org, w.p.caseID, k.order.Kind, w.p.revision)
	letters := make([]letter, 0, len(people))
	for _, to := range people {
		row := byNumber[to.named.Number]
		if row == nil {
			return nil, block("list_mismatch", "scope answered person %d, who was not asked for or twice", to.named.Number)
		}
		delete(byNumber, to.named.Number)
		one, err := w.letter(k, mark, row, to)
		if err != nil {
			return nil, err
		}
		letters = append(letters, one)
	}
	return letters, nil
}

func (w *worker) letter(k *content, mark *marker, row *message, to recipient) (l letter, err error) {
	n := row.person
	if k.order.Kind == correction && !corrected(to.named, category.Set(row.exposed)) {
		return l, block("record_mismatch", "the list shows again what person %d was told in error", n)
	}
	if mark.bind(n, to.reach, to.named) != row.bind || uint32(to.named.Exposed) != row.exposed {
		return l, block("record_mismatch", "the contact record of person %d is not the one that was planned", n)
	}
	l = letter{row: row, to: to, text: k.text(to, w.c.channel)}
	if l.text == nil {
		return l, block("no_text", "person %d has no approved text on %s", n, w.c.channel)
	}
	l.id = mark.notice(n, w.c.channel, l.text.digest)
	l.rec = wording.Recipient{Contact: to.named, Reference: reference(l.id), PossibleDuplicate: row.flags&flagDuplicate != 0}
	l.v = l.text.Variant(l.rec)
	for _, f := range l.v.Slots {
		if l.rec.Value(f, l.text.Language()) == "" {
			return l, block("empty_merge", "person %d has no {{%s}}, which the text %s needs", n, f, l.text.Key())
		}
	}
	return l, nil
}

func (w *worker) dropErased(ctx context.Context, erased []person.Number) error {
	if len(erased) == 0 {
		return nil
	}
	counts, err := w.s.store.write(ctx, w.p.campaign, w.s.cfg.Now(), func(l *ledger) error {
		_, err := l.move(w.c.channel, erased, Planned, Excluded, ReasonErased, set{})
		return err
	})
	w.s.meters.changes(ctx, counts)
	return err
}

// divide groups letters that can share a request or a series.
func (w *worker) divide(letters []letter) []*run {
	type key struct {
		t   *text
		v   *wording.Variant
		dup bool
		why Reason
	}
	most := w.most
	if w.account.smtp != nil {
		most = 1 // every message is a request of its own
	}
	at := map[key]*run{}
	var runs []*run
	for _, l := range letters {
		k := key{t: l.text, v: l.v, dup: l.rec.PossibleDuplicate, why: l.row.reason}
		if w.c.channel != Email {
			k.v = nil // every text message is a request of its own
		}
		r := at[k]
		if r == nil || len(r.letters) >= most || w.c.channel == Email && !cleanLetter(&l) {
			r = &run{}
			runs = append(runs, r)
			if w.c.channel != Email || cleanLetter(&l) {
				at[k] = r
			}
		}
		r.letters = append(r.letters, l)
	}
	return runs
}

// number gives every request its attempt, with the id that it will carry.
func (w *worker) number(ctx context.Context, runs []*run) error {
	parent := traceOf(ctx)
	for _, r := range runs {
		id, err := w.s.store.attemptID(ctx)
		if err != nil {
			return err
		}
		r.attempt = attempt{id: id, plan: w.p.id, campaign: w.p.campaign, channel: w.c.channel, chunk: w.c.no, token: w.c.token,
			digest: r.letters[0].text.digest, account: w.account.name, batch: r.attempt.batch, sendAt: r.attempt.sendAt, trace: parent, people: make([]person.Number, len(r.letters))}
		for i := range r.letters {
			r.attempt.people[i] = r.letters[i].row.person
			r.attempt.flags |= r.letters[i].row.flags & flagDuplicate
		}
	}
	return nil
}

// writeAhead writes every request of a batch down before any of them is made,
// under the fence of the chunk. No record, no call.
func (w *worker) writeAhead(ctx context.Context, runs []*run) error {
	now := w.s.cfg.Now()
	counts, err := w.s.store.write(ctx, w.p.campaign, now, func(l *ledger) error {
		if err := l.fence(w.c, now.Add(w.s.cfg.Lease).UnixMilli()); err != nil {
			return err
		}
		for _, r := range runs {
			a := &r.attempt
			if err := l.begin(a); err != nil {
				return err
			}
			if w.s.cfg.withoutWriteAhead {
				continue
			}
			n, err := l.move(w.c.channel, a.people, Planned, Submitted, r.letters[0].row.reason, set{attempt: a.id})
			if err != nil {
				return err
			}
			if n != int64(len(a.people)) {
				return errChanged // a receipt or another worker was faster: look again
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	w.s.meters.changes(ctx, counts)
	return nil
}

// errChanged means that messages changed between reading and writing.
var errChanged = errors.New("messages changed meanwhile")
