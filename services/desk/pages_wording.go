package desk

import (
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/text/language"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/organisation"
	"tocsin.dev/pkg/wording"
)

// textPath is the page of one text.
func textPath(number string, k event.TextKey) string {
	return "/cases/" + number + "/wording/" + k.Audience + "/" + k.Channel + "/" + url.PathEscape(k.Language)
}

// textView is a text as a page shows it.
type textView struct {
	T            *casefile.Text
	ID, Name     string
	Link, Writer string
	// Before is the number of the version before.
	Before int
	rendered
	SubjectRedline, Redline []wording.Span
	// Tested are the test sends of this version; nil for a text that has none.
	Tested *testedView
}

// rendered is a text written to the made-up example person.
type rendered struct {
	Subject, Text string
	HTML          template.HTML
	SMS           *wording.Segments
	// Problem says why it cannot be rendered.
	Problem string
}

func (s *Service) textViews(c *casefile.Case) []textView {
	var out []textView
	for _, t := range Texts(c) {
		out = append(out, textView{T: t, ID: strings.ReplaceAll(t.TextKey.String(), "/", "-"), Name: textName(t.TextKey), Link: textPath(c.Number, t.TextKey), Writer: s.userName(t.Writer)})
	}
	return out
}

// render writes a text to a made-up person who has every kind of data of the
// sealed list. It is an example: no data of a real person are used.
func render(org *organisation.Organisation, c *casefile.Case, k event.TextKey, subject, body string) rendered {
	compiled, err := wording.Compile(k, subject, body)
	if err != nil {
		return rendered{Problem: err.Error()}
	}
	bound, err := compiled.Bind(wording.Common{Organisation: org, CaseNumber: c.Number, Sheet: c.Sheet(k.Language)})
	if err != nil {
		return rendered{Problem: err.Error()}
	}
	m, err := bound.Render(wording.Recipient{Contact: wording.ExamplePerson(k.Language, c.Exposed()), Reference: "EXAM-PLE1"})
	if err != nil {
		return rendered{Problem: err.Error()}
	}
	// The renderer makes this markup itself from Markdown and escapes every value.
	out := rendered{Subject: m.Subject, Text: m.Text, HTML: bodyOf(m.HTML)}
	if k.Channel == "sms" {
		segments := wording.CountSegments(m.Text)
		out.SMS = &segments
	}
	return out
}

// bodyOf returns what is inside the body of an HTML document. Style and script
// cannot be in it; the page's content policy would not run them either.
func bodyOf(doc string) template.HTML {
	if i := strings.Index(doc, "<body"); i >= 0 {
		doc = doc[i:]
		doc = doc[strings.IndexByte(doc, '>')+1:]
	}
	doc, _, _ = strings.Cut(doc, "</body>")
	return template.HTML(doc) //nolint:gosec // see render
}

func (s *Service) pageWording(w http.ResponseWriter, r *http.Request, u User) error {
	return s.renderWording(w, r, u, nil)
}

func (s *Service) renderWording(w http.ResponseWriter, r *http.Request, u User, cause error) error {
	c, org, err := s.caseAndOrg(r, u)
	if err != nil {
		return err
	}
	page := struct {
		casePage
		Texts               []textView
		Missing             []struct{ Link, Text string }
		Findings            []wording.Finding
		MayDraft            bool
		Audiences, Channels []option
		Language            string
	}{casePage: s.caseFrame(r, u, c, "Texts"), Texts: s.textViews(c), Missing: missingTexts(org, c),
		MayDraft: u.Has(mayDraft...) && c.Status == casefile.StatusOpen, Audiences: options(audiences), Channels: options(textChannels),
		Language: firstOf(r.URL.Query().Get("language"), org.Language)}
	if len(page.Texts) > 0 {
		page.Findings = propose(org, c, s.cfg.Now()).Findings
	}
	return s.renderForm(w, "wording", &page.Frame, &page, cause)
}

func options(words []string) []option {
	out := make([]option, len(words))
	for i, w := range words {
		out[i] = option{Value: w, Text: strings.ToUpper(w[:1]) + w[1:]}
	}
	return out
}

