package inventory

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tocsin.dev/pkg/category"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/sqldb"
	"tocsin.dev/pkg/sqldb/sqldbtest"
)

// record is a holding in the naive model; mask 0 names no categories.
type record struct {
	person, dataset int
	mask            category.Set
	first, last     int // days; last 0 for still held
}

// model is a small inventory written down plainly.
type model struct {
	people  int
	records []record
}

func drawModel(t *rapid.T) model {
	m := model{people: rapid.IntRange(1, 40).Draw(t, "people")}
	for range rapid.IntRange(0, 80).Draw(t, "records") {
		first := rapid.IntRange(1, 100).Draw(t, "first")
		last := 0
		if rapid.IntRange(0, 3).Draw(t, "deleted") == 0 {
			last = first + rapid.IntRange(0, 50).Draw(t, "days")
		}
		m.records = append(m.records, record{
			person: rapid.IntRange(0, m.people-1).Draw(t, "person"), dataset: rapid.IntRange(0, 2).Draw(t, "dataset"),
			mask: category.Set(rapid.IntRange(0, 15).Draw(t, "mask")), first: first, last: last,
		})
	}
	return m
}

func date(day int) string { return time.Unix(int64(day)*86400, 0).UTC().Format(time.DateOnly) }

// sources writes the model as files whose rows stand in the order of random.
func (m model) sources(random *rand.Rand) []Source {
	var people, holdings strings.Builder
	people.WriteString("person,given_name,country\n")
	for i := range m.people {
		fmt.Fprintf(&people, "P%d,Name%d,%s\n", i, i, []string{"SE", "GB", ""}[i%3])
	}
	holdings.WriteString("person,dataset,categories,first_seen,last_seen\n")
	for _, r := range m.records {
		last := ""
		if r.last > 0 {
			last = date(r.last)
		}
		fmt.Fprintf(&holdings, "P%d,d%d,%s,%s,%s\n", r.person, r.dataset, strings.Join(r.mask.Codes(), " "), date(r.first), last)
	}
	return []Source{
		Text("datasets.csv", "key,system,categories\nd0,s,user.name\nd1,s,user.name\nd2,s,user.name\n", Mapping{}),
		Text("people.csv", shuffled(random, people.String()), Mapping{}),
		Text("holdings.csv", shuffled(random, holdings.String()), Mapping{}),
	}
}

// held returns the records as the store understands them: rows that agree in
// person, dataset, categories and first day are one, held until the latest.
func (m model) held() []record {
	out := map[record]int{}
	for _, r := range m.records {
		last := r.last
		if last == 0 {
			last = 1 << 20
		}
		mask := r.mask
		if mask == 0 {
			mask, _ = category.ParseAll([]string{"user.name"}) // what every dataset is said to hold
		}
		key := record{r.person, r.dataset, mask, r.first, 0}
		out[key] = max(out[key], last)
	}
	var all []record
	for r, last := range out {
		r.last = last
		all = append(all, r)
	}
	return all
}

// exposed answers a scope plainly.
func (m model) exposed(exposures []event.Exposure) map[int]category.Set {
	out := map[int]category.Set{}
	for _, e := range exposures {
		limit, _ := category.ParseAll(e.Categories)
		if len(e.Categories) == 0 {
			limit = ^category.Set(0)
		}
		from, to := int(e.From.Unix()/86400), int(e.To.Unix()/86400)
		for _, r := range m.held() {
			if fmt.Sprintf("d%d", r.dataset) == e.Dataset && r.first < to && r.last >= from && r.mask&limit != 0 && e.Protection != "encrypted_key_safe" {
				out[r.person] |= r.mask & limit
			}
		}
	}
	return out
}

func drawExposures(t *rapid.T) []event.Exposure {
	var all []event.Exposure
	for range rapid.IntRange(1, 3).Draw(t, "exposures") {
		from := rapid.IntRange(1, 120).Draw(t, "from")
		e := window(fmt.Sprintf("d%d", rapid.IntRange(0, 2).Draw(t, "dataset")), date(from), date(from+rapid.IntRange(1, 60).Draw(t, "width")))
		if rapid.Bool().Draw(t, "limited") {
			e.Categories = []string{"name", "email"}
		}
		e.Ring = rapid.SampledFrom([]string{"", "proven", "possible"}).Draw(t, "ring")
		e.Protection = rapid.SampledFrom([]string{"", "", "hashed", "encrypted_key_safe"}).Draw(t, "protection")
		all = append(all, e)
	}
	return all
}

