package notice

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tocsin.dev/pkg/person"
	"tocsin.dev/pkg/sqldb"
	"tocsin.dev/pkg/sqldb/sqldbtest"
)

func TestAListOfPeopleIsWrittenAsShortAsItCanBe(t *testing.T) {
	for want, people := range map[string][]person.Number{
		"person IN (7)":          {7},
		"person BETWEEN 7 AND 8": {7, 8},
		"person IN (8,7)":        {8, 7},
		"person BETWEEN 1 AND 5 AND person NOT IN (4)":   {1, 2, 3, 5},
		"person IN (1,2,4,6)":                            {1, 2, 4, 6},
		"person IN (1,2,3,4294967295)":                   {1, 2, 3, 1<<32 - 1},
		"person BETWEEN 1 AND 9 AND person NOT IN (4,6)": {1, 2, 3, 5, 7, 8, 9, 9, 9, 9},
	} {
		if got := string(appendWho(nil, people)); got != want {
			t.Errorf("%v is written as %s, want %s", people, got, want)
		}
	}
}

// Whatever a list looks like, exactly the people on it are read and moved.
func TestAListOfPeopleMeansNobodyElse(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		r := newRigOn(t, db, testPeople(1), nil)
		s, stop := r.start("one")
		stop()
		p, err := s.store.makePlan(t.Context(), plan{org: testOrg, caseID: testCase, order: "o1", revision: 1, people: 1}, "first", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		const all = 40
		var rows []message
		for n := range all {
			rows = append(rows, message{person: person.Number(n + 1), channel: Email, state: Planned, reason: ReasonPlanned})
		}
		write := func(f func(*ledger) error) {
			if _, err := s.store.write(t.Context(), p.campaign, time.Now(), f); err != nil {
				t.Fatal(err)
			}
		}
		write(func(l *ledger) error { _, err := l.put(rows); return err })
		rapid.Check(t, func(rt *rapid.T) {
			left := rapid.SliceOfDistinct(rapid.Uint64Range(1, all), rapid.ID).Draw(rt, "left out")
			var people []person.Number
			for n := person.Number(1); n <= all; n++ {
				if !slices.Contains(left, uint64(n)) {
					people = append(people, n)
				}
			}
			if len(people) == 0 {
				return
			}
			read, err := brief(t.Context(), s.store.db, p.campaign, Email, people)
			if err != nil || !slices.Equal(sorted(read), people) {
				rt.Fatalf("asked for %v, read %v, %v", people, sorted(read), err)
			}
			write(func(l *ledger) error {
				n, err := l.move(Email, people, Planned, Stopped, ReasonStop, set{})
				if n != int64(len(people)) {
					rt.Errorf("%d of %d were moved", n, len(people))
				}
				return err
			})
			whole, err := onChannel(t.Context(), s.store.db, p.campaign, Email, numbersOf(rows))
			if err != nil {
				rt.Fatal(err)
			}
			moved := slices.DeleteFunc(whole, func(m message) bool { return m.state != Stopped })
			if !slices.Equal(sorted(moved), people) {
				rt.Errorf("moved %v, want %v", sorted(moved), people)
			}
			write(func(l *ledger) error {
				_, err := l.tx.ExecContext(l.ctx, `UPDATE message SET state=$1`, Planned)
				return err
			})
		})
	})
}

func sorted(rows []message) []person.Number {
	numbers := numbersOf(rows)
	slices.Sort(numbers)
	return numbers
}
