package desk

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/seal"
	"tocsin.dev/services/desk/api"
)

func TestOneCaseGoesThroughTheAPI(t *testing.T) {
	b := newBench(t)
	var alerts api.AlertPage
	if s := b.call("ana", "GET", "/api/v1/alerts", nil, &alerts); s != 200 || len(alerts.Alerts) != 1 || alerts.Alerts[0].Duplicates != 2 {
		t.Fatalf("alerts: %d %+v", s, alerts)
	}
	declaration := map[string]any{"title": "Files read at night", "aware_at": b.now.Now().Add(-time.Hour), "severity": "high", "alerts": []string{"alert-1"}}
	var check api.DeclarationCheck
	if s := b.call("ana", "POST", "/api/v1/cases/check", declaration, &check); s != 200 || len(check.Duties) != 1 {
		t.Fatalf("check: %d %+v", s, check)
	}
	var c api.Case
	if s := b.call("ana", "POST", "/api/v1/cases", declaration, &c); s != 201 {
		t.Fatalf("declare: %d %+v", s, c)
	}
	at := "/api/v1/cases/" + c.Number
	exposure := map[string]any{"exposures": []map[string]any{{"dataset": "crm.customers", "from": b.now.Now().AddDate(0, 0, -7), "to": b.now.Now()}}}
	var preview api.Preview
	if s := b.call("ana", "POST", at+"/exposure/preview", exposure, &preview); s != 200 || preview.People != 500 {
		t.Fatalf("preview: %d %+v", s, preview)
	}
	for _, step := range []struct {
		who, method, path string
		body              any
	}{
		{"ana", "POST", "/exposure", exposure},
		{"ana", "POST", "/facts", map[string]any{"key": "sheet.what_happened.en", "value": "Somebody read our files."}},
		{"ana", "PUT", "/wording/people/email/en-GB", map[string]any{"subject": "About your data", "body": "{{facts.what_happened}}"}},
		{"dora", "POST", "/risk", map[string]any{"level": "high", "reason": "Email addresses of many people."}},
	} {
		if s, body := b.send(step.who, step.method, at+step.path, step.body); s != 200 {
			t.Fatalf("%s %s: %d %s", step.method, step.path, s, body)
		}
	}
	b.seal(c.Number)
	var list api.ApprovalList
	if s := b.call("lea", "GET", at+"/approvals", nil, &list); s != 200 || len(list.Proposal.ReasonsAgainst) > 0 {
		t.Fatalf("approvals: %d %+v", s, list.Proposal)
	}
	p := list.Proposal
	var signed api.SignedApproval
	yes := map[string]any{"texts": p.Texts, "sheet_digest": p.SheetDigest, "revision": p.Revision, "scope_digest": p.ScopeDigest}
	if s := b.call("lea", "POST", at+"/approvals", yes, &signed); s != 201 || !signed.Standing {
		t.Fatalf("approve: %d %+v", s, signed)
	}
	var ready api.DispatchCheck
	if s := b.call("dora", "GET", at+"/dispatch", nil, &ready); s != 200 || !ready.Ready || ready.Channels["email"] != 480 {
		t.Fatalf("dispatch check: %d %+v", s, ready)
	}
	var order api.Order
	if s := b.call("dora", "POST", at+"/dispatch", map[string]any{"confirm": ready.Confirm}, &order); s != 201 || order.Approval != signed.Approval.ID {
		t.Fatalf("order: %d %+v", s, order)
	}
	if s, body := b.send("ana", "POST", at+"/dispatch/"+order.Order+"/stop", map[string]any{"reason": "Wrong list"}); s != 200 {
		t.Fatalf("stop: %d %s", s, body)
	}
	for _, path := range []string{"", "/progress", "/messages?person=7", "/approvals", "/wording", "/dispatch"} {
		if s, body := b.send("dora", "GET", at+path, nil); s != 200 {
			t.Errorf("GET %s: %d %s", path, s, body)
		}
	}
	for _, path := range []string{"/api/v1/me", "/api/v1/organisation", "/api/v1/alerts/alert-1", "/api/v1/duties", "/api/v1/cases", "/api/v1/inventory"} {
		if s, body := b.send("dora", "GET", path, nil); s != 200 {
			t.Errorf("GET %s: %d %s", path, s, body)
		}
	}
	if s, body := b.send("adam", "GET", "/api/v1/dead-letters", nil); s != 200 {
		t.Errorf("dead letters: %d %s", s, body)
	}
	var events api.EventPage
	b.call("ana", "GET", at+"/events?limit=1000", nil, &events)
	var got []string
	for _, e := range events.Events {
		got = append(got, e.Type)
	}
	want := []string{"case.declared.v1", "exposure.stated.v1", "fact.stated.v1", "wording.drafted.v1", "risk.assessed.v1", "scope.sealed.v1",
		"wording.approved.v1", "dispatch.ordered.v1", "dispatch.stopped.v1"}
	if len(got) != len(want) {
		t.Fatalf("journal is %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("journal[%d] is %s, want %s", i, got[i], want[i])
		}
	}
}

