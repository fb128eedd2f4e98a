package desk

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/bus/bustest"
	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/journal"
	"tocsin.dev/pkg/organisation"
	"tocsin.dev/pkg/person"
	"tocsin.dev/pkg/seal"
)

const organisationYAML = `
id: %ID%
name: %NAME%
language: en-GB
zone: Europe/London
law: {establishments: [{place: GB, main: true}], kinds: [controller]}
contact: {label: Customer support, email: help@%ID%.example, phone: "+44 20 7946 0000"}
channels: [email, sms]
sender: {email_name: %NAME%, email: notice@%ID%.example, sms: "+447700900000"}
approval: {eyes: 1, roles: [legal, dpo]}
`

// bench is a desk over a real NATS server, with the other services played by
// the test through their own connections.
type bench struct {
	*testing.T
	desk *Service
	srv  *bustest.Server
	url  string
	now  *clock

	users   []User
	alerts  map[string]event.AlertDetail
	missing []event.MissingValue
	survey  func(*event.WordingAnswer)
	intake  *bus.Bus
	live    *contractTransport
	scope   *journal.Journal
	journal *journal.Journal
}

type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

const testPassword = "correct horse battery"

func newBench(t *testing.T, change ...func(*Config)) *bench {
	t.Helper()
	srv := bustest.Start(t)
	b := &bench{T: t, srv: srv, now: &clock{t: time.Now().UTC().Truncate(time.Second)}, alerts: map[string]event.AlertDetail{}}
	orgs := fstest.MapFS{}
	for id, name := range map[string]string{"tidewater": "Tidewater Connections Ltd", "nimbus": "Nimbus Studio"} {
		text := strings.NewReplacer("%ID%", id, "%NAME%", name).Replace(organisationYAML)
		orgs[id+".yaml"] = &fstest.MapFile{Data: []byte(text)}
	}
	registry, err := organisation.Load(orgs)
	b.must(err)
	hash, err := HashPassword(testPassword)
	b.must(err)
	user := func(id, org string, roles ...Role) User {
		return User{ID: id, Name: strings.ToUpper(id[:1]) + id[1:], Org: org, Roles: roles, Reads: []string{"en"}, Password: hash, TokenSHA256: HashToken("token-" + id)}
	}
	b.users = []User{
		user("ana", "tidewater", Analyst), user("lea", "tidewater", Legal), user("dora", "tidewater", DPO),
		user("adam", "tidewater", Admin), user("eve", "nimbus", Analyst, Legal, DPO, Admin),
	}
	users, err := NewUsers(b.users)
	b.must(err)
	signer, err := seal.Generate()
	b.must(err)

	cfg := Config{NATS: srv.Connect(t, event.Desk), Organisations: registry, Users: users, Approver: signer, Now: b.now.Now, Cooling: -1, Duties: oneDuty}
	cfg.Bus, err = bus.New(cfg.NATS, bus.Config{Service: event.Desk})
	b.must(err)
	cfg.Journal, err = journal.New(cfg.NATS, journal.Config{})
	b.must(err)
	b.journal = cfg.Journal
	for _, f := range change {
		f(&cfg)
	}
	b.desk, err = New(cfg)
	b.must(err)
	b.playIntake()
	b.playScope()
	b.playNotice()
	contract, err := loadContract()
	b.must(err)
	b.live = &contractTransport{t: t, contract: contract, seen: map[string]bool{}}
	web := httptest.NewServer(b.desk.Handler())
	t.Cleanup(web.Close)
	b.url = web.URL
	return b
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// oneDuty stands for the law: 72 hours to the regulator.
func oneDuty(_ *organisation.Organisation, d event.CaseDeclared, _ time.Time) []event.Duty {
	due := d.AwareAt.Add(72 * time.Hour)
	return []event.Duty{{ID: "uk-gdpr.33_GB", Rule: "uk-gdpr.33", Version: "1", Status: "in-force", Hardness: "statutory",
		Title: "Tell the ICO", To: "Information Commissioner", ToKind: "regulator", Citation: "UK GDPR Art. 33(1)", Due: &due, Zone: "Europe/London"}}
}

func (b *bench) run(bb *bus.Bus) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = bb.Run(ctx) }()
	b.Cleanup(func() { cancel(); <-done })
	<-bb.Ready()
}

