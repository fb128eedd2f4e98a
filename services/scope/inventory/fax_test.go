package inventory

import (
	"testing"

	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/sqldb"
	"tocsin.dev/pkg/sqldb/sqldbtest"
)

func TestAFaxNumberIsTakenInCountedAndHandedToTheSender(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		ctx := t.Context()
		s := openStore(t, db)
		mustImport(t, s, "vardag", []Source{oneDataset(), Text("people.csv", "person,given_name,family_name,email,fax,country,dataset\n"+
			"1,Anna,Ek,anna@example.test,,SE,a\n2,Bo,Ek,bo@example.test,,SE,a\n3,Cid,Ek,,08-465 004 12,SE,a\n4,Dee,Ek,,,SE,a\n", Mapping{})})
		// A number that comes with a later delivery is laid over what is known.
		mustImport(t, s, "vardag", []Source{Text("later.csv", "person,fax\n2,+4684650040\n", Mapping{Kind: kindPeople})})
		sealed, err := s.Seal(ctx, "vardag", "c", "st", everybody(), Policy{})
		if err != nil || sealed.Preview.Counts.Channels["fax"] != 2 || sealed.Preview.Counts.Channels["email"] != 2 || sealed.Preview.Counts.Channels["none"] != 1 {
			t.Fatalf("sealed %+v, %v", sealed.Preview.Counts.Channels, err)
		}
		a, err := s.Contacts(ctx, event.ContactsQuestion{Org: "vardag", Case: "c", Revision: 1, To: 10})
		if err != nil || len(a.Contacts) != 4 {
			t.Fatalf("%d contacts, %v", len(a.Contacts), err)
		}
		want := map[string]string{"Anna": "", "Bo": "+4684650040", "Cid": "+46846500412", "Dee": ""}
		for _, c := range a.Contacts {
			if got := c.Fax.Reveal(); got != want[c.GivenName.Reveal()] {
				t.Errorf("%s has the fax number %q, want %q", c.GivenName.Reveal(), got, want[c.GivenName.Reveal()])
			}
		}
		exposures := everybody()
		exposures[0].Only = &event.Only{Channels: []string{"fax"}}
		if p, err := s.Preview(ctx, "vardag", exposures, Policy{}); err != nil || p.People != 2 {
			t.Errorf("limited to fax: %d people, %v", p.People, err)
		}
	})
}
