package notice

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/organisation"
	"tocsin.dev/pkg/person"
	"tocsin.dev/services/notice/carrier"
	"tocsin.dev/services/sandbox"
)

const (
	spareSG  = "SG.spare"
	spareSID = "AC00000000000000000000000000000002"
	spareTok = "fedcba9876543210fedcba9876543210"
)

// spare is a second account at each provider, with its own keys and its own judge.
func (r *rig) spare() (box *sandbox.Service, address string) {
	r.t.Helper()
	box, err := sandbox.New(sandbox.Config{
		Now: time.Now, SendGridKey: spareSG, TwilioAccountSID: spareSID, TwilioAuthToken: spareTok,
		EventWebhookURL: r.front + "/v1/receipts/sendgrid/spare", StepDelay: 5 * time.Millisecond, RetryBase: 50 * time.Millisecond,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	address = serve(r.t, box.Handler())
	goRun(r.t, "spare sandbox", box.Run)
	was := r.cfg
	r.cfg = func(c *Config) {
		c.SpareSendGrid = []SendGrid{{Name: "spare", Key: spareSG, Host: address, WebhookKeys: []string{box.PublicKey()}, IPPool: "reserve", Timeout: 2 * time.Second}}
		c.SpareTwilio = []Twilio{{Name: "spare-sms", AccountSID: spareSID, AuthToken: spareTok, Host: address, Sender: "+447700900001", Timeout: 2 * time.Second}}
		if was != nil {
			was(c)
		}
	}
	return box, address
}

// overhear stands in front of a provider and keeps what is sent to it.
func overhear(t *testing.T, address string) (front string, said func() string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var all bytes.Buffer
	through := httputil.NewSingleHostReverseProxy(u)
	front = serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		mu.Lock()
		all.Write(body)
		mu.Unlock()
		r.Body = io.NopCloser(bytes.NewReader(body))
		through.ServeHTTP(w, r)
	}))
	return front, func() string { mu.Lock(); defer mu.Unlock(); return all.String() }
}

// carried counts the requests that each account carried.
func (r *rig) carried() map[string]int {
	r.t.Helper()
	rows, err := r.db.QueryContext(r.t.Context(), `SELECT account, COUNT(*) FROM attempt WHERE state=2 GROUP BY account`)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	n := map[string]int{}
	for rows.Next() {
		var account string
		var k int
		if err := rows.Scan(&account, &k); err != nil {
			r.t.Fatal(err)
		}
		n[account] = k
	}
	if err := rows.Err(); err != nil {
		r.t.Fatal(err)
	}
	return n
}

// shut closes an account for a while, as a refusal does.
func (r *rig) shut(a *account, d time.Duration) {
	r.t.Helper()
	until := time.Now().Add(d).UnixMicro()
	for _, name := range []string{a.bucket(), a.shutter()} {
		if _, err := r.db.ExecContext(r.t.Context(), `INSERT INTO bucket (name, next_at) VALUES ($1,$2) ON CONFLICT (name) DO UPDATE SET next_at=excluded.next_at`, name, until); err != nil {
			r.t.Fatal(err)
		}
	}
}

func TestASpareAccountStandsInWhileTheFirstRefusesUs(t *testing.T) {
	for ch, name := range map[string]string{"email": "spare", "sms": "spare-sms"} {
		t.Run(ch, func(t *testing.T) {
			r := newRig(t, testPeople(150), nil)
			box, address := r.spare()
			through, said := overhear(t, address)
			refusing := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "{}", http.StatusForbidden) }))
			was := r.cfg
			r.cfg = func(c *Config) {
				was(c)
				c.SendGrid.Host, c.Twilio.Host = refusing, refusing
				c.SpareSendGrid[0].Host, c.SpareTwilio[0].Host = through, through
			}
			r.start("one")
			r.prepare()
			r.approveAndOrder(ch)
			tally := r.completed(60 * time.Second)
			// Delivered: the receipts came to the spare's own address, signed with its own key.
			if tally.Told != 150 || tally.States[ch]["delivered"] != 150 {
				t.Errorf("tally = %+v, want 150 told and delivered", tally)
			}
			if sum := box.Summary("", 1); sum.ToldOnce != 150 || sum.ToldTwice != 0 || r.box.Summary("", 1).AcceptedTotal != 0 {
				t.Errorf("the spare told %d once and %d twice, the first %d", sum.ToldOnce, sum.ToldTwice, r.box.Summary("", 1).AcceptedTotal)
			}
			if n := r.carried(); n[name] == 0 || len(n) != 1 {
				t.Errorf("carried by %v, want only %s", n, name)
			}
			want := map[string]string{"email": `"ip_pool_name":"reserve"`, "sms": "From=%2B447700900001"}[ch]
			if !strings.Contains(said(), want) {
				t.Errorf("the spare was not asked for %s", want)
			}
		})
	}
}

