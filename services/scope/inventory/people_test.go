package inventory

import (
	"errors"
	"maps"
	"testing"

	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/person"
	"tocsin.dev/pkg/sqldb"
	"tocsin.dev/pkg/sqldb/sqldbtest"
)

func oneDataset() Source {
	return Text("datasets.csv", "key,system,categories\na,s,user.name user.contact.email\n", Mapping{})
}

func TestAGuardiansContactIsGivenOnlyForAWardOnTheList(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		ctx := t.Context()
		s := openStore(t, db)
		mustImport(t, s, "vardag", []Source{oneDataset(), Text("people.csv",
			"person,given_name,email,born,guardian,dataset\nK,Kid,,2015-01-01,M,a\nM,Mother,mother@example.test,1980-01-01,,\nX,Stranger,x@example.test,1980-01-01,,\n", Mapping{})})
		if _, err := s.Seal(ctx, "vardag", "c", "st", everybody(), Policy{}); err != nil {
			t.Fatal(err)
		}
		ask := func(numbers []person.Number, guardians bool) (event.ContactsAnswer, error) {
			return s.Contacts(ctx, event.ContactsQuestion{Org: "vardag", Case: "c", Revision: 1, Numbers: numbers, Guardians: guardians, To: 10})
		}
		kid, err := ask(nil, false)
		if err != nil || len(kid.Contacts) != 1 || kid.Contacts[0].Guardian == 0 || kid.Contacts[0].AgeClass != person.AgeMinor {
			t.Fatalf("%d contacts, %v", len(kid.Contacts), err)
		}
		mother := kid.Contacts[0].Guardian
		if _, err := ask([]person.Number{mother}, false); !errors.Is(err, ErrNotOnList) {
			t.Errorf("the guardian was given without being asked for as one: %v", err)
		}
		if a, err := ask([]person.Number{mother}, true); err != nil || a.Contacts[0].GivenName.Reveal() != "Mother" {
			t.Errorf("guardian: %v", err)
		}
		for n := person.Number(1); n <= 3; n++ {
			if n != mother && n != kid.Contacts[0].Number {
				if _, err := ask([]person.Number{n}, true); !errors.Is(err, ErrNotOnList) {
					t.Errorf("a stranger was given as a guardian: %v", err)
				}
			}
		}
	})
}

func TestAJoiningCanBeUndoneAndStaysUndone(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		ctx := t.Context()
		s := openStore(t, db)
		people := func(name string) []Source {
			return []Source{oneDataset(), Text(name, "person,given_name,family_name,email,phone,dataset\n1,Anna,Ek,anna@example.test,,a\n2,Anna,Ek,anna@example.test,+46701740605,a\n", Mapping{})}
		}
		if r := mustImport(t, s, "vardag", people("people.csv")); r.Joined != 1 {
			t.Fatalf("report %+v", r)
		}
		find := func() []event.PersonFound {
			a, err := s.FindPerson(ctx, event.PersonQuestion{Org: "vardag", Asker: event.Person("d", "dpo"), Find: "Anna Ek"})
			if err != nil {
				t.Fatal(err)
			}
			return a.People
		}
		joined := find()
		if len(joined) != 1 || len(joined[0].Joined) != 1 || joined[0].Joined[0].Reason != "email and name" {
			t.Fatalf("found %+v", joined)
		}
		if err := s.TellApart(ctx, "vardag", joined[0].Joined[0].Number, "dora", "mother and daughter"); err != nil {
			t.Fatal(err)
		}
		if r := mustImport(t, s, "vardag", people("again.csv")); r.Joined != 0 || r.Changed != 0 {
			t.Errorf("after the next import: %+v", r)
		}
		if a, err := s.Preview(ctx, "vardag", everybody(), Policy{}); err != nil || a.People != 2 || a.Counts.Channels["sms"] != 1 {
			t.Errorf("preview %+v, %v", a, err)
		}
		if _, err := s.Seal(ctx, "vardag", "c", "st", everybody(), Policy{}); err != nil {
			t.Fatal(err)
		}
		a, err := s.Contacts(ctx, event.ContactsQuestion{Org: "vardag", Case: "c", Revision: 1, To: 10})
		phones := 0
		for _, c := range a.Contacts {
			if c.Phone != "" {
				phones++
			}
		}
		if err != nil || len(a.Contacts) != 2 || phones != 1 {
			t.Errorf("%d contacts, %d with the phone, %v", len(a.Contacts), phones, err)
		}
	})
}

