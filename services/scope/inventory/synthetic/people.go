package synthetic

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"tocsin.dev/services/scope/inventory"
)

// Row is one synthetic person with their records.
type Row struct {
	inventory.Person
	// PhoneText is how the phone number is written; empty means as in Phone.
	PhoneText string
	// Country, Region, City and Postcode are the parts of the address.
	Country, Region, City, Postcode string
	Holdings                        []inventory.Holding
}

// Set is a set of synthetic people.
type Set struct {
	org     string
	people  int
	seed    uint64
	profile profile
	sums    []int
	// Now is the day on which the people are as they are.
	now time.Time
}

// epoch is the day up to which synthetic people have a history, so that the
// same seed gives the same people on every day.
var epoch = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// New returns the set of people of an organisation. Equal arguments give equal
// people, and the first n of a larger set are those of a smaller one.
func New(org string, people int, seed uint64) *Set {
	p := profileOf(org)
	return &Set{org: org, people: people, seed: seed, profile: p, sums: p.countries(), now: epoch}
}

// Systems returns the systems of the organisation.
func (s *Set) Systems() []inventory.System { return s.profile.systems }

// Datasets returns the datasets of the organisation.
func (s *Set) Datasets() []inventory.Dataset {
	all := make([]inventory.Dataset, len(s.profile.datasets))
	for i, d := range s.profile.datasets {
		all[i] = d.Dataset
	}
	return all
}

// Each calls f for every person in order. The row is used again.
func (s *Set) Each(f func(i int, row *Row) error) error {
	var row Row
	pcg := rand.NewPCG(0, 0)
	r := rand.New(pcg)
	for i := range s.people {
		s.person(r, pcg, i, &row)
		if err := f(i, &row); err != nil {
			return err
		}
	}
	return nil
}

// person makes the i-th person. Every fiftieth shares the mailbox and the family
// name of the one before; every thirty-third is the one before again, recorded
// in another system under another number.
func (s *Set) person(r *rand.Rand, pcg *rand.PCG, i int, row *Row) {
	s.base(r, pcg, i, row)
	switch {
	case i > 0 && i%50 == 7 && row.Email != "":
		var other Row
		s.base(r, pcg, i-1, &other)
		if other.Email != "" && other.Family != "" {
			row.Email, row.Family, row.Address = other.Email, other.Family, other.Address
			row.City, row.Postcode, row.Country, row.Region, row.Jurisdiction = other.City, other.Postcode, other.Country, other.Region, other.Jurisdiction
		}
	case i > 0 && i%33 == 5:
		var other Row
		s.base(r, pcg, i-1, &other)
		if other.Email != "" && other.Given != "" {
			holdings := row.Holdings
			*row = other
			row.Ref, row.Holdings = "W"+refOf(i)[1:], holdings
			row.Email = strings.ToUpper(other.Email[:1]) + other.Email[1:]
		}
	}
	if i > 0 && i%2 == 0 && row.AgeClass == "minor" {
		s.guard(r, pcg, i, row)
	}
}

// guard makes the person before the guardian of a minor, if that is an adult
// under their usual number.
func (s *Set) guard(r *rand.Rand, pcg *rand.PCG, i int, row *Row) {
	var other Row
	s.base(r, pcg, i-1, &other)
	if other.Ref == refOf(i-1) && other.AgeClass == "adult" && (i-1)%33 != 5 {
		row.GuardianRef = other.Ref
	}
}

// base makes the i-th person alone, from a generator seeded with i.
func (s *Set) base(r *rand.Rand, pcg *rand.PCG, i int, row *Row) {
	pcg.Seed(s.seed, uint64(i)*0x9e3779b97f4a7c15+1)
	*row = Row{Holdings: row.Holdings[:0]}
	c := &places[pick(r, s.sums)]
	row.Ref, row.Relation = refOf(i), "customer"
	row.Given, row.Family = given[c.names][r.IntN(len(given[c.names]))], family[c.names][r.IntN(len(family[c.names]))]
	row.Country, row.Region, row.Jurisdiction, row.Language = c.code, c.region, c.code, c.language
	if c.region != "" {
		row.Jurisdiction = c.code + "-" + c.region
	}
	row.City = c.cities[r.IntN(len(c.cities))]
	row.Postcode = fmt.Sprintf("%05d", r.IntN(100_000))
	row.born(r, s.now)
	row.contacts(r, c, i, s.profile.domain)
	if r.IntN(100) < 4 {
		row.Language = ""
	}
	if r.IntN(100) < 3 {
		row.unknownCountry()
	}
	row.OptOut, row.Deceased = r.IntN(100) < 12, r.IntN(1000) < 3
	row.lastActive(r, 1, 3*365)
	s.profile.shape(r, i, row)
	s.hold(r, row)
}

func (row *Row) born(r source, now time.Time) {
	age := 18 + r.IntN(70)
	if r.IntN(100) < 3 {
		age = 6 + r.IntN(12)
	}
	row.Born = inventory.DayOf(now.AddDate(-age, 0, -r.IntN(365)))
	row.AgeClass = "adult"
	if now.Before(row.Born.Time().AddDate(18, 0, 0)) {
		row.AgeClass = "minor"
	}
}