func TestWhatAnAccountMayHaveWaitsForItAndIsAskedOfItAlone(t *testing.T) {
	t.Run("it waits", func(t *testing.T) {
		r := newRig(t, testPeople(40), func(c *Config) { c.SettleFor = time.Second })
		box, _ := r.spare()
		r.box.SetFaults(blindDrop)
		s, _ := r.start("one")
		r.prepare()
		r.approveAndOrder("email")
		r.await("a doubt", 30*time.Second, func(c *casefile.Case) bool {
			return len(c.Orders) > 0 && c.Orders[0].Tally != nil && c.Orders[0].Tally.InDoubt == 40
		})
		r.shut(s.accountNamed("sendgrid"), 3*time.Second)
		r.box.SetFaults(sandbox.Faults{LookupsOff: true, Receipts: sandbox.Receipts{Lost: 1}}) // nothing settles the doubt but the policy
		if tally := r.completed(60 * time.Second); tally.Told != 40 {
			t.Errorf("tally = %+v, want 40 told", tally)
		}
		if n := box.Summary("", 1).AcceptedTotal; n != 0 {
			t.Errorf("%d messages that the first account had left by the spare", n)
		}
		if sum := r.box.Summary("", 1); sum.ToldTwice != 40 {
			t.Errorf("the first account told %d twice, want the 40 whose second copies waited for it", sum.ToldTwice)
		}
	})
	for _, ch := range []string{"email", "sms"} {
		t.Run(ch+" is looked up where it was sent", func(t *testing.T) {
			r := newRig(t, testPeople(60), func(c *Config) { c.SettleFor = time.Second; c.Doubt.Freeze = 10 * time.Second })
			box, _ := r.spare()
			box.SetFaults(sandbox.Faults{AcceptThenDrop: 1, Receipts: sandbox.Receipts{Lost: 1}})
			s, _ := r.start("one")
			first := map[string]string{"email": "sendgrid", "sms": "twilio"}[ch]
			r.shut(s.accountNamed(first), time.Minute)
			r.prepare()
			r.approveAndOrder(ch)
			tally := r.completed(60 * time.Second)
			if sum := box.Summary("", 1); tally.Told != 60 || sum.ToldOnce != 60 || sum.ToldTwice != 0 {
				t.Errorf("tally = %+v; the spare told %d once and %d twice, want 60 and 0", tally, sum.ToldOnce, sum.ToldTwice)
			}
		})
	}
}

