package notice

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/category"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/person"
	"tocsin.dev/pkg/sqldb"
	"tocsin.dev/pkg/sqldb/sqldbtest"
	"tocsin.dev/pkg/wording"
	"tocsin.dev/services/sandbox"
)

func TestEveryPersonOfTheListIsToldOnce(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		r := newRigOn(t, db, testPeople(2300), nil)
		r.start("one")
		r.prepare()
		r.approveAndOrder("email", "sms")
		tally := r.completed(60 * time.Second)
		if tally.People != 2300 || tally.Told != 2300 || tally.States["email"]["delivered"] != 2300 {
			t.Errorf("tally = %+v, want 2300 told by email and delivered", tally)
		}
		sum := r.box.Summary("", 100)
		if sum.ToldOnce != 2300 || sum.ToldTwice != 0 {
			t.Errorf("the sandbox accepted for %d people once and %d twice, want 2300 and 0", sum.ToldOnce, sum.ToldTwice)
		}
	})
}

func TestTextMessagesReachEverybodyOnce(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		r := newRigOn(t, db, testPeople(700), nil)
		r.start("one")
		r.prepare()
		r.approveAndOrder("sms")
		tally := r.completed(60 * time.Second)
		if tally.Told != 700 || tally.States["sms"]["delivered"] != 700 {
			t.Errorf("tally = %+v, want 700 told by SMS and delivered", tally)
		}
		if sum := r.box.Summary("", 100); sum.ToldOnce != 700 || sum.ToldTwice != 0 {
			t.Errorf("the sandbox accepted for %d people once and %d twice, want 700 and 0", sum.ToldOnce, sum.ToldTwice)
		}
	})
}

// Callbacks of text messages carry no clock.
func TestTheHistoryOfATextMessageSaysWhenItFailed(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		people := testPeople(1)
		people[0].Phone = "+44779930005" // an unknown destination
		r := newRigOn(t, db, people, nil)
		s, _ := r.start("one")
		began := time.Now().Add(-time.Second)
		r.prepare()
		r.approveAndOrder("sms")
		r.completed(60 * time.Second)
		a, err := s.answerMessages(t.Context(), event.MessagesQuestion{Org: testOrg, Case: testCase, Person: people[0].Number})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range a.Messages {
			if m.Channel == "sms" && len(m.History) == 1 && m.History[0].Code == 30005 && m.History[0].At.After(began) && !m.History[0].At.After(time.Now()) {
				return
			}
		}
		t.Errorf("messages = %+v, want a failure by SMS with an instant after %v", a.Messages, began)
	})
}

func TestABounceOpensTheNextRung(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		people := testPeople(50)
		people[7].Email = "bounce.me@people.example"
		people[9].Email, people[9].Phone = "bounce.too@people.example", ""
		people[11].Email, people[11].Phone = "", ""
		people[13].Email = "not an address"
		r := newRigOn(t, db, people, nil)
		s, _ := r.start("one")
		r.prepare()
		r.approveAndOrder("email", "sms")
		tally := r.completed(60 * time.Second)
		want := event.Tally{People: 50, Told: 48, Unreachable: 2}
		if tally.People != want.People || tally.Told != want.Told || tally.Unreachable != want.Unreachable || tally.Pending != 0 {
			t.Errorf("tally = %+v, want %+v", tally, want)
		}
		a, err := s.answerMessages(t.Context(), event.MessagesQuestion{Org: testOrg, Case: testCase, Person: people[7].Number})
		if err != nil {
			t.Fatal(err)
		}
		if len(a.Messages) != 2 || a.Messages[0].State != "failed" || a.Messages[0].Meaning != "hard" || a.Messages[1].State != "delivered" {
			t.Errorf("the bounced person's messages = %+v, want a hard failure by email and delivery by SMS", a.Messages)
		}
		if len(a.Messages[0].History) != 1 || a.Messages[0].Code != 511 {
			t.Errorf("history = %+v, code %d; want one bounce with code 511", a.Messages[0].History, a.Messages[0].Code)
		}
	})
}

