package e2e

import (
	"io"
	"net/http"
	"strings"
	"testing"

	ics "github.com/arran4/golang-ical"

	"tocsin.dev/services/desk/api/client"
)

// Each role of an organisation has its own secret address of a calendar with
// every duty that has a due instant; a guessed address shows nothing.
func TestTheCalendarHoldsEveryDutyAndNoPersonalData(t *testing.T) {
	w := begin(t, 0)
	s := w.Story("tidewater", io.Discard)
	w.must(s.UpTo(w.ctx, "duties"))
	address := func(org, role string) string {
		res, err := w.Client(org, role).GetCalendarWithResponse(w.ctx, &client.GetCalendarParams{})
		w.must(err)
		if res.JSON200 == nil {
			t.Fatalf("no address for %s of %s: %s %s", role, org, res.Status(), res.Body)
		}
		return res.JSON200.URL
	}
	dpo := address("tidewater", "dpo")
	other, err := w.Client("tidewater", "analyst").GetCalendarWithResponse(w.ctx, &client.GetCalendarParams{Role: new(client.GetCalendarParamsRole("dpo"))})
	w.must(err)
	if other.StatusCode() != http.StatusForbidden {
		t.Errorf("an analyst got the address of the data protection officers: %s", other.Status())
	}

	status, text := w.get(dpo)
	if status != http.StatusOK {
		t.Fatalf("the feed answers %d", status)
	}
	feed, err := ics.ParseCalendar(strings.NewReader(text))
	w.must(err)
	c, err := s.Case(w.ctx)
	w.must(err)
	due := 0
	for _, d := range c.Duties {
		if d.Duty.Due == nil {
			continue
		}
		due++
		found := false
		for _, e := range feed.Events() {
			at, err := e.GetStartAt()
			w.must(err)
			if strings.Contains(e.Id(), d.Duty.ID+"@") && at.Equal(*d.Duty.Due) && strings.Contains(e.GetProperty(ics.ComponentPropertySummary).Value, s.Number()) {
				found = true
			}
		}
		if !found {
			t.Errorf("%s is not in the feed", d.Duty.ID)
		}
	}
	if due == 0 || len(feed.Events()) != due {
		t.Errorf("%d events for %d duties with a due instant", len(feed.Events()), due)
	}
	if strings.Contains(text, c.Title) || strings.Contains(text, "tidewater-analyst") {
		t.Error("the feed tells more than case numbers and duties")
	}

	for what, url := range map[string]string{
		"a wrong token":                 dpo[:len(dpo)-8] + "0000.ics",
		"the token of another role":     strings.Replace(dpo, "/dpo/", "/legal/", 1),
		"the token of another tenant":   strings.Replace(dpo, "/tidewater/", "/vardag/", 1),
		"no token":                      w.running.URL + "/v1/calendar/tidewater/dpo/.ics",
		"an organisation nobody has":    strings.Replace(dpo, "/tidewater/", "/nobody/", 1),
		"the token of another's tenant": strings.Replace(address("vardag", "dpo"), "/vardag/", "/tidewater/", 1),
	} {
		if status, text := w.get(url); status != http.StatusNotFound || strings.Contains(text, "BEGIN:VCALENDAR") {
			t.Errorf("%s: %d", what, status)
		}
	}
}
