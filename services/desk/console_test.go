package desk

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"tocsin.dev/pkg/event"
)

// surfer is a browser without script: it follows links and sends forms.
type surfer struct {
	*bench
	client *http.Client
	at     string
	status int
	doc    *html.Node
}

func (b *bench) surf(user string) *surfer {
	return &surfer{bench: b, client: b.browser(user)}
}

func (s *surfer) take(resp *http.Response, err error) {
	s.Helper()
	s.must(err)
	defer resp.Body.Close()
	s.at, s.status = resp.Request.URL.RequestURI(), resp.StatusCode
	s.doc, err = html.Parse(resp.Body)
	s.must(err)
}

func (s *surfer) get(path string) {
	s.Helper()
	s.take(s.client.Get(s.url + path))
	if s.status != http.StatusOK {
		s.Fatalf("GET %s: %d\n%s", path, s.status, s.text())
	}
}

// walk calls f for every element.
func walk(n *html.Node, f func(*html.Node)) {
	if n.Type == html.ElementNode {
		f(n)
	}
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		walk(c, f)
	}
}

func attr(n *html.Node, name string) (string, bool) {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val, true
		}
	}
	return "", false
}

func inner(n *html.Node) string {
	var b strings.Builder
	var rec func(*html.Node)
	rec = func(n *html.Node) {
		if n.Type == html.TextNode {
			b.WriteString(n.Data)
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			rec(c)
		}
	}
	rec(n)
	return b.String()
}

func (s *surfer) text() string { return strings.Join(strings.Fields(inner(s.doc)), " ") }

func (s *surfer) sees(words string) {
	s.Helper()
	if !strings.Contains(s.text(), words) {
		s.Errorf("%s does not say %q:\n%s", s.at, words, s.text())
	}
}

// press sends the form that has a button with the words, filled with the
// page's own values and those given.
func (s *surfer) press(button string, fill url.Values) {
	s.Helper()
	var form, pressed *html.Node
	walk(s.doc, func(f *html.Node) {
		if f.Data != "form" {
			return
		}
		walk(f, func(n *html.Node) {
			if n.Data == "button" && pressed == nil && strings.HasPrefix(strings.TrimSpace(inner(n)), button) {
				form, pressed = f, n
			}
		})
	})
	if form == nil {
		s.Fatalf("%s has no button %q", s.at, button)
	}
	values := controls(form)
	if name, ok := attr(pressed, "name"); ok {
		v, _ := attr(pressed, "value")
		values.Set(name, v)
	}
	for k, v := range fill {
		values[k] = v
	}
	action, ok := attr(pressed, "formaction")
	if !ok {
		action, _ = attr(form, "action")
	}
	if method, _ := attr(form, "method"); method != "post" {
		s.take(s.client.Get(s.url + action + "?" + values.Encode()))
		return
	}
	s.take(s.client.PostForm(s.url+action, values))
}

func controls(form *html.Node) url.Values {
	values := url.Values{}
	walk(form, func(n *html.Node) {
		name, _ := attr(n, "name")
		value, _ := attr(n, "value")
		kind, _ := attr(n, "type")
		switch {
		case name == "" || n.Data == "button":
		case n.Data == "textarea":
			values.Add(name, inner(n))
		case n.Data == "select":
			first, chosen := "", ""
			walk(n, func(o *html.Node) {
				if o.Data != "option" {
					return
				}
				v, ok := attr(o, "value")
				if !ok {
					v = inner(o)
				}
				if first == "" {
					first = v
				}
				if _, on := attr(o, "selected"); on {
					chosen = v
				}
			})
			if chosen == "" {
				chosen = first
			}
			values.Add(name, chosen)
		case kind == "checkbox" || kind == "radio":
			if _, on := attr(n, "checked"); on {
				values.Add(name, value)
			}
		case n.Data == "input":
			values.Add(name, value)
		}
	})
	return values
}

func local(t time.Time) string {
	london, err := time.LoadLocation("Europe/London")
	if err != nil {
		panic(err)
	}
	return t.In(london).Format("2006-01-02 15:04")
}

