package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"tocsin.dev/services/desk/api/client"
)

// Clearline promises to tell people promptly and names no place of
// establishment: the promise is a duty with an internal target, beside the laws
// of the places that may be its own, which are provisional until a person decides.
func TestAnOwnPromiseStandsBesideTheLaw(t *testing.T) {
	w := begin(t, 0)
	analyst := w.Client("clearline", "analyst")
	res, err := analyst.DeclareCaseWithResponse(w.ctx, &client.DeclareCaseParams{}, client.Declaration{
		Title: "Support mailbox read", Severity: "high", AwareAt: w.Now().Add(-time.Hour).Truncate(time.Minute), AwareZone: "Australia/Sydney", AwareEvidence: "a call"})
	w.must(err)
	if res.JSON201 == nil {
		t.Fatalf("declare: %s %s", res.Status(), res.Body)
	}
	number := res.JSON201.Number
	load := func() *client.Case {
		c, err := analyst.GetCaseWithResponse(w.ctx, number, &client.GetCaseParams{})
		w.must(err)
		return c.JSON200
	}
	var c *client.Case
	w.eventually("the duties", func() bool { c = load(); return len(c.Duties) > 0 })
	d := duty(c, "clearline.prompt-notice")
	if d == nil {
		t.Fatal("the promise is no duty")
	}
	if d.Duty.Status != "policy" || d.Duty.Due != nil || d.Duty.Target == nil || d.Duty.TargetLabel == "" || d.Duty.Standard != "promptly" {
		t.Errorf("the promise: status %s, due %v, target %v (%s), standard %q", d.Duty.Status, d.Duty.Due, d.Duty.Target, d.Duty.TargetLabel, d.Duty.Standard)
	}
	if d.Duty.Provisional != "" {
		t.Errorf("the promise holds wherever Clearline is established, yet: %s", d.Duty.Provisional)
	}
	provisional := 0
	for _, d := range c.Duties {
		if strings.Contains(d.Duty.Provisional, "AU, ZA, IE") {
			provisional++
		}
	}
	if provisional == 0 {
		t.Error("no duty is provisional although nobody has decided where Clearline is established")
	}

	bad, err := analyst.StateFactWithResponse(w.ctx, number, &client.StateFactParams{}, client.FactStatement{Key: "established", Value: "Atlantis"})
	w.must(err)
	if bad.StatusCode() != http.StatusBadRequest || !strings.Contains(string(bad.Body), "established") || !strings.Contains(string(bad.Body), `"value"`) {
		t.Errorf("Atlantis: %s %s", bad.Status(), bad.Body)
	}
	unknown, err := analyst.StateFactWithResponse(w.ctx, number, &client.StateFactParams{}, client.FactStatement{Key: "event.detectd", Value: "2026-11-20T09:00:00Z"})
	w.must(err)
	if unknown.StatusCode() != http.StatusBadRequest || !strings.Contains(string(unknown.Body), "event.detectd") || !strings.Contains(string(unknown.Body), `"key"`) {
		t.Errorf("an unknown fact: %s %s", unknown.Status(), unknown.Body)
	}
	good, err := analyst.StateFactWithResponse(w.ctx, number, &client.StateFactParams{}, client.FactStatement{Key: "established", Value: "AU", Note: "the register of companies says so"})
	w.must(err)
	if good.JSON200 == nil {
		t.Fatalf("Australia: %s %s", good.Status(), good.Body)
	}
	w.eventually("nothing to be provisional", func() bool {
		c = load()
		for _, d := range c.Duties {
			if d.Duty.Provisional != "" && d.State == "open" {
				return false
			}
		}
		return true
	})
	facts, err := analyst.GetLawFactsWithResponse(w.ctx, number, &client.GetLawFactsParams{})
	w.must(err)
	if facts.JSON200 == nil || len(facts.JSON200.Organisation.Establishments) != 1 || facts.JSON200.Organisation.Establishments[0].Jurisdiction != "AU" {
		t.Errorf("the facts document: %s %s", facts.Status(), facts.Body)
	}
	why, err := analyst.ExplainDutyWithResponse(w.ctx, number, "clearline.prompt-notice")
	w.must(err)
	if why.JSON200 == nil || len(why.JSON200.Changes) == 0 {
		t.Errorf("what would change the promise: %s %s", why.Status(), why.Body)
	}
}
