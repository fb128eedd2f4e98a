package sandbox

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sendgrid/rest"
	"github.com/sendgrid/sendgrid-go"
	"github.com/sendgrid/sendgrid-go/helpers/mail"
)

func TestTheRealSendGridClientIsAnswered202WithAMessageID(t *testing.T) {
	r := newRig(t, nil)
	m := mail.NewV3MailInit(mail.NewEmail("Tidewater", "office@tidewater.example"), "About your data",
		mail.NewEmail("Ann Lee", "ann@people.example"), mail.NewContent("text/plain", "Dear Ann"))
	m.Personalizations[0].SetCustomArg("n", "n1")
	m.Personalizations[0].SetCustomArg("b", "b1")
	m.AddCategories("case:c-9")
	req := sendgrid.GetRequest(testKey, "/v3/mail/send", r.url)
	req.Method, req.Body = "POST", mail.GetRequestBody(m)
	resp, err := (&rest.Client{HTTPClient: http.DefaultClient}).Send(req)
	if err != nil {
		t.Fatal(err)
	}
	id := http.Header(resp.Headers).Get("X-Message-Id")
	if resp.StatusCode != 202 || resp.Body != "" || id == "" {
		t.Fatalf("answer %d %q, X-Message-Id %q; want 202, empty, an id", resp.StatusCode, resp.Body, id)
	}
	r.until("processed and delivered", func() bool { return len(r.events) == 2 })
	for _, e := range r.events {
		if e["n"] != "n1" || e["b"] != "b1" {
			t.Errorf("event without its custom arguments: %v", e)
		}
		if sg, _ := e["sg_message_id"].(string); !strings.HasPrefix(sg, id+".") {
			t.Errorf("sg_message_id %q does not begin with %q", sg, id)
		}
	}
	if got := r.eventNames("ann@people.example"); !slices.Equal(got, []string{"processed", "delivered"}) {
		t.Errorf("events %v", got)
	}
	if r.bad != 0 {
		t.Errorf("%d signatures did not verify", r.bad)
	}
	if sum := r.Summary("c-9", 10); sum.ToldOnce != 1 || sum.AcceptedTotal != 1 || sum.Notices != 1 {
		t.Errorf("record %+v", sum)
	}
}

