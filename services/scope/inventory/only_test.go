package inventory

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/sqldb"
	"tocsin.dev/pkg/sqldb/sqldbtest"
)

func TestAConditionOnPeopleLimitsPreviewAndListAlike(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := openStore(t, db)
		mustImport(t, s, "vardag", sources())
		for name, x := range map[string]struct {
			only event.Only
			want int64
		}{
			"everybody":                 {event.Only{}, 4},
			"one country":               {event.Only{Jurisdictions: []string{"SE"}}, 2},
			"nowhere known":             {event.Only{Jurisdictions: []string{"unknown"}}, 1},
			"a country nobody lives in": {event.Only{Jurisdictions: []string{"FR"}}, 0},
			"former":                    {event.Only{Relations: []string{"former"}}, 1},
			"minors":                    {event.Only{AgeClasses: []string{"minor"}}, 1},
			"by text or letter":         {event.Only{Channels: []string{"sms", "post"}}, 2},
			"both must hold":            {event.Only{Jurisdictions: []string{"SE"}, Channels: []string{"sms"}}, 1},
		} {
			exposures := []event.Exposure{window("crm.customers", "2026-01-01", "2026-11-01"), window("shop.orders", "2026-01-01", "2026-11-01")}
			for i := range exposures {
				exposures[i].Only = &x.only
			}
			a, err := s.Preview(t.Context(), "vardag", exposures, Policy{})
			if err != nil || a.People != x.want {
				t.Errorf("%s: preview %d, want %d: %v", name, a.People, x.want, err)
			}
			sealed, err := s.Seal(t.Context(), "vardag", "c", name, exposures, Policy{})
			if err != nil || sealed.People != x.want {
				t.Errorf("%s: sealed %d, want %d: %v", name, sealed.People, x.want, err)
			}
			l, err := s.list(t.Context(), "vardag", "c", sealed.Revision)
			if err != nil || int64(l.union.GetCardinality()) != x.want {
				t.Errorf("%s: the list differs from its counts: %v", name, err)
			}
		}
	})
}

func TestAConditionOnOneExposureLeavesTheOthersAsTheyAre(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := openStore(t, db)
		mustImport(t, s, "vardag", sources())
		orders := window("shop.orders", "2026-01-01", "2026-11-01")
		orders.Ring, orders.Only = "proven", &event.Only{Jurisdictions: []string{"GB"}}
		a, err := s.Preview(t.Context(), "vardag", []event.Exposure{window("crm.customers", "2026-01-01", "2026-11-01"), orders}, Policy{})
		if err != nil {
			t.Fatal(err)
		}
		// Anna and Bo through the customer records, Cid through the orders; Anna's
		// own order is left out, and with it her card and the proven access.
		if diff := cmp.Diff(map[string]int64{"in_system": 2, "proven": 1}, a.Counts.Rings); diff != "" || a.People != 3 {
			t.Errorf("%d people, rings (-want +got):\n%s", a.People, diff)
		}
	})
}

func TestAnUnknownWordInAConditionIsRefused(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := openStore(t, db)
		mustImport(t, s, "vardag", sources())
		for _, only := range []event.Only{{Relations: []string{"friend"}}, {AgeClasses: []string{"old"}}, {Channels: []string{"pigeon"}}} {
			e := window("crm.customers", "2026-01-01", "2026-11-01")
			e.Only = &only
			if _, err := s.Preview(t.Context(), "vardag", []event.Exposure{e}, Policy{}); !errors.Is(err, ErrExposure) {
				t.Errorf("%+v: %v", only, err)
			}
		}
	})
}

func TestEachControllerHasAListOfItsOwn(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := openStore(t, db)
		mustImport(t, s, "vardag", []Source{
			Text("datasets.csv", "key,system,categories,role,controller\nown,a,user.name,controller,\n"+
				"alfa,b,user.contact.email,processor,alfa\nbeta,b,user.financial.credit_card,processor,beta\n", Mapping{}),
			Text("people.csv", peopleCSV, Mapping{}),
			Text("holdings.csv", "person,dataset\nC1,own\nC1,alfa\nC2,alfa\nC2,beta\nC3,beta\nC4,own\n", Mapping{}),
		})
		exposures := []event.Exposure{window("own", "2026-01-01", "2026-02-01"), window("alfa", "2026-01-01", "2026-02-01"), window("beta", "2026-01-01", "2026-02-01")}
		sealed, err := s.Seal(t.Context(), "vardag", "c", "st", exposures, Policy{})
		if err != nil {
			t.Fatal(err)
		}
		digests := map[string]bool{sealed.Digest: true}
		for name, want := range map[string]struct {
			people  int64
			exposed string
		}{"": {2, "user.name"}, "alfa": {2, "user.contact.email"}, "beta": {2, "user.financial.credit_card"}} {
			counts := sealed.Preview.Controllers[name]
			if counts.People != want.people || digests[counts.Digest] || !strings.HasPrefix(counts.Digest, "sha256:") {
				t.Errorf("controller %q: %+v", name, counts)
			}
			digests[counts.Digest] = true
			a, err := s.Contacts(t.Context(), event.ContactsQuestion{Org: "vardag", Case: "c", Revision: 1, To: 10, Controller: &name})
			if err != nil || int64(len(a.Contacts)) != want.people {
				t.Fatalf("controller %q: %d contacts: %v", name, len(a.Contacts), err)
			}
			for _, c := range a.Contacts {
				if got := strings.Join(c.Exposed.Keys(), " "); got != want.exposed {
					t.Errorf("controller %q is shown %q of person %d, want %q", name, got, c.Number, want.exposed)
				}
			}
			var out strings.Builder
			if _, err := s.Export(t.Context(), "vardag", "c", 1, &name, "dora", &out); err != nil || strings.Count(out.String(), "\n") < int(want.people)+1 {
				t.Errorf("export for %q: %v\n%s", name, err, out.String())
			}
			if name == "alfa" && strings.Contains(out.String(), "Cid") {
				t.Error("the export for alfa names somebody of beta")
			}
		}
		gamma := "gamma"
		if _, err := s.Contacts(t.Context(), event.ContactsQuestion{Org: "vardag", Case: "c", Revision: 1, To: 10, Controller: &gamma}); !errors.Is(err, ErrNotSealed) {
			t.Errorf("an unknown controller: %v", err)
		}
	})
}