func TestTheSignatureOfAnApprovalVerifiesOverTheJournal(t *testing.T) {
	signer, err := seal.Generate()
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, func(c *Config) { c.Approver = signer })
	number := b.ready()
	_, err = b.desk.Approve(t.Context(), b.user("lea"), On{Case: number}, b.read("lea", number))
	b.must(err)
	stored := b.load(number).Approvals[0]
	digest, err := seal.Digest(stored.Approval)
	b.must(err)
	ring, err := seal.NewKeyring(seal.Trust(signer.Public(), "desk", time.Time{}))
	b.must(err)
	if err := ring.Verify(digest, stored.Signature, b.now.Now()); err != nil {
		t.Error(err)
	}
}

func TestTheWriterCannotApprove(t *testing.T) {
	b := newBench(t)
	number := b.ready()
	b.draft("lea", number, "We are very sorry.")
	_, err := b.desk.Approve(t.Context(), b.user("lea"), On{Case: number}, b.read("lea", number))
	var refused *Refused
	if !errors.As(err, &refused) || refused.Code != "writer_cannot_approve" {
		t.Errorf("the writer's own approval gives %v", err)
	}
	if len(b.load(number).Approvals) != 0 {
		t.Error("an approval is in the journal")
	}
}

func TestAnAnalystCannotApproveAndOnlyTheDPOOrders(t *testing.T) {
	b := newBench(t)
	number := b.ready()
	var forbidden *Forbidden
	if _, err := b.desk.Approve(t.Context(), b.user("ana"), On{Case: number}, b.read("ana", number)); !errors.As(err, &forbidden) {
		t.Errorf("an analyst's approval gives %v", err)
	}
	_, err := b.desk.Approve(t.Context(), b.user("lea"), On{Case: number}, b.read("lea", number))
	b.must(err)
	if _, err := b.desk.OrderDispatch(t.Context(), b.user("lea"), On{Case: number}, Order{Confirm: number + " 500"}); !errors.As(err, &forbidden) {
		t.Errorf("an order by legal gives %v", err)
	}
}

func TestAChangedWordVoidsTheApproval(t *testing.T) {
	b := newBench(t)
	number := b.ready()
	_, err := b.desk.Approve(t.Context(), b.user("lea"), On{Case: number}, b.read("lea", number))
	b.must(err)
	b.draft("ana", number, "We are sorry, {{person.full_name}}!")
	_, err = b.desk.OrderDispatch(t.Context(), b.user("dora"), On{Case: number}, Order{Confirm: number + " 500"})
	var refused *Refused
	if !errors.As(err, &refused) || refused.Code != "not_ready" {
		t.Errorf("an order after a changed word gives %v", err)
	}
}

func TestTheOnlyApproverCannotOrder(t *testing.T) {
	b := newBench(t)
	number := b.ready()
	_, err := b.desk.Approve(t.Context(), b.user("dora"), On{Case: number}, b.read("dora", number))
	b.must(err)
	var refused *Refused
	if _, err = b.desk.OrderDispatch(t.Context(), b.user("dora"), On{Case: number}, Order{Confirm: number + " 500"}); !errors.As(err, &refused) {
		t.Errorf("an order by the only approver gives %v", err)
	}
	_, err = b.desk.Approve(t.Context(), b.user("lea"), On{Case: number}, b.read("lea", number))
	b.must(err)
	if _, err = b.desk.OrderDispatch(t.Context(), b.user("dora"), On{Case: number}, Order{Confirm: number + " 500"}); err != nil {
		t.Errorf("with a second approver: %v", err)
	}
}

