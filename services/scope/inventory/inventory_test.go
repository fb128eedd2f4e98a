package inventory

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/person"
	"tocsin.dev/pkg/sqldb"
	"tocsin.dev/pkg/sqldb/sqldbtest"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// openStore opens a store on db with keys drawn from a fixed seed, so that two
// stores number people alike.
func openStore(t *testing.T, db *sqldb.DB) *Store {
	t.Helper()
	root, err := OpenFileRoot(filepath.Join(t.TempDir(), "root.keys"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), Config{DB: db, Root: root, Rand: rand.NewChaCha8([32]byte{7}), ShelveFrom: 1, TempDir: t.TempDir(), Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sqlite(t *testing.T) *sqldb.DB {
	t.Helper()
	db, err := sqldb.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "scope.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

const (
	systemsCSV  = "key,name\ncrm,Customer records\nshop,Web shop\n"
	datasetsCSV = "key,system,name,categories,retention_months\n" +
		"crm.customers,crm,Customers,user.name user.contact.email,\n" +
		"shop.orders,shop,Orders,user.name user.financial.credit_card,36\n"
	peopleCSV = "person,given_name,family_name,email,phone,address1,postcode,city,country,language,born,relation,last_active\n" +
		"C1,Anna,Ek,anna@example.test,+46701740605,Gatan 1,111 22,Ort,SE,sv,1980-02-03,customer,2026-05-01\n" +
		"C2,Bo,Ek,bo@example.test,,,,,SE,sv,,former,2020-01-01\n" +
		"C3,Cid,Oak,,+447700900123,1 High St,AB1 2CD,Town,GB,en-GB,2015-06-01,customer,\n" +
		"C4,Dee,Oak,,,,,,,,,device_only,\n"
	holdingsCSV = "person,dataset,categories,first_seen,last_seen\n" +
		"C1,crm.customers,,2024-01-01,\n" +
		"C1,shop.orders,,2025-01-01,\n" +
		"C2,crm.customers,user.name,2024-01-01,2026-03-01\n" +
		"C3,shop.orders,,2026-10-02,\n" +
		"C4,shop.orders,user.device,2026-01-01,\n"
)

func sources() []Source {
	return []Source{
		Text("systems.csv", systemsCSV, Mapping{}), Text("datasets.csv", datasetsCSV, Mapping{}),
		Text("people.csv", peopleCSV, Mapping{}), Text("holdings.csv", holdingsCSV, Mapping{}),
	}
}

func mustImport(t *testing.T, s *Store, org string, sources []Source) Report {
	t.Helper()
	r, err := s.Import(t.Context(), org, sources, Options{})
	if err != nil {
		t.Fatalf("import: %v; %v", err, r.Errors)
	}
	return r
}

func window(dataset, from, to string) event.Exposure {
	f, _ := time.Parse(time.DateOnly, from)
	u, _ := time.Parse(time.DateOnly, to)
	return event.Exposure{Dataset: dataset, From: f, To: u}
}

func autumn() []event.Exposure {
	return []event.Exposure{window("crm.customers", "2026-09-01", "2026-10-01"), window("shop.orders", "2026-09-01", "2026-10-01")}
}

func TestAScopeCountsEveryPersonOnceWithWhatWasExposed(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := openStore(t, db)
		r := mustImport(t, s, "vardag", sources())
		if r.New != 4 || r.Holdings != 5 || r.Bad != 0 {
			t.Fatalf("report %+v", r)
		}
		got, err := s.Preview(t.Context(), "vardag", autumn(), Policy{RetentionMonths: 36})
		if err != nil {
			t.Fatal(err)
		}
		// Anna in both datasets; Bo's record was deleted in March; Cid came in October; Dee has a device.
		want := event.Counts{
			Jurisdictions: map[string]int64{"SE": 1, "unknown": 1}, Languages: map[string]int64{"sv": 1, "unknown": 1},
			Channels: map[string]int64{"email": 1, "sms": 1, "post": 1, "none": 1}, AgeClasses: map[string]int64{"adult": 1, "unknown": 1},
			Categories: map[string]int64{"name": 1, "email": 1, "payment_card": 1, "online_identifier": 1}, Rings: map[string]int64{"in_system": 2},
		}
		if diff := cmp.Diff(want, got.Counts); diff != "" || got.People != 2 {
			t.Errorf("people %d, counts (-want +got):\n%s", got.People, diff)
		}
	})
}

func TestASealedListGivesItsContactsAndNobodyElses(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		ctx := t.Context()
		s := openStore(t, db)
		mustImport(t, s, "vardag", sources())
		sealed, err := s.Seal(ctx, "vardag", "2026-001", "st-1", autumn(), Policy{})
		if err != nil {
			t.Fatal(err)
		}
		if sealed.Revision != 1 || sealed.People != 2 {
			t.Fatalf("sealed %+v", sealed)
		}
		again, err := s.Seal(ctx, "vardag", "2026-001", "st-1", autumn(), Policy{})
		if err != nil || again.Digest != sealed.Digest || again.Revision != 1 {
			t.Errorf("sealing the same statement again gave %+v, %v", again, err)
		}
		a, err := s.Contacts(ctx, event.ContactsQuestion{Org: "vardag", Case: "2026-001", Revision: 1, To: 1000})
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]person.Contact{}
		for _, c := range a.Contacts {
			found[c.GivenName.Reveal()] = c
		}
		anna := found["Anna"]
		if len(found) != 2 || a.Next != 2 || anna.Email.Reveal() != "anna@example.test" || anna.Phone.Reveal() != "+46701740605" ||
			anna.Language != "sv" || anna.Jurisdiction != "SE" || anna.Exposed.String() != "name,email,payment_card" || len(anna.Address) != 3 {
			t.Errorf("contacts are wrong: %d people, next %d, exposed %s", len(found), a.Next, anna.Exposed)
		}
		var outside person.Number
		for n := person.Number(1); n <= 4; n++ {
			if n != a.Contacts[0].Number && n != a.Contacts[1].Number {
				outside = n
			}
		}
		if _, err := s.Contacts(ctx, event.ContactsQuestion{Org: "vardag", Case: "2026-001", Revision: 1, Numbers: []person.Number{outside}}); err == nil {
			t.Error("gave the contact of a person who is not on the list")
		}
		if _, err := s.Contacts(ctx, event.ContactsQuestion{Org: "vardag", Case: "2026-002", Revision: 1, To: 10}); err == nil {
			t.Error("gave contacts for a case without a sealed list")
		}
	})
}

