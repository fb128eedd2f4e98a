package intake

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/journal"
)

// declare opens a case as the desk does.
func (h *house) declare(org, number string, alerts ...string) *journal.Journal {
	h.t.Helper()
	j, err := journal.New(h.srv.Connect(h.t, event.Desk), journal.Config{})
	must(h.t, err)
	e, err := event.New(event.NewID(), time.Now(), org, number, event.Person("u-1", "analyst"), event.CaseDeclared{
		Title: "t", AwareAt: time.Now(), AwareZone: "UTC", Severity: event.SeverityHigh, Role: "controller", Alerts: alerts})
	must(h.t, err)
	_, err = j.Append(context.Background(), org, number, 0, e)
	must(h.t, err)
	return j
}

// linkedIn waits until a case has n linked alerts.
func (h *house) linkedIn(j *journal.Journal, org, number string, n int) *casefile.Case {
	h.t.Helper()
	var c *casefile.Case
	eventually(h.t, "the alerts are linked", func() bool {
		var err error
		c, err = j.Load(context.Background(), org, number)
		must(h.t, err)
		return len(c.Linked) >= n
	})
	return c
}

func TestAnAcceptedAlertIsLinkedOnceAndItsBodyKept(t *testing.T) {
	h := start(t)
	raw := sample(t, "wazuh/rootcheck_trojaned_file.json")
	id := h.post("splunk", raw, "Authorization", "Bearer "+splunkToken).ID
	a := h.alert("tidewater", id)
	j := h.declare("tidewater", "2026-001", id, id)
	c := h.linkedIn(j, "tidewater", "2026-001", 1)
	said := c.Linked[id]
	if said.Title != a.Title || said.Product != "Wazuh" || said.RawSHA256 != a.RawSHA256 || said.OccurredAt == nil || !said.ReceivedAt.Equal(a.ReceivedAt) {
		t.Errorf("said %+v", said)
	}
	entries, err := j.Entries(context.Background(), "tidewater", "2026-001")
	must(t, err)
	if len(entries) != 2 {
		t.Errorf("%d events, want declared and linked", len(entries))
	}
	now := h.alert("tidewater", id)
	if now.State != event.AlertInCase || now.Case != "2026-001" || now.DecidedAt == nil {
		t.Errorf("the row: %+v", now.Alert)
	}
	kept, err := h.service.raw.object(context.Background(), id)
	if err != nil || !bytes.Equal(kept, raw) {
		t.Errorf("the body is not in the object store: %v", err)
	}
	if _, err := h.ask(event.AlertsQuestion{Org: "tidewater", Dismiss: &event.AlertDismissal{Alert: id, By: "u", Reason: "r"}}); err == nil {
		t.Error("an alert of a case was dismissed")
	}
}

func TestAnAlertOfAnotherOrganisationIsNeverLinked(t *testing.T) {
	h := start(t)
	theirs := h.post("other", []byte(search("s1", "h", "u")), "Authorization", "Bearer "+splunkToken).ID
	h.alert("northbridge", theirs)
	mine := h.splunk(search("s1", "h", "u")).ID
	h.alert("tidewater", mine)
	j := h.declare("tidewater", "2026-001", theirs, mine)
	c := h.linkedIn(j, "tidewater", "2026-001", 1)
	if _, linked := c.Linked[theirs]; linked || len(c.Linked) != 1 {
		t.Errorf("linked %v", c.Linked)
	}
	if a := h.alert("northbridge", theirs); a.State != event.AlertNew {
		t.Errorf("the other organisation's alert is %s", a.State)
	}
}

func TestAnAlertNeverDeclaresACase(t *testing.T) {
	h := start(t)
	h.alert("tidewater", h.post("splunk", sample(t, "aws/guardduty_attack_sequence_critical.json"), "Authorization", "Bearer "+splunkToken).ID)
	j, err := journal.New(h.srv.Connect(t, event.Intake), journal.Config{})
	must(t, err)
	refs, err := j.Cases(context.Background(), "")
	must(t, err)
	if len(refs) != 0 {
		t.Errorf("cases %v", refs)
	}
	e, err := event.New(event.NewID(), time.Now(), "tidewater", "2026-001", event.Service(event.Intake), event.CaseDeclared{Title: "t"})
	must(t, err)
	if _, err := j.Append(context.Background(), "tidewater", "2026-001", 0, e); !errors.Is(err, bus.ErrForbidden) {
		t.Errorf("intake could declare a case: %v", err)
	}
}
