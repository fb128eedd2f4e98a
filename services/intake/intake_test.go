package intake

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/bus/bustest"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/journal"
	"tocsin.dev/pkg/sqldb"
	"tocsin.dev/pkg/web"
	"tocsin.dev/services/intake/mapping"
)

const (
	splunkToken = "splunk-token-for-tests"
	whsec       = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw0123456789ab"
	hmacSecret  = "a-secret-of-the-vendor"
)

var testSources = []Source{
	{ID: "splunk", Org: "tidewater", Mapping: "splunk", Scheme: SchemeBearer, Tokens: []string{TokenDigest(splunkToken), TokenDigest("the-next-token-00")}, SilentAfterHours: 24, Origins: []string{"eventgrid.example.test"}},
	{ID: "wazuh", Org: "tidewater", Scheme: SchemeBasic, User: "wazuh", Passwords: []string{TokenDigest("wazuh-password-1")}},
	{ID: "generic", Org: "tidewater", Scheme: SchemeStandardWebhooks, Secrets: []string{whsec}},
	{ID: "falcon", Org: "tidewater", Scheme: SchemeHMAC, Secrets: []string{hmacSecret},
		HMAC: HMAC{Header: "X-CS-Primary-Signature", Encoding: "base64", Parts: []string{"body", "header:X-CS-Delivery-Timestamp"}, Timestamp: "X-CS-Delivery-Timestamp"}},
	{ID: "other", Org: "northbridge", Scheme: SchemeBearer, Tokens: []string{TokenDigest(splunkToken)}},
}

// house is a running intake with everything under it, and the desk's connection.
type house struct {
	t   testing.TB
	srv *bustest.Server
	dir string
	// database is an address, or empty for SQLite in dir.
	database string
	service  *Service
	web      *httptest.Server
	desk     *bus.Bus
	stop     func()
}

// httpClient ends a request to a process that is gone.
var httpClient = &http.Client{Timeout: 5 * time.Second}

// open runs intake on a folder that may hold data already.
func open(t testing.TB, dir string, now func() time.Time) *house {
	t.Helper()
	return openWith(t, dir, now, nil)
}

// openTraced runs intake with spans.
func openTraced(t testing.TB, dir string, tracer trace.TracerProvider) *house {
	t.Helper()
	return openWith(t, dir, time.Now, tracer)
}

func openWith(t testing.TB, dir string, now func() time.Time, tracer trace.TracerProvider) *house {
	t.Helper()
	return openOn(t, "", dir, now, tracer)
}

// openOn runs intake on the database with the address, or on SQLite in the folder.
func openOn(t testing.TB, database, dir string, now func() time.Time, tracer trace.TracerProvider) *house {
	t.Helper()
	h := &house{t: t, database: database, dir: dir, srv: bustest.Open(t, filepath.Join(dir, "nats"))}
	ctx, cancel := context.WithCancel(context.Background())
	must(t, bus.EnsureStreams(ctx, h.srv.Connect(t, "admin"), 1))
	url := h.database
	if url == "" {
		url = "sqlite:" + filepath.Join(dir, "intake.db")
	}
	db, err := sqldb.Open(ctx, url)
	must(t, err)
	nc := h.srv.Connect(t, event.Intake)
	b, err := bus.New(nc, bus.Config{Service: event.Intake, Tracer: tracer, Grace: 2 * time.Second})
	must(t, err)
	j, err := journal.New(nc, journal.Config{})
	must(t, err)
	h.service, err = New(Config{NATS: nc, Bus: b, Journal: j, DB: db, Now: now, Tracer: tracer, Sources: testSources})
	must(t, err)
	ended := make(chan error, 2)
	go func() { ended <- h.service.Run(ctx) }()
	go func() { ended <- b.Run(ctx) }()
	select {
	case <-b.Ready():
	case err := <-ended:
		t.Fatal(err)
	}
	h.web = httptest.NewServer(web.Wrap(h.service.Handler(), web.Options{Service: event.Intake, Tracer: tracer}))
	h.desk, err = bus.New(h.srv.Connect(t, event.Desk), bus.Config{Service: event.Desk})
	must(t, err)
	stopped := false
	h.stop = func() {
		if stopped {
			return
		}
		stopped = true
		h.web.Close()
		cancel()
		for range 2 {
			if err := <-ended; err != nil {
				t.Errorf("stop: %v", err)
			}
		}
		must(t, db.Close())
		h.srv.Close()
	}
	t.Cleanup(h.stop)
	return h
}

