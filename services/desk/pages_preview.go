package desk

import (
	"errors"
	"fmt"
	"html/template"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/person"
	"tocsin.dev/pkg/wording"
)

// previewPath is the page on which one person's notice may be looked at.
func previewPath(number string, n person.Number, channel string) string {
	q := url.Values{"person": {strconv.FormatUint(uint64(n), 10)}}
	if channel != "" {
		q.Set("channel", channel)
	}
	return "/cases/" + number + "/preview?" + q.Encode()
}

type previewForm struct{ Person, Channel, Kind, Reason string }

// partView is a conditional part of the text, and whether the person gets it.
type partView struct {
	Condition, Words string
	Met              bool
}

// letterView is one person's notice as the page shows it.
type letterView struct {
	event.LetterAnswer
	Name, TextLink string
	HTML           template.HTML
	Parts          []partView
	// Bytes is the request as text, or "" if it is none.
	Bytes string
	Size  int
}

type previewPage struct {
	casePage
	F               previewForm
	Channels, Kinds []option
	MayPreview      bool
	Ready           bool
	Letter          *letterView
	// Groups are people worth a look; empty while the list is still being walked.
	Groups []groupView
}

func (s *Service) pagePreview(w http.ResponseWriter, r *http.Request, u User) error {
	q := r.URL.Query()
	return s.renderPreview(w, r, u, previewForm{Person: q.Get("person"), Channel: q.Get("channel"), Kind: q.Get("kind")}, nil, nil)
}

// doPreview shows the notice, or hands out its bytes. Both are a look, which
// scope's audit keeps with the reason.
func (s *Service) doPreview(w http.ResponseWriter, r *http.Request, u User) error {
	f := previewForm{r.PostFormValue("person"), r.PostFormValue("channel"), r.PostFormValue("kind"), r.PostFormValue("reason")}
	n, err := strconv.ParseUint(strings.TrimSpace(f.Person), 10, 32)
	if err != nil {
		return s.renderPreview(w, r, u, f, nil, invalid("person", "Give a person number of the sealed list, such as 7"))
	}
	l, err := s.PreviewLetter(r.Context(), u, r.PathValue("number"), event.LetterQuestion{Kind: f.Kind, Person: person.Number(n), Channel: f.Channel, Reason: f.Reason})
	if errors.Is(err, ErrNotFound) {
		err = invalid("person", "Nobody on the newest sealed list has the number %d", n)
	}
	if err != nil {
		return s.renderPreview(w, r, u, f, nil, err)
	}
	if r.PostFormValue("do") == "bytes" && l.Request != nil {
		return handOut(w, r.PathValue("number"), l)
	}
	return s.renderPreview(w, r, u, f, &l, nil)
}

// handOut answers with the bytes that would leave, as a file.
func handOut(w http.ResponseWriter, number string, l event.LetterAnswer) error {
	ext := map[string]string{"application/json": "json", "application/pdf": "pdf"}[l.ContentType]
	if ext == "" {
		ext = "txt"
	}
	name := fmt.Sprintf("%s-person-%d-%s.%s", number, l.Person, l.Sending, ext)
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
	_, _ = w.Write(l.Request) // the reader is gone if this fails
	return nil
}

func (s *Service) renderPreview(w http.ResponseWriter, r *http.Request, u User, f previewForm, l *event.LetterAnswer, cause error) error {
	if _, err := mayAct(u, append(slices.Clone(mayRead), mayPreview...)); err != nil {
		return err
	}
	c, err := s.Case(r.Context(), u, r.PathValue("number"))
	if err != nil {
		return err
	}
	if f.Channel == "" {
		f.Channel = "email"
	}
	page := previewPage{casePage: s.caseFrame(r, u, c, "Preview one person's notice"), F: f, Kinds: options(noticeKinds), MayPreview: u.Has(mayPreview...),
		Ready: c.Latest() != nil && len(c.Texts) > 0}
	page.Back, page.BackText = "/cases/"+c.Number+"/wording", "Texts"
	for _, ch := range []string{"email", "sms", "post"} {
		page.Channels = append(page.Channels, option{Value: ch, Text: channelWord(ch)})
	}
	if l != nil {
		page.Letter = letterOf(c, *l)
	}
	if page.Ready && page.MayPreview {
		page.Groups = s.worthALook(r, u, c)
	}
	return s.renderForm(w, "preview", &page.Frame, &page, cause)
}

// letterOf lays a notice out for the page, with the conditional parts of its text.
func letterOf(c *casefile.Case, l event.LetterAnswer) *letterView {
	v := &letterView{LetterAnswer: l, HTML: bodyOf(l.HTML), Size: len(l.Request)}
	if l.TextKey != (event.TextKey{}) {
		v.Name, v.TextLink = textName(l.TextKey), textPath(c.Number, l.TextKey)
	}
	if l.ContentType != "application/pdf" {
		v.Bytes = string(l.Request)
	}
	t := c.Texts[l.TextKey]
	if t == nil {
		return v
	}
	compiled, err := wording.Compile(l.TextKey, t.Subject, t.Body)
	if err != nil {
		return v // the letter's own problem says so
	}
	for _, cond := range compiled.Conditions() {
		v.Parts = append(v.Parts, partView{cond.String(), partWords(cond.String()), slices.Contains(l.Conditions, cond.String())})
	}
	return v
}

// groupsWait is how long the page waits for people to propose; it works without them.
const groupsWait = 300 * time.Millisecond

// worthALook proposes people whose notices most easily go wrong, by number.
func (s *Service) worthALook(r *http.Request, u User, c *casefile.Case) []groupView {
	a, err := s.Survey(r.Context(), u, c.Number, groupsWait)
	if err != nil || !a.Done {
		return nil
	}
	page := checkPage{casePage: casePage{Case: c}, List: a, MayPreview: true, Finished: true}
	page.show(nil)
	var groups []groupView
	for _, m := range a.Missing {
		groups = append(groups, groupView{Name: "Has no {{" + m.Field + "}}, which a text needs", People: m.People, Examples: page.examples(m.Channel, m.Numbers[:min(len(m.Numbers), event.ShownPeople)])})
	}
	return append(append(groups, page.Samples...), page.Variants...)
}
