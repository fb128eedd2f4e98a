package notice

import (
	"slices"
	"testing"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/person"
	"tocsin.dev/services/notice/carrier"
	"tocsin.dev/services/notice/sendgrid"
	"tocsin.dev/services/sandbox"
)

// hear hands in what a provider would say about a person's latest message on a channel.
func (s *Service) hear(t *testing.T, who person.Number, ch Channel, m carrier.Meaning, at time.Time) {
	t.Helper()
	var campaign, id int64
	err := s.store.db.QueryRowContext(t.Context(), `SELECT campaign, attempt FROM message WHERE person=$1 AND channel=$2`, int64(who), ch).Scan(&campaign, &id)
	if err != nil {
		t.Fatal(err)
	}
	a, err := s.attempt(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.campaign(t.Context(), campaign)
	if err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	notice := c.mark.notice(who, ch, a.digest)
	c.mu.Unlock()
	f := carrier.Receipt{Notice: notice, Attempt: id, Pos: slices.Index(a.people, who), Meaning: m, At: at}
	if err := s.receipts.take(&delivery{from: s.accountNamed(a.account), facts: []carrier.Receipt{f}}); err != nil {
		t.Fatal(err)
	}
}

// states are a person's messages by channel.
func (s *Service) states(t *testing.T, who person.Number) map[string]event.MessageRow {
	t.Helper()
	a, err := s.answerMessages(t.Context(), event.MessagesQuestion{Org: testOrg, Case: testCase, Person: who})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]event.MessageRow{}
	for _, m := range a.Messages {
		out[m.Channel] = m
	}
	return out
}

func TestAMarketingOptOutDoesNotStopALegalNoticeAndAHardBounceDoes(t *testing.T) {
	people := testPeople(4)
	people[0].Email = "optout.a@people.example"                                // unsubscribed at SendGrid
	people[1].Email = "drop.b@people.example"                                  // bounced there before
	people[2].Phone, people[2].Preference = "+15005550004", "sms"              // answered STOP
	people[3].Email, people[3].Phone = "drop.d@people.example", "+15005550004" // nothing is left
	r := newRig(t, people, func(c *Config) { c.SendGrid.Bypass, c.SettleFor = sendgrid.BypassUnsubscribes, 3*time.Second })
	s, _ := r.start("one")
	r.prepare()
	r.approveAndOrder("email", "sms")
	if tally := r.completed(60 * time.Second); tally.Told != 3 || tally.Unreachable != 1 {
		t.Errorf("tally = %+v, want three told and one unreachable", tally)
	}
	if m := s.states(t, people[0].Number); len(m) != 1 || m["email"].State != "delivered" {
		t.Errorf("whoever opted out of marketing: %+v, want the email delivered", m)
	}
	if m := s.states(t, people[1].Number); m["email"].Meaning != "hard" || m["sms"].State != "delivered" {
		t.Errorf("whose address bounced before: %+v, want a hard failure and then a text", m)
	}
	if m := s.states(t, people[2].Number); m["sms"].State != "refused" || m["sms"].Meaning != "opted_out" || m["email"].State != "delivered" {
		t.Errorf("who answered STOP, which nobody can pass over: %+v, want an email instead", m)
	}
	if m := s.states(t, people[3].Number); m["none"].State != "unreachable" || m["none"].Reason != "ladder_end" {
		t.Errorf("who has nothing left: %+v", m)
	}
}

func TestRepeatedAndShuffledReceiptsCountOnce(t *testing.T) {
	people := testPeople(60)
	for i := range 10 {
		people[i].Email = person.Email("bounce." + string(people[i].Email))
	}
	r := newRig(t, people, func(c *Config) { c.SettleFor = 5 * time.Second })
	r.box.SetFaults(sandbox.Faults{Receipts: sandbox.Receipts{Tripled: 1, Shuffled: true}})
	s, _ := r.start("one")
	r.prepare()
	r.approveAndOrder("email", "sms")
	r.completed(60 * time.Second)
	r.await("all receipts", 30*time.Second, func(c *casefile.Case) bool {
		t := c.Orders[0].Tally
		return t.Told == 60 && t.States["email"]["delivered"] == 50 && t.States["email"]["failed"] == 10 && t.States["sms"]["delivered"] == 10
	})
	if sum := r.box.Summary("", 60); sum.AcceptedTotal != 70 || sum.ToldTwice != 0 {
		t.Errorf("%d messages left and %d people were told twice, want 60 emails and 10 texts and nobody", sum.AcceptedTotal, sum.ToldTwice)
	}
	for i := range 10 {
		if m := s.states(t, people[i].Number); len(m["email"].History) != 1 || m["sms"].Tries != 1 {
			t.Errorf("person %d: %d receipts of the bounce are noted and %d texts tried, want one each", people[i].Number, len(m["email"].History), m["sms"].Tries)
		}
	}
}

