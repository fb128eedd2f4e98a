package notice

import (
	"context"
	"errors"
	"time"

	"tocsin.dev/pkg/category"
	"tocsin.dev/pkg/person"
	"tocsin.dev/services/notice/carrier"
	"tocsin.dev/services/notice/print"
)

// errLookUp means that a provider could not be asked.
var errLookUp = errors.New("the provider could not be asked")

// asked is what asking a provider came to.
type asked struct {
	found int
	// complete is whether the provider answered for all that had to be asked.
	complete bool
}

// samples is how many people of an email request are looked up: it was
// accepted whole or not at all.
const samples = 3

// probesAtOnce bounds the look-ups of one examination; a provider allows few.
const probesAtOnce = 100

// lookUp asks the provider for messages in doubt and applies what it knows.
func (s *Service) lookUp(ctx context.Context, a *attempt, doubtful []message) (asked, error) {
	p, err := s.store.planByID(ctx, a.plan)
	if err != nil || p == nil {
		return asked{}, err
	}
	if onPaper(a.channel) {
		return s.lookOnDisk(ctx, p, a, doubtful)
	}
	by := s.accountNamed(a.account)
	switch {
	case by == nil:
		return asked{}, errLookUp
	case by.smtp != nil:
		return asked{complete: true}, nil // a mail server cannot be asked, and sends no receipts to wait for
	}
	some := doubtful
	if a.channel == Email {
		some = spread(doubtful, samples)
	} else if len(some) > probesAtOnce {
		some = some[:probesAtOnce]
	}
	people, erased, err := s.people(ctx, p, numbersOf(some))
	if err != nil {
		return asked{}, err
	}
	c, err := s.campaign(ctx, a.campaign)
	if err != nil || c == nil {
		return asked{}, err
	}
	if err := s.asPlanned(ctx, a, people); err != nil {
		return asked{}, err
	}
	out := asked{complete: len(erased) == 0 && (a.channel == Email || len(some) == len(doubtful))}
	var facts []fact
	for _, to := range people {
		r, err := s.find(ctx, by, p, c, a, to)
		if err != nil {
			s.log.InfoContext(ctx, "a provider could not be asked about a doubt", "attempt", a.id, "error", err)
			out.complete = false
			err = errLookUp
			if len(facts) == 0 {
				return out, err
			}
			break
		}
		if r != nil {
			r.Attempt = a.id
			facts = append(facts, fact{Receipt: *r, channel: a.channel, person: to.named.Number, scheduled: a.batch != ""})
		}
	}
	if len(facts) == 0 {
		return out, nil
	}
	counts, err := s.store.write(ctx, a.campaign, s.cfg.Now(), func(l *ledger) error { return l.receive(facts, ReasonLookUp) })
	s.meters.changes(ctx, counts)
	s.provenBy(ctx, by, counts)
	out.found = len(facts)
	return out, err
}

// asPlanned lets people show what was planned to be said to them, which is what
// the words of an attempt depend on, whatever the list shows by now.
func (s *Service) asPlanned(ctx context.Context, a *attempt, people []recipient) error {
	if a.channel != SMS {
		return nil // only text messages are looked up by their words
	}
	numbers := make([]person.Number, len(people))
	for i := range people {
		numbers[i] = people[i].named.Number
	}
	rows, err := onChannel(ctx, s.store.db, a.campaign, a.channel, numbers)
	if err != nil {
		return err
	}
	planned := make(map[person.Number]category.Set, len(rows))
	for _, m := range rows {
		planned[m.person] = category.Set(m.exposed)
	}
	for _, to := range people {
		to.named.Exposed = planned[to.named.Number]
	}
	return nil
}

// lookOnDisk settles a file of letters or faxes: it is there whole, or it was never written.
func (s *Service) lookOnDisk(ctx context.Context, p *plan, a *attempt, doubtful []message) (asked, error) {
	if !print.Exists(s.paperDir(a.channel, p.org), s.printName(p.org, p.caseID, a.id)) {
		return asked{complete: true}, nil
	}
	return asked{found: len(doubtful)}, s.believe(ctx, a, doubtful)
}

// spread picks n rows from the whole range.
func spread(rows []message, n int) []message {
	if len(rows) <= n {
		return rows
	}
	out := make([]message, n)
	for i := range out {
		out[i] = rows[i*(len(rows)-1)/(n-1)]
	}
	return out
}

// find asks the account that carried a message for it. For a text message it needs the very
// words, which it renders again from the text of the attempt's digest.
func (s *Service) find(ctx context.Context, by *account, p *plan, c *campaign, a *attempt, to recipient) (*carrier.Receipt, error) {
	c.mu.Lock()
	id := c.mark.notice(to.named.Number, a.channel, a.digest)
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if a.channel == Email {
		return by.mail.Find(ctx, to.reach.Email.Reveal(), id, a.at)
	}
	body, err := s.wordsSent(ctx, p, a, to, id)
	if err != nil {
		return nil, err
	}
	return by.sms.Find(ctx, to.reach.Phone.Reveal(), body, id, a.at)
}
