package sendgrid

import (
	"bytes"
	"errors"
	"strconv"
)

// Value is a JSON string as it stands in a body, still escaped.
type Value struct{ inside []byte }

// Is reports whether the value is s.
func (v Value) Is(s string) bool {
	if bytes.IndexByte(v.inside, '\\') < 0 {
		return string(v.inside) == s
	}
	return plain(v.inside) == s
}

// Inspected is one recipient of a body, read back.
type Inspected struct {
	Email, Notice, Attempt Value
	values                 [MaxSlots]Value
	html                   [MaxSlots]Value
	have                   uint32
}

// Value returns the plain-text value of a slot, and whether its two forms are
// there and say the same.
func (m *Inspected) Value(slot int) (Value, bool) {
	if m.have>>(2*slot)&3 != 3 {
		return Value{}, false
	}
	var b []byte
	b = appendHTML(b, plain(m.values[slot].inside))
	return m.values[slot], bytes.Equal(b, m.html[slot].inside)
}

// errInspect means that a body is not one that Body writes.
var errInspect = errors.New("not a body of personalizations")

// Inspect reads a body back with code that shares nothing with the writer and
// calls f for every recipient in order, until f returns false. What f is given
// holds until it returns.
func Inspect(body []byte, f func(*Inspected) bool) error {
	s := scanner{b: body}
	if !s.open('{') {
		return errInspect
	}
	if key, ok := s.str(); !ok || string(key) != "personalizations" || !s.open(':') || !s.open('[') {
		return errInspect
	}
	var m Inspected
	part := func(key []byte) bool { return s.part(key, &m) }
	for first := true; !s.open(']'); first = false {
		if !first && !s.open(',') {
			return errInspect
		}
		m = Inspected{}
		if err := s.object(part); err != nil {
			return err
		}
		if !f(&m) {
			return nil
		}
	}
	return nil
}

func (s *scanner) object(field func(key []byte) bool) error {
	if !s.open('{') {
		return errInspect
	}
	for first := true; !s.open('}'); first = false {
		if !first && !s.open(',') {
			return errInspect
		}
		key, ok := s.str()
		if !ok || !s.open(':') || !field(key) {
			return errInspect
		}
	}
	return nil
}

func (s *scanner) value(into *Value) (ok bool) {
	into.inside, ok = s.str()
	return ok
}

func (s *scanner) part(key []byte, m *Inspected) bool {
	switch string(key) {
	case "to":
		return s.open('[') && s.object(func(key []byte) bool {
			return string(key) == "email" && s.value(&m.Email)
		}) == nil && s.open(']') // exactly one address
	case "custom_args":
		return s.object(func(key []byte) bool {
			switch string(key) {
			case "n":
				return s.value(&m.Notice)
			case "b":
				return s.value(&m.Attempt)
			}
			return false
		}) == nil
	case "substitutions":
		return s.object(func(key []byte) bool { return s.substitution(key, m) }) == nil
	}
	return false
}

func (s *scanner) substitution(key []byte, m *Inspected) bool {
	name, ours := bytes.CutPrefix(key, []byte(tagMark))
	name, whole := bytes.CutSuffix(name, []byte("-"))
	if !ours || !whole || len(name) < 2 {
		return false
	}
	i, err := strconv.Atoi(string(name[1:]))
	switch {
	case err != nil || i < 0 || i >= MaxSlots:
		return false
	case string(key) == textTags[i]:
		m.have |= 1 << (2 * i)
		return s.value(&m.values[i])
	case string(key) == htmlTags[i]:
		m.have |= 2 << (2 * i)
		return s.value(&m.html[i])
	}
	return false
}
