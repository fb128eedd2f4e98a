package notice

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/category"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/person"
)

// faxPeople have nothing but a fax number; the first has an email address besides.
func faxPeople(n int) []person.Contact {
	all := testPeople(n)
	for i := range all {
		all[i].Phone, all[i].Fax, all[i].Preference = "", person.Phone("+44163296000"+string(rune('0'+i))), "fax"
		if i > 0 {
			all[i].Email = ""
		}
	}
	return all
}

func TestAFaxGoesToTheGatewayAndItsReturnOpensTheNextRung(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, faxPeople(4), func(c *Config) { c.FaxDir, c.SettleFor = dir, time.Second })
	s, _ := r.start("one")
	r.orderWith("email", "fax")
	if tally := r.completed(30 * time.Second); tally.Told != 4 || tally.States["fax"]["accepted"] != 4 {
		t.Fatalf("tally = %+v, want four faxes", tally)
	}
	_, rows := manifest(t, dir)
	for i, row := range rows {
		if row["fax"] != r.people.list[i].Fax.Reveal() {
			t.Errorf("line %d has the number %s", i+1, row["fax"])
		}
		if _, err := os.Stat(filepath.Join(dir, testOrg, row["file"])); err != nil {
			t.Errorf("the list names a file that is not there: %v", err)
		}
	}
	a := s.handIn(t, false, "code,outcome", rows[0]["code"]+",busy", rows[1]["code"]+",not a fax", rows[2]["code"]+",sent OK", rows[3]["code"]+",sent")
	if len(a.Faults) != 1 || a.Faults[0].Line != 4 || a.Faults[0].Column != "outcome" {
		t.Errorf("an outcome that no table has = %+v", a)
	}
	a = s.handIn(t, false, "code,outcome", rows[0]["code"]+",busy", rows[1]["code"]+",not a fax", rows[2]["code"]+",OK", rows[3]["code"]+",sent")
	if a.Changed != 4 || a.NextRung != 1 || a.Unreachable != 1 {
		t.Errorf("returns = %+v", a)
	}
	r.await("the email after the busy fax", 30*time.Second, func(c *casefile.Case) bool {
		t := c.Orders[0].Tally
		return t.Told == 3 && t.Unreachable == 1 && t.States["fax"]["delivered"] == 2 && t.States["email"]["delivered"] == 1
	})
}

func TestLettersAndFaxesAreReturnedApart(t *testing.T) {
	post, fax := t.TempDir(), t.TempDir()
	people := faxPeople(2)
	people[1].Fax, people[1].Address = "", []person.Text{"1 High St", "London"}
	r := newRig(t, people, func(c *Config) { c.PrintDir, c.FaxDir, c.SettleFor = post, fax, time.Second })
	s, _ := r.start("one")
	r.orderWith("post", "fax")
	r.completed(30 * time.Second)
	_, letters := manifest(t, post)
	_, faxes := manifest(t, fax)
	if a := s.handIn(t, false, "code,outcome", letters[0]["code"]+",other", faxes[0]["code"]+",other"); len(a.Faults) != 1 || a.Faults[0].Line != 3 {
		t.Errorf("both in one file = %+v", a)
	}
	if a := s.handIn(t, false, "code,outcome", letters[0]["code"]+",busy"); len(a.Faults) != 1 || a.Faults[0].Column != "outcome" {
		t.Errorf("a busy letter = %+v", a)
	}
	report, err := s.answerReport(t.Context(), event.ReportQuestion{Org: testOrg, Case: testCase})
	if err != nil || len(report.Files) != 2 || report.Files[0].Channel == report.Files[1].Channel {
		t.Errorf("files = %+v, %v", report.Files, err)
	}
}

// Who holds a password or a session of somebody can read their mail and their
// texts, and no letter and no fax.
func TestPaperStaysSafeWhenLoginsAreExposed(t *testing.T) {
	exposed, err := category.ParseAll([]string{"email", "phone", "password", "session_or_mfa"})
	if err != nil {
		t.Fatal(err)
	}
	c := testPeople(1)[0]
	c.Exposed, c.Fax, c.Address = exposed, "+441632960001", []person.Text{"1 High St", "London"}
	ladder, why := rule{channels: []Channel{Email, SMS, Fax, Post}}.climb(&c)
	if got := ladder.Channels(); !slices.Equal(got, []Channel{Fax, Post}) || why != ReasonPlanned {
		t.Errorf("ladder = %v, %v; want fax and post", got, why)
	}
	c.Fax, c.Address = "12345", nil
	if ladder, why := (rule{channels: []Channel{Email, SMS, Fax, Post}}).climb(&c); ladder != 0 || why != ReasonCompromised {
		t.Errorf("without paper: %v, %v", ladder.Channels(), why)
	}
}
