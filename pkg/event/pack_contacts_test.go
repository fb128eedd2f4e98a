package event

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tocsin.dev/pkg/person"
)

func contacts(n int) []person.Contact {
	all := make([]person.Contact, n)
	for i := range all {
		all[i] = person.Contact{
			Number: person.Number(i + 1), GivenName: "Åsa", FamilyName: "Lindström-Öberg",
			Email: person.Email(fmt.Sprintf("asa.%d@vardag.example.test", i)), Phone: "+46701740605",
			Address: []person.Text{"Påhittade gatan 12", "111 22 Ingenstad", "Sweden"}, Language: "sv", Jurisdiction: "SE",
			AgeClass: person.AgeAdult, Relation: "customer", Preference: "email", Exposed: 0x8000000f, Guardian: 3, Deceased: i%2 == 0,
		}
	}
	return all
}

func TestPackedContactsArriveUnchanged(t *testing.T) {
	for _, last := range []person.Contact{{Number: 9}, {Number: 9, Fax: "+441632960009"}, {Number: 9, Source: "List Broker Ltd, 2024"}} {
		want := ContactsAnswer{Contacts: append(contacts(3), last), Erased: []person.Number{4}, Next: 7}
		data, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got ContactsAnswer
		if err := json.Unmarshal(data, &got); err != nil {
			t.Fatal(err)
		}
		// The types print redacted, so compare their revealed JSON.
		if diff := cmp.Diff(revealed(t, want.Contacts), revealed(t, got.Contacts)); diff != "" || got.Next != 7 || len(got.Erased) != 1 {
			t.Errorf("contacts changed on the way: %s", diff)
		}
	}
}

func TestDamagedContactsAreRefusedWithoutShowingThem(t *testing.T) {
	data, err := json.Marshal(ContactsAnswer{Contacts: contacts(2)})
	if err != nil {
		t.Fatal(err)
	}
	whole := string(data)
	for _, damaged := range []string{
		strings.Replace(whole, `"n":2`, `"n":3`, 1), strings.Replace(whole, `"n":2`, `"n":1`, 1),
		strings.Replace(whole, `"v":1`, `"v":2`, 1), strings.Replace(whole, `"v":1`, `"v":3`, 1), strings.Replace(whole, `"n":2`, `"n":99999999`, 1),
		strings.Replace(whole, `"packed":"`, `"packed":"////////////`, 1),
	} {
		var got ContactsAnswer
		err := json.Unmarshal([]byte(damaged), &got)
		if err == nil {
			t.Errorf("accepted %.60s…", damaged)
			continue
		}
		if strings.Contains(err.Error(), "example.test") {
			t.Errorf("the error shows content: %v", err)
		}
	}
}

func revealed(t *testing.T, c []person.Contact) string {
	t.Helper()
	data, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func BenchmarkContactsThereAndBack(b *testing.B) {
	a := ContactsAnswer{Contacts: contacts(MaxContacts)}
	for b.Loop() {
		data, err := json.Marshal(a)
		if err != nil {
			b.Fatal(err)
		}
		var got ContactsAnswer
		if err := json.Unmarshal(data, &got); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*MaxContacts)/b.Elapsed().Seconds(), "contacts/s")
}
