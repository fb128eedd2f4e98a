package notice

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"time"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/journal"
	"tocsin.dev/pkg/wording"
	"tocsin.dev/services/notice/carrier"
	"tocsin.dev/services/notice/sendgrid"
	"tocsin.dev/services/notice/smtp"
	"tocsin.dev/services/notice/twilio"
)

// A test send shows a text, approved or not, to the people who answer for it,
// through the real provider. It is no side door for words that nobody approved:
// it goes only to users of the organisation whose address stands in a file that
// this service reads itself, it is marked as a test, and there are few an hour.

// mayTest are the roles that may send a test: who writes, approves or orders.
var mayTest = []string{"analyst", "legal", "dpo"}

// mostTests is how many test messages an organisation may send within testWindow.
const (
	mostTests  = 20
	testWindow = time.Hour
)

// testSend is one test that passed every check.
type testSend struct {
	q         event.TestQuestion
	channel   Channel
	content   *content
	message   wording.Message
	reference string
	copies    []testCopy
}

// testCopy is its message to one user.
type testCopy struct {
	row     int64 // in the store
	user    string
	to      string
	notice  carrier.ID
	outcome string
	detail  string
}

// answerTest sends a text as a test. Asked again under the same id, it says
// what became of the first time and sends nothing.
func (s *Service) answerTest(ctx context.Context, q event.TestQuestion) (event.TestAnswer, error) {
	t, err := s.checkTest(ctx, q)
	if err != nil {
		return event.TestAnswer{}, err
	}
	fresh, err := s.store.beginTest(ctx, t, s.cfg.Now())
	if err != nil {
		return event.TestAnswer{}, err
	}
	if fresh {
		for i := range t.copies {
			s.sendTest(ctx, t, &t.copies[i])
		}
		s.runner.Poke(q.Org, q.Case)
	}
	a := event.TestAnswer{Test: q.ID, TextKey: q.TextKey, Digest: q.Digest, Reference: t.reference}
	for _, c := range t.copies {
		a.Sent = append(a.Sent, event.TestedFor{User: c.user, Outcome: c.outcome, Detail: c.detail})
	}
	return a, nil
}

// checkTest looks at who asks, for whom and for what, and renders the message.
func (s *Service) checkTest(ctx context.Context, q event.TestQuestion) (*testSend, error) {
	ch, ok := channelNamed(q.Channel)
	if !ok || ch != Email && ch != SMS {
		return nil, bus.Refuse("invalid", "a test goes out by email or as a text message; see a letter in the preview")
	}
	if q.ID == "" || q.Digest == "" {
		return nil, bus.Refuse("invalid", "a test needs an id and the digest of the text")
	}
	if !s.serves(ch) {
		return nil, bus.Refuse("no_provider", "this installation cannot send on the channel %s", ch)
	}
	t := &testSend{q: q, channel: ch}
	if err := s.addressTest(t); err != nil {
		return nil, err
	}
	c, err := s.cfg.Journal.Load(ctx, q.Org, q.Case)
	if errors.Is(err, journal.ErrNotFound) {
		return nil, bus.Refuse("not_found", "there is no case %q", q.Case)
	}
	if err != nil {
		return nil, err
	}
	switch words := c.Texts[q.TextKey]; {
	case words == nil:
		return nil, bus.Refuse("not_found", "case %s has no text %s", q.Case, q.TextKey)
	case wording.Digest(q.TextKey, words.Subject, words.Body) != q.Digest:
		return nil, bus.Refuse("text_changed", "a newer version of %s exists; read that one", q.TextKey)
	}
	return t, s.renderTest(ctx, c, t)
}

