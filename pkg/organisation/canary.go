package organisation

import (
	"errors"
	"strings"

	"tocsin.dev/pkg/person"
)

// Canary is a made-up person of the organisation's own: a name that nobody on
// a list bears, and a mailbox or a number that the organisation reads itself.
type Canary struct {
	GivenName  person.Text  `yaml:"given_name" json:"given_name"`
	FamilyName person.Text  `yaml:"family_name" json:"family_name"`
	Email      person.Email `yaml:"email,omitempty" json:"email,omitempty"`
	Phone      person.Phone `yaml:"phone,omitempty" json:"phone,omitempty"`
}

func (c Canary) validate() error {
	switch {
	case strings.TrimSpace(c.GivenName.Reveal()) == "" || strings.TrimSpace(c.FamilyName.Reveal()) == "":
		return errors.New("given_name and family_name are needed: choose a name that nobody on a list bears")
	case c.Email == "" && c.Phone == "":
		return errors.New("email or phone is needed: a mailbox or a number of the organisation's own")
	case c.Email != "" && !c.Email.Valid():
		return errors.New("email is not an email address")
	case c.Phone != "" && !c.Phone.Valid():
		return errors.New("phone is not a number such as +447700900123")
	}
	return nil
}
