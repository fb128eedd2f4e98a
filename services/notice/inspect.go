package notice

import (
	"strings"

	"tocsin.dev/pkg/category"
	"tocsin.dev/pkg/wording"
	"tocsin.dev/services/notice/carrier"
	"tocsin.dev/services/notice/sendgrid"
)

// The second check: before a request leaves, what stands in it is read back and
// held against the person numbers it was written down for. The number decides;
// the way from the number to the address was checked against the plan in
// worker.letter, and here the way from the address to the bytes is.

// inspectEmail reads the body that is about to be sent.
func (w *worker) inspectEmail(body []byte, r *run) error {
	i := 0
	var bad error
	err := sendgrid.Inspect(body, func(m *sendgrid.Inspected) bool {
		if i >= len(r.letters) {
			bad = block("letter_mismatch", "a request for %d people names more", len(r.letters))
			return false
		}
		l := &r.letters[i]
		if what := w.wrong(m, l, r.attempt.id, i); what != "" {
			bad = block("letter_mismatch", "the message for person %d has the wrong %s", l.row.person, what)
			return false
		}
		i++
		return true
	})
	switch {
	case bad != nil:
		return bad
	case err != nil:
		return block("letter_mismatch", "a request cannot be read back: %v", err)
	case i != len(r.letters) || r.canary == nil && i != len(r.attempt.people) || r.canary != nil && i != len(r.attempt.people)+1:
		return block("letter_mismatch", "a request for %d people names %d", len(r.attempt.people), i)
	}
	return nil
}

// wrong says which part of a message does not belong to the person of its place, or "".
func (w *worker) wrong(m *sendgrid.Inspected, l *letter, attempt int64, pos int) string {
	c := l.to.named
	if l.row.person != c.Number {
		return "person"
	}
	if !m.Email.Is(l.to.reach.Email.Reveal()) {
		return "address"
	}
	var buf [40]byte
	if !m.Notice.Is(string(l.id.Append(buf[:0]))) || !m.Attempt.Is(string(carrier.AppendAttempt(buf[:0], attempt, pos))) {
		return "notice id"
	}
	for slot, f := range l.v.Slots {
		v, ok := m.Value(slot)
		if !ok && cleanLetter(l) {
			return string(f)
		}
		if ok && !w.belongs(v, f, l) {
			return string(f)
		}
	}
	return ""
}

// belongs checks one value against the record and, for categories, against the
// ledger's own copy of what was exposed.
func (w *worker) belongs(v sendgrid.Value, f wording.Field, l *letter) bool {
	c := l.to.named
	switch f {
	case wording.GivenName:
		return v.Is(c.GivenName.Reveal())
	case wording.FamilyName:
		return v.Is(c.FamilyName.Reveal())
	case wording.FullName:
		return v.Is(strings.TrimSpace(c.GivenName.Reveal() + " " + c.FamilyName.Reveal()))
	case wording.AddressSource:
		return v.Is(c.Source.Reveal())
	case wording.ExposedCategories:
		return v.Is(wording.Categories(category.Set(l.row.exposed), l.text.Language()))
	case wording.Reference:
		return v.Is(reference(l.id))
	}
	return false
}

// inspectText holds a rendered text message against its person: the layout's
// words with that person's values between them, and nothing else.
func (w *worker) inspectText(text string, l *letter) error {
	if l.row.person != l.to.named.Number {
		return block("letter_mismatch", "the message for person %d belongs to person %d", l.row.person, l.to.named.Number)
	}
	rest := text
	for _, p := range l.v.Text {
		want := p.Literal
		if p.Slot != "" {
			want = l.rec.Value(p.Slot, l.text.Language())
			if p.Slot == wording.ExposedCategories {
				want = wording.Categories(category.Set(l.row.exposed), l.text.Language())
			}
		}
		var ok bool
		if rest, ok = strings.CutPrefix(rest, want); !ok {
			return block("letter_mismatch", "the text message for person %d is not what was approved", l.row.person)
		}
	}
	if rest != "" {
		return block("letter_mismatch", "the text message for person %d says more than was approved", l.row.person)
	}
	return nil
}
