package notice

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/bus/bustest"
	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/category"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/journal"
	"tocsin.dev/pkg/organisation"
	"tocsin.dev/pkg/person"
	"tocsin.dev/pkg/seal"
	"tocsin.dev/pkg/sqldb"
	"tocsin.dev/pkg/sqldb/sqldbtest"
	"tocsin.dev/pkg/wording"
	"tocsin.dev/services/sandbox"
)

const (
	testOrg  = "tidewater"
	testCase = "2026-001"
	testSG   = "SG.test"
	testSID  = "AC00000000000000000000000000000001"
	testTok  = "0123456789abcdef0123456789abcdef"
)

// rig is a world for notice: a real NATS server, a real store, the sandbox
// providers over real HTTP, and a desk and a scope that say the least needed.
type rig struct {
	t      testing.TB
	nats   *bustest.Server
	db     *sqldb.DB
	orgs   *organisation.Registry
	signer *seal.Signer
	ring   string
	people *crowd
	box    *sandbox.Service
	boxURL string
	front  string // where providers reach notice
	hand   atomic.Pointer[http.ServeMux]
	desk   *journal.Journal
	cfg    func(*Config)
	logs   *bytes.Buffer
	sealed map[int]string // digests by revision
	// stopScope takes scope away; startScope brings it back.
	stopScope func()
	logMu     sync.Mutex
}

// crowd is the people of the sealed list, as scope would answer them.
type crowd struct {
	mu   sync.Mutex
	list []person.Contact
	// gone are people of earlier lists, answered to corrections.
	gone []person.Contact
	// spoil may change an answer on its way.
	spoil func(event.ContactsQuestion, *event.ContactsAnswer)
}

func testPeople(n int) []person.Contact {
	exposed, err := category.ParseAll([]string{"name", "email", "phone"})
	if err != nil {
		panic(err)
	}
	all := make([]person.Contact, n)
	for i := range all {
		all[i] = person.Contact{
			Number: person.Number(3*i + 5), GivenName: person.Text(fmt.Sprintf("Ann%d", i)), FamilyName: "O'Neil & <Sons>",
			Email: person.Email(fmt.Sprintf("ann%d.oneil@people.example", i)), Phone: person.Phone(fmt.Sprintf("+4477009%06d", i)),
			Language: "en-GB", Jurisdiction: "GB", AgeClass: person.AgeAdult, Relation: "customer", Exposed: exposed,
		}
	}
	return all
}

func newRig(t testing.TB, people []person.Contact, change func(*Config)) *rig {
	t.Helper()
	return newRigOn(t, sqldbtest.SQLite(t), people, change)
}

func newRigOn(t testing.TB, db *sqldb.DB, people []person.Contact, change func(*Config)) *rig {
	t.Helper()
	r := &rig{db: db, t: t, nats: bustest.Start(t), people: &crowd{list: people}, cfg: change, logs: &bytes.Buffer{}}
	r.makeKeys()
	r.makeOrganisation("")
	r.startSandbox()
	r.stopScope = r.startScope()
	var err error
	if r.desk, err = journal.New(r.nats.Connect(t, event.Desk), journal.Config{}); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) makeKeys() {
	var err error
	if r.signer, err = seal.Generate(); err != nil {
		r.t.Fatal(err)
	}
	ring, err := seal.NewKeyring(seal.Trust(r.signer.Public(), "desk", time.Now().Add(-time.Hour)))
	if err != nil {
		r.t.Fatal(err)
	}
	r.ring = filepath.Join(r.t.TempDir(), "keyring.yaml")
	if err := ring.Save(r.ring); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) makeOrganisation(more string) {
	var err error
	r.orgs, err = organisation.Load(fstest.MapFS{"tidewater.yaml": {Data: []byte(`
id: tidewater
name: Tidewater Connections Ltd
language: en-GB
zone: Europe/London
law: {kinds: [controller], establishments: [{place: GB, main: true}]}
contact: {label: Privacy team, email: privacy@tidewater.example, phone: "+441632960000"}
channels: [email, sms, post]
sender: {email_name: "Tidewater Connections", email: notices@tidewater.example, sms: "+447700900000", post: "1 Quay St"}
approval: {eyes: 1, roles: [legal, dpo]}
` + more)}})
	if err != nil {
		r.t.Fatal(err)
	}
}

