package e2e

import (
	"bytes"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"tocsin.dev/pkg/law"
	"tocsin.dev/pkg/rulebook"
	"tocsin.dev/services/desk/api/client"
)

// newAct is an act of 2026 that the built-in rules do not know.
const newAct = `
regime: uk-new
title: A new act
jurisdiction: GB
citation: New Act 2026, section 1
version: "2026-12-01"
status: in-force
valid: {from: 2026-01-01}
source: {kind: recalled, confidence: low, checked_on: 2026-11-22}
owed_by: {role: controller}
connection: organisation
duties:
  - {id: minister, title: Tell the minister, to: {kind: regulator, name: the minister}, limits: [{n: 500, unit: hour, from: aware}]}
`

const newActCases = `
cases:
  - {name: plain, rule: uk-new.minister, shows: plain, because: Hours run., facts: {events: [{kind: aware, at: 2026-03-02T09:00:00Z}]}, expect: {due: 2026-03-23T05:00:00Z}}
  - {name: weekend, rule: uk-new.minister, shows: weekend, because: A Sunday moves nothing., facts: {events: [{kind: aware, at: 2026-03-01T09:00:00Z}]}, expect: {due: 2026-03-22T05:00:00Z}}
  - {name: clocks, rule: uk-new.minister, shows: dst, because: The clocks move and the hours do not., facts: {events: [{kind: aware, at: 2026-03-20T09:00:00Z}]}, expect: {due: 2026-04-10T06:00:00+01:00}}
`

// changedLaw is the built-in package with a new act, and another version of the UK GDPR.
func changedLaw(w *world) []byte {
	w.t.Helper()
	files := fstest.MapFS{"rules/uk/new.yaml": {Data: []byte(newAct)}, "rules/uk/new.cases.yaml": {Data: []byte(newActCases)}}
	w.must(fs.WalkDir(law.Files(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(law.Files(), name)
		if name == "rules/uk/gdpr.yaml" {
			data = bytes.Replace(data, []byte(`version: "2026-11-21"`), []byte(`version: "2026-12-01"`), 1)
		}
		files[name] = &fstest.MapFile{Data: data}
		return err
	}))
	packed, err := rulebook.Pack(files)
	w.must(err)
	return packed
}

// New law takes effect when a second person has accepted it. Until then nothing
// moves; then every open case does, each duty with its reason.
func TestARulePackageNeedsTwoPeople(t *testing.T) {
	w := begin(t, 0)
	s := w.Story("tidewater", io.Discard)
	w.must(s.UpTo(w.ctx, "duties"))
	upload := client.RulePackageUpload{Package: changedLaw(w), Note: "the new act"}

	for _, role := range []string{"analyst", "admin"} {
		res, err := w.Client("tidewater", role).ProposeRulePackageWithResponse(w.ctx, upload)
		w.must(err)
		if res.StatusCode() != http.StatusForbidden {
			t.Errorf("%s proposed: %s", role, res.Status())
		}
	}
	proposed, err := w.Client("tidewater", "legal").ProposeRulePackageWithResponse(w.ctx, upload)
	w.must(err)
	if proposed.JSON200 == nil || len(proposed.JSON200.Problems) > 0 {
		t.Fatalf("legal could not propose: %s %.2000s", proposed.Status(), proposed.Body)
	}
	lines := ""
	for _, a := range proposed.JSON200.Affected {
		if a.Case == s.Number() {
			for _, c := range a.Changes {
				lines += c.DutyID + ": " + c.Line + "\n"
			}
		}
	}
	if !strings.Contains(lines, "uk-new.minister: Tell the minister: opened") || !strings.Contains(lines, "version 2026-11-21 to 2026-12-01") {
		t.Errorf("the proposal does not say what it would touch:\n%s", lines)
	}
	digest := proposed.JSON200.Package.Digest

	for role, want := range map[string]int{"legal": http.StatusUnprocessableEntity, "analyst": http.StatusForbidden} {
		res, err := w.Client("tidewater", role).AcceptRulePackageWithResponse(w.ctx, digest)
		w.must(err)
		if res.StatusCode() != want {
			t.Errorf("%s accepted: %s %s", role, res.Status(), res.Body)
		}
	}
	other, err := w.Client("vardag", "dpo").AcceptRulePackageWithResponse(w.ctx, digest)
	w.must(err)
	if other.StatusCode() != http.StatusNotFound {
		t.Errorf("another organisation accepted: %s", other.Status())
	}
	c, err := s.Case(w.ctx)
	w.must(err)
	if duty(c, "uk-new.minister") != nil {
		t.Fatal("the new act holds before anybody accepted it")
	}

	accepted, err := w.Client("tidewater", "dpo").AcceptRulePackageWithResponse(w.ctx, digest[:16])
	w.must(err)
	if accepted.JSON200 == nil || !accepted.JSON200.Active {
		t.Fatalf("the second person could not accept: %s %s", accepted.Status(), accepted.Body)
	}
	w.eventually("the open case to follow the new law", func() bool {
		c, err = s.Case(w.ctx)
		w.must(err)
		return duty(c, "uk-new.minister") != nil
	})
	reasons := ""
	for _, d := range c.Duties {
		if strings.HasPrefix(d.Duty.Rule, "uk-gdpr.") {
			reasons += strings.Join(d.Changes, "\n") + "\n"
		}
	}
	if !strings.Contains(reasons, "version 2026-11-21 to 2026-12-01") {
		t.Errorf("the duties of the UK GDPR do not say why they changed:\n%s", reasons)
	}
	if !checks(w, "tidewater", "uk-new.minister") {
		t.Error("the check page does not show the new duty")
	}
	if checks(w, "vardag", "uk-new.minister") {
		t.Error("the check page of another organisation shows it")
	}
	w.restart()
	if !checks(w, "tidewater", "uk-new.minister") {
		t.Error("after a restart the old law holds again")
	}
	c, err = s.Case(w.ctx)
	w.must(err)
	if d := duty(c, "uk-new.minister"); d == nil || d.State != "open" {
		t.Error("after a restart the duty of the new act is gone")
	}
}

func duty(c *client.Case, id string) *client.CaseDuty {
	for i := range c.Duties {
		if c.Duties[i].Duty.ID == id {
			return &c.Duties[i]
		}
	}
	return nil
}

// checks reports whether a declaration would open a duty.
func checks(w *world, org, id string) bool {
	w.t.Helper()
	res, err := w.Client(org, "analyst").CheckDeclarationWithResponse(w.ctx, client.Declaration{
		Title: "Altered program", Severity: "high", AwareAt: w.Now().Add(-time.Hour), AwareZone: "Europe/London"})
	w.must(err)
	if res.JSON200 == nil {
		w.t.Fatalf("check a declaration: %s %s", res.Status(), res.Body)
	}
	for _, d := range res.JSON200.Duties {
		if d.ID == id {
			return true
		}
	}
	return false
}