func TestEveryLegalActWorksWithoutScript(t *testing.T) {
	b := newBench(t)
	ana, lea, dora := b.surf("ana"), b.surf("lea"), b.surf("dora")

	ana.get("/alerts")
	ana.sees("received 3 times")
	ana.get("/alerts/alert-1")
	ana.sees("the source gave no zone; read as UTC")
	ana.get("/cases/declare?alert=alert-1")
	ana.press("Check what will start", url.Values{"aware_at": {local(b.now.Now().Add(-time.Hour))}})
	ana.sees("Tell the ICO")
	ana.sees("UK GDPR Art. 33(1)")
	ana.press("Declare the case", nil)
	number := strings.TrimPrefix(ana.at, "/cases/")
	ana.sees("The clocks run.")
	b.say(event.Deadline, number, event.DutyOpened{Duty: oneDuty(nil, *b.load(number).Declared, b.now.Now())[0]})

	ana.get("/cases/" + number + "/scope")
	window := url.Values{"dataset": {"crm.customers"}, "from": {local(b.now.Now().AddDate(0, 0, -3))}, "to": {local(b.now.Now())}}
	ana.press("Preview", window)
	ana.sees("500 people would be on the list")
	ana.press("State it and seal", nil)
	b.seal(number)

	ana.get("/cases/" + number + "/facts")
	ana.press("Save the facts sheet (en)", url.Values{"sheet.what_happened.en": {"Somebody read our files."}})
	ana.sees("Facts sheet saved")
	ana.press("State the fact", url.Values{"offered": {"event.detected"}, "value": {"2026-11-20 08:00"}})

	text := "/cases/" + number + "/wording/people/email/en-GB"
	ana.get(text)
	ana.press("Preview", url.Values{"subject": {"About your data"}, "body": {"Dear {{person.full_name}}, {{facts.what_happened}} Ask {{organisation.contact_email}}."}})
	ana.sees("Dear Alex Example, Somebody read our files.")
	ana.press("Save as a new version", nil)
	ana.sees("Version 1")

	dora.get("/cases/" + number + "/assess")
	dora.press("Record the assessment", url.Values{"level": {"high"}, "reason": {"Email addresses of many people"}})
	dora.sees("Decided: there is a high risk to people")

	lea.get(text)
	lea.press("Record the remark", url.Values{"passage": {"Dear {{person.full_name}}"}, "comment": {"Too formal"}})
	lea.sees("Too formal")
	lea.press("Record the remark", url.Values{"passage": {"not in the text"}, "comment": {"Where?"}})
	lea.sees("The text does not hold this passage")
	lea.press("Send version 1 back", url.Values{"reason": {"Say sorry"}})
	lea.sees("Sent back: Say sorry")
	ana.get(text)
	ana.press("Save as a new version", url.Values{"body": {"We are sorry, {{person.full_name}}. {{facts.what_happened}} Ask {{organisation.contact_email}}."}})
	lea.get(text)
	lea.sees("the passage no longer standsDear {{person.full_name}}")
	lea.get(text + "/compare?from=1&to=2")
	lea.sees("Version 1 and version 2, side by side")
	lea.get("/cases/" + number + "/approve")
	lea.press("Approve and sign", nil)
	lea.sees("Say that you have read every text")
	lea.press("Approve and sign", url.Values{"read": {"yes"}})
	lea.sees("Approved and signed")
	lea.get("/cases/" + number + "/approve")
	lea.press("Take it back", url.Values{"reason": {"Read it once more"}})
	lea.sees("the approval was taken back: Read it once more")
	lea.press("Approve and sign", url.Values{"read": {"yes"}})

	dora.get("/cases/" + number + "/dispatch")
	dora.sees("When each channel must begin to end before the deadline")
	dora.sees("Approve at the latest")
	dora.press("Write to 500 people", url.Values{"confirm_case": {number}, "confirm_people": {"499"}})
	dora.sees("Error: Type the case number and the number of people")
	if dora.status != http.StatusBadRequest {
		t.Errorf("a wrong confirmation gives %d", dora.status)
	}
	dora.press("Write to 500 people", url.Values{"confirm_case": {number}, "confirm_people": {"500"}})
	dora.sees("390 of 500 people told, 100 to go, 5 in doubt, 5 unreachable.")
	dora.press("Pause", nil)
	dora.press("Resume", nil)
	dora.press("Stop the sending", nil)
	dora.sees("Stopped. Nothing more leaves")
	dora.get("/cases/" + number + "/messages")
	dora.sees("K7QX-9M4T")
	dora.get("/cases/" + number + "/report")
	dora.sees("bounced")
	dora.sees("5 of 500 people cannot be reached")
	dora.sees("more than 100,000 people are affected: there are not")
	dora.sees("disproportionate effort")
	dora.get("/cases/" + number + "/unreached.csv")
	dora.sees("person,notice,place,reason,since_utc")
	dora.get("/cases/" + number + "/report")
	dora.get("/cases/" + number + "/doubts")
	dora.press("Record the decision", url.Values{"attempts": {"42"}, "decision": {"resend"}, "reason": {"They must know"}})
	dora.sees("Decided for 2 people")

	dora.get("/cases/" + number + "/duties/uk-gdpr.33_GB")
	dora.press("Record as met", url.Values{"met_at": {local(b.now.Now())}, "evidence": {"Filing 4711"}})
	dora.get("/cases/" + number + "/close")
	dora.press("Close the case", url.Values{"reason": {"Everybody was told"}})
	dora.sees("Closed: Everybody was told")
	dora.get("/cases/" + number + "/timeline")
	dora.sees("Case closed: Everybody was told")
	dora.get("/deadlines")
	dora.sees("Nothing is due")
	b.now.Advance(20 * time.Minute)
	dora.get("/cases/" + number)
	dora.press("Show", url.Values{"as_of": {local(b.now.Now().Add(-10 * time.Minute))}})
	dora.sees("As we knew it on")
	dora.press("Show", url.Values{"as_of": {"2001-01-01 00:00"}})
	dora.sees("The case had not been declared then")
	dora.press("Show", url.Values{"as_of": {"yesterday"}})
	dora.sees("Give a date and time such as")
}

