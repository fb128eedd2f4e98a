package approval

import (
	"testing"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/organisation"
	"tocsin.dev/pkg/seal"
	"tocsin.dev/pkg/wording"
)

var now = time.Date(2026, 5, 5, 13, 0, 0, 0, time.UTC)

// desk is a case on which two people have said yes, and what signs for them.
type desk struct {
	t      *testing.T
	c      casefile.Case
	org    *organisation.Organisation
	signer *seal.Signer
	keys   []seal.Entry
	seq    uint64
	// entries are the journal of the case.
	entries []casefile.Entry
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	signer, err := seal.Generate()
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{t: t, c: casefile.New(), signer: signer, keys: []seal.Entry{seal.Trust(signer.Public(), "desk", now.Add(-time.Hour))}}
	d.org = &organisation.Organisation{
		ID: "vardag", Name: "Vardag", Contact: &organisation.ContactPoint{Email: "a@vardag.example.test"},
		Sender:   organisation.Sender{Email: "b@vardag.example.test", SMS: "+46700000000"},
		Approval: organisation.Approval{Eyes: 2, Roles: []string{"legal", "dpo"}, ReadersOnly: true},
	}
	d.say("ann", event.CaseDeclared{Title: "t", AwareAt: now})
	d.say("scope", event.ScopeSealed{Revision: 1, Digest: "sha256:aa", People: 3})
	d.write("ann", "sv", "Hej, du.")
	d.write("ann", "en", "Hello, you.")
	d.approve("lex", func(a *event.Approval) { a.Reads = []string{"sv-FI"} })
	d.approve("dora", func(a *event.Approval) { a.Reads = []string{"en"} })
	d.say("dora", event.DispatchOrdered{Order: "o", Kind: "first", Approval: "lex", Revision: 1, ScopeDigest: "sha256:aa", Channels: []string{"email"}})
	return d
}

func (d *desk) say(who string, b event.Body) {
	d.t.Helper()
	e, err := event.New(event.NewID(), now, "vardag", "2026-001", event.Person(who, "legal"), b)
	if err != nil {
		d.t.Fatal(err)
	}
	d.seq++
	d.entries = append(d.entries, casefile.Entry{Seq: d.seq, Event: e})
	d.c.Apply(d.entries[len(d.entries)-1])
}

func (d *desk) write(who, language, body string) {
	k := event.TextKey{Audience: "people", Channel: "email", Language: language}
	d.say(who, event.WordingDrafted{TextKey: k, Version: 1, Subject: "s", Body: body, Digest: wording.Digest(k, "s", body)})
}

func (d *desk) approve(who string, change func(*event.Approval)) {
	d.t.Helper()
	a := event.Approval{
		ID: who, Org: "vardag", Case: "2026-001", Kind: "first", Revision: 1, ScopeDigest: "sha256:aa", SheetDigest: d.c.SheetDigest(), Channels: []string{"email"},
		ValidFrom: now.Add(-time.Minute), ValidUntil: now.Add(time.Hour), Approver: who, Role: "legal", ApprovedAt: now,
		Terms: &event.ApprovalTerms{Eyes: 2, Roles: []string{"legal", "dpo"}, ReadersOnly: true},
	}
	for k, t := range d.c.Texts {
		a.Texts = append(a.Texts, event.ApprovedText{TextKey: k, Digest: t.Digest})
	}
	change(&a)
	digest, err := seal.Digest(a)
	if err != nil {
		d.t.Fatal(err)
	}
	d.say(who, event.WordingApproved{Approval: a, Signature: d.signer.Sign(digest)})
}

// verdicts returns what the sender and the auditor say; the sender decides.
func (d *desk) verdicts(at time.Time) (sender, auditor string) {
	d.t.Helper()
	keys, err := seal.NewKeyring(d.keys...)
	if err != nil {
		d.t.Fatal(err)
	}
	reason := func(r *Refusal) string {
		if r == nil {
			return ""
		}
		return r.Reason
	}
	o := d.c.Orders[0]
	return reason(ForOrder(&d.c, o, d.org, keys, at)), reason(ForRecord(&d.c, o, keys, at))
}

func TestAnHonestApprovalCoversItsOrder(t *testing.T) {
	if s, a := newDesk(t).verdicts(now); s != "" || a != "" {
		t.Errorf("the sender says %q and the auditor %q, want yes from both", s, a)
	}
}

