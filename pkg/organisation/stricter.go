package organisation

import (
	"fmt"
	"slices"
)

// StricterApproval is what a law or a language demands of a yes on top of the
// organisation's policy. It names a duty, a language, or both of which either counts.
type StricterApproval struct {
	// Duty is the id of a law ("us-hipaa") or of one of its rules ("us-hipaa.people").
	Duty string `yaml:"duty,omitempty" json:"duty,omitempty"`
	// Language is a BCP 47 tag; "sv" counts for "sv-FI".
	Language string `yaml:"language,omitempty" json:"language,omitempty"`
	// Eyes is how many people must say yes, if more than otherwise.
	Eyes int `yaml:"eyes,omitempty" json:"eyes,omitempty"`
	// Roles may approve, of those that otherwise may; empty leaves them all.
	Roles []string `yaml:"roles,omitempty" json:"roles,omitempty"`
	// ReadersOnly demands a reader of every language of the texts.
	ReadersOnly bool `yaml:"readers_only,omitempty" json:"readers_only,omitempty"`
}

// With returns the policy with a further demand.
func (p Approval) With(rule StricterApproval) Approval {
	p.Eyes = max(p.Eyes, rule.Eyes)
	p.ReadersOnly = p.ReadersOnly || rule.ReadersOnly
	if len(rule.Roles) > 0 {
		p.Roles = slices.DeleteFunc(slices.Clone(p.Roles), func(role string) bool { return !slices.Contains(rule.Roles, role) })
	}
	return p
}

// validate refuses demands that say nothing, or that together leave nobody to approve.
func (p Approval) validate() error {
	all := p
	for i, rule := range p.Stricter {
		switch {
		case rule.Duty == "" && rule.Language == "":
			return fmt.Errorf("approval.stricter[%d] names neither a duty nor a language", i)
		case rule.Eyes == 0 && len(rule.Roles) == 0 && !rule.ReadersOnly:
			return fmt.Errorf("approval.stricter[%d] demands nothing: give eyes, roles or readers_only", i)
		case p.OnePerson:
			return fmt.Errorf("approval.stricter[%d] cannot stand beside one_person", i)
		case len(all.With(rule).Roles) == 0:
			return fmt.Errorf("approval.stricter[%d].roles are %v, of which approval.roles and the demands before leave none", i, rule.Roles)
		}
		all = all.With(rule)
	}
	return nil
}
