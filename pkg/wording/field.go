package wording

import (
	"strings"

	"tocsin.dev/pkg/organisation"
	"tocsin.dev/pkg/person"
)

// Field is a merge field of the closed list.
type Field string

// Fields that differ from person to person.
const (
	GivenName  Field = "person.given_name"
	FamilyName Field = "person.family_name"
	FullName   Field = "person.full_name"
	// AddressSource is where the organisation has a bought address from.
	AddressSource     Field = "person.source"
	ExposedCategories Field = "exposed.categories"
	Reference         Field = "notice.reference"
)

// Fields that are the same for everybody who gets the text.
const (
	OrganisationName  Field = "organisation.name"
	OrganisationReach Field = "organisation.contact"
	ContactLabel      Field = "organisation.contact_label"
	ContactEmail      Field = "organisation.contact_email"
	ContactPhone      Field = "organisation.contact_phone"
	ContactURL        Field = "organisation.contact_url"
	CaseNumber        Field = "case.number"
	WhatHappened      Field = "facts.what_happened"
	When              Field = "facts.when"
	Consequences      Field = "facts.consequences"
	Measures          Field = "facts.measures"
	Advice            Field = "facts.advice"
)

// Fields returns the closed list in the order it is shown to writers.
func Fields() []Field {
	return []Field{
		GivenName, FamilyName, FullName, AddressSource, ExposedCategories, Reference,
		OrganisationName, OrganisationReach, ContactLabel, ContactEmail, ContactPhone, ContactURL,
		CaseNumber, WhatHappened, When, Consequences, Measures, Advice,
	}
}

func (f Field) known() bool {
	for _, k := range Fields() {
		if f == k {
			return true
		}
	}
	return false
}

// Personal reports whether the field differs from person to person.
func (f Field) Personal() bool {
	switch f {
	case GivenName, FamilyName, FullName, AddressSource, ExposedCategories, Reference:
		return true
	}
	return false
}

func fieldList() string {
	names := make([]string, 0, len(Fields()))
	for _, f := range Fields() {
		names = append(names, string(f))
	}
	return strings.Join(names, ", ")
}

// Common is what is the same for everybody who gets a text.
type Common struct {
	Organisation *organisation.Organisation
	CaseNumber   string
	// Sheet is the facts sheet in the text's language, from casefile.Case.Sheet.
	Sheet map[string]string
}

func (c Common) value(f Field) string {
	if name, ok := strings.CutPrefix(string(f), "facts."); ok {
		return c.Sheet[name]
	}
	if f == CaseNumber {
		return c.CaseNumber
	}
	if c.Organisation == nil {
		return ""
	}
	if f == OrganisationName {
		return c.Organisation.Name
	}
	return contactValue(c.Organisation.Contact, f)
}

func contactValue(p *organisation.ContactPoint, f Field) string {
	if p == nil {
		return ""
	}
	switch f {
	case ContactLabel:
		return p.Label
	case ContactEmail:
		return p.Email
	case ContactPhone:
		return p.Phone
	case ContactURL:
		return p.URL
	case OrganisationReach:
		var parts []string
		for _, part := range []string{p.Label, p.Email, p.Phone, p.Post, p.URL} {
			if part != "" {
				parts = append(parts, part)
			}
		}
		return strings.Join(parts, ", ")
	}
	return ""
}

// Recipient is one person to be written to.
type Recipient struct {
	Contact *person.Contact
	// Reference is the notice's own reference, which the person may quote.
	Reference string
	// PossibleDuplicate marks a second copy sent after an unresolved doubt.
	PossibleDuplicate bool
}

// Value returns a person's value of a personal field in a language. It returns
// "" for a value the person lacks.
func (r Recipient) Value(f Field, language string) string {
	c := r.Contact
	switch f {
	case GivenName:
		return c.GivenName.Reveal()
	case FamilyName:
		return c.FamilyName.Reveal()
	case FullName:
		return strings.TrimSpace(c.GivenName.Reveal() + " " + c.FamilyName.Reveal())
	case AddressSource:
		return c.Source.Reveal()
	case ExposedCategories:
		return Categories(c.Exposed, language)
	case Reference:
		return r.Reference
	}
	return ""
}

// meets reports whether the recipient meets a condition.
func (r Recipient) meets(c Condition) bool {
	p := r.Contact
	switch c.Kind {
	case "exposed":
		return p.Exposed.Has(c.categories)
	case "person.minor":
		return p.AgeClass == person.AgeMinor
	case "person.has_name":
		return p.GivenName != "" || p.FamilyName != ""
	case "person.has_source":
		return p.Source != ""
	case "notice.possible_duplicate":
		return r.PossibleDuplicate
	case "person.relation":
		return p.Relation == c.Value
	case "person.residency":
		return p.Jurisdiction == c.Value || strings.HasPrefix(p.Jurisdiction, c.Value+"-")
	}
	return false
}
