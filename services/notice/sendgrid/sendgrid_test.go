package sendgrid

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sendgrid/sendgrid-go/helpers/mail"
	"pgregory.net/rapid"

	"tocsin.dev/services/notice/carrier"
)

func on() *mail.Setting { t := true; return &mail.Setting{Enable: &t} }

// Our body must be the one that sendgrid-go's own types would make.
func TestTheBodyIsWhatTheSDKWouldWrite(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.String(), 1, 4).Draw(t, "values")
		e := Envelope{FromEmail: "notices@x.example", FromName: "X AB", ReplyTo: "privacy@x.example",
			Subject: "Om dina uppgifter " + TextTag(0), Text: rapid.StringN(1, 50, -1).Draw(t, "text"), HTML: "<p>" + HTMLTag(0) + "</p>",
			Categories: []string{"breach-notice", "case:2026-001"}}
		h := Handling{Bypass: BypassAll, IPPool: "pool", Batch: "batch-1", SendAt: 1_800_000_000}
		var b Body
		b.Reset()
		want := mail.NewV3Mail()
		for i, v := range values {
			id := carrier.ID{byte(i), 1, 2}
			address := fmt.Sprintf("p%d@x.example", i)
			b.Open(address, id, 42)
			b.Value(0, v)
			b.Close()
			p := mail.NewPersonalization()
			p.AddTos(&mail.Email{Address: address})
			p.SetCustomArg("n", id.String())
			p.SetCustomArg("b", fmt.Sprintf("42.%d", i))
			p.SetSubstitution(TextTag(0), strings.ToValidUTF8(v, "\uFFFD"))
			p.SetSubstitution(HTMLTag(0), html.EscapeString(strings.ToValidUTF8(v, "\uFFFD")))
			want.AddPersonalizations(p)
		}
		want.SetFrom(&mail.Email{Name: e.FromName, Address: e.FromEmail})
		want.SetReplyTo(&mail.Email{Address: e.ReplyTo})
		want.Subject = e.Subject
		want.AddContent(mail.NewContent("text/plain", e.Text), mail.NewContent("text/html", e.HTML))
		want.AddCategories(e.Categories...)
		want.SetIPPoolID("pool")
		want.BatchID, want.SendAt = h.Batch, int(h.SendAt)
		want.SetMailSettings(&mail.MailSettings{BypassListManagement: on()})
		var got, expect any
		body := b.Finish(h, e.Tail())
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatalf("the body is not JSON: %v\n%s", err, body)
		}
		if err := json.Unmarshal(mail.GetRequestBody(want), &expect); err != nil {
			t.Fatal(err)
		}
		m, _ := got.(map[string]any)
		if m["tracking_settings"] == nil {
			t.Error("tracking is not switched off")
		}
		delete(m, "tracking_settings")
		if d := cmp.Diff(expect, got); d != "" {
			t.Errorf("the body differs (-SDK +ours):\n%s", d)
		}
		i := 0
		if err := Inspect(body, func(r *Inspected) bool {
			v, ok := r.Value(0)
			if !ok || !v.Is(strings.ToValidUTF8(values[i], "\uFFFD")) || !r.Email.Is(fmt.Sprintf("p%d@x.example", i)) {
				t.Errorf("recipient %d is read back differently", i)
			}
			i++
			return true
		}); err != nil || i != len(values) {
			t.Errorf("read back %d of %d recipients: %v", i, len(values), err)
		}
	})
}

func TestATrackedLinkOrPixelIsNeverAskedFor(t *testing.T) {
	tail := string((&Envelope{FromEmail: "a@x.example", Text: "t"}).Tail())
	for _, want := range []string{`"click_tracking":{"enable":false`, `"open_tracking":{"enable":false`, `"subscription_tracking":{"enable":false`, `"ganalytics":{"enable":false`} {
		if !strings.Contains(tail, want) {
			t.Errorf("the request lacks %s", want)
		}
	}
}

