package notice

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/organisation"
	"tocsin.dev/pkg/person"
	"tocsin.dev/pkg/sqldb"
	"tocsin.dev/pkg/sqldb/sqldbtest"
	"tocsin.dev/services/notice/carrier"
	"tocsin.dev/services/sandbox"
)

// blind leaves no evidence: no receipt comes, and nothing can be looked up.
var blind = sandbox.Faults{Seed: 1, LookupsOff: true, Receipts: sandbox.Receipts{Lost: 1}}

func blindly(drop float64) sandbox.Faults {
	f := blind
	f.AcceptThenDrop = drop
	return f
}

// boxCancelBefore is SendGrid's ten minutes in seconds.
const boxCancelBefore = 2 * time.Second

// recalling is the policy «cancel» with SendGrid's quarter of an hour in seconds.
// Five of them are left to recall in: a busy machine stands still for one or two.
func recalling(c *Config) {
	c.Doubt.Policy, c.Doubt.Ahead, c.Doubt.CancelBefore, c.SettleFor = organisation.Cancel, 4*boxCancelBefore, boxCancelBefore, time.Second
}

// stopped lists the batches that are cancelled at the provider now.
func (r *rig) stopped() (all []map[string]string) {
	r.t.Helper()
	text := r.sendGrid(http.MethodGet, "/v3/user/scheduled_sends", "", http.StatusOK)
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		r.t.Fatal(err)
	}
	return all
}

func (r *rig) sendGrid(method, path, body string, want int) string {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.boxURL+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+testSG)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != want {
		r.t.Fatalf("%s %s: HTTP %d %s, %v", method, path, resp.StatusCode, text, err)
	}
	return string(text)
}

// eventually waits for something that only a clock brings about.
func eventually(t testing.TB, what string, within time.Duration, met func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	end := time.After(within)
	for !met() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("%s did not happen within %v", what, within)
		}
	}
}

// outcome is the only order's progress.
func (r *rig) outcome(s *Service) event.OrderProgress {
	r.t.Helper()
	p, err := s.answerProgress(r.t.Context(), event.ProgressQuestion{Org: testOrg, Case: testCase})
	if err != nil || len(p.Orders) != 1 {
		r.t.Fatalf("progress = %+v, %v", p, err)
	}
	return p.Orders[0]
}

// toldOnce waits until the provider has discarded what was cancelled, and checks its record.
func (r *rig) toldOnce(s *Service, people int) {
	r.t.Helper()
	eventually(r.t, "that everybody is told once", 20*time.Second, func() bool {
		sum := r.box.Summary("", 1)
		return sum.ToldOnce == people && sum.ToldTwice == 0
	})
	if o := r.outcome(s); o.Tally.Told != int64(people) || o.PossibleDuplicates != 0 || o.Reasons["email"]["recalled"] == 0 {
		r.t.Errorf("told %d, %d possible duplicates, %d recalled; want %d, none and some", o.Tally.Told, o.PossibleDuplicates, o.Reasons["email"]["recalled"], people)
	}
}

func TestARequestInDoubtIsRecalledAndNobodyIsToldTwice(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		r := newRigOn(t, db, testPeople(3500), recalling)
		r.box.SetFaults(blindly(0.5))
		s, _ := r.start("one")
		r.prepare()
		r.approveAndOrder("email")
		r.completed(60 * time.Second)
		r.toldOnce(s, 3500)
		eventually(t, "that the places of cancelled batches are given back", 20*time.Second, func() bool { return len(r.stopped()) == 0 })
	})
}

func TestWhatALostWorkerLeftInDoubtIsRecalled(t *testing.T) {
	r := newRig(t, testPeople(4000), func(c *Config) { recalling(c); c.Rates = map[string]float64{"sendgrid": 1500}; c.Workers = 1 })
	r.box.SetFaults(blind)
	tally := killed(t, r, 3)
	eventually(t, "that everybody is told once", 20*time.Second, func() bool {
		sum := r.box.Summary("", 1)
		return sum.ToldOnce == 4000 && sum.ToldTwice == 0
	})
	if tally.Told != 4000 {
		t.Errorf("tally = %+v, want 4000 told", tally)
	}
}

