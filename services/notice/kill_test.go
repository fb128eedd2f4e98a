package notice

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/person"
	"tocsin.dev/pkg/sqldb"
	"tocsin.dev/pkg/sqldb/sqldbtest"
	"tocsin.dev/services/sandbox"
)

// killed runs the sending of a list while the replica is cut off again and
// again at random moments: its contexts end, its connection closes, whatever
// it was doing. Recording an outcome after the end is suppressed, as a SIGKILL
// would.
func killed(t *testing.T, r *rig, kills int) event.Tally {
	t.Helper()
	r.prepare()
	r.approveAndOrder("email")
	ended := make(chan struct{})
	var once sync.WaitGroup
	once.Go(func() {
		defer close(ended)
		r.completed(120 * time.Second)
	})
	for range kills {
		s, stop := r.start("one")
		select {
		case <-ended:
			stop()
			once.Wait()
			t.Fatal("the sending ended before every kill was made; use more people")
		case <-time.After(time.Duration(20+rand.IntN(120)) * time.Millisecond):
		}
		s.dead.Store(true)
		stop()
	}
	r.start("one")
	once.Wait()
	c, err := r.desk.Load(context.Background(), testOrg, testCase)
	if err != nil {
		t.Fatal(err)
	}
	return *c.Orders[0].Tally
}

func TestAKilledProcessFinishesWithNobodyMissedAndNobodyWrittenTwice(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		r := newRigOn(t, db, testPeople(9000), func(c *Config) {
			c.Rates = map[string]float64{"sendgrid": 2000}
		})
		tally := killed(t, r, 12)
		sum := r.box.Summary("", 10)
		if sum.ToldOnce != 9000 || sum.ToldTwice != 0 || tally.Told != 9000 {
			t.Errorf("told once %d, twice %d, tally %+v; want 9000, 0", sum.ToldOnce, sum.ToldTwice, tally)
		}
	})
}

