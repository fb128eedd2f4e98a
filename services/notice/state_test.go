package notice

import (
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tocsin.dev/pkg/person"
	"tocsin.dev/pkg/sqldb"
	"tocsin.dev/pkg/sqldb/sqldbtest"
	"tocsin.dev/services/notice/carrier"
)

func TestEveryStateAndTransitionIsNamedAndReachable(t *testing.T) {
	reached := map[State]bool{0: true}
	for range stateCount {
		for from, to := range transitions {
			if !reached[from] {
				continue
			}
			for st := range to {
				reached[st] = true
			}
		}
	}
	for st := State(1); st < stateCount; st++ {
		if !reached[st] {
			t.Errorf("%v cannot be reached", st)
		}
		if st.String() == "" {
			t.Errorf("state %d has no name", st)
		}
	}
	for from, all := range transitions {
		for to, reasons := range all {
			if len(reasons) == 0 {
				t.Errorf("%v to %v has no reason", from, to)
			}
			for _, why := range reasons {
				if why == 0 || why >= reasonCount || why.String() == "" {
					t.Errorf("%v to %v: reason %d has no name", from, to, why)
				}
			}
		}
	}
}

func TestWhatTheTableDoesNotKnowIsRefused(t *testing.T) {
	for _, c := range []struct {
		from, to State
		why      Reason
	}{
		{Delivered, Planned, ReasonResend}, {Accepted, Planned, ReasonNotSent}, {Delivered, Accepted, ReasonReceipt},
		{Failed, Planned, ReasonReplanned}, {InDoubt, Planned, ReasonReceipt}, {0, Submitted, ReasonHandOver}, {Held, Planned, ReasonResend},
	} {
		if Permitted(c.from, c.to, c.why) {
			t.Errorf("%v may become %v for %v", c.from, c.to, c.why)
		}
	}
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		st := testStore(t, db)
		_, err := st.write(t.Context(), 1, time.Now(), func(l *ledger) error {
			_, err := l.move(Email, []person.Number{1}, Delivered, Planned, ReasonResend, set{})
			return err
		})
		if err == nil {
			t.Error("the ledger let a delivered message be planned again")
		}
	})
}

func testStore(t testing.TB, db *sqldb.DB) *store {
	t.Helper()
	if err := db.Migrate(t.Context(), "notice", migrations()); err != nil {
		t.Fatal(err)
	}
	return &store{db: db, shard: 1}
}

// Whatever a provider says, in whatever order and however often, a message
// only ever makes permitted moves, and the same receipts in any order end in
// the same state.
func TestReceiptsInAnyOrderEndInTheSameState(t *testing.T) {
	meanings := []carrier.Meaning{carrier.Processed, carrier.Deferred, carrier.Delivered, carrier.Hard, carrier.Blocked, carrier.Complained}
	rapid.Check(t, func(t *rapid.T) {
		start := rapid.SampledFrom([]State{Submitted, InDoubt, Held, Accepted}).Draw(t, "start")
		n := rapid.IntRange(1, 6).Draw(t, "n")
		var receipts []carrier.Receipt
		used := map[int64]bool{}
		for range n {
			at := rapid.Int64Range(100, 120).Draw(t, "at")
			if used[at] {
				continue
			}
			used[at] = true
			receipts = append(receipts, carrier.Receipt{Attempt: 7, Meaning: rapid.SampledFrom(meanings).Draw(t, "meaning"), At: time.Unix(at, 0)})
		}
		play := func(order []int) message {
			m := message{state: start, attempt: 7, tries: 1}
			for _, i := range order {
				was := m.state
				learn(&m, receipts[i])
				if m.state != was && !Permitted(was, m.state, ReasonReceipt) && !Permitted(was, m.state, ReasonLateDelivery) {
					t.Fatalf("%v became %v", was, m.state)
				}
			}
			return m
		}
		straight := make([]int, len(receipts))
		for i := range straight {
			straight[i] = i
		}
		want := play(straight)
		seed := rapid.Uint64().Draw(t, "seed")
		shuffled := append(append([]int{}, straight...), straight...) // everything twice
		rand.New(rand.NewPCG(seed, 1)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if got := play(shuffled); got.state != want.state {
			t.Fatalf("in one order %v, in another %v: %v", want.state, got.state, receipts)
		}
	})
}

// The model: a ledger of a few people on two channels against a provider that
// behaves at random, with lost answers, crashes, late and repeated receipts,
// resends, operators and stops. After every step each person is counted
// exactly once, the counters agree with the rows, and at the end nobody was
// accepted twice on a channel except after a resend.
func TestNoBehaviourOfAProviderMakesTheLedgerLoseAPerson(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		db := openMemory(t)
		defer func() { _ = db.Close() }()
		m := &model{t: rt, st: testStore(t, db), accepted: map[Channel]map[person.Number]int{Email: {}, SMS: {}}, resent: map[person.Number]bool{}}
		m.plan(rapid.IntRange(1, 5).Draw(rt, "people"))
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			m.step()
			m.check()
		}
	})
}