func start(t testing.TB) *house { return open(t, t.TempDir(), time.Now) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// reply is an HTTP answer.
type reply struct {
	status int
	header http.Header
	received
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

func (h *house) post(source string, body []byte, headers ...string) reply {
	h.t.Helper()
	req, err := http.NewRequest(http.MethodPost, h.web.URL+"/v1/alerts/"+source, bytes.NewReader(body))
	must(h.t, err)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return h.do(req)
}

func (h *house) do(req *http.Request) reply {
	h.t.Helper()
	res, err := h.web.Client().Do(req)
	must(h.t, err)
	defer res.Body.Close()
	r := reply{status: res.StatusCode, header: res.Header}
	data, err := io.ReadAll(res.Body)
	must(h.t, err)
	if len(data) > 0 {
		if err := json.Unmarshal(data, &r); err != nil {
			h.t.Fatalf("the answer is not JSON: %q", data)
		}
	}
	return r
}

func (h *house) splunk(body string) reply {
	h.t.Helper()
	return h.post("splunk", []byte(body), "Authorization", "Bearer "+splunkToken)
}

// ask puts a question as the desk.
func (h *house) ask(q event.AlertsQuestion) (event.AlertsAnswer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return bus.Ask[event.AlertsQuestion, event.AlertsAnswer](ctx, h.desk, event.AskAlerts, q)
}

func (h *house) list(org string, q event.AlertsList) event.AlertsAnswer {
	h.t.Helper()
	a, err := h.ask(event.AlertsQuestion{Org: org, List: &q})
	must(h.t, err)
	return a
}

// alert waits until an alert has been read.
func (h *house) alert(org, id string) event.AlertDetail {
	h.t.Helper()
	var got event.AlertDetail
	eventually(h.t, "alert "+id+" is read", func() bool {
		a, err := h.ask(event.AlertsQuestion{Org: org, Get: id})
		if err == nil {
			got = *a.Alert
		}
		return err == nil
	})
	return got
}

// eventually asks again until the condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		<-tick.C
	}
}

func sample(t testing.TB, name string) []byte {
	t.Helper()
	b, err := fs.ReadFile(mapping.Samples(), name)
	must(t, err)
	return b
}

func search(sid, host, user string) string {
	return fmt.Sprintf(`{"sid":%q,"search_name":"Exfiltration","result":{"host":%q,"user":%q,"urgency":"high","_time":"2026-05-04T09:10:02Z"}}`, sid, host, user)
}

func TestAnAuthenticAlertIsKeptMappedAndProposed(t *testing.T) {
	h := start(t)
	raw := sample(t, "splunk/webhook_saved_search.json")
	r := h.post("splunk", raw, "Authorization", "Bearer "+splunkToken)
	if r.status != http.StatusAccepted || r.ID == "" || len(r.Alerts) != 1 || r.Alerts[0] != r.ID {
		t.Fatalf("answer %+v", r)
	}
	a := h.alert("tidewater", r.ID)
	if a.Title != "sudo" || a.State != event.AlertNew || a.Mapping != "splunk" || a.Count != 1 || a.ExternalID == "" || a.Unmapped {
		t.Errorf("alert %+v", a)
	}
	if !bytes.Equal(a.Raw, raw) || len(a.RawSHA256) != 64 {
		t.Errorf("the raw body is not the one that was sent: %d bytes, problem %q", len(a.Raw), a.RawProblem)
	}
	list := h.list("tidewater", event.AlertsList{State: event.AlertNew})
	if len(list.Alerts) != 1 || list.Counts[event.AlertNew] != 1 || list.Next != "" {
		t.Errorf("list %+v", list)
	}
}

func TestWhatNoMappingReadsIsShownAsUnmapped(t *testing.T) {
	h := start(t)
	r := h.splunk(`{"hello":"world"}`)
	if r.status != http.StatusAccepted {
		t.Fatalf("answer %+v", r)
	}
	a := h.alert("tidewater", r.ID)
	if !a.Unmapped || a.SeverityID != 0 || string(a.Raw) != `{"hello":"world"}` || a.Title == "" {
		t.Errorf("alert %+v", a)
	}
	if got := h.list("tidewater", event.AlertsList{Unmapped: true}); len(got.Alerts) != 1 {
		t.Errorf("the filter finds %d", len(got.Alerts))
	}
}

