package notice

import (
	"net/http"
	"testing"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/person"
	"tocsin.dev/pkg/sqldb"
	"tocsin.dev/pkg/sqldb/sqldbtest"
	"tocsin.dev/services/sandbox"
)

// devicePeople are five people: three with addresses, one known by a device
// alone, and one who is dead.
func devicePeople() []person.Contact {
	all := testPeople(5)
	all[3].Email, all[3].Phone, all[3].Relation = "", "", "device_only"
	all[4].Deceased = true
	return all
}

func TestAPublicNoticeAloneCompletesAndCountsNobodyAsTold(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		r := newRigOn(t, db, devicePeople(), func(c *Config) { c.SettleFor = time.Second })
		s, _ := r.start("one")
		r.putUp(publicWords("We were breached."), []string{"page"}, []string{"page"})
		tally := r.completed(30 * time.Second)
		if tally.People != 5 || tally.Told != 0 || tally.Pending != 0 || tally.Unreachable != 1 || tally.Excluded != 4 {
			t.Errorf("tally = %+v, want nobody told, one unreachable and four left to the public notice or dead", tally)
		}
		if tally.Public != 4 {
			t.Errorf("the public notice stands for %d people, want 4", tally.Public)
		}
		if status, _ := r.fetch(publicPath); status != http.StatusOK {
			t.Errorf("the page answers %d", status)
		}
		if sum := r.box.Summary("", 1); sum.AcceptedTotal != 0 {
			t.Errorf("%d messages left under an order for the page alone", sum.AcceptedTotal)
		}
		reasons := map[string]int64{}
		report, err := s.answerReport(t.Context(), event.ReportQuestion{Org: testOrg, Case: testCase})
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range report.Lines {
			reasons[l.State+"/"+l.Reason] += l.People
		}
		if reasons["excluded/public_notice"] != 3 || reasons["excluded/deceased"] != 1 || reasons["unreachable/no_address"] != 1 {
			t.Errorf("report = %v", reasons)
		}
		if len(report.Substitute) != 1 || report.Substitute[0].Unreachable != 1 || report.Substitute[0].People != 5 || !report.Substitute[0].Ordered {
			t.Errorf("substitute = %+v, want 1 of 5 with the notice ordered", report.Substitute)
		}
	})
}

// Whoever a public notice was to tell is written to when that is ordered later.
func TestAfterAPublicNoticePeopleCanStillBeWrittenTo(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		r := newRigOn(t, db, devicePeople(), func(c *Config) { c.SettleFor = time.Second })
		r.start("one")
		r.putUp(publicWords("We were breached."), []string{"email", "page"}, []string{"page"})
		r.completed(30 * time.Second)
		r.say("dora", r.order("o2", "email"))
		c := r.await("the second order", 30*time.Second, func(c *casefile.Case) bool {
			return len(c.Orders) == 2 && c.Orders[1].State == casefile.OrderCompleted
		})
		tally := c.Orders[1].Tally
		if tally.People != 5 || tally.Told != 3 || tally.Unreachable != 1 || tally.Excluded != 1 || tally.Public != 1 {
			t.Errorf("tally = %+v, want three told, and the page still standing for the one without an address", tally)
		}
	})
}

// A person whom the newest order cannot write to must not wait for ever on a
// channel of an order that it replaced.
func TestAnOrderForThePageAloneTakesOverWhoeverStillWaits(t *testing.T) {
	r := newRig(t, testPeople(3), func(c *Config) { c.SettleFor = time.Second })
	r.start("one")
	r.prepare()
	r.say("writer", publicWords("We were breached."))
	a := r.approval("email", "page")
	words := publicWords("We were breached.")
	a.Texts = append(a.Texts, event.ApprovedText{TextKey: words.TextKey, Digest: words.Digest})
	r.say("lex", r.sign(a))
	r.box.SetFaults(sandbox.Faults{RateLimited: 1})
	r.say("dora", r.order("o1", "email"))
	r.await("the first plan", 30*time.Second, func(c *casefile.Case) bool { return len(c.Orders) == 1 && c.Orders[0].Planned != nil })
	r.say("dora", event.DispatchPaused{Order: "o1", Reason: "think again"})
	r.say("dora", r.order("o2", "page"))
	c := r.await("the second order", 30*time.Second, func(c *casefile.Case) bool {
		return len(c.Orders) == 2 && c.Orders[1].State == casefile.OrderCompleted
	})
	if tally := c.Orders[1].Tally; tally.Pending != 0 || tally.Excluded != 3 || tally.Public != 3 {
		t.Errorf("tally = %+v, want all three left to the public notice", tally)
	}
}

func TestAPublicTextThatCannotBeShownBlocksAnOrderForThePageAlone(t *testing.T) {
	r := newRig(t, testPeople(3), nil)
	r.start("one")
	r.putUp(publicWords("Dear {{person.given_name}}"), []string{"page"}, []string{"page"})
	c := r.await("the block", 30*time.Second, func(c *casefile.Case) bool { return len(c.Orders) > 0 && c.Orders[0].Blocked != nil })
	if c.Orders[0].Blocked.Reason != "no_public_text" {
		t.Errorf("blocked for %q: %s", c.Orders[0].Blocked.Reason, c.Orders[0].Blocked.Detail)
	}
}

func TestAForecastOfAPublicNoticeAloneEndsWithTheListing(t *testing.T) {
	r := newRig(t, testPeople(3), nil)
	s, _ := r.start("one")
	r.prepare()
	a, err := s.answerForecast(t.Context(), event.ForecastQuestion{Org: testOrg, Case: testCase, Channels: []string{"page"}})
	if err != nil || len(a.Channels) != 0 || a.Seconds-a.ApprovalSeconds > assumedCooling.Seconds()+1 {
		t.Errorf("forecast = %+v, %v", a, err)
	}
}
