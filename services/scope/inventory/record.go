package inventory

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"tocsin.dev/pkg/person"
)

// A Day counts days from 31 December 1849, so that the first of 1850 is 1 and
// the zero Day is an unknown one.
type Day uint32

// dayZero is the zero Day in days since 1970.
const dayZero = -43830

// DayOf returns the day of an instant in UTC, 0 if it is out of reach.
func DayOf(t time.Time) Day {
	return dayFrom(t.Unix()/86400 - min(1, max(0, -(t.Unix()%86400))))
}

func dayFrom(since1970 int64) Day {
	if since1970 <= dayZero {
		return 0
	}
	return Day(since1970 - dayZero)
}

// Time returns the first instant of the day in UTC.
func (d Day) Time() time.Time { return time.Unix((int64(d)+dayZero)*86400, 0).UTC() }

// Person is one row of a delivery about one person. It holds personal data in
// the clear and never leaves the import.
type Person struct {
	// Ref is the organisation's own number of the person within Space; equal
	// means the same person. Space is empty unless systems number people each
	// for themselves.
	Ref, Space string
	// OfficialID is a government id with its country, such as "SE 19800101-0000".
	OfficialID    string
	Given, Family string
	Email         string
	// Unverified marks an address that nobody ever confirmed: it is written to,
	// but joins nobody.
	Unverified bool
	// Phone and Fax are in E.164.
	Phone, Fax string
	Address    []string
	// Language is a BCP 47 tag, Jurisdiction an ISO 3166 code; empty means unknown.
	Language, Jurisdiction string
	Born                   Day
	// AgeClass, Relation and Preference are words of package person.
	AgeClass, Relation, Preference string
	// Source is where a bought address came from.
	Source string
	// LastActive is the last purchase or visit in days since 1970; 0 means unknown.
	LastActive uint16
	OptOut     bool
	Deceased   bool
	// GuardianRef is the Ref of the person who is told instead of a minor.
	GuardianRef string

	// MovedOn is since when the person lives in Jurisdiction, and Before where
	// they lived until then: the law of the day of the breach counts.
	MovedOn Day
	Before  string

	// Filled in by the store.
	guardian    person.Number
	otherEmails []string
	otherPhones []string
	supplements []supplement
}

// supplement is the record of a duplicate, kept in the record of the person so
// that a contact is complete with one read. The duplicate keeps its own record,
// so that the joining can be undone.
type supplement struct {
	number uint32
	record string
}

// reset empties p for the next row and keeps its slices.
func (p *Person) reset() { *p = Person{Address: p.Address[:0], supplements: p.supplements[:0]} }

// Codes of words; stored, never change. The first stands for unknown or none.
var (
	ageClasses  = [...]string{person.AgeUnknown, person.AgeAdult, person.AgeMinor}
	relations   = [...]string{"customer", "former", "applicant", "third_person", "bought_list", "device_only", "employee", "business_contact"}
	preferences = [...]string{"", "email", "sms", "post", "voice", "fax"}
)

// code returns the index of word in words, or -1.
func code(words []string, word string) int { return slices.Index(words, word) }

// Channels by which a person can be reached, as bits; stored, never change.
const (
	byMail = 1 << iota
	bySMS
	byPost
	byFax
	// hasMoved is no channel: it says that the record tells of a move.
	hasMoved = 1 << 7
)

func (p *Person) channels() uint8 {
	var c uint8
	if p.Email != "" {
		c |= byMail
	}
	if p.Phone != "" {
		c |= bySMS
	}
	if len(p.Address) >= 2 { // a street or box, and a place
		c |= byPost
	}
	if p.Fax != "" {
		c |= byFax
	}
	if p.MovedOn != 0 {
		c |= hasMoved
	}
	return c
}

// Fields of a record; stored, never change. A record is a version byte and
// then fields: tag, length as uvarint, bytes.
const (
	fieldGiven = iota + 1
	fieldFamily
	fieldEmail
	fieldPhone
	fieldAddress // one line; repeated
	fieldLanguage
	fieldJurisdiction
	fieldClass // age class, relation, preference, flags: four bytes
	fieldBorn
	fieldRef
	fieldSpace
	fieldOfficial
	fieldSource
	fieldGuardian
	fieldOtherEmail // repeated
	fieldOtherPhone // repeated
	fieldLastActive
	fieldMoved      // day u32, then where they lived before
	fieldSupplement // number u32, then the record of the duplicate; repeated, last in a record
	fieldFax
)

