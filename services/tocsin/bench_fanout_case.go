package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/category"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/journal"
	"tocsin.dev/pkg/person"
	"tocsin.dev/pkg/seal"
	"tocsin.dev/pkg/wording"
)

const fanoutOrganisation = `
id: bench
name: Bench Ltd
language: en-GB
zone: Europe/London
law: {kinds: [controller], establishments: [{place: GB, main: true}]}
contact: {label: Privacy team, email: privacy@bench.example, phone: "+441632960000"}
channels: [email, sms]
sender: {email_name: "Bench Ltd", email: notices@bench.example, sms: "+447700900000"}
approval: {eyes: 1, roles: [legal]}
`

// The canary's addresses, where no person of the list is.
const (
	fanoutCanaryMail  = "canary@bench.example"
	fanoutCanaryPhone = "+447700900190"
)

func (f *fanout) organisation() string {
	if !f.Canary {
		return fanoutOrganisation
	}
	return fanoutOrganisation + fmt.Sprintf("canaries: [{given_name: Serinus, family_name: Canaria, email: %s, phone: %q}]\n", fanoutCanaryMail, fanoutCanaryPhone)
}

// fanoutExposed is what was exposed of everybody.
var fanoutExposed = []string{"name", "email", "phone"}

// digest is the digest of the list.
func (f *fanout) digest() (string, error) {
	exposed, err := category.ParseAll(fanoutExposed)
	if err != nil {
		return "", err
	}
	d := seal.NewListDigest(fanoutOrg)
	for n := range uint32(f.People) {
		d.Add(n+1, uint32(exposed))
	}
	return d.Sum(), nil
}

var fanoutTexts = map[string]event.WordingDrafted{
	"email": {TextKey: event.TextKey{Audience: "people", Channel: "email", Language: "en-GB"}, Version: 1, Subject: "About your data, {{person.given_name}}",
		Body: "Dear {{person.full_name}},\n\nYour **{{exposed.categories}}** were seen by a stranger.\n\n{{#if notice.possible_duplicate}}You may receive this notice twice.\n\n{{/if}}" +
			"Your reference is {{notice.reference}}. Write to {{organisation.contact}}.\n"},
	"sms": {TextKey: event.TextKey{Audience: "people", Channel: "sms", Language: "en-GB"}, Version: 1,
		Body: "{{organisation.name}}: {{person.given_name}}, your {{exposed.categories}} were exposed. Ref {{notice.reference}}."},
}

// fanoutContact is the person at a place of the list: every place always gives
// the same one, so no list need be kept.
func fanoutContact(place int64, exposed category.Set) person.Contact {
	return person.Contact{
		Number: person.Number(place + 1), GivenName: person.Text(fmt.Sprintf("Ann%d", place%977)), FamilyName: "Andersson",
		Email: person.Email(fmt.Sprintf("p%d@people.example", place)), Phone: person.Phone(fmt.Sprintf("+4479%08d", place)),
		Language: "en-GB", Jurisdiction: "GB", AgeClass: person.AgeAdult, Relation: "customer", Exposed: exposed,
	}
}

// startScope answers contact questions as scope does.
func (f *fanout) startScope(ctx context.Context, parts *sync.WaitGroup) error {
	nc, err := f.host.connect(event.Scope)
	if err != nil {
		return err
	}
	b, err := bus.New(nc, bus.Config{Service: event.Scope})
	if err != nil {
		return err
	}
	exposed, err := category.ParseAll(fanoutExposed)
	if err != nil {
		return err
	}
	bus.Answer(b, event.AskContacts, func(_ context.Context, q event.ContactsQuestion) (event.ContactsAnswer, error) {
		a := event.ContactsAnswer{Next: q.To}
		for _, n := range q.Numbers {
			a.Contacts = append(a.Contacts, fanoutContact(int64(n)-1, exposed))
		}
		if len(q.Numbers) > 0 {
			a.Next = int64(len(q.Numbers))
			return a, nil
		}
		f.planned.Store(max(f.planned.Load(), q.To))
		for i := q.From; i < q.To; i++ {
			a.Contacts = append(a.Contacts, fanoutContact(i, exposed))
		}
		return a, nil
	})
	parts.Go(func() { _ = b.Run(ctx); nc.Close() })
	select {
	case <-b.Ready():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// order declares a case, seals its list, approves the text and orders the
// sending, as the desk and scope would.
func (f *fanout) order(ctx context.Context, desk *nats.Conn) error {
	j, err := journal.New(desk, journal.Config{})
	if err != nil {
		return err
	}
	list, err := f.digest()
	if err != nil {
		return err
	}
	text := fanoutTexts[f.Channel]
	text.Digest = wording.Digest(text.TextKey, text.Subject, text.Body)
	if err := f.say(ctx, j, event.Person("ann", "analyst"), event.CaseDeclared{Title: "Bench", AwareAt: time.Now(), AwareZone: "Europe/London", Severity: event.SeverityHigh, Role: "controller"}); err != nil {
		return err
	}
	if err := f.say(ctx, j, event.Person("writer", "legal"), text); err != nil {
		return err
	}
	scope, err := f.host.connect(event.Scope)
	if err != nil {
		return err
	}
	defer scope.Close()
	sj, err := journal.New(scope, journal.Config{})
	if err != nil {
		return err
	}
	if err := f.say(ctx, sj, event.Service(event.Scope), event.ScopeSealed{Revision: 1, Statement: "s1", People: int64(f.People), Digest: list}); err != nil {
		return err
	}
	c, err := j.Load(ctx, fanoutOrg, fanoutCase)
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	a := event.Approval{ID: "a1", Org: fanoutOrg, Case: fanoutCase, Kind: "first", Texts: []event.ApprovedText{{TextKey: text.TextKey, Digest: text.Digest}},
		SheetDigest: c.SheetDigest(), Revision: 1, ScopeDigest: list, Channels: []string{f.Channel}, ValidFrom: now.Add(-time.Minute),
		ValidUntil: now.Add(24 * time.Hour), Approver: "lex", Role: "legal", ApprovedAt: now}
	digest, err := seal.Digest(a)
	if err != nil {
		return err
	}
	return errors.Join(
		f.say(ctx, j, event.Person("lex", "legal"), event.WordingApproved{Approval: a, Signature: f.signer.Sign(digest)}),
		f.say(ctx, j, event.Person("dora", "dpo"), event.DispatchOrdered{Order: "o1", Kind: "first", Approval: "a1", Revision: 1, ScopeDigest: list, Channels: []string{f.Channel}, Confirmed: fanoutCase}))
}

func (f *fanout) say(ctx context.Context, j *journal.Journal, who event.Actor, body event.Body) error {
	for {
		var seq uint64
		c, err := j.Load(ctx, fanoutOrg, fanoutCase)
		if err == nil {
			seq = c.Seq
		} else if !errors.Is(err, journal.ErrNotFound) {
			return err
		}
		e, err := event.New(event.NewID(), time.Now(), fanoutOrg, fanoutCase, who, body)
		if err != nil {
			return err
		}
		if _, err = j.Append(ctx, fanoutOrg, fanoutCase, seq, e); !errors.Is(err, journal.ErrConflict) {
			return err
		}
	}
}