func TestImportingTwiceChangesNothing(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := openStore(t, db)
		first := mustImport(t, s, "vardag", sources())
		second := mustImport(t, s, "vardag", sources())
		if !second.Unchanged {
			t.Error("the same files were taken in again")
		}
		// The same people from another file name: a new delivery, and nothing new in it.
		renamed := sources()
		renamed[2].Name = "people-again.csv"
		third := mustImport(t, s, "vardag", renamed)
		if third.New != 0 || third.Changed != 0 || third.Known != first.New {
			t.Errorf("third import: %+v", third)
		}
		answer, err := s.Inventory(t.Context(), "vardag")
		if err != nil || answer.People != 4 || answer.Systems[1].Datasets[0].Records != 3 {
			t.Errorf("inventory %+v, %v", answer, err)
		}
	})
}

func TestRowFaultsNameFileLineAndColumnAndKeepTheStoreAsItWas(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := openStore(t, db)
		bad := "person,given_name,email,phone,born\nC1,Anna,anna@example,+46701740605,1980-02-03\nC2,Bo,bo@example.test,12,03/04/1980\nC3,Cid\n"
		r, err := s.Import(t.Context(), "vardag", []Source{Text("people.csv", bad, Mapping{})}, Options{})
		if err == nil {
			t.Fatal("took in rows with faults")
		}
		var lines []string
		for _, e := range r.Errors {
			lines = append(lines, e.Error())
		}
		all := strings.Join(lines, "\n")
		for _, want := range []string{"people.csv line 2, column email", "people.csv line 3, column phone", "people.csv line 3, column born", "people.csv line 4: the row has 2 columns"} {
			if !strings.Contains(all, want) {
				t.Errorf("no %q in:\n%s", want, all)
			}
		}
		if strings.Contains(all, "Anna") || strings.Contains(all, "example") {
			t.Errorf("errors show values:\n%s", all)
		}
		if a, err := s.Inventory(t.Context(), "vardag"); err != nil || a.People != 0 {
			t.Errorf("inventory after a refused import: %+v, %v", a, err)
		}
		r, err = s.Import(t.Context(), "vardag", []Source{Text("people.csv", bad, Mapping{})}, Options{SkipBad: true})
		if err != nil || r.New != 2 {
			t.Errorf("with SkipBad: %+v, %v", r, err)
		}
	})
}