const (
	recordVersion = 1
	maxRecord     = 1<<16 - 128 // with guardian and tag it fits a 16-bit length
)

const (
	flagOptOut = 1 << iota
	flagDeceased
	flagUnverified
)

var errRecord = errors.New("a person's record is damaged")

// encode appends the record of p.
func (p *Person) encode(b []byte) []byte {
	b = append(b, recordVersion)
	b = appendField(b, fieldGiven, p.Given)
	b = appendField(b, fieldFamily, p.Family)
	b = appendField(b, fieldEmail, p.Email)
	b = appendField(b, fieldPhone, p.Phone)
	for _, line := range p.Address {
		b = appendField(b, fieldAddress, line)
	}
	b = appendField(b, fieldLanguage, p.Language)
	b = appendField(b, fieldJurisdiction, p.Jurisdiction)
	b = append(b, fieldClass, 4, byte(max(0, code(ageClasses[:], p.AgeClass))),
		byte(max(0, code(relations[:], p.Relation))), byte(max(0, code(preferences[:], p.Preference))), p.flags())
	if p.Born != 0 {
		b = append(b, fieldBorn, 4)
		b = binary.LittleEndian.AppendUint32(b, uint32(p.Born))
	}
	b = appendField(b, fieldRef, p.Ref)
	b = appendField(b, fieldSpace, p.Space)
	b = appendField(b, fieldOfficial, p.OfficialID)
	b = appendField(b, fieldSource, p.Source)
	for _, e := range p.otherEmails {
		b = appendField(b, fieldOtherEmail, e)
	}
	for _, e := range p.otherPhones {
		b = appendField(b, fieldOtherPhone, e)
	}
	if p.LastActive != 0 {
		b = append(b, fieldLastActive, 2)
		b = binary.LittleEndian.AppendUint16(b, p.LastActive)
	}
	if p.MovedOn != 0 {
		b = append(b, fieldMoved)
		b = binary.AppendUvarint(b, uint64(4+len(p.Before)))
		b = binary.LittleEndian.AppendUint32(b, uint32(p.MovedOn))
		b = append(b, p.Before...)
	}
	b = appendField(b, fieldFax, p.Fax)
	if p.guardian != 0 { // last, as an import learns it after the rest
		b = append(b, fieldGuardian, 4)
		b = binary.LittleEndian.AppendUint32(b, uint32(p.guardian))
	}
	for _, s := range p.supplements {
		b = append(b, fieldSupplement)
		b = binary.AppendUvarint(b, uint64(4+len(s.record)))
		b = binary.LittleEndian.AppendUint32(b, s.number)
		b = append(b, s.record...)
	}
	return b
}

