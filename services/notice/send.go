package notice

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"tocsin.dev/pkg/category"
	"tocsin.dev/pkg/person"
	"tocsin.dev/pkg/wording"
	"tocsin.dev/services/notice/carrier"
)

// work sends what is planned on a chunk. It returns when the chunk is due again.
func (s *Service) work(ctx context.Context, p *plan, c *chunk) (due time.Time, err error) {
	ctx, span := s.tracer.Start(withTrace(ctx, p.trace), "notice send "+c.channel.String(),
		trace.WithAttributes(attribute.String("tocsin.org", p.org), attribute.String("tocsin.case", p.caseID), attribute.Int("tocsin.chunk", c.no)))
	defer span.End()
	if err := s.recoverLost(ctx, p, c); err != nil {
		return due, err
	}
	w := &worker{s: s, p: p, c: c, most: pageSize}
	for naps := 0; ; {
		wait, err := w.round(ctx)
		if err == nil && wait > 0 && wait <= nap && naps < mostNaps {
			naps++ // cheaper than to give the chunk back and have it announced anew
			if err := rest(ctx, wait); err != nil {
				return s.cfg.Now(), err
			}
			continue
		}
		naps = 0
		var b *blocked
		if errors.As(err, &b) {
			return s.cfg.Now(), s.blockPlan(ctx, p, b.reason, b.detail)
		}
		if err != nil || wait >= 0 {
			return s.cfg.Now().Add(max(0, wait)), err
		}
	}
}

// A worker that must wait for its turn no longer than nap keeps its chunk, so
// often in a row that its lease outlasts it.
const (
	nap      = 300 * time.Millisecond
	mostNaps = 8
)

