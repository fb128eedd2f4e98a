package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"tocsin.dev/services/desk/api/client"
)

// No system raises an alert when a folder is stolen. A person declares, another
// types the names, and they are scoped, counted and sealed like any others:
// those with an address by post, a name without one as somebody to search for.
func TestAStolenFolderIsScopedByHand(t *testing.T) {
	w := begin(t, 0)
	analyst := w.Client("mindloom", "analyst")
	declared, err := analyst.DeclareCaseWithResponse(w.ctx, &client.DeclareCaseParams{}, client.Declaration{Title: "Folder stolen from the cabinet", AwareAt: time.Now().Add(-time.Hour), Severity: "medium"})
	w.must(err)
	if declared.JSON201 == nil || len(declared.JSON201.Alerts) > 0 {
		t.Fatalf("declare: %s", declared.Body)
	}
	number := declared.JSON201.Number

	list := client.EnteredList{Dataset: "cabinet.stolen-folder", Name: "Stolen folder", Medium: "paper", Categories: []string{"user.name", "user.contact.address"}, Check: true,
		Csv: "given_name,family_name,address1,postcode,city,country\nÅsa,Ek,1 Mill Lane,AB1 2CD,Exampleton,GB\nBo,Öberg,,,,\nCid,Oak,2 Mill Lane,AB1 2CD,Exampleton,United Kingdom\n"}
	enter := func() client.ListReport {
		t.Helper()
		res, err := analyst.EnterListWithResponse(w.ctx, list)
		w.must(err)
		if res.JSON200 == nil {
			t.Fatalf("enter the list: %s", res.Body)
		}
		return *res.JSON200
	}
	if r := enter(); r.TakenIn || r.Bad != 1 || len(r.Errors) != 1 || !strings.Contains(r.Errors[0], "line 4, column country: not an ISO 3166 code") || strings.Contains(r.Errors[0], "Kingdom") {
		t.Errorf("check: %+v", r)
	}
	list.Csv = strings.Replace(list.Csv, "United Kingdom", "UK", 1)
	if r := enter(); r.TakenIn || r.New != 3 || r.Bad != 0 {
		t.Errorf("check again: %+v", r)
	}
	list.Check = false
	if r := enter(); !r.TakenIn || r.New != 3 {
		t.Errorf("take in: %+v", r)
	}
	if r := enter(); r.New != 0 || r.Known > 3 {
		t.Errorf("the same list again: %+v", r)
	}

	state := func(datasets ...string) client.SealedList {
		t.Helper()
		var x client.ExposureStatement
		for _, d := range datasets {
			x.Exposures = append(x.Exposures, client.Exposure{Dataset: d, From: time.Now().AddDate(0, 0, -2), To: time.Now()})
		}
		before := w.sealed(analyst, number)
		res, err := analyst.StateExposureWithResponse(w.ctx, number, &client.StateExposureParams{}, x)
		w.must(err)
		if res.StatusCode() != http.StatusOK {
			t.Fatalf("state: %s", res.Body)
		}
		var all []client.SealedList
		w.eventually("the sealed list", func() bool { all = w.sealed(analyst, number); return len(all) > len(before) })
		return all[len(all)-1]
	}
	sealed := state("cabinet.stolen-folder")
	if sealed.People != 3 || sealed.Counts.Channels["post"] != 2 || sealed.Counts.Channels["none"] != 1 || sealed.Counts.Jurisdictions["GB"] != 2 || sealed.Counts.Jurisdictions["unknown"] != 1 {
		t.Errorf("sealed: %+v", sealed)
	}

	// A page turns up later: one person more, and nobody else moves.
	list.Dataset, list.Csv = "cabinet.late-page", "given_name,family_name,address1,city,country\nDee,Ash,3 Mill Lane,Exampleton,GB\n"
	enter()
	state("cabinet.stolen-folder", "cabinet.late-page")
	diff, err := analyst.CompareListsWithResponse(w.ctx, number, &client.CompareListsParams{From: 1, To: 2})
	w.must(err)
	if d := diff.JSON200; d == nil || d.Added != 1 || d.Removed+d.Widened+d.Narrowed != 0 {
		t.Errorf("difference: %s", diff.Body)
	}
}

// sealed returns the sealed lists of a case.
func (w *world) sealed(c *client.ClientWithResponses, number string) []client.SealedList {
	w.t.Helper()
	res, err := c.GetCaseWithResponse(w.ctx, number, &client.GetCaseParams{})
	w.must(err)
	if res.JSON200 == nil {
		w.t.Fatalf("case %s: %s", number, res.Body)
	}
	return res.JSON200.Sealed
}