func TestEveryChangeSinceTheYesIsRefusedByTheSenderAndTheAuditor(t *testing.T) {
	for name, row := range map[string]struct {
		do   func(*desk)
		want string
	}{
		"a comma in a text":              {func(d *desk) { d.write("ann", "sv", "Hej du.") }, WordingChanged},
		"words under the old digest":     {func(d *desk) { d.c.Texts[svKey].Body = "Hej." }, WordingChanged},
		"a subject under the old digest": {func(d *desk) { d.c.Texts[svKey].Subject = "S" }, WordingChanged},
		"a text sent back": {func(d *desk) {
			d.say("lex", event.WordingRejected{TextKey: svKey, Digest: d.c.Texts[svKey].Digest, Reason: "no"})
		}, WordingRejected},
		"a fact of the sheet":                {func(d *desk) { d.say("ann", event.FactStated{Key: "sheet.when.sv", Value: "i går"}) }, FactsChanged},
		"a new list":                         {func(d *desk) { d.say("scope", event.ScopeSealed{Revision: 2, Digest: "sha256:bb"}) }, ListChanged},
		"another list under the same number": {func(d *desk) { d.c.Sealed[0].Digest = "sha256:bb" }, ListChanged},
		"an order for another list":          {func(d *desk) { d.c.Orders[0].ScopeDigest = "sha256:bb" }, ListChanged},
		"an order for a wider channel":       {func(d *desk) { d.c.Orders[0].Channels = []string{"email", "sms"} }, ChannelUnknown},
		"an order for no channel":            {func(d *desk) { d.c.Orders[0].Channels = nil }, ChannelUnknown},
		"an order of another kind":           {func(d *desk) { d.c.Orders[0].Kind = "correction" }, WrongKind},
		"an order without an approval":       {func(d *desk) { d.c.Orders[0].Approval = "none" }, NoApproval},
		"an order by a service":              {func(d *desk) { d.c.Orders[0].OrderedBy = event.Service("desk") }, OrderedBy},
		"the statement after signing":        {func(d *desk) { d.c.Approvals[0].Approval.Channels = []string{"email", "sms"} }, SignatureInvalid},
		"the stated policy after signing":    {func(d *desk) { d.c.Approvals[0].Approval.Terms.Eyes = 1 }, SignatureInvalid},
		"another's signature":                {func(d *desk) { d.c.Approvals[0].Signature = d.c.Approvals[1].Signature }, SignatureInvalid},
		"the second yes taken back":          {func(d *desk) { d.say("admin", event.ApprovalRevoked{Approval: "dora", Reason: "mistake"}) }, TooFewEyes},
		"the yes taken back":                 {func(d *desk) { d.say("admin", event.ApprovalRevoked{Approval: "lex", Reason: "mistake"}) }, Revoked},
		"the approver lost the right":        {func(d *desk) { d.say("admin", event.ApprovalRevoked{Approver: "lex", Reason: "left"}) }, Revoked},
		"the approver becomes a writer":      {func(d *desk) { d.c.Writers["lex"] = true }, WriterApproved},
		"the only reader of a language goes": {func(d *desk) {
			d.c.Writers["dora"] = true
			d.org.Approval.Eyes = 1
			d.c.Approvals[0].Approval.Terms.Eyes = 1
			d.resign(0)
		}, CannotRead},
		"entered by somebody else": {func(d *desk) { d.c.Approvals[0].ApprovedBy.ID = "mallory" }, ApproverMismatch},
		"a role that may not":      {func(d *desk) { d.c.Approvals[0].Approval.Role = "analyst"; d.resign(0) }, RoleNotAllowed},
		"another case's approval":  {func(d *desk) { d.c.Approvals[0].Approval.Case = "2026-002"; d.resign(0) }, WrongCase},
		"from the future":          {func(d *desk) { d.c.Approvals[0].Approval.ApprovedAt = now.Add(time.Hour); d.resign(0) }, Clock},
		"not valid yet":            {func(d *desk) { d.c.Approvals[0].Approval.ValidFrom = now.Add(time.Hour); d.resign(0) }, NotYetValid},
		"without an end":           {func(d *desk) { d.c.Approvals[0].Approval.ValidUntil = time.Time{}; d.resign(0) }, Expired},
		"a key nobody knows":       {func(d *desk) { d.stranger() }, KeyUnknown},
		"a revoked key":            {func(d *desk) { d.keys[0].RevokedAt = now }, KeyRevoked},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			row.do(d)
			if s, a := d.verdicts(now); s != row.want || a != row.want {
				t.Errorf("the sender says %q and the auditor %q, want %q from both", s, a, row.want)
			}
		})
	}
}

var svKey = event.TextKey{Audience: "people", Channel: "email", Language: "sv"}

func (d *desk) resign(i int) {
	digest, err := seal.Digest(d.c.Approvals[i].Approval)
	if err != nil {
		d.t.Fatal(err)
	}
	d.c.Approvals[i].Signature = d.signer.Sign(digest)
}

