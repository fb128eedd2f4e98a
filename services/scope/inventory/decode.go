package inventory

import "tocsin.dev/pkg/person"

// fields calls f for every field of a record. All values share one string.
func fields(record string, f func(tag byte, value string)) error {
	if record == "" || record[0] != recordVersion {
		return errRecord
	}
	for rest := record[1:]; rest != ""; {
		tag, value, after := nextField(rest)
		if tag == 0 {
			return errRecord
		}
		f(tag, value)
		rest = after
	}
	return nil
}

// nextField cuts the first field off; a tag of 0 means that it is damaged.
func nextField(s string) (tag byte, value, rest string) {
	n, used := uvarint(s[1:])
	if used == 0 || n > uint64(len(s)-1-used) {
		return 0, "", ""
	}
	end := 1 + used + int(n)
	return s[0], s[1+used : end], s[end:]
}

func uvarint(s string) (uint64, int) {
	if s != "" && s[0] < 0x80 {
		return uint64(s[0]), 1
	}
	var v uint64
	for i := 0; i < len(s) && i < 5; i++ {
		v |= uint64(s[i]&0x7f) << (7 * i)
		if s[i] < 0x80 {
			return v, i + 1
		}
	}
	return 0, 0
}

// decode fills p from a record.
func (p *Person) decode(record string) error {
	_, err := p.read(record)
	return err
}

// read fills p from a record and reports whether encode would write the same
// bytes again, as it does unless the record comes from elsewhere.
func (p *Person) read(record string) (same bool, err error) {
	p.reset()
	if record == "" || record[0] != recordVersion {
		return false, errRecord
	}
	var last byte
	same = true
	classed := false
	for rest := record[1:]; rest != ""; {
		tag, v, after := nextField(rest)
		if tag == 0 {
			return false, errRecord
		}
		size := len(rest) - len(after) - 1 - len(v) // bytes of the length
		inOrder := tag > last || tag == last && (tag == fieldAddress || tag == fieldOtherEmail || tag == fieldOtherPhone)
		same = p.set(tag, v) && same && inOrder && size == uvarintSize(len(v))
		classed = classed || tag == fieldClass
		last, rest = tag, after
	}
	return same && classed, nil
}

func uvarintSize(n int) int {
	size := 1
	for ; n >= 0x80; n >>= 7 {
		size++
	}
	return size
}

// set takes a field and reports whether encode writes it in this form. For what
// an import never writes, or not in the order of tags, the answer is no.
func (p *Person) set(tag byte, v string) (same bool) {
	switch tag {
	case fieldGiven:
		p.Given = v
	case fieldFamily:
		p.Family = v
	case fieldEmail:
		p.Email = v
	case fieldPhone:
		p.Phone = v
	case fieldAddress:
		p.Address = append(p.Address, v)
	case fieldLanguage:
		p.Language = v
	case fieldJurisdiction:
		p.Jurisdiction = v
	case fieldClass:
		return p.setClass(v)
	case fieldBorn:
		p.Born = Day(number32(v))
		return len(v) == 4 && p.Born != 0
	case fieldRef:
		p.Ref = v
	case fieldSpace:
		p.Space = v
	case fieldOfficial:
		p.OfficialID = v
	case fieldSource:
		p.Source = v
	case fieldOtherEmail:
		p.otherEmails = append(p.otherEmails, v)
	case fieldOtherPhone:
		p.otherPhones = append(p.otherPhones, v)
	case fieldLastActive:
		p.LastActive = uint16(number32(v))
		return len(v) == 2 && p.LastActive != 0
	case fieldMoved:
		if len(v) >= 4 {
			p.MovedOn, p.Before = Day(number32(v)), v[4:]
		}
		return p.MovedOn != 0
	case fieldFax:
		p.Fax = v
	case fieldGuardian:
		p.guardian = person.Number(number32(v))
		return false
	case fieldSupplement:
		if len(v) > 4 {
			p.supplements = append(p.supplements, supplement{number32(v), v[4:]})
		}
		return false
	default:
		return false
	}
	return v != ""
}

func (p *Person) setClass(v string) (same bool) {
	if len(v) != 4 {
		return false
	}
	p.AgeClass, p.Relation, p.Preference = word(ageClasses[:], v[0]), word(relations[:], v[1]), word(preferences[:], v[2])
	p.OptOut, p.Deceased, p.Unverified = v[3]&flagOptOut != 0, v[3]&flagDeceased != 0, v[3]&flagUnverified != 0
	return int(v[0]) < len(ageClasses) && int(v[1]) < len(relations) && int(v[2]) < len(preferences) && p.flags() == v[3]
}

func word(words []string, code byte) string {
	if int(code) < len(words) {
		return words[code]
	}
	return ""
}

func number32(v string) uint32 {
	if len(v) >= 4 { // in one load
		return uint32(v[0]) | uint32(v[1])<<8 | uint32(v[2])<<16 | uint32(v[3])<<24
	}
	var n uint32
	for i := 0; i < len(v) && i < 4; i++ {
		n |= uint32(v[i]) << (8 * i)
	}
	return n
}