func TestReceiptsWithoutOurIDsAreKeptAndChangeNothing(t *testing.T) {
	people := testPeople(20)
	people[3].Email = "bounce.3@people.example"
	r := newRig(t, people, func(c *Config) { c.SettleFor = time.Second })
	r.box.SetFaults(sandbox.Faults{Receipts: sandbox.Receipts{WithoutCustomArgs: 1}})
	s, _ := r.start("one")
	r.prepare()
	r.approveAndOrder("email", "sms")
	tally := r.completed(60 * time.Second)
	if tally.Told != 20 || tally.States["email"]["accepted"] != 20 {
		t.Errorf("tally = %+v, want 20 accepted and nothing more known", tally)
	}
	var strays int
	if err := s.store.db.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM stray`).Scan(&strays); err != nil || strays == 0 {
		t.Errorf("%d receipts without ids are kept, %v", strays, err)
	}
}

// While the next channel waits, a late delivery takes its place; once that has
// left, both stand and the late one is marked.
func TestADeliveryThatComesLateTakesTheNextRungBackIfItCan(t *testing.T) {
	r := newRig(t, testPeople(2), func(c *Config) { c.SettleFor = time.Second })
	s, _ := r.start("one")
	r.prepare()
	r.approveAndOrder("email", "sms")
	r.completed(60 * time.Second)
	now := time.Now()
	sent, waits := r.people.list[0].Number, r.people.list[1].Number
	s.hear(t, sent, Email, carrier.Hard, now.Add(time.Minute))
	r.await("the text of the first", 30*time.Second, func(c *casefile.Case) bool { return c.Orders[0].Tally.States["sms"]["delivered"] == 1 })
	s.hear(t, sent, Email, carrier.Delivered, now.Add(2*time.Minute))
	if m := s.states(t, sent); !m["email"].ArrivedLate || m["sms"].State != "delivered" {
		t.Errorf("after the text had left: %+v, want the email marked as late", m)
	}
	p, err := s.store.planOf(t.Context(), testOrg, testCase, "o1")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.store.halt(t.Context(), p.id, haltBlocked, "test", "so that the next text waits"); err != nil {
		t.Fatal(err)
	}
	s.hear(t, waits, Email, carrier.Hard, now.Add(time.Minute))
	if m := s.states(t, waits); m["email"].State != "failed" || m["sms"].State != "planned" {
		t.Errorf("after the bounce: %+v, want a text that waits", m)
	}
	s.hear(t, waits, Email, carrier.Delivered, now.Add(2*time.Minute))
	if m := s.states(t, waits); m["email"].State != "delivered" || m["sms"].State != "withdrawn" {
		t.Errorf("after the late delivery: %+v, want the text withdrawn", m)
	}
	if sum := r.box.Summary("", 2); sum.AcceptedTotal != 3 {
		t.Errorf("%d messages left, want two emails and one text", sum.AcceptedTotal)
	}
	if tally := r.tallyNow(s); tally.Told != 2 {
		t.Errorf("tally = %+v, want two told", tally)
	}
}

// Twilio tells of a text in parts as of one message, and gives no instant. When
// one part fails, the person has no readable notice, in whatever order the
// callbacks come.
func TestATextOfWhichAPartFailedCountsAsFailed(t *testing.T) {
	people := testPeople(2)
	for i := range people {
		people[i].Preference = "sms"
	}
	r := newRig(t, people, func(c *Config) { c.SettleFor = time.Second })
	r.box.SetFaults(sandbox.Faults{Receipts: sandbox.Receipts{Lost: 1}})
	s, _ := r.start("one")
	r.prepare()
	r.approveAndOrder("email", "sms")
	if tally := r.completed(60 * time.Second); tally.States["sms"]["accepted"] != 2 {
		t.Fatalf("tally = %+v, want two texts", tally)
	}
	none := time.Time{}
	for i, order := range [][]carrier.Meaning{{carrier.Processed, carrier.Delivered, carrier.Soft, carrier.Delivered}, {carrier.Soft, carrier.Delivered, carrier.Processed, carrier.Soft}} {
		for _, m := range order {
			s.hear(t, people[i].Number, SMS, m, none)
		}
		if m := s.states(t, people[i].Number); m["sms"].State != "failed" || m["sms"].Meaning != "soft" {
			t.Errorf("in the order %v: %+v, want a failed text", order, m)
		}
	}
	r.await("two emails instead", 30*time.Second, func(c *casefile.Case) bool { return c.Orders[0].Tally.States["email"]["accepted"] == 2 })
}