// The negative control: without the record before the call, the same kills
// must lead to people who are written to twice. If they do not, the test above
// proves nothing.
func TestWithoutTheWriteAheadPeopleAreWrittenTwice(t *testing.T) {
	r := newRig(t, testPeople(3000), func(c *Config) { c.withoutWriteAhead = true })
	r.box.SetFaults(sandbox.Faults{Seed: 1, AcceptThenDrop: 0.3})
	r.prepare()
	r.approveAndOrder("email")
	r.start("one")
	deadline := time.After(20 * time.Second)
	for {
		if sum := r.box.Summary("", 10); sum.ToldTwice > 0 {
			return
		}
		select {
		case <-deadline:
			t.Fatal("nobody was written to twice although the write-ahead was off")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// One of three replicas dies in the middle of its chunks, and they are in other
// hands as soon as its lease is over.
func TestAReplicaThatDiesIsReplacedWithinSeconds(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		r := newRigOn(t, db, testPeople(12000), func(c *Config) {
			c.Rates, c.Workers = map[string]float64{"sendgrid": 3000}, 1
		})
		r.prepare()
		r.start("one")
		r.start("three")
		second, stop := r.start("two")
		holds := func() (n int) {
			if err := db.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM chunk WHERE worker='two' AND open=1 AND lease_till>0`).Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		r.approveAndOrder("email")
		eventually(t, "that the second replica works", 30*time.Second, func() bool { return holds() > 0 })
		second.dead.Store(true)
		died := time.Now()
		stop()
		eventually(t, "that others take its work over", 30*time.Second, func() bool { return holds() == 0 })
		t.Logf("its work was in other hands %v after its death; its lease was %v", time.Since(died), second.cfg.Lease)
		tally := r.completed(90 * time.Second)
		if sum := r.box.Summary("", 10); sum.ToldOnce != 12000 || sum.ToldTwice != 0 || tally.Told != 12000 {
			t.Errorf("told once %d, twice %d, tally %+v; want 12000, 0", sum.ToldOnce, sum.ToldTwice, tally)
		}
	})
}

func TestReplicasShareTheWork(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		r := newRigOn(t, db, testPeople(5000), nil)
		r.prepare()
		for _, name := range []string{"one", "two", "three"} {
			r.start(name)
		}
		r.approveAndOrder("email", "sms")
		tally := r.completed(60 * time.Second)
		if sum := r.box.Summary("", 10); sum.ToldOnce != 5000 || sum.ToldTwice != 0 || tally.Told != 5000 {
			t.Errorf("told once %d, twice %d, tally %+v; want 5000, 0", sum.ToldOnce, sum.ToldTwice, tally)
		}
	})
}

func TestTheStormLeavesNobodyOutAndNobodyTwice(t *testing.T) {
	for _, ch := range []string{"email", "sms"} {
		sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
			r := newRigOn(t, db, testPeople(1500), func(c *Config) { c.SettleFor = 3 * time.Second })
			r.box.SetFaults(sandbox.Faults{Seed: 1, AcceptThenDrop: 0.05, ServerError: 0.025, AcceptThenError: 0.025, RateLimited: 0.02, RetryAfter: 1,
				Slow:     sandbox.Delay{Rate: 0.02, MinMS: 50, MeanMS: 300, MaxMS: 1000, Distribution: "exponential"},
				Receipts: sandbox.Receipts{Lost: 0.01, Tripled: 1, Shuffled: true}})
			r.start("one")
			r.prepare()
			r.approveAndOrder(ch)
			tally := r.completed(120 * time.Second)
			if sum := r.box.Summary("", 10); sum.ToldOnce != 1500 || sum.ToldTwice != 0 || tally.Told != 1500 {
				t.Errorf("told once %d, twice %d, tally %+v; want 1500, 0", sum.ToldOnce, sum.ToldTwice, tally)
			}
		})
	}
}

func TestPauseResumeAndStopKeepTheCount(t *testing.T) {
	for _, ch := range []string{"email", "sms"} {
		sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) { pausedAndStopped(t, db, ch) })
	}
}

func pausedAndStopped(t *testing.T, db *sqldb.DB, ch string) {
	r := newRigOn(t, db, testPeople(6000), func(c *Config) { c.Rates = map[string]float64{"sendgrid": 2000, "twilio": 1000}; c.Workers = 1 })
	r.start("one")
	r.prepare()
	r.approveAndOrder(ch)
	r.await("progress", 30*time.Second, func(c *casefile.Case) bool { return c.Orders[0].Tally != nil && c.Orders[0].Tally.Told > 0 })
	paused := time.Now()
	r.say("dora", event.DispatchPaused{Order: "o1", Reason: "look"})
	var last int
	quiet := time.Now()
	for time.Since(quiet) < 1500*time.Millisecond {
		if n := r.box.Summary("", 1).AcceptedTotal; n != last {
			last, quiet = n, time.Now()
		}
		<-time.After(10 * time.Millisecond)
		if time.Since(paused) > 20*time.Second {
			t.Fatal("the sending went on after the pause")
		}
	}
	d := quiet.Sub(paused)
	if t.Logf("messages left for %v after the pause", d); d > 10*time.Second { // a guard against hanging; the figure is logged
		t.Errorf("messages left for %v after the pause, want seconds", d)
	}
	if last == 6000 {
		t.Fatal("everything had left before the pause")
	}
	r.say("dora", event.DispatchResumed{Order: "o1"})
	r.await("progress", 30*time.Second, func(c *casefile.Case) bool { return c.Orders[0].Tally.Told > int64(last) })
	stopped := time.Now()
	r.say("dora", event.DispatchStopped{Order: "o1", Reason: "enough"})
	c := r.await("the end", 30*time.Second, func(c *casefile.Case) bool {
		ta := c.Orders[0].Tally
		return ta.Excluded > 0 && ta.Pending == 0
	})
	d = time.Since(stopped)
	if t.Logf("nobody was pending %v after the stop", d); d > 10*time.Second { // a guard against hanging; the figure is logged
		t.Errorf("the stop took %v, want seconds", d)
	}
	ta := c.Orders[0].Tally
	if ta.People != 6000 || ta.Told+ta.Excluded != 6000 || int64(r.box.Summary("", 1).AcceptedTotal) != ta.Told {
		t.Errorf("tally = %+v with %d accepted, want 6000 people told or stopped", ta, r.box.Summary("", 1).AcceptedTotal)
	}
}

// Whatever becomes of the worker, its chunk and its order: a request without a
// recorded outcome is in doubt, and not forgotten.
func TestARequestThatNobodyAnswersForIsInDoubt(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		r := newRigOn(t, db, testPeople(1), nil)
		s, stop := r.start("one")
		stop()
		for i, end := range []planState{planSending, planStopped, planRefused, planReplaced} {
			l := &life{t: t, s: s, id: fmt.Sprintf("2026-%03d", i+1), ladder: makeLadder([]Channel{Email}), who: 5, peer: 8}
			l.reach(Submitted)
			l.must(s.store.setPlan(t.Context(), l.p.id, end, "", ""))
			at := func() State {
				rows, err := onChannel(t.Context(), db, l.p.campaign, Email, []person.Number{5})
				l.must(err)
				return rows[0].state
			}
			l.must(s.recoverAbandoned(t.Context()))
			if got := at(); got != Submitted {
				t.Errorf("a request under way is %v", got)
			}
			_, err := db.ExecContext(t.Context(), `UPDATE attempt SET at=at-3600000 WHERE id=$1`, l.a.id)
			l.must(err)
			l.must(s.recoverAbandoned(t.Context()))
			if got := at(); got != InDoubt {
				t.Errorf("an abandoned request of an order in state %d is %v, want in doubt", end, got)
			}
		}
	})
}
