package desk

import (
	"slices"

	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/organisation"
)

// termsOf writes the policy into the signed record, so that an auditor can
// verify it without the organisation's settings.
func termsOf(p organisation.Approval) *event.ApprovalTerms {
	return &event.ApprovalTerms{Eyes: max(p.Eyes, 1), Roles: slices.Clone(p.Roles), ReadersOnly: p.ReadersOnly, OnePerson: p.OnePerson}
}

// readBy returns which languages of the texts the person is marked able to read.
func readBy(who User, texts []event.ApprovedText) []string {
	var tags []string
	for _, t := range texts {
		if who.CanRead(t.Language) && !slices.Contains(tags, t.Language) {
			tags = append(tags, t.Language)
		}
	}
	slices.Sort(tags)
	return tags
}