// missingTexts proposes the texts for people that the list and the promised channels call for.
func missingTexts(org *organisation.Organisation, c *casefile.Case) []struct{ Link, Text string } {
	var out []struct{ Link, Text string }
	seen := map[string]bool{"": true}
	for _, ch := range org.Channels {
		text := map[string]string{"email": "email", "sms": "sms", "post": "letter", "fax": "letter"}[ch]
		if seen[text] {
			continue
		}
		seen[text] = true
		for _, lang := range org.Languages {
			k := event.TextKey{Audience: "people", Channel: text, Language: lang}
			if c.Texts[k] == nil {
				out = append(out, struct{ Link, Text string }{textPath(c.Number, k), textName(k)})
			}
		}
	}
	return out
}

func (s *Service) openText(w http.ResponseWriter, r *http.Request, u User) error {
	q := r.URL.Query()
	k := event.TextKey{Audience: q.Get("audience"), Channel: q.Get("channel"), Language: strings.TrimSpace(q.Get("language"))}
	if tag, err := language.Parse(k.Language); err == nil {
		k.Language = tag.String()
	}
	bad := &Invalid{}
	if checkKey(bad, k); len(bad.Fields) > 0 {
		return s.renderWording(w, r, u, bad)
	}
	http.Redirect(w, r, textPath(r.PathValue("number"), k), http.StatusSeeOther)
	return nil
}

type textForm struct{ Subject, Body, Reason, Passage, Comment string }

// remarkView is a reviewer's remark as a page shows it.
type remarkView struct {
	casefile.Comment
	Who string
	// Old says that it is about an earlier version, Gone that its passage does not stand in the newest.
	Old, Gone bool
}

func keyOf(r *http.Request) (event.TextKey, error) {
	k := event.TextKey{Audience: r.PathValue("audience"), Channel: r.PathValue("channel"), Language: r.PathValue("language")}
	bad := &Invalid{}
	if checkKey(bad, k); len(bad.Fields) > 0 {
		return k, fmt.Errorf("text %s: %w", k, ErrNotFound)
	}
	return k, nil
}

func (s *Service) pageText(w http.ResponseWriter, r *http.Request, u User) error {
	return s.renderText(w, r, u, nil, false, nil)
}

func (s *Service) doText(w http.ResponseWriter, r *http.Request, u User) error {
	k, err := keyOf(r)
	if err != nil {
		return err
	}
	f := &textForm{Subject: r.PostFormValue("subject"), Body: strings.ReplaceAll(r.PostFormValue("body"), "\r\n", "\n")}
	if r.PostFormValue("do") != "save" {
		return s.renderText(w, r, u, f, true, nil)
	}
	on := onOf(r)
	if _, err := s.DraftWording(r.Context(), u, on, event.WordingDrafted{TextKey: k, Subject: f.Subject, Body: f.Body}); err != nil {
		return s.renderText(w, r, u, f, false, err)
	}
	return s.done(w, r, textPath(on.Case, k), "Saved")
}

func (s *Service) doRemark(w http.ResponseWriter, r *http.Request, u User) error {
	k, err := keyOf(r)
	if err != nil {
		return err
	}
	on := onOf(r)
	m := event.WordingCommented{TextKey: k, Digest: r.PostFormValue("digest"), Passage: r.PostFormValue("passage"), Comment: r.PostFormValue("comment")}
	if _, err := s.CommentWording(r.Context(), u, on, m); err != nil {
		return s.renderText(w, r, u, nil, false, err)
	}
	return s.done(w, r, textPath(on.Case, k)+"#remarks", "The remark is recorded")
}

func (s *Service) doReject(w http.ResponseWriter, r *http.Request, u User) error {
	k, err := keyOf(r)
	if err != nil {
		return err
	}
	on := onOf(r)
	rejected := event.WordingRejected{TextKey: k, Digest: r.PostFormValue("digest"), Reason: r.PostFormValue("reason")}
	if _, err := s.RejectWording(r.Context(), u, on, rejected); err != nil {
		return s.renderText(w, r, u, nil, false, err)
	}
	return s.done(w, r, textPath(on.Case, k), "Sent back to its writer")
}

