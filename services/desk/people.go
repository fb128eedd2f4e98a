package desk

import (
	"context"
	"fmt"
	"strings"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/person"
)

// Who may look into the inventory of people. Scope checks the roles again.
var (
	mayReveal = []Role{DPO, Legal, Admin}
	mayErase  = []Role{DPO, Admin}
	mayEnter  = []Role{Analyst, DPO, Legal, Admin}
	// mayPrivileged see what a lawyer would keep out of the case file.
	mayPrivileged = []Role{Legal, DPO}
)

// Limits of what is asked about people.
const (
	maxFind   = 400
	maxReason = 400
	maxList   = 700_000 // bytes of a list typed in
)

// FindPeople looks for people by what they call themselves: masked, and audited.
func (s *Service) FindPeople(ctx context.Context, who User, q event.PersonQuestion) (event.PersonAnswer, error) {
	bad := &Invalid{}
	q.Find, q.Ref = strings.TrimSpace(q.Find), strings.TrimSpace(q.Ref)
	q.Number, q.Reveal = 0, false
	checkLength(bad, "find", q.Find, 0, maxFind, "")
	checkLength(bad, "reference", q.Ref, 0, maxFind, "")
	if q.Find == "" && q.Ref == "" {
		bad.add("find", "Give an email address, a phone number with its country code, or a full name")
	}
	if q.Find != "" && q.Ref != "" {
		bad.add("reference", "Search by one of the two; leave the other empty")
	}
	if err := bad.or(); err != nil {
		return event.PersonAnswer{}, err
	}
	return s.askPerson(ctx, who, q)
}

// ShowPerson shows one person, masked; it is audited as well.
func (s *Service) ShowPerson(ctx context.Context, who User, number person.Number) (event.PersonFound, error) {
	return s.onePerson(ctx, who, event.PersonQuestion{Number: number})
}

// RevealPerson shows who a person is, for a reason that stands in the audit.
func (s *Service) RevealPerson(ctx context.Context, who User, number person.Number, reason, caseID string) (event.PersonFound, error) {
	bad := &Invalid{}
	reason = strings.TrimSpace(reason)
	checkLength(bad, "reason", reason, 3, maxReason, "Say why you need to see who this is; it is logged")
	if err := bad.or(); err != nil {
		return event.PersonFound{}, err
	}
	return s.onePerson(ctx, who, event.PersonQuestion{Number: number, Reveal: true, Reason: reason, Case: caseID})
}

func (s *Service) onePerson(ctx context.Context, who User, q event.PersonQuestion) (event.PersonFound, error) {
	a, err := s.askPerson(ctx, who, q)
	if err != nil {
		return event.PersonFound{}, err
	}
	if len(a.People) == 0 {
		return event.PersonFound{}, fmt.Errorf("person %d: %w", q.Number, ErrNotFound)
	}
	return a.People[0], nil
}

func (s *Service) askPerson(ctx context.Context, who User, q event.PersonQuestion) (event.PersonAnswer, error) {
	asker, err := mayAct(who, mayReveal)
	if err != nil {
		return event.PersonAnswer{}, err
	}
	if q.Case != "" {
		if _, err := s.load(ctx, who.Org, q.Case); err != nil {
			return event.PersonAnswer{}, err
		}
	}
	q.Org, q.Asker = who.Org, asker
	a, err := bus.Ask[event.PersonQuestion, event.PersonAnswer](ctx, s.cfg.Bus, event.AskPerson, q)
	if err != nil {
		return a, asked("people", err)
	}
	return a, nil
}

// ErasePerson erases a person at their request. confirm is the number once more.
func (s *Service) ErasePerson(ctx context.Context, who User, number, confirm person.Number, reason string) (int, error) {
	asker, err := mayAct(who, mayErase)
	if err != nil {
		return 0, err
	}
	bad := &Invalid{}
	reason = strings.TrimSpace(reason)
	checkLength(bad, "erase_reason", reason, 3, maxReason, "Say why; the record must stand up later")
	if confirm != number {
		bad.add("confirm", "Type the number of the person, %d: erasing cannot be undone", number)
	}
	if err := bad.or(); err != nil {
		return 0, err
	}
	q := event.EraseQuestion{Org: who.Org, Asker: asker, Numbers: []person.Number{number}, Reason: reason}
	a, err := bus.Ask[event.EraseQuestion, event.EraseAnswer](ctx, s.cfg.Bus, event.AskErase, q)
	if err != nil {
		return 0, asked("people", err)
	}
	return a.Erased, nil
}

