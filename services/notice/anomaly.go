package notice

import (
	"fmt"
	"hash/maphash"
	"strings"

	"tocsin.dev/pkg/category"
	"tocsin.dev/pkg/person"
	"tocsin.dev/services/notice/carrier"
)

func boolSet(b bool) category.Set {
	if b {
		return ^category.Set(0)
	}
	return 0
}

// sketch estimates how many people share an address, in a fixed 4 MB for any
// number of people (count-min with two rows). It never underestimates.
type sketch struct {
	seed [2]maphash.Seed
	rows [2][1 << 20]uint16
}

func newSketch() *sketch {
	return &sketch{seed: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}}
}

func (k *sketch) add(s string) int {
	least := 1 << 16
	for i := range k.rows {
		slot := &k.rows[i][maphash.String(k.seed[i], s)>>44]
		if *slot < 1<<16-1 {
			*slot++
		}
		least = min(least, int(*slot))
	}
	return least
}

// suspicious looks at a page of people for signs that a column or a row has
// slipped somewhere before us: it names the person number, never the value.
func (l *lister) suspicious(k *content, people []recipient) error {
	// A count-min sketch over millions overestimates by chance; a page alone does not.
	most := l.s.cfg.MaxShared + int(l.p.people>>20)*8
	bad, firstBad := 0, person.Number(0)
	for _, r := range people {
		c := r.reach
		if what := slipped(c); what != "" {
			return fmt.Errorf("person %d: %s; a column seems to have slipped", c.Number, what)
		}
		if own := l.s.canaryTo[l.p.org]; own != nil && (own[carrier.AddressHash(c.Email.Reveal())] || own[carrier.AddressHash(c.Phone.Reveal())]) {
			return fmt.Errorf("person %d: has the address of a canary of the organisation's own; no batch could be checked by it: change canaries in the organisation's file", c.Number)
		}
		if e := c.Email.Reveal(); e != "" {
			if !c.Email.Valid() {
				if bad++; firstBad == 0 {
					firstBad = c.Number
				}
			} else if r.named == r.reach {
				if n := l.shared.add(strings.ToLower(e)); n > most {
					return fmt.Errorf("person %d: about %d people share one email address; at most %d are plausible", c.Number, n, l.s.cfg.MaxShared)
				}
			}
		}
	}
	if bad > 5 && bad*10 > len(people) {
		return fmt.Errorf("person %d and %d more of %d: the email address is not one; a column seems to have slipped", firstBad, bad-1, len(people))
	}
	return nil
}

// slipped says which field of a contact holds what belongs in another, or "".
func slipped(c *person.Contact) string {
	switch {
	case strings.Contains(c.GivenName.Reveal(), "@"), strings.Contains(c.FamilyName.Reveal(), "@"):
		return "a name holds an email address"
	case person.Phone(c.GivenName).Valid(), person.Phone(c.FamilyName).Valid():
		return "a name holds a phone number"
	case person.Phone(c.Email).Valid():
		return "the email address is a phone number"
	case strings.Contains(c.Phone.Reveal(), "@"):
		return "the phone number is an email address"
	case strings.Contains(c.Language, "@"), len(c.Language) > 35:
		return "the language holds something else"
	}
	return ""
}
