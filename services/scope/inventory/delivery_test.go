package inventory

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/sqldb"
	"tocsin.dev/pkg/sqldb/sqldbtest"
)

func TestALaterImportChangesOnlyWhatChanged(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := openStore(t, db)
		mustImport(t, s, "vardag", sources())
		// Bo moved, Eve is new, Anna is as before; Cid's order was deleted in the middle of October.
		r := mustImport(t, s, "vardag", []Source{
			Text("people.csv", strings.Join([]string{strings.Split(peopleCSV, "\n")[0], strings.Split(peopleCSV, "\n")[1],
				"C2,Bo,Berg,bo@example.test,,,,,NO,,,former,", "C5,Eve,New,eve@example.test,,,,,DK,da,,customer,"}, "\n")+"\n", Mapping{}),
			Text("holdings.csv", "person,dataset,categories,first_seen,last_seen\nC3,shop.orders,,2026-10-02,2026-10-15\nC5,crm.customers,,2026-11-01,\n", Mapping{}),
		})
		if r.New != 1 || r.Known != 2 || r.Changed != 1 {
			t.Errorf("report %+v", r)
		}
		late := []event.Exposure{window("crm.customers", "2026-11-02", "2026-11-03"), window("shop.orders", "2026-11-02", "2026-11-03")}
		a, err := s.Preview(t.Context(), "vardag", late, Policy{})
		if err != nil || a.People != 3 || a.Counts.Jurisdictions["DK"] != 1 { // Anna, Dee and Eve
			t.Errorf("in November: %+v, %v", a, err)
		}
		before, err := s.Preview(t.Context(), "vardag", []event.Exposure{window("shop.orders", "2026-10-05", "2026-10-06")}, Policy{})
		if err != nil || before.People != 3 {
			t.Errorf("on 5 October: %d people, %v", before.People, err)
		}
	})
}

func TestACheckCountsAndListsFaultsAndKeepsNothing(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := openStore(t, db)
		mustImport(t, s, "vardag", sources())
		before, err := s.Inventory(t.Context(), "vardag")
		if err != nil {
			t.Fatal(err)
		}
		more := func(wrong string) []Source {
			return []Source{Text("more.csv", "person,given_name,email,dataset\nC1,Anna,anna@example.test,crm.customers\nN1,Nova,nova@example.test,crm.customers\nN2,Max,"+wrong+",shop.orders\n", Mapping{})}
		}
		checked, err := s.Import(t.Context(), "vardag", more("max@nowhere"), Options{Check: true})
		if err != nil || checked.New != 2 || checked.Known != 1 || checked.Bad != 1 || len(checked.Errors) != 1 || checked.Errors[0].Error() != "more.csv line 4, column email: not an email address" {
			t.Errorf("checked %+v, %v", checked, err)
		}
		after, err := s.Inventory(t.Context(), "vardag")
		if diff := cmp.Diff(before, after); diff != "" || err != nil {
			t.Errorf("a check changed the inventory (-before +after):\n%s%v", diff, err)
		}
		if r := mustImport(t, s, "vardag", more("max@example.test")); r.New != checked.New || r.Known != checked.Known || r.Holdings != checked.Holdings {
			t.Errorf("in earnest %+v, in the check %+v", r, checked)
		}
	})
}

func TestAMappingIsSavedForItsSourceAndOrganisation(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := openStore(t, db)
		m := Mapping{Columns: map[string]string{"person": "KundNr", "given_name": "Förnamn", "phone": "Mobil", "born": "Född"},
			Defaults: map[string]string{"dataset": "a", "country": "SE"}, DateOrder: "dmy", Region: "SE", Delimiter: ";"}
		for _, kept := range []Mapping{{}, m} { // a second saving replaces the first
			if err := s.SaveMapping(t.Context(), "vardag", "kundregister", kept); err != nil {
				t.Fatal(err)
			}
		}
		saved, err := s.Mapping(t.Context(), "vardag", "kundregister")
		if diff := cmp.Diff(m, saved); diff != "" || err != nil {
			t.Fatalf("%v, -saved +read:\n%s", err, diff)
		}
		r := mustImport(t, s, "vardag", []Source{oneDataset(), Text("kunder.csv", "KundNr;Förnamn;Mobil;Född\n1;Åsa;070-174 06 05;03/04/1980\n", saved)})
		a, err := s.Preview(t.Context(), "vardag", everybody(), Policy{})
		if err != nil || r.New != 1 || a.Counts.Jurisdictions["SE"] != 1 || a.Counts.Channels["sms"] != 1 || a.Counts.AgeClasses["adult"] != 1 {
			t.Errorf("imported %+v, counted %+v, %v", r, a.Counts, err)
		}
		for _, other := range [][2]string{{"vardag", "webshop"}, {"nimbus", "kundregister"}} {
			if _, err := s.Mapping(t.Context(), other[0], other[1]); err == nil || !strings.Contains(err.Error(), other[1]) {
				t.Errorf("the mapping of %v: %v", other, err)
			}
		}
	})
}

