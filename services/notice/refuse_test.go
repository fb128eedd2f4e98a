package notice

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"tocsin.dev/pkg/approval"
	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/category"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/person"
	"tocsin.dev/pkg/seal"
	"tocsin.dev/pkg/wording"
)

// Each row is one way of sending what nobody approved. Every one must be
// refused by notice alone, whatever the desk let through.
func TestUnapprovedWordingIsNeverSent(t *testing.T) {
	resign := func(change func(*event.Approval)) func(*rig) {
		return func(r *rig) {
			a := r.approval("email")
			change(&a)
			r.say(a.Approver, r.sign(a))
			r.say("dora", r.order("o1", "email"))
		}
	}
	for name, row := range map[string]struct {
		do     func(*rig)
		reason string
	}{
		"an order without an approval": {func(r *rig) { r.say("dora", r.order("o1", "email")) }, approval.NoApproval},
		"one comma is changed after the approval": {func(r *rig) {
			r.say("lex", r.sign(r.approval("email")))
			w := testTexts[0]
			w.Version, w.Body = 2, strings.Replace(w.Body, ",", ";", 1)
			w.Digest = wording.Digest(w.TextKey, w.Subject, w.Body)
			r.say("writer", w)
			r.say("dora", r.order("o1", "email"))
		}, approval.WordingChanged},
		"the words are changed under the approved digest": {func(r *rig) {
			r.say("lex", r.sign(r.approval("email")))
			w := testTexts[0]
			w.Digest = wording.Digest(w.TextKey, w.Subject, w.Body)
			w.Version, w.Body = 2, w.Body+"\nSend us your password.\n"
			r.say("writer", w)
			r.say("dora", r.order("o1", "email"))
		}, approval.WordingChanged},
		"a fact of the sheet is changed": {func(r *rig) {
			r.say("lex", r.sign(r.approval("email")))
			r.say("ann", event.FactStated{Key: "sheet.what_happened.en", Value: "Something else", KnownSince: time.Now()})
			r.say("dora", r.order("o1", "email"))
		}, approval.FactsChanged},
		"the list is sealed anew": {func(r *rig) {
			r.say("lex", r.sign(r.approval("email")))
			r.seal(2)
			r.say("dora", r.order("o1", "email"))
		}, approval.ListChanged},
		"the order names another list": {func(r *rig) {
			r.say("lex", r.sign(r.approval("email")))
			o := r.order("o1", "email")
			o.ScopeDigest = r.digestOf(9)
			r.say("dora", o)
		}, approval.ListChanged},
		"a bit of the signature is flipped": {func(r *rig) {
			w := r.sign(r.approval("email"))
			w.Signature.Value = "AAAA" + w.Signature.Value[4:]
			r.say("lex", w)
			r.say("dora", r.order("o1", "email"))
		}, approval.SignatureInvalid},
		"the approval is changed after signing": {func(r *rig) {
			w := r.sign(r.approval("sms"))
			w.Approval.Channels = []string{"email"}
			r.say("lex", w)
			r.say("dora", r.order("o1", "email"))
		}, approval.SignatureInvalid},
		"a stranger's key signs": {func(r *rig) {
			stranger, err := seal.Generate()
			if err != nil {
				r.t.Fatal(err)
			}
			r.signer = stranger
			r.approveAndOrder("email")
		}, approval.KeyUnknown},
		"the key is revoked": {func(r *rig) {
			e := seal.Trust(r.signer.Public(), "desk", time.Now().Add(-time.Hour))
			e.RevokedAt = time.Now().Add(-time.Minute)
			ring, err := seal.NewKeyring(e)
			if err != nil {
				r.t.Fatal(err)
			}
			if err := ring.Save(r.ring); err != nil {
				r.t.Fatal(err)
			}
			r.approveAndOrder("email")
		}, approval.KeyRevoked},
		"the approval has run out":                {resign(func(a *event.Approval) { a.ValidUntil = time.Now().Add(-time.Second) }), approval.Expired},
		"the approval has no end":                 {resign(func(a *event.Approval) { a.ValidUntil = time.Time{} }), approval.Expired},
		"the approval does not count yet":         {resign(func(a *event.Approval) { a.ValidFrom = time.Now().Add(time.Hour) }), approval.NotYetValid},
		"the approval is from the future":         {resign(func(a *event.Approval) { a.ApprovedAt = time.Now().Add(time.Hour) }), approval.Clock},
		"the approval is of another case":         {resign(func(a *event.Approval) { a.Case = "2026-002" }), approval.WrongCase},
		"the approval is of another organisation": {resign(func(a *event.Approval) { a.Org = "nimbus" }), approval.WrongCase},
		"the approval is of another kind":         {resign(func(a *event.Approval) { a.Kind = "correction" }), approval.WrongKind},
		"the writer approves":                     {resign(func(a *event.Approval) { a.Approver = "writer" }), approval.WriterApproved},
		"an analyst approves":                     {resign(func(a *event.Approval) { a.Role = "analyst" }), approval.RoleNotAllowed},
		"one enters another's approval": {func(r *rig) {
			r.say("mallory", r.sign(r.approval("email")))
			r.say("dora", r.order("o1", "email"))
		}, approval.ApproverMismatch},
		"a channel that was not approved": {func(r *rig) {
			r.say("lex", r.sign(r.approval("email")))
			r.say("dora", r.order("o1", "email", "sms"))
		}, approval.ChannelUnknown},
		"a text that was not approved": {resign(func(a *event.Approval) { a.Texts = a.Texts[1:] }), approval.TextMissing},
		"a service orders straight on the bus": {func(r *rig) {
			r.say("lex", r.sign(r.approval("email")))
			c, err := r.desk.Load(r.t.Context(), testOrg, testCase)
			if err != nil {
				r.t.Fatal(err)
			}
			e, err := event.New(event.NewID(), time.Now(), testOrg, testCase, event.Service("desk"), r.order("o1", "email"))
			if err != nil {
				r.t.Fatal(err)
			}
			if _, err := r.desk.Append(r.t.Context(), testOrg, testCase, c.Seq, e); err != nil {
				r.t.Fatal(err)
			}
		}, approval.OrderedBy},
		"the organisation has no contact point": {func(r *rig) {
			o, err := r.orgs.Get(testOrg)
			if err != nil {
				r.t.Fatal(err)
			}
			o.Contact = nil
			r.approveAndOrder("email")
		}, approval.ContactPoint},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, testPeople(5), nil)
			r.start("one")
			r.prepare()
			row.do(r)
			c := r.await("a refusal", 30*time.Second, func(c *casefile.Case) bool { return len(c.Orders) > 0 && c.Orders[0].Refused != nil })
			if got := c.Orders[0].Refused.Reason; got != row.reason {
				t.Errorf("refused for %q (%s), want %q", got, c.Orders[0].Refused.Detail, row.reason)
			}
			if sum := r.box.Summary("", 1); sum.AcceptedTotal != 0 {
				t.Errorf("%d messages left", sum.AcceptedTotal)
			}
		})
	}
}