func TestListsAndDifferencesAgreeWithANaiveModelInAnyOrderOfImport(t *testing.T) {
	stores := [2]*Store{openStore(t, sqlite(t)), openStore(t, sqlite(t))}
	org := 0
	rapid.Check(t, func(rt *rapid.T) {
		m := drawModel(rt)
		first, second := drawExposures(rt), drawExposures(rt)
		org++ // an inventory of its own: to open a store takes longer than the rest
		var digests []string
		for order, s := range stores {
			s.cfg.Rand = rand.NewChaCha8([32]byte{3}) // both number people alike
			o := fmt.Sprint("o", org)
			if r, err := s.Import(rt.Context(), o, m.sources(rand.New(rand.NewPCG(uint64(order), 5))), Options{}); err != nil {
				rt.Fatal(err, r.Errors)
			}
			digests = append(digests, m.check(rt, s, o, first, second))
		}
		if digests[0] != digests[1] {
			rt.Error("the order of rows changed the digest")
		}
	})
}

// check seals two revisions, holds them against the model and returns their digests.
func (m model) check(t *rapid.T, s *Store, org string, first, second []event.Exposure) string {
	var digests []string
	want := []map[int]category.Set{m.exposed(first), m.exposed(second)}
	for i, exposures := range [][]event.Exposure{first, second} {
		sealed, err := s.Seal(t.Context(), org, "c", fmt.Sprint(i), exposures, Policy{})
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, sealed.Digest)
		if sealed.People != int64(len(want[i])) {
			t.Fatalf("revision %d has %d people, the model %d", i+1, sealed.People, len(want[i]))
		}
		a, err := s.Contacts(t.Context(), event.ContactsQuestion{Org: org, Case: "c", Revision: i + 1, To: 1000})
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for _, c := range a.Contacts {
			var person int
			if _, err := fmt.Sscanf(c.GivenName.Reveal(), "Name%d", &person); err != nil || seen[c.GivenName.Reveal()] {
				t.Fatalf("person %d is on the list twice or unreadable: %v", c.Number, err)
			}
			seen[c.GivenName.Reveal()] = true
			if want[i][person] != c.Exposed {
				t.Fatalf("of person %d are exposed %s, in the model %s", person, c.Exposed, want[i][person])
			}
		}
		sums := int64(0)
		for _, n := range sealed.Preview.Counts.Jurisdictions {
			sums += n
		}
		if sums != sealed.People {
			t.Fatalf("jurisdictions add up to %d of %d", sums, sealed.People)
		}
	}
	d, err := s.Difference(t.Context(), org, "c", 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	var w event.DifferenceAnswer
	for p := range m.people {
		was, is := want[0][p], want[1][p]
		switch {
		case was == 0 && is != 0:
			w.Added++
		case was != 0 && is == 0:
			w.Removed++
		case was != 0:
			w.Widened += one(is&^was != 0)
			w.Narrowed += one(was&^is != 0)
		}
	}
	if d.Added != w.Added || d.Removed != w.Removed || d.Widened != w.Widened || d.Narrowed != w.Narrowed {
		t.Fatalf("difference %+v, in the model %+v", d, w)
	}
	return strings.Join(digests, " ")
}

func one(yes bool) int64 {
	if yes {
		return 1
	}
	return 0
}

func TestBothStoresGiveTheSameListsAndDigests(t *testing.T) {
	var digests []string
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := openStore(t, db)
		mustImport(t, s, "vardag", killSources())
		// Twice, so that a later delivery is part of it.
		mustImport(t, s, "vardag", []Source{Text("people.csv", "person,given_name,email,country,dataset\nNEW1,Nova,nova@example.test,DK,crm.customers\nP7,Given7,p7@example.test,NO,shop.orders\n", Mapping{})})
		sealed, err := s.Seal(t.Context(), "vardag", "c", "st", autumn(), Policy{})
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, fmt.Sprint(sealed.Digest, sealed.People, sealed.Preview.Counts))
	})
	if len(slices.Compact(digests)) != 1 {
		t.Errorf("the stores differ: %v", digests)
	}
}
