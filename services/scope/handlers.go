package scope

import (
	"context"
	"errors"
	"slices"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/category"
	"tocsin.dev/pkg/event"
	"tocsin.dev/services/scope/inventory"
)

// answer registers what the service answers. Who may ask what is decided by the
// permissions of the bus; a person's role is checked here as well.
func (s *Service) answer() {
	bus.Answer(s.cfg.Bus, event.AskInventory, s.answerInventory)
	bus.Answer(s.cfg.Bus, event.AskPreview, s.answerPreview)
	bus.Answer(s.cfg.Bus, event.AskContacts, s.answerContacts)
	bus.Answer(s.cfg.Bus, event.AskPerson, s.answerPerson)
	bus.Answer(s.cfg.Bus, event.AskDifference, s.answerDifference)
	bus.Answer(s.cfg.Bus, event.AskEnter, s.answerEnter)
	bus.Answer(s.cfg.Bus, event.AskErase, s.answerErase)
	bus.Answer(s.cfg.Bus, event.AskWording, s.answerWording)
	bus.Answer(s.cfg.Bus, event.AskAudit, s.answerAudit)
	bus.Answer(s.cfg.Bus, event.AskFindings, s.answerFindings)
}

// refusal turns a store's error into one for the person who asked.
func refusal(err error) error {
	switch {
	case errors.Is(err, inventory.ErrUnknownDataset), errors.Is(err, inventory.ErrExposure), errors.Is(err, inventory.ErrAsked):
		return bus.Refuse("invalid", "%s", err)
	case errors.Is(err, inventory.ErrNoInventory), errors.Is(err, inventory.ErrNotSealed), errors.Is(err, inventory.ErrNotOnList):
		return bus.Refuse("not_found", "%s", err)
	case errors.Is(err, inventory.ErrNotAllowed):
		return bus.Refuse("forbidden", "%s", err)
	case errors.Is(err, inventory.ErrBusy):
		return bus.Refuse("busy", "%s", err)
	}
	return err
}

func (s *Service) known(org string) error {
	if _, err := s.cfg.Organisations.Get(org); err != nil {
		return bus.Refuse("not_found", "%s", err)
	}
	return nil
}

func (s *Service) answerInventory(ctx context.Context, q event.InventoryQuestion) (event.InventoryAnswer, error) {
	if err := s.known(q.Org); err != nil {
		return event.InventoryAnswer{}, err
	}
	a, err := s.store.Inventory(ctx, q.Org)
	return a, refusal(err)
}

// answerPreview counts. What cannot be answered is said as the Problem of the
// answer, so that a page shows it beside the form.
func (s *Service) answerPreview(ctx context.Context, q event.PreviewQuestion) (event.PreviewAnswer, error) {
	org, err := s.cfg.Organisations.Get(q.Org)
	if err != nil {
		return event.PreviewAnswer{}, bus.Refuse("not_found", "%s", err)
	}
	a, err := s.store.Preview(ctx, q.Org, q.Exposures, policyOf(org))
	if lasting(err) {
		return event.PreviewAnswer{Problem: err.Error()}, nil
	}
	return a, refusal(err)
}

func (s *Service) answerContacts(ctx context.Context, q event.ContactsQuestion) (event.ContactsAnswer, error) {
	if q.Asker != nil {
		if err := allowed(*q.Asker, mayReveal[:]); err != nil {
			return event.ContactsAnswer{}, err
		}
	}
	a, err := s.store.Contacts(ctx, q)
	if err != nil {
		return a, refusal(err)
	}
	s.contacts.Add(ctx, int64(len(a.Contacts)))
	return a, nil
}

// mayReveal are the roles that may look for and reveal a person.
var mayReveal = [...]string{"dpo", "legal", "admin"}

func allowed(asker event.Actor, roles []string) error {
	if asker.Kind != event.PersonActor || asker.ID == "" || !slices.Contains(roles, asker.Role) {
		return bus.Refuse("forbidden", "the role %q may not do this", asker.Role)
	}
	return nil
}

