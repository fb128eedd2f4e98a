package desk

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/services/desk/api"
	"tocsin.dev/services/desk/console"
)

// dutyView is a duty as a page shows it.
type dutyView struct {
	C       *casefile.Case
	D       *casefile.Duty
	Urgency Urgency
	// Pending says that it can still be met or waived.
	Pending bool
}

func viewDuty(c *casefile.Case, d *casefile.Duty, now time.Time) dutyView {
	return dutyView{c, d, UrgencyOf(d, now), d.State == casefile.DutyOpen || d.State == casefile.DutyMissed}
}

// taskView is a task with its name and the way to it.
type taskView struct {
	Task
	Label, Link string
}

func taskViews(c *casefile.Case, now time.Time) []taskView {
	ways := map[string][2]string{
		"scope": {"Find who is affected", "/scope"}, "assess": {"Assess the risk", "/assess"}, "wording": {"Write the texts", "/wording"},
		"approve": {"Approve the texts", "/approve"}, "notify_regulator": {"Tell the regulator", "#duties"},
		"notify_people": {"Tell the people", "/dispatch"}, "close": {"Close the case", "/close"},
	}
	var out []taskView
	for _, t := range Tasks(c, now) {
		way := ways[t.Name]
		out = append(out, taskView{t, way[0], "/cases/" + c.Number + way[1]})
	}
	return out
}

// factView is a fact as a page shows it.
type factView struct {
	Key, Label, Value, Note, Who string
	KnownSince                   time.Time
}

func (s *Service) factViews(c *casefile.Case) []factView {
	var out []factView
	for _, f := range apiFacts(c) {
		out = append(out, factView{f.Key, FactLabel(f.Key), f.Value, f.Note, s.name(f.StatedBy), f.KnownSince})
	}
	return out
}

// newestStories is how many entries the case page shows.
const newestStories = 12

func (s *Service) pageCase(w http.ResponseWriter, r *http.Request, u User) error {
	if _, err := mayAct(u, mayRead); err != nil {
		return err
	}
	c, err := s.Case(r.Context(), u, r.PathValue("number"))
	if err != nil {
		return err
	}
	entries, err := s.Entries(r.Context(), u, c.Number)
	if err != nil {
		return err
	}
	var (
		asOf  time.Time
		cause error
		now   = s.cfg.Now()
	)
	if value := r.URL.Query().Get("as_of"); value != "" {
		bad := &Invalid{}
		asOf = instantField(bad, "as_of", value, s.zoneOf(u))
		if cause = bad.or(); cause == nil {
			var then *casefile.Case
			if then, cause = s.CaseAsOf(r.Context(), u, c.Number, asOf); cause == nil {
				c, now = then, asOf
				entries = slices.DeleteFunc(entries, func(e casefile.Entry) bool { return e.Seq > then.Seq })
			}
		}
		if cause != nil {
			asOf = time.Time{}
		}
	}
	page := s.newCasePage(r, u, c, entries, asOf, now)
	return s.renderForm(w, "case", &page.Frame, &page, cause)
}

type caseView struct {
	casePage
	AsOf       *time.Time
	AsOfField  string
	Tasks      []taskView
	Duties     []dutyView
	Alerts     []api.CaseAlert
	Facts      []factView
	Stories    []story
	Entries    int
	MayAssess  bool
	TargetWord string
}

func (s *Service) newCasePage(r *http.Request, u User, c *casefile.Case, entries []casefile.Entry, asOf, now time.Time) caseView {
	page := caseView{casePage: s.caseFrame(r, u, c, c.Declared.Title), Tasks: taskViews(c, now), Alerts: apiCaseAlerts(c),
		Facts: s.factViews(c), Entries: len(entries), MayAssess: u.Has(mayAssess...)}
	page.Back, page.BackText = "/cases", "Cases"
	if !asOf.IsZero() {
		page.AsOf, page.AsOfField, page.Live, page.Now = &asOf, console.Field(asOf, page.Zone), "", now
	}
	for _, d := range Duties(c) {
		page.Duties = append(page.Duties, viewDuty(c, d, now))
	}
	newest := slices.Clone(entries[max(0, len(entries)-newestStories):])
	slices.Reverse(newest)
	page.Stories = s.stories(newest)
	return page
}

func (s *Service) pageTimeline(w http.ResponseWriter, r *http.Request, u User) error {
	if _, err := mayAct(u, mayRead); err != nil {
		return err
	}
	c, err := s.Case(r.Context(), u, r.PathValue("number"))
	if err != nil {
		return err
	}
	entries, err := s.Entries(r.Context(), u, c.Number)
	if err != nil {
		return err
	}
	entries, next := page(entries, func(e casefile.Entry) string { return strconv.FormatUint(e.Seq, 10) }, r.URL.Query().Get("after"), 100)
	page := struct {
		casePage
		pageLinks
		Stories []story
	}{s.caseFrame(r, u, c, "Timeline"), links(r, "after", next), s.stories(entries)}
	return s.pages.Render(w, http.StatusOK, "timeline", &page)
}

func (s *Service) pageDeadlines(w http.ResponseWriter, r *http.Request, u User) error {
	if _, err := mayAct(u, mayRead); err != nil {
		return err
	}
	board, err := s.Board(r.Context(), u, casefile.DutyOpen, casefile.DutyMissed)
	if err != nil {
		return err
	}
	total := len(board)
	board, next := page(board, func(b BoardDuty) string { return b.Case.Number + "/" + b.Duty.ID }, r.URL.Query().Get("after"), pageSize)
	page := struct {
		console.Frame
		pageLinks
		Rows    []dutyView
		Caption string
	}{Frame: s.frame(r, u, "Deadlines", "deadlines"), pageLinks: links(r, "after", next)}
	page.Caption = Number(int64(total)) + " open, soonest first"
	for _, b := range board {
		page.Rows = append(page.Rows, viewDuty(b.Case, b.Duty, page.Now))
	}
	return s.pages.Render(w, http.StatusOK, "deadlines", &page)
}

func (s *Service) pageDead(w http.ResponseWriter, r *http.Request, u User) error {
	all, err := s.DeadLetters(r.Context(), u)
	if err != nil {
		return err
	}
	total := len(all)
	all, next := page(all, letterID, r.URL.Query().Get("after"), pageSize)
	page := struct {
		console.Frame
		pageLinks
		Letters []letter
		Caption string
	}{s.frame(r, u, "Dead letters", "dead"), links(r, "after", next), all, count(total, "letter") + ", newest first"}
	return s.pages.Render(w, http.StatusOK, "dead", &page)
}

func (s *Service) doRetryDead(w http.ResponseWriter, r *http.Request, u User) error {
	seq, err := strconv.ParseUint(r.PathValue("seq"), 10, 64)
	if err != nil {
		return ErrNotFound
	}
	if err := s.RetryDeadLetter(r.Context(), u, seq); err != nil {
		return err
	}
	return s.done(w, r, "/dead-letters", "The message was handed to its handler again")
}