func (b *bench) playIntake() {
	nc := b.srv.Connect(b.T, event.Intake)
	bb, err := bus.New(nc, bus.Config{Service: event.Intake})
	b.must(err)
	b.alerts["alert-1"] = event.AlertDetail{
		Alert: event.Alert{ID: "alert-1", Source: "wazuh", State: event.AlertNew, ReceivedAt: b.now.Now(), LastAt: b.now.Now(), Count: 3,
			AlertFacts: event.AlertFacts{Title: "Many files read <b>at night</b>", SeverityID: 4, Product: "wazuh", Devices: []event.AlertDevice{{Hostname: "fs-02"}}, AssumedZone: true, DetectedAt: ptr(b.now.Now())}},
		Mapping: "wazuh", MappingVersion: 2, Raw: []byte(`{"rule":"<script>alert(1)</script>"}`), RawSHA256: "00",
	}
	bus.Answer(bb, event.AskAlerts, func(_ context.Context, q event.AlertsQuestion) (event.AlertsAnswer, error) {
		if q.Org != "tidewater" {
			if q.Get != "" {
				return event.AlertsAnswer{}, bus.Refuse("not_found", "no such alert")
			}
			return event.AlertsAnswer{}, nil
		}
		switch {
		case q.Get != "":
			d, ok := b.alerts[q.Get]
			if !ok {
				return event.AlertsAnswer{}, bus.Refuse("not_found", "no such alert")
			}
			return event.AlertsAnswer{Alert: &d}, nil
		case q.Sources:
			return event.AlertsAnswer{Sources: []event.AlertSource{{ID: "wazuh", Scheme: "bearer", Received: 3}}}, nil
		case q.List != nil:
			var all []event.Alert
			for _, d := range b.alerts {
				all = append(all, d.Alert)
			}
			return event.AlertsAnswer{Alerts: all, Counts: map[event.AlertState]int64{event.AlertNew: int64(len(all))}}, nil
		}
		return event.AlertsAnswer{}, nil
	})
	b.intake = bb
	b.run(bb)
}

func (b *bench) playScope() {
	nc := b.srv.Connect(b.T, event.Scope)
	bb, err := bus.New(nc, bus.Config{Service: event.Scope})
	b.must(err)
	bus.Answer(bb, event.AskInventory, func(_ context.Context, q event.InventoryQuestion) (event.InventoryAnswer, error) {
		return event.InventoryAnswer{Org: q.Org, People: 500, Systems: []event.InventorySystem{{Key: "crm", Name: "Customers", Datasets: []event.InventoryDataset{
			{Key: "crm.customers", Name: "Customer records", Categories: []string{"user.contact.email"}, Role: "controller", Medium: "electronic", Records: 520}}}}}, nil
	})
	bus.Answer(bb, event.AskPreview, func(_ context.Context, q event.PreviewQuestion) (event.PreviewAnswer, error) {
		return event.PreviewAnswer{People: 500, Counts: testCounts(), KeptTooLong: 17}, nil
	})
	bus.Answer(bb, event.AskWording, b.answerWording)
	b.run(bb)
	b.scope, err = journal.New(nc, journal.Config{})
	b.must(err)
}

// answerWording finds what b.missing says is missing.
func (b *bench) answerWording(ctx context.Context, q event.WordingQuestion) (event.WordingAnswer, error) {
	c, err := b.scope.Load(ctx, q.Org, q.Case)
	if err != nil {
		return event.WordingAnswer{}, err
	}
	a := event.WordingAnswer{Revision: c.Latest().Revision, ScopeDigest: c.Latest().Digest, SheetDigest: c.SheetDigest(), Done: true, Checked: 500, People: 500}
	for _, t := range Texts(c) {
		a.Texts = append(a.Texts, event.ApprovedText{TextKey: t.TextKey, Digest: t.Digest})
	}
	a.Missing = b.missing
	if b.survey != nil {
		b.survey(&a)
	}
	return a, nil
}