func TestOneRequestMayHoldManyAlerts(t *testing.T) {
	h := start(t)
	for name, c := range map[string]struct {
		body string
		ids  int
	}{
		"array":        {"[" + search("a1", "h1", "u") + "," + search("a2", "h2", "u") + "]", 2},
		"concatenated": {search("b1", "h1", "u") + search("b2", "h2", "u") + "\n" + search("b3", "h3", "u"), 3},
		"byte mark":    {"\xEF\xBB\xBF" + search("c1", "h1", "u"), 1},
	} {
		r := h.splunk(c.body)
		if r.status != http.StatusAccepted || len(r.Alerts) != c.ids {
			t.Fatalf("%s: %+v", name, r)
		}
		for _, id := range r.Alerts {
			if a := h.alert("tidewater", id); a.Unmapped {
				t.Errorf("%s: %s is unmapped", name, id)
			}
		}
	}
	r := h.post("splunk", sample(t, "alertmanager/webhook_v4_two_alerts.json"), "Authorization", "Bearer "+splunkToken)
	h.alert("tidewater", r.ID)
	if got := h.list("tidewater", event.AlertsList{Text: "high cpu"}); len(got.Alerts) != 2 {
		t.Errorf("a group of two became %d alerts", len(got.Alerts))
	}
	if r := h.splunk("[]"); r.status != http.StatusOK || len(r.Alerts) != 0 {
		t.Errorf("an empty list: %+v", r)
	}
}

func TestARepeatedAlertIsOneAlertWithACount(t *testing.T) {
	h := start(t)
	first := h.splunk(search("s1", "fs-02", "amira"))
	h.alert("tidewater", first.ID)
	for range 3 {
		again := h.splunk(search("s1", "fs-02", "amira"))
		if again.status != http.StatusOK || !again.Duplicate || again.ID != first.ID {
			t.Fatalf("the same body: %+v", again)
		}
	}
	eventually(t, "the count is 4", func() bool { return h.alert("tidewater", first.ID).Count == 4 })
	// The same finding in another body: the sender's own id recognises it.
	wazuh := []byte(`{"id":"w1","rule":{"level":5,"description":"x"},"agent":{"name":"a"},"timestamp":"2026-05-04T09:10:02Z"}`)
	worse := bytes.Replace(wazuh, []byte(`"level":5`), []byte(`"level":15`), 1)
	one := h.splunk(string(wazuh))
	h.alert("tidewater", one.ID)
	two := h.splunk(string(worse))
	if two.status != http.StatusAccepted || two.ID == one.ID {
		t.Fatalf("another body of the same finding: %+v", two)
	}
	a := h.alert("tidewater", two.ID)
	if a.ID != one.ID || a.Count != 2 || a.SeverityID != 5 {
		t.Errorf("asked by the repetition's id: %+v", a.Alert)
	}
}

func TestEachBadRequestGetsItsAnswer(t *testing.T) {
	h := start(t)
	good := search("x", "h", "u")
	auth := []string{"Authorization", "Bearer " + splunkToken}
	for name, c := range map[string]struct {
		source, body string
		headers      []string
		status       int
		code, says   string
	}{
		"unknown source":    {"nobody", good, auth, 404, "unknown_source", ""},
		"no token":          {"splunk", good, nil, 401, "not_authentic", ""},
		"wrong token":       {"splunk", good, []string{"Authorization", "Bearer wrong"}, 401, "not_authentic", ""},
		"the digest itself": {"splunk", good, []string{"Authorization", "Bearer " + TokenDigest(splunkToken)}, 401, "not_authentic", ""},
		"basic for bearer":  {"splunk", good, []string{"Authorization", "Basic " + splunkToken}, 401, "not_authentic", ""},
		"not JSON":          {"splunk", "{\"a\":1,\n\"b\":}", auth, 400, "not_json", "line 2"},
		"not JSON at all":   {"splunk", "a=1&b=2", auth, 400, "not_json", "line 1"},
		"cut off":           {"splunk", `{"a":"b`, auth, 400, "not_json", ""},
		"empty":             {"splunk", "", auth, 400, "not_json", "empty"},
		"too deep":          {"splunk", strings.Repeat("[", 65) + strings.Repeat("]", 65), auth, 400, "too_deep", "64"},
		"too large":         {"splunk", `"` + strings.Repeat("x", MaxBody) + `"`, auth, 413, "too_large", ""},
		"too many":          {"splunk", strings.Repeat("{}", 1001), auth, 413, "too_many", "1000"},
		"too many in array": {"splunk", "[" + strings.Repeat("{},", 1000) + "{}]", auth, 413, "too_many", "1000"},
	} {
		r := h.post(c.source, []byte(c.body), c.headers...)
		if r.status != c.status || r.Code != c.code || !strings.Contains(r.Detail, c.says) {
			t.Errorf("%s: %d %s %q, want %d %s", name, r.status, r.Code, r.Detail, c.status, c.code)
		}
	}
	if got := h.list("tidewater", event.AlertsList{}); len(got.Alerts) != 0 {
		t.Errorf("%d refused alerts were stored", len(got.Alerts))
	}
	deep := strings.Repeat("[", 63) + `{"a":"[[[[\"[["}` + strings.Repeat("]", 63)
	if r := h.splunk(deep); r.status != http.StatusAccepted {
		t.Errorf("64 levels, brackets in a string: %+v", r)
	}
}