func TestWhatASourceSentIsShownAndNeverRun(t *testing.T) {
	b := newBench(t)
	ana := b.surf("ana")
	resp, err := ana.client.Get(b.url + "/alerts/alert-1")
	b.must(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	b.must(err)
	if strings.Contains(string(body), "<script>alert") || strings.Contains(string(body), "<b>at night") {
		t.Error("the page holds the source's markup as markup")
	}
	if csp := resp.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
		t.Errorf("content policy is %q", csp)
	}
}

func TestNobodySeesAPageWithoutSigningIn(t *testing.T) {
	b := newBench(t)
	number := b.declare()
	nobody := b.surf("")
	for _, path := range []string{"/", "/alerts", "/cases", "/cases/" + number, "/deadlines", "/dead-letters", "/cases/" + number + "/live"} {
		nobody.take(nobody.client.Get(b.url + path))
		if !strings.HasPrefix(nobody.at, "/signin") {
			t.Errorf("%s leads a stranger to %s", path, nobody.at)
		}
	}
	nobody.get("/signin?next=%2Fcases")
	nobody.press("Sign in", url.Values{"user": {"ana"}, "password": {"wrong"}})
	nobody.sees("User or password is wrong")
	nobody.press("Sign in", url.Values{"user": {"ana"}, "password": {testPassword}})
	if nobody.at != "/cases" {
		t.Errorf("after signing in the page is %s", nobody.at)
	}
	nobody.press("Sign out", nil)
	nobody.take(nobody.client.Get(b.url + "/cases"))
	if !strings.HasPrefix(nobody.at, "/signin") {
		t.Error("the session outlives signing out")
	}
}

func TestASignInNeverLeadsToAnotherSite(t *testing.T) {
	for _, next := range []string{"https://evil.example/", "//evil.example", `/\evil.example`, "javascript:alert(1)", ""} {
		if got := localPath(next); got != "/" {
			t.Errorf("next=%q leads to %q", next, got)
		}
	}
	if got := localPath("/cases?status=open"); got != "/cases?status=open" {
		t.Errorf("a local path became %q", got)
	}
}

func TestGuessingPasswordsIsSlowedDown(t *testing.T) {
	b := newBench(t)
	body := map[string]string{"user": "ana", "password": "wrong wrong wrong"}
	for range freeUser {
		if s, _ := b.send("", "POST", "/api/v1/session", body); s != http.StatusBadRequest {
			t.Fatalf("a wrong password gives %d", s)
		}
	}
	if s, answer := b.send("", "POST", "/api/v1/session", map[string]string{"user": "ana", "password": testPassword}); s != http.StatusTooManyRequests {
		t.Errorf("after %d failures: %d %s", freeUser, s, answer)
	}
	b.now.Advance(firstWait + time.Second)
	if s, answer := b.send("", "POST", "/api/v1/session", map[string]string{"user": "ana", "password": testPassword}); s != http.StatusOK {
		t.Errorf("after the wait: %d %s", s, answer)
	}
}

func TestAPageOfAnotherSiteCannotAct(t *testing.T) {
	b := newBench(t)
	client := b.browser("ana")
	req, err := http.NewRequestWithContext(t.Context(), "POST", b.url+"/alerts/dismiss", strings.NewReader("alerts=alert-1&reason=none"))
	b.must(err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	resp, err := client.Do(req)
	b.must(err)
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("a cross-site form gives %d", resp.StatusCode)
	}
}

func TestAnotherTenantsCaseIsNotFoundInTheConsole(t *testing.T) {
	b := newBench(t)
	number := b.ready()
	eve := b.surf("eve")
	for _, page := range []string{"", "/timeline", "/scope", "/facts", "/assess", "/close", "/wording", "/approve", "/dispatch", "/messages", "/live", "/wording/people/email/en-GB"} {
		eve.take(eve.client.Get(b.url + "/cases/" + number + page))
		if eve.status != http.StatusNotFound {
			t.Errorf("GET /cases/%s%s as another organisation: %d", number, page, eve.status)
		}
		if strings.Contains(eve.text(), "Files read at night") {
			t.Errorf("%s shows the title of another organisation's case", page)
		}
	}
}

func TestAChangedPasswordEndsTheSession(t *testing.T) {
	b := newBench(t)
	ana := b.surf("ana")
	ana.get("/cases")
	hash, err := HashPassword("another long password")
	b.must(err)
	u := b.user("ana")
	u.Password = hash
	b.desk.cfg.Users.byID["ana"] = u
	ana.take(ana.client.Get(b.url + "/cases"))
	if !strings.HasPrefix(ana.at, "/signin") {
		t.Error("the session outlives the password")
	}
}
