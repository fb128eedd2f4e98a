package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"tocsin.dev/services/desk/api/client"
	"tocsin.dev/services/scope/inventory"
)

// One person is found by what they call themselves, masked, by an authorised
// role of their own organisation; who they are is shown for a reason alone, and
// both are logged. Neither what was looked for nor what was found stands in the
// program's logs.
func TestAPersonIsMaskedUntilRevealed(t *testing.T) {
	var logs output
	w := begin(t, 0, func(w *world) {
		w.settings.Telemetry.LogLevel = "debug"
		w.options.Telemetry.Output = &logs
	})
	_, err := w.running.Scope.Inventory().Import(w.ctx, "tidewater", []inventory.Source{
		inventory.Text("datasets.csv", "key,system,categories\nportal.accounts,portal,user.name user.contact.email\n", inventory.Mapping{}),
		inventory.Text("people.csv", "person,given_name,family_name,email,phone,country,dataset\n"+
			"C-77,Canariella,Quillfeather,canariella@aviary.example.test,+447700900771,GB,portal.accounts\nC-78,Spatz,Plain,spatz@aviary.example.test,,GB,portal.accounts\n", inventory.Mapping{}),
	}, inventory.Options{})
	w.must(err)

	dpo := w.Client("tidewater", "dpo")
	var number int64
	for _, q := range []client.PeopleSearch{{Find: "Canariella@aviary.example.test"}, {Find: "+44 7700 900771"}, {Find: "canariella quillfeather"}, {Reference: "C-77"}} {
		found, err := dpo.FindPeopleWithResponse(w.ctx, q)
		w.must(err)
		if found.JSON200 == nil || len(found.JSON200.People) != 1 {
			t.Fatalf("%+v finds %s", q, found.Body)
		}
		number = found.JSON200.People[0].Person
		if strings.Contains(strings.ToLower(string(found.Body)), "canariella") || strings.Contains(string(found.Body), "900771") {
			t.Errorf("a search shows the person: %s", found.Body)
		}
	}
	if found, err := w.Client("vardag", "dpo").FindPeopleWithResponse(w.ctx, client.PeopleSearch{Find: "canariella@aviary.example.test"}); err != nil || strings.Contains(string(found.Body), "portal") {
		t.Errorf("another organisation finds %s, %v", found.Body, err)
	}
	if found, err := w.Client("tidewater", "analyst").FindPeopleWithResponse(w.ctx, client.PeopleSearch{Find: "canariella@aviary.example.test"}); err != nil || found.StatusCode() != http.StatusForbidden {
		t.Errorf("an analyst searches people: %d, %v", found.StatusCode(), err)
	}

	if shown, err := dpo.RevealPersonWithResponse(w.ctx, number, client.Reveal{Reason: " "}); err != nil || shown.StatusCode() != http.StatusBadRequest {
		t.Errorf("revealed without a reason: %d, %v", shown.StatusCode(), err)
	}
	shown, err := dpo.RevealPersonWithResponse(w.ctx, number, client.Reveal{Reason: "they called us"})
	w.must(err)
	if shown.JSON200 == nil || shown.JSON200.Revealed.GivenName != "Canariella" || shown.JSON200.Revealed.Phone != "+447700900771" {
		t.Errorf("revealed: %s", shown.Body)
	}

	audit, err := w.Client("tidewater", "legal").ListAuditWithResponse(w.ctx, &client.ListAuditParams{})
	w.must(err)
	acts := map[string]int{}
	for _, e := range audit.JSON200.Entries {
		acts[e.Act+" by "+e.Actor+" "+e.Detail]++
	}
	if acts["search by tidewater-dpo (dpo) "] != 4 || acts[fmt.Sprintf("reveal by tidewater-dpo (dpo) person %d: they called us", number)] != 1 {
		t.Errorf("the audit: %v", acts)
	}
	w.stop()
	search(t, "the log", []byte(logs.String()), spellings([]string{"Canariella", "Quillfeather", "canariella@aviary.example.test", "+447700900771"}))
}