// textName names a text for people: "Email to people in en-GB".
func textName(k event.TextKey) string {
	to := map[string]string{"public": "the public"}[k.Audience]
	return channelWord(k.Channel) + " to " + firstOf(to, k.Audience) + " in " + k.Language
}

type textPage struct {
	casePage
	K                   event.TextKey
	Self                string
	Current             *casefile.Text
	Writer, Starter     string
	F                   textForm
	Preview             *rendered
	Fields              []wording.Field
	Findings            []wording.Finding
	MayDraft, MayReject bool
	Try                 *tryView
	Remarks             []remarkView
	Versions            []textView
}

func (s *Service) renderText(w http.ResponseWriter, r *http.Request, u User, typed *textForm, preview bool, cause error) error {
	k, err := keyOf(r)
	if err != nil {
		return err
	}
	c, org, err := s.caseAndOrg(r, u)
	if err != nil {
		return err
	}
	page := textPage{casePage: s.caseFrame(r, u, c, textName(k)), K: k, Self: textPath(c.Number, k), Current: c.Texts[k], Fields: wording.Fields(),
		MayDraft: u.Has(mayDraft...) && c.Status == casefile.StatusOpen, MayReject: u.Has(mayReject...) && c.Status == casefile.StatusOpen}
	page.Back, page.BackText = "/cases/"+c.Number+"/wording", "Texts"
	switch {
	case typed != nil:
		page.F = *typed
	case page.Current != nil:
		page.F = textForm{Subject: page.Current.Subject, Body: page.Current.Body}
	default:
		page.F, page.Starter = starterFor(c, k)
	}
	for _, m := range c.Comments {
		if m.TextKey == k && page.Current != nil {
			page.Remarks = append(page.Remarks, remarkView{m, s.name(m.By), m.Digest != page.Current.Digest, !strings.Contains(page.Current.Subject+"\n"+page.Current.Body, m.Passage)})
		}
	}
	page.F.Passage, page.F.Comment, page.F.Reason = r.PostFormValue("passage"), r.PostFormValue("comment"), r.PostFormValue("reason")
	if page.Current != nil {
		page.Writer = s.userName(page.Current.Writer)
		for _, f := range propose(org, c, s.cfg.Now()).Findings {
			if f.Text == k {
				page.Findings = append(page.Findings, f)
			}
		}
	}
	page.Try = s.tryView(r, u, org, c, page.Current)
	if preview || (typed == nil && page.Current != nil) {
		shown := render(org, c, k, page.F.Subject, page.F.Body)
		page.Preview = &shown
	}
	if err := s.addVersions(r, u, &page); err != nil {
		return err
	}
	return s.renderForm(w, "text", &page.Frame, &page, cause)
}

// starterFor returns the template that fits a text: that of the law whose duty
// towards people is open, else the one for the GDPR.
func starterFor(c *casefile.Case, k event.TextKey) (textForm, string) {
	all, err := wording.Starters()
	if err != nil {
		return textForm{}, ""
	}
	var regimes []string
	for _, d := range Duties(c) {
		if d.ToKind == "people" {
			regime, _, _ := strings.Cut(d.Rule, ".")
			regimes = append(regimes, regime)
		}
	}
	for _, regime := range append(regimes, "eu-gdpr") {
		if st, ok := wording.StarterOf(all, regime, k); ok {
			return textForm{Subject: st.Subject, Body: st.Body}, st.Title
		}
	}
	return textForm{}, ""
}

// addVersions lists the versions of the page's text.
func (s *Service) addVersions(r *http.Request, u User, page *textPage) error {
	all, err := s.Versions(r.Context(), u, page.Case.Number)
	if err != nil {
		return err
	}
	for i := range all {
		t := &all[i]
		if t.TextKey != page.K {
			continue
		}
		page.Versions = append(page.Versions, textView{T: t, Writer: s.userName(t.Writer), Before: t.Version - 1})
	}
	slices.Reverse(page.Versions)
	return nil
}