func TestSendGridRefusesWhatTheVendorRefuses(t *testing.T) {
	r := newRig(t, nil)
	good := letter("ann@people.example")
	swap := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("%q is not in the letter", old)
		}
		return strings.Replace(good, old, new, 1)
	}
	with := func(extra string) string { return "{" + extra + "," + strings.TrimPrefix(good, "{") }
	many := func(n int) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf("p%d@people.example", i))
		}
		return letter(list...)
	}
	now := time.Now().Unix()
	for name, c := range map[string]struct {
		body  string
		want  int
		field string
	}{
		"not JSON":                 {"{", 400, ""},
		"wrong type":               {swap(`"About your data"`, `7`), 400, ""},
		"no personalization":       {`{"personalizations":[],"from":{"email":"a@b.example"},"subject":"s","content":[{"type":"text/plain","value":"v"}]}`, 400, "personalizations"},
		"1001 personalizations":    {many(1001), 400, "personalizations"},
		"1000 personalizations":    {many(1000), 202, ""},
		"1001 recipients":          {strings.Replace(many(1000), `"to":[`, `"bcc":[{"email":"x@people.example"}],"to":[`, 1), 400, "personalizations"},
		"no from":                  {swap(`"from":{"email":"office@tidewater.example","name":"Tidewater"},`, ``), 400, "from.email"},
		"unicode in from":          {swap("office@tidewater", "büro@tidewater"), 400, "from.email"},
		"semicolon in a name":      {swap(`"name":"Tidewater"`, `"name":"Tide;water"`), 400, "from.email"},
		"comma in a name":          {swap(`{"email":"ann@people.example"}`, `{"email":"ann@people.example","name":"Lee, Ann"}`), 400, "personalizations.0.to.0.email"},
		"no subject":               {swap(`"subject":"About your data",`, ``), 400, "subject"},
		"no content":               {swap(`"content":[`, `"x":[`), 400, "content"},
		"empty content":            {swap(`"Dear you"`, `""`), 400, "content.0.value"},
		"html before plain":        {swap(`"text/html"`, `"text/plain"`), 400, "content"},
		"bad address":              {swap(`"ann@people.example"}`, `"ann.people.example"}`), 400, "personalizations.0.to.0.email"},
		"address with a space":     {swap(`"ann@people.example"}`, `"ann lee@people.example"}`), 400, "personalizations.0.to.0.email"},
		"nobody to write to":       {swap(`"to":[{"email":"ann@people.example"}]`, `"to":[]`), 400, "personalizations.0.to"},
		"same address twice":       {swap(`"to":[{"email":"ann@people.example"}]`, `"to":[{"email":"ann@people.example"},{"email":"Ann@people.example"}]`), 400, "personalizations.0"},
		"custom_args too large":    {swap(`"b":"b1"`, `"b":"`+strings.Repeat("b", 10001)+`"`), 400, "personalizations.0.custom_args"},
		"custom_args not strings":  {swap(`"b":"b1"`, `"b":1`), 400, "personalizations.0.custom_args"},
		"substitutions too large":  {swap(`"custom_args"`, `"substitutions":{"-a-":"`+strings.Repeat("b", 10001)+`"},"custom_args"`), 400, "personalizations.0.substitutions"},
		"11 categories":            {swap(`["breach","case:c-1"]`, `["a","b","c","d","e","f","g","h","i","j","k"]`), 400, "categories"},
		"send_at beyond 72 h":      {with(fmt.Sprintf(`"send_at":%d`, now+73*3600)), 400, "send_at"},
		"unknown batch":            {with(`"batch_id":"nobody"`), 400, "batch_id"},
		"two kinds of bypass":      {with(`"mail_settings":{"bypass_list_management":{"enable":true},"bypass_spam_management":{"enable":true}}`), 400, "mail_settings.bypass_list_management"},
		"short ip pool":            {with(`"ip_pool_name":"x"`), 400, "ip_pool_name"},
		"sandbox mode, valid":      {with(`"mail_settings":{"sandbox_mode":{"enable":true}}`), 200, ""},
		"template without content": {`{"personalizations":[{"to":[{"email":"a@b.example"}],"dynamic_template_data":{"a":1}}],"from":{"email":"a@b.example"},"template_id":"d-1"}`, 202, ""},
	} {
		t.Run(name, func(t *testing.T) {
			before := r.Summary("", 0).AcceptedTotal
			resp, body := r.mail(c.body)
			wantStatus(t, resp, body, c.want)
			if c.want == 400 && !strings.Contains(body, `{"errors":[{"message":"`) {
				t.Errorf("not SendGrid's error form: %s", body)
			}
			if c.field != "" && !strings.Contains(body, `"field":"`+c.field+`"`) {
				t.Errorf("want field %q in %s", c.field, body)
			}
			if accepted := r.Summary("", 0).AcceptedTotal - before; c.want != 202 && accepted != 0 {
				t.Errorf("%d accepted by a refused request", accepted)
			}
		})
	}
}

func TestSendGridChecksKeyMethodTypeAndSize(t *testing.T) {
	r := newRig(t, nil)
	resp, body := r.do("POST", "/v3/mail/send", letter("a@b.example"), "Authorization", "Bearer wrong", "Content-Type", "application/json")
	wantStatus(t, resp, body, 401)
	resp, body = r.do("GET", "/v3/mail/send", "", "Authorization", "Bearer "+testKey)
	wantStatus(t, resp, body, 405)
	resp, body = r.do("POST", "/v3/mail/send", letter("a@b.example"), "Authorization", "Bearer "+testKey, "Content-Type", "text/plain")
	wantStatus(t, resp, body, 415)
	huge := strings.Repeat(" ", maxMailBytes) + letter("a@b.example")
	resp, body = r.mail(huge)
	wantStatus(t, resp, body, 413)
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	_, _ = w.Write([]byte(huge))
	_ = w.Close()
	resp, body = r.do("POST", "/v3/mail/send", z.String(), "Authorization", "Bearer "+testKey, "Content-Type", "application/json", "Content-Encoding", "gzip")
	wantStatus(t, resp, body, 413)
}

