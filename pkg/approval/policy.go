package approval

import (
	"slices"
	"strings"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/organisation"
)

// PolicyFor returns what an organisation demands of a yes to some texts of the
// case as it is: its policy, made stricter by every rule for one of their
// languages or for a duty that the yes names or that is open towards people.
func PolicyFor(p organisation.Approval, c *casefile.Case, texts []event.ApprovedText, named []string) organisation.Approval {
	duties := slices.Clone(named)
	for id, d := range c.Duties {
		if d.ToKind == "people" && (d.State == casefile.DutyOpen || d.State == casefile.DutyMissed) {
			duties = append(duties, id)
		}
	}
	for _, rule := range p.Stricter {
		byLanguage := slices.ContainsFunc(texts, func(t event.ApprovedText) bool { return rule.Language != "" && base(t.Language) == base(rule.Language) })
		byDuty := slices.ContainsFunc(duties, func(id string) bool { return rule.Duty != "" && ofRule(id, rule.Duty) })
		if byLanguage || byDuty {
			p = p.With(rule)
		}
	}
	return p
}

// ofRule reports whether a duty comes from a rule ("us-hipaa.people") or a law ("us-hipaa").
func ofRule(duty, rule string) bool {
	rest, ok := strings.CutPrefix(duty, rule)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '_')
}
