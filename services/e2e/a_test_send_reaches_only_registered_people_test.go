package e2e

import (
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"

	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/wording"
	"tocsin.dev/services/desk/api/client"
)

// Before the approval the words go through the real provider to whoever reads
// and approves them: marked as a test in the language of the text, with nobody's
// data or with those of a person whose reveal is audited. The record says which
// version was tested, and nobody of the list was told anything.
func TestATestSendReachesOnlyRegisteredPeople(t *testing.T) {
	w := begin(t, 0)
	people := swedes()
	w.importPeople("vardag", people)
	s := w.Story("vardag", io.Discard)
	w.must(s.UpTo(w.ctx, "seal"))
	w.draftInSwedish(s)

	out, code := tocsin(t, "wording", "test", "--text", "people/email/sv", "--to", "me,approver", "--person", "1", "--json",
		"--case", s.Number(), "--server", w.running.URL, "--token", w.Secrets("vardag", "legal").Token)
	var answer event.TestAnswer
	if err := json.Unmarshal(out, &answer); err != nil || code != 0 || len(answer.Sent) != 2 {
		t.Fatalf("wording test ends with %d, %v: %s", code, err, out)
	}
	res, err := w.Client("vardag", "analyst").TestWordingWithResponse(w.ctx, s.Number(), "people", "sms", "sv", &client.TestWordingParams{}, client.WordingTestRequest{To: []string{"approver"}})
	w.must(err)
	if res.JSON200 == nil || len(res.JSON200.Sent) != 2 {
		t.Fatalf("a test by SMS: %s", res.Body)
	}

	all := w.messages("test-" + s.Number())
	for _, m := range all {
		if !strings.HasPrefix(m.Text, "TEST: Det här är ingen underrättelse.") || !(wording.Message{Subject: m.Subject, Text: m.Text, HTML: m.HTML}).IsTest() {
			t.Errorf("a test left as %q: %s", m.Subject, m.Text)
		}
		if m.Channel == "email" && (!slices.ContainsFunc(people, func(p swede) bool { return strings.Contains(m.Text, "Hej "+p.given+" "+p.family+"!") }) || !strings.HasSuffix(m.To, "@vardag.example.test")) {
			t.Errorf("a test with the data of person 1 went to %s: %s", m.To, m.Text)
		}
	}
	if sum := w.running.Sandbox.Summary("", 0); len(all) != 4 || sum.AcceptedTotal != 4 {
		t.Errorf("%d tests and %d messages left, want 4 and nothing else", len(all), sum.AcceptedTotal)
	}
	w.auditNames(t, "vardag-legal", "test send from the command line")

	var list *client.ListWordingResponse
	w.eventually("the tests in the record", func() bool {
		list, err = w.Client("vardag", "dpo").ListWordingWithResponse(w.ctx, s.Number())
		w.must(err)
		return len(list.JSON200.Tests) == 2
	})
	if first := list.JSON200.Tests[0]; first.Digest != answer.Digest || first.By != "vardag-legal" || first.Person != 1 || !slices.Contains(first.To, "vardag-dpo") {
		t.Errorf("the record says %+v", first)
	}
}

// auditNames looks for a reveal with a reason in scope's audit.
func (w *world) auditNames(t *testing.T, user, reason string) {
	t.Helper()
	audit, err := w.running.Scope.Inventory().Audit(w.ctx, "vardag", 1000)
	w.must(err)
	for _, e := range audit {
		if strings.HasPrefix(e.Actor, user) && strings.Contains(e.Detail, reason) {
			return
		}
	}
	t.Errorf("the audit does not say that %s looked: %s", user, reason)
}