func TestWithoutARecallInTimeASecondCopyIsMarked(t *testing.T) {
	for name, prepare := range map[string]func(*rig){
		"too late": func(r *rig) {
			r.cfg = func(c *Config) { recalling(c); c.Doubt.CancelBefore = time.Hour }
		},
		"ten are cancelled already": func(r *rig) {
			for range 10 {
				batch := strings.Split(r.sendGrid(http.MethodPost, "/v3/mail/batch", "", http.StatusCreated), `"`)[3]
				r.sendGrid(http.MethodPost, "/v3/user/scheduled_sends", `{"batch_id":"`+batch+`","status":"cancel"}`, http.StatusCreated)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, testPeople(40), recalling)
			prepare(r)
			r.box.SetFaults(blindly(1))
			s, _ := r.start("one")
			r.prepare()
			r.approveAndOrder("email")
			eventually(t, "a second copy", 30*time.Second, func() bool {
				if p, err := s.answerProgress(t.Context(), event.ProgressQuestion{Org: testOrg, Case: testCase}); err != nil || len(p.Orders) == 0 || p.Orders[0].PossibleDuplicates == 0 {
					return false
				}
				r.box.SetFaults(blind)
				return true
			})
			r.completed(60 * time.Second)
			o := r.outcome(s)
			if sum := r.box.Summary("", 1); o.Tally.Told != 40 || sum.People != 40 || int64(sum.ToldTwice) > o.PossibleDuplicates || o.Reasons["email"]["recalled"] != 0 {
				t.Errorf("told %d of %d, twice %d, %d possible duplicates, %d recalled", o.Tally.Told, sum.People, sum.ToldTwice, o.PossibleDuplicates, o.Reasons["email"]["recalled"])
			}
		})
	}
}

// The request for a cancellation is as ambiguous as any other: it is asked for again.
func TestALostAnswerToACancellationIsAskedFor(t *testing.T) {
	r := newRig(t, testPeople(40), recalling)
	u, err := url.Parse(r.boxURL)
	if err != nil {
		t.Fatal(err)
	}
	through := httputil.NewSingleHostReverseProxy(u)
	var dropped atomic.Int32
	front := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodPost && req.URL.Path == "/v3/user/scheduled_sends" {
			through.ServeHTTP(httptest.NewRecorder(), req)
			dropped.Add(1)
			panic(http.ErrAbortHandler)
		}
		through.ServeHTTP(w, req)
	}))
	r.cfg = func(c *Config) { recalling(c); c.SendGrid.Host = front }
	r.box.SetFaults(blindly(1))
	s, _ := r.start("one")
	r.prepare()
	r.approveAndOrder("email")
	eventually(t, "the recall", 20*time.Second, func() bool { return len(r.stopped()) > 0 })
	r.box.SetFaults(blind)
	r.completed(60 * time.Second)
	r.toldOnce(s, 40)
	if dropped.Load() == 0 {
		t.Error("no answer was lost")
	}
}

// A process that stands still before its request for a cancellation makes it too
// late. SendGrid accepts that like any other, and sends the mail.
func TestACancellationThatMayHaveComeTooLateProvesNothing(t *testing.T) {
	r := newRig(t, testPeople(40), nil)
	var stoodStill atomic.Int64
	front := r.relay(func(w http.ResponseWriter, req *http.Request) bool {
		if req.Method != http.MethodPost || req.URL.Path != "/v3/user/scheduled_sends" {
			return false
		}
		r.box.SetFaults(blind)
		stoodStill.Store(int64(4 * boxCancelBefore))
		w.WriteHeader(http.StatusCreated)
		_, _ = io.Copy(w, req.Body) // its answer repeats the request
		return true
	})
	r.cfg = func(c *Config) {
		recalling(c)
		c.SendGrid.Host = front
		c.Now = func() time.Time { return time.Now().Add(time.Duration(stoodStill.Load())) }
	}
	r.box.SetFaults(blindly(1))
	s, _ := r.start("one")
	r.prepare()
	r.approveAndOrder("email")
	r.completed(60 * time.Second)
	eventually(t, "that both copies are sent", 20*time.Second, func() bool { return r.box.Summary("", 1).ToldTwice == 40 })
	o := r.outcome(s)
	if o.Tally.Told != 40 || o.PossibleDuplicates != 40 || o.Reasons["email"]["recalled_late"] != 40 || o.Reasons["email"]["recalled"] != 0 {
		t.Errorf("told %d, %d possible duplicates, reasons %v; want 40, 40, all recalled late", o.Tally.Told, o.PossibleDuplicates, o.Reasons["email"])
	}
}