func (d *desk) stranger() {
	s, err := seal.Generate()
	if err != nil {
		d.t.Fatal(err)
	}
	d.signer = s
	d.resign(0)
}

func TestTheSenderHoldsAnApprovalToThePolicyOfToday(t *testing.T) {
	d := newDesk(t)
	d.org.Approval.Eyes = 3
	if s, a := d.verdicts(now); s != TooFewEyes || a != "" {
		t.Errorf("the sender says %q and the auditor %q, want %q and yes", s, a, TooFewEyes)
	}
}

func TestALawOrALanguageMayDemandMoreThanTheOrganisationOtherwiseDoes(t *testing.T) {
	dutyOf := func(rule string) func(*desk) {
		return func(d *desk) {
			d.say("deadline", event.DutyOpened{Duty: event.Duty{ID: rule + "_US", Rule: rule, Title: "t", ToKind: "people"}})
		}
	}
	for name, row := range map[string]struct {
		rule   organisation.StricterApproval
		before func(*desk)
		want   string
	}{
		"more eyes for Swedish":              {organisation.StricterApproval{Language: "sv", Eyes: 3}, nil, TooFewEyes},
		"more eyes for a language not used":  {organisation.StricterApproval{Language: "da", Eyes: 3}, nil, ""},
		"fewer eyes change nothing":          {organisation.StricterApproval{Language: "sv", Eyes: 1}, nil, ""},
		"the officer alone for HIPAA":        {organisation.StricterApproval{Duty: "us-hipaa", Roles: []string{"dpo"}}, dutyOf("us-hipaa.people"), RoleNotAllowed},
		"the officer alone for another law":  {organisation.StricterApproval{Duty: "us-hip", Roles: []string{"dpo"}}, dutyOf("us-hipaa.people"), ""},
		"a duty that opened after the yes":   {organisation.StricterApproval{Duty: "us-hipaa.people", Eyes: 3}, dutyOf("us-hipaa.people"), TooFewEyes},
		"a duty that is not open here (yet)": {organisation.StricterApproval{Duty: "us-hipaa.people", Eyes: 3}, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			d.org.Approval.Stricter = []organisation.StricterApproval{row.rule}
			if row.before != nil {
				row.before(d)
			}
			if s, _ := d.verdicts(now); s != row.want {
				t.Errorf("the sender says %q, want %q", s, row.want)
			}
		})
	}
}

func TestAnApprovalEndsWithItsWindow(t *testing.T) {
	d := newDesk(t)
	if s, _ := d.verdicts(now.Add(time.Hour - time.Nanosecond)); s != "" {
		t.Errorf("a nanosecond before its end: %q", s)
	}
	if s, _ := d.verdicts(now.Add(time.Hour)); s != Expired {
		t.Errorf("at its end: %q, want %q", s, Expired)
	}
}

// A clock that was set back behind what the journal already holds would make a
// yes count again that has run out.
func TestAClockBehindTheJournalIsNotBelieved(t *testing.T) {
	d := newDesk(t)
	d.c.ChangedAt = now.Add(clockSkew)
	if s, a := d.verdicts(now); s != "" || a != "" {
		t.Errorf("within what clocks differ by: %q and %q", s, a)
	}
	d.c.ChangedAt = now.Add(clockSkew + time.Second)
	if s, a := d.verdicts(now); s != Clock || a != Clock {
		t.Errorf("the sender says %q and the auditor %q, want %q", s, a, Clock)
	}
}

// Two keys overlap while one replaces the other; the old one is then revoked.
func TestARotatedKeyCountsUntilItIsRevoked(t *testing.T) {
	d := newDesk(t)
	fresh, err := seal.Generate()
	if err != nil {
		t.Fatal(err)
	}
	d.keys = append(d.keys, seal.Trust(fresh.Public(), "desk, new", now.Add(-time.Minute)))
	if s, _ := d.verdicts(now); s != "" {
		t.Errorf("with both keys: %q", s)
	}
	d.keys[0].RevokedAt = now
	if s, _ := d.verdicts(now); s != KeyRevoked {
		t.Errorf("with the old key revoked: %q, want %q", s, KeyRevoked)
	}
	d.signer = fresh
	d.resign(0)
	if s, _ := d.verdicts(now); s != TooFewEyes {
		t.Errorf("one yes under the new key and one under the old: %q, want %q", s, TooFewEyes)
	}
	d.resign(1)
	if s, _ := d.verdicts(now); s != "" {
		t.Errorf("both signed anew: %q", s)
	}
}