func TestASlowBodyIsCutOff(t *testing.T) {
	if testing.Short() {
		t.Skip("takes five seconds; run without -short")
	}
	h := start(t)
	body, hold := io.Pipe()
	defer hold.Close()
	req, _ := http.NewRequest(http.MethodPost, h.web.URL+"/v1/alerts/splunk", body)
	req.Header.Set("Authorization", "Bearer "+splunkToken)
	go func() { _, _ = hold.Write([]byte(`{"a":`)) }()
	if r := h.do(req); r.status != http.StatusRequestTimeout {
		t.Errorf("%+v, want 408", r)
	}
}

func TestALargeBodyGoesThroughTheObjectStore(t *testing.T) {
	h := start(t)
	body := `{"sid":"big","search_name":"big","result":{"_raw":"` + strings.Repeat("x", 700<<10) + `"}}`
	r := h.splunk(body)
	if r.status != http.StatusAccepted {
		t.Fatalf("%+v", r)
	}
	a := h.alert("tidewater", r.ID)
	if a.Title != "big" || len(a.Raw) != rawShown || !strings.Contains(a.RawProblem, "first") {
		t.Errorf("title %q, %d bytes, %q", a.Title, len(a.Raw), a.RawProblem)
	}
	if again := h.splunk(body); again.status != http.StatusOK || !again.Duplicate {
		t.Errorf("again: %+v", again)
	}
}

func TestWhenTheBusIsAwayTheSenderIsToldToComeAgain(t *testing.T) {
	h := start(t)
	h.srv.Close()
	r := h.splunk(search("x", "h", "u"))
	if r.status != http.StatusServiceUnavailable || r.header.Get("Retry-After") == "" || r.Code != "unavailable" {
		t.Errorf("%+v", r)
	}
}

func TestAnOrganisationSeesOnlyItsOwnAlerts(t *testing.T) {
	h := start(t)
	mine := h.splunk(search("s1", "fs-02", "amira"))
	theirs := h.post("other", []byte(search("s1", "fs-02", "amira")), "Authorization", "Bearer "+splunkToken)
	if mine.ID == theirs.ID {
		t.Fatal("two organisations share an alert")
	}
	h.alert("northbridge", theirs.ID)
	if a := h.alert("tidewater", mine.ID); len(a.Related) != 0 {
		t.Errorf("related across organisations: %+v", a.Related)
	}
	for _, q := range []event.AlertsQuestion{
		{Org: "tidewater", Get: theirs.ID},
		{Org: "tidewater", Dismiss: &event.AlertDismissal{Alert: theirs.ID, By: "u", Reason: "r"}},
		{Org: "tidewater", Reopen: theirs.ID},
	} {
		if _, err := h.ask(q); err == nil || !strings.Contains(err.Error(), "not_found") {
			t.Errorf("%+v: %v, want not_found", q, err)
		}
	}
	if got := h.list("tidewater", event.AlertsList{}); len(got.Alerts) != 1 || got.Alerts[0].ID != mine.ID {
		t.Errorf("list %+v", got.Alerts)
	}
}

