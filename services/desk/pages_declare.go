package desk

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/category"
	"tocsin.dev/pkg/event"
	"tocsin.dev/services/desk/console"
)

// declareForm is the form as it was filled in.
type declareForm struct {
	Title, Summary, AwareAt, AwareZone, AwareEvidence, Severity, Role string
	Categories, Alerts                                                []string
	Drill                                                             bool
}

func readDeclareForm(v url.Values) declareForm {
	return declareForm{
		Title: v.Get("title"), Summary: v.Get("summary"), AwareAt: v.Get("aware_at"), AwareZone: v.Get("aware_zone"),
		AwareEvidence: v.Get("aware_evidence"), Severity: v.Get("severity"), Role: v.Get("role"),
		Categories: v["categories"], Alerts: v["alerts"], Drill: v.Get("drill") != "",
	}
}

func (f declareForm) event(fallback *time.Location) (event.CaseDeclared, error) {
	bad := &Invalid{}
	zone, err := time.LoadLocation(f.AwareZone)
	if err != nil || f.AwareZone == "" {
		zone = fallback
	}
	d := event.CaseDeclared{
		Title: f.Title, Summary: f.Summary, AwareAt: instantField(bad, "aware_at", f.AwareAt, zone), AwareZone: zone.String(),
		AwareEvidence: f.AwareEvidence, Severity: event.Severity(f.Severity), Role: f.Role, Categories: f.Categories, Alerts: f.Alerts, Drill: f.Drill,
	}
	return d, bad.or()
}

// hidden carries the form through the check page.
func (f declareForm) hidden() []struct{ Name, Value string } {
	var out []struct{ Name, Value string }
	add := func(name string, values ...string) {
		for _, v := range values {
			if v != "" {
				out = append(out, struct{ Name, Value string }{name, v})
			}
		}
	}
	add("title", f.Title)
	add("summary", f.Summary)
	add("aware_at", f.AwareAt)
	add("aware_zone", f.AwareZone)
	add("aware_evidence", f.AwareEvidence)
	add("severity", f.Severity)
	add("role", f.Role)
	add("categories", f.Categories...)
	add("alerts", f.Alerts...)
	if f.Drill {
		add("drill", "yes")
	}
	return out
}

func (s *Service) pageDeclare(w http.ResponseWriter, r *http.Request, u User) error {
	f := declareForm{Alerts: r.URL.Query()["alert"], AwareZone: s.zoneOf(u).String(), Role: "controller"}
	if len(f.Alerts) > maxAlerts {
		f.Alerts = f.Alerts[:maxAlerts]
	}
	if len(f.Alerts) == 1 {
		d, err := s.Alert(r.Context(), u, f.Alerts[0])
		if err != nil {
			return err
		}
		f.Title, f.Severity = d.Title, severityOf(d.SeverityID)
		for _, x := range d.Data {
			f.Categories = append(f.Categories, x.Category)
		}
	}
	return s.renderDeclare(w, r, u, f, nil)
}

func severityOf(ocsf int) string {
	switch {
	case ocsf >= 5:
		return "critical"
	case ocsf == 4:
		return "high"
	case ocsf == 3:
		return "medium"
	}
	return "low"
}

// commonZones are offered beside the organisation's own.
var commonZones = []string{"UTC", "Europe/London", "Europe/Paris", "Europe/Stockholm", "America/New_York", "America/Chicago",
	"America/Denver", "America/Los_Angeles", "Asia/Kolkata", "Asia/Singapore", "Asia/Tokyo", "Australia/Sydney", "Africa/Johannesburg"}

