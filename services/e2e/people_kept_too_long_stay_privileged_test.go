package e2e

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"tocsin.dev/services/desk/api/client"
)

// Tidewater promises to remove data after 36 months and did not. The people are
// told like everybody else; how many there are is known to legal and the data
// protection officer and stands nowhere in the case.
func TestPeopleKeptTooLongStayPrivileged(t *testing.T) {
	w := begin(t, 200)
	s := w.Story("tidewater", io.Discard)
	w.must(s.UpTo(w.ctx, "seal"))
	sealed, err := s.Case(w.ctx)
	w.must(err)
	list := sealed.Sealed[len(sealed.Sealed)-1]

	for _, role := range []string{"legal", "dpo"} {
		res, err := w.Client("tidewater", role).ListFindingsWithResponse(w.ctx, s.Number())
		w.must(err)
		if res.JSON200 == nil || len(res.JSON200.Lists) == 0 {
			t.Fatalf("findings for %s: %s", role, res.Body)
		}
		f := res.JSON200.Lists[len(res.JSON200.Lists)-1]
		if f.KeptTooLong == 0 || f.KeptTooLong >= f.People || f.People != list.People {
			t.Errorf("%s is told %+v; the list has %d people", role, f, list.People)
		}
	}
	for _, role := range []string{"analyst", "admin"} {
		if res, err := w.Client("tidewater", role).ListFindingsWithResponse(w.ctx, s.Number()); err != nil || res.StatusCode() != http.StatusForbidden {
			t.Errorf("%s gets the findings: %d, %v", role, res.StatusCode(), err)
		}
	}
	analyst := w.Client("tidewater", "analyst")
	events, err := analyst.ListEventsWithResponse(w.ctx, s.Number(), &client.ListEventsParams{})
	w.must(err)
	whole, err := w.Client("tidewater", "dpo").GetCaseWithResponse(w.ctx, s.Number(), &client.GetCaseParams{})
	w.must(err)
	preview, err := analyst.PreviewExposureWithResponse(w.ctx, s.Number(), client.ExposureStatement{Exposures: sealed.Exposure.Exposures})
	w.must(err)
	if preview.JSON200 == nil || preview.JSON200.People != list.People {
		t.Errorf("the analyst's preview: %s", preview.Body)
	}
	for what, body := range map[string][]byte{"journal": events.Body, "case": whole.Body, "analyst's preview": preview.Body} {
		for _, word := range []string{"kept_too_long", "kept too long", "kept longer", "retention"} {
			if strings.Contains(string(body), word) {
				t.Errorf("the %s says %q", what, word)
			}
		}
	}
}
