package e2e

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"tocsin.dev/services/demo"
	"tocsin.dev/services/desk/api/client"
)

// The five organisations share one installation, and no row of one is visible
// to another: not its cases, alerts, duties or inventory, in any role.
func TestOneTenantCannotSeeAnothersCase(t *testing.T) {
	w := begin(t, 10)
	s := w.Story("tidewater", io.Discard)
	w.must(s.UpTo(w.ctx, "seal"))
	mine, err := s.Case(w.ctx)
	w.must(err)
	for _, role := range demo.Roles {
		stranger := w.Client("vardag", role)
		res, err := stranger.GetCaseWithResponse(w.ctx, s.Number(), &client.GetCaseParams{})
		w.must(err)
		if res.StatusCode() != http.StatusNotFound {
			t.Errorf("%s of another organisation reads the case: %d", role, res.StatusCode())
		}
		events, err := stranger.ListEventsWithResponse(w.ctx, s.Number(), &client.ListEventsParams{})
		w.must(err)
		alert, err := stranger.GetAlertWithResponse(w.ctx, mine.Alerts[0].ID)
		w.must(err)
		for what, status := range map[string]int{"events": events.StatusCode(), "alert": alert.StatusCode()} {
			if status != http.StatusNotFound && status != http.StatusForbidden { // an admin may not read alerts at all
				t.Errorf("%s of another organisation reads the %s: %d", role, what, status)
			}
		}
		list, err := stranger.ListCasesWithResponse(w.ctx, &client.ListCasesParams{})
		w.must(err)
		alerts, err := stranger.ListAlertsWithResponse(w.ctx, &client.ListAlertsParams{})
		w.must(err)
		inventory, err := stranger.GetInventoryWithResponse(w.ctx)
		w.must(err)
		for what, body := range map[string][]byte{"cases": list.Body, "alerts": alerts.Body, "inventory": inventory.Body} {
			if strings.Contains(string(body), mine.Title) || strings.Contains(string(body), mine.Alerts[0].ID) || strings.Contains(string(body), "tidewater") {
				t.Errorf("%s of another organisation sees in the %s: %s", role, what, body)
			}
		}
	}
}