func TestAChangeInTheMiddleOfTheSendingStopsIt(t *testing.T) {
	r := newRig(t, testPeople(3000), func(c *Config) { c.Rates = map[string]float64{"sendgrid": 1500}; c.Workers = 1 })
	r.start("one")
	r.prepare()
	r.approveAndOrder("email")
	r.await("the plan", 30*time.Second, func(c *casefile.Case) bool { return c.Orders[0].Planned != nil })
	w := testTexts[0]
	w.Version, w.Body = 2, w.Body+"PS\n"
	w.Digest = wording.Digest(w.TextKey, w.Subject, w.Body)
	r.say("writer", w)
	r.await("a refusal", 30*time.Second, func(c *casefile.Case) bool { return c.Orders[0].Refused != nil })
	if sum := r.box.Summary("", 1); sum.AcceptedTotal >= 3000 {
		t.Errorf("all %d messages left although the words were changed", sum.AcceptedTotal)
	}
}

func TestAForgedTicketSendsNothing(t *testing.T) {
	r := newRig(t, testPeople(5), nil)
	s, _ := r.start("one")
	r.prepare()
	r.say("dora", r.order("o1", "email"))
	r.await("a refusal", 30*time.Second, func(c *casefile.Case) bool { return len(c.Orders) > 0 && c.Orders[0].Refused != nil })
	body, err := json.Marshal(ticket{Org: testOrg, Case: testCase, Order: "o1", Chunk: 9, To: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.onTicket(t.Context(), Email, body); !bus.IsPermanent(err) {
		t.Errorf("a ticket for an order that was never planned gives %v, want a permanent error", err)
	}
	if sum := r.box.Summary("", 1); sum.AcceptedTotal != 0 {
		t.Errorf("%d messages left", sum.AcceptedTotal)
	}
}

func TestAReceiptWithAWrongSignatureIsRefused(t *testing.T) {
	r := newRig(t, testPeople(5), nil)
	s, _ := r.start("one")
	for path, headers := range map[string]map[string]string{
		"/v1/receipts/sendgrid": {
			"X-Twilio-Email-Event-Webhook-Signature": "MEUCIQ==", "X-Twilio-Email-Event-Webhook-Timestamp": "1700000000"},
		"/v1/receipts/twilio/cases/2026-001/AAAAAAAAAAAAAAAAAAAAAA/1.0": {"X-Twilio-Signature": "AAAA", "Content-Type": "application/x-www-form-urlencoded"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.front+path, strings.NewReader(`[]`))
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range headers {
			req.Header.Set(k, v)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s answered %d, want 403", path, resp.StatusCode)
		}
	}
	var raws, bad int
	if err := s.store.db.QueryRowContext(t.Context(), `SELECT (SELECT COUNT(*) FROM raw_receipt), (SELECT COALESCE(SUM(bad),0) FROM account)`).Scan(&raws, &bad); err != nil {
		t.Fatal(err)
	}
	if raws != 0 || bad != 2 {
		t.Errorf("%d bodies were stored and %d refusals counted, want 0 and 2", raws, bad)
	}
}

// What scope hands over may differ from what was sealed and approved: then
// nobody is written to, whichever page it stands on.
func TestAListThatIsNotTheSealedOneIsNeverSentTo(t *testing.T) {
	for name, spoil := range map[string]func(event.ContactsQuestion, *event.ContactsAnswer){
		"a stranger instead of the last person": func(q event.ContactsQuestion, a *event.ContactsAnswer) {
			if n := len(a.Contacts); q.To > 2000 && n > 0 {
				a.Contacts[n-1].Number++
			}
		},
		"another exposure of one person": func(q event.ContactsQuestion, a *event.ContactsAnswer) {
			if q.From == 0 && q.To > 0 && len(a.Contacts) > 7 {
				a.Contacts[7].Exposed &^= 1
			}
		},
		"one person is said to be erased": func(q event.ContactsQuestion, a *event.ContactsAnswer) {
			if q.From == 1000 && len(a.Contacts) > 3 {
				a.Erased, a.ErasedExposed = []person.Number{a.Contacts[3].Number}, []category.Set{0}
				a.Contacts = append(a.Contacts[:3:3], a.Contacts[4:]...)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, testPeople(2300), nil)
			r.people.spoil = spoil
			r.start("one")
			r.prepare()
			r.approveAndOrder("email")
			c := r.await("the block", 30*time.Second, func(c *casefile.Case) bool { return c.Orders[0].Blocked != nil })
			if b := c.Orders[0].Blocked; b.Reason != "list_mismatch" || !strings.Contains(b.Detail, "digest") {
				t.Errorf("blocked for %s: %s", b.Reason, b.Detail)
			}
			if sum := r.box.Summary("", 1); sum.AcceptedTotal != 0 {
				t.Errorf("%d messages left", sum.AcceptedTotal)
			}
		})
	}
}

// A person erased between sealing and sending is left out, and the list still
// is the sealed one.
func TestAnErasureDoesNotChangeWhatTheListIs(t *testing.T) {
	r := newRig(t, testPeople(1500), nil)
	r.people.spoil = func(q event.ContactsQuestion, a *event.ContactsAnswer) {
		for i, c := range a.Contacts {
			if c.Number == r.people.list[1200].Number {
				a.Erased, a.ErasedExposed = []person.Number{c.Number}, []category.Set{c.Exposed}
				a.Contacts = append(a.Contacts[:i:i], a.Contacts[i+1:]...)
				return
			}
		}
	}
	r.start("one")
	r.prepare()
	r.approveAndOrder("email")
	if tally := r.completed(60 * time.Second); tally.Told != 1499 || tally.Excluded != 1 {
		t.Errorf("tally = %+v, want 1,499 told and one excluded", tally)
	}
}
