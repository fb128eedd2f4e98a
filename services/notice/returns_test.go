package notice

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/person"
	"tocsin.dev/pkg/sqldb"
	"tocsin.dev/pkg/sqldb/sqldbtest"
	"tocsin.dev/pkg/wording"
)

var letterWords = event.WordingDrafted{
	TextKey: event.TextKey{Audience: "people", Channel: "letter", Language: "en-GB"}, Version: 1,
	Subject: "About your data", Body: "Dear {{person.full_name}}, ref {{notice.reference}}.",
}

// onPaperOnly are people who ask for a channel on paper; those before withMail
// have an email address besides.
func onPaperOnly(n, withMail int) []person.Contact {
	all := testPeople(n)
	for i := range all {
		all[i].Phone, all[i].Preference = "", "post"
		all[i].Address = []person.Text{"1 High St", "London", "United Kingdom"}
		if i >= withMail {
			all[i].Email = ""
		}
	}
	return all
}

// orderWith approves and orders channels with the letter's words among the texts.
func (r *rig) orderWith(channels ...string) {
	r.prepare()
	w := letterWords
	w.Digest = wording.Digest(w.TextKey, w.Subject, w.Body)
	r.say("writer", w)
	a := r.approval(channels...)
	a.Texts = append(a.Texts, event.ApprovedText{TextKey: w.TextKey, Digest: w.Digest})
	r.say("lex", r.sign(a))
	r.say("dora", r.order("o1", channels...))
}

// manifest reads the one list of letters or faxes in a folder: the name of its
// file, and the column of each row by the row's name.
func manifest(t *testing.T, dir string) (file string, rows []map[string]string) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, testOrg, "*.csv"))
	if err != nil || len(found) != 1 {
		t.Fatalf("lists %v, %v; want one", found, err)
	}
	f, err := os.Open(found[0])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	all, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range all[1:] {
		row := map[string]string{}
		for i, v := range line {
			row[all[0][i]] = v
		}
		rows = append(rows, row)
	}
	return strings.TrimSuffix(filepath.Base(found[0]), ".csv"), rows
}

func (s *Service) handIn(t *testing.T, dry bool, lines ...string) event.ReturnsAnswer {
	t.Helper()
	a, err := s.answerReturns(t.Context(), event.ReturnsQuestion{Org: testOrg, Case: testCase, Asker: event.Person("dora", "dpo"),
		Text: strings.Join(lines, "\n") + "\n", DryRun: dry})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// tallyNow is the ledger's own count.
func (r *rig) tallyNow(s *Service) event.Tally {
	r.t.Helper()
	p, err := s.answerProgress(r.t.Context(), event.ProgressQuestion{Org: testOrg, Case: testCase})
	if err != nil {
		r.t.Fatal(err)
	}
	t := p.Orders[len(p.Orders)-1].Tally
	if t.People != t.Pending+t.Told+t.InDoubt+t.Unreachable+t.Excluded {
		r.t.Errorf("the tally does not add up: %+v", t)
	}
	return t
}

func TestAReturnedLetterOpensTheNextRungOrSaysWhyThereIsNone(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		dir := t.TempDir()
		r := newRigOn(t, db, onPaperOnly(6, 2), func(c *Config) { c.PrintDir, c.SettleFor = dir, time.Second })
		s, _ := r.start("one")
		r.orderWith("email", "post")
		if tally := r.completed(30 * time.Second); tally.States["post"]["accepted"] != 6 {
			t.Fatalf("tally = %+v, want six letters", tally)
		}
		_, rows := manifest(t, dir)
		file := []string{"code;outcome;at"}
		for i, outcome := range []string{"Moved", "refused", "unknown", "deceased", "delivered"} {
			file = append(file, rows[i]["code"]+";"+outcome+";")
		}
		dry := s.handIn(t, true, file...)
		if dry.Changed != 5 || dry.NextRung != 2 || dry.Unreachable != 1 || dry.Excluded != 1 || len(dry.Faults) != 0 {
			t.Errorf("dry run = %+v", dry)
		}
		if tally := r.tallyNow(s); tally.Told != 6 {
			t.Errorf("a dry run changed the ledger: %+v", tally)
		}
		real := s.handIn(t, false, file...)
		if dry.DryRun = false; fmt.Sprint(real) != fmt.Sprint(dry) {
			t.Errorf("real = %+v, and the dry run said %+v", real, dry)
		}
		again := s.handIn(t, false, file...)
		if again.Changed != 0 || again.Known != 5 || again.NextRung != 0 || again.Unreachable != 0 || again.Excluded != 0 {
			t.Errorf("the same file again = %+v", again)
		}
		r.await("two emails after the letters", 30*time.Second, func(c *casefile.Case) bool {
			tally := c.Orders[0].Tally
			return tally.Told == 4 && tally.Unreachable == 1 && tally.Excluded == 1 && tally.States["email"]["delivered"] == 2
		})
		m, err := s.answerMessages(t.Context(), event.MessagesQuestion{Org: testOrg, Case: testCase, Person: r.people.list[3].Number})
		if err != nil || len(m.Messages) != 2 || m.Messages[0].Reason != "deceased" || m.Messages[1].Meaning != "deceased" || m.Messages[1].Code != 116 {
			t.Errorf("the dead person's rows = %+v, %v", m.Messages, err)
		}
	})
}

