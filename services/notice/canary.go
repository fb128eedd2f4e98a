package notice

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"sync"
	"time"

	"tocsin.dev/pkg/organisation"
	"tocsin.dev/pkg/person"
	"tocsin.dev/pkg/wording"
	"tocsin.dev/services/notice/carrier"
	"tocsin.dev/services/notice/sendgrid"
)

// A canary is a made-up person whose mailbox or number is the organisation's
// own. One travels at the end of every request of email and of every series of
// text messages, laid out by the same code as the others; afterwards the
// provider's receipts and look-ups are held against what was handed over
// (canary_watch.go). It is no person of any list: no tally counts it.

// canaryNumber stands for a canary where a person number is needed.
const canaryNumber = ^person.Number(0)

// canary is the one of a run.
type canary struct {
	attempt       int64
	plan          int64
	channel       Channel
	who           int    // place in the organisation's list
	message       string // the provider's id
	words, tagged string // digests; see the table
	asks          int
	at            time.Time
}

// canary returns the notice id of an attempt's canary. It differs from batch to
// batch, so that what is found at the provider names the batch.
func (s secrets) canary(attempt int64) (id carrier.ID) {
	var b [24]byte
	copy(id[:], s.derive("canary", string(carrier.AppendAttempt(b[:0], attempt, 0))))
	return id
}

func canaryAddress(c organisation.Canary, ch Channel) string {
	switch ch {
	case Email:
		return c.Email.Reveal()
	case SMS:
		return c.Phone.Reveal()
	}
	return ""
}

// canariesOf returns the places of the canaries that can travel on a channel.
// An own mail server carries none: it can be asked nothing afterwards.
func (w *worker) canariesOf(org *organisation.Organisation) (who []int) {
	if w.account == nil || w.account.smtp != nil || w.s.canariesRest.of(org.ID, w.s.cfg.Now()) {
		return nil
	}
	for i, c := range org.Canaries {
		if canaryAddress(c, w.c.channel) != "" {
			who = append(who, i)
		}
	}
	return who
}

// addCanaries puts a canary behind the letters of every run. A message that is
// rendered whole for one person has none: it shares nothing with another.
func (w *worker) addCanaries(k *content, runs []*run) {
	who := w.canariesOf(k.org)
	if len(who) == 0 {
		return
	}
	for _, r := range runs {
		first := &r.letters[0]
		c := &canary{attempt: r.attempt.id, plan: w.p.id, channel: w.c.channel, who: who[r.attempt.id%int64(len(who))]}
		l := canaryLetter(first, k.org.Canaries[c.who], w.s.secrets.canary(r.attempt.id))
		if w.c.channel == Email {
			if l.v != first.v || !cleanLetter(first) || !cleanLetter(&l) {
				continue
			}
			c.tagged = digest(tagged(l.v, l.v.Subject, sendgrid.TextTag))
		}
		m, err := l.text.Render(l.rec)
		if err != nil {
			continue // a field that no canary has
		}
		c.words = digest(m.Text)
		if w.c.channel == Email {
			c.words = digest(m.Subject)
		}
		r.letters, r.canary = append(r.letters, l), c
	}
}

// canaryLetter is the letter of a canary beside a person of the list: all that
// decides about the layout is the person's, all that names somebody the canary's.
func canaryLetter(first *letter, own organisation.Canary, id carrier.ID) letter {
	named := *first.to.named
	named.Number, named.Email, named.Phone, named.Address = canaryNumber, own.Email, own.Phone, nil
	if named.GivenName != "" {
		named.GivenName = own.GivenName
	}
	if named.FamilyName != "" {
		named.FamilyName = own.FamilyName
	}
	l := letter{row: &message{person: canaryNumber, channel: first.row.channel, exposed: first.row.exposed},
		to: recipient{named: &named, reach: &named}, id: id, text: first.text}
	l.rec = wording.Recipient{Contact: &named, Reference: reference(id), PossibleDuplicate: first.rec.PossibleDuplicate}
	l.v = l.text.Variant(l.rec)
	return l
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// takeCanaries takes the canaries and their answers out of the runs, so that
// what is recorded of the runs is about people alone. It returns the canaries
// that the provider has.
func (w *worker) takeCanaries(ctx context.Context, runs []*run) (sent []*canary) {
	for _, r := range runs {
		c := r.canary
		if c == nil {
			continue
		}
		place := len(r.letters) - 1
		r.letters, r.canary = r.letters[:place], nil
		if len(r.answers) == 0 { // never reached
			continue
		}
		a := &r.answers[len(r.answers)-1]
		if w.c.channel == Email {
			w.withoutBlame(ctx, a, place)
		} else {
			r.answers = r.answers[:place]
		}
		if a.Class == carrier.Accepted {
			c.message = a.ID
			sent = append(sent, c)
		}
	}
	return sent
}

// canaryRest is how long an organisation's batches go without a canary after a
// provider refused a request that may have been refused because of one.
const canaryRest = 10 * time.Minute

// withoutBlame keeps a refusal from the people of a request if it was, or may
// have been, for the canary's address: they are tried again without a canary.
func (w *worker) withoutBlame(ctx context.Context, a *carrier.Answer, place int) {
	if a.Class != carrier.Refused || len(a.Bad) > 0 && !slices.Contains(a.Bad, place) {
		return
	}
	a.Class, a.Bad, a.Meaning = carrier.NotSent, nil, 0
	w.s.canariesRest.begin(w.p.org, w.s.cfg.Now().Add(canaryRest))
	w.s.log.ErrorContext(ctx, "a request with a canary was refused; batches go without for a while: look at the organisation's canaries",
		"org", w.p.org, "case", w.p.caseID, "for", canaryRest)
}

// rests remembers until when organisations go without canaries.
type rests struct {
	mu    sync.Mutex
	until map[string]time.Time
}

func (r *rests) of(org string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return now.Before(r.until[org])
}

func (r *rests) begin(org string, until time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.until == nil {
		r.until = map[string]time.Time{}
	}
	r.until[org] = until
}
