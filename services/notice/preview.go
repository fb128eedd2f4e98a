package notice

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/journal"
	"tocsin.dev/pkg/organisation"
	"tocsin.dev/pkg/person"
	"tocsin.dev/pkg/wording"
	"tocsin.dev/services/notice/print"
	"tocsin.dev/services/notice/sendgrid"
	"tocsin.dev/services/notice/twilio"
)

// mayPreview are the roles that may see a notice with a person's data in it.
var mayPreview = []string{"legal", "dpo", "admin"}

// answerLetter shows one person's notice as it would leave. It goes the way of
// a real sending up to the provider's door and stops there.
func (s *Service) answerLetter(ctx context.Context, q event.LetterQuestion) (event.LetterAnswer, error) {
	var none event.LetterAnswer
	ch, ok := channelNamed(q.Channel)
	switch {
	case q.Asker.Kind != event.PersonActor || !slices.Contains(mayPreview, q.Asker.Role):
		return none, bus.Refuse("forbidden", "the role %q may not see a notice with a person's data", q.Asker.Role)
	case !ok || !slices.Contains(sendable, ch):
		return none, bus.Refuse("invalid", "channel: choose email, sms, post or fax")
	case strings.TrimSpace(q.Reason) == "" || q.Person == 0:
		return none, bus.Refuse("invalid", "name a person number and the reason for looking")
	}
	c, err := s.cfg.Journal.Load(ctx, q.Org, q.Case)
	if errors.Is(err, journal.ErrNotFound) {
		return none, bus.Refuse("not_found", "there is no case %q", q.Case)
	}
	if err != nil {
		return none, err
	}
	latest := c.Latest()
	if latest == nil || len(c.Texts) == 0 {
		return none, bus.Refuse("not_ready", "the case has no sealed list or no text yet")
	}
	w := &worker{s: s, p: &plan{org: q.Org, caseID: q.Case, order: "preview by " + q.Asker.ID, revision: latest.Revision}}
	to, refusal, err := w.reveal(ctx, q)
	if err != nil {
		return none, err
	}
	a := event.LetterAnswer{Person: q.Person, Sending: q.Channel, Problem: refusal}
	if refusal != "" {
		return a, nil
	}
	return w.show(c, q, ch, to, a)
}

// reveal asks scope for the person, which writes the asker and the reason to its audit.
func (w *worker) reveal(ctx context.Context, q event.LetterQuestion) (to recipient, problem string, err error) {
	of := event.ContactsQuestion{Org: q.Org, Case: q.Case, Revision: w.p.revision, Order: w.p.order, Earlier: q.Kind == correction}
	asking := of
	asking.Numbers, asking.Asker, asking.Reason = []person.Number{q.Person}, &q.Asker, q.Reason
	a, err := w.s.contacts(ctx, asking)
	if err != nil {
		return to, "", err
	}
	if len(a.Contacts) != 1 {
		return to, "the person was erased since the list was sealed", nil
	}
	all, err := w.s.withGuardians(ctx, of, a.Contacts)
	if err != nil {
		return to, "", err
	}
	if q.Kind == correction {
		told, err := w.s.toldBefore(ctx, w.p, q.Kind, all)
		if err != nil {
			return to, "", err
		}
		all[0].named.Exposed = told[q.Person] &^ all[0].named.Exposed
	}
	return all[0], "", nil
}

