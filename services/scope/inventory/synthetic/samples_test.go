package synthetic

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/person"
	"tocsin.dev/services/scope/inventory"
)

// What the sample organisations hold is counted plainly from their rows and
// held against what the inventory says after an import of their files.

const samplePeople, sampleSeed = 3000, 11

// plainly are the people of a sample, each once, under a key of the test's own.
type plainly map[string]*Row

// count reads the rows of a set. Rows of one mailbox and one name, born on one
// day, are one person; their records are joined.
func count(t *testing.T, set *Set) plainly {
	t.Helper()
	all := plainly{}
	err := set.Each(func(i int, row *Row) error {
		key := fmt.Sprint("row ", i)
		if row.Email != "" && row.Given != "" {
			key = strings.ToLower(row.Email) + "|" + row.Given + "|" + row.Family + "|" + fmt.Sprint(row.Born)
		}
		if known := all[key]; known != nil {
			known.Holdings = append(known.Holdings, row.Holdings...)
			return nil
		}
		row.finishAddress()
		kept := *row
		kept.Holdings, kept.Address = slices.Clone(row.Holdings), slices.Clone(row.Address)
		all[key] = &kept
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// of counts the people for whom yes holds.
func (p plainly) of(yes func(*Row) bool) (n int64) {
	for _, row := range p {
		if yes(row) {
			n++
		}
	}
	return n
}

// by counts people by words, of which one may have several.
func (p plainly) by(words func(*Row) []string) map[string]int64 {
	counts := map[string]int64{}
	for _, row := range p {
		for _, w := range words(row) {
			counts[w]++
		}
	}
	return counts
}

// hasRecord reports whether the person has a record in one of the datasets.
func hasRecord(row *Row, datasets ...string) bool {
	return slices.ContainsFunc(row.Holdings, func(h inventory.Holding) bool { return slices.Contains(datasets, h.Dataset) })
}

// sample imports the files of an organisation and seals the list of everybody.
func sample(t *testing.T, org string) (*inventory.Store, plainly, inventory.Sealed) {
	t.Helper()
	if testing.Short() {
		t.Skip("large: run without -short")
	}
	set := New(org, samplePeople, sampleSeed)
	s := store(t)
	if r, err := s.Import(t.Context(), org, files(t, set), inventory.Options{}); err != nil || r.Bad > 0 {
		t.Fatalf("import: %v, %v", err, r.Errors)
	}
	var everything []event.Exposure
	for _, d := range set.Datasets() {
		everything = append(everything, event.Exposure{Dataset: d.Key, From: epoch.AddDate(0, 0, -1), To: epoch})
	}
	// Records deleted before the last day are not reached; nor are they counted.
	all := count(t, set)
	maps.DeleteFunc(all, func(_ string, row *Row) bool {
		row.Holdings = slices.DeleteFunc(row.Holdings, func(h inventory.Holding) bool { return h.Last != 0 && int64(h.Last) < epoch.AddDate(0, 0, -1).Unix() })
		return len(row.Holdings) == 0
	})
	sealed, err := s.Seal(t.Context(), org, "c", "st", everything, inventory.Policy{RetentionMonths: promised[org]})
	if err != nil {
		t.Fatal(err)
	}
	if sealed.People != int64(len(all)) {
		t.Fatalf("%d people are on the list, the rows are about %d", sealed.People, len(all))
	}
	return s, all, sealed
}

// promised is the retention of the organisations' own policies, in months.
var promised = map[string]int{"tidewater": 36}

// contacts returns everybody on the list.
func contacts(t *testing.T, s *inventory.Store, org string, controller *string) (all []person.Contact) {
	t.Helper()
	for from := int64(0); ; {
		a, err := s.Contacts(t.Context(), event.ContactsQuestion{Org: org, Case: "c", Revision: 1, From: from, To: from + event.MaxContacts, Controller: controller})
		if err != nil {
			t.Fatal(err)
		}
		if len(a.Contacts) == 0 {
			return all
		}
		all, from = append(all, a.Contacts...), a.Next
	}
}

func reach(row *Row) (by []string) {
	if row.Email != "" {
		by = append(by, "email")
	}
	if row.Phone != "" {
		by = append(by, "sms")
	}
	if len(row.Address) > 0 {
		by = append(by, "post")
	}
	if row.Fax != "" {
		by = append(by, "fax")
	}
	if by == nil {
		by = []string{"none"}
	}
	return by
}

func residence(row *Row) []string {
	if row.Jurisdiction == "" {
		return []string{"unknown"}
	}
	return []string{row.Jurisdiction}
}

func TestEverySampleIsCountedAsItsRowsAre(t *testing.T) {
	for _, org := range Organisations() {
		t.Run(org, func(t *testing.T) {
			s, all, sealed := sample(t, org)
			for name, c := range map[string]struct{ want, got map[string]int64 }{
				"channels":   {all.by(reach), sealed.Preview.Counts.Channels},
				"residences": {all.by(residence), sealed.Preview.Counts.Jurisdictions},
				"relations":  {all.by(func(r *Row) []string { return []string{r.Relation} }), sealed.Preview.Relations},
			} {
				if diff := cmp.Diff(c.want, c.got); diff != "" {
					t.Errorf("%s (-rows +list):\n%s", name, diff)
				}
			}
			// Whoever asked for no marketing is on the list all the same.
			if all.of(func(r *Row) bool { return r.OptOut }) == 0 || len(contacts(t, s, org, nil)) != len(all) {
				t.Error("somebody on the list has no contact record, or nobody opted out")
			}
		})
	}
}

func TestTidewaterKnowsWhomItKeptTooLongAndTellsThemApartInOneMailbox(t *testing.T) {
	s, all, sealed := sample(t, "tidewater")
	limit := epoch.AddDate(0, 0, -1).AddDate(0, -36, 0)
	tooLong := all.of(func(r *Row) bool {
		return r.LastActive != 0 && time.Unix(int64(r.LastActive)*86400, 0).Before(limit)
	})
	if tooLong < 100 || sealed.Preview.KeptTooLong != tooLong {
		t.Errorf("%d were kept too long, by the rows %d", sealed.Preview.KeptTooLong, tooLong)
	}
	mailboxes := map[string][]person.Contact{}
	for _, c := range contacts(t, s, "tidewater", nil) {
		if c.Email != "" {
			box := strings.ToLower(c.Email.Reveal())
			mailboxes[box] = append(mailboxes[box], c)
		}
	}
	apart := all.by(func(r *Row) []string { return []string{strings.ToLower(r.Email) + r.Given + r.Family} })
	shared, differ := 0, 0
	for box, people := range mailboxes {
		if len(people) < 2 {
			continue
		}
		shared++
		// Father and son of one name: their birth dates tell them apart.
		namesakes := people[0].GivenName == people[1].GivenName && people[0].FamilyName == people[1].FamilyName
		if namesakes && apart[box+people[0].GivenName.Reveal()+people[0].FamilyName.Reveal()] < 2 {
			t.Errorf("persons %d and %d have one mailbox and one name", people[0].Number, people[1].Number)
		}
		if people[0].Exposed != people[1].Exposed {
			differ++
		}
	}
	if shared < 20 || differ == 0 {
		t.Errorf("%d mailboxes are shared, in %d of them something else was exposed of each", shared, differ)
	}
}

func TestTidewatersErasedPersonStaysAwayAfterTheSameFilesAgain(t *testing.T) {
	s, _, _ := sample(t, "tidewater")
	gone := contacts(t, s, "tidewater", nil)[5]
	if n, err := s.Erase(t.Context(), "tidewater", []person.Number{gone.Number}, "dora", "asked for it"); err != nil || n != 1 {
		t.Fatalf("erased %d, %v", n, err)
	}
	r, err := s.Import(t.Context(), "tidewater", []inventory.Source{New("tidewater", samplePeople, sampleSeed).Source()}, inventory.Options{})
	if err != nil || r.New != 0 || r.Erased == 0 {
		t.Errorf("the same people again: %d new, %d held back, %v", r.New, r.Erased, err)
	}
	a, err := s.FindPerson(t.Context(), event.PersonQuestion{Org: "tidewater", Asker: event.Person("dora", "dpo"), Number: gone.Number})
	if err != nil || a.People[0].ErasedAt == nil || a.People[0].Datasets != nil {
		t.Errorf("the tombstone: %+v, %v", a.People, err)
	}
}

func TestClearlineListsThePeopleOfEachPartnerAndInventsNoAddress(t *testing.T) {
	s, all, sealed := sample(t, "clearline")
	partners := map[string][]string{"brightwave": {"brightwave.tickets"}, "solara-travel": {"solara.tickets"}, "kindred-mutual": {"kindred.tickets"}, "": {"site.contests", "site.visitors"}}
	for partner, datasets := range partners {
		want := all.of(func(r *Row) bool { return hasRecord(r, datasets...) })
		if got := sealed.Preview.Controllers[partner].People; got != want || want == 0 {
			t.Errorf("partner %q has %d people, by the rows %d", partner, got, want)
		}
		if got := int64(len(contacts(t, s, "clearline", &partner))); got != want {
			t.Errorf("partner %q gets %d contacts, want %d", partner, got, want)
		}
	}
	written := map[string]bool{}
	for _, row := range all {
		written[row.Phone] = true
	}
	numbersAlone := int64(0)
	for _, c := range contacts(t, s, "clearline", nil) {
		if c.Phone != "" && !written[c.Phone.Reveal()] {
			t.Errorf("the number of person %d was read as one that nobody has", c.Number)
		}
		if c.Email == "" && c.GivenName == "" && c.Phone != "" {
			numbersAlone++
			if len(c.Address) > 0 || c.FamilyName != "" {
				t.Errorf("person %d has more than the number that was given", c.Number)
			}
		}
	}
	if want := all.of(func(r *Row) bool { return r.Email == "" && r.Given == "" && r.Phone != "" }); numbersAlone != want || want < 200 {
		t.Errorf("%d people have a number alone, by the rows %d", numbersAlone, want)
	}
	// A city and a country decide the law, and are no address to write to.
	if all.of(func(r *Row) bool {
		return r.Jurisdiction == "AU" && len(r.Address) == 0 && r.Phone == "" && r.Email == ""
	}) > sealed.Preview.Counts.Channels["none"] {
		t.Error("somebody without an address counts as reachable")
	}
}

func TestMindloomKnowsWhomItMustSearchForAndWhoIsNoCustomer(t *testing.T) {
	s, all, sealed := sample(t, "mindloom")
	nameAlone := all.of(func(r *Row) bool { return r.Given != "" && r.Email == "" && r.Phone == "" && len(r.Address) == 0 })
	if got := sealed.Preview.Counts.Channels["none"]; got != nameAlone || nameAlone < 50 {
		t.Errorf("%d people have a name alone, by the rows %d", got, nameAlone)
	}
	for _, relation := range []string{"applicant", "third_person"} {
		if want := all.of(func(r *Row) bool { return r.Relation == relation }); sealed.Preview.Relations[relation] != want || want == 0 {
			t.Errorf("%d people are %s, by the rows %d", sealed.Preview.Relations[relation], relation, want)
		}
	}
	cabinet := []event.Exposure{{Dataset: "cabinet", From: epoch.AddDate(0, 0, -1), To: epoch}}
	a, err := s.Preview(t.Context(), "mindloom", cabinet, inventory.Policy{})
	if want := all.of(func(r *Row) bool { return hasRecord(r, "cabinet.files") }); err != nil || a.People != want {
		t.Errorf("the cabinet holds %d people, by the rows %d, %v", a.People, want, err)
	}
	located := []event.Exposure{{Dataset: "app.location", From: epoch.AddDate(0, 0, -1), To: epoch}}
	if a, err := s.Preview(t.Context(), "mindloom", located, inventory.Policy{}); err != nil || a.Counts.Categories["precise_location"] != a.People || a.People == 0 {
		t.Errorf("precise location: %+v, %v", a.Counts.Categories, err)
	}
}

func TestVardagCountsThePeopleItKnowsByTheirRobotAlone(t *testing.T) {
	s, all, sealed := sample(t, "vardag")
	robots := all.of(func(r *Row) bool { return r.Relation == "device_only" })
	if robots < 500 || sealed.Preview.Relations["device_only"] != robots || sealed.Preview.Counts.Channels["none"] < robots {
		t.Errorf("%d are known by their robot alone, %d cannot be reached; by the rows %d", sealed.Preview.Relations["device_only"], sealed.Preview.Counts.Channels["none"], robots)
	}
	only := &event.Only{Relations: []string{"device_only"}}
	a, err := s.Preview(t.Context(), "vardag", []event.Exposure{{Dataset: "devices", From: epoch.AddDate(0, 0, -1), To: epoch, Only: only}}, inventory.Policy{})
	if err != nil || a.People == 0 || a.Counts.Channels["none"] != a.People || a.Counts.Languages["unknown"] != a.People || a.Counts.AgeClasses["unknown"] != a.People {
		t.Errorf("people of a robot: %+v, %v", a.Counts, err)
	}
	names := all.by(func(r *Row) []string { return []string{r.Given} })
	for _, c := range contacts(t, s, "vardag", nil) {
		if names[c.GivenName.Reveal()] == 0 {
			t.Errorf("the name of person %d is spelled in a way that nobody wrote", c.Number)
		}
	}
	if !slices.ContainsFunc(slices.Collect(maps.Keys(names)), func(n string) bool { return strings.ContainsAny(n, "åäöÅÄÖ") }) {
		t.Error("nobody of the sample has a name with å, ä or ö")
	}
}

func TestNimbusKnowsWhoWasBoughtAndOfWhomItKnowsNoCountry(t *testing.T) {
	s, all, sealed := sample(t, "nimbus")
	for relation, want := range all.by(func(r *Row) []string { return []string{r.Relation} }) {
		if sealed.Preview.Relations[relation] != want {
			t.Errorf("%d are %s, by the rows %d", sealed.Preview.Relations[relation], relation, want)
		}
	}
	if sealed.Preview.Relations["bought_list"] < 500 || sealed.Preview.Relations["business_contact"] < 200 || sealed.Preview.Counts.Jurisdictions["unknown"] < 300 {
		t.Errorf("relations %v, residences %v", sealed.Preview.Relations, sealed.Preview.Counts.Jurisdictions)
	}
	// Cards are told of to those alone whose card it was.
	if cards := all.of(func(r *Row) bool { return hasRecord(r, "billing.cards") }); sealed.Preview.Counts.Categories["payment_card"] != cards {
		t.Errorf("%d cards, by the rows %d", sealed.Preview.Counts.Categories["payment_card"], cards)
	}
	// Whose address was bought, and nobody else, comes with where from.
	from := map[bool]int{}
	for _, c := range contacts(t, s, "nimbus", nil) {
		if bought := c.Relation == "bought_list"; bought != (c.Source != "") {
			t.Errorf("person %d has the relation %s and the source %q", c.Number, c.Relation, c.Source.Reveal())
		}
		from[c.Source != ""]++
	}
	if from[true] != int(sealed.Preview.Relations["bought_list"]) || from[false] == 0 {
		t.Errorf("%d people come with a source, %d without", from[true], from[false])
	}
}
