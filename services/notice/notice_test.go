package notice

import (
	"testing"
	"time"
)

func TestEveryPersonOfTheListIsToldOnce(t *testing.T) {
	r := newRig(t, testPeople(2300), nil)
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
}
