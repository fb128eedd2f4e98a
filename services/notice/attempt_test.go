package notice

import (
	"slices"
	"sync"
	"testing"
	"time"

	"tocsin.dev/pkg/person"
	"tocsin.dev/pkg/sqldb"
	"tocsin.dev/pkg/sqldb/sqldbtest"
)

// The id of an attempt is on every message of it before the attempt is written
// down, so replicas must never come to the same one.
func TestNoTwoAttemptsHaveTheSameID(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		r := newRigOn(t, db, testPeople(1), nil)
		one, _ := r.start("one")
		two, _ := r.start("two")
		p, err := one.store.makePlan(t.Context(), plan{org: testOrg, caseID: testCase, order: "o1", revision: 1, people: 1}, "first", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var all []int64
		var takers sync.WaitGroup
		for _, s := range []*Service{one, two, one} {
			takers.Go(func() {
				for range 2*idsAtOnce + 1 {
					id, err := s.store.attemptID(t.Context())
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					all = append(all, id)
					mu.Unlock()
				}
			})
		}
		takers.Wait()
		for _, s := range []*Service{one, two} {
			a := &attempt{plan: p.id, campaign: p.campaign, channel: Email, people: []person.Number{5}, account: firstMail}
			if _, err := s.store.write(t.Context(), p.campaign, time.Now(), func(l *ledger) error { return l.begin(a) }); err != nil {
				t.Fatal(err)
			}
			all = append(all, a.id)
		}
		slices.Sort(all)
		if n := len(slices.Compact(slices.Clone(all))); n != len(all) || all[0] <= 0 {
			t.Errorf("%d ids, %d of them different, the least %d", len(all), n, all[0])
		}
	})
}