// show lays out the letter and writes the request it would travel in.
func (w *worker) show(c *casefile.Case, q event.LetterQuestion, ch Channel, to recipient, a event.LetterAnswer) (event.LetterAnswer, error) {
	org, err := w.s.cfg.Organisations.Get(q.Org)
	if err != nil {
		return a, err
	}
	if q.Kind == "" {
		q.Kind = "first"
	}
	k, err := drafted(c, org, q.Kind)
	if err != nil { // words that do not compile or bind
		a.Problem = err.Error()
		return a, nil
	}
	ladder, _ := k.ladder(k.rule(w.s.cfg.MailDomains[q.Org], func(Channel) bool { return true }), to)
	for _, rung := range ladder.Channels() {
		a.Ladder = append(a.Ladder, rung.String())
	}
	a.Guardian = to.named != to.reach
	l := letter{row: &message{person: to.named.Number, channel: ch, exposed: uint32(to.named.Exposed)}, to: to, text: k.text(to, ch)}
	if l.text == nil {
		a.Problem = "there is no " + ch.Text() + " text in the person's language"
		return a, nil
	}
	l.id = w.s.secrets.marker(q.Org, q.Case, q.Kind, w.p.revision).notice(to.named.Number, ch, l.text.digest)
	l.rec = wording.Recipient{Contact: to.named, Reference: reference(l.id)}
	l.v = l.text.Variant(l.rec)
	a.TextKey, a.Reference, a.Conditions = l.text.TextKey(), reference(l.id), l.text.Met(l.rec)
	m, err := l.text.Render(l.rec)
	if err != nil {
		a.Problem = err.Error()
		return a, nil
	}
	a.Subject, a.Text, a.HTML = m.Subject, m.Text, m.HTML
	if !usable(ch, to.reach) {
		a.Problem = "the person has no address for this channel"
		return a, nil
	}
	if !slices.Contains(a.Ladder, q.Channel) {
		a.Problem = "this channel would not be used for the person: the breach itself exposed it"
	}
	if err := w.enclose(k, &l, ch, &a); err != nil {
		a.Problem = err.Error()
	}
	if a.Request != nil {
		sum := sha256.Sum256(a.Request)
		a.SHA256 = hex.EncodeToString(sum[:])
	}
	return a, nil
}

// drafted is what the texts of a case as they stand would say, approved or not,
// on every channel. Nothing of it may leave as a notice.
func drafted(c *casefile.Case, org *organisation.Organisation, kind string) (*content, error) {
	draft := &event.Approval{Kind: kind}
	for key, t := range c.Texts {
		draft.Texts = append(draft.Texts, event.ApprovedText{TextKey: key, Digest: wording.Digest(key, t.Subject, t.Body)})
	}
	order := &casefile.Order{DispatchOrdered: event.DispatchOrdered{Kind: kind}}
	for _, one := range sendable {
		order.Channels = append(order.Channels, one.String())
	}
	return contentOf(c, order, org, draft)
}

// enclose writes what would be handed to the first account of a channel, through
// the same code and the same second check as a sending.
func (w *worker) enclose(k *content, l *letter, ch Channel, a *event.LetterAnswer) error {
	if all := w.s.accountsOn(ch); len(all) > 0 {
		w.account = all[0]
	}
	switch ch {
	case Email:
		a.To, a.ContentType = l.to.reach.Email.Reveal(), "application/json"
		r := &run{attempt: attempt{people: []person.Number{l.row.person}}, letters: []letter{*l}}
		body, err := w.compose(k, r, new(sendgrid.Body))
		if err != nil {
			return err
		}
		a.Request = body
		return w.inspectEmail(body, r)
	case SMS:
		a.To = l.to.reach.Phone.Reveal()
		seg := wording.CountSegments(a.Text)
		a.Parts, a.Alphabet = seg.Parts, seg.Alphabet
		if w.account != nil {
			a.ContentType = "application/x-www-form-urlencoded"
			a.Request = w.account.sms.Form(twilio.SMS{To: a.To, From: w.account.senderOf(k.org.Sender), Body: a.Text, Validity: w.account.validity, Case: w.p.caseID, Notice: l.id})
		}
		return w.inspectText(a.Text, l)
	}
	var lines []string
	for _, line := range l.to.reach.Address {
		lines = append(lines, line.Reveal())
	}
	a.To, a.ContentType = strings.Join(lines, ", "), "application/pdf"
	one, err := w.paper(l, 0, 0)
	if err != nil {
		return err
	}
	if ch == Fax {
		a.To, one = l.to.reach.Fax.Reveal(), print.Faxed(one)
	}
	var pdf bytes.Buffer
	err = print.PDF(&pdf, print.Sender{Name: k.org.Name, Address: k.org.Sender.Post}, []print.Letter{one})
	a.Request = pdf.Bytes()
	return err
}