// addressTest finds out where the copies go. Who may ask and who may get one is
// decided by our own file of users, whatever the question says of them.
func (s *Service) addressTest(t *testSend) error {
	all, err := s.testers.get()
	if errors.Is(err, fs.ErrNotExist) {
		return bus.Refuse("not_ready", "the sender has no file of users, so it knows nobody to test with: set users")
	}
	if err != nil {
		return err
	}
	org, err := s.cfg.Organisations.Get(t.q.Org)
	if err != nil {
		return err
	}
	by, ok := all[t.q.Asker.ID]
	switch {
	case t.q.Asker.Kind != event.PersonActor || !ok || by.Org != t.q.Org || !by.has(mayTest):
		return bus.Refuse("forbidden", "the sender knows no user %q of the organisation who may send a test", t.q.Asker.ID)
	case t.q.Person != 0 && !by.has(mayPreview):
		return bus.Refuse("forbidden", "only %s may see a notice with a person's data", strings.Join(mayPreview, ", "))
	case t.q.Person != 0 && strings.TrimSpace(t.q.Reason) == "":
		return bus.Refuse("invalid", "say why the person is shown; the audit keeps it")
	case len(t.q.To) == 0 || len(t.q.To) > mostTests:
		return bus.Refuse("invalid", "name 1 to %d users who shall get the test", mostTests)
	}
	users := slices.Compact(slices.Sorted(slices.Values(t.q.To)))
	for _, id := range users {
		to, ok := all[id]
		switch {
		case !ok || to.Org != t.q.Org, id != by.ID && !to.has(org.Approval.Roles):
			return bus.Refuse("not_a_tester", "%q is neither you nor somebody who may approve for the organisation", id)
		case t.q.Person != 0 && !to.has(mayPreview):
			return bus.Refuse("forbidden", "%q may not see a notice with a person's data", id)
		case to.reach(t.channel) == "":
			return bus.Refuse("no_address", "the file of users gives no address of %q for the channel %s", id, t.channel)
		}
		t.copies = append(t.copies, testCopy{user: id, to: to.reach(t.channel), notice: s.secrets.test(t.q.Org, t.q.ID, id)})
	}
	t.reference = wording.TestReference + reference(s.secrets.test(t.q.Org, t.q.ID, ""))[:5]
	return nil
}

// test returns the id under which a copy of a test travels. It is made from
// another key than any notice's, so no receipt of one can be taken for the other's.
func (s secrets) test(org, test, user string) (id carrier.ID) {
	copy(id[:], s.derive("test", org, test, user))
	return id
}

// renderTest writes the words for the person of the test, by the same code and
// with the same second check as a notice, and marks them.
func (s *Service) renderTest(ctx context.Context, c *casefile.Case, t *testSend) error {
	org, err := s.cfg.Organisations.Get(t.q.Org)
	if err != nil {
		return err
	}
	if t.content, err = drafted(c, org, "first"); err != nil {
		return bus.Refuse("not_ready", "%v", err)
	}
	made := wording.ExamplePerson(t.q.Language, c.Exposed())
	to, text := recipient{named: made, reach: made}, t.content.texts[t.q.TextKey]
	if t.q.Person != 0 {
		if to, err = s.revealFor(ctx, c, t.q); err != nil {
			return err
		}
		if gets := t.content.text(to, t.channel); gets != text {
			return bus.Refuse("other_text", "person %d would not get the text %s; test it with somebody else", t.q.Person, t.q.TextKey)
		}
	}
	l := letter{row: &message{person: to.named.Number, exposed: uint32(to.named.Exposed)}, to: to, text: text,
		rec: wording.Recipient{Contact: to.named, Reference: t.reference}}
	l.v = text.Variant(l.rec)
	m, err := text.Render(l.rec)
	if err != nil {
		return bus.Refuse("empty_merge", "%v", err)
	}
	if err := (&worker{s: s}).inspectText(m.Text, &l); err != nil {
		return err
	}
	t.message = m.AsTest(t.q.Language)
	return nil
}