func (s *Service) renderDeclare(w http.ResponseWriter, r *http.Request, u User, f declareForm, cause error) error {
	if _, err := mayAct(u, mayDeclare); err != nil {
		return err
	}
	own := s.zoneOf(u).String()
	zones := []option{{Value: own, Text: own}}
	for _, z := range commonZones {
		if z != own {
			zones = append(zones, option{Value: z, Text: z})
		}
	}
	page := struct {
		console.Frame
		F                                          declareForm
		Alerts                                     []event.Alert
		Zones, Severities, RoleOptions, Categories []option
		Act                                        actFields
	}{
		Frame: s.frame(r, u, "Declare a case", "cases"), F: f, Zones: zones, Act: actFields{0, event.NewID()},
		Severities: []option{{Value: "low", Text: "Low"}, {Value: "medium", Text: "Medium"}, {Value: "high", Text: "High"}, {Value: "critical", Text: "Critical"}},
		RoleOptions: []option{
			{Value: "controller", Text: "Controller", Hint: "It decides why and how the data are used."},
			{Value: "processor", Text: "Processor", Hint: "It holds the data for somebody else."}},
		Categories: categoryOptions(f.Categories),
	}
	page.Back, page.BackText = "/cases", "Cases"
	for _, id := range f.Alerts {
		if d, err := s.Alert(r.Context(), u, id); err == nil {
			page.Alerts = append(page.Alerts, d.Alert)
		}
	}
	return s.renderForm(w, "declare", &page.Frame, &page, cause)
}

// categoryOptions offers every kind of data, ticked if chosen.
func categoryOptions(chosen []string) []option {
	set, _ := category.ParseAll(chosen)
	var out []option
	for _, c := range category.All() {
		out = append(out, option{Value: c.Keys[0], Text: c.Label, On: set.Has(1 << c.Bit)})
	}
	return out
}

func (s *Service) pageDeclareCheck(w http.ResponseWriter, r *http.Request, u User) error {
	if err := r.ParseForm(); err != nil {
		return badRequest(err)
	}
	f := readDeclareForm(r.PostForm)
	d, err := f.event(s.zoneOf(u))
	if err != nil {
		return s.renderDeclare(w, r, u, f, err)
	}
	checked, err := s.CheckDeclaration(u, d)
	if err != nil {
		return s.renderDeclare(w, r, u, f, err)
	}
	page := struct {
		console.Frame
		Checked       Declared
		CategoryNames []string
		Hidden        []struct{ Name, Value string }
		DueZone       string
		Act           actFields
	}{s.frame(r, u, "Check before you declare", "cases"), checked, categoryLabels(checked.Declaration.Categories), f.hidden(), "", actFields{0, r.PostFormValue("key")}}
	page.Back, page.BackText = "/cases", "Cases"
	return s.pages.Render(w, http.StatusOK, "declare_check", &page)
}

func (s *Service) pageDeclareChange(w http.ResponseWriter, r *http.Request, u User) error {
	if err := r.ParseForm(); err != nil {
		return badRequest(err)
	}
	return s.renderDeclare(w, r, u, readDeclareForm(r.PostForm), nil)
}

func (s *Service) doDeclare(w http.ResponseWriter, r *http.Request, u User) error {
	if err := r.ParseForm(); err != nil {
		return badRequest(err)
	}
	f := readDeclareForm(r.PostForm)
	d, err := f.event(s.zoneOf(u))
	if err != nil {
		return s.renderDeclare(w, r, u, f, err)
	}
	number, err := s.Declare(r.Context(), u, onOf(r).Key, d)
	if err != nil {
		return s.renderDeclare(w, r, u, f, err)
	}
	return s.done(w, r, "/cases/"+number, "Case "+number+" is declared. The clocks run.")
}

func (s *Service) pageCases(w http.ResponseWriter, r *http.Request, u User) error {
	if _, err := mayAct(u, mayRead); err != nil {
		return err
	}
	all, err := s.Cases(r.Context(), u)
	if err != nil {
		return err
	}
	status := r.URL.Query().Get("status")
	if !r.URL.Query().Has("status") {
		status = "open"
	}
	kept := slices.DeleteFunc(all, func(c *casefile.Case) bool { return status != "" && string(c.Status) != status })
	total := len(kept)
	kept, next := page(kept, func(c *casefile.Case) string { return c.Number }, r.URL.Query().Get("after"), pageSize)
	page := struct {
		console.Frame
		pageLinks
		Cases      []*casefile.Case
		Status     string
		Filters    []option
		Caption    string
		MayDeclare bool
	}{s.frame(r, u, "Cases", "cases"), links(r, "after", next), kept, status,
		[]option{{Value: "open", Text: "Open"}, {Value: "closed", Text: "Closed"}, {Value: "", Text: "All"}},
		count(total, "case") + ", newest first", u.Has(mayDeclare...)}
	return s.pages.Render(w, http.StatusOK, "cases", &page)
}