// Audit lists who asked for people's data and why.
func (s *Service) Audit(ctx context.Context, who User, q event.AuditQuestion) (event.AuditAnswer, error) {
	asker, err := mayAct(who, mayReveal)
	if err != nil {
		return event.AuditAnswer{}, err
	}
	q.Org, q.Asker = who.Org, asker
	if q.Limit <= 0 || q.Limit > 1000 {
		q.Limit = pageSize
	}
	a, err := bus.Ask[event.AuditQuestion, event.AuditAnswer](ctx, s.cfg.Bus, event.AskAudit, q)
	if err != nil {
		return a, asked("audit", err)
	}
	return a, nil
}

// CompareLists says what changed from one sealed list of a case to another.
func (s *Service) CompareLists(ctx context.Context, who User, number string, from, to int) (event.DifferenceAnswer, error) {
	if _, err := mayAct(who, mayRead); err != nil {
		return event.DifferenceAnswer{}, err
	}
	c, err := s.load(ctx, who.Org, number)
	if err != nil {
		return event.DifferenceAnswer{}, err
	}
	bad := &Invalid{}
	for field, revision := range map[string]int{"from": from, "to": to} {
		if c.Revision(revision) == nil {
			bad.add(field, "There is no list %d", revision)
		}
	}
	if err := bad.or(); err != nil {
		return event.DifferenceAnswer{}, err
	}
	a, err := bus.Ask[event.DifferenceQuestion, event.DifferenceAnswer](ctx, s.cfg.Bus, event.AskDifference,
		event.DifferenceQuestion{Org: who.Org, Case: number, From: from, To: to})
	if err != nil {
		return a, asked("lists", err)
	}
	return a, nil
}

// Findings are the privileged part of a case: what its lists say about the
// organisation itself. They never stand in the journal.
func (s *Service) Findings(ctx context.Context, who User, number string) ([]event.FindingsAnswer, error) {
	asker, err := mayAct(who, mayPrivileged)
	if err != nil {
		return nil, err
	}
	c, err := s.load(ctx, who.Org, number)
	if err != nil {
		return nil, err
	}
	all := []event.FindingsAnswer{}
	for _, l := range c.Sealed {
		q := event.FindingsQuestion{Org: who.Org, Case: number, Revision: l.Revision, Asker: asker}
		a, err := bus.Ask[event.FindingsQuestion, event.FindingsAnswer](ctx, s.cfg.Bus, event.AskFindings, q)
		if err != nil {
			return nil, asked("lists", err)
		}
		all = append(all, a)
	}
	return all, nil
}

// EnterList checks or takes in a list of people that somebody typed or scanned.
func (s *Service) EnterList(ctx context.Context, who User, q event.EnterQuestion) (event.EnterAnswer, error) {
	asker, err := mayAct(who, mayEnter)
	if err != nil {
		return event.EnterAnswer{}, err
	}
	bad := &Invalid{}
	q.Dataset, q.Name = strings.TrimSpace(q.Dataset), strings.TrimSpace(q.Name)
	checkLength(bad, "dataset", q.Dataset, 1, 100, "Name the dataset, such as cabinet.files")
	checkLength(bad, "name", q.Name, 0, 200, "")
	q.Categories = checkCategories(bad, "categories", q.Categories)
	switch {
	case len(strings.TrimSpace(string(q.CSV))) == 0:
		bad.add("csv", "Type or paste the list: a header, then one person a line")
	case len(q.CSV) > maxList:
		bad.add("csv", "The list is longer than %d kB; an administrator imports it with tocsin inventory import", maxList/1000)
	}
	if err := bad.or(); err != nil {
		return event.EnterAnswer{}, err
	}
	q.Org, q.Asker = who.Org, asker
	a, err := bus.Ask[event.EnterQuestion, event.EnterAnswer](ctx, s.cfg.Bus, event.AskEnter, q)
	if err != nil {
		return a, asked("inventory", err)
	}
	return a, nil
}