func TestCodesOfEmail(t *testing.T) {
	var reasons []string
	for _, c := range []struct {
		event, kind, status, reason string
		want                        carrier.Meaning
		code                        int
	}{
		{"processed", "", "", "", carrier.Processed, 0},
		{"deferred", "", "4.4.1", "", carrier.Deferred, 441},
		{"delivered", "", "", "", carrier.Delivered, 0},
		{"bounce", "bounce", "5.1.1", "", carrier.Hard, 511},
		{"bounce", "bounce", "5.1.2", "", carrier.Hard, 512},
		{"bounce", "bounce", "5.1.10", "", carrier.Hard, 5110},
		{"bounce", "bounce", "5.2.1", "", carrier.Hard, 521},
		{"bounce", "bounce", "5.2.2", "", carrier.Soft, 522},
		{"bounce", "bounce", "5.2.3", "", carrier.Blocked, 523},
		{"bounce", "bounce", "5.3.0", "", carrier.Soft, 530},
		{"bounce", "bounce", "5.4.4", "", carrier.Soft, 544},
		{"bounce", "bounce", "5.7.1", "", carrier.Blocked, 571},
		{"bounce", "bounce", "5.7.13", "", carrier.Hard, 5713},
		{"bounce", "bounce", "5.9.9", "", carrier.Hard, 599},
		{"bounce", "blocked", "4.7.1", "", carrier.Blocked, 471},
		{"bounce", "blocked", "4.2.2", "", carrier.Soft, 422},
		{"bounce", "blocked", "5.1.1", "", carrier.Blocked, 511},
		{"bounce", "bounce", "", "", carrier.Hard, 0},
		{"bounce", "blocked", "", "", carrier.Blocked, 0},
		{"dropped", "", "", "Bounced Address", carrier.Hard, 0},
		{"dropped", "", "", "Unsubscribed Address", carrier.OptedOut, 0},
		{"dropped", "", "", "Spam Reporting Address", carrier.OptedOut, 0},
		{"dropped", "", "", "Spam Content", carrier.Filtered, 0},
		{"dropped", "", "", "Spam", carrier.Filtered, 0},
		{"dropped", "", "", "Invalid", carrier.Hard, 0},
		{"dropped", "", "", "Invalid SMTPAPI header", carrier.Unknown, 0},
		{"dropped", "", "", "Recipient List over Package Quota", carrier.Unknown, 0},
		{"dropped", "", "", "something new", carrier.Unknown, 0},
		{"spamreport", "", "", "", carrier.Complained, 0},
		{"open", "", "", "", carrier.Ignored, 0},
		{"click", "", "", "", carrier.Ignored, 0},
		{"group_unsubscribe", "", "", "", carrier.Ignored, 0},
	} {
		reasons = append(reasons, strings.ToLower(c.reason))
		if got, code := meaningOf(c.event, c.kind, c.status, c.reason); got != c.want || code != c.code {
			t.Errorf("%s %s %s %q means %v (%d), want %v (%d)", c.event, c.kind, c.status, c.reason, got, code, c.want, c.code)
		}
	}
	for _, d := range dropped {
		if !slices.ContainsFunc(reasons, func(r string) bool { return strings.HasPrefix(r, d.words) }) {
			t.Errorf("the reason %q of a drop is not tested", d.words)
		}
	}
}

// What each answer of the vendor proves (facts of the ambiguous send).
func TestWhatAnAnswerOfSendGridProves(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		want   carrier.Class
	}{
		{202, "", carrier.Accepted}, {429, "", carrier.Slow}, {401, `{"errors":[{"message":"Maximum credits exceeded"}]}`, carrier.Account},
		{402, "", carrier.Account}, {403, "", carrier.Account}, {400, `{"errors":[{"field":"personalizations.3.to.0.email"}]}`, carrier.Refused},
		{413, "", carrier.Refused}, {422, "", carrier.Refused}, {400, `{"errors":[{"field":"from.email"}]}`, carrier.Account},
		{500, "", carrier.InDoubt}, {502, "<html>", carrier.InDoubt}, {503, "", carrier.InDoubt}, {504, "", carrier.InDoubt}, {408, "", carrier.InDoubt},
		{302, "", carrier.InDoubt},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.Header().Set("X-Message-Id", "m1")
			w.WriteHeader(c.status)
			_, _ = w.Write([]byte(c.body))
		}))
		client, err := New(Config{Key: "k", Host: srv.URL, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		a := client.Send(t.Context(), []byte(`{}`))
		if a.Class != c.want {
			t.Errorf("%d %s proves %v, want %v", c.status, c.body, a.Class, c.want)
		}
		if c.status == 400 && c.want == carrier.Refused && !cmp.Equal(a.Bad, []int{3}) {
			t.Errorf("the refusal names %v, want recipient 3", a.Bad)
		}
		srv.Close()
	}
}

