package e2e

import (
	"io"
	"testing"
)

// One case goes from a real SIEM alert to a receipt for every person, and the
// people add up.
func TestTheWholeCaseAccountsForEveryPerson(t *testing.T) {
	const people = 300
	w := begin(t, people)
	r, err := w.Play(w.ctx, io.Discard)
	w.must(err)
	if !r.Accounted || r.People == 0 {
		t.Fatalf("not everybody is accounted for: %+v", r)
	}
	record := w.running.Sandbox.Summary(r.Case, 10)
	if record.NoticesTwice != 0 || int64(record.Notices) != r.Accepted {
		t.Errorf("the provider accepted %d notices, %d of them twice; the ledger says %d: %+v", record.Notices, record.NoticesTwice, r.Accepted, record.Twice)
	}
	if r.Delivered == 0 || r.Bounced == 0 || len(r.Duties) == 0 {
		t.Errorf("nothing delivered, bounced or due: %+v", r)
	}
}