func testCounts() event.Counts {
	return event.Counts{Jurisdictions: map[string]int64{"GB": 500}, Languages: map[string]int64{"en-GB": 500}, Channels: map[string]int64{"email": 480, "sms": 300, "none": 5}, Categories: map[string]int64{"email": 500}}
}

// seal says what scope would say about the newest exposure of a case.
func (b *bench) seal(number string) {
	b.Helper()
	c, err := b.scope.Load(b.Context(), "tidewater", number)
	b.must(err)
	revision := len(c.Sealed) + 1
	e, err := event.New(event.NewID(), b.now.Now(), "tidewater", number, event.Service(event.Scope), event.ScopeSealed{
		Revision: revision, Statement: c.Exposure.EventID, People: 500, Counts: testCounts(), Digest: "sha256:list" + string(rune('0'+revision))})
	b.must(err)
	_, err = b.scope.Append(b.Context(), "tidewater", number, c.Seq, e)
	b.must(err)
}

func ptr[T any](v T) *T { return &v }

func (b *bench) user(id string) User {
	u, ok := b.desk.cfg.Users.Get(id)
	if !ok {
		b.Fatalf("no user %s", id)
	}
	return u
}

// call sends one request as a user's token and decodes the answer.
func (b *bench) call(user, method, path string, body, into any) int {
	b.Helper()
	status, data := b.send(user, method, path, body)
	if into != nil {
		if err := json.Unmarshal(data, into); err != nil {
			b.Fatalf("%s %s: %d, not JSON: %v\n%s", method, path, status, err, data)
		}
	}
	return status
}

func (b *bench) send(user, method, path string, body any) (int, []byte) {
	b.Helper()
	var r io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		b.must(err)
		r = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(b.Context(), method, b.url+path, r)
	b.must(err)
	req.Header.Set("Content-Type", "application/json")
	if user != "" {
		req.Header.Set("Authorization", "Bearer token-"+user)
	}
	resp, err := (&http.Client{Transport: b.live}).Do(req)
	b.must(err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	b.must(err)
	return resp.StatusCode, data
}

// browser returns a client with cookies that is signed in as a user.
func (b *bench) browser(user string) *http.Client {
	b.Helper()
	jar, err := cookiejar.New(nil)
	b.must(err)
	client := &http.Client{Jar: jar}
	if user == "" {
		return client
	}
	body, err := json.Marshal(map[string]string{"user": user, "password": testPassword})
	b.must(err)
	resp, err := client.Post(b.url+"/api/v1/session", "application/json", bytes.NewReader(body))
	b.must(err)
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		b.Fatalf("sign in as %s: %d", user, resp.StatusCode)
	}
	return client
}

// declare opens a case as ana.
func (b *bench) declare() string {
	b.Helper()
	number, err := b.desk.Declare(b.Context(), b.user("ana"), "", event.CaseDeclared{
		Title: "Files read at night", AwareAt: b.now.Now().Add(-time.Hour), Severity: event.SeverityHigh, Alerts: []string{"alert-1"}})
	b.must(err)
	return number
}

var emailKey = event.TextKey{Audience: "people", Channel: "email", Language: "en-GB"}

// ready brings a case to where it may be approved.
func (b *bench) ready() string {
	b.Helper()
	number := b.declare()
	_, err := b.desk.StateExposure(b.Context(), b.user("ana"), On{Case: number}, event.ExposureStated{Exposures: []event.Exposure{
		{Dataset: "crm.customers", From: b.now.Now().AddDate(0, 0, -7), To: b.now.Now()}}})
	b.must(err)
	b.seal(number)
	b.draft("ana", number, "We are sorry, {{person.full_name}}.")
	return number
}

func (b *bench) draft(user, number, body string) {
	b.Helper()
	_, err := b.desk.DraftWording(b.Context(), b.user(user), On{Case: number}, event.WordingDrafted{TextKey: emailKey, Subject: "About your data", Body: body})
	b.must(err)
}

// read returns what a careful approver has read.
func (b *bench) read(user, number string) Read {
	b.Helper()
	p, _, err := b.desk.Propose(b.Context(), b.user(user), number)
	b.must(err)
	return Read{Texts: p.Texts, SheetDigest: p.SheetDigest, Revision: p.Revision, ScopeDigest: p.ScopeDigest}
}

