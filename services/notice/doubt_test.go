package notice

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/organisation"
	"tocsin.dev/pkg/sqldb"
	"tocsin.dev/pkg/sqldb/sqldbtest"
	"tocsin.dev/services/sandbox"
)

// relay stands in front of the provider; f may answer a request itself.
func (r *rig) relay(f func(http.ResponseWriter, *http.Request) bool) string {
	r.t.Helper()
	u, err := url.Parse(r.boxURL)
	if err != nil {
		r.t.Fatal(err)
	}
	through := httputil.NewSingleHostReverseProxy(u)
	return serve(r.t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if !f(w, req) {
			through.ServeHTTP(w, req)
		}
	}))
}

func TestReceiptsComeFirstThenLookUpsThenThePolicy(t *testing.T) {
	dropping := sandbox.Faults{AcceptThenDrop: 1}
	deaf := sandbox.Faults{AcceptThenDrop: 1, Receipts: sandbox.Receipts{Lost: 1}}
	for name, c := range map[string]struct {
		faults sandbox.Faults
		settle string
		ask    bool
	}{
		"a receipt settles it, and the provider is not asked": {dropping, "receipt", false},
		"no receipt comes, and the provider is asked":         {deaf, "look_up", true},
		"the provider knows nothing, and the policy decides":  {blindly(1), "resend", true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, testPeople(30), nil)
			var mu sync.Mutex
			var sent bool
			var asked, again time.Time
			front := r.relay(func(_ http.ResponseWriter, req *http.Request) bool {
				mu.Lock()
				defer mu.Unlock()
				switch {
				case req.URL.Path == "/v3/mail/send" && !sent:
					sent = true
				case req.URL.Path == "/v3/mail/send" && again.IsZero():
					again = time.Now()
				case req.URL.Path == "/v3/logs" && asked.IsZero():
					asked = time.Now()
				}
				return false
			})
			r.cfg = func(c *Config) {
				c.SendGrid.Host, c.Doubt.Quiet, c.Doubt.After, c.SettleFor = front, time.Second, 2*time.Second, time.Second
			}
			r.box.SetFaults(c.faults)
			s, _ := r.start("one")
			r.prepare()
			r.approveAndOrder("email")
			eventually(t, c.settle, 30*time.Second, func() bool {
				p, err := s.answerProgress(t.Context(), event.ProgressQuestion{Org: testOrg, Case: testCase})
				return err == nil && len(p.Orders) == 1 && p.Orders[0].Reasons["email"][c.settle] > 0
			})
			r.box.SetFaults(blind)
			if tally := r.completed(30 * time.Second); tally.Told != 30 {
				t.Errorf("tally = %+v, want 30 told", tally)
			}
			attempts, err := readAttempts(t.Context(), s.store.db, `id=(SELECT MIN(id) FROM attempt)`)
			if err != nil || len(attempts) != 1 {
				t.Fatalf("%d first attempts, %v", len(attempts), err)
			}
			// The waits count from the instant at which the request was written down.
			written := attempts[0].at
			mu.Lock()
			defer mu.Unlock()
			if asked.IsZero() == c.ask || c.ask && asked.Sub(written) < time.Second {
				t.Errorf("the provider was asked after %v", asked.Sub(written))
			}
			if resent := !again.IsZero(); resent != (c.settle == "resend") || resent && again.Sub(written) < 2*time.Second {
				t.Errorf("it was sent again after %v", again.Sub(written))
			}
		})
	}
}