func TestNothingIsSentWithoutAnIdToRecallItBy(t *testing.T) {
	r := newRig(t, testPeople(20), recalling)
	var asked, early atomic.Int32
	front := r.relay(func(w http.ResponseWriter, req *http.Request) bool {
		switch req.URL.Path {
		case "/v3/mail/batch":
			if asked.Add(1) <= 2 {
				w.WriteHeader(http.StatusServiceUnavailable)
				return true
			}
		case "/v3/mail/send":
			if asked.Load() <= 2 {
				early.Add(1)
			}
		}
		return false
	})
	r.cfg = func(c *Config) { recalling(c); c.SendGrid.Host = front }
	s, _ := r.start("one")
	r.prepare()
	r.approveAndOrder("email")
	if tally := r.completed(60 * time.Second); tally.Told != 20 || early.Load() != 0 || asked.Load() != 3 {
		t.Errorf("tally = %+v; %d ids were asked for, %d mails sent before one was given", tally, asked.Load(), early.Load())
	}
	if all, err := readAttempts(t.Context(), s.store.db, `batch<>''`); err != nil || len(all) != 1 {
		t.Errorf("%d requests were held back, %v; want one", len(all), err)
	}
}

func TestWhatWouldComeTooLateIsNotHeldBack(t *testing.T) {
	r := newRig(t, testPeople(20), func(c *Config) { recalling(c); c.Doubt.Ahead = time.Hour })
	s, _ := r.start("one")
	r.prepare()
	r.openDuty(time.Now().Add(30 * time.Minute))
	r.approveAndOrder("email")
	if tally := r.completed(30 * time.Second); tally.States["email"]["delivered"] != 20 {
		t.Errorf("tally = %+v, want 20 delivered at once", tally)
	}
	if all, err := readAttempts(t.Context(), s.store.db, `batch<>''`); err != nil || len(all) != 0 {
		t.Errorf("%d requests were held back, %v", len(all), err)
	}
}

func TestAnOrganisationsPolicyGoesBeforeTheInstallations(t *testing.T) {
	r := newRig(t, testPeople(1), func(c *Config) { c.Doubt.Policy = organisation.Hold })
	s, _ := r.start("one")
	org, err := r.orgs.Get(testOrg)
	if err != nil {
		t.Fatal(err)
	}
	for set, want := range map[string]string{"": organisation.Hold, organisation.Cancel: organisation.Cancel, organisation.Resend: organisation.Resend} {
		org.InDoubt = set
		if got := s.policy(testOrg); got != want {
			t.Errorf("with %q of its own the organisation has the policy %q, want %q", set, got, want)
		}
	}
}

// scheduled puts one message into the ledger that was handed over under a batch
// and is in doubt.
func (r *rig) scheduled(s *Service) (*plan, *attempt) {
	r.t.Helper()
	ctx := r.t.Context()
	p, err := s.store.makePlan(ctx, plan{org: testOrg, caseID: testCase, order: "o1", revision: 1, people: 1}, "first", time.Now())
	if err != nil {
		r.t.Fatal(err)
	}
	if err := s.store.setPlan(ctx, p.id, planSending, "", ""); err != nil {
		r.t.Fatal(err)
	}
	a := &attempt{plan: p.id, campaign: p.campaign, channel: Email, people: []person.Number{5}, account: "sendgrid", digest: "d",
		batch: "b", sendAt: time.Now().Add(time.Hour).Unix()}
	row := []message{{person: 5, channel: Email, state: Planned, reason: ReasonPlanned}}
	if _, err := s.store.write(ctx, p.campaign, time.Now(), func(l *ledger) error {
		if _, err := l.put(row); err != nil {
			return err
		}
		if err := openChunks(l, p.id, 0, row, time.Hour); err != nil {
			return err
		}
		if err := l.begin(a); err != nil {
			return err
		}
		if _, err := l.move(Email, a.people, Planned, Submitted, ReasonHandOver, set{attempt: a.id}); err != nil {
			return err
		}
		if _, err := l.move(Email, a.people, Submitted, InDoubt, ReasonLostAnswer, set{onAttempt: a.id}); err != nil {
			return err
		}
		return l.close(a, attemptInDoubt, l.now+time.Hour.Milliseconds())
	}); err != nil {
		r.t.Fatal(err)
	}
	return p, a
}

