package desk

import (
	"net/http"
	"slices"
	"strings"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/services/desk/console"
)

type factForm struct{ Offered, Key, Value, KnownSince, TrueSince, Note string }

// sheet is the facts sheet in one language as a form.
type sheet struct {
	Language string
	Fields   []sheetField
}

// sheetField is one field of it; its hint names the texts it stands in.
type sheetField struct{ Key, Label, Hint, Value string }

func (s *Service) pageFacts(w http.ResponseWriter, r *http.Request, u User) error {
	key := r.URL.Query().Get("key")
	return s.renderFacts(w, r, u, factForm{Key: key}, nil, nil)
}

// renderFacts shows the facts page; typed holds what was typed into the facts sheet.
func (s *Service) renderFacts(w http.ResponseWriter, r *http.Request, u User, f factForm, typed map[string]string, cause error) error {
	c, org, err := s.caseAndOrg(r, u)
	if err != nil {
		return err
	}
	page := struct {
		casePage
		F        factForm
		Facts    []factView
		Sheets   []sheet
		Offered  []option
		MayState bool
	}{casePage: s.caseFrame(r, u, c, "Facts"), F: f, Facts: s.factViews(c), MayState: u.Has(mayState...) && c.Status == casefile.StatusOpen}
	for _, lang := range sheetLanguages(org.Languages) {
		sh := sheet{Language: lang}
		for _, n := range sheetNames {
			key := "sheet." + n.name + "." + lang
			value, changed := typed[key]
			if !changed {
				value = c.Facts[key].Value
			}
			sh.Fields = append(sh.Fields, sheetField{key, n.label, n.hint + " " + touchedWords(Touched(c, key)), value})
		}
		page.Sheets = append(page.Sheets, sh)
	}
	page.Offered = []option{{Value: "", Text: "Choose"}}
	for _, o := range OfferedFacts(nil) {
		page.Offered = append(page.Offered, option{Value: o.Key, Text: o.Label})
	}
	if words, err := s.FactWords(u); err == nil {
		for _, word := range words {
			if !slices.ContainsFunc(page.Offered, func(o option) bool { return o.Value == word.Key }) {
				page.Offered = append(page.Offered, option{Value: word.Key, Text: word.Group + ": " + word.Title})
			}
		}
	}
	return s.renderForm(w, "facts", &page.Frame, &page, cause)
}

// sheetLanguages returns the base languages in which the facts sheet is kept.
func sheetLanguages(tags []string) []string {
	var out []string
	for _, tag := range tags {
		base, _, _ := strings.Cut(tag, "-")
		if !slices.Contains(out, base) {
			out = append(out, base)
		}
	}
	return out
}

func (s *Service) doFact(w http.ResponseWriter, r *http.Request, u User) error {
	f := factForm{Offered: r.PostFormValue("offered"), Key: strings.TrimSpace(r.PostFormValue("key")), Value: strings.TrimSpace(r.PostFormValue("value")),
		KnownSince: r.PostFormValue("known_since"), TrueSince: r.PostFormValue("true_since"), Note: r.PostFormValue("note")}
	zone, bad := s.zoneOf(u), &Invalid{}
	fact := event.FactStated{Key: firstOf(f.Key, f.Offered), Value: f.Value, Note: f.Note, Zone: zone.String(), KnownSince: instantField(bad, "known_since", f.KnownSince, zone)}
	if fact.Key == "" {
		bad.add("offered", "Choose a fact, or name one by its key")
	}
	if t := instantField(bad, "true_since", f.TrueSince, zone); !t.IsZero() {
		t = t.UTC()
		fact.TrueSince = &t
	}
	if t, err := console.ParseField(f.Value, zone); err == nil && strings.HasPrefix(fact.Key, "event.") {
		fact.Value = t.UTC().Format("2006-01-02T15:04:05Z07:00")
	}
	err := bad.or()
	if err == nil {
		_, err = s.StateFact(r.Context(), u, onOf(r), fact)
	}
	if err != nil {
		return s.renderFacts(w, r, u, f, nil, err)
	}
	return s.done(w, r, "/cases/"+r.PathValue("number")+"/facts", "Stated: "+FactLabel(fact.Key))
}

