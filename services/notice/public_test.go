package notice

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/wording"
)

func publicWords(body string) event.WordingDrafted {
	w := event.WordingDrafted{TextKey: event.TextKey{Audience: "public", Channel: "page", Language: "en-GB"}, Version: 1, Subject: "Notice of a <breach>", Body: body}
	w.Digest = wording.Digest(w.TextKey, w.Subject, w.Body)
	return w
}

// putUp orders a first notice by the channels under an approval that includes the public words.
func (r *rig) putUp(words event.WordingDrafted, approved, ordered []string) {
	r.prepare()
	r.say("writer", words)
	a := r.approval(approved...)
	a.Texts = append(a.Texts, event.ApprovedText{TextKey: words.TextKey, Digest: words.Digest})
	r.say("lex", r.sign(a))
	r.say("dora", r.order("o1", ordered...))
	r.await("the order", 10*time.Second, func(c *casefile.Case) bool { return len(c.Orders) == 1 })
}

func (r *rig) fetch(path string) (status int, body string) {
	r.t.Helper()
	resp, err := http.Get(r.front + path) //nolint:noctx,gosec // a test's own server
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

const publicPath = "/v1/public/" + testOrg + "/" + testCase

func TestAnOrderedPublicNoticeIsServedEscapedToEverybody(t *testing.T) {
	r := newRig(t, testPeople(3), nil)
	r.start("one")
	r.putUp(publicWords("We were **breached**.\n\n<script>alert(1)</script>\n\n[More](javascript:alert)\n\nAsk {{organisation.contact}}."), []string{"email", "page"}, []string{"email", "page"})
	status, body := r.fetch(publicPath)
	if status != http.StatusOK || !strings.Contains(body, "<strong>breached</strong>") || !strings.Contains(body, "Notice of a &lt;breach&gt;") || !strings.Contains(body, "Privacy team") {
		t.Errorf("%d: %s", status, body)
	}
	for _, bad := range []string{"<script", "javascript:", "Ann0", "people.example"} {
		if strings.Contains(body, bad) {
			t.Errorf("the page contains %q:\n%s", bad, body)
		}
	}
	for _, path := range []string{"/v1/public/" + testOrg + "/2026-002", "/v1/public/other/" + testCase, "/v1/public/" + testOrg + "/%3E"} {
		if status, _ := r.fetch(path); status != http.StatusNotFound {
			t.Errorf("%s = %d, want 404", path, status)
		}
	}
}

func TestNoPageStandsThatNobodyApprovedAndOrdered(t *testing.T) {
	both, mail := []string{"email", "page"}, []string{"email"}
	for name, row := range map[string]struct {
		words             event.WordingDrafted
		approved, ordered []string
		then              func(*rig)
	}{
		"the order does not include the page": {publicWords("We were breached."), both, mail, nil},
		"the page was not approved":           {publicWords("We were breached."), mail, both, nil},
		"the text has a personal field":       {publicWords("Dear {{person.given_name}}"), both, both, nil},
		"the words were changed": {publicWords("We were breached."), both, both, func(r *rig) {
			w := publicWords("Nothing happened.")
			w.Version = 2
			r.say("writer", w)
		}},
		"the order was stopped": {publicWords("We were breached."), both, both, func(r *rig) {
			r.say("dora", event.DispatchStopped{Order: "o1", Reason: "wrong list"})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, testPeople(3), nil)
			r.start("one")
			r.putUp(row.words, row.approved, row.ordered)
			if row.then != nil {
				row.then(r)
			}
			if status, body := r.fetch(publicPath); status != http.StatusNotFound {
				t.Errorf("%d: %s", status, body)
			}
		})
	}
}
