package desk

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/services/desk/console"
)

// scopeForm is the exposure form as it was filled in: datasets that share a window.
type scopeForm struct {
	Datasets, Categories             []string
	From, To, Ring, Protection, Note string
}

// scopePage shows the sealed list and the form for a new statement.
type scopePage struct {
	casePage
	F                              scopeForm
	Inventory                      event.InventoryAnswer
	Preview                        *event.PreviewAnswer
	Sealing, Refused               string
	MayState, MayPrivileged        bool
	Rings, Protections, Categories []option
}

// Chosen reports whether a dataset is ticked.
func (p scopePage) Chosen(key string) bool { return slices.Contains(p.F.Datasets, key) }

func (f scopeForm) event(zone *time.Location) (event.ExposureStated, error) {
	bad := &Invalid{}
	from, to := instantField(bad, "from", f.From, zone), instantField(bad, "to", f.To, zone)
	x := event.ExposureStated{Note: f.Note}
	for _, d := range f.Datasets {
		x.Exposures = append(x.Exposures, event.Exposure{Dataset: d, From: from, To: to, Categories: f.Categories, Ring: f.Ring, Protection: f.Protection})
	}
	return x, bad.or()
}

// formFields turns the paths of one of several exposures into the controls of the form.
func formFields(err error) error {
	bad, ok := err.(*Invalid) //nolint:errorlint // made by checkExposure, never wrapped
	if !ok {
		return err
	}
	out := &Invalid{}
	for _, f := range bad.Fields {
		field := f.Field
		if i := strings.Index(field, "]."); i >= 0 {
			field = field[i+2:]
		}
		if !slices.ContainsFunc(out.Fields, func(o FieldError) bool { return o.Field == field }) {
			out.Fields = append(out.Fields, FieldError{field, f.Message})
		}
	}
	return out
}

func (s *Service) pageScope(w http.ResponseWriter, r *http.Request, u User) error {
	c, err := s.Case(r.Context(), u, r.PathValue("number"))
	if err != nil {
		return err
	}
	f := scopeForm{Ring: "in_system"}
	if c.Exposure != nil {
		f = formOf(*c.Exposure, s.zoneOf(u))
	}
	return s.renderScope(w, r, u, f, nil, nil)
}

// formOf fills the form with the statement in force.
func formOf(x casefile.Statement, zone *time.Location) scopeForm {
	f := scopeForm{Note: x.Note}
	for i, e := range x.Exposures {
		f.Datasets = append(f.Datasets, e.Dataset)
		if i == 0 {
			f.From, f.To, f.Ring, f.Protection, f.Categories = console.Field(e.From, zone), console.Field(e.To, zone), e.Ring, e.Protection, e.Categories
		}
	}
	return f
}

func (s *Service) doScope(w http.ResponseWriter, r *http.Request, u User) error {
	if err := r.ParseForm(); err != nil {
		return badRequest(err)
	}
	v := r.PostForm
	f := scopeForm{Datasets: v["dataset"], Categories: v["categories"], From: v.Get("from"), To: v.Get("to"), Ring: v.Get("ring"),
		Protection: v.Get("protection"), Note: v.Get("note")}
	x, err := f.event(s.zoneOf(u))
	if err != nil {
		return s.renderScope(w, r, u, f, nil, err)
	}
	on := onOf(r)
	if v.Get("do") != "state" {
		preview, err := s.Preview(r.Context(), u, on.Case, x)
		if err != nil {
			return s.renderScope(w, r, u, f, nil, formFields(err))
		}
		return s.renderScope(w, r, u, f, &preview, nil)
	}
	if _, err := s.StateExposure(r.Context(), u, on, x); err != nil {
		return s.renderScope(w, r, u, f, nil, formFields(err))
	}
	return s.done(w, r, "/cases/"+on.Case+"/scope", "Stated. The list of people is being sealed.")
}

func (s *Service) renderScope(w http.ResponseWriter, r *http.Request, u User, f scopeForm, preview *event.PreviewAnswer, cause error) error {
	c, err := s.Case(r.Context(), u, r.PathValue("number"))
	if err != nil {
		return err
	}
	inventory, err := s.Inventory(r.Context(), u)
	if err != nil {
		return err
	}
	page := scopePage{casePage: s.caseFrame(r, u, c, "Who is affected"), F: f, Inventory: inventory, Preview: preview,
		MayState: u.Has(mayDeclare...) && c.Status == casefile.StatusOpen, MayPrivileged: u.Has(mayPrivileged...) && len(c.Sealed) > 0, Categories: categoryOptions(f.Categories),
		Rings: []option{
			{Value: "proven", Text: "Proven", Hint: "Logs or finds show that these data were taken or read."},
			{Value: "in_system", Text: "In the system that was open", Hint: "The intruder could reach them."},
			{Value: "possible", Text: "Possible", Hint: "It cannot be ruled out."}},
		Protections: []option{{Value: "", Text: "Plain"}, {Value: "hashed", Text: "Hashed"}, {Value: "encrypted_key_safe", Text: "Encrypted, the key is safe"},
			{Value: "encrypted_key_lost", Text: "Encrypted, the key is lost too"}},
	}
	if c.Exposure != nil {
		page.Refused = c.Refused[c.Exposure.EventID]
		if latest := c.Latest(); page.Refused == "" && (latest == nil || latest.Statement != c.Exposure.EventID) {
			page.Sealing = "The list for the newest statement is being sealed. Refresh the page in a moment."
		}
	}
	return s.renderForm(w, "scope", &page.Frame, &page, cause)
}