func TestProgressOfAnImportNeverGoesBackAndIsToldWithinAFile(t *testing.T) {
	s := openStore(t, sqlite(t))
	var phases []string
	at := map[string]float64{}
	told := 0
	sources := append(catalogueSources(), fileSource(t, "people.csv", []byte(manyPeople(100_000)), Mapping{}))
	_, err := s.Import(t.Context(), "vardag", sources, Options{Progress: func(phase string, done float64) {
		was, seen := at[phase]
		if !seen {
			phases = append(phases, phase)
		}
		if done < was || done > 1 {
			t.Errorf("%s went from %v to %v", phase, was, done)
		}
		at[phase] = done
		if phase == "read" {
			told++
		}
	}})
	if diff := cmp.Diff([]string{"read", "identify", "index", "people"}, phases); diff != "" || err != nil || at["read"] != 1 || told < 4 {
		t.Errorf("%v, told %d times of the reading, phases (-want +got):\n%s", err, told, diff)
	}
}

func TestNeitherAnOptOutNorADeathHidesAnybody(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := openStore(t, db)
		mustImport(t, s, "vardag", []Source{oneDataset(), Text("people.csv", "person,given_name,email,preference,opt_out,deceased,relation,dataset\n"+
			"1,Opt,opt@example.test,post,yes,,customer,a\n2,Late,late@example.test,,,yes,customer,a\n3,Bought,bought@example.test,,,,bought_list,a\n", Mapping{})})
		a, err := s.Preview(t.Context(), "vardag", everybody(), Policy{})
		if err != nil || a.People != 3 || a.Counts.Channels["email"] != 3 || a.Relations["customer"] != 2 || a.Relations["bought_list"] != 1 {
			t.Fatalf("preview %+v, %v", a, err)
		}
		if _, err := s.Seal(t.Context(), "vardag", "c", "st", everybody(), Policy{}); err != nil {
			t.Fatal(err)
		}
		contacts, err := s.Contacts(t.Context(), event.ContactsQuestion{Org: "vardag", Case: "c", Revision: 1, To: 10})
		if err != nil || len(contacts.Contacts) != 3 {
			t.Fatalf("%d contacts, %v", len(contacts.Contacts), err)
		}
		for _, c := range contacts.Contacts {
			name := c.GivenName.Reveal()
			if c.Deceased != (name == "Late") || (c.Preference == "post") != (name == "Opt") ||
				(c.Relation == "bought_list") != (name == "Bought") {
				t.Errorf("the contact of %s: deceased %v, preference %q, relation %q", name, c.Deceased, c.Preference, c.Relation)
			}
		}
	})
}

func TestPeopleKeptTooLongAreCountedAndStayOnTheList(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := openStore(t, db)
		mustImport(t, s, "vardag", []Source{
			Text("datasets.csv", "key,system,categories,retention_months\nshort,s,user.name,12\nsilent,s,user.contact.email,\n", Mapping{}),
			Text("people.csv", "person,given_name,last_active,dataset\n1,Old,2020-01-01,short\n2,Recent,2025-06-01,short\n3,Fresh,2026-10-01,short\n"+
				"4,Ancient,2019-01-01,silent\n5,Unknown,,short\n", Mapping{})})
		for _, c := range []struct {
			datasets string
			promised int // by the organisation, in months
			want     int64
		}{{"short", 0, 2}, {"short", 36, 2}, {"silent", 0, 0}, {"silent", 36, 1}, {"short silent", 36, 3}, {"short silent", 0, 2}} {
			var exposures []event.Exposure
			for _, d := range strings.Fields(c.datasets) {
				exposures = append(exposures, window(d, "2026-11-01", "2026-11-10"))
			}
			sealed, err := s.Seal(t.Context(), "vardag", "c", strings.Join([]string{c.datasets, string(rune('a' + c.promised))}, " "), exposures, Policy{RetentionMonths: c.promised})
			if err != nil || sealed.Preview.KeptTooLong != c.want {
				t.Errorf("%s with %d months promised: %d kept too long, want %d, %v", c.datasets, c.promised, sealed.Preview.KeptTooLong, c.want, err)
			}
			if c.datasets == "short" && sealed.People != 4 {
				t.Errorf("%d people on the list", sealed.People)
			}
			// What the journal says is made of the counts alone.
			counts, err := json.Marshal(sealed.Preview.Counts)
			if err != nil || strings.Contains(string(counts), "kept") {
				t.Errorf("the counts say it: %s, %v", counts, err)
			}
		}
	})
}