// state is where the one person's email stands.
func (r *rig) state(s *Service, p *plan) State {
	r.t.Helper()
	rows, err := onChannel(r.t.Context(), s.store.db, p.campaign, Email, []person.Number{5})
	if err != nil || len(rows) != 1 {
		r.t.Fatalf("%d rows, %v", len(rows), err)
	}
	return rows[0].state
}

// SendGrid says «processed» of a mail that it then discards.
func TestWhatIsSaidOfARecalledRequestDoesNotCountUnlessItWasDelivered(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		r := newRigOn(t, db, testPeople(1), nil)
		s, stop := r.start("one")
		stop() // nobody else works on it
		p, a := r.scheduled(s)
		c, err := s.campaign(t.Context(), p.campaign)
		if err != nil {
			t.Fatal(err)
		}
		hear := func(m carrier.Meaning, want State) {
			t.Helper()
			d := &delivery{from: s.accountNamed("sendgrid"), raw: []byte("x"),
				facts: []carrier.Receipt{{Notice: c.mark.notice(5, Email, "d"), Attempt: a.id, Meaning: m, At: time.Now()}}}
			if err := s.applyDeliveries(t.Context(), []*delivery{d}); err != nil {
				t.Fatal(err)
			}
			if got := r.state(s, p); got != want {
				t.Errorf("after %v the message is %v, want %v", m, got, want)
			}
		}
		hear(carrier.Processed, Accepted) // before the recall is known to be in force
		if err := s.takeBack(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		if got := r.state(s, p); got != Planned {
			t.Fatalf("after the recall the message is %v, want planned", got)
		}
		hear(carrier.Processed, Planned)
		hear(carrier.Unknown, Planned)                                                          // the event by which SendGrid says that it was dropped
		if _, err := s.store.write(t.Context(), p.campaign, time.Now(), func(l *ledger) error { // the worker lives and has its answer
			return s.outcome(l, p, &run{attempt: *a, answers: []carrier.Answer{{Class: carrier.Accepted, Status: 202}}, letters: make([]letter, 1)})
		}); err != nil {
			t.Fatal(err)
		}
		if again, err := readAttempt(t.Context(), s.store.db, a.id); err != nil || again.state != attemptRecalled || r.state(s, p) != Planned {
			t.Errorf("after a late answer the request is %+v, the message %v, %v", again, r.state(s, p), err)
		}
		hear(carrier.Delivered, Delivered)
	})
}

func TestARecalledMessageOfAStoppedOrderIsStopped(t *testing.T) {
	for why, marked := range map[Reason]bool{ReasonRecalled: false, ReasonRecalledLate: true} {
		r := newRig(t, testPeople(1), nil)
		s, stop := r.start("one")
		stop()
		p, a := r.scheduled(s)
		if err := s.store.setPlan(t.Context(), p.id, planStopped, "", ""); err != nil {
			t.Fatal(err)
		}
		if why == ReasonRecalledLate {
			a.sendAt = time.Now().Unix()
		}
		if err := s.takeBack(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		rows, err := onChannel(t.Context(), s.store.db, p.campaign, Email, a.people)
		if err != nil || len(rows) != 1 || rows[0].state != Stopped || rows[0].flags&flagDuplicate != 0 != marked {
			t.Errorf("%v: %+v, %v; want it stopped, marked %v for a later order", why, rows, err, marked)
		}
	}
}
