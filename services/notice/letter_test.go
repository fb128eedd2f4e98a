package notice

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/person"
)

// Whatever mixes people up on the way from the list to the message stops the
// sending, and the person is named by number.
func TestAMixUpStopsTheBatchAndNamesThePerson(t *testing.T) {
	const many = 300
	atSending := func(f func(a *event.ContactsAnswer)) func(*crowd) {
		return func(c *crowd) {
			c.spoil = func(q event.ContactsQuestion, a *event.ContactsAnswer) {
				if len(q.Numbers) > 0 {
					f(a)
				}
			}
		}
	}
	for name, row := range map[string]struct {
		do     func(*crowd)
		reason string
		who    person.Number
	}{
		"a column is shifted": {func(c *crowd) {
			for i := range c.list {
				c.list[i].GivenName, c.list[i].FamilyName = c.list[i].FamilyName, person.Text(c.list[i].Email)
			}
		}, "anomaly", 5},
		"phone and email are exchanged": {func(c *crowd) {
			c.list[40].Email, c.list[40].Phone = person.Email(c.list[40].Phone), person.Phone(c.list[40].Email)
		}, "anomaly", 125},
		"one address on many people": {func(c *crowd) {
			for i := range 40 {
				c.list[100+i].Email = "same@people.example"
			}
		}, "anomaly", 380},
		"two rows are swapped when sending": {atSending(func(a *event.ContactsAnswer) {
			a.Contacts[7].Email, a.Contacts[8].Email = a.Contacts[8].Email, a.Contacts[7].Email
		}), "record_mismatch", 26},
		"two people's names are swapped when sending": {atSending(func(a *event.ContactsAnswer) {
			a.Contacts[7].GivenName, a.Contacts[8].GivenName = a.Contacts[8].GivenName, a.Contacts[7].GivenName
		}), "record_mismatch", 26},
		"another person's categories when sending": {atSending(func(a *event.ContactsAnswer) { a.Contacts[9].Exposed |= 1 << 24 }), "record_mismatch", 32},
		"a person is answered twice":               {atSending(func(a *event.ContactsAnswer) { a.Contacts[11] = a.Contacts[10] }), "list_mismatch", 35},
		"a name is empty that the words need":      {func(c *crowd) { c.list[20].GivenName = "" }, "empty_merge", 65},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, testPeople(many), nil)
			row.do(r.people)
			r.start("one")
			r.prepare()
			r.approveAndOrder("email")
			c := r.await("the block", 30*time.Second, func(c *casefile.Case) bool { return len(c.Orders) > 0 && c.Orders[0].Blocked != nil })
			b := c.Orders[0].Blocked
			if b.Reason != row.reason || !strings.Contains(b.Detail, fmt.Sprintf("person %d", row.who)) {
				t.Errorf("blocked for %s: %s; want %s naming person %d", b.Reason, b.Detail, row.reason, row.who)
			}
			if sum := r.box.Summary("", 1); sum.AcceptedTotal != 0 {
				t.Errorf("%d messages left", sum.AcceptedTotal)
			}
		})
	}
}

// A value that looks like one of our substitution tags is sent whole, alone.
func TestANameThatLooksLikeATagIsWrittenAsItIs(t *testing.T) {
	people := testPeople(4)
	people[2].GivenName = "-tocsin:t1-"
	r := newRig(t, people, nil)
	r.start("one")
	r.prepare()
	r.approveAndOrder("email")
	if tally := r.completed(30 * time.Second); tally.Told != 4 {
		t.Errorf("tally = %+v, want 4 told", tally)
	}
}

func TestABadCanaryPageStopsTheRest(t *testing.T) {
	people := testPeople(2500)
	for i := range 1000 {
		people[i].Email = person.Email(fmt.Sprintf("bounce%d@people.example", i))
	}
	r := newRig(t, people, func(c *Config) { c.Canary = time.Hour })
	r.start("one")
	r.prepare()
	r.approveAndOrder("email")
	c := r.await("the block", 30*time.Second, func(c *casefile.Case) bool { return c.Orders[0].Blocked != nil })
	if c.Orders[0].Blocked.Reason != "too_many_failures" {
		t.Errorf("blocked for %q, want too_many_failures", c.Orders[0].Blocked.Reason)
	}
	if sum := r.box.Summary("", 1); sum.AcceptedTotal != 1000 {
		t.Errorf("%d messages left, want the canary page of 1000", sum.AcceptedTotal)
	}
}