func (row *Row) contacts(r source, c *country, i int, domain string) {
	if r.IntN(100) < 88 {
		local := plainLetters(row.Given) + "." + plainLetters(row.Family)
		if r.IntN(50) == 0 {
			local += ".bounce"
		}
		row.Email = fmt.Sprintf("%s.%d@%s", local, i+1, domain)
	}
	if r.IntN(100) < 62 {
		row.Phone = c.phone(r)
	}
	if r.IntN(100) < 80 {
		row.Address = []string{fmt.Sprintf("%d %s", 1+r.IntN(180), streets[r.IntN(len(streets))])}
	}
}

// spelled is how a mailbox spells the letters of names.
var spelled = strings.NewReplacer(
	"å", "a", "ä", "a", "ö", "o", "Å", "a", "Ä", "a", "Ö", "o", "é", "e", "è", "e", "ë", "e", "É", "e", "î", "i", "í", "i", "Í", "i", "ì", "i", "ï", "i",
	"ñ", "n", "á", "a", "Á", "a", "ã", "a", "ā", "a", "ó", "o", "ò", "o", "ô", "o", "ø", "o", "ü", "u", "ú", "u", "ū", "u", "ł", "l", "Ł", "l", "ą", "a",
	"ń", "n", "ř", "r", "ß", "ss", "ç", "c", "æ", "ae", "š", "s", "ž", "z", "ē", "e", "ê", "e", " ", "", "'", "", "-", "")

// plainLetters spells a name as a mailbox does.
func plainLetters(name string) string { return strings.ToLower(spelled.Replace(name)) }

func (row *Row) unknownCountry() {
	row.Jurisdiction, row.Country, row.Region, row.Address = "", "", "", nil
}

// deviceOnly leaves of a person what a robot knows.
func (row *Row) deviceOnly() {
	row.Relation, row.Ref = "device_only", "robot-"+row.Ref
	row.Given, row.Family, row.Email, row.Phone, row.Address, row.Born = "", "", "", "", nil, 0
	row.AgeClass, row.Language, row.GuardianRef, row.Deceased = "", "", "", false
	row.LastActive = 0
}

// lastActive sets a last visit so many days ago.
func (row *Row) lastActive(r source, from, to int) {
	at := epoch.AddDate(0, 0, -from-r.IntN(to-from))
	row.LastActive = uint16(at.Unix() / 86400)
}

// hold gives the person their records; somebody without any gets the first
// that may be theirs.
func (s *Set) hold(r source, row *Row) {
	add := func(d held) {
		first := epoch.AddDate(0, 0, -30-r.IntN(6*365))
		h := inventory.Holding{Dataset: d.Key, First: uint32(first.Unix())}
		if r.IntN(100) < 6 { // deleted since
			h.Last = uint32(min(first.AddDate(0, 0, 1+r.IntN(3*365)).Unix(), epoch.Unix()))
		}
		row.Holdings = append(row.Holdings, h)
	}
	for _, d := range s.profile.datasets {
		if d.only != "" && d.only != row.Relation || !row.fits(d) {
			continue
		}
		if r.IntN(100) < d.share {
			add(d)
		}
	}
	if len(row.Holdings) > 0 {
		return
	}
	for _, d := range s.profile.datasets {
		if (d.only == "" || d.only == row.Relation) && row.fits(d) {
			add(d)
			return
		}
	}
}

// fits reports whether a dataset can know of the person: who has no name is
// only in the datasets that need none.
func (row *Row) fits(d held) bool { return row.Relation != "device_only" || !d.Categories.Has(1) }

// Deliver hands the people to a delivery: the same people and records as an
// import of what Write writes, without the text between.
func (s *Set) Deliver(ctx context.Context, d *inventory.Delivery) error {
	for _, sys := range s.Systems() {
		d.System(sys)
	}
	for _, ds := range s.Datasets() {
		if err := d.Dataset(ds); err != nil {
			return err
		}
	}
	file := d.File("synthetic people of " + s.org)
	return s.Each(func(i int, row *Row) error {
		if i%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		at := inventory.Origin{File: file, Line: uint32(i + 1)}
		row.finishAddress()
		ordinal, err := d.Person(&row.Person, at)
		if inventory.Skipped(err) {
			return nil // erased on request since
		}
		if err != nil {
			return fmt.Errorf("synthetic person %d: %w", i+1, err)
		}
		for _, h := range row.Holdings {
			if err := d.HoldingOf(ordinal, h, at); err != nil {
				return fmt.Errorf("synthetic person %d: %w", i+1, err)
			}
		}
		return nil
	})
}

func (row *Row) finishAddress() {
	if len(row.Address) == 1 {
		row.Address = append(row.Address, row.Postcode+" "+row.City)
	}
}

// Source returns the set as the source of an import.
func (s *Set) Source() inventory.Source {
	name := fmt.Sprintf("synthetic people %s %d seed %d", s.org, s.people, s.seed)
	return inventory.Source{Name: name, Read: func(ctx context.Context, d *inventory.Delivery, _ io.Writer) error { return s.Deliver(ctx, d) }}
}
