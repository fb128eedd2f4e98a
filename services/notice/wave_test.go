package notice

import (
	"testing"
	"time"

	"tocsin.dev/pkg/category"
	"tocsin.dev/pkg/person"
	"tocsin.dev/pkg/sqldb"
	"tocsin.dev/pkg/sqldb/sqldbtest"
)

func TestPeopleWhoStandToLoseMostGoFirstAndADueCaseBeforeAll(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		st := testStore(t, db)
		now := time.Now()
		exposed := func(codes ...string) uint32 {
			s, err := category.ParseAll(codes)
			if err != nil {
				t.Fatal(err)
			}
			return uint32(s)
		}
		mild, grave := exposed("name", "email"), exposed("name", "email", "password", "bank_account")
		place := func(caseID string, due time.Duration, pages ...uint32) int64 {
			p, err := st.makePlan(t.Context(), plan{org: "o", caseID: caseID, order: "1", revision: 1, people: int64(len(pages))}, "first", now)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := st.write(t.Context(), p.campaign, now, func(l *ledger) error {
				for no, e := range pages {
					rows := []message{{person: person.Number(no + 1), channel: Email, state: Planned, reason: ReasonPlanned, exposed: e}}
					if _, err := l.put(rows); err != nil {
						return err
					}
					if err := openChunks(l, p.id, no, rows, 0); err != nil {
						return err
					}
				}
				_, err := l.tx.ExecContext(l.ctx, `UPDATE plan SET state=$2, due=$3 WHERE id=$1`, p.id, planSending, map[bool]int64{true: now.Add(due).UnixMilli()}[due != 0])
				return err
			}); err != nil {
				t.Fatal(err)
			}
			return p.id
		}
		far := place("far", 0, mild, grave, mild)
		days := place("days", 48*time.Hour, mild, grave)
		hours := place("hours", 2*time.Hour, mild)
		want := []chunk{{plan: hours, no: 0}, {plan: days, no: 1}, {plan: far, no: 1}, {plan: days, no: 0}, {plan: far, no: 0}, {plan: far, no: 2}}
		got, err := st.dueChunks(t.Context(), now, time.Minute, 4*time.Hour, 6)
		if err != nil || len(got) != len(want) {
			t.Fatalf("%d chunks are announced, %v; want %d", len(got), err, len(want))
		}
		for i := range want {
			if got[i].plan != want[i].plan || got[i].no/10 != want[i].no {
				t.Errorf("chunk %d announced is page %d of plan %d, want page %d of plan %d", i, got[i].no/10, got[i].plan, want[i].no, want[i].plan)
			}
		}
	})
}