// doSheet saves what was changed of the facts sheet, one statement a field.
func (s *Service) doSheet(w http.ResponseWriter, r *http.Request, u User) error {
	if err := r.ParseForm(); err != nil {
		return badRequest(err)
	}
	on, typed := onOf(r), map[string]string{}
	c, err := s.Case(r.Context(), u, on.Case)
	if err != nil {
		return err
	}
	lang, key, saved := r.PostForm.Get("language"), on.Key, 0
	var touched []event.TextKey
	for _, n := range sheetNames {
		name := "sheet." + n.name + "." + lang
		value := strings.TrimSpace(strings.ReplaceAll(r.PostForm.Get(name), "\r\n", "\n"))
		typed[name] = value
		if value == c.Facts[name].Value {
			continue
		}
		on.Key = key + n.name
		if _, err := s.StateFact(r.Context(), u, on, event.FactStated{Key: name, Value: value}); err != nil {
			return s.renderFacts(w, r, u, factForm{}, typed, rename(err, "value", name))
		}
		saved++
		touched = append(touched, Touched(c, name)...)
	}
	if saved == 0 {
		return s.done(w, r, "/cases/"+on.Case+"/facts", "Nothing had changed")
	}
	return s.done(w, r, "/cases/"+on.Case+"/facts", "Facts sheet saved. "+changedWords(touched))
}

// changedWords lists the texts that changed facts stand in.
func changedWords(touched []event.TextKey) string {
	var names []string
	for _, k := range touched {
		if name := textName(k); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return "No text uses what was changed. Approvals given before no longer stand."
	}
	return "Changed with it: " + strings.Join(names, ", ") + ". Approvals given before no longer stand."
}

// rename moves the problem of one field to another control.
func rename(err error, from, to string) error {
	bad, ok := err.(*Invalid) //nolint:errorlint // made by checkFact, never wrapped
	if !ok {
		return err
	}
	for i := range bad.Fields {
		if bad.Fields[i].Field == from {
			bad.Fields[i].Field = to
		}
	}
	return bad
}

type assessForm struct{ Level, Reason string }

func (s *Service) pageAssess(w http.ResponseWriter, r *http.Request, u User) error {
	c, err := s.Case(r.Context(), u, r.PathValue("number"))
	if err != nil {
		return err
	}
	var f assessForm
	if c.Risk != nil {
		f = assessForm{string(c.Risk.Level), c.Risk.Reason}
	}
	return s.renderAssess(w, r, u, f, nil)
}

func (s *Service) renderAssess(w http.ResponseWriter, r *http.Request, u User, f assessForm, cause error) error {
	c, err := s.Case(r.Context(), u, r.PathValue("number"))
	if err != nil {
		return err
	}
	page := struct {
		casePage
		F                 assessForm
		Levels            []option
		RiskWords, RiskBy string
		MayAssess         bool
	}{casePage: s.caseFrame(r, u, c, "Assess the risk"), F: f, MayAssess: u.Has(mayAssess...) && c.Status == casefile.StatusOpen,
		Levels: []option{
			{Value: "unlikely", Text: "A risk is unlikely", Hint: "The regulator need not be told under the GDPR. The decision is kept with its reason."},
			{Value: "risk", Text: "There is a risk", Hint: "The regulator is told."},
			{Value: "high", Text: "There is a high risk", Hint: "The regulator and the people are told."}}}
	if c.Risk != nil {
		page.RiskWords, page.RiskBy = RiskWords(c.Risk.Level), s.name(c.RiskBy)
	}
	return s.renderForm(w, "assess", &page.Frame, &page, cause)
}

func (s *Service) doAssess(w http.ResponseWriter, r *http.Request, u User) error {
	f, on := assessForm{r.PostFormValue("level"), r.PostFormValue("reason")}, onOf(r)
	if _, err := s.AssessRisk(r.Context(), u, on, event.RiskAssessed{Level: event.RiskLevel(f.Level), Reason: f.Reason}); err != nil {
		return s.renderAssess(w, r, u, f, err)
	}
	return s.done(w, r, "/cases/"+on.Case, "The assessment is recorded")
}