// serve listens on loopback until the test ends.
func serve(t testing.TB, h http.Handler) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close(); <-done })
	return "http://" + l.Addr().String()
}

func (r *rig) startSandbox() {
	r.front = serve(r.t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if h := r.hand.Load(); h != nil {
			h.ServeHTTP(w, req)
			return
		}
		http.Error(w, "down", http.StatusBadGateway)
	}))
	var err error
	r.box, err = sandbox.New(sandbox.Config{
		Now: time.Now, SendGridKey: testSG, TwilioAccountSID: testSID, TwilioAuthToken: testTok,
		EventWebhookURL: r.front + "/v1/receipts/sendgrid", Canaries: []string{canaryMail, canaryPhone}, StepDelay: 5 * time.Millisecond, RetryBase: 50 * time.Millisecond, CancelBefore: boxCancelBefore,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.boxURL = serve(r.t, r.box.Handler())
	goRun(r.t, "sandbox", r.box.Run)
}

// goRun runs a part until the test ends, or until the returned function is called.
func goRun(t testing.TB, name string, f func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := f(ctx); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	return stop
}

func (r *rig) startScope() (stop func()) {
	r.t.Helper()
	nc := r.nats.Connect(r.t, event.Scope)
	b, err := bus.New(nc, bus.Config{Service: event.Scope})
	if err != nil {
		r.t.Fatal(err)
	}
	bus.Answer(b, event.AskContacts, r.people.answer)
	stop = goRun(r.t, "scope", b.Run)
	<-b.Ready()
	return stop
}

func (c *crowd) answer(_ context.Context, q event.ContactsQuestion) (event.ContactsAnswer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := event.ContactsAnswer{Next: q.To}
	if len(q.Numbers) > 0 {
		a.Next = int64(len(q.Numbers))
		for _, n := range q.Numbers {
			i, ok := slices.BinarySearchFunc(c.list, n, byNumber)
			if ok {
				a.Contacts = append(a.Contacts, c.list[i])
				continue
			}
			if i, ok = slices.BinarySearchFunc(c.gone, n, byNumber); !ok || !q.Earlier {
				return a, bus.Refuse("invalid", "person %d is not on the list", n)
			}
			a.Contacts = append(a.Contacts, c.gone[i])
		}
	} else {
		a.Contacts = slices.Clone(c.list[q.From:min(q.To, int64(len(c.list)))])
	}
	if c.spoil != nil {
		c.spoil(q, &a)
	}
	return a, nil
}

func byNumber(p person.Contact, n person.Number) int { return int(p.Number) - int(n) }

// start runs a replica of notice until the test ends or stop is called.
func (r *rig) start(replica string) (s *Service, stop func()) {
	r.t.Helper()
	nc := r.nats.Connect(r.t, event.Notice)
	b, err := bus.New(nc, bus.Config{Service: event.Notice, Grace: time.Second})
	if err != nil {
		r.t.Fatal(err)
	}
	j, err := journal.New(nc, journal.Config{})
	if err != nil {
		r.t.Fatal(err)
	}
	cfg := Config{
		NATS: nc, Bus: b, Journal: j, DB: r.db, Organisations: r.orgs, Now: time.Now, Replica: replica,
		Log:     slog.New(slog.NewTextHandler(r, &slog.HandlerOptions{Level: slog.LevelInfo})),
		Keyring: r.ring, Key: bytes.Repeat([]byte{7}, 32), PublicURL: r.front,
		SendGrid: &SendGrid{Key: testSG, Host: r.boxURL, WebhookKeys: []string{r.box.PublicKey()}, Timeout: 2 * time.Second},
		Twilio:   &Twilio{AccountSID: testSID, AuthToken: testTok, Host: r.boxURL, Timeout: 2 * time.Second},
		Lease:    2 * time.Second, ProgressEvery: 50 * time.Millisecond, SettleFor: 20 * time.Second,
		Doubt: Doubt{Quiet: 200 * time.Millisecond, After: time.Second, Freeze: time.Second, Budget: 1},
	}
	if r.cfg != nil {
		r.cfg(&cfg)
	}
	if s, err = New(cfg); err != nil {
		r.t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(CallbackPath, s.Callbacks())
	mux.Handle("/", s.Handler())
	r.hand.Store(mux)
	stopRun := goRun(r.t, "notice", s.Run)
	stopBus := goRun(r.t, "notice bus", b.Run)
	<-b.Ready()
	return s, func() { stopBus(); stopRun(); nc.Close() }
}

// Write takes the log, and fails the test if a name or an address is in it.
func (r *rig) Write(p []byte) (int, error) {
	r.logMu.Lock()
	defer r.logMu.Unlock()
	if s := string(p); strings.Contains(s, "people.example") || strings.Contains(s, "O'Neil") || strings.Contains(s, "+4477009") {
		r.t.Errorf("personal data in the log: %s", s)
	}
	return r.logs.Write(p)
}

// say appends events to the case as a person of the desk.
func (r *rig) say(who string, bodies ...event.Body) {
	r.t.Helper()
	r.sayIn(r.desk, who, bodies...)
}

// sayIn appends what a service may say, on its own connection.
func (r *rig) sayIn(j *journal.Journal, who string, bodies ...event.Body) {
	r.t.Helper()
	ctx := r.t.Context()
	for _, b := range bodies {
		var seq uint64
		if c, err := j.Load(ctx, testOrg, testCase); err == nil {
			seq = c.Seq
		}
		for {
			e, err := event.New(event.NewID(), time.Now(), testOrg, testCase, event.Person(who, "legal"), b)
			if err != nil {
				r.t.Fatal(err)
			}
			_, err = j.Append(ctx, testOrg, testCase, seq, e)
			if errors.Is(err, journal.ErrConflict) {
				c, err := r.desk.Load(ctx, testOrg, testCase)
				if err != nil {
					r.t.Fatal(err)
				}
				seq = c.Seq
				continue
			}
			if err != nil {
				r.t.Fatal(err)
			}
			break
		}
	}
}

var testTexts = []event.WordingDrafted{
	{TextKey: event.TextKey{Audience: "people", Channel: "email", Language: "en-GB"}, Version: 1,
		Subject: "About your data, {{person.given_name}}",
		Body: "Dear {{person.full_name}},\n\nYour **{{exposed.categories}}** were seen by a stranger.\n\n" +
			"{{#if person.has_source}}We have your address from {{person.source}}.\n\n{{/if}}" +
			"{{#if notice.possible_duplicate}}You may receive this notice twice.\n\n{{/if}}Your reference is {{notice.reference}}. Write to {{organisation.contact}}.\n"},
	{TextKey: event.TextKey{Audience: "people", Channel: "sms", Language: "en-GB"}, Version: 1,
		Body: "{{organisation.name}}: {{person.given_name}}, your {{exposed.categories}} were exposed. Ref {{notice.reference}}. {{organisation.contact_phone}}"},
}

func (r *rig) digests() (texts []event.ApprovedText) {
	for _, t := range testTexts {
		texts = append(texts, event.ApprovedText{TextKey: t.TextKey, Digest: wording.Digest(t.TextKey, t.Subject, t.Body)})
	}
	return texts
}

// prepare declares the case, seals the list and writes the texts.
func (r *rig) prepare() {
	r.say("ann", event.CaseDeclared{Title: "Mailbox breach", AwareAt: time.Now(), AwareZone: "Europe/London", Severity: event.SeverityHigh, Role: "controller"})
	r.seal(1)
	for _, t := range testTexts {
		t.Digest = wording.Digest(t.TextKey, t.Subject, t.Body)
		r.say("writer", t)
	}
}

func (r *rig) seal(revision int) {
	r.t.Helper()
	nc := r.nats.Connect(r.t, event.Scope)
	j, err := journal.New(nc, journal.Config{})
	if err != nil {
		r.t.Fatal(err)
	}
	c, err := j.Load(r.t.Context(), testOrg, testCase)
	if err != nil {
		r.t.Fatal(err)
	}
	e, err := event.New(event.NewID(), time.Now(), testOrg, testCase, event.Service(event.Scope),
		event.ScopeSealed{Revision: revision, Statement: "s1", People: int64(len(r.people.list)), Digest: r.sealedAs(revision)})
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := j.Append(r.t.Context(), testOrg, testCase, c.Seq, e); err != nil {
		r.t.Fatal(err)
	}
}

// sealedAs remembers the digest of the present list as that of a revision.
func (r *rig) sealedAs(revision int) string {
	d := seal.NewListDigest(testOrg)
	for i := range r.people.list {
		d.Add(uint32(r.people.list[i].Number), uint32(r.people.list[i].Exposed))
	}
	if r.sealed == nil {
		r.sealed = map[int]string{}
	}
	r.sealed[revision] = d.Sum()
	return d.Sum()
}

// digestOf is the digest of a revision, or of no list at all.
func (r *rig) digestOf(revision int) string {
	if d, ok := r.sealed[revision]; ok {
		return d
	}
	return seal.NewListDigest("nobody").Sum()
}

func (r *rig) approval(channels ...string) event.Approval {
	c, err := r.desk.Load(r.t.Context(), testOrg, testCase)
	if err != nil {
		r.t.Fatal(err)
	}
	now := time.Now().UTC()
	return event.Approval{
		ID: "a1", Org: testOrg, Case: testCase, Kind: "first", Texts: r.digests(), SheetDigest: c.SheetDigest(), Revision: 1, ScopeDigest: r.digestOf(1),
		Channels: channels, ValidFrom: now.Add(-time.Minute), ValidUntil: now.Add(time.Hour), Approver: "lex", Role: "legal", ApprovedAt: now,
	}
}

func (r *rig) sign(a event.Approval) event.WordingApproved {
	d, err := seal.Digest(a)
	if err != nil {
		r.t.Fatal(err)
	}
	return event.WordingApproved{Approval: a, Signature: r.signer.Sign(d)}
}

func (r *rig) order(id string, channels ...string) event.DispatchOrdered {
	return event.DispatchOrdered{Order: id, Kind: "first", Approval: "a1", Revision: 1, ScopeDigest: r.digestOf(1), Channels: channels, Confirmed: "2026-001"}
}

// approveAndOrder does what two people do at the desk.
func (r *rig) approveAndOrder(channels ...string) {
	r.say("lex", r.sign(r.approval(channels...)))
	r.say("dora", r.order("o1", channels...))
}

// await waits until the case meets a condition, woken by the journal itself.
func (r *rig) await(what string, within time.Duration, met func(*casefile.Case) bool) *casefile.Case {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), within)
	defer cancel()
	found := errors.New("found")
	var at *casefile.Case
	look := func() error {
		c, err := r.desk.Load(ctx, testOrg, testCase)
		if err == nil && met(c) {
			at = c
			return found
		}
		return nil
	}
	if look() == nil {
		err := r.desk.Follow(ctx, testOrg, testCase, 0, func(casefile.Entry) error { return look() })
		if !errors.Is(err, found) {
			r.logMu.Lock()
			defer r.logMu.Unlock()
			c, _ := r.desk.Load(r.t.Context(), testOrg, testCase)
			var o any
			if c != nil && len(c.Orders) > 0 {
				o = fmt.Sprintf("%+v tally %+v blocked %+v refused %+v", c.Orders[0].State, c.Orders[0].Tally, c.Orders[0].Blocked, c.Orders[0].Refused)
			}
			r.t.Fatalf("%s did not happen within %v: %v\norder: %v\n%s", what, within, err, o, r.logs.String())
		}
	}
	return at
}

func (r *rig) completed(within time.Duration) event.Tally {
	r.t.Helper()
	c := r.await("completion", within, func(c *casefile.Case) bool {
		return len(c.Orders) > 0 && c.Orders[0].State == casefile.OrderCompleted
	})
	return *c.Orders[0].Tally
}

var (
	noReceipts = sandbox.Faults{Receipts: sandbox.Receipts{Lost: 1}}
	blindDrop  = sandbox.Faults{AcceptThenDrop: 1, LookupsOff: true, Receipts: sandbox.Receipts{Lost: 1}}
)

// settledAll is when everybody is told and no doubt is left.
func settledAll(c *casefile.Case) bool {
	t := c.Orders[0].Tally
	return t.InDoubt == 0 && t.Pending == 0 && t.Told == t.People
}