func TestLostAnswersAreSettledByEvidence(t *testing.T) {
	for _, ch := range []string{"email", "sms"} {
		t.Run(ch, func(t *testing.T) {
			r := newRig(t, testPeople(400), nil)
			r.box.SetFaults(sandbox.Faults{AcceptThenDrop: 1})
			r.start("one")
			r.prepare()
			r.approveAndOrder(ch)
			tally := r.completed(60 * time.Second)
			if sum := r.box.Summary("", 100); tally.Told != 400 || sum.ToldOnce != 400 || sum.ToldTwice != 0 {
				t.Errorf("tally = %+v; the sandbox accepted for %d people once and %d twice, want 400 and 0", tally, sum.ToldOnce, sum.ToldTwice)
			}
		})
	}
}

func TestLostAnswersAndReceiptsAreSettledByLookUp(t *testing.T) {
	for _, ch := range []string{"email", "sms"} {
		t.Run(ch, func(t *testing.T) {
			r := newRig(t, testPeople(120), func(c *Config) { c.SettleFor = time.Second })
			r.box.SetFaults(sandbox.Faults{AcceptThenDrop: 1, Receipts: sandbox.Receipts{Lost: 1}})
			r.start("one")
			r.prepare()
			r.approveAndOrder(ch)
			tally := r.completed(60 * time.Second)
			if sum := r.box.Summary("", 100); tally.Told != 120 || sum.ToldOnce != 120 || sum.ToldTwice != 0 {
				t.Errorf("tally = %+v; the sandbox accepted for %d people once and %d twice, want 120 and 0", tally, sum.ToldOnce, sum.ToldTwice)
			}
		})
	}
}

func TestWithoutAnyEvidenceASecondCopyIsMarked(t *testing.T) {
	r := newRig(t, testPeople(60), func(c *Config) { c.SettleFor = time.Second })
	r.box.SetFaults(sandbox.Faults{Seed: 3, AcceptThenDrop: 0.5, LookupsOff: true, Receipts: sandbox.Receipts{Lost: 1}})
	s, _ := r.start("one")
	r.prepare()
	r.approveAndOrder("email")
	tally := r.completed(60 * time.Second)
	p, err := s.answerProgress(t.Context(), event.ProgressQuestion{Org: testOrg, Case: testCase})
	if err != nil {
		t.Fatal(err)
	}
	sum := r.box.Summary("", 100)
	if tally.Told != 60 || sum.People != 60 {
		t.Errorf("tally = %+v, the sandbox knows %d people; want 60 told", tally, sum.People)
	}
	if int64(sum.ToldTwice) > p.Orders[0].PossibleDuplicates {
		t.Errorf("%d people were told twice and only %d notices are marked as possible duplicates", sum.ToldTwice, p.Orders[0].PossibleDuplicates)
	}
}

func TestLettersGoToWhoeverHasOnlyAnAddress(t *testing.T) {
	people := testPeople(30)
	for _, i := range []int{3, 4} {
		people[i].Email, people[i].Phone = "", ""
		people[i].Address = []person.Text{"1 High St", "London", "United Kingdom"}
	}
	dir := t.TempDir()
	r := newRig(t, people, func(c *Config) { c.PrintDir = dir })
	r.start("one")
	r.prepare()
	key := event.TextKey{Audience: "people", Channel: "letter", Language: "en-GB"}
	letter := event.WordingDrafted{TextKey: key, Version: 1, Subject: "About your data", Body: "Dear {{person.full_name}}, ref {{notice.reference}}."}
	letter.Digest = wording.Digest(key, letter.Subject, letter.Body)
	r.say("writer", letter)
	a := r.approval("email", "post")
	a.Texts = append(a.Texts, event.ApprovedText{TextKey: key, Digest: letter.Digest})
	r.say("lex", r.sign(a))
	r.say("dora", r.order("o1", "email", "post"))
	tally := r.completed(60 * time.Second)
	if tally.Told != 30 || tally.States["post"]["accepted"] != 2 {
		t.Errorf("tally = %+v, want 30 told, 2 of them by post", tally)
	}
	found, err := filepath.Glob(filepath.Join(dir, testOrg, "*.csv"))
	if err != nil || len(found) != 1 {
		t.Fatalf("print files %v, %v; want one", found, err)
	}
	text, err := os.ReadFile(found[0])
	if err != nil || strings.Count(string(text), "High St") != 2 {
		t.Errorf("the list = %q, %v; want two letters", text, err)
	}
}