func (s *Service) answerPerson(ctx context.Context, q event.PersonQuestion) (event.PersonAnswer, error) {
	if err := allowed(q.Asker, mayReveal[:]); err != nil {
		return event.PersonAnswer{}, err
	}
	a, err := s.store.FindPerson(ctx, q)
	return a, refusal(err)
}

func (s *Service) answerDifference(ctx context.Context, q event.DifferenceQuestion) (event.DifferenceAnswer, error) {
	a, err := s.store.Difference(ctx, q.Org, q.Case, q.From, q.To)
	return a, refusal(err)
}

// maxEntered bounds a list that comes over the bus, in bytes.
const maxEntered = 700_000

// answerEnter takes in a list that a person typed or uploaded.
func (s *Service) answerEnter(ctx context.Context, q event.EnterQuestion) (event.EnterAnswer, error) {
	var a event.EnterAnswer
	if err := s.known(q.Org); err != nil {
		return a, err
	}
	if err := allowed(q.Asker, []string{"analyst", "legal", "dpo", "admin"}); err != nil {
		return a, err
	}
	if len(q.CSV) == 0 || len(q.CSV) > maxEntered {
		return a, bus.Refuse("invalid", "a list is between 1 and %d bytes long; import a longer one with the command line", maxEntered)
	}
	set, err := category.ParseAll(q.Categories)
	if err != nil {
		return a, bus.Refuse("invalid", "%s", err)
	}
	sources := inventory.Entered(inventory.Dataset{Key: q.Dataset, Name: q.Name, Categories: set, Medium: q.Medium}, string(q.CSV))
	report, err := s.store.Import(ctx, q.Org, sources, inventory.Options{Check: q.Check, SkipBad: q.SkipBad, What: "list entered by " + q.Asker.ID})
	a = event.EnterAnswer{
		TakenIn: err == nil && !q.Check, Rows: report.People, New: report.New, Known: report.Known, Erased: report.Erased, Bad: report.Bad,
	}
	for _, e := range report.Errors[:min(len(report.Errors), 100)] {
		a.Errors = append(a.Errors, e.Error())
	}
	switch {
	case err == nil, errors.Is(err, inventory.ErrBadRows):
		return a, nil
	case errors.Is(err, inventory.ErrBusy):
		return a, refusal(err)
	}
	return a, bus.Refuse("invalid", "%s", err)
}

func (s *Service) answerErase(ctx context.Context, q event.EraseQuestion) (event.EraseAnswer, error) {
	if err := allowed(q.Asker, []string{"dpo", "admin"}); err != nil {
		return event.EraseAnswer{}, err
	}
	if q.Reason == "" || len(q.Numbers) == 0 || len(q.Numbers) > event.MaxContacts {
		return event.EraseAnswer{}, bus.Refuse("invalid", "say why, and name between 1 and %d people", event.MaxContacts)
	}
	n, err := s.store.Erase(ctx, q.Org, q.Numbers, q.Asker.ID, q.Reason)
	return event.EraseAnswer{Erased: n}, refusal(err)
}

func (s *Service) answerAudit(ctx context.Context, q event.AuditQuestion) (event.AuditAnswer, error) {
	if err := allowed(q.Asker, mayReveal[:]); err != nil {
		return event.AuditAnswer{}, err
	}
	a, err := s.store.AuditPage(ctx, q)
	return a, refusal(err)
}

func (s *Service) answerFindings(ctx context.Context, q event.FindingsQuestion) (event.FindingsAnswer, error) {
	if err := allowed(q.Asker, []string{"dpo", "legal"}); err != nil {
		return event.FindingsAnswer{}, err
	}
	sealed, err := s.store.SealedRevision(ctx, q.Org, q.Case, q.Revision)
	if err != nil {
		return event.FindingsAnswer{}, refusal(err)
	}
	return event.FindingsAnswer{Revision: sealed.Revision, People: sealed.People, KeptTooLong: sealed.Preview.KeptTooLong,
		Erased: sealed.Preview.Erased, Relations: sealed.Preview.Relations}, nil
}