func TestListsFilterOrderAndPage(t *testing.T) {
	h := start(t)
	var last string
	for i := range 7 {
		urgency := []string{"low", "critical", "medium"}[i%3]
		body := strings.Replace(search(fmt.Sprint("p", i), fmt.Sprintf("host-%d", i), "amira_100%"), `"high"`, `"`+urgency+`"`, 1)
		last = h.splunk(body).ID
		h.alert("tidewater", last)
	}
	var seen []string
	for _, order := range []string{"received", "severity"} {
		seen = nil
		q := event.AlertsList{Order: order, Limit: 3}
		for {
			page := h.list("tidewater", q)
			severity := 9
			for _, a := range page.Alerts {
				seen = append(seen, a.ID)
				if order == "severity" && a.SeverityID > severity {
					t.Errorf("severity %d after %d", a.SeverityID, severity)
				}
				severity = a.SeverityID
			}
			if q.After = page.Next; q.After == "" {
				break
			}
		}
		if len(seen) != 7 {
			t.Errorf("by %s: %d alerts over the pages, want 7", order, len(seen))
		}
		if order == "received" && seen[0] != last {
			t.Errorf("the newest is not first")
		}
	}
	for name, c := range map[string]struct {
		q    event.AlertsList
		want int
	}{
		"severity":            {event.AlertsList{Severity: 3}, 4},
		"text":                {event.AlertsList{Text: "HOST-3"}, 1},
		"text with wildcards": {event.AlertsList{Text: "amira_100%"}, 7},
		"a wildcard alone":    {event.AlertsList{Text: "%host%"}, 0},
		"source":              {event.AlertsList{Source: "wazuh"}, 0},
		"state":               {event.AlertsList{State: event.AlertDismissed}, 0},
		"personal":            {event.AlertsList{Personal: true}, 0},
	} {
		if got := h.list("tidewater", c.q); len(got.Alerts) != c.want {
			t.Errorf("%s: %d alerts, want %d", name, len(got.Alerts), c.want)
		}
	}
	for _, bad := range []event.AlertsList{{State: "open"}, {Order: "x"}, {After: "???"}, {Text: strings.Repeat("x", 201)}} {
		if _, err := h.ask(event.AlertsQuestion{Org: "tidewater", List: &bad}); err == nil || !strings.Contains(err.Error(), "invalid") {
			t.Errorf("%+v: %v, want invalid", bad, err)
		}
	}
}

func TestADismissalNeedsAReasonAndCanBeTakenBack(t *testing.T) {
	h := start(t)
	id := h.splunk(search("s1", "fs-02", "amira")).ID
	h.alert("tidewater", id)
	if _, err := h.ask(event.AlertsQuestion{Org: "tidewater", Dismiss: &event.AlertDismissal{Alert: id, By: "u-1", Reason: "  "}}); err == nil {
		t.Error("dismissed without a reason")
	}
	for range 2 { // the second answer may have been lost: the same again is no conflict
		a, err := h.ask(event.AlertsQuestion{Org: "tidewater", Dismiss: &event.AlertDismissal{Alert: id, By: "u-1", Reason: "A test."}})
		must(t, err)
		if a.Alert.State != event.AlertDismissed || a.Alert.Dismissal.Reason != "A test." || a.Alert.Dismissal.By != "u-1" || a.Alert.DecidedAt == nil {
			t.Errorf("%+v", a.Alert)
		}
	}
	a, err := h.ask(event.AlertsQuestion{Org: "tidewater", Reopen: id})
	must(t, err)
	if a.Alert.State != event.AlertNew || a.Alert.Dismissal != nil {
		t.Errorf("%+v", a.Alert)
	}
}

func TestAlertsOfOneMachineOrAccountAreRelated(t *testing.T) {
	h := start(t)
	a := h.splunk(search("s1", "FS-02", "amira")).ID
	b := h.splunk(search("s2", "fs-02.example.test", "someone")).ID
	c := h.splunk(search("s3", "pc-7", "Amira")).ID
	d := h.splunk(search("s4", "pc-8", "root")).ID
	e := h.splunk(search("s5", "pc-9", "root")).ID
	for _, id := range []string{b, c, d, e} {
		h.alert("tidewater", id)
	}
	why := map[string]string{}
	for _, r := range h.alert("tidewater", a).Related {
		why[r.ID] = strings.Join(r.Why, ", ")
	}
	if len(why) != 2 || why[b] != "host fs-02" || why[c] != "user amira" {
		t.Errorf("related: %v", why)
	}
	if got := h.alert("tidewater", d).Related; len(got) != 0 {
		t.Errorf("root relates everything: %+v", got)
	}
}

func TestTheSilenceOfASourceIsSeen(t *testing.T) {
	now := time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	h := open(t, t.TempDir(), clock)
	h.alert("tidewater", h.splunk(search("s1", "h", "u")).ID)
	source := func() event.AlertSource {
		a, err := h.ask(event.AlertsQuestion{Org: "tidewater", Sources: true})
		must(t, err)
		for _, s := range a.Sources {
			if s.ID == "splunk" {
				return s
			}
		}
		t.Fatalf("no source splunk in %+v", a.Sources)
		return event.AlertSource{}
	}
	eventually(t, "the heartbeat is written", func() bool { return source().LastAt != nil })
	if s := source(); s.Silent || s.Received != 1 || !s.LastAt.Equal(now) || s.Scheme != SchemeBearer {
		t.Errorf("%+v", s)
	}
	h.stop()
	now = now.Add(25 * time.Hour)
	h = open(t, h.dir, clock)
	if s := source(); !s.Silent {
		t.Errorf("25 hours of silence are not seen: %+v", s)
	}
}
