package desk

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/person"
	"tocsin.dev/services/desk/console"
)

// findForm is what was looked for. It is sent by POST: an address would be
// logged, and kept by the browser.
type findForm struct {
	Find, Reference, Case string
	After                 person.Number
}

func (s *Service) pagePeople(w http.ResponseWriter, r *http.Request, u User) error {
	if _, err := mayAct(u, mayReveal); err != nil {
		return err
	}
	return s.renderPeople(w, r, u, findForm{Case: r.URL.Query().Get("case")}, nil, nil)
}

func (s *Service) doFindPeople(w http.ResponseWriter, r *http.Request, u User) error {
	if err := r.ParseForm(); err != nil {
		return badRequest(err)
	}
	v := r.PostForm
	after, _ := strconv.ParseUint(v.Get("after"), 10, 32)
	f := findForm{Find: v.Get("find"), Reference: v.Get("reference"), Case: strings.TrimSpace(v.Get("case")), After: person.Number(after)}
	found, err := s.FindPeople(r.Context(), u, event.PersonQuestion{Find: f.Find, Ref: f.Reference, Case: f.Case, After: f.After})
	if err != nil {
		return s.renderPeople(w, r, u, f, nil, noCase(err, f.Case))
	}
	return s.renderPeople(w, r, u, f, &found, nil)
}

func (s *Service) renderPeople(w http.ResponseWriter, r *http.Request, u User, f findForm, found *event.PersonAnswer, cause error) error {
	page := struct {
		console.Frame
		F     findForm
		Found *event.PersonAnswer
	}{s.frame(r, u, "People", "people"), f, found}
	return s.renderForm(w, "people", &page.Frame, &page, cause)
}

// personPage shows one person. F is the form to reveal, E the form to erase.
type personPage struct {
	console.Frame
	P        event.PersonFound
	F        struct{ Reason, Case string }
	E        struct{ Reason, Confirm string }
	MayErase bool
}

func (s *Service) newPersonPage(r *http.Request, u User, p event.PersonFound) *personPage {
	page := &personPage{Frame: s.frame(r, u, fmt.Sprintf("Person %d", p.Number), "people"), P: p, MayErase: u.Has(mayErase...)}
	page.Back, page.BackText = "/people", "People"
	page.F.Case = r.URL.Query().Get("case")
	return page
}

func personOf(r *http.Request) (person.Number, error) {
	n, err := strconv.ParseUint(r.PathValue("person"), 10, 32)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("person %q: %w", r.PathValue("person"), ErrNotFound)
	}
	return person.Number(n), nil
}

func (s *Service) pagePerson(w http.ResponseWriter, r *http.Request, u User) error {
	n, err := personOf(r)
	if err != nil {
		return err
	}
	p, err := s.ShowPerson(r.Context(), u, n)
	if err != nil {
		return err
	}
	page := s.newPersonPage(r, u, p)
	return s.renderForm(w, "person", &page.Frame, page, nil)
}

func (s *Service) doReveal(w http.ResponseWriter, r *http.Request, u User) error {
	n, err := personOf(r)
	if err != nil {
		return err
	}
	reason, caseID := r.PostFormValue("reason"), strings.TrimSpace(r.PostFormValue("case"))
	p, cause := s.RevealPerson(r.Context(), u, n, reason, caseID)
	if cause != nil {
		if p, err = s.ShowPerson(r.Context(), u, n); err != nil {
			return err
		}
	}
	page := s.newPersonPage(r, u, p)
	page.F.Reason, page.F.Case = reason, caseID
	return s.renderForm(w, "person", &page.Frame, page, noCase(cause, caseID))
}

// noCase says beside the form that it names a case that does not exist.
func noCase(err error, caseID string) error {
	if err != nil && caseID != "" && answer(err).Status == http.StatusNotFound {
		return invalid("case", "There is no case %q", caseID)
	}
	return err
}

func (s *Service) doErase(w http.ResponseWriter, r *http.Request, u User) error {
	n, err := personOf(r)
	if err != nil {
		return err
	}
	reason, typed := r.PostFormValue("erase_reason"), strings.TrimSpace(r.PostFormValue("confirm"))
	confirm, _ := strconv.ParseUint(typed, 10, 32)
	erased, cause := s.ErasePerson(r.Context(), u, n, person.Number(confirm), reason)
	if cause == nil {
		done := fmt.Sprintf("Person %d was erased. Nobody can read their data any more.", n)
		if erased == 0 {
			done = fmt.Sprintf("Person %d had been erased before.", n)
		}
		return s.done(w, r, fmt.Sprintf("/people/%d", n), done)
	}
	p, err := s.ShowPerson(r.Context(), u, n)
	if err != nil {
		return err
	}
	page := s.newPersonPage(r, u, p)
	page.E.Reason, page.E.Confirm = reason, typed
	return s.renderForm(w, "person", &page.Frame, page, cause)
}

func (s *Service) pageAudit(w http.ResponseWriter, r *http.Request, u User) error {
	q := r.URL.Query()
	f := struct {
		Case       string
		Everything bool
	}{strings.TrimSpace(q.Get("case")), q.Get("everything") != ""}
	a, err := s.Audit(r.Context(), u, event.AuditQuestion{Case: f.Case, Everything: f.Everything, After: q.Get("after")})
	if err != nil {
		return err
	}
	page := struct {
		console.Frame
		pageLinks
		F        any
		Entries  []event.AuditEntry
		Filtered bool
	}{s.frame(r, u, "Who looked at people's data", "people"), links(r, "after", a.Next), f, a.Entries, f.Case != ""}
	page.Back, page.BackText = "/people", "People"
	return s.renderForm(w, "audit", &page.Frame, &page, nil)
}