func TestAPersonIsToldWhatChangedSinceTheyLooked(t *testing.T) {
	b := newBench(t)
	number := b.ready()
	seen, read := b.load(number).Seq, b.read("lea", number)
	b.draft("ana", number, "Another text.")
	_, err := b.desk.Approve(t.Context(), b.user("lea"), On{Case: number, Seen: seen}, read)
	var conflict *Conflict
	if !errors.As(err, &conflict) || len(conflict.Changes) != 1 || conflict.Changes[0].Type != event.TypeWordingDrafted {
		t.Fatalf("approving an old view gives %v", err)
	}
	var problem api.Problem
	body := map[string]any{"texts": read.Texts, "sheet_digest": read.SheetDigest, "revision": read.Revision, "scope_digest": read.ScopeDigest, "seen": seen}
	if s := b.call("lea", "POST", "/api/v1/cases/"+number+"/approvals", body, &problem); s != http.StatusConflict || len(problem.Changes) != 1 {
		t.Errorf("over the API: %d %+v", s, problem)
	}
	// What does not matter to the act does not stand in its way.
	if _, err := b.desk.AssessRisk(t.Context(), b.user("dora"), On{Case: number, Seen: seen}, event.RiskAssessed{Level: event.RiskHigh, Reason: "Passwords"}); err != nil {
		t.Errorf("assessing with a text changed meanwhile: %v", err)
	}
}

func TestARepeatedRequestIsOneAct(t *testing.T) {
	b := newBench(t)
	first, err := b.desk.Declare(t.Context(), b.user("ana"), "form-123456", event.CaseDeclared{Title: "Once", AwareAt: b.now.Now(), Severity: event.SeverityLow})
	b.must(err)
	again, err := b.desk.Declare(t.Context(), b.user("ana"), "form-123456", event.CaseDeclared{Title: "Once", AwareAt: b.now.Now(), Severity: event.SeverityLow})
	b.must(err)
	if first != again {
		t.Errorf("a repeated declaration opened %s and %s", first, again)
	}
	number := b.ready()
	_, err = b.desk.Approve(t.Context(), b.user("lea"), On{Case: number}, b.read("lea", number))
	b.must(err)
	for range 2 {
		_, err = b.desk.OrderDispatch(t.Context(), b.user("dora"), On{Case: number, Key: "double-click"}, Order{Confirm: number + " 500"})
		b.must(err)
	}
	if n := len(b.load(number).Orders); n != 1 {
		t.Errorf("a double click placed %d orders", n)
	}
}

func TestOneTenantCannotSeeAnothersCase(t *testing.T) {
	b := newBench(t)
	number := b.ready()
	at := "/api/v1/cases/" + number
	for _, path := range []string{at, at + "/events", at + "/wording", at + "/approvals", at + "/dispatch", at + "/progress", "/api/v1/alerts/alert-1"} {
		if s, body := b.send("eve", "GET", path, nil); s != http.StatusNotFound {
			t.Errorf("GET %s as another organisation: %d %s", path, s, body)
		}
	}
	for path, body := range map[string]any{
		at + "/facts": map[string]any{"key": "x", "value": "y"}, at + "/close": map[string]any{"reason": "none of theirs"},
		at + "/risk": map[string]any{"level": "high", "reason": "none of theirs"}, at + "/alerts": map[string]any{"alert": "alert-1"},
	} {
		if s, answer := b.send("eve", "POST", path, body); s != http.StatusNotFound && s != http.StatusBadRequest {
			t.Errorf("POST %s as another organisation: %d %s", path, s, answer)
		}
	}
	var cases api.CasePage
	if b.call("eve", "GET", "/api/v1/cases", nil, &cases); len(cases.Cases) != 0 {
		t.Errorf("another organisation lists %+v", cases.Cases)
	}
}

func TestLateIsNeverRefusedButNeedsItsReason(t *testing.T) {
	b := newBench(t)
	number := b.declare()
	duty := oneDuty(nil, *b.load(number).Declared, b.now.Now())[0]
	b.say(event.Deadline, number, event.DutyOpened{Duty: duty})
	b.now.Advance(100 * time.Hour)
	met := event.DutyMet{Duty: duty.ID, MetAt: b.now.Now(), Evidence: "Filing 4711"}
	var bad *Invalid
	if _, err := b.desk.MeetDuty(t.Context(), b.user("dora"), On{Case: number}, met); !errors.As(err, &bad) || bad.Fields[0].Field != "late_reason" {
		t.Errorf("late without a reason gives %v", err)
	}
	if _, err := b.desk.Close(t.Context(), b.user("dora"), On{Case: number}, "finished"); err == nil {
		t.Error("a case with an open duty was closed")
	}
	met.LateReason = "The forms were closed over the weekend."
	if _, err := b.desk.MeetDuty(t.Context(), b.user("dora"), On{Case: number}, met); err != nil {
		t.Error(err)
	}
	if _, err := b.desk.Close(t.Context(), b.user("dora"), On{Case: number}, "finished"); err != nil {
		t.Error(err)
	}
}
