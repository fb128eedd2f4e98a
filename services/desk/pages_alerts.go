package desk

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/services/desk/console"
)

func (s *Service) pageStart(w http.ResponseWriter, r *http.Request, u User) error {
	to := "/cases"
	switch {
	case !u.Has(mayRead...):
		to = "/dead-letters"
	case u.Has(Analyst):
		to = "/alerts"
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

func (s *Service) pageSignIn(w http.ResponseWriter, r *http.Request, u User) error {
	if u.ID != "" {
		http.Redirect(w, r, localPath(r.URL.Query().Get("next")), http.StatusSeeOther)
		return nil
	}
	return s.renderSignIn(w, r, r.URL.Query().Get("next"), "", nil)
}

func (s *Service) renderSignIn(w http.ResponseWriter, r *http.Request, next, name string, cause error) error {
	page := struct {
		console.Frame
		Next, Name string
	}{s.frame(r, User{}, "Sign in", ""), next, name}
	return s.renderForm(w, "signin", &page.Frame, &page, cause)
}

func (s *Service) doSignIn(w http.ResponseWriter, r *http.Request, _ User) error {
	name, next := r.PostFormValue("user"), r.PostFormValue("next")
	if _, err := s.signIn(r.Context(), r.RemoteAddr, name, r.PostFormValue("password")); err != nil {
		return s.renderSignIn(w, r, next, name, err)
	}
	http.Redirect(w, r, localPath(next), http.StatusSeeOther)
	return nil
}

// localPath keeps a redirect on this site.
func localPath(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n") {
		return "/"
	}
	return next
}

func (s *Service) doSignOut(w http.ResponseWriter, r *http.Request, _ User) error {
	if err := s.sessions.Destroy(r.Context()); err != nil {
		return err
	}
	http.Redirect(w, r, "/signin", http.StatusSeeOther)
	return nil
}

// alertFilter is the queue's filter as it stands in the address.
type alertFilter struct {
	State, Source, Severity, Order, Q string
	Unmapped, Personal                bool
}

func (s *Service) pageAlerts(w http.ResponseWriter, r *http.Request, u User) error {
	return s.renderAlerts(w, r, u, r.URL.Query(), nil)
}

func (s *Service) renderAlerts(w http.ResponseWriter, r *http.Request, u User, q url.Values, cause error) error {
	f := alertFilter{State: q.Get("state"), Source: q.Get("source"), Severity: q.Get("severity"), Order: q.Get("order"), Q: q.Get("q"),
		Unmapped: q.Get("unmapped") != "", Personal: q.Get("personal") != ""}
	if !q.Has("state") {
		f.State = string(event.AlertNew)
	}
	severity, _ := strconv.Atoi(f.Severity)
	order := ""
	if f.Order == "worst" {
		order = "severity"
	}
	list, err := s.Alerts(r.Context(), u, event.AlertsQuestion{List: &event.AlertsList{State: event.AlertState(f.State), Source: f.Source,
		Severity: severity, Unmapped: f.Unmapped, Personal: f.Personal, Text: f.Q, Order: order, After: q.Get("after"), Limit: pageSize}})
	if err != nil {
		return err
	}
	sources, err := s.Alerts(r.Context(), u, event.AlertsQuestion{Sources: true})
	if err != nil {
		return err
	}
	page := struct {
		console.Frame
		pageLinks
		F              alertFilter
		Alerts         []event.Alert
		Sources        []event.AlertSource
		States, Levels []option
		Summary, Curl  string
		Self           string
		MayAct         bool
		Filtered, Any  bool
	}{
		Frame: s.frame(r, u, "Alerts", "alerts"), pageLinks: links(r, "after", list.Next), F: f, Alerts: list.Alerts, Sources: sources.Sources,
		States: []option{{Value: "new", Text: "New"}, {Value: "linked", Text: "Linked"}, {Value: "dismissed", Text: "Dismissed"}, {Value: "", Text: "Any"}},
		Levels: []option{{Value: "", Text: "Any severity"}, {Value: "2", Text: "Low"}, {Value: "3", Text: "Medium"}, {Value: "4", Text: "High"}, {Value: "5", Text: "Critical"}},
		Self:   "/alerts?" + q.Encode(), MayAct: u.Has(mayDeclare...),
		Filtered: f.Source != "" || f.Severity != "" || f.Q != "" || f.Unmapped || f.Personal || (q.Has("state") && f.State != ""),
		Summary: "New " + Number(list.Counts[event.AlertNew]) + ", linked " + Number(list.Counts[event.AlertInCase]) +
			", dismissed " + Number(list.Counts[event.AlertDismissed]),
		Any: list.Counts[event.AlertNew]+list.Counts[event.AlertInCase]+list.Counts[event.AlertDismissed] > 0,
	}
	if len(sources.Sources) > 0 {
		page.Curl = s.testCommand(r, sources.Sources[0].ID)
	}
	return s.renderForm(w, "alerts", &page.Frame, &page, cause)
}

// testCommand is what an administrator pastes to see an alert arrive.
func (s *Service) testCommand(r *http.Request, source string) string {
	base := s.cfg.AlertURL
	if base == "" {
		scheme := "http"
		if s.cfg.Secure {
			scheme = "https"
		}
		base = scheme + "://" + r.Host + "/v1/alerts/"
	}
	return "curl -i -X POST " + strings.TrimSuffix(base, "/") + "/" + source + " \\\n  -H 'Authorization: Bearer TOKEN' -H 'Content-Type: application/json' \\\n" +
		`  -d '{"rule":{"description":"Test from the console","level":3},"timestamp":"2026-01-01T00:00:00Z"}'`
}

func (s *Service) doDismissAlerts(w http.ResponseWriter, r *http.Request, u User) error {
	if err := r.ParseForm(); err != nil {
		return badRequest(err)
	}
	ids := r.PostForm["alerts"]
	if err := s.DismissAlerts(r.Context(), u, ids, strings.TrimSpace(r.PostFormValue("reason"))); err != nil {
		back, parseErr := url.Parse(localPath(r.PostFormValue("back")))
		if parseErr != nil {
			return err
		}
		return s.renderAlerts(w, r, u, back.Query(), err)
	}
	return s.done(w, r, localPath(r.PostFormValue("back")), count(len(ids), "alert")+" dismissed")
}

func (s *Service) pageAlert(w http.ResponseWriter, r *http.Request, u User) error {
	return s.renderAlert(w, r, u, nil)
}

func (s *Service) renderAlert(w http.ResponseWriter, r *http.Request, u User, cause error) error {
	d, err := s.Alert(r.Context(), u, r.PathValue("alert"))
	if err != nil {
		return err
	}
	raw, cut := rawText(d.Raw)
	page := struct {
		console.Frame
		A       *event.AlertDetail
		Facts   []AlertFact
		Raw     string
		RawSize string
		RawCut  bool
		MayAct  bool
		Open    []option
		Act     actFields
	}{Frame: s.frame(r, u, d.Title, "alerts"), A: d, Raw: raw, RawSize: Number(int64(len(d.Raw))), RawCut: cut,
		MayAct: u.Has(mayDeclare...), Act: actFields{0, event.NewID()}}
	page.Back, page.BackText = "/alerts", "Alerts"
	if !d.Unmapped {
		page.Facts = AlertFacts(d)
	}
	if page.MayAct {
		cases, err := s.Cases(r.Context(), u)
		if err != nil {
			return err
		}
		for _, c := range cases {
			if c.Status == casefile.StatusOpen {
				page.Open = append(page.Open, option{Value: c.Number, Text: c.Number + " " + c.Declared.Title})
			}
		}
	}
	return s.renderForm(w, "alert", &page.Frame, &page, cause)
}

func (s *Service) doDismissAlert(w http.ResponseWriter, r *http.Request, u User) error {
	err := s.DismissAlerts(r.Context(), u, []string{r.PathValue("alert")}, strings.TrimSpace(r.PostFormValue("reason")))
	if err != nil {
		return s.renderAlert(w, r, u, err)
	}
	return s.done(w, r, "/alerts", "Alert dismissed")
}

func (s *Service) doAcceptAlert(w http.ResponseWriter, r *http.Request, u User) error {
	on := onOf(r)
	on.Case = r.PostFormValue("case")
	a := event.AlertAccepted{Alert: r.PathValue("alert"), Note: strings.TrimSpace(r.PostFormValue("note"))}
	if _, err := s.AcceptAlert(r.Context(), u, on, a); err != nil {
		return s.renderAlert(w, r, u, err)
	}
	return s.done(w, r, "/cases/"+on.Case, "Alert added to the case")
}