type reasonForm struct{ Reason string }

func (s *Service) pageClose(w http.ResponseWriter, r *http.Request, u User) error {
	return s.renderClose(w, r, u, reasonForm{}, nil)
}

func (s *Service) renderClose(w http.ResponseWriter, r *http.Request, u User, f reasonForm, cause error) error {
	c, err := s.Case(r.Context(), u, r.PathValue("number"))
	if err != nil {
		return err
	}
	page := struct {
		casePage
		F         reasonForm
		Against   string
		MayAssess bool
	}{s.caseFrame(r, u, c, "Close the case"), f, unfinished(c), u.Has(mayAssess...)}
	if c.Status == casefile.StatusClosed {
		page.Against = "it is closed already"
	}
	return s.renderForm(w, "close", &page.Frame, &page, cause)
}

func (s *Service) doClose(w http.ResponseWriter, r *http.Request, u User) error {
	f, on := reasonForm{r.PostFormValue("reason")}, onOf(r)
	if _, err := s.Close(r.Context(), u, on, f.Reason); err != nil {
		return s.renderClose(w, r, u, f, err)
	}
	return s.done(w, r, "/cases/"+on.Case, "The case is closed")
}

type dutyForm struct{ MetAt, Evidence, LateReason, Reason string }

func (s *Service) pageDuty(w http.ResponseWriter, r *http.Request, u User) error {
	return s.renderDuty(w, r, u, dutyForm{}, nil)
}

func (s *Service) renderDuty(w http.ResponseWriter, r *http.Request, u User, f dutyForm, cause error) error {
	if _, err := mayAct(u, mayAssess); err != nil {
		return err
	}
	c, err := s.Case(r.Context(), u, r.PathValue("number"))
	if err != nil {
		return err
	}
	d := c.Duties[r.PathValue("duty")]
	if d == nil {
		return ErrNotFound
	}
	page := struct {
		casePage
		dutyView
		F dutyForm
	}{s.caseFrame(r, u, c, "Settle a duty"), viewDuty(c, d, s.cfg.Now()), f}
	return s.renderForm(w, "duty", &page.Frame, &page, cause)
}

func (s *Service) doMeet(w http.ResponseWriter, r *http.Request, u User) error {
	f, on := dutyForm{MetAt: r.PostFormValue("met_at"), Evidence: r.PostFormValue("evidence"), LateReason: r.PostFormValue("late_reason")}, onOf(r)
	bad := &Invalid{}
	m := event.DutyMet{Duty: r.PathValue("duty"), MetAt: instantField(bad, "met_at", f.MetAt, s.zoneOf(u)), Evidence: f.Evidence, LateReason: f.LateReason}
	err := bad.or()
	if err == nil {
		_, err = s.MeetDuty(r.Context(), u, on, m)
	}
	if err != nil {
		return s.renderDuty(w, r, u, f, err)
	}
	return s.done(w, r, "/cases/"+on.Case, "The duty is recorded as met")
}

func (s *Service) doWaive(w http.ResponseWriter, r *http.Request, u User) error {
	f, on := dutyForm{Reason: r.PostFormValue("reason")}, onOf(r)
	if _, err := s.WaiveDuty(r.Context(), u, on, event.DutyWaived{Duty: r.PathValue("duty"), Reason: f.Reason}); err != nil {
		return s.renderDuty(w, r, u, f, err)
	}
	return s.done(w, r, "/cases/"+on.Case, "The duty is recorded as waived")
}

func (s *Service) doAcknowledge(w http.ResponseWriter, r *http.Request, u User) error {
	on := onOf(r)
	if _, err := s.AcknowledgeDuty(r.Context(), u, on, event.DutyAcknowledged{Duty: r.PathValue("duty"), Note: r.PostFormValue("note")}); err != nil {
		return s.renderDuty(w, r, u, dutyForm{}, err)
	}
	return s.done(w, r, "/cases/"+on.Case, "The reminder is marked as seen")
}
