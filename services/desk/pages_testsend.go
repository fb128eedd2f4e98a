package desk

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/organisation"
	"tocsin.dev/pkg/person"
)

// testedView shows the test sends of one version of a text, newest first.
type testedView struct {
	Version int
	Zone    *time.Location
	Sent    []testedLine
}

type testedLine struct {
	At     time.Time
	By, To string
	Person int64
}

// testedView returns nil for a text that cannot be sent as a test.
func (s *Service) testedView(org *organisation.Organisation, c *casefile.Case, t *casefile.Text) *testedView {
	if t == nil || t.Channel != "email" && t.Channel != "sms" {
		return nil
	}
	v := &testedView{Version: t.Version, Zone: org.Location()}
	for _, sent := range testsOf(c, t.TextKey, t.Digest) {
		v.Sent = append(v.Sent, testedLine{sent.At, s.userName(sent.By), s.userNames(sent.To), sent.Person})
	}
	return v
}

func (s *Service) userNames(ids []string) string {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = s.userName(id)
	}
	return strings.Join(names, ", ")
}

// tryView is the part of a text's page that sends tests.
type tryView struct {
	Tested         *testedView
	May, MayPerson bool
	Testers        []option
	Person, Why    string
}

func (s *Service) tryView(r *http.Request, u User, org *organisation.Organisation, c *casefile.Case, t *casefile.Text) *tryView {
	tested := s.testedView(org, c, t)
	if tested == nil {
		return nil
	}
	v := &tryView{Tested: tested, May: u.Has(mayDraft...) && c.Status == casefile.StatusOpen, MayPerson: u.Has(mayPreview...),
		Person: r.PostFormValue("person"), Why: r.PostFormValue("why")}
	ids := s.approversOf(c, org, t.TextKey)
	if u.reachable(t.Channel) && !slices.Contains(ids, u.ID) {
		ids = append([]string{u.ID}, ids...)
	}
	for _, id := range ids {
		o := option{Value: id, Text: s.userName(id), On: true}
		if id == u.ID {
			o.Text += " (you)"
		}
		v.Testers = append(v.Testers, o)
	}
	return v
}

func (s *Service) doTest(w http.ResponseWriter, r *http.Request, u User) error {
	k, err := keyOf(r)
	if err != nil {
		return err
	}
	q, err := readTest(r)
	q.TextKey = k
	if err != nil {
		return s.renderText(w, r, u, nil, false, err)
	}
	on := onOf(r)
	a, err := s.TestWording(r.Context(), u, on, q)
	if err != nil {
		return s.renderText(w, r, u, nil, false, err)
	}
	return s.done(w, r, textPath(on.Case, k)+"#test", s.testedWords(a))
}

// readTest reads the form; its errors name the fields of the page.
func readTest(r *http.Request) (q event.TestQuestion, err error) {
	if err := r.ParseForm(); err != nil {
		return q, badRequest(err)
	}
	q.Digest, q.To = r.PostForm.Get("digest"), r.PostForm["testers"]
	bad := &Invalid{}
	if len(q.To) == 0 {
		bad.add("testers", "Choose who shall get the test")
	}
	if typed := strings.TrimSpace(r.PostForm.Get("person")); typed != "" {
		n, err := strconv.ParseUint(typed, 10, 32)
		if err != nil || n == 0 {
			bad.add("person", "Give a person number of the sealed list, or nothing")
		}
		q.Person, q.Reason = person.Number(n), strings.TrimSpace(r.PostForm.Get("why"))
		checkLength(bad, "why", q.Reason, 3, maxLine, "Say why the person is shown; the audit keeps it")
	}
	return q, bad.or()
}

// testedWords tells what became of a test.
func (s *Service) testedWords(a event.TestAnswer) string {
	words := make([]string, len(a.Sent))
	for i, t := range a.Sent {
		state := map[string]string{"accepted": "sent to ", "refused": "refused for ", "not_sent": "not sent to "}[t.Outcome]
		if state == "" {
			state = "perhaps sent to "
		}
		words[i] = state + s.userName(t.User)
	}
	return "Test " + a.Reference + ": " + strings.Join(words, ", ")
}