func (b *bench) load(number string) *casefile.Case {
	b.Helper()
	c, err := b.journal.Load(b.Context(), "tidewater", number)
	b.must(err)
	return c
}

// say appends what another service would say.
func (b *bench) say(service, number string, body event.Body) {
	b.Helper()
	j, err := journal.New(b.srv.Connect(b.T, service), journal.Config{})
	b.must(err)
	c, err := j.Load(b.Context(), "tidewater", number)
	b.must(err)
	e, err := event.New(event.NewID(), b.now.Now(), "tidewater", number, event.Service(service), body)
	b.must(err)
	_, err = j.Append(b.Context(), "tidewater", number, c.Seq, e)
	b.must(err)
}

// playNotice answers as the sender would: everybody of an order is told by email.
func (b *bench) playNotice() {
	bb, err := bus.New(b.srv.Connect(b.T, event.Notice), bus.Config{Service: event.Notice})
	b.must(err)
	bus.Answer(bb, event.AskProgress, func(_ context.Context, q event.ProgressQuestion) (event.ProgressAnswer, error) {
		return event.ProgressAnswer{At: b.now.Now(), Orders: []event.OrderProgress{{Order: q.Order, Revision: 1, State: "sending", Listed: 500, People: 500,
			Tally: event.Tally{People: 500, Pending: 100, Told: 390, InDoubt: 5, Unreachable: 5, States: map[string]map[string]int64{
				"email": {"delivered": 380, "accepted": 10, "planned": 100, "in_doubt": 5}, "none": {"unreachable": 5}}},
			Canaries: &event.CanaryCount{Sent: 4, LookedUp: 2, Received: 3}}}}, nil
	})
	bus.Answer(bb, event.AskForecast, func(_ context.Context, q event.ForecastQuestion) (event.ForecastAnswer, error) {
		at := b.now.Now()
		return event.ForecastAnswer{People: 500, Left: 500, P10: at, P50: at, P90: at, InTime: 0.99, Due: &at, LatestApproval: &at,
			Channels: []event.ForecastChannel{{Channel: "sms", Messages: 480, Rate: 100, Parts: 2, LatestStart: &at}}}, nil
	})
	bus.Answer(bb, event.AskReport, func(_ context.Context, q event.ReportQuestion) (event.ReportAnswer, error) {
		return event.ReportAnswer{
			Lines:  []event.ReportLine{{Kind: "first", Channel: "email", Jurisdiction: "GB", State: "failed", Reason: "bounced", People: 3}},
			Duties: []event.DutyReport{{Duty: "uk-gdpr.34_GB", Title: "Tell the people", Jurisdiction: "GB", People: 500, Told: 495, Unreachable: 5}},
			Substitute: []event.SubstituteProposal{{Duty: "uk-gdpr.34_GB", Title: "Tell the people", Citation: "Art. 34(3)(c)", Jurisdiction: "GB", Unreachable: 5, People: 500,
				PeopleOver: 100_000, If: "disproportionate effort", Parts: []string{"public communication"}}},
		}, nil
	})
	bus.Answer(bb, event.AskDoubts, func(_ context.Context, q event.DoubtsQuestion) (event.DoubtsAnswer, error) {
		return event.DoubtsAnswer{People: 2, Doubts: []event.Doubt{{Attempt: 42, Channel: "email", People: []person.Number{3, 4}, Since: b.now.Now(), Held: true, Next: b.now.Now(), IfSentAgain: "two may get it twice", IfLeft: "two may get nothing"}}}, nil
	})
	bus.Answer(bb, event.AskSettle, func(_ context.Context, q event.SettleQuestion) (event.SettleAnswer, error) {
		return event.SettleAnswer{People: int64(2 * len(q.Attempts))}, nil
	})
	bus.Answer(bb, event.AskMessages, func(_ context.Context, q event.MessagesQuestion) (event.MessagesAnswer, error) {
		return event.MessagesAnswer{Messages: []event.MessageRow{{Kind: "first", Person: 7, Channel: "email", State: "delivered", Reason: "receipt", Tries: 1, At: b.now.Now(), Reference: "K7QX-9M4T"}}}, nil
	})
	b.run(bb)
}