// A key proves what its own account did, and nothing else.
func TestReceiptsCountOnlyFromTheAccountThatCarriedTheMessage(t *testing.T) {
	r := newRig(t, testPeople(1), nil)
	r.spare()
	s, _ := r.start("one")
	p, err := s.store.makePlan(t.Context(), plan{org: testOrg, caseID: testCase, order: "o1", revision: 1, people: 1}, "first", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	a := &attempt{plan: p.id, campaign: p.campaign, channel: Email, people: []person.Number{5}, account: "spare", digest: "d"}
	if _, err := s.store.write(t.Context(), p.campaign, time.Now(), func(l *ledger) error {
		if _, err := l.put([]message{{person: 5, channel: Email, state: Planned, reason: ReasonPlanned}}); err != nil {
			return err
		}
		if err := l.begin(a); err != nil {
			return err
		}
		_, err := l.move(Email, a.people, Planned, Submitted, ReasonHandOver, set{attempt: a.id})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	c, err := s.campaign(t.Context(), p.campaign)
	if err != nil {
		t.Fatal(err)
	}
	fact := carrier.Receipt{Notice: c.mark.notice(5, Email, "d"), Attempt: a.id, Meaning: carrier.Delivered, At: time.Now()}
	for _, step := range []struct {
		from string
		want State
	}{{"sendgrid", Submitted}, {"spare", Delivered}} {
		d := &delivery{from: s.accountNamed(step.from), raw: []byte("x"), facts: []carrier.Receipt{fact}}
		if err := s.applyDeliveries(t.Context(), []*delivery{d}); err != nil {
			t.Fatal(err)
		}
		rows, err := onChannel(t.Context(), s.store.db, p.campaign, Email, a.people)
		if err != nil || len(rows) != 1 || rows[0].state != step.want {
			t.Errorf("after a receipt of %s the message is %+v, %v; want %v", step.from, rows, err, step.want)
		}
	}
}

func TestAnAccountThatDoesNotAnswerRestsAndAnotherStandsIn(t *testing.T) {
	r := newRig(t, testPeople(3500), nil)
	box, _ := r.spare()
	was := r.cfg
	r.cfg = func(c *Config) { was(c); c.SendGrid.Host = "http://127.0.0.1:1" } // nobody listens there
	s, _ := r.start("one")
	r.prepare()
	r.approveAndOrder("email")
	tally := r.completed(60 * time.Second)
	if sum := box.Summary("", 1); tally.Told != 3500 || sum.ToldOnce != 3500 || sum.ToldTwice != 0 {
		t.Errorf("tally = %+v; the spare told %d once and %d twice, want 3500 and 0", tally, sum.ToldOnce, sum.ToldTwice)
	}
	p, err := s.answerProgress(t.Context(), event.ProgressQuestion{Org: testOrg, Case: testCase})
	if err != nil || p.Orders[0].PossibleDuplicates != 0 || p.Orders[0].Reasons["email"]["not_sent"] == 0 {
		t.Errorf("progress = %+v, %v; want messages that were provably not sent, and no possible duplicate", p.Orders, err)
	}
}

// Each bucket is a row of the store: whoever asks, on whatever replica, keeps to it.
func TestProviderAccountSenderAndDomainHaveTheirOwnLimits(t *testing.T) {
	from := organisation.Sender{Email: "notices@tidewater.example", SMS: "+447700900000"}
	for name, c := range map[string]struct {
		key                 string
		account             string // through which ten messages go first
		same, sibling, sms2 bool   // whether then the same account, its sibling, and another sender's text must wait
	}{
		"no limit":                      {"", "sendgrid", false, false, false},
		"of the provider":               {"sendgrid", "sendgrid", true, true, false},
		"of the account":                {"account/sendgrid", "sendgrid", true, false, false},
		"of the spare account":          {"account/spare", "spare", true, false, false},
		"of the sender":                 {"sendgrid/notices@tidewater.example", "sendgrid", true, true, false},
		"of the other provider":         {"twilio", "sendgrid", false, false, false},
		"of text messages":              {"twilio", "twilio", true, true, true},
		"of one number":                 {"twilio/+447700900000", "twilio", true, false, false},
		"of an account that is not his": {"account/twilio", "sendgrid", false, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			var now clockHand
			r := newRig(t, testPeople(1), func(c *Config) { c.Now = now.time })
			r.spare()
			was := r.cfg
			r.cfg = func(cfg *Config) { was(cfg); cfg.Rates = map[string]float64{c.key: 1} }
			s, _ := r.start("one")
			other, _ := r.start("two")
			sibling := map[string]string{"sendgrid": "spare", "spare": "sendgrid", "twilio": "spare-sms"}[c.account]
			mustWait := func(s *Service, account string, from organisation.Sender, want bool) {
				t.Helper()
				wait, err := s.reserve(t.Context(), s.accountNamed(account), from, 10)
				if err != nil || wait > 0 != want {
					t.Errorf("through %s: wait %v, %v; want to wait: %v", account, wait, err, want)
				}
			}
			mustWait(s, c.account, from, false)
			mustWait(other, c.account, from, c.same)
			mustWait(other, sibling, from, c.sibling)
			if c.account == "twilio" {
				mustWait(s, "twilio", organisation.Sender{SMS: "+447700900009"}, c.sms2)
			}
			now.move(25 * time.Second)
			mustWait(other, c.account, from, false)
		})
	}
}

// clockHand is a clock that stands until it is moved.
type clockHand struct{ ahead atomic.Int64 }

var clockStood = time.Now()

func (c *clockHand) time() time.Time { return clockStood.Add(time.Duration(c.ahead.Load())) }

func (c *clockHand) move(d time.Duration) { c.ahead.Add(int64(d)) }

func TestAMailDomainGetsNoMoreThanItsLimit(t *testing.T) {
	var now clockHand
	r := newRig(t, testPeople(1), func(c *Config) {
		c.Now, c.Rates = now.time, map[string]float64{"domain/slow.example": 10}
	})
	s, _ := r.start("one")
	var letters []letter
	for i := range 40 {
		to := &person.Contact{Number: person.Number(i + 1), Email: "a@slow.example"}
		switch {
		case i < 5:
			to.Email = "a@fast.example"
		case i < 10:
			to.Email = "A@Slow.Example"
		}
		letters = append(letters, letter{to: recipient{named: to, reach: to}})
	}
	for _, step := range []struct {
		after time.Duration
		want  int
	}{{0, 15}, {0, 15}, {0, 5}, {time.Second, 15}, {500 * time.Millisecond, 5}} {
		now.move(step.after)
		may, wait, err := s.withinDomains(t.Context(), letters)
		if err != nil || len(may) != step.want || wait != time.Second {
			t.Errorf("after %v: %d may go, then wait %v, %v; want %d and a second", step.after, len(may), wait, err, step.want)
		}
	}
}

func TestALimitedDomainIsToldCompletely(t *testing.T) {
	people := testPeople(120)
	for i := range 80 {
		people[i].Email = person.Email(strings.Replace(people[i].Email.Reveal(), "people.example", "slow.people.example", 1))
	}
	r := newRig(t, people, func(c *Config) {
		c.Rates = map[string]float64{"domain/slow.people.example": 20, "sendgrid": 1000}
	})
	r.start("one")
	r.prepare()
	r.approveAndOrder("email")
	began := time.Now()
	tally := r.completed(60 * time.Second)
	if sum := r.box.Summary("", 1); tally.Told != 120 || sum.ToldOnce != 120 {
		t.Errorf("tally = %+v, told once %d; want 120", tally, sum.ToldOnce)
	}
	if d := time.Since(began); d < time.Second {
		t.Errorf("80 messages to a domain that takes 20 a second left within %v", d)
	}
}

func TestAccountsNeedNamesOfTheirOwn(t *testing.T) {
	for name, c := range map[string]struct {
		spare SendGrid
		want  string
	}{
		"none":         {SendGrid{Key: "k"}, "needs a name"},
		"the first's":  {SendGrid{Name: "sendgrid", Key: "k"}, "another account has this name"},
		"not a name":   {SendGrid{Name: "Spare/2", Key: "k"}, "small letters"},
		"without key":  {SendGrid{Name: "spare"}, "account spare: sendgrid: the API key is missing"},
		"broken hook":  {SendGrid{Name: "spare", Key: "k", WebhookKeys: []string{"x"}}, "account spare: sendgrid webhook key 1"},
		"the printer":  {SendGrid{Name: "post", Key: "k"}, "another account has this name"},
		"own server":   {SendGrid{Name: "smtp", Key: "k"}, "another account has this name"},
		"sms account":  {SendGrid{Name: "twilio", Key: "k"}, "another account has this name"},
		"unique, good": {SendGrid{Name: "spare", Key: "k"}, ""},
	} {
		s := &Service{cfg: Config{
			SendGrid: &SendGrid{Key: "k"}, SpareSendGrid: []SendGrid{c.spare}, SMTP: &SMTP{Host: "mail.example", TLS: "none"},
			Twilio: &Twilio{AccountSID: testSID, AuthToken: testTok}, PrintDir: "x", Now: time.Now,
		}}
		err := s.connect()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
}