func TestACorrectionReachesWhoeverWasToldInError(t *testing.T) {
	people := testPeople(1200)
	card, err := category.Parse("payment_card")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 { // told of a card that was not exposed
		people[i].Exposed |= card
	}
	r := newRig(t, people, nil)
	s, _ := r.start("one")
	r.prepare()
	r.approveAndOrder("email")
	r.completed(60 * time.Second)
	r.people.mu.Lock()
	r.people.list = slices.Clone(people[:1195]) // five were never affected
	for i := range 3 {
		r.people.list[i].Exposed &^= card
	}
	r.people.gone = slices.Clone(people[1195:])
	for i := range r.people.gone {
		r.people.gone[i].Exposed = 0
	}
	r.people.mu.Unlock()
	c := r.again(2, "correction")
	if tally := c.Order("o2").Tally; tally.People != 1200 || tally.Told != 8 || tally.Excluded != 1192 {
		t.Errorf("tally = %+v, want 8 of 1,200 people corrected and the rest not owed one", tally)
	}
	if p := c.Order("o2").Planned; p == nil || p.People != 1200 {
		t.Errorf("planned = %+v, want everybody who was told looked at", p)
	}
	told, err := s.answerMessages(t.Context(), event.MessagesQuestion{Org: testOrg, Case: testCase, State: "delivered", Limit: 1000, After: people[1194].Number})
	if err != nil {
		t.Fatal(err)
	}
	got := 0
	for _, m := range told.Messages {
		if m.Kind == "correction" {
			got++
		}
	}
	if got != 5 {
		t.Errorf("%d of the five people who are off the list were told so", got)
	}
	// What was put right is not told in error any more.
	if tally := r.again(3, "correction").Order("o3").Tally; tally.People != 1200 || tally.Told != 0 || tally.Excluded != 1200 {
		t.Errorf("tally = %+v, want nobody corrected twice", tally)
	}
	// And if the card was exposed after all, that is owed again.
	r.people.mu.Lock()
	r.people.list[0].Exposed |= card
	r.people.mu.Unlock()
	if tally := r.again(4, "supplement").Order("o4").Tally; tally.Told != 1 {
		t.Errorf("tally = %+v, want the one told whose card turns out to be exposed", tally)
	}
}

// again seals the list of people as a revision, approves and orders a kind of
// notice about it, and waits for the end.
func (r *rig) again(revision int, kind string) *casefile.Case {
	r.t.Helper()
	r.seal(revision)
	a := r.approval("email")
	a.ID, a.Kind, a.Revision, a.ScopeDigest = fmt.Sprintf("a%d", revision), kind, revision, r.digestOf(revision)
	r.say("lex", r.sign(a))
	o := r.order(fmt.Sprintf("o%d", revision), "email")
	o.Approval, o.Kind, o.Revision, o.ScopeDigest = a.ID, kind, revision, r.digestOf(revision)
	r.say("dora", o)
	return r.await(kind, 60*time.Second, func(c *casefile.Case) bool {
		o := c.Order(o.Order)
		return o != nil && o.State == casefile.OrderCompleted
	})
}