func TestNoConnectionProvesThatNothingWasSentAndALostAnswerProvesNothing(t *testing.T) {
	client, err := New(Config{Key: "k", Host: "http://127.0.0.1:1", Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if a := client.Send(t.Context(), []byte(`{}`)); a.Class != carrier.NotSent {
		t.Errorf("no connection gives %v (%s), want not sent", a.Class, a.Detail)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer srv.Close()
	if client, err = New(Config{Key: "k", Host: srv.URL, Now: time.Now}); err != nil {
		t.Fatal(err)
	}
	if a := client.Send(t.Context(), []byte(`{}`)); a.Class != carrier.InDoubt {
		t.Errorf("a dropped connection gives %v, want in doubt", a.Class)
	}
}

func TestAnAnswerThatCannotBeReadIsNotQuoted(t *testing.T) {
	for _, answer := range []string{"anna@example.test 202 Accepted\r\n\r\n", "HTTP/1.1 anna@example.test\r\n\r\n", "HTTP/1.1 202 Accepted\r\nanna@example.test\r\n\r\n"} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = conn.Write([]byte(answer))
			_ = conn.Close()
		}))
		client, err := New(Config{Key: "k", Host: srv.URL, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		if a := client.Send(t.Context(), []byte(`{}`)); a.Class != carrier.InDoubt || strings.Contains(a.Detail, "anna") {
			t.Errorf("%q: %+v, want in doubt without an address", answer, a)
		}
		srv.Close()
	}
}

func FuzzEventsNeverPanicAndAgreeWithJSON(f *testing.F) {
	id := carrier.ID{1}.String()
	f.Add([]byte(`[{"email":"a@x.example","event":"delivered","timestamp":1700000000,"n":"` + id + `","b":"7.1","category":["x"],"pool":{"a":[1,"]"]}}]`))
	f.Add([]byte(`[]`))
	f.Add([]byte(`[{"a":"\\"},{"event":"bou\u006ece","type":"bounce","status":"5.1.1","n":"` + id + `","b":"1.0"}]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		n := 0
		err := ReadEvents(body, func(carrier.Receipt) { n++ }, func(carrier.Receipt, string) { n++ })
		var all []map[string]json.RawMessage
		if json.Unmarshal(body, &all) == nil && all != nil && err != nil {
			t.Errorf("valid events are refused: %v", err)
		}
		if err == nil && n > len(body) {
			t.Errorf("%d events in %d bytes", n, len(body))
		}
	})
}

func BenchmarkBody(b *testing.B) {
	var body Body
	tail := (&Envelope{FromEmail: "a@x.example", Subject: "s", Text: strings.Repeat("words ", 200)}).Tail()
	id := carrier.ID{1, 2, 3}
	b.ReportAllocs()
	body.Reset()
	for i := range b.N {
		if i%MaxRecipients == 0 {
			body.Finish(Handling{}, tail)
			body.Reset()
		}
		body.Open("katarina.andersson@people.example", id, 123456)
		body.Value(0, "Katarina")
		body.Value(1, "name, email address and phone number")
		body.Value(2, "ABCDE-FGHJK")
		body.Close()
	}
}

func BenchmarkEvents(b *testing.B) {
	id := carrier.ID{1}.String()
	one := `{"email":"katarina@people.example","timestamp":1700000000,"smtp-id":"<abc@sandbox.invalid>","sg_event_id":"c2RmZ2RmZ2RmZw","sg_message_id":"14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0","event":"delivered","response":"250 OK","ip":"192.0.2.1","tls":1,"category":["breach-notice","case:2026-001"],"n":"` + id + `","b":"123456.17"}`
	body := []byte("[" + strings.Repeat(one+",\r\n", 999) + one + "]")
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		if err := ReadEvents(body, func(carrier.Receipt) { n++ }, func(carrier.Receipt, string) {}); err != nil || n != 1000 {
			b.Fatal(n, err)
		}
	}
}
