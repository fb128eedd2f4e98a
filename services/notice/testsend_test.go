package notice

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/sqldb"
	"tocsin.dev/pkg/sqldb/sqldbtest"
	"tocsin.dev/pkg/wording"
)

// testUsers is a file of users as the desk has it.
const testUsers = `users:
  - {id: ann, name: Ann, organisation: tidewater, roles: [analyst], email: ann@office.example, password: "$argon2id$x"}
  - {id: lex, name: Lex, organisation: tidewater, roles: [legal], reads: [en], email: lex@office.example, phone: "+447700900101"}
  - {id: dora, name: Dora, organisation: tidewater, roles: [dpo], email: dora@office.example}
  - {id: nils, name: Nils, organisation: tidewater, roles: [legal], email: nils@office.example}
  - {id: mute, name: Mute, organisation: tidewater, roles: [legal]}
  - {id: eve, name: Eve, organisation: nimbus, roles: [legal, dpo], email: eve@elsewhere.example}
`

// testRig is a rig with a file of users and a case with texts.
func testRig(t *testing.T, db *sqldb.DB) (*rig, *Service) {
	users := filepath.Join(t.TempDir(), "users.yaml")
	if err := os.WriteFile(users, []byte(testUsers), 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRigOn(t, db, testPeople(20), func(c *Config) { c.Users = users })
	s, _ := r.start("one")
	r.prepare()
	return r, s
}

func testQuestion(id string, text event.WordingDrafted, to ...string) event.TestQuestion {
	return event.TestQuestion{Org: testOrg, Case: testCase, Asker: event.Person("lex", "legal"), ID: id, TextKey: text.TextKey,
		Digest: wording.Digest(text.TextKey, text.Subject, text.Body), To: to}
}

// shownAt is a message as its receiver sees it.
type shownAt struct{ To, Subject, Text, HTML, Case string }

func (r *rig) shown() []shownAt {
	res, err := http.Get(r.boxURL + "/sandbox/messages.json?size=1000") //nolint:noctx // loopback, bounded by the test
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var page struct{ Messages []shownAt }
	if err := json.NewDecoder(res.Body).Decode(&page); err != nil {
		r.t.Fatal(err)
	}
	return page.Messages
}

func refusal(err error) string {
	var no *bus.AskError
	if errors.As(err, &no) {
		return no.Code
	}
	return fmt.Sprint(err)
}

func TestATestReachesTheApproverMarkedAndIsSaidInTheJournal(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		r, s := testRig(t, db)
		a, err := s.answerTest(t.Context(), testQuestion("t1", testTexts[0], "lex", "dora"))
		if err != nil {
			t.Fatal(err)
		}
		if len(a.Sent) != 2 || a.Sent[0].Outcome != "accepted" || !strings.HasPrefix(a.Reference, "TEST-") {
			t.Errorf("answer = %+v", a)
		}
		if _, err := s.answerTest(t.Context(), testQuestion("t2", testTexts[1], "lex")); err != nil {
			t.Fatal(err)
		}
		c := r.await("the tests in the journal", 10*time.Second, func(c *casefile.Case) bool { return len(c.Tests) == 2 })
		if got := c.Tests[0]; got.By != "lex" || !slices.Equal(got.To, []string{"dora", "lex"}) || got.Digest != a.Digest || got.Person != 0 {
			t.Errorf("the journal says %+v", got)
		}
		all := r.shown()
		for _, m := range all {
			if !(wording.Message{Subject: m.Subject, Text: m.Text, HTML: m.HTML}).IsTest() || !strings.HasSuffix(m.To, "@office.example") && m.To != "+447700900101" ||
				!strings.Contains(m.Text, "TEST-") || !strings.Contains(m.Text, "Alex") || m.Case != "test-"+testCase {
				t.Errorf("a test left as %+v", m)
			}
		}
		if len(all) != 3 {
			t.Errorf("%d messages left, want 3", len(all))
		}
	})
}

