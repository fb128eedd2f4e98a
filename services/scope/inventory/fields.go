package inventory

import (
	"strings"
	"time"

	"tocsin.dev/pkg/person"
)

func (t *table) place(row []string, at Origin) {
	p := &t.person
	var err error
	if p.Jurisdiction, err = t.reader.jurisdiction(t.value(row, colCountry), t.value(row, colRegion)); err != nil {
		t.bad(at, colCountry, err)
	}
	street := t.value(row, colAddress1)
	if street == "" {
		return // a city alone is no address to write to
	}
	p.Address = append(p.Address, street)
	for _, c := range [...]int{colAddress2, colAddress3} {
		if line := t.value(row, c); line != "" {
			p.Address = append(p.Address, line)
		}
	}
	place := strings.TrimSpace(t.value(row, colPostcode) + " " + t.value(row, colCity))
	if region := t.value(row, colRegion); region != "" {
		place += " " + region
	}
	if place != "" {
		p.Address = append(p.Address, place)
	}
	if name := t.reader.countryName(p.Jurisdiction); name != "" {
		p.Address = append(p.Address, name)
	}
}

func (t *table) reachable(row []string, at Origin) {
	p := &t.person
	var err error
	if v := t.value(row, colEmail); v != "" {
		if p.Email, err = t.reader.email(v); err != nil {
			t.bad(at, colEmail, err)
		}
	}
	if v := t.value(row, colVerified); v != "" {
		yes, err := flag(v)
		if err != nil {
			t.bad(at, colVerified, err)
		}
		p.Unverified = !yes
	}
	if v := t.value(row, colPhone); v != "" {
		if p.Phone, err = t.reader.phone(v, p.Jurisdiction); err != nil {
			t.bad(at, colPhone, err)
		}
	}
	if v := t.value(row, colFax); v != "" {
		if p.Fax, err = t.reader.phone(v, p.Jurisdiction); err != nil {
			t.bad(at, colFax, err)
		}
	}
	if v := t.value(row, colLanguage); v != "" {
		if p.Language, err = t.reader.languageTag(v); err != nil {
			t.bad(at, colLanguage, err)
		}
	}
}

func (t *table) words(row []string, at Origin) {
	p := &t.person
	var err error
	for _, w := range [...]struct {
		column int
		words  []string
		to     *string
	}{{colAge, ageClasses[:], &p.AgeClass}, {colRelation, relations[:], &p.Relation}, {colPreference, preferences[:], &p.Preference}} {
		if v := t.value(row, w.column); v != "" {
			if *w.to, err = oneOf(w.words, v); err != nil {
				t.bad(at, w.column, err)
			}
		}
	}
	for _, f := range [...]struct {
		column int
		to     *bool
	}{{colOptOut, &p.OptOut}, {colDeceased, &p.Deceased}} {
		if v := t.value(row, f.column); v != "" {
			if *f.to, err = flag(v); err != nil {
				t.bad(at, f.column, err)
			}
		}
	}
}

func (t *table) dates(row []string, at Origin) {
	p := &t.person
	if v := t.value(row, colBorn); v != "" {
		day, err := t.reader.day(v)
		if err != nil {
			t.bad(at, colBorn, err)
		} else {
			p.Born = dayFrom(int64(day))
			if p.AgeClass == "" {
				p.AgeClass = ageOn(p.Born, t.d.store.cfg.Now())
			}
		}
	}
	if v := t.value(row, colMovedOn); v != "" {
		day, err := t.reader.day(v)
		if err != nil {
			t.bad(at, colMovedOn, err)
		} else if p.Before, err = t.reader.jurisdiction(t.value(row, colBefore), ""); err != nil {
			t.bad(at, colBefore, err)
		} else {
			p.MovedOn = dayFrom(int64(day))
		}
	}
	if v := t.value(row, colLastActive); v != "" {
		day, err := t.reader.day(v)
		if err != nil || day < 1 {
			t.bad(at, colLastActive, errDate)
		} else {
			p.LastActive = uint16(min(day, 1<<16-1))
		}
	}
}

// ageOn tells minors from adults at 18, the age of majority almost everywhere;
// an explicit age_class decides where it differs.
func ageOn(born Day, now time.Time) string {
	if now.UTC().Before(born.Time().AddDate(18, 0, 0)) {
		return person.AgeMinor
	}
	return person.AgeAdult
}