// While our own eyes are closed, silence proves nothing: nobody is written to
// again until receipts work, or the law leaves no more time.
func TestDoubtIsFrozenWhileReceiptsFailUntilTheDeadlineGuard(t *testing.T) {
	r := newRig(t, testPeople(30), func(c *Config) { c.Doubt.Freeze, c.Doubt.Guard, c.SettleFor = time.Hour, 4*time.Hour, time.Second })
	r.box.SetEventWebhook("")
	r.box.SetFaults(blindly(1))
	s, _ := r.start("one")
	r.prepare()
	r.openDuty(time.Now().Add(24 * time.Hour))
	r.approveAndOrder("email")
	var probes int
	eventually(t, "that the doubt is examined long after the policy's time", 30*time.Second, func() bool {
		all, err := readAttempts(t.Context(), s.store.db, `state=$1 AND at<$2`, attemptInDoubt, time.Now().Add(-3*s.cfg.Doubt.After).UnixMilli())
		if err == nil && len(all) == 1 {
			probes = max(probes, all[0].probes)
		}
		return probes >= 6
	})
	if o := r.outcome(s); o.PossibleDuplicates != 0 || o.Tally.InDoubt != 30 {
		t.Fatalf("with the eyes closed %d are in doubt and %d were sent again, want 30 and none", o.Tally.InDoubt, o.PossibleDuplicates)
	}
	r.box.SetFaults(blind)
	r.openDuty(time.Now().Add(3 * time.Hour))
	if tally := r.completed(30 * time.Second); tally.Told != 30 {
		t.Errorf("tally = %+v, want 30 told", tally)
	}
	if o := r.outcome(s); o.PossibleDuplicates != 30 {
		t.Errorf("%d were sent again near the deadline, want 30", o.PossibleDuplicates)
	}
}

func TestSilenceProvesNothingWhileReceiptsAreUnfit(t *testing.T) {
	r := newRig(t, testPeople(1), func(c *Config) { c.Doubt.Freeze = time.Hour })
	s, stop := r.start("one")
	stop()
	r.prepare()
	_, a := r.scheduled(s)
	for name, c := range map[string]struct {
		okAt time.Duration // since the request
		bad  int
		age  time.Duration
		want bool
	}{
		"no receipt since the request":      {-time.Second, 0, 2 * time.Second, true},
		"the last ones are not verified":    {time.Second, 1, 2 * time.Second, true},
		"receipts came since, and are good": {time.Second, 0, 2 * time.Second, false},
		"it was waited for long enough":     {-time.Second, 1, 2 * time.Hour, false},
	} {
		if _, err := r.db.ExecContext(t.Context(), `INSERT INTO account (name, ok_at, bad) VALUES ('sendgrid',$1,$2) ON CONFLICT (name) DO UPDATE SET ok_at=excluded.ok_at, bad=excluded.bad`,
			a.at.Add(c.okAt).UnixMilli(), c.bad); err != nil {
			t.Fatal(err)
		}
		if got := s.frozen(t.Context(), a, a.at.Add(c.age)); got != c.want {
			t.Errorf("%s: frozen %v, want %v", name, got, c.want)
		}
	}
}

func TestAHeldDoubtIsStillSettledWhenItsEvidenceComes(t *testing.T) {
	r := newRig(t, testPeople(30), func(c *Config) { c.Doubt.Policy, c.SettleFor = organisation.Hold, time.Second })
	r.box.SetFaults(blindly(1))
	s, _ := r.start("one")
	r.prepare()
	r.approveAndOrder("email")
	r.await("the hold", 30*time.Second, func(c *casefile.Case) bool {
		return len(c.Orders) > 0 && c.Orders[0].Tally != nil && c.Orders[0].Tally.States["email"]["held"] == 30
	})
	r.box.SetFaults(sandbox.Faults{Receipts: sandbox.Receipts{Lost: 1}}) // look-ups work again
	r.await("the evidence", 30*time.Second, settledAll)
	if o := r.outcome(s); o.Tally.Told != 30 || o.PossibleDuplicates != 0 {
		t.Errorf("told %d with %d possible duplicates, want 30 and none", o.Tally.Told, o.PossibleDuplicates)
	}
	a, err := s.answerDoubts(t.Context(), event.DoubtsQuestion{Org: testOrg, Case: testCase})
	if err != nil || len(a.Doubts) != 0 {
		t.Errorf("%d doubts are listed, %v; want none", len(a.Doubts), err)
	}
}

