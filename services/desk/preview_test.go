package desk

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"tocsin.dev/pkg/approval"
	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/person"
	"tocsin.dev/pkg/seal"
	"tocsin.dev/services/desk/api"
)

// readyToApprove plays a case up to the approval and returns its number.
func (b *bench) readyToApprove() string {
	b.Helper()
	var c api.Case
	b.call("ana", "POST", "/api/v1/cases", map[string]any{"title": "Files read at night", "aware_at": b.now.Now().Add(-time.Hour), "severity": "high"}, &c)
	for path, body := range map[string]any{
		"/exposure": map[string]any{"exposures": []map[string]any{{"dataset": "crm.customers", "from": b.now.Now().AddDate(0, 0, -7), "to": b.now.Now()}}},
		"/facts":    map[string]any{"key": "sheet.what_happened.en", "value": "Somebody read our files."},
	} {
		if s, answer := b.send("ana", "POST", "/api/v1/cases/"+c.Number+path, body); s != http.StatusOK {
			b.Fatalf("%s: %d %s", path, s, answer)
		}
	}
	b.send("ana", "PUT", "/api/v1/cases/"+c.Number+"/wording/people/email/en-GB", map[string]any{"subject": "About your data", "body": "{{facts.what_happened}}"})
	b.seal(c.Number)
	return c.Number
}

func TestNobodyApprovesWhatCannotBeWrittenToEverybody(t *testing.T) {
	b := newBench(t)
	number := b.readyToApprove()
	b.missing = []event.MissingValue{{TextKey: event.TextKey{Audience: "people", Channel: "email", Language: "en-GB"},
		Field: "person.given_name", People: 25, Numbers: []person.Number{4, 9}}}
	var check api.WordingCheck
	if s := b.call("ana", "GET", "/api/v1/cases/"+number+"/wording/check", nil, &check); s != http.StatusOK || !check.Blocked || check.List.Missing[0].People != 25 {
		t.Fatalf("check: %d %+v", s, check)
	}
	var list api.ApprovalList
	b.call("lea", "GET", "/api/v1/cases/"+number+"/approvals", nil, &list)
	if r := strings.Join(list.Proposal.ReasonsAgainst, " "); !strings.Contains(r, "25 people have no {{person.given_name}}") || !strings.Contains(r, "4, 9 and 23 more") {
		t.Errorf("reasons against: %s", r)
	}
	yes := api.ApprovalRequest{Revision: list.Proposal.Revision, ScopeDigest: list.Proposal.ScopeDigest, Texts: list.Proposal.Texts, SheetDigest: list.Proposal.SheetDigest}
	if s, body := b.send("lea", "POST", "/api/v1/cases/"+number+"/approvals", yes); s != http.StatusUnprocessableEntity {
		t.Errorf("approved although 25 letters cannot be written: %d %s", s, body)
	}
	b.missing = nil
	if s, body := b.send("lea", "POST", "/api/v1/cases/"+number+"/approvals", yes); s != http.StatusCreated {
		t.Errorf("approve: %d %s", s, body)
	}
}

func TestAnApproverWhoLostTheRightHasNoStandingApproval(t *testing.T) {
	b := newBench(t)
	number := b.readyToApprove()
	var list api.ApprovalList
	b.call("lea", "GET", "/api/v1/cases/"+number+"/approvals", nil, &list)
	b.call("lea", "POST", "/api/v1/cases/"+number+"/approvals", api.ApprovalRequest{Revision: list.Proposal.Revision, ScopeDigest: list.Proposal.ScopeDigest,
		Texts: list.Proposal.Texts, SheetDigest: list.Proposal.SheetDigest}, nil)
	if s, _ := b.send("lea", "POST", "/api/v1/approvers/lea/revoke", map[string]string{"reason": "left the firm"}); s != http.StatusForbidden {
		t.Errorf("legal revokes an approver: %d", s)
	}
	var done api.RevokedApprover
	if s := b.call("adam", "POST", "/api/v1/approvers/lea/revoke", map[string]string{"reason": "left the firm"}, &done); s != http.StatusOK || len(done.Cases) != 1 {
		t.Fatalf("revoke: %d %+v", s, done)
	}
	b.call("lea", "GET", "/api/v1/cases/"+number+"/approvals", nil, &list)
	if a := list.Approvals[0]; a.Standing || !strings.Contains(a.Void, "left the firm") {
		t.Errorf("the approval stands: %+v", a)
	}
	if s := b.call("adam", "POST", "/api/v1/approvers/lea/revoke", map[string]string{"reason": "left the firm"}, &done); s != http.StatusOK || len(done.Cases) != 0 {
		t.Errorf("a second time: %d %+v", s, done)
	}
}

// playLetters answers as the sender would when somebody looks at a notice.
func (b *bench) playLetters() {
	bb, err := bus.New(b.srv.Connect(b.T, event.Notice), bus.Config{Service: event.Notice})
	b.must(err)
	bus.Answer(bb, event.AskLetter, func(_ context.Context, q event.LetterQuestion) (event.LetterAnswer, error) {
		if q.Person == 404 {
			return event.LetterAnswer{}, bus.Refuse("not_found", "person 404 is not on the list")
		}
		return event.LetterAnswer{TextKey: emailKey, Person: q.Person, Sending: q.Channel, Conditions: []string{"exposed.email"}, Ladder: []string{"email", "sms"},
			To: "a@people.example", Text: "asked by " + q.Asker.ID + " because " + q.Reason, HTML: "<p>Sorry, &lt;b&gt;Bo&lt;/b&gt;.</p>",
			Reference: "AAAAA-BBBBB", Request: []byte(`{"to":"å"}`), ContentType: "application/json", SHA256: "5f"}, nil
	})
	b.run(bb)
}

func TestAnAnalystDoesNotSeeAPersonsNotice(t *testing.T) {
	b := newBench(t)
	number := b.readyToApprove()
	b.playLetters()
	ask := api.NoticePreviewRequest{Person: 7, Channel: "email", Reason: "a sample before approval"}
	if s, _ := b.send("ana", "POST", "/api/v1/cases/"+number+"/wording/preview", ask); s != http.StatusForbidden {
		t.Errorf("an analyst sees a notice: %d", s)
	}
	var l event.LetterAnswer
	if s := b.call("lea", "POST", "/api/v1/cases/"+number+"/wording/preview", ask, &l); s != http.StatusOK || l.Text != "asked by lea because a sample before approval" || string(l.Request) != `{"to":"å"}` {
		t.Errorf("preview: %d %+v", s, l)
	}
	ask.Reason = ""
	if s, _ := b.send("lea", "POST", "/api/v1/cases/"+number+"/wording/preview", ask); s != http.StatusBadRequest {
		t.Errorf("without a reason: %d", s)
	}
}

func TestAnExportedJournalVerifiesWithThePublicKeyAlone(t *testing.T) {
	b := newBench(t)
	number := b.readyToApprove()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url+"/api/v1/cases/"+number+"/journal", nil)
	b.must(err)
	req.Header.Set("Authorization", "Bearer token-dora")
	resp, err := http.DefaultClient.Do(req)
	b.must(err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	b.must(err)
	keys, err := seal.NewKeyring(seal.Trust(b.desk.cfg.Approver.Public(), "desk", b.now.Now().AddDate(0, 0, -1)))
	b.must(err)
	entries, s, err := approval.ReadExport(data, keys, b.now.Now())
	if err != nil || s.Case != number || len(entries) == 0 {
		t.Errorf("export of %d bytes: %+v, %v", len(data), s, err)
	}
}
