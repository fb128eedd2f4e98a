package e2e

import (
	"io"
	"testing"

	"tocsin.dev/services/desk/api/client"
)

// An alert, however severe, only proposes. A case exists from the moment a
// person declares it, and not before.
func TestAnAlertNeverDeclaresACase(t *testing.T) {
	w := begin(t, 0)
	s := w.Story("tidewater", io.Discard)
	w.must(s.PostAlert(w.ctx))
	res, err := w.Client("tidewater", "analyst").ListCasesWithResponse(w.ctx, &client.ListCasesParams{})
	w.must(err)
	if res.JSON200 == nil || len(res.JSON200.Cases) != 0 {
		t.Fatalf("after an alert the cases are: %s", res.Body)
	}
	w.must(s.Declare(w.ctx))
	w.eventually("the alert to be linked", func() bool {
		c, err := s.Case(w.ctx)
		return err == nil && len(c.Alerts) == 1 && c.Alerts[0].Linked
	})
}