func TestACompressedMailIsRead(t *testing.T) {
	r := newRig(t, nil)
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	_, _ = w.Write([]byte(letter("a@b.example", "c@d.example")))
	_ = w.Close()
	resp, body := r.do("POST", "/v3/mail/send", z.String(), "Authorization", "Bearer "+testKey, "Content-Type", "application/json", "Content-Encoding", "gzip")
	wantStatus(t, resp, body, 202)
	if n := r.Summary("", 0).ToldOnce; n != 2 {
		t.Errorf("%d told, want 2", n)
	}
}

func TestTheAddressDecidesTheOutcome(t *testing.T) {
	r := newRig(t, nil)
	want := map[string]string{
		"ann@people.example":          "processed delivered",
		"ann+bounce@people.example":   "processed bounce",
		"block.7@people.example":      "processed bounce",
		"defer@people.example":        "processed deferred delivered",
		"optout3@people.example":      "dropped",
		"spam@people.example":         "dropped",
		"drop@people.example":         "dropped",
		"complain@people.example":     "processed delivered spamreport",
		"silent@people.example":       "processed",
		"deferrari@people.example":    "processed delivered",
		"dropmore.lee@people.example": "processed delivered",
		"condoleezza@people.example":  "processed delivered",
	}
	var list []string
	for a := range want {
		list = append(list, a)
	}
	resp, body := r.mail(letter(append(list, "mute@people.example")...))
	wantStatus(t, resp, body, 202)
	for a, names := range want {
		r.until(a+" gets "+names, func() bool { return strings.Join(r.eventNames(a), " ") == names })
	}
	for _, e := range r.events {
		if e["email"] == "block.7@people.example" && e["event"] == "bounce" && e["type"] != "blocked" {
			t.Errorf("soft bounce is %v", e)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if got := r.eventNames("mute@people.example"); len(got) > 0 {
		t.Errorf("mute got %v", got)
	}
}

func TestSuppressionsAreBypassedOnlyAsAsked(t *testing.T) {
	r := newRig(t, nil)
	for i, c := range []struct{ setting, address, want string }{
		{"bypass_unsubscribe_management", "optout", "processed delivered"},
		{"bypass_spam_management", "optout", "dropped"},
		{"bypass_spam_management", "spam", "processed delivered"},
		{"bypass_bounce_management", "drop", "processed bounce"},
		{"bypass_list_management", "spam", "processed delivered"},
	} {
		a := fmt.Sprintf("%s@d%d.example", c.address, i)
		resp, body := r.mail(fmt.Sprintf(`{"mail_settings":{%q:{"enable":true}},`, c.setting) + letter(a)[1:])
		wantStatus(t, resp, body, 202)
		r.until(a+" "+c.want, func() bool { return strings.Join(r.eventNames(a), " ") == c.want })
	}
	// a hard bounce puts the address on the list, and taking it off helps
	a := "bounce@people.example"
	for _, want := range []string{"processed bounce", "processed bounce dropped"} {
		resp, body := r.mail(letter(a))
		wantStatus(t, resp, body, 202)
		r.until(want, func() bool { return strings.Join(r.eventNames(a), " ") == want })
	}
	resp, body := r.do("PUT", "/sandbox/suppressions/unsubscribes/zoe@people.example", "")
	wantStatus(t, resp, body, 204)
	r.mail(letter("zoe@people.example"))
	r.until("dropped", func() bool { return strings.Join(r.eventNames("zoe@people.example"), " ") == "dropped" })
	r.do("DELETE", "/sandbox/suppressions/zoe@people.example", "")
	r.mail(letter("zoe@people.example"))
	r.until("delivered", func() bool { return slices.Contains(r.eventNames("zoe@people.example"), "delivered") })
}

func TestEventsAreTriedAgainUntilTheyAreTaken(t *testing.T) {
	r := newRig(t, nil)
	r.mu.Lock()
	r.refuse = 4
	r.mu.Unlock()
	resp, body := r.mail(letter("a@b.example"))
	wantStatus(t, resp, body, 202)
	r.until("both events", func() bool { return len(r.eventNames("a@b.example")) == 2 })
	if r.Summary("", 0).Callbacks.Failed == 0 {
		t.Error("no failed callback counted")
	}
}

func TestAScheduledMailIsCancelledInTimeAndNotTooLate(t *testing.T) {
	clock := newClock()
	r := newRig(t, func(c *Config) { c.Now = clock.now })
	schedule := func(address string, ahead time.Duration) (batch string) {
		resp, body := r.sendGrid("POST", "/v3/mail/batch", "")
		wantStatus(t, resp, body, 201)
		batch = strings.Split(body, `"`)[3]
		resp, body = r.mail(fmt.Sprintf(`{"send_at":%d,"batch_id":%q,`, clock.now().Add(ahead).Unix(), batch) + letter(address)[1:])
		wantStatus(t, resp, body, 202)
		return batch
	}
	cancel := func(batch string) {
		resp, body := r.sendGrid("POST", "/v3/user/scheduled_sends", fmt.Sprintf(`{"batch_id":%q,"status":"cancel"}`, batch))
		wantStatus(t, resp, body, 201)
	}
	inTime, late := schedule("intime@people.example", time.Hour), schedule("late@people.example", time.Hour)
	schedule("kept@people.example", time.Hour)
	cancel(inTime)
	r.until("processed at once", func() bool { return len(r.eventNames("kept@people.example")) == 1 })
	clock.forward(55 * time.Minute)
	cancel(late)
	clock.forward(6 * time.Minute)
	r.until("outcomes", func() bool {
		return slices.Contains(r.eventNames("intime@people.example"), "dropped") &&
			slices.Contains(r.eventNames("late@people.example"), "delivered") &&
			slices.Contains(r.eventNames("kept@people.example"), "delivered")
	})
	if sum := r.Summary("c-1", 0); sum.People != 2 || sum.ByState["cancelled"] != 1 {
		t.Errorf("record %+v", sum)
	}
	resp, body := r.sendGrid("GET", "/v3/user/scheduled_sends", "")
	wantStatus(t, resp, body, 200)
	if strings.Count(body, `"cancel"`) != 2 {
		t.Errorf("stopped: %s", body)
	}
	resp, body = r.sendGrid("PATCH", "/v3/user/scheduled_sends/"+late, `{"status":"pause"}`)
	wantStatus(t, resp, body, 204)
	resp, body = r.sendGrid("DELETE", "/v3/user/scheduled_sends/"+late, "")
	wantStatus(t, resp, body, 204)
	resp, body = r.sendGrid("GET", "/v3/user/scheduled_sends/"+late, "")
	wantStatus(t, resp, body, 200)
	if strings.TrimSpace(body) != "[]" {
		t.Errorf("after the resume: %s", body)
	}
}

func TestNoMoreThanTenBatchesAreStoppedAtOnce(t *testing.T) {
	r := newRig(t, nil)
	for i := range 11 {
		_, body := r.sendGrid("POST", "/v3/mail/batch", "")
		resp, body := r.sendGrid("POST", "/v3/user/scheduled_sends", fmt.Sprintf(`{"batch_id":%q,"status":"pause"}`, strings.Split(body, `"`)[3]))
		want := 201
		if i == 10 {
			want = 400
		}
		wantStatus(t, resp, body, want)
	}
}

func TestTheLogFindsAMailByAddressTimeAndID(t *testing.T) {
	r := newRig(t, nil)
	before := time.Now().Add(-time.Second).UTC().Format(time.RFC3339)
	resp, body := r.mail(letter("ann@people.example", "bob@people.example"))
	wantStatus(t, resp, body, 202)
	id := resp.Header.Get("X-Message-Id")
	for query, want := range map[string]int{
		`to_email = 'ann@people.example'`: 1,
		`to_email = "ann@people.example" AND sg_message_id_created_at > TIMESTAMP \"` + before + `\"`: -1,
		`sg_message_id = '` + id + `'`:                                      2,
		`sg_message_id = '` + id + `.recvd-sandbox-1'`:                      1,
		`to_email = 'nobody@people.example'`:                                0,
		`categories IN ('breach') AND subject = 'About your data'`:          2,
		`sg_message_id_created_at < TIMESTAMP '` + before + `'`:             0,
		`to_email = 'Ann@People.example' AND categories IN ('a', 'breach')`: 1,
		``: 2,
	} {
		if want < 0 {
			query, want = strings.ReplaceAll(query, `\"`, `"`), 1
		}
		resp, body := r.sendGrid("POST", "/v3/logs", fmt.Sprintf(`{"query":%q,"limit":10}`, query))
		wantStatus(t, resp, body, 200)
		if got := strings.Count(body, `"sg_message_id":`); got != want {
			t.Errorf("%s: %d found, want %d: %s", query, got, want, body)
		}
	}
	for _, bad := range []string{`custom = 'x'`, `to_email IN ('x')`, `to_email = 'x`, `to_email = 'x' OR subject = 'y'`, `status IN ('a'`} {
		resp, body := r.sendGrid("POST", "/v3/logs", fmt.Sprintf(`{"query":%q}`, bad))
		wantStatus(t, resp, body, 400)
	}
	resp, body = r.sendGrid("GET", "/v3/logs/"+id+".recvd-sandbox-0", "")
	wantStatus(t, resp, body, 200)
	if !strings.Contains(body, `"n":"n0-ann@people.example"`) {
		t.Errorf("detail: %s", body)
	}
	resp, body = r.sendGrid("GET", "/v3/logs/"+id+".recvd-sandbox-9", "")
	wantStatus(t, resp, body, 404)
}

func TestTheLogKeepsItsRateAndCanBeOff(t *testing.T) {
	clock := newClock()
	r := newRig(t, func(c *Config) { c.LogsPerMinute, c.Now = 2, clock.now })
	for _, want := range []int{200, 200, 429} {
		resp, body := r.sendGrid("POST", "/v3/logs", `{"query":""}`)
		wantStatus(t, resp, body, want)
	}
	clock.forward(time.Minute)
	r.faultsAre(Faults{LookupsOff: true})
	resp, body := r.sendGrid("POST", "/v3/logs", `{"query":""}`)
	wantStatus(t, resp, body, 403)
	r.faultsAre(Faults{LookupLagMS: 60_000})
	r.mail(letter("ann@people.example"))
	resp, body = r.sendGrid("POST", "/v3/logs", `{"query":"to_email = 'ann@people.example'"}`)
	wantStatus(t, resp, body, 200)
	if strings.Contains(body, "ann@") {
		t.Error("a mail was seen before the look-up caught up")
	}
}

// BenchmarkMailSend is one request with 1,000 personalizations, through the handler without a
// network: ns/op divided by 1,000 is the CPU a notice costs the sandbox, receipts not counted.
func BenchmarkMailSend(b *testing.B) {
	s, err := New(Config{Now: time.Now, SendGridKey: testKey, TwilioAccountSID: testSID, TwilioAuthToken: testToken, MaxBacklog: 1 << 30})
	if err != nil {
		b.Fatal(err)
	}
	h, body := s.Handler(), bigLetter(1000)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		req := httptest.NewRequest("POST", "/v3/mail/send", bytes.NewReader(body))
		req.Header.Set("Authorization", "Bearer "+testKey)
		req.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		if w.Code != 202 {
			b.Fatal(w.Body)
		}
		if i%100 == 99 {
			s.Reset()
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1e6, "µs/notice")
}