func TestAPersonJoinedByALaterDeliveryHasOneCompleteContact(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		ctx := t.Context()
		s := openStore(t, db)
		mustImport(t, s, "vardag", []Source{oneDataset(), Text("one.csv", "person,given_name,family_name,email,dataset\n1,Anna,Ek,anna@example.test,a\n", Mapping{})})
		// Known by phone alone, then found to be the same through the mailbox.
		mustImport(t, s, "vardag", []Source{Text("two.csv", "person,given_name,family_name,phone,country\n2,Anna,Ek,+46701740605,SE\n", Mapping{})})
		r := mustImport(t, s, "vardag", []Source{Text("three.csv", "person,given_name,family_name,email\n2,Anna,Ek,anna@example.test\n", Mapping{})})
		if r.Joined != 1 {
			t.Fatalf("report %+v", r)
		}
		sealed, err := s.Seal(ctx, "vardag", "c", "st", everybody(), Policy{})
		if err != nil || sealed.People != 1 || sealed.Preview.Counts.Channels["sms"] != 1 || sealed.Preview.Counts.Jurisdictions["SE"] != 1 {
			t.Fatalf("sealed %+v, %v", sealed, err)
		}
		a, err := s.Contacts(ctx, event.ContactsQuestion{Org: "vardag", Case: "c", Revision: 1, To: 10})
		if err != nil || len(a.Contacts) != 1 || a.Contacts[0].Phone.Reveal() != "+46701740605" || a.Contacts[0].Jurisdiction != "SE" {
			t.Errorf("contact %d, %v", len(a.Contacts), err)
		}
	})
}

func TestPeopleCountWhereTheyLivedAtTheTimeOfTheBreach(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := openStore(t, db)
		mustImport(t, s, "vardag", []Source{oneDataset(), Text("people.csv", "person,given_name,country,moved_on,previous_country,dataset\n"+
			"1,Anna,SE,2026-06-01,GB,a\n2,Bo,SE,2026-06-01,,a\n3,Cid,NO,,,a\n", Mapping{})})
		for _, c := range []struct {
			from, to string
			want     map[string]int64
		}{
			{"2026-01-01", "2026-02-01", map[string]int64{"GB": 1, "unknown": 1, "NO": 1}},
			{"2026-07-01", "2026-08-01", map[string]int64{"SE": 2, "NO": 1}},
		} {
			a, err := s.Preview(t.Context(), "vardag", []event.Exposure{window("a", c.from, c.to)}, Policy{})
			if err != nil || !maps.Equal(a.Counts.Jurisdictions, c.want) {
				t.Errorf("in the window from %s: %v, %v", c.from, a.Counts.Jurisdictions, err)
			}
		}
	})
}

func TestACorrectionFindsPeopleWhoAreOnTheListNoMore(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		ctx := t.Context()
		s := openStore(t, db)
		mustImport(t, s, "vardag", []Source{oneDataset(), Text("one.csv",
			"person,given_name,family_name,email,country,dataset\n1,Anna,Ek,anna@example.test,SE,a\n2,Bo,Alm,bo@example.test,NO,a\n", Mapping{})})
		mustImport(t, s, "vardag", []Source{Text("two.csv", "person,given_name,family_name,phone,country,dataset\n3,Anna,Ek,+46701740605,SE,a\n", Mapping{})})
		all, swedes := everybody(), everybody()
		swedes[0].Only = &event.Only{Jurisdictions: []string{"SE"}}
		if sealed, err := s.Seal(ctx, "vardag", "c", "one", all, Policy{}); err != nil || sealed.People != 3 {
			t.Fatalf("sealed %d, %v", sealed.People, err)
		}
		// The third number turns out to be Anna, and Norwegians were never affected.
		mustImport(t, s, "vardag", []Source{Text("three.csv", "person,given_name,family_name,email\n3,Anna,Ek,anna@example.test\n", Mapping{})})
		if sealed, err := s.Seal(ctx, "vardag", "c", "two", swedes, Policy{}); err != nil || sealed.People != 1 {
			t.Fatalf("sealed %d, %v", sealed.People, err)
		}
		first, err := s.Contacts(ctx, event.ContactsQuestion{Org: "vardag", Case: "c", Revision: 1, To: 10})
		if err != nil {
			t.Fatal(err)
		}
		q := event.ContactsQuestion{Org: "vardag", Case: "c", Revision: 2}
		for _, c := range first.Contacts {
			q.Numbers = append(q.Numbers, c.Number)
		}
		if _, err := s.Contacts(ctx, q); !errors.Is(err, ErrNotOnList) {
			t.Errorf("people of an earlier list were answered without being asked for as such: %v", err)
		}
		q.Earlier = true
		a, err := s.Contacts(ctx, q)
		if err != nil || len(a.Contacts) != 3 {
			t.Fatalf("%d contacts, %v", len(a.Contacts), err)
		}
		for i, c := range a.Contacts {
			if bo := c.GivenName.Reveal() == "Bo"; bo != (c.Exposed == 0) {
				t.Errorf("contact %d of 3 shows %v as exposed; only Bo is off the list, the others are Anna", i, c.Exposed)
			}
		}
		q.Numbers = []person.Number{4711}
		if _, err := s.Contacts(ctx, q); !errors.Is(err, ErrNotOnList) {
			t.Errorf("somebody who never was on a list: %v", err)
		}
	})
}