func TestASupplementGoesOnlyToWhoeverIsOwedOne(t *testing.T) {
	people := testPeople(40)
	r := newRig(t, people[:38:38], nil)
	s, _ := r.start("one")
	r.prepare()
	r.approveAndOrder("email")
	r.completed(60 * time.Second)
	card, err := category.Parse("payment_card")
	if err != nil {
		t.Fatal(err)
	}
	grown := slices.Clone(people) // two are new, three lost more than was known
	for i := range 3 {
		grown[i].Exposed |= card
	}
	r.people.mu.Lock()
	r.people.list = grown
	r.people.mu.Unlock()
	r.seal(2)
	for i, kind := range []string{"first", "supplement"} {
		a := r.approval("email")
		a.ID, a.Kind, a.Revision, a.ScopeDigest = fmt.Sprintf("a%d", i+2), kind, 2, r.digestOf(2)
		r.say("lex", r.sign(a))
		o := r.order(fmt.Sprintf("o%d", i+2), "email")
		o.Approval, o.Kind, o.Revision, o.ScopeDigest = a.ID, kind, 2, r.digestOf(2)
		r.say("dora", o)
		r.await(kind, 60*time.Second, func(c *casefile.Case) bool {
			o := c.Order(o.Order)
			return o != nil && o.State == casefile.OrderCompleted
		})
	}
	a, err := s.answerMessages(t.Context(), event.MessagesQuestion{Org: testOrg, Case: testCase, State: "delivered", Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, m := range a.Messages {
		got[m.Kind]++
	}
	if got["first"] != 40 || got["supplement"] != 3 {
		t.Errorf("delivered %v, want 40 first notices and 3 supplements", got)
	}
	if sum := r.box.Summary("", 1); sum.AcceptedTotal != 43 {
		t.Errorf("%d messages left, want 43", sum.AcceptedTotal)
	}
}

func TestTooMuchDoubtStopsTheSendingUntilAPersonLooks(t *testing.T) {
	r := newRig(t, testPeople(900), func(c *Config) { c.Doubt.Budget = 0.005; c.Doubt.After = time.Hour; c.Workers = 1 })
	r.box.SetFaults(blindDrop)
	r.start("one")
	r.prepare()
	r.approveAndOrder("email")
	c := r.await("the block", 30*time.Second, func(c *casefile.Case) bool { return c.Orders[0].Blocked != nil })
	if c.Orders[0].Blocked.Reason != "doubt_budget" {
		t.Errorf("blocked for %q, want doubt_budget", c.Orders[0].Blocked.Reason)
	}
}

func TestANewListLeavesOutWhoIsNoLongerOnIt(t *testing.T) {
	r := newRig(t, testPeople(3000), func(c *Config) { c.Rates = map[string]float64{"sendgrid": 1500}; c.Workers = 1 })
	s, _ := r.start("one")
	r.prepare()
	r.approveAndOrder("email")
	r.await("the plan", 30*time.Second, func(c *casefile.Case) bool { return c.Orders[0].Planned != nil })
	r.people.mu.Lock()
	r.people.list = r.people.list[200:2800:2800]
	r.people.mu.Unlock()
	r.seal(2)
	r.await("a refusal", 30*time.Second, func(c *casefile.Case) bool { return c.Orders[0].Refused != nil })
	a := r.approval("email")
	a.ID, a.Revision, a.ScopeDigest = "a2", 2, r.digestOf(2)
	r.say("lex", r.sign(a))
	o := r.order("o2", "email")
	o.Approval, o.Revision, o.ScopeDigest = "a2", 2, r.digestOf(2)
	r.say("dora", o)
	c := r.await("completion", 60*time.Second, func(c *casefile.Case) bool { o := c.Order("o2"); return o != nil && o.State == casefile.OrderCompleted })
	tally := *c.Order("o2").Tally
	if tally.Pending != 0 || tally.Told < 2600 || tally.Told+tally.Excluded != 3000 {
		t.Errorf("tally = %+v, want at least the 2600 of the new list told and nobody pending", tally)
	}
	if sum := r.box.Summary("", 1); sum.ToldTwice != 0 || int64(sum.ToldOnce) != tally.Told {
		t.Errorf("the sandbox told %d once and %d twice, the ledger %d", sum.ToldOnce, sum.ToldTwice, tally.Told)
	}
	if p, err := s.store.planOf(t.Context(), testOrg, testCase, "o2"); err != nil || p.halt != goes {
		t.Errorf("the plan is held: %+v, %v", p, err)
	}
}