func appendField(b []byte, tag byte, s string) []byte {
	if s == "" {
		return b
	}
	b = append(b, tag)
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func (p *Person) flags() byte {
	var f byte
	if p.OptOut {
		f |= flagOptOut
	}
	if p.Deceased {
		f |= flagDeceased
	}
	if p.Unverified {
		f |= flagUnverified
	}
	return f
}

// contact fills c from a record; it leaves alone what c already has, so that
// the records of a joined person can be laid over each other.
func contact(c *person.Contact, record string) error {
	address := len(c.Address) == 0
	first := c.AgeClass == ""
	var damaged error
	err := fields(record, func(tag byte, v string) {
		switch tag {
		case fieldGiven:
			if c.GivenName == "" {
				c.GivenName = person.Text(v)
			}
		case fieldFamily:
			if c.FamilyName == "" {
				c.FamilyName = person.Text(v)
			}
		case fieldEmail:
			if c.Email == "" {
				c.Email = person.Email(v)
			}
		case fieldPhone:
			if c.Phone == "" {
				c.Phone = person.Phone(v)
			}
		case fieldFax:
			if c.Fax == "" {
				c.Fax = person.Phone(v)
			}
		case fieldAddress:
			if address {
				c.Address = append(c.Address, person.Text(v))
			}
		case fieldSource:
			if c.Source == "" {
				c.Source = person.Text(v)
			}
		case fieldLanguage:
			if c.Language == "" {
				c.Language = v
			}
		case fieldJurisdiction:
			if c.Jurisdiction == "" {
				c.Jurisdiction = v
			}
		case fieldClass:
			contactClass(c, v, first)
		case fieldGuardian:
			if c.Guardian == 0 {
				c.Guardian = person.Number(number32(v))
			}
		case fieldSupplement:
			if len(v) > 4 {
				damaged = errors.Join(damaged, contact(c, v[4:]))
			}
		}
	})
	return errors.Join(err, damaged)
}

func contactClass(c *person.Contact, v string, first bool) {
	if len(v) != 4 {
		return
	}
	if first || c.AgeClass == person.AgeUnknown {
		c.AgeClass = word(ageClasses[:], v[0])
	}
	if first {
		c.Relation = word(relations[:], v[1])
	}
	if c.Preference == "" {
		c.Preference = word(preferences[:], v[2])
	}
	c.Deceased = c.Deceased || v[3]&flagDeceased != 0
}

// laidOver returns what is known of a person after a newer row: what the newer
// row says wins, what it leaves out stays, and a further address is kept beside.
func (p *Person) laidOver(newer *Person) {
	take := func(old *string, fresh string) {
		if fresh != "" {
			*old = fresh
		}
	}
	if newer.Email != "" && p.Email != "" && newer.Email != p.Email {
		p.otherEmails = withOther(p.otherEmails, p.Email, newer.Email)
	}
	if newer.Phone != "" && p.Phone != "" && newer.Phone != p.Phone {
		p.otherPhones = withOther(p.otherPhones, p.Phone, newer.Phone)
	}
	if newer.Email != "" {
		p.Unverified = newer.Unverified
	}
	take(&p.Given, newer.Given)
	take(&p.Family, newer.Family)
	take(&p.Email, newer.Email)
	take(&p.Phone, newer.Phone)
	take(&p.Fax, newer.Fax)
	take(&p.Language, newer.Language)
	take(&p.Jurisdiction, newer.Jurisdiction)
	take(&p.Ref, newer.Ref)
	take(&p.Space, newer.Space)
	take(&p.OfficialID, newer.OfficialID)
	take(&p.Source, newer.Source)
	take(&p.Preference, newer.Preference)
	take(&p.Relation, newer.Relation)
	if newer.AgeClass != "" && newer.AgeClass != person.AgeUnknown {
		p.AgeClass = newer.AgeClass
	}
	if len(newer.Address) > 0 {
		p.Address = newer.Address
	}
	if newer.Born != 0 {
		p.Born = newer.Born
	}
	if newer.guardian != 0 {
		p.guardian = newer.guardian
	}
	if newer.MovedOn > p.MovedOn {
		p.MovedOn, p.Before = newer.MovedOn, newer.Before
	}
	p.LastActive = max(p.LastActive, newer.LastActive)
	p.OptOut = p.OptOut || newer.OptOut
	p.Deceased = p.Deceased || newer.Deceased
}

// withOther adds the address that was replaced to the others, at most eight.
func withOther(others []string, old, now string) []string {
	others = slices.DeleteFunc(others, func(s string) bool { return s == now || s == old })
	others = append([]string{old}, others...)
	return others[:min(len(others), 8)]
}

// attribute is what stands in the clear beside a person's number.
type attribute struct {
	jurisdiction, language uint16 // index into the terms of the inventory
	class                  uint8  // age class | relation << 2 | flags
	channels               uint8
	lastActive             uint16
}

const (
	classRelation = 2 // shift
	classDeceased = 1 << 5
	classOptOut   = 1 << 6
	classPresent  = 1 << 7 // the number is somebody
	attributeSize = 8
)

func (p *Person) class() uint8 {
	c := uint8(classPresent) | uint8(max(0, code(ageClasses[:], p.AgeClass))) | uint8(max(0, code(relations[:], p.Relation)))<<classRelation
	if p.Deceased {
		c |= classDeceased
	}
	if p.OptOut {
		c |= classOptOut
	}
	return c
}
