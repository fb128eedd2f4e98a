package wording

import (
	"errors"
	"fmt"
	"html"
	"strings"
	"sync"

	"tocsin.dev/pkg/event"
)

// Message is what one person receives, byte for byte.
type Message struct {
	// Subject is empty for channels without one.
	Subject string
	// Text is the plain text: the body of an SMS, the text part of an email.
	Text string
	// HTML is the HTML part of an email, or empty.
	HTML string
}

// ErrMissing means that a person, the organisation or the facts sheet lacks a
// value that the text needs.
var ErrMissing = errors.New("missing merge value")

// Bound is a template bound to what is the same for everybody. It is safe for
// concurrent use.
type Bound struct {
	t      *Template
	common Common

	mu       sync.RWMutex
	variants map[uint64]*Variant
}

// Bind ties the template to an organisation, a case and its facts sheet. It
// returns ErrMissing naming the field if a common value is empty.
func (t *Template) Bind(common Common) (*Bound, error) {
	for _, f := range t.fields {
		if !f.Personal() && common.value(f) == "" {
			return nil, fmt.Errorf("%w: %s needs {{%s}}, which is empty", ErrMissing, t.Key, f)
		}
		if f == ExposedCategories && !Speaks(t.Key.Language) {
			return nil, fmt.Errorf("%w: %s uses {{%s}}, and the kinds of data have names in English and Swedish only; write them out in words inside {{#if exposed.…}} parts", ErrMissing, t.Key, f)
		}
	}
	return &Bound{t: t, common: common, variants: map[uint64]*Variant{}}, nil
}

// Key returns which text this is.
func (b *Bound) Key() string { return b.t.Key.String() }

// TextKey returns which text this is.
func (b *Bound) TextKey() event.TextKey { return b.t.Key }

// Met returns the conditions of the text that the recipient meets, as they are written in it.
func (b *Bound) Met(r Recipient) []string { return b.t.names(b.t.met(r)) }

// Language returns the language of the text.
func (b *Bound) Language() string { return b.t.Key.Language }

// Variant is the text laid out for everybody who meets the same conditions.
type Variant struct {
	// ID has one bit for each condition met, in the order of Template.Conditions.
	ID uint64
	// Subject, Text and HTML are literal pieces and slots in order.
	Subject, Text, HTML []Piece
	// Slots are the distinct personal fields of the variant.
	Slots []Field
}

// Piece is a literal, or the slot of a personal field.
type Piece struct {
	Literal string
	Slot    Field
}

// Variant returns the layout that the recipient gets.
func (b *Bound) Variant(r Recipient) *Variant {
	id := b.t.met(r)
	b.mu.RLock()
	v := b.variants[id]
	b.mu.RUnlock()
	if v != nil {
		return v
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if v = b.variants[id]; v == nil {
		v = b.layOut(id)
		b.variants[id] = v
	}
	return v
}

// Render writes the message for one recipient. It returns ErrMissing, naming
// the person number and the field, if the person lacks a value.
func (b *Bound) Render(r Recipient) (Message, error) {
	v := b.Variant(r)
	for _, f := range v.Slots {
		if r.Value(f, b.Language()) == "" {
			return Message{}, fmt.Errorf("%w: person %d has no {{%s}}, which %s needs", ErrMissing, r.Contact.Number, f, b.t.Key)
		}
	}
	plain := func(f Field) string { return r.Value(f, b.Language()) }
	return Message{
		Subject: Join(v.Subject, plain),
		Text:    Join(v.Text, plain),
		HTML:    Join(v.HTML, func(f Field) string { return html.EscapeString(plain(f)) }),
	}, nil
}

// Join writes pieces, taking the value of each slot from value.
func Join(pieces []Piece, value func(Field) string) string {
	if len(pieces) == 1 && pieces[0].Slot == "" {
		return pieces[0].Literal
	}
	var out strings.Builder
	for _, p := range pieces {
		if p.Slot == "" {
			out.WriteString(p.Literal)
		} else {
			out.WriteString(value(p.Slot))
		}
	}
	return out.String()
}
