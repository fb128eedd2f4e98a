package desk

import (
	"errors"
	"io"
	"net/http"
	"strconv"

	"tocsin.dev/pkg/event"
)

// enterForm is a list of people as it was typed, pasted or uploaded.
type enterForm struct {
	Dataset, Name, Medium, CSV string
	Categories                 []string
	SkipBad                    bool
}

func (s *Service) pageEnter(w http.ResponseWriter, r *http.Request, u User) error {
	return s.renderEnter(w, r, u, enterForm{Medium: "paper"}, nil, nil)
}

func (s *Service) doEnter(w http.ResponseWriter, r *http.Request, u User) error {
	f, err := enterFormOf(r)
	if err != nil {
		return err
	}
	number := r.PathValue("number")
	if _, err := s.Case(r.Context(), u, number); err != nil {
		return err
	}
	check := r.PostFormValue("do") != "take"
	report, err := s.EnterList(r.Context(), u, event.EnterQuestion{Dataset: f.Dataset, Name: f.Name, Categories: f.Categories, Medium: f.Medium,
		CSV: []byte(f.CSV), Check: check, SkipBad: f.SkipBad})
	if err != nil {
		return s.renderEnter(w, r, u, f, nil, err)
	}
	if report.TakenIn {
		return s.done(w, r, "/cases/"+number+"/scope", "Taken in: "+Number(report.New)+" new people, "+Number(report.Known)+
			" known before. Tick "+f.Dataset+" below to put them on the list.")
	}
	return s.renderEnter(w, r, u, f, &report, nil)
}

// enterFormOf reads the form; the text of a file that was chosen goes before
// what was typed. The whole request fits in memory, so nothing of it is ever
// written to a temporary file.
func enterFormOf(r *http.Request) (enterForm, error) {
	if err := r.ParseMultipartForm(maxRequest); err != nil && !errors.Is(err, http.ErrNotMultipart) { //nolint:gosec // consoleRoutes limits the body
		return enterForm{}, badRequest(err)
	}
	v := r.PostForm
	f := enterForm{Dataset: v.Get("dataset"), Name: v.Get("name"), Medium: v.Get("medium"), CSV: v.Get("csv"), Categories: v["categories"], SkipBad: v.Get("skip_bad") != ""}
	file, _, err := r.FormFile("file")
	if err != nil {
		return f, nil //nolint:nilerr // no file was chosen
	}
	data, err := io.ReadAll(file)
	if err := errors.Join(err, file.Close()); err != nil {
		return f, badRequest(err)
	}
	if len(data) > 0 {
		f.CSV = string(data)
	}
	return f, nil
}

func (s *Service) renderEnter(w http.ResponseWriter, r *http.Request, u User, f enterForm, report *event.EnterAnswer, cause error) error {
	if _, err := mayAct(u, mayEnter); err != nil {
		return err
	}
	c, err := s.Case(r.Context(), u, r.PathValue("number"))
	if err != nil {
		return err
	}
	page := struct {
		casePage
		F                   enterForm
		Report              *event.EnterAnswer
		Categories, Mediums []option
	}{s.caseFrame(r, u, c, "Enter a list by hand"), f, report, categoryOptions(f.Categories),
		[]option{{Value: "paper", Text: "On paper"}, {Value: "electronic", Text: "In a file or a system"}}}
	page.Back, page.BackText, page.Live = "/cases/"+c.Number+"/scope", "Who is affected", ""
	return s.renderForm(w, "enter", &page.Frame, &page, cause)
}

// pageDifference compares two sealed lists: those of the address, else the last two.
func (s *Service) pageDifference(w http.ResponseWriter, r *http.Request, u User) error {
	c, err := s.Case(r.Context(), u, r.PathValue("number"))
	if err != nil {
		return err
	}
	page := struct {
		casePage
		F         struct{ From, To string }
		Revisions []option
		D         *event.DifferenceAnswer
		Was, Is   int64
	}{casePage: s.caseFrame(r, u, c, "What changed between two lists")}
	page.Back, page.BackText = "/cases/"+c.Number+"/scope", "Who is affected"
	for _, l := range c.Sealed {
		page.Revisions = append(page.Revisions, option{Value: strconv.Itoa(l.Revision), Text: "List " + strconv.Itoa(l.Revision) + ", " + Number(l.People) + " people"})
	}
	n := len(c.Sealed)
	if n < 2 {
		return s.renderForm(w, "difference", &page.Frame, &page, nil)
	}
	page.F.From, page.F.To = firstOf(r.URL.Query().Get("from"), page.Revisions[n-2].Value), firstOf(r.URL.Query().Get("to"), page.Revisions[n-1].Value)
	from, _ := strconv.Atoi(page.F.From) // a word that is no number is no list
	to, _ := strconv.Atoi(page.F.To)
	d, cause := s.CompareLists(r.Context(), u, c.Number, from, to)
	if cause == nil {
		page.D, page.Was, page.Is = &d, c.Revision(from).People, c.Revision(to).People
	}
	return s.renderForm(w, "difference", &page.Frame, &page, cause)
}

// pagePrivileged shows what the lists say about the organisation itself.
func (s *Service) pagePrivileged(w http.ResponseWriter, r *http.Request, u User) error {
	findings, err := s.Findings(r.Context(), u, r.PathValue("number"))
	if err != nil {
		return err
	}
	c, err := s.Case(r.Context(), u, r.PathValue("number"))
	if err != nil {
		return err
	}
	page := struct {
		casePage
		Findings []event.FindingsAnswer
		Promised int
	}{casePage: s.caseFrame(r, u, c, "Privileged findings"), Findings: findings}
	page.Back, page.BackText = "/cases/"+c.Number+"/scope", "Who is affected"
	if org, err := s.cfg.Organisations.Get(u.Org); err == nil {
		page.Promised = org.RetentionMonths
	}
	return s.renderForm(w, "privileged", &page.Frame, &page, nil)
}