func TestAFileOfReturnsWithAFaultChangesNothing(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, onPaperOnly(3, 0), func(c *Config) { c.PrintDir, c.SettleFor = dir, time.Second })
	s, _ := r.start("one")
	r.orderWith("post")
	r.completed(30 * time.Second)
	name, rows := manifest(t, dir)
	good := rows[0]["code"] + ",moved,"
	tomorrow := time.Now().Add(48 * time.Hour).Format(time.DateOnly)
	for what, row := range map[string]struct {
		file   []string
		line   int
		column string
	}{
		"a mistyped code":                {[]string{"code,outcome,at", good, rows[1]["code"][:len(rows[1]["code"])-1] + "U,moved,"}, 3, "code"},
		"no code at all":                 {[]string{"code,outcome,at", good, "Ann O'Neil,moved,"}, 3, "code"},
		"a letter of nobody":             {[]string{"code,outcome,at", good, "T999-0-ABCDE,moved,"}, 3, "code"},
		"an unknown outcome":             {[]string{"code,outcome,at", good, rows[1]["code"] + ",Ann moved house,"}, 3, "outcome"},
		"an instant ahead of now":        {[]string{"code,outcome,at", good, rows[1]["code"] + ",moved," + tomorrow}, 3, "at"},
		"an instant before the letter":   {[]string{"code,outcome,at", good, rows[1]["code"] + ",moved,2020-01-01"}, 3, "at"},
		"a letter twice":                 {[]string{"code,outcome,at", good, good}, 3, "code"},
		"a shifted column":               {[]string{"code,outcome,at", good, "x," + good}, 3, ""},
		"an open quote":                  {[]string{"code,outcome,at", good, `"` + good}, 3, ""},
		"another header":                 {[]string{"name,town", "Ann,London"}, 1, ""},
		"no lines":                       {[]string{"code,outcome,at"}, 1, ""},
		"a proof of too few":             {[]string{"file,count,posted_at", name + ",2," + time.Now().Format(time.DateOnly)}, 2, "count"},
		"a proof that is no number":      {[]string{"file,count,posted_at", name + ",all," + time.Now().Format(time.DateOnly)}, 2, "count"},
		"a proof of an unknown file":     {[]string{"file,count,posted_at", "x" + name + ",3," + time.Now().Format(time.DateOnly)}, 2, "file"},
		"a proof without its time":       {[]string{"file,count,posted_at", name + ",3,"}, 2, "posted_at"},
		"a proof from before the letter": {[]string{"file,count,posted_at", name + ",3,2020-01-01"}, 2, "posted_at"},
	} {
		a := s.handIn(t, false, row.file...)
		if len(a.Faults) != 1 || a.Faults[0].Line != row.line || a.Faults[0].Column != row.column || a.Changed != 0 {
			t.Errorf("%s: %+v; want one fault at line %d, column %q", what, a, row.line, row.column)
		}
		if strings.Contains(fmt.Sprint(a.Faults), "Ann") {
			t.Errorf("%s: the fault shows the value: %v", what, a.Faults)
		}
	}
	if tally := r.tallyNow(s); tally.Told != 3 || tally.States["post"]["accepted"] != 3 {
		t.Errorf("tally = %+v, want nothing changed", tally)
	}
}