func TestA429IsWaitedOutAsLongAsTheProviderAsks(t *testing.T) {
	for name, c := range map[string]struct {
		channel, path string
		header        func(http.Header)
	}{
		"email, Retry-After": {"email", "/v3/mail/send", func(h http.Header) { h.Set("Retry-After", "2") }},
		"email, a date": {"email", "/v3/mail/send", func(h http.Header) {
			h.Set("Retry-After", time.Now().Add(3*time.Second).UTC().Format(http.TimeFormat))
		}},
		"email, the window's end": {"email", "/v3/mail/send", func(h http.Header) { h.Set("X-RateLimit-Reset", strconv.FormatInt(time.Now().Unix()+3, 10)) }},
		"text, Retry-After":       {"sms", "/Messages.json", func(h http.Header) { h.Set("Retry-After", "2") }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, testPeople(1), nil)
			var mu sync.Mutex
			var at []time.Time
			front := r.relay(func(w http.ResponseWriter, req *http.Request) bool {
				if req.Method != http.MethodPost || !strings.HasSuffix(req.URL.Path, c.path) {
					return false
				}
				mu.Lock()
				defer mu.Unlock()
				if at = append(at, time.Now()); len(at) > 1 {
					return false
				}
				c.header(w.Header())
				w.WriteHeader(http.StatusTooManyRequests)
				return true
			})
			r.cfg = func(c *Config) { c.SendGrid.Host, c.Twilio.Host = front, front }
			s, _ := r.start("one")
			r.prepare()
			r.approveAndOrder(c.channel)
			r.completed(30 * time.Second)
			mu.Lock()
			defer mu.Unlock()
			if len(at) != 2 || at[1].Sub(at[0]) < 1900*time.Millisecond {
				t.Errorf("requests at %v, want a second one when the provider wants it", at)
			}
			if o := r.outcome(s); o.Tally.Told != 1 || o.PossibleDuplicates != 0 {
				t.Errorf("told %d with %d possible duplicates, want 1 and none", o.Tally.Told, o.PossibleDuplicates)
			}
		})
	}
}

// Every count that the journal ever holds adds up, whatever the provider does.
func TestTheCountsAddUpUnderEveryFault(t *testing.T) {
	faults := map[string]sandbox.Faults{
		"drops before it accepts": {Seed: 2, DropBeforeAccept: 0.5}, "answers late": {Seed: 2, LateAnswer: 0.2, LateMS: 3000},
		"errors after it accepts": {Seed: 2, AcceptThenError: 0.5}, "receipts without our ids": {Seed: 2, AcceptThenDrop: 0.3, Receipts: sandbox.Receipts{WithoutCustomArgs: 0.5}},
	}
	for _, name := range []string{"storm", "blind", "limits", "deaf"} {
		f, err := sandbox.ReadFaults(strings.NewReader(fmt.Sprintf(`{"profile":%q}`, name)))
		if err != nil {
			t.Fatal(err)
		}
		faults[name] = f
	}
	for name, f := range faults {
		t.Run(name, func(t *testing.T) {
			sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
				people := testPeople(160)
				for i := range people {
					switch i % 8 {
					case 1:
						people[i].Email = "" // by text message
					case 2:
						people[i].Email, people[i].Phone = "", ""
					}
				}
				r := newRigOn(t, db, people, func(c *Config) { c.SettleFor = time.Second })
				r.box.SetFaults(f)
				s, _ := r.start("one")
				r.prepare()
				r.approveAndOrder("email", "sms")
				r.completed(90 * time.Second)
				sums := 0
				err := r.desk.Follow(t.Context(), testOrg, testCase, 0, func(e casefile.Entry) error {
					body, err := event.Decode(e.Event)
					if err != nil {
						return err
					}
					switch b := body.(type) {
					case *event.DispatchProgressed:
						sums += checkSum(t, b.Tally)
					case *event.DispatchBlocked:
						t.Errorf("blocked: %+v", b)
					case *event.DispatchCompleted:
						sums += checkSum(t, b.Tally)
						return errLost // enough
					}
					return nil
				})
				if !errors.Is(err, errLost) || sums == 0 {
					t.Fatalf("%d counts were checked, %v", sums, err)
				}
				o, sum := r.outcome(s), r.box.Summary("", 1)
				if o.Tally.Unreachable != 20 || o.Tally.Told != 140 || sum.People != 140 || int64(sum.ToldTwice) > o.PossibleDuplicates {
					t.Errorf("tally %+v, %d possible duplicates; the provider told %d people, %d twice", o.Tally, o.PossibleDuplicates, sum.People, sum.ToldTwice)
				}
				if name != "blind" && sum.ToldTwice != 0 {
					t.Errorf("%d were told twice although there was evidence", sum.ToldTwice)
				}
			})
		})
	}
}

func checkSum(t *testing.T, a event.Tally) int {
	t.Helper()
	if a.People != 160 || a.Pending+a.Told+a.InDoubt+a.Unreachable+a.Excluded != a.People {
		t.Errorf("the count does not add up to 160: %+v", a)
	}
	return 1
}
