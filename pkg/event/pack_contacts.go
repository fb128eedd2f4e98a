package event

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	"tocsin.dev/pkg/category"
	"tocsin.dev/pkg/person"
)

// packedContacts is the wire form of a ContactsAnswer.
type packedContacts struct {
	// V is the version of the packing: 1, 2 if anybody has a fax number, or 3 if
	// anybody's address was bought.
	V      int             `json:"v"`
	Next   int64           `json:"next"`
	Erased []person.Number `json:"erased,omitempty"`
	// ErasedExposed are category bits, one for each of Erased.
	ErasedExposed []category.Set `json:"erased_exposed,omitempty"`
	N             int            `json:"n"`
	// Packed is base64 of the contacts, one after the other.
	Packed string `json:"packed"`
}

const (
	packing       = 1
	packingFax    = 2 // fax number after each contact
	packingSource = 3 // and the source after that
)

var errPacking = errors.New("packed contacts are cut off or damaged")

// MarshalJSON packs the contacts.
func (a ContactsAnswer) MarshalJSON() ([]byte, error) {
	buf, v := make([]byte, 0, 160*len(a.Contacts)), packing
	if slices.ContainsFunc(a.Contacts, func(c person.Contact) bool { return c.Fax != "" }) {
		v = packingFax
	}
	if slices.ContainsFunc(a.Contacts, func(c person.Contact) bool { return c.Source != "" }) {
		v = packingSource
	}
	for i := range a.Contacts {
		buf = appendContact(buf, &a.Contacts[i])
		if v >= packingFax {
			buf = appendText(buf, string(a.Contacts[i].Fax))
		}
		if v >= packingSource {
			buf = appendText(buf, string(a.Contacts[i].Source))
		}
	}
	return json.Marshal(packedContacts{
		V: v, Next: a.Next, Erased: a.Erased, ErasedExposed: a.ErasedExposed, N: len(a.Contacts),
		Packed: base64.StdEncoding.EncodeToString(buf),
	})
}

// UnmarshalJSON unpacks the contacts. Errors never show the content.
func (a *ContactsAnswer) UnmarshalJSON(data []byte) error {
	var p packedContacts
	if err := json.Unmarshal(data, &p); err != nil {
		return errPacking // the JSON error could quote content
	}
	if p.V < packing || p.V > packingSource || p.N < 0 || p.N > MaxContacts {
		return fmt.Errorf("packed contacts: version %d with %d contacts is not understood", p.V, p.N)
	}
	raw, err := base64.StdEncoding.DecodeString(p.Packed)
	if err != nil {
		return errPacking
	}
	r := contactReader{rest: string(raw)}
	*a = ContactsAnswer{Next: p.Next, Erased: p.Erased, ErasedExposed: p.ErasedExposed, Contacts: make([]person.Contact, p.N)}
	for i := range a.Contacts {
		r.contact(&a.Contacts[i])
		if p.V >= packingFax {
			a.Contacts[i].Fax = person.Phone(r.text())
		}
		if p.V >= packingSource {
			a.Contacts[i].Source = person.Text(r.text())
		}
	}
	if r.bad || r.rest != "" {
		*a = ContactsAnswer{}
		return errPacking
	}
	return nil
}

func appendContact(b []byte, c *person.Contact) []byte {
	b = binary.AppendUvarint(b, uint64(c.Number))
	b = binary.AppendUvarint(b, uint64(c.Exposed))
	b = binary.AppendUvarint(b, uint64(c.Guardian))
	dead := byte(0)
	if c.Deceased {
		dead = 1
	}
	b = append(b, dead)
	for _, s := range [...]string{
		string(c.GivenName), string(c.FamilyName), string(c.Email), string(c.Phone),
		c.Language, c.Jurisdiction, c.AgeClass, c.Relation, c.Preference,
	} {
		b = appendText(b, s)
	}
	b = binary.AppendUvarint(b, uint64(len(c.Address)))
	for _, line := range c.Address {
		b = appendText(b, string(line))
	}
	return b
}

func appendText(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// contactReader reads packed contacts. All texts share one string.
type contactReader struct {
	rest string
	bad  bool
}

func (r *contactReader) contact(c *person.Contact) {
	c.Number = person.Number(r.number32())
	c.Exposed = category.Set(r.number32())
	c.Guardian = person.Number(r.number32())
	c.Deceased = r.take(1) == "\x01"
	c.GivenName, c.FamilyName = person.Text(r.text()), person.Text(r.text())
	c.Email, c.Phone = person.Email(r.text()), person.Phone(r.text())
	c.Language, c.Jurisdiction, c.AgeClass = r.text(), r.text(), r.text()
	c.Relation, c.Preference = r.text(), r.text()
	if n := r.number(); n > 0 && n <= uint64(len(r.rest)) {
		c.Address = make([]person.Text, n)
		for i := range c.Address {
			c.Address[i] = person.Text(r.text())
		}
	} else if n > 0 {
		r.bad = true
	}
}

func (r *contactReader) number() uint64 {
	var v uint64
	for i := 0; i < len(r.rest) && i < binary.MaxVarintLen64; i++ {
		b := r.rest[i]
		v |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			r.rest = r.rest[i+1:]
			return v
		}
	}
	r.bad, r.rest = true, ""
	return 0
}

func (r *contactReader) number32() uint32 {
	v := r.number()
	r.bad = r.bad || v > math.MaxUint32
	return uint32(v)
}

func (r *contactReader) text() string { return r.take(r.number()) }

func (r *contactReader) take(n uint64) string {
	if n > uint64(len(r.rest)) {
		r.bad, r.rest = true, ""
		return ""
	}
	s := r.rest[:n]
	r.rest = r.rest[n:]
	return s
}
