package desk

import (
	"context"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/category"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/organisation"
	"tocsin.dev/pkg/web"
	"tocsin.dev/services/desk/console"
)

// contentPolicy lets a page use its own script, sheet and pictures, and nothing else.
var contentPolicy = web.CSP{Script: self, Style: self, Image: self, Connect: self, Form: self}.String()

var self = []string{"'self'"}

// pageFuncs are the desk's words for the templates.
func pageFuncs() template.FuncMap {
	return template.FuncMap{
		"number":     Number,
		"urgency":    func(u Urgency) template.HTML { return console.UrgencyTag(u.Kind, u.Words) },
		"device":     firstDevice,
		"account":    firstAccount,
		"categories": categoryNames,
		"categoryOf": func(code string) string { return categoryNames([]string{code}) },
	}
}

// categoryNames says the kinds of data in plain words.
func categoryNames(keys []string) string {
	return strings.Join(categoryLabels(keys), ", ")
}

func categoryLabels(keys []string) []string {
	set, err := category.ParseAll(keys)
	if err != nil {
		return keys
	}
	var labels []string
	set.Each(func(c category.Category) { labels = append(labels, c.Label) })
	return labels
}

// page answers one request of a person who is signed in.
type pageFunc func(w http.ResponseWriter, r *http.Request, u User) error

// consoleRoutes adds the console's pages to mux.
func (s *Service) consoleRoutes(mux *http.ServeMux) {
	mux.Handle("GET /static/", s.pages.Static())
	public := func(pattern string, f pageFunc) {
		mux.Handle(pattern, web.Limit(maxRequest, s.sessions.LoadAndSave(s.dressed(f))))
	}
	signedIn := func(pattern string, f pageFunc) { public(pattern, s.onlySignedIn(f)) }

	public("GET /signin", s.pageSignIn)
	public("POST /signin", s.doSignIn)
	public("POST /signout", s.doSignOut)
	signedIn("GET /{$}", s.pageStart)
	signedIn("GET /alerts", s.pageAlerts)
	signedIn("POST /alerts/dismiss", s.doDismissAlerts)
	signedIn("GET /alerts/{alert}", s.pageAlert)
	signedIn("POST /alerts/{alert}/dismiss", s.doDismissAlert)
	signedIn("POST /alerts/{alert}/accept", s.doAcceptAlert)
	signedIn("GET /cases", s.pageCases)
	signedIn("GET /cases/declare", s.pageDeclare)
	signedIn("POST /cases/declare/check", s.pageDeclareCheck)
	signedIn("POST /cases/declare/change", s.pageDeclareChange)
	signedIn("POST /cases/declare", s.doDeclare)
	signedIn("GET /cases/{number}", s.pageCase)
	signedIn("GET /cases/{number}/timeline", s.pageTimeline)
	signedIn("GET /cases/{number}/live", s.live)
	signedIn("GET /cases/{number}/scope", s.pageScope)
	signedIn("POST /cases/{number}/scope", s.doScope)
	signedIn("GET /cases/{number}/scope/list", s.pageEnter)
	signedIn("POST /cases/{number}/scope/list", s.doEnter)
	signedIn("GET /cases/{number}/scope/difference", s.pageDifference)
	signedIn("GET /cases/{number}/privileged", s.pagePrivileged)
	signedIn("GET /cases/{number}/facts", s.pageFacts)
	signedIn("POST /cases/{number}/facts", s.doFact)
	signedIn("POST /cases/{number}/sheet", s.doSheet)
	signedIn("GET /cases/{number}/assess", s.pageAssess)
	signedIn("POST /cases/{number}/assess", s.doAssess)
	signedIn("GET /cases/{number}/close", s.pageClose)
	signedIn("POST /cases/{number}/close", s.doClose)
	signedIn("GET /cases/{number}/duties/{duty}", s.pageDuty)
	signedIn("POST /cases/{number}/duties/{duty}/met", s.doMeet)
	signedIn("POST /cases/{number}/duties/{duty}/acknowledged", s.doAcknowledge)
	signedIn("POST /cases/{number}/duties/{duty}/waived", s.doWaive)
	signedIn("GET /cases/{number}/wording", s.pageWording)
	signedIn("GET /cases/{number}/wording/new", s.openText)
	signedIn("GET /cases/{number}/wording/check", s.pageCheck)
	signedIn("GET /cases/{number}/wording/check/live", s.liveCheck)
	signedIn("GET /cases/{number}/preview", s.pagePreview)
	signedIn("POST /cases/{number}/preview", s.doPreview)
	signedIn("GET /cases/{number}/wording/{audience}/{channel}/{language}", s.pageText)
	signedIn("POST /cases/{number}/wording/{audience}/{channel}/{language}", s.doText)
	signedIn("GET /cases/{number}/wording/{audience}/{channel}/{language}/compare", s.pageCompare)
	signedIn("POST /cases/{number}/wording/{audience}/{channel}/{language}/reject", s.doReject)
	signedIn("POST /cases/{number}/wording/{audience}/{channel}/{language}/remark", s.doRemark)
	signedIn("POST /cases/{number}/wording/{audience}/{channel}/{language}/test", s.doTest)
	signedIn("GET /cases/{number}/approve", s.pageApprove)
	signedIn("POST /cases/{number}/approve/override", s.doOverride)
	signedIn("POST /cases/{number}/approve/{approval}/revoke", s.doRevoke)
	signedIn("POST /cases/{number}/approve", s.doApprove)
	signedIn("GET /cases/{number}/dispatch", s.pageDispatch)
	signedIn("POST /cases/{number}/dispatch", s.doOrder)
	signedIn("GET /cases/{number}/dispatch/{order}", s.pageProgress)
	signedIn("GET /cases/{number}/dispatch/{order}/live", s.liveProgress)
	signedIn("POST /cases/{number}/dispatch/{order}/{act}", s.doSteer)
	signedIn("GET /cases/{number}/messages", s.pageMessages)
	signedIn("GET /cases/{number}/doubts", s.pageDoubts)
	signedIn("POST /cases/{number}/doubts", s.doSettle)
	signedIn("GET /cases/{number}/report", s.pageReport)
	signedIn("GET /cases/{number}/report.csv", s.reportCSV)
	signedIn("GET /cases/{number}/unreached.csv", s.unreachedCSV)
	signedIn("GET /deadlines", s.pageDeadlines)
	signedIn("GET /people", s.pagePeople)
	signedIn("POST /people", s.doFindPeople)
	signedIn("GET /people/audit", s.pageAudit)
	signedIn("GET /people/{person}", s.pagePerson)
	signedIn("POST /people/{person}", s.doReveal)
	signedIn("POST /people/{person}/erase", s.doErase)
	signedIn("GET /dead-letters", s.pageDead)
	signedIn("POST /dead-letters/{seq}/retry", s.doRetryDead)
	signedIn("/", func(http.ResponseWriter, *http.Request, User) error { return ErrNotFound })
}

