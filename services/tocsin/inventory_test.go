package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tocsin.dev/pkg/event"
	"tocsin.dev/services/scope/inventory"
)

// room is a folder with scope's store, as an operator has it.
type room struct {
	*testing.T
	dir string
}

// does runs a command on the room's organisation; it must end without an error.
func (r room) does(args ...string) string {
	r.Helper()
	out, err := r.tries(args...)
	if err != nil {
		r.Fatalf("tocsin %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (r room) tries(args ...string) (string, error) {
	r.Helper()
	return run(r.T, append(args, "--organisation", "vardag", "--data-dir", r.dir)...)
}

// json runs a command with --json and reads what it prints.
func (r room) json(into any, args ...string) {
	r.Helper()
	if out := r.does(append(args, "--json")...); json.Unmarshal([]byte(out), into) != nil {
		r.Fatalf("tocsin %s prints no JSON that fits: %s", strings.Join(args, " "), out)
	}
}

// says fails unless a command prints all the words.
func (r room) says(words []string, args ...string) {
	r.Helper()
	out := r.does(args...)
	for _, w := range words {
		if !strings.Contains(out, w) {
			r.Errorf("tocsin %s does not say %q:\n%s", strings.Join(args, " "), w, out)
		}
	}
}

const (
	ownDatasets = "key,system,name,categories,role,controller,medium\ncrm.customers,crm,Customers,user.name user.contact.email,,,\npaper.files,cabinet,Files,user.name,processor,partner-a,paper\n"
	ownPeople   = "KundNr;Förnamn;Efternamn;E-post;Mobil;Dataset\n1;Åsa;Ek;asa@example.test;070-174 06 05;crm.customers\n2;Bo;Ek;;;paper.files\n3;Åsa;Ek;asa@example.test;;paper.files\n"
	ownMap      = "columns: {person: KundNr, given_name: Förnamn, family_name: Efternamn, email: E-post, phone: Mobil}\ndefaults: {country: SE}\nregion: SE\n"
)

func TestTheInventoryIsRunFromTheCommandLine(t *testing.T) {
	r := room{t, t.TempDir()}
	people, m := write(t, "kunder.csv", ownPeople), write(t, "map.yaml", ownMap)
	r.does("inventory", "import", write(t, "datasets.csv", ownDatasets))

	var report inventory.Report
	r.json(&report, "inventory", "check", people, "--mapping", m, "--source", "kundregister")
	if report.New != 3 || report.Bad != 0 {
		t.Errorf("check: %+v", report)
	}
	r.says([]string{"0 people"}, "inventory", "stats")
	// The mapping was saved by the check.
	r.says([]string{"Taken in: 3 new people", "1 joined"}, "inventory", "import", people, "--source", "kundregister")
	r.says([]string{"Was taken in before"}, "inventory", "import", people, "--source", "kundregister")
	r.says([]string{"2 people", "3 records in 2 datasets of 2 systems"}, "inventory", "stats")
	r.says([]string{"crm.customers", "processor for partner-a", "paper"}, "inventory", "systems")
	var systems []event.InventorySystem
	if r.json(&systems, "inventory", "systems"); len(systems) != 2 {
		t.Errorf("systems: %+v", systems)
	}

	faulty := write(t, "faulty.csv", strings.Replace(ownPeople, "070-174 06 05", "call me", 1))
	out, err := r.tries("inventory", "import", faulty, "--source", "kundregister")
	if err == nil || !strings.Contains(out, "faulty.csv line 2, column Mobil: not a possible phone number") || !strings.Contains(out, "Not taken in") {
		t.Errorf("import with a fault: %v\n%s", err, out)
	}
	if _, err := r.tries("inventory", "import", people, "--source", "nowhere"); err == nil || !strings.Contains(err.Error(), `no mapping is saved for source "nowhere"`) {
		t.Errorf("a source without a mapping: %v", err)
	}

	var found []event.PersonFound
	r.json(&found, "inventory", "find", "asa@example.test")
	if len(found) != 1 || len(found[0].Joined) != 1 || found[0].Revealed != nil {
		t.Fatalf("found %+v", found)
	}
	number, other := fmt.Sprint(found[0].Number), fmt.Sprint(found[0].Joined[0].Number)
	masked := r.does("inventory", "find", "Åsa Ek")
	if strings.Contains(masked, "Åsa") || !strings.Contains(masked, "joined with person "+other+": same email and name") {
		t.Errorf("find prints %s", masked)
	}
	if _, err := r.tries("inventory", "find", "--number", number, "--reveal"); err == nil {
		t.Error("revealed without a reason")
	}
	r.says([]string{"Åsa Ek", "+46701740605"}, "inventory", "find", "--number", number, "--reveal", "--reason", "they called us")

	r.does("inventory", "apart", other, "--reason", "mother and daughter")
	r.says([]string{"3 people"}, "inventory", "stats")
	if _, err := r.tries("inventory", "erase", number, "--reason", "request 17"); err == nil || !strings.Contains(err.Error(), "--yes") {
		t.Errorf("erased without --yes: %v", err)
	}
	r.says([]string{"1 people erased"}, "inventory", "erase", number, "--reason", "request 17", "--yes")
	r.says([]string{"erased on request"}, "inventory", "find", "--number", number)
	r.does("inventory", "rotate")
	r.does("inventory", "lift", number, "--reason", "the wrong person")
	r.says([]string{"they called us", "mother and daughter", "request 17", "key rotation", "the wrong person", "(command line)"}, "inventory", "audit")
	var entries []event.AuditEntry
	if r.json(&entries, "inventory", "audit", "--limit", "2"); len(entries) != 2 || entries[0].Detail != "the wrong person" {
		t.Errorf("audit: %+v", entries)
	}
}

func TestListsArePreviewedSealedComparedAndExportedFromTheCommandLine(t *testing.T) {
	r := room{t, t.TempDir()}
	folder := filepath.Join(t.TempDir(), "people")
	r.does("inventory", "generate", "--people", "300", "--seed", "5", "--out", folder)
	r.does("inventory", "import", folder, "--skip-bad")

	flags := []string{"--dataset", "app.accounts", "--from", "2026-10-01", "--to", "2026-11-01"}
	var preview event.PreviewAnswer
	r.json(&preview, append([]string{"scope", "preview", "--retention", "1"}, flags...)...)
	if preview.People == 0 || preview.Counts.Jurisdictions["SE"] == 0 || preview.KeptTooLong == 0 {
		t.Fatalf("preview %+v", preview)
	}
	type sealed struct {
		Revision int
		People   int64
		Digest   string
	}
	var first, again, second, third sealed
	seal := append([]string{"scope", "seal", "--case", "2026-001"}, flags...)
	r.json(&first, seal...)
	r.json(&again, seal...)
	if first.Revision != 1 || first.People != preview.People || again != first {
		t.Errorf("sealed %+v, then %+v; previewed %d people", first, again, preview.People)
	}
	r.json(&second, append(seal, "--dataset", "shop.orders")...)
	var diff event.DifferenceAnswer
	r.json(&diff, "scope", "diff", "1", "2", "--case", "2026-001")
	if second.Revision != 2 || first.People+diff.Added-diff.Removed != second.People || diff.Removed != 0 || diff.Widened == 0 {
		t.Errorf("from %+v to %+v: %+v", first, second, diff)
	}

	// What list 2 was sealed for, asked again: nothing changed, then one person more.
	r.json(&preview, "scope", "preview", "--case", "2026-001")
	if preview.People != second.People {
		t.Errorf("asked again: %d people, sealed %d", preview.People, second.People)
	}
	r.does("inventory", "import", write(t, "late.csv", "person,given_name,dataset,first_seen\nLATE,Late,shop.orders,2026-10-02\n"))
	r.json(&third, "scope", "seal", "--case", "2026-001")
	r.json(&diff, "scope", "diff", "2", "3", "--case", "2026-001")
	if third.People != second.People+1 || diff.Added != 1 || diff.Removed+diff.Widened+diff.Narrowed != 0 {
		t.Errorf("after one more person: %+v, %+v", third, diff)
	}

	out := filepath.Join(t.TempDir(), "list.csv")
	var written struct {
		People int64
		Out    string
	}
	r.json(&written, "scope", "export", "--case", "2026-001", "--revision", "3", "--out", out)
	if info, err := os.Stat(out); err != nil || info.Mode().Perm() != 0o600 || written.People != third.People || written.Out != out {
		t.Errorf("exported %+v, %v", written, err)
	}
	if _, err := r.tries("scope", "export", "--case", "2026-001", "--revision", "3", "--out", out); err == nil {
		t.Error("an export overwrites a file")
	}
	if _, err := r.tries("scope", "export", "--case", "2026-001", "--revision", "9", "--out", out+"9"); err == nil {
		t.Error("exported a list that was never sealed")
	} else if _, err := os.Stat(out + "9"); err == nil {
		t.Error("a failed export leaves a file")
	}
	for _, args := range [][]string{{"scope", "preview"}, {"scope", "preview", "--case", "2020-001"}, append([]string{"scope", "seal"}, flags...)} {
		if _, err := r.tries(args...); err == nil || !strings.Contains(err.Error(), "case") {
			t.Errorf("tocsin %s: %v", strings.Join(args, " "), err)
		}
	}
}

func TestProgressIsToldAsOneEventALine(t *testing.T) {
	r := room{t, t.TempDir()}
	read, written, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr := os.Stderr
	os.Stderr = written
	phases := make(chan map[string]float64)
	go func() {
		seen := map[string]float64{}
		for lines := bufio.NewScanner(read); lines.Scan(); {
			var e progressEvent
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil || e.Done < seen[e.Phase] || e.Done > 1 {
				t.Errorf("an event of progress is %q: %v", lines.Text(), err)
			}
			seen[e.Phase] = e.Done
		}
		phases <- seen
	}()
	out, err := r.tries("inventory", "generate", "--people", "500", "--progress", "events", "--json")
	os.Stderr = stderr
	written.Close()
	seen := <-phases
	if err != nil || seen["read"] != 1 || seen["identify"] != 1 || seen["people"] != 1 || !json.Valid([]byte(out)) {
		t.Errorf("%v, %v, %s", seen, err, out)
	}
}