func rest(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// worker sends one chunk.
type worker struct {
	s *Service
	p *plan
	c *chunk
	// most is the most recipients of one request; it is halved when a request is
	// refused as a whole, until the recipient at fault stands alone.
	most int
	// account is the one through which the present batch goes.
	account *account
}

// letter is one person's message, ready to be sent.
type letter struct {
	row  *message
	to   recipient
	id   carrier.ID
	text *text
	v    *wording.Variant
	rec  wording.Recipient
}

// run is a set of letters with the same words and layout: one request of
// email, or a series of text messages.
type run struct {
	attempt attempt
	letters []letter
	answers []carrier.Answer // one for each letter, or a single one for all
	canary  *canary          // whose letter is the last one, if there is one
}

// another means that the round did something and there may be more.
const another = time.Duration(-1)

// round sends one batch. It returns another, or how long the chunk can wait.
func (w *worker) round(ctx context.Context) (wait time.Duration, err error) {
	s := w.s
	if ok, err := s.store.mayGo(ctx, w.p.id); err != nil || !ok {
		return 0, err
	}
	k, refusal, err := s.verified(ctx, w.p)
	if err != nil {
		return 0, err
	}
	if refusal != nil {
		return 0, s.refusePlan(ctx, w.p, refusal)
	}
	if k.waits(s) {
		return time.Second, nil
	}
	rows, err := s.planned(ctx, w.p.campaign, w.c)
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	all := len(rows)
	if w.c.channel == SMS {
		now := s.cfg.Now()
		may, next := k.awake(rows, now)
		if len(may) == 0 {
			return min(next.Sub(now), quietLook), nil
		}
		if err := w.sayOverridden(ctx, k, may); err != nil {
			return 0, err
		}
		rows = may
	}
	if w.account, rows, err = s.route(ctx, w.c.channel, rows); err != nil {
		return 0, err
	}
	if wait, err := s.reserve(ctx, w.account, k.org.Sender, len(rows)); err != nil || wait > 0 {
		return wait, err
	}
	letters, err := w.prepare(ctx, k, rows)
	if err != nil || len(letters) == 0 {
		return another, err
	}
	if w.c.channel == Email && s.cfg.hasDomainLimits() {
		reserved := len(letters)
		if letters, wait, err = s.withinDomains(ctx, letters); err != nil {
			return 0, err
		}
		if err := s.giveBack(ctx, w.account, k.org.Sender, reserved-len(letters)); err != nil {
			return 0, err
		}
		if len(letters) == 0 {
			return wait, nil
		}
	}
	if len(w.canariesOf(k.org)) > 0 {
		w.most = min(w.most, pageSize-1) // the canary takes a place
	}
	runs := w.divide(letters)
	if a := w.holdBack(ctx, k, runs); a.Class != carrier.Accepted {
		return w.notHeld(ctx, runs[0], a), nil
	}
	if err := w.writeAhead(ctx, runs); errors.Is(err, errChanged) {
		return another, nil
	} else if err != nil {
		return 0, err
	}
	w.addCanaries(k, runs)
	if err := w.deliver(ctx, k, runs); err != nil {
		return 0, err
	}
	wait, err = w.record(ctx, runs)
	if wait == another && len(letters) == all {
		return 0, err // all that was read has gone out; whatever is planned again is found when the chunk is given back
	}
	return wait, err
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

// writeAhead writes every request of a batch down before any of them is made,
// under the fence of the chunk. No record, no call.
func (w *worker) writeAhead(ctx context.Context, runs []*run) error {
	now := w.s.cfg.Now()
	parent := traceOf(ctx)
	counts, err := w.s.store.write(ctx, w.p.campaign, now, func(l *ledger) error {
		if err := l.fence(w.c, now.Add(w.s.cfg.Lease).UnixMilli()); err != nil {
			return err
		}
		for _, r := range runs {
			a := attempt{plan: w.p.id, campaign: w.p.campaign, channel: w.c.channel, chunk: w.c.no, token: w.c.token,
				digest: r.letters[0].text.digest, account: w.account.name, batch: r.attempt.batch, sendAt: r.attempt.sendAt, trace: parent, people: make([]person.Number, len(r.letters))}
			for i := range r.letters {
				a.people[i] = r.letters[i].row.person
				a.flags |= r.letters[i].row.flags & flagDuplicate
			}
			if err := l.begin(&a); err != nil {
				return err
			}
			if !w.s.cfg.withoutWriteAhead {
				n, err := l.move(w.c.channel, a.people, Planned, Submitted, r.letters[0].row.reason, set{attempt: a.id})
				if err != nil {
					return err
				}
				if n != int64(len(a.people)) {
					return errChanged // a receipt or another worker was faster: look again
				}
			}
			r.attempt = a
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

// record writes down what the requests came to, whatever became of the lease:
// the truth needs no permission. ctx may have ended; this must not.
func (w *worker) record(ctx context.Context, runs []*run) (time.Duration, error) {
	if w.s.dead.Load() {
		return 0, errLost
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	wait, canaries := another, w.takeCanaries(end, runs)
	counts, err := w.s.store.persist(end, w.p.campaign, w.s.cfg.Now(), func(l *ledger) error {
		for _, r := range runs {
			if len(r.answers) == 0 { // never reached
				r.answers = []carrier.Answer{{Class: carrier.NotSent, Detail: "held back"}}
			}
			if err := w.s.outcome(l, w.p, r); err != nil {
				return err
			}
		}
		for _, c := range canaries {
			if err := l.keepCanary(c); err != nil {
				return err
			}
		}
		_, err := l.tx.ExecContext(end, `UPDATE plan SET last_at=$2, first_at=CASE WHEN first_at=0 THEN $2 ELSE first_at END WHERE id=$1`, w.p.id, l.now)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("record outcomes: %w", err) // the messages stay submitted, and so in doubt
	}
	w.s.meters.changes(end, counts)
	classes := map[carrier.Class]int{}
	for _, r := range runs {
		for _, a := range r.answers {
			classes[a.Class]++
			if a.Class != carrier.Accepted {
				wait = max(wait, w.heed(end, r, a))
			}
		}
	}
	if w.account.mustRest() {
		wait = max(wait, w.s.rest(end, w.account))
	}
	for class, n := range classes {
		w.s.meters.request(end, w.c.channel, class.String(), n)
	}
	if classes[carrier.Accepted] > 0 {
		w.s.providerWorks(end, w.account)
	}
	return wait, nil
}

// heed does what an answer, other than an acceptance, asks of the sending as a whole.
func (w *worker) heed(ctx context.Context, r *run, a carrier.Answer) time.Duration {
	switch a.Class {
	case carrier.Slow, carrier.Account:
		return w.s.slowDown(ctx, w, r, a)
	case carrier.NotSent:
		return max(time.Second, a.RetryAfter)
	case carrier.Refused:
		if len(r.letters) > 1 && len(a.Bad) == 0 && w.c.channel == Email {
			w.most = max(1, len(r.letters)/2)
		}
		return another
	}
	return another
}

// outcome moves the messages of a run to where its answers put them.
func (s *Service) outcome(l *ledger, p *plan, r *run) error {
	// Answers that say the same about their people are applied together.
	same := map[carrier.Class][]person.Number{}
	state, doubts := attemptRefused, false
	for i, a := range r.answers {
		people := r.attempt.people[i : i+1]
		if len(r.answers) == 1 {
			people = r.attempt.people
		}
		if a.Status != 0 {
			r.attempt.status, r.attempt.code = a.Status, a.Code
		}
		if a.ID != "" && r.attempt.channel == Email {
			r.attempt.providerID = a.ID
		}
		switch {
		case a.Class == carrier.Accepted:
			state = attemptAccepted
		case a.Class == carrier.InDoubt:
			doubts = true
		case a.Class.Unsent() && state == attemptRefused:
			state = attemptNotSent
		case a.Class == carrier.Refused:
			if err := s.refusedBy(l, p, &r.attempt, a, people); err != nil {
				return err
			}
			continue
		}
		same[a.Class] = append(same[a.Class], people...)
	}
	for class, people := range same {
		if err := answered(l, &r.attempt, class, people); err != nil {
			return err
		}
	}
	settle := int64(0)
	if doubts {
		state, settle = attemptInDoubt, l.now
	}
	return l.close(&r.attempt, state, settle)
}

// answered applies an answer to the people it is about.
func answered(l *ledger, at *attempt, class carrier.Class, people []person.Number) error {
	to, why := Planned, ReasonNotSent
	switch class {
	case carrier.Accepted:
		to, why = Accepted, ReasonAnswer
	case carrier.InDoubt:
		_, err := l.move(at.channel, people, Submitted, InDoubt, ReasonLostAnswer, set{onAttempt: at.id})
		return err
	}
	n, err := l.move(at.channel, people, Submitted, to, why, set{onAttempt: at.id})
	if err == nil && n < int64(len(people)) { // in doubt already, if our lease was taken over meanwhile
		_, err = l.move(at.channel, people, InDoubt, to, why, set{onAttempt: at.id})
	}
	return err
}