func TestPeopleOfOneMailboxJoinOnlyByName(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := openStore(t, db)
		people := "person,space,given_name,family_name,email,born,phone\n" +
			"1,crm,Anna,Ek,family@example.test,1980-02-03,\n" +
			"9,shop,ANNA,Ek,Family@Example.test,,+46701740606\n" + // the same Anna in another system
			"2,crm,Bo,Ek,family@example.test,1979-01-01,\n" + // her husband
			"3,crm,Carl,Ek,family@example.test,2012-05-05,\n" + // twins
			"4,crm,Disa,Ek,family@example.test,2012-05-05,\n" +
			"5,crm,Bo,Ek,family@example.test,2001-01-01,\n" + // the son, named like his father
			"6,crm,Eva,Ek,,,+46701740606\n" // the same phone joins nobody
		r := mustImport(t, s, "vardag", []Source{
			Text("datasets.csv", "key,system,categories\na,s,user.name\n", Mapping{}), Text("people.csv", people, Mapping{Defaults: map[string]string{"dataset": "a"}})})
		if r.New != 7 || r.Joined != 1 {
			t.Fatalf("report %+v", r)
		}
		a, err := s.Preview(t.Context(), "vardag", []event.Exposure{window("a", "2026-01-01", "2026-02-01")}, Policy{})
		if err != nil || a.People != 6 || a.Counts.Channels["sms"] != 2 {
			t.Errorf("preview %+v, %v", a, err)
		}
		if _, err := s.Seal(t.Context(), "vardag", "c", "st", []event.Exposure{window("a", "2026-01-01", "2026-02-01")}, Policy{}); err != nil {
			t.Fatal(err)
		}
		contacts, err := s.Contacts(t.Context(), event.ContactsQuestion{Org: "vardag", Case: "c", Revision: 1, To: 100})
		if err != nil {
			t.Fatal(err)
		}
		annas := 0
		for _, c := range contacts.Contacts {
			if strings.EqualFold(c.GivenName.Reveal(), "anna") {
				annas++
				if c.Phone.Reveal() != "+46701740606" {
					t.Error("the joined person lacks the phone of her second record")
				}
			}
		}
		if annas != 1 {
			t.Errorf("%d Annas on the list", annas)
		}
	})
}

func TestARowWithoutCategoriesHoldsWhatTheDatasetIsSaidToHoldInAnyOrder(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(holdingsCSV), "\n")
	slices.Reverse(lines[1:]) // Dee's device now comes before the others' orders
	var digests []string
	for _, holdings := range []string{holdingsCSV, strings.Join(lines, "\n") + "\n"} {
		s := openStore(t, sqlite(t))
		all := sources()
		all[3] = Text("holdings.csv", holdings, Mapping{})
		mustImport(t, s, "vardag", all)
		// And in a delivery of its own, which does not say what the dataset holds.
		mustImport(t, s, "vardag", []Source{Text("holdings.csv", "person,dataset\nC2,shop.orders\n", Mapping{})})
		a, err := s.Preview(t.Context(), "vardag", autumn(), Policy{})
		if err != nil || a.Counts.Categories["online_identifier"] != 1 || a.Counts.Categories["payment_card"] != 2 {
			t.Errorf("categories %v, %v", a.Counts.Categories, err)
		}
		sealed, err := s.Seal(t.Context(), "vardag", "c", "st", autumn(), Policy{})
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, sealed.Digest)
		catalogue, err := s.Inventory(t.Context(), "vardag")
		if err != nil || strings.Join(catalogue.Systems[1].Datasets[0].Categories, " ") != "user.name user.financial.credit_card user.device" {
			t.Errorf("the catalogue says %v, %v", catalogue.Systems, err)
		}
	}
	if digests[0] != digests[1] {
		t.Error("the order of rows changed what is exposed")
	}
}

func TestOrderOfRowsAndFilesDoesNotChangeTheDigest(t *testing.T) {
	var digests []string
	for seed := range 3 {
		s := openStore(t, sqlite(t))
		random := rand.New(rand.NewPCG(uint64(seed), 1))
		mustImport(t, s, "vardag", []Source{
			Text("systems.csv", systemsCSV, Mapping{}), Text("datasets.csv", shuffled(random, datasetsCSV), Mapping{}),
			Text("people.csv", shuffled(random, manyPeople(3000)), Mapping{}), Text("holdings.csv", shuffled(random, manyHoldings(3000)), Mapping{}),
		})
		sealed, err := s.Seal(context.Background(), "vardag", "c", "st", autumn(), Policy{})
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, fmt.Sprint(sealed.Digest, sealed.People))
	}
	if digests[0] != digests[1] || digests[1] != digests[2] {
		t.Errorf("digests differ: %v", digests)
	}
}

func shuffled(random *rand.Rand, csv string) string {
	lines := strings.Split(strings.TrimSpace(csv), "\n")
	rest := lines[1:]
	random.Shuffle(len(rest), func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
	return strings.Join(lines, "\n") + "\n"
}

func manyPeople(n int) string {
	var b strings.Builder
	b.WriteString("person,given_name,family_name,email,country\n")
	for i := range n {
		fmt.Fprintf(&b, "P%d,Given%d,Family,p%d@example.test,SE\n", i, i, i)
	}
	return b.String()
}

func manyHoldings(n int) string {
	var b strings.Builder
	b.WriteString("person,dataset,categories,first_seen,last_seen\n")
	for i := range n {
		fmt.Fprintf(&b, "P%d,crm.customers,,20%02d-01-01,\n", i, 10+i%20)
		if i%3 == 0 {
			fmt.Fprintf(&b, "P%d,shop.orders,,2020-01-01,20%02d-01-01\n", i, 21+i%8)
		}
	}
	return b.String()
}
