package sandbox

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestThePageShowsEveryMessageAsReceivedAndEscapesIt(t *testing.T) {
	r := newRig(t, nil)
	resp, body := r.do("GET", "/sandbox/", "")
	wantStatus(t, resp, body, 200)
	if !strings.Contains(body, "No message yet") {
		t.Errorf("no empty state: %s", body)
	}
	evil := `<script>alert(1)</script>`
	mail := fmt.Sprintf(`{"personalizations":[{"to":[{"email":"ann@people.example","name":"Ann <Lee>"}],"substitutions":{"-name-":%q}}],
		"from":{"email":"office@tidewater.example"},"subject":"For -name-","content":[{"type":"text/plain","value":"Dear -name-"},{"type":"text/html","value":"<p title='\"'>Dear <b>-name-</b></p>"}]}`, evil)
	resp, body = r.mail(mail)
	wantStatus(t, resp, body, 202)
	r.text(r.sms("+447700900001"))
	r.until("delivered", func() bool { return r.Summary("", 0).ByState["delivered"] == 2 })
	resp, body = r.do("GET", "/sandbox/?channel=email", "")
	wantStatus(t, resp, body, 200)
	if strings.Contains(body, evil) || !strings.Contains(body, "For &lt;script&gt;") || strings.Contains(body, "+44770") {
		t.Errorf("list: %s", body)
	}
	if csp := resp.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") {
		t.Errorf("policy %q", csp)
	}
	resp, body = r.do("GET", "/sandbox/messages/1", "")
	wantStatus(t, resp, body, 200)
	for _, want := range []string{
		`sandbox=""`, `srcdoc="&lt;p title=&#39;&#34;&#39;&gt;Dear &lt;b&gt;&lt;script&gt;`, "Ann &lt;Lee&gt;", "<pre>Dear &lt;script&gt;",
		"<td>processed</td>", "<td>delivered</td>",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("message page lacks %q: %s", want, body)
		}
	}
	if strings.Contains(body, evil) {
		t.Error("a script of a mail stands in the page")
	}
	resp, body = r.do("GET", "/sandbox/messages/2", "")
	wantStatus(t, resp, body, 200)
	if !strings.Contains(body, "1 (GSM-7)") || !strings.Contains(body, `<pre class="sms">Dear you</pre>`) {
		t.Errorf("sms page: %s", body)
	}
	for path, want := range map[string]int{"/sandbox/messages/3": 404, "/sandbox/messages/x": 404, "/sandbox/?state=odd": 400, "/sandbox/?to=nobody": 200} {
		resp, body = r.do("GET", path, "")
		wantStatus(t, resp, body, want)
	}
}

func TestMessagesArePagedAndOldBodiesMakeRoom(t *testing.T) {
	r := newRig(t, func(c *Config) { c.KeepBodies = 10 })
	for i := range 3 {
		var list []string
		for j := range 10 {
			list = append(list, fmt.Sprintf("p%02d@people.example", i*10+j))
		}
		r.mail(letter(list...))
	}
	seen, before := map[string]bool{}, ""
	for range 10 {
		resp, body := r.do("GET", "/sandbox/messages.json?size=7&case=c-1"+before, "")
		wantStatus(t, resp, body, 200)
		var page struct {
			Messages []shownMessage
			Before   string
		}
		if err := json.Unmarshal([]byte(body), &page); err != nil {
			t.Fatal(err)
		}
		for _, m := range page.Messages {
			seen[m.To] = true
			if kept := m.Text != ""; kept != (m.To >= "p20") || kept != m.Kept {
				t.Errorf("%s: text %q, kept %v", m.To, m.Text, m.Kept)
			}
		}
		if page.Before == "" {
			break
		}
		before = "&before=" + page.Before
	}
	if len(seen) != 30 {
		t.Errorf("%d of 30 messages listed", len(seen))
	}
	resp, body := r.do("GET", "/sandbox/record/notices?case=c-1", "")
	wantStatus(t, resp, body, 200)
	if n := strings.Count(body, "\n"); n != 30 || !strings.Contains(body, `"n":"n0-p00@people.example","b":"b1"`) {
		t.Errorf("%d lines: %.200s", n, body)
	}
	resp, body = r.do("DELETE", "/sandbox/record", "")
	wantStatus(t, resp, body, 204)
	resp, body = r.do("GET", "/sandbox/record", "")
	wantStatus(t, resp, body, 200)
	if !strings.Contains(body, `"accepted_total":0`) {
		t.Errorf("after the reset: %s", body)
	}
}

func TestOneCaseIsCountedApartFromAnother(t *testing.T) {
	r := newRig(t, nil)
	r.mail(letter("ann@people.example", "bob@people.example"))
	r.mail(strings.ReplaceAll(letter("ann@people.example"), "case:c-1", "case:c-2"))
	one, two, all := r.Summary("c-1", 0), r.Summary("c-2", 0), r.Summary("", 0)
	if one.ToldOnce != 2 || one.ToldTwice != 0 || two.ToldOnce != 1 || all.ToldTwice != 1 || all.People != 2 {
		t.Errorf("one %+v two %+v all %+v", one, two, all)
	}
}