// dressed sets the page's headers and turns an error into a page.
func (s *Service) dressed(f pageFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", contentPolicy)
		w.Header().Set("Cache-Control", "no-store")
		u, _ := s.sessionUser(r.Context())
		if err := f(w, r, u); err != nil {
			s.errorPage(w, r, u, err)
		}
	})
}

// onlySignedIn sends everybody else to the sign-in page and back here afterwards.
func (s *Service) onlySignedIn(f pageFunc) pageFunc {
	return func(w http.ResponseWriter, r *http.Request, u User) error {
		if u.ID != "" {
			return f(w, r, u)
		}
		next := "/"
		if r.Method == http.MethodGet {
			next = r.URL.RequestURI()
		}
		http.Redirect(w, r, "/signin?next="+url.QueryEscape(next), http.StatusSeeOther)
		return nil
	}
}

// errorPage shows an error as a page, with what the person can do.
func (s *Service) errorPage(w http.ResponseWriter, r *http.Request, u User, err error) {
	e := answer(err)
	if e.Status >= http.StatusInternalServerError {
		s.cfg.Log.ErrorContext(r.Context(), "page failed", "route", r.Pattern, "code", e.Code, "error", err)
	}
	headings := map[int]string{
		http.StatusNotFound: "Not found", http.StatusForbidden: "Not yours to do", http.StatusConflict: "The case has changed",
		http.StatusBadRequest: "That does not fit", http.StatusUnprocessableEntity: "Not possible now", http.StatusServiceUnavailable: "Out of reach",
	}
	heading := headings[e.Status]
	if heading == "" {
		heading = "Something went wrong"
	}
	page := struct {
		console.Frame
		Heading, Text, Request, Again string
		Changes                       []string
	}{s.frame(r, u, heading, ""), heading, e.Message, web.RequestID(r.Context()), "", nil}
	var conflict *Conflict
	if errors.As(err, &conflict) {
		for _, c := range conflict.Changes {
			page.Changes = append(page.Changes, Describe(c))
		}
		page.Again = r.Referer()
	}
	if err := s.pages.Render(w, e.Status, "error", page); err != nil {
		http.Error(w, e.Message, e.Status)
	}
}

// frame is what every page has around its content.
func (s *Service) frame(r *http.Request, u User, title, here string) console.Frame {
	f := console.Frame{Title: title, Here: here, Now: s.cfg.Now(), Drill: s.cfg.Drill, Zone: time.UTC}
	if u.ID == "" {
		return f
	}
	f.User, f.Org, f.Roles = u.Name, u.Org, strings.ReplaceAll(roleNames(u.Roles), " or ", ", ")
	f.Admin, f.Work, f.People = u.Has(Admin), u.Has(mayRead...), u.Has(mayReveal...)
	if org, err := s.cfg.Organisations.Get(u.Org); err == nil {
		f.Org, f.Zone = org.Name, org.Location()
	}
	f.Done = s.sessions.PopString(r.Context(), "done")
	return f
}

// casePage is what every page of a case shows.
type casePage struct {
	console.Frame
	Case    *casefile.Case
	Heading string
	Act     actFields
}