func TestAProofOfPostingIsKeptAndShown(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		dir := t.TempDir()
		r := newRigOn(t, db, onPaperOnly(3, 0), func(c *Config) { c.PrintDir, c.SettleFor = dir, time.Second })
		s, _ := r.start("one")
		r.orderWith("post")
		r.completed(30 * time.Second)
		name, rows := manifest(t, dir)
		if len(rows) != 3 || rows[0]["code"] == "" || rows[0]["reference"] == "" || rows[0]["reference"] == rows[1]["reference"] {
			t.Errorf("the list = %v, want each letter with its code and reference", rows)
		}
		report := func() event.PaperFile {
			a, err := s.answerReport(t.Context(), event.ReportQuestion{Org: testOrg, Case: testCase})
			if err != nil || len(a.Files) != 1 {
				t.Fatalf("report = %+v, %v; want one file", a, err)
			}
			return a.Files[0]
		}
		if f := report(); f.Name != name || f.Letters != 3 || f.PostedAt != nil {
			t.Errorf("before the proof = %+v", f)
		}
		posted := time.Now().UTC().Truncate(time.Second)
		proof := []string{"file,count,posted_at,batch", fmt.Sprintf("%s.pdf,3,%s,LOT-7", name, posted.Format(time.RFC3339))}
		if a := s.handIn(t, false, proof...); a.Kind != "proof" || a.Changed != 1 || len(a.Faults) != 0 {
			t.Errorf("the proof = %+v", a)
		}
		if f := report(); f.PostedAt == nil || !f.PostedAt.Equal(posted) || f.Batch != "LOT-7" {
			t.Errorf("after the proof = %+v", f)
		}
		if a := s.handIn(t, false, proof...); a.Changed != 0 || a.Known != 1 {
			t.Errorf("the same proof again = %+v", a)
		}
		if a := s.handIn(t, false, proof[0], strings.Replace(proof[1], "LOT-7", "LOT-8", 1)); len(a.Faults) != 1 {
			t.Errorf("another proof of the same file = %+v", a)
		}
		m, err := s.answerMessages(t.Context(), event.MessagesQuestion{Org: testOrg, Case: testCase, Person: r.people.list[0].Number})
		if err != nil || len(m.Messages) != 1 || m.Messages[0].PostedAt == nil || !m.Messages[0].PostedAt.Equal(posted) {
			t.Errorf("the person's row = %+v, %v", m.Messages, err)
		}
	})
}

func TestReturnsAreForTheirCaseAndItsPeopleAlone(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, onPaperOnly(1, 0), func(c *Config) { c.PrintDir, c.SettleFor = dir, time.Second })
	s, _ := r.start("one")
	r.orderWith("post")
	r.completed(30 * time.Second)
	_, rows := manifest(t, dir)
	q := event.ReturnsQuestion{Org: testOrg, Case: testCase, Asker: event.Person("ann", "analyst"), Text: "code,outcome\n" + rows[0]["code"] + ",moved\n"}
	if _, err := s.answerReturns(t.Context(), q); err == nil {
		t.Error("an analyst handed returns in")
	}
	q.Asker.Role, q.Case = "dpo", "2026-002"
	if a, err := s.answerReturns(t.Context(), q); err != nil || len(a.Faults) != 1 {
		t.Errorf("under another case = %+v, %v", a, err)
	}
	q.Org, q.Case = "other", testCase
	if a, err := s.answerReturns(t.Context(), q); err != nil || len(a.Faults) != 1 {
		t.Errorf("under another organisation = %+v, %v", a, err)
	}
}