// revealFor asks scope for the person of a test; scope's audit names the asker and the reason.
func (s *Service) revealFor(ctx context.Context, c *casefile.Case, q event.TestQuestion) (recipient, error) {
	latest := c.Latest()
	if latest == nil {
		return recipient{}, bus.Refuse("not_ready", "the case has no sealed list yet; test with a made-up person")
	}
	w := &worker{s: s, p: &plan{org: q.Org, caseID: q.Case, order: "test by " + q.Asker.ID, revision: latest.Revision}}
	to, problem, err := w.reveal(ctx, event.LetterQuestion{Org: q.Org, Case: q.Case, Asker: q.Asker, Person: q.Person, Reason: q.Reason})
	if err == nil && problem != "" {
		err = bus.Refuse("not_found", "%s", problem)
	}
	return to, err
}

// sendTest hands one copy to the provider and records what came of it.
func (s *Service) sendTest(ctx context.Context, t *testSend, c *testCopy) {
	a, err := s.handOverTest(ctx, t, c)
	if err != nil {
		a = carrier.Answer{Class: carrier.NotSent, Detail: "held back"}
		s.log.ErrorContext(ctx, "a test could not be sent", "org", t.q.Org, "case", t.q.Case, "test", t.q.ID, "error", err)
	}
	c.outcome, c.detail = a.Class.String(), a.Detail
	if a.Class == carrier.Slow || a.Class == carrier.Account {
		c.outcome = carrier.NotSent.String()
	}
	s.meters.request(ctx, t.channel, a.Class.String(), 1)
	// The truth must be written even when the asker has gone.
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := s.store.endTest(end, c); err != nil {
		s.log.ErrorContext(ctx, "what became of a test could not be recorded", "test", t.q.ID, "error", err)
	}
}

func (s *Service) handOverTest(ctx context.Context, t *testSend, c *testCopy) (carrier.Answer, error) {
	from, m := t.content.org.Sender, t.message
	// At the providers a test belongs to a case of its own, so that nothing that
	// is counted there by case takes it for a notice.
	apart := "test-" + t.q.Case
	by, _, err := s.route(ctx, t.channel, make([]message, 1))
	if err != nil {
		return carrier.Answer{}, err
	}
	if t.channel == SMS {
		return by.sms.Send(ctx, twilio.SMS{To: c.to, From: by.senderOf(from), Body: m.Text, Validity: by.validity, Case: apart, Notice: c.notice, Attempt: c.row}), nil
	}
	if by.smtp != nil {
		return by.smtp.Send(ctx, smtp.Mail{FromName: from.EmailName, From: from.Email, ReplyTo: from.ReplyTo, To: c.to,
			Subject: m.Subject, Text: m.Text, HTML: m.HTML, Notice: c.notice, Attempt: c.row}), nil
	}
	e := (&worker{s: s}).envelope(t.content)
	e.Subject, e.Text, e.HTML = m.Subject, m.Text, m.HTML
	e.Categories = []string{"breach-notice-test", "org:" + t.q.Org, "case:" + apart}
	var b sendgrid.Body
	b.Reset()
	b.Open(c.to, c.notice, c.row)
	b.Close()
	return by.mail.Send(ctx, b.Finish(sendgrid.Handling{Bypass: by.bypass, IPPool: by.pool}, e.Tail())), nil
}

// testsToSay returns the tests of a case that ended and do not stand in its
// journal yet. A test whose process died is over after a minute.
func (s *Service) testsToSay(ctx context.Context, c *casefile.Case, now time.Time) (say []event.Body, err error) {
	tests, err := s.store.unsaidTests(ctx, c.Org, c.Number)
	if err != nil {
		return nil, err
	}
	for _, t := range tests {
		switch {
		case slices.ContainsFunc(c.Tests, func(have casefile.Test) bool { return have.Test == t.body.Test }):
			if err := s.store.saidTest(ctx, c.Org, t.body.Test); err != nil {
				return nil, err
			}
		case t.open == 0 || now.Sub(t.at) > time.Minute:
			say = append(say, t.body)
		}
	}
	return say, nil
}