// actFields go with every form: what was seen, and a key that makes a double click one act.
type actFields struct {
	Seen uint64
	Key  string
}

func (s *Service) caseFrame(r *http.Request, u User, c *casefile.Case, heading string) casePage {
	f := s.frame(r, u, heading+" – "+c.Number, "cases")
	f.Drill = f.Drill || c.Declared.Drill
	f.Back, f.BackText = "/cases/"+c.Number, "Case "+c.Number
	f.Live = "/cases/" + c.Number + "/live?after=" + strconv.FormatUint(c.Seq, 10)
	return casePage{f, c, heading, actFields{c.Seq, event.NewID()}}
}

// caseAndOrg returns the case of a page's address and the organisation of its reader.
func (s *Service) caseAndOrg(r *http.Request, u User) (*casefile.Case, *organisation.Organisation, error) {
	c, err := s.Case(r.Context(), u, r.PathValue("number"))
	if err != nil {
		return nil, nil, err
	}
	org, err := s.cfg.Organisations.Get(u.Org)
	return c, org, err
}

// onOf reads what a form says about the case it acts on.
func onOf(r *http.Request) On {
	seen, _ := strconv.ParseUint(r.PostFormValue("seen"), 10, 64)
	key := r.PostFormValue("key")
	if len(key) > 100 {
		key = ""
	}
	return On{Case: r.PathValue("number"), Seen: seen, Key: key}
}

// problemsOf says what is wrong with a form that was sent. Errors that no form
// can cure come back as they are.
func problemsOf(err error) ([]console.Problem, int, error) {
	if err == nil {
		return nil, http.StatusOK, nil
	}
	var (
		bad      *Invalid
		refused  *Refused
		conflict *Conflict
		tooMany  *TooMany
	)
	e := answer(err)
	switch {
	case errors.As(err, &bad):
		var ps []console.Problem
		for _, f := range bad.Fields {
			ps = append(ps, console.Problem{Field: f.Field, Text: f.Message})
		}
		return ps, e.Status, nil
	case errors.As(err, &conflict):
		ps := []console.Problem{{Text: "The case has changed since you looked at it, and nothing was saved. Read the page again, then repeat if it still fits."}}
		for _, c := range conflict.Changes {
			ps = append(ps, console.Problem{Text: Describe(c)})
		}
		return ps, e.Status, nil
	case errors.As(err, &refused), errors.As(err, &tooMany):
		return []console.Problem{{Text: e.Message}}, e.Status, nil
	}
	return nil, 0, err
}

// renderForm renders a page with the problems of the form that was sent to it.
func (s *Service) renderForm(w http.ResponseWriter, name string, frame *console.Frame, page any, cause error) error {
	problems, status, err := problemsOf(cause)
	if err != nil {
		return err
	}
	frame.Problems = problems
	return s.pages.Render(w, status, name, page)
}

// done notes what was done and goes to the page that shows it.
func (s *Service) done(w http.ResponseWriter, r *http.Request, to, what string) error {
	s.sessions.Put(r.Context(), "done", what)
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

// name returns the display name of a user or service.
func (s *Service) name(a event.Actor) string {
	if a.Kind == event.ServiceActor {
		return a.ID + " (program)"
	}
	name := s.userName(a.ID)
	if a.Role != "" {
		name += ", " + a.Role
	}
	return name
}

func (s *Service) userName(id string) string {
	if u, ok := s.cfg.Users.Get(id); ok {
		return u.Name
	}
	return id
}

// option is one choice of a control.
type option struct {
	Value, Text, Hint string
	On                bool
}

// instantField reads a date and time a person typed, in a zone. Empty is the zero time.
func instantField(bad *Invalid, field, value string, zone *time.Location) time.Time {
	if strings.TrimSpace(value) == "" {
		return time.Time{}
	}
	t, err := console.ParseField(value, zone)
	if err != nil {
		bad.add(field, "Give a date and time such as 2026-11-22 09:30")
	}
	return t
}

// zoneOf returns where the person's organisation reads times.
func (s *Service) zoneOf(u User) *time.Location {
	if org, err := s.cfg.Organisations.Get(u.Org); err == nil {
		return org.Location()
	}
	return time.UTC
}

// story is one line of a timeline.
type story struct {
	At        time.Time
	Who, Text string
}

func (s *Service) stories(entries []casefile.Entry) []story {
	out := make([]story, len(entries))
	for i, e := range entries {
		out[i] = story{e.At, s.name(e.Actor), Describe(e)}
	}
	return out
}

// pageLinks are the ways to other pages of a list.
type pageLinks struct{ First, Next string }

// links makes the links of a list from its own address and the cursor.
func links(r *http.Request, param, next string) pageLinks {
	var l pageLinks
	q := r.URL.Query()
	if q.Get(param) != "" {
		first := r.URL.Query()
		first.Del(param)
		l.First = r.URL.Path + "?" + first.Encode()
	}
	if next != "" {
		q.Set(param, next)
		l.Next = r.URL.Path + "?" + q.Encode()
	}
	return l
}

// pause is how an event stream waits for something to do.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
