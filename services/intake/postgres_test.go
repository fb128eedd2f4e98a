package intake

import (
	"strings"
	"testing"
	"time"

	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/sqldb/sqldbtest"
)

// TestIntakeDoesTheSameOnPostgreSQL goes through every statement of the store
// on the engine of production.
func TestIntakeDoesTheSameOnPostgreSQL(t *testing.T) {
	h := openOn(t, sqldbtest.PostgresURL(t), t.TempDir(), time.Now, nil)
	a := h.splunk(search("s1", "FS-02", "amira")).ID
	h.alert("tidewater", a)
	for range 2 {
		if r := h.splunk(search("s1", "FS-02", "amira")); !r.Duplicate {
			t.Errorf("the same body: %+v", r)
		}
	}
	eventually(t, "the count is 3", func() bool { return h.alert("tidewater", a).Count == 3 })
	wazuh := `{"id":"w1","rule":{"level":5,"description":"x"},"agent":{"name":"fs-02"},"timestamp":"2026-05-04T09:10:02Z"}`
	b := h.splunk(wazuh).ID
	h.alert("tidewater", b)
	c := h.splunk(strings.Replace(wazuh, ":5", ":15", 1)).ID
	if got := h.alert("tidewater", c); got.ID != b || got.Count != 2 || got.SeverityID != 5 {
		t.Errorf("a repetition in another body: %+v", got.Alert)
	}
	if got := h.alert("tidewater", a); len(got.Related) != 1 || got.Related[0].ID != b {
		t.Errorf("related: %+v", got.Related)
	}
	page := h.list("tidewater", event.AlertsList{Order: "severity", Limit: 1})
	next := h.list("tidewater", event.AlertsList{Order: "severity", Limit: 1, After: page.Next})
	if page.Alerts[0].ID != b || next.Alerts[0].ID != a || next.Next != "" || page.Counts[event.AlertNew] != 2 {
		t.Errorf("pages %+v and %+v", page, next)
	}
	for _, q := range []event.AlertsList{{Text: "FS-02"}, {Severity: 4, State: event.AlertNew, Source: "splunk"}} {
		if got := h.list("tidewater", q); len(got.Alerts) == 0 {
			t.Errorf("%+v finds nothing", q)
		}
	}
	if got := h.list("tidewater", event.AlertsList{Unmapped: true, Personal: true}); len(got.Alerts) != 0 {
		t.Errorf("%d unmapped", len(got.Alerts))
	}
	answer, err := h.ask(event.AlertsQuestion{Org: "tidewater", Dismiss: &event.AlertDismissal{Alert: b, By: "u", Reason: "r"}})
	must(t, err)
	if answer.Alert.State != event.AlertDismissed {
		t.Errorf("%+v", answer.Alert)
	}
	j := h.declare("tidewater", "2026-001", a, b)
	h.linkedIn(j, "tidewater", "2026-001", 2)
	if got := h.alert("tidewater", b); got.State != event.AlertInCase || got.Dismissal != nil {
		t.Errorf("a dismissed alert that was taken into a case: %+v", got)
	}
	answer, err = h.ask(event.AlertsQuestion{Org: "tidewater", Sources: true})
	must(t, err)
	if len(answer.Sources) != 4 {
		t.Errorf("sources %+v", answer.Sources)
	}
}
