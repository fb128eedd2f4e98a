// Package person holds the types that carry personal data. Every one of them
// redacts itself when printed, logged or formatted, so that a stray %v shows
// "[email]" and not an address. The data come out only through the methods
// named Reveal.
package person

import (
	"fmt"
	"log/slog"

	"tocsin.dev/pkg/category"
)

// Number is a person's number in the inventory of one organisation. Numbers
// are dense, start at 1, and are never reused.
type Number uint32

// Email is an email address.
type Email string

// Phone is a phone number in E.164.
type Phone string

// Text is any other personal text: a name, a line of an address.
type Text string

// Reveal returns the address itself.
func (e Email) Reveal() string { return string(e) }

// Reveal returns the number itself.
func (p Phone) Reveal() string { return string(p) }

// Reveal returns the text itself.
func (t Text) Reveal() string { return string(t) }

// String implements fmt.Stringer by redaction.
func (e Email) String() string { return redacted(string(e), "[email]") }

// String implements fmt.Stringer by redaction.
func (p Phone) String() string { return redacted(string(p), "[phone]") }

// String implements fmt.Stringer by redaction.
func (t Text) String() string { return redacted(string(t), "[text]") }

// Format implements fmt.Formatter so that no verb shows the address.
func (e Email) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(e.String())) }

// Format implements fmt.Formatter so that no verb shows the number.
func (p Phone) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(p.String())) }

// Format implements fmt.Formatter so that no verb shows the text.
func (t Text) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(t.String())) }

// LogValue implements slog.LogValuer by redaction.
func (e Email) LogValue() slog.Value { return slog.StringValue(e.String()) }

// LogValue implements slog.LogValuer by redaction.
func (p Phone) LogValue() slog.Value { return slog.StringValue(p.String()) }

// LogValue implements slog.LogValuer by redaction.
func (t Text) LogValue() slog.Value { return slog.StringValue(t.String()) }

func redacted(s, mark string) string {
	if s == "" {
		return ""
	}
	return mark
}

// Age classes of people.
const (
	AgeUnknown = "unknown"
	AgeAdult   = "adult"
	AgeMinor   = "minor"
)

// Contact is what a sender needs to write to one person about one case: who
// they are, where they can be reached, and what of theirs was exposed. Its
// JSON form is spoken between scope and notice only and never stored.
type Contact struct {
	Number     Number `json:"n"`
	GivenName  Text   `json:"given,omitempty"`
	FamilyName Text   `json:"family,omitempty"`
	Email      Email  `json:"email,omitempty"`
	Phone      Phone  `json:"phone,omitempty"`
	Fax        Phone  `json:"fax,omitempty"`
	// Address is the postal address, one line each, the country last.
	Address []Text `json:"address,omitempty"`
	// Language is a BCP 47 tag, or empty when unknown.
	Language string `json:"lang,omitempty"`
	// Jurisdiction is the ISO 3166 code of residence ("SE", "US-CA"), or empty when unknown.
	Jurisdiction string `json:"jur,omitempty"`
	AgeClass     string `json:"age,omitempty"`
	// Relation is "customer", "former", "applicant", "third_person", "bought_list" or "device_only".
	Relation string `json:"rel,omitempty"`
	// Source is where the organisation has a bought address from, or empty.
	Source Text `json:"source,omitempty"`
	// Preference is the channel the person asked for, or empty.
	Preference string `json:"pref,omitempty"`
	// Exposed is what of this person was exposed in this revision.
	Exposed category.Set `json:"exp"`
	// Guardian, if set, is the person who is told instead of a minor.
	Guardian Number `json:"guardian,omitempty"`
	Deceased bool   `json:"dead,omitempty"`
}

// LogValue implements slog.LogValuer: a contact logs as its number alone.
func (c Contact) LogValue() slog.Value { return slog.Uint64Value(uint64(c.Number)) }

// String returns the person number alone.
func (c Contact) String() string { return fmt.Sprintf("person %d", c.Number) }

// Format implements fmt.Formatter so that no verb shows the contact.
func (c Contact) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(c.String())) }