// The words of a person of the list are shown by test to whoever may see a
// person's notice, and scope hears who looked and why.
func TestATestWithAPersonsValuesIsAReveal(t *testing.T) {
	r, s := testRig(t, sqldbtest.SQLite(t))
	var asked sync.Map
	r.people.spoil = func(q event.ContactsQuestion, _ *event.ContactsAnswer) {
		if q.Asker != nil {
			asked.Store(q.Asker.ID, q.Reason)
		}
	}
	q := testQuestion("t1", testTexts[0], "lex", "dora")
	q.Person, q.Reason = r.people.list[3].Number, "to see a long name"
	if _, err := s.answerTest(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	if why, _ := asked.Load("lex"); why != "to see a long name" {
		t.Errorf("scope heard %q", why)
	}
	for _, m := range r.shown() {
		if !strings.Contains(m.Text, "Ann3 O'Neil & <Sons>") || !strings.Contains(m.HTML, "&lt;Sons&gt;") || strings.Contains(m.To, "people.example") {
			t.Errorf("the test left as %+v", m)
		}
	}
}

func TestATestIsNoSideDoor(t *testing.T) {
	r, s := testRig(t, sqldbtest.SQLite(t))
	ask := func(change func(*event.TestQuestion)) event.TestQuestion {
		q := testQuestion("t1", testTexts[0], "lex")
		change(&q)
		return q
	}
	for name, row := range map[string]struct {
		q    event.TestQuestion
		want string
	}{
		"an address instead of a user":       {ask(func(q *event.TestQuestion) { q.To = []string{"victim@people.example"} }), "not_a_tester"},
		"a user of another organisation":     {ask(func(q *event.TestQuestion) { q.To = []string{"eve"} }), "not_a_tester"},
		"a colleague who may not approve":    {ask(func(q *event.TestQuestion) { q.To = []string{"ann"} }), "not_a_tester"},
		"one stranger among others":          {ask(func(q *event.TestQuestion) { q.To = []string{"lex", "nobody"} }), "not_a_tester"},
		"an asker of another organisation":   {ask(func(q *event.TestQuestion) { q.Asker.ID = "eve" }), "forbidden"},
		"an asker whom nobody knows":         {ask(func(q *event.TestQuestion) { q.Asker.ID = "root" }), "forbidden"},
		"a service":                          {ask(func(q *event.TestQuestion) { q.Asker = event.Service("desk") }), "forbidden"},
		"an analyst who says she is legal":   {ask(func(q *event.TestQuestion) { q.Asker = event.Person("ann", "legal"); q.Person, q.Reason = 5, "why" }), "forbidden"},
		"a person shown without a reason":    {ask(func(q *event.TestQuestion) { q.Person = 5 }), "invalid"},
		"a person shown to an analyst":       {ask(func(q *event.TestQuestion) { q.Asker.ID, q.To, q.Person, q.Reason = "ann", []string{"ann"}, 5, "why" }), "forbidden"},
		"a user without an address":          {ask(func(q *event.TestQuestion) { q.To = []string{"mute"} }), "no_address"},
		"words that nobody drafted":          {ask(func(q *event.TestQuestion) { q.Digest = "sha256:00" }), "text_changed"},
		"a text that the case does not have": {ask(func(q *event.TestQuestion) { q.Language = "sv" }), "not_found"},
		"a case that there is not":           {ask(func(q *event.TestQuestion) { q.Case = "2026-999" }), "not_found"},
		"a letter":                           {ask(func(q *event.TestQuestion) { q.Channel = "letter" }), "invalid"},
		"nobody at all":                      {ask(func(q *event.TestQuestion) { q.To = nil }), "invalid"},
	} {
		if _, err := s.answerTest(t.Context(), row.q); refusal(err) != row.want {
			t.Errorf("%s: %v, want the refusal %s", name, err, row.want)
		}
	}
	if all := r.shown(); len(all) != 0 {
		t.Errorf("%d messages left", len(all))
	}
}

func TestTestsAreFewAndARepeatedOneIsTheSame(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		r, s := testRig(t, db)
		for range 3 {
			if a, err := s.answerTest(t.Context(), testQuestion("t1", testTexts[0], "lex", "dora")); err != nil || a.Sent[1].Outcome != "accepted" {
				t.Fatalf("%+v, %v", a, err)
			}
		}
		if _, err := s.answerTest(t.Context(), testQuestion("t1", testTexts[0], "lex", "nils")); refusal(err) != "conflict" {
			t.Errorf("other people under the same id: %v", err)
		}
		var all sync.WaitGroup
		for i := range 30 {
			all.Go(func() {
				if _, err := s.answerTest(t.Context(), testQuestion(fmt.Sprint("more", i), testTexts[1], "lex")); err != nil && refusal(err) != "too_many" {
					t.Errorf("test %d: %v", i, err)
				}
			})
		}
		all.Wait()
		if n := len(r.shown()); n != mostTests {
			t.Errorf("%d test messages left within an hour, want %d", n, mostTests)
		}
	})
}

// A test changes nothing of the ledger: who was tested is still to be told.
func TestATestTellsNobody(t *testing.T) {
	r, s := testRig(t, sqldbtest.SQLite(t))
	q := testQuestion("t1", testTexts[0], "lex")
	q.Person, q.Reason = r.people.list[0].Number, "a sample"
	if _, err := s.answerTest(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	r.approveAndOrder("email")
	if tally := r.completed(30 * time.Second); tally.People != 20 || tally.States["email"]["delivered"] != 20 {
		t.Errorf("tally = %+v, want 20 delivered", tally)
	}
	if sum := r.box.Summary(testCase, 10); sum.ToldOnce != 20 || sum.ToldTwice != 0 {
		t.Errorf("the provider counts %d people told for the case, %d of them twice", sum.People, sum.ToldTwice)
	}
	var meaning, strays int
	r.await("the receipt of the test", 10*time.Second, func(*casefile.Case) bool {
		err := r.db.QueryRowContext(t.Context(), `SELECT meaning, (SELECT COUNT(*) FROM stray) FROM test_message`).Scan(&meaning, &strays)
		return err == nil && meaning != 0
	})
	if strays != 0 {
		t.Errorf("%d receipts of the test count as strays", strays)
	}
}

// Who left the file of users gets no further test.
func TestAUserWhoLeftGetsNoTest(t *testing.T) {
	r, s := testRig(t, sqldbtest.SQLite(t))
	if err := os.WriteFile(s.testers.path, []byte(strings.Replace(testUsers, "id: dora", "id: nora", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(s.testers.path, time.Time{}, time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.answerTest(t.Context(), testQuestion("t1", testTexts[0], "dora")); refusal(err) != "not_a_tester" {
		t.Errorf("dora has left: %v", err)
	}
	if n := len(r.shown()); n != 0 {
		t.Errorf("%d messages left", n)
	}
}
