package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sendgrid/sendgrid-go/helpers/eventwebhook"
	"github.com/twilio/twilio-go/client"
)

const (
	testKey   = "SG.test-key"
	testSID   = "AC0123456789abcdef0123456789abcdef"
	testToken = "0123456789abcdef0123456789abcdef"
)

// rig is a running sandbox with a receiver of callbacks that checks every signature with the
// vendors' own validators.
type rig struct {
	*Service
	t    testing.TB
	url  string
	hook string

	mu      sync.Mutex
	events  []map[string]any
	forms   []url.Values
	paths   []string
	bad     int // signatures that did not verify
	refuse  int // answer this many callbacks with 503 first
	arrived chan struct{}
}

func newRig(t testing.TB, change func(*Config)) *rig {
	t.Helper()
	r := &rig{t: t, arrived: make(chan struct{}, 1)}
	hooks := httptest.NewServer(http.HandlerFunc(r.receive))
	t.Cleanup(hooks.Close)
	r.hook = hooks.URL
	cfg := Config{
		Now: time.Now, SendGridKey: testKey, TwilioAccountSID: testSID, TwilioAuthToken: testToken,
		EventWebhookURL: hooks.URL + "/events", StepDelay: time.Millisecond, Seed: 7,
		RetryBase: 5 * time.Millisecond, RetryMax: 20 * time.Millisecond,
	}
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.Service = s
	server := httptest.NewServer(s.Handler())
	r.url = server.URL
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(5 * time.Second):
			t.Error("Run did not stop within 5 s")
		}
		server.Close()
	})
	return r
}

func (r *rig) receive(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	defer func() {
		select {
		case r.arrived <- struct{}{}:
		default:
		}
	}()
	if r.refuse > 0 {
		r.refuse--
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if req.URL.Path == "/events" {
		key, err := eventwebhook.ConvertPublicKeyBase64ToECDSA(r.PublicKey())
		if err != nil {
			r.t.Errorf("public key: %v", err)
			return
		}
		ok, err := eventwebhook.VerifySignature(key, body, req.Header.Get(eventwebhook.VerificationHTTPHeader), req.Header.Get(eventwebhook.TimestampHTTPHeader))
		if err != nil || !ok {
			r.bad++
		}
		var events []map[string]any
		if err := json.Unmarshal(body, &events); err != nil {
			r.t.Errorf("event body: %v in %s", err, body)
		}
		r.events = append(r.events, events...)
		return
	}
	validator := client.NewRequestValidator(testToken)
	if !validator.ValidateBody(r.hook+req.URL.RequestURI(), body, req.Header.Get("X-Twilio-Signature")) {
		r.bad++
	}
	form, _ := url.ParseQuery(string(body))
	r.forms, r.paths = append(r.forms, form), append(r.paths, req.URL.Path)
}

// until waits for callbacks until the condition, which runs under the lock, holds.
func (r *rig) until(what string, holds func() bool) {
	r.t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond) // states change without a callback too
	defer tick.Stop()
	for {
		r.mu.Lock()
		ok := holds()
		r.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-r.arrived:
		case <-tick.C:
		case <-deadline:
			r.t.Fatalf("never happened: %s", what)
		}
	}
}

func (r *rig) do(method, path string, body string, header ...string) (*http.Response, string) {
	r.t.Helper()
	req, err := http.NewRequest(method, r.url+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err.Error()
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp, string(b)
}

// sendGrid posts JSON with the key.
func (r *rig) sendGrid(method, path, body string) (*http.Response, string) {
	r.t.Helper()
	return r.do(method, path, body, "Authorization", "Bearer "+testKey, "Content-Type", "application/json")
}

func (r *rig) mail(body string) (*http.Response, string) {
	r.t.Helper()
	return r.sendGrid("POST", "/v3/mail/send", body)
}

// letter is a valid mail to addresses, with notice ids n0, n1, …
func letter(addresses ...string) string {
	var people []string
	for i, a := range addresses {
		people = append(people, fmt.Sprintf(`{"to":[{"email":%q}],"custom_args":{"n":"n%d-%s","b":"b1"}}`, a, i, a))
	}
	return fmt.Sprintf(`{"personalizations":[%s],"from":{"email":"office@tidewater.example","name":"Tidewater"},
		"subject":"About your data","content":[{"type":"text/plain","value":"Dear you"},{"type":"text/html","value":"<p>Dear you</p>"}],
		"categories":["breach","case:c-1"]}`, strings.Join(people, ","))
}

// text posts an SMS form with the account.
func (r *rig) text(form url.Values) (*http.Response, string) {
	r.t.Helper()
	req, _ := http.NewRequest("POST", r.url+"/2010-04-01/Accounts/"+testSID+"/Messages.json", strings.NewReader(form.Encode()))
	req.SetBasicAuth(testSID, testToken)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err.Error()
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp, string(b)
}

func (r *rig) sms(to string) url.Values {
	return url.Values{"To": {to}, "From": {"+15005550006"}, "Body": {"Dear you"}, "StatusCallback": {r.hook + "/sms/cases/c-1/n-" + to[1:] + "/a1#rc=5&rp=all"}}
}

func wantStatus(t testing.TB, resp *http.Response, body string, want int) {
	t.Helper()
	if resp == nil {
		t.Fatalf("no answer: %s", body)
	}
	if resp.StatusCode != want {
		t.Fatalf("status %d, want %d: %s", resp.StatusCode, want, body)
	}
}

func (r *rig) faultsAre(f Faults) {
	r.t.Helper()
	b, err := json.Marshal(f)
	if err != nil {
		r.t.Fatal(err)
	}
	resp, body := r.do("PUT", "/sandbox/faults", string(b))
	wantStatus(r.t, resp, body, 200)
}

// statesOf collects event names per recipient.
func (r *rig) eventNames(address string) (names []string) {
	for _, e := range r.events {
		if e["email"] == address {
			names = append(names, e["event"].(string))
		}
	}
	return names
}

func bigLetter(n int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"personalizations":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"to":[{"email":"person%07d@people.example","name":"Person Number %d"}],"substitutions":{"{{name}}":"Person %d","{{ref}}":"TW-%07d"},"custom_args":{"n":"%032x","b":"c-1.17.1"}}`, i, i, i, i, i)
	}
	b.WriteString(`],"from":{"email":"office@tidewater.example","name":"Tidewater"},"subject":"About your data, {{name}}","content":[{"type":"text/plain","value":"`)
	b.WriteString(strings.Repeat("Dear {{name}}, a word. ", 100))
	b.WriteString(`"}],"categories":["case:c-1"],"mail_settings":{"bypass_unsubscribe_management":{"enable":true}},"tracking_settings":{"click_tracking":{"enable":false}}}`)
	return b.Bytes()
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func fmtDomain(i int) []byte { return fmt.Appendf(nil, "people%d.example", i) }
