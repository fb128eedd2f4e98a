package notice

import (
	"strings"
	"testing"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/person"
	"tocsin.dev/pkg/sqldb"
	"tocsin.dev/pkg/sqldb/sqldbtest"
	"tocsin.dev/services/notice/carrier"
	"tocsin.dev/services/sandbox"
)

const (
	canaryMail  = "canary@own.example"
	canaryPhone = "+447700900177"
)

// canaryRig is a rig whose organisation has a canary of its own.
func canaryRig(t *testing.T, db *sqldb.DB, people []person.Contact, change func(*Config)) (*rig, *Service) {
	r := newRigOn(t, db, people, func(c *Config) {
		c.CanaryEvery = 10 * time.Millisecond
		if change != nil {
			change(c)
		}
	})
	r.makeOrganisation(`canaries: [{given_name: Serinus, family_name: Canaria, email: ` + canaryMail + `, phone: "` + canaryPhone + "\"}]\n")
	s, _ := r.start("one")
	r.prepare()
	return r, s
}

func (r *rig) canaries(s *Service) event.CanaryCount {
	r.t.Helper()
	a, err := s.answerProgress(r.t.Context(), event.ProgressQuestion{Org: testOrg, Case: testCase})
	if err != nil {
		r.t.Fatal(err)
	}
	if len(a.Orders) == 0 || a.Orders[0].Canaries == nil {
		return event.CanaryCount{}
	}
	return *a.Orders[0].Canaries
}

// until asks again and again; look-ups and receipts say nothing in the journal.
func (r *rig) until(what string, met func() bool) {
	r.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(30 * time.Second)
	for !met() {
		select {
		case <-tick.C:
		case <-late:
			r.t.Fatalf("gave up waiting for %s\n%s", what, r.logs.String())
		}
	}
}

// Every request of email and every series of text messages carries a canary,
// which the provider turns out to hold as it was handed over, and which counts
// as nobody.
func TestEveryBatchCarriesACanaryThatCountsAsNobody(t *testing.T) {
	for channel, people := range map[string]int{"email": 2300, "sms": 900} {
		t.Run(channel, func(t *testing.T) {
			sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
				r, s := canaryRig(t, db, testPeople(people), nil)
				r.approveAndOrder(channel)
				tally := r.completed(60 * time.Second)
				if tally.People != int64(people) || tally.States[channel]["delivered"] != int64(people) {
					t.Errorf("tally = %+v, want %d delivered", tally, people)
				}
				var batches int64
				if err := db.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM attempt`).Scan(&batches); err != nil {
					t.Fatal(err)
				}
				r.until("every canary to be looked up and received", func() bool {
					n := r.canaries(s)
					return n.Sent == batches && n.LookedUp == batches && n.Received == batches && n.Wrong == 0
				})
				if sum := r.box.Summary(testCase, 10); sum.ToldOnce != people || sum.ToldTwice != 0 || int64(sum.Canaries) != batches {
					t.Errorf("the provider counts %d people once, %d twice and %d canaries; want %d, 0 and %d", sum.ToldOnce, sum.ToldTwice, sum.Canaries, people, batches)
				}
				var strays int
				if err := db.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM stray`).Scan(&strays); err != nil || strays != 0 {
					t.Errorf("%d receipts of canaries count as strays, %v", strays, err)
				}
				r.canaryReadsLikeAPerson(channel)
			})
		})
	}
}

// canaryReadsLikeAPerson looks at what a canary got: the words of its batch, under its own name.
func (r *rig) canaryReadsLikeAPerson(channel string) {
	r.t.Helper()
	found := 0
	for _, m := range r.shown() {
		if m.To != canaryMail && m.To != canaryPhone {
			if strings.Contains(m.Text, "Serinus") {
				r.t.Errorf("somebody else got the canary's message: %+v", m)
			}
			continue
		}
		found++
		want := map[string]string{"email": "Dear Serinus Canaria,\n\nYour name, email address and phone number were seen", "sms": "Serinus, your name, email address and phone number were exposed"}[channel]
		if !strings.Contains(m.Text, want) || strings.Contains(m.Text, "Ann") {
			r.t.Errorf("the canary got %q", m.Text)
		}
	}
	if found == 0 {
		r.t.Error("no canary is among the newest messages")
	}
}

// What a provider mixes up after it accepted a batch stops the sending at the
// first canary that shows it, by a receipt or, without receipts, by a look-up.
func TestAMixUpAtTheProviderStopsTheSending(t *testing.T) {
	noReceipts := sandbox.Faults{MixUp: true, Receipts: sandbox.Receipts{Lost: 1}}
	noLookups := sandbox.Faults{MixUp: true, LookupsOff: true}
	for name, row := range map[string]struct {
		channel string
		faults  sandbox.Faults
		says    string
	}{
		"mails are shifted, and receipts show it":             {"email", noLookups, "went to"},
		"mails are shifted, and a look-up shows it":           {"email", noReceipts, "belongs to somebody else"},
		"text messages are exchanged, and a look-up shows it": {"sms", noReceipts, "says something else"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			people := testPeople(3000)
			// The first page goes ahead, as a careful organisation has it.
			r, s := canaryRig(t, sqldbtest.SQLite(t), people, func(c *Config) { c.Canary = 20 * time.Second })
			r.box.SetFaults(row.faults)
			r.approveAndOrder(row.channel)
			c := r.await("the block", 30*time.Second, func(c *casefile.Case) bool { return len(c.Orders) > 0 && c.Orders[0].Blocked != nil })
			b := c.Orders[0].Blocked
			if b.Reason != "canary_mismatch" || !strings.Contains(b.Detail, row.says) || !strings.Contains(b.Detail, "batch ") || !strings.Contains(b.Detail, "beginning with person") {
				t.Errorf("blocked for %s: %s", b.Reason, b.Detail)
			}
			if n := r.canaries(s); n.Wrong == 0 {
				t.Errorf("canaries = %+v", n)
			}
			if sum := r.box.Summary(testCase, 0); sum.AcceptedTotal > 1000 {
				t.Errorf("%d messages left, want no more than the first page", sum.AcceptedTotal)
			}
		})
	}
}

// Without canaries the same mix-up stays unseen: that is what they are for.
func TestWithoutCanariesNothingChanges(t *testing.T) {
	r := newRig(t, testPeople(1200), nil)
	s, _ := r.start("one")
	r.prepare()
	r.approveAndOrder("email")
	r.completed(30 * time.Second)
	var batches int
	if err := r.db.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM attempt`).Scan(&batches); err != nil || batches != 2 {
		t.Errorf("%d requests for 1,200 people, %v; want 2", batches, err)
	}
	if n := r.canaries(s); n != (event.CanaryCount{}) {
		t.Errorf("canaries = %+v", n)
	}
}

// A canary's address that the provider refuses harms nobody of the list.
func TestARefusedCanaryHarmsNobody(t *testing.T) {
	people := testPeople(3)
	r := newRig(t, people, nil)
	r.makeOrganisation("canaries: [{given_name: Serinus, family_name: Canaria, phone: \"+447709921610\"}]\n")
	s, _ := r.start("one")
	r.prepare()
	r.approveAndOrder("sms")
	if tally := r.completed(30 * time.Second); tally.Told != 3 {
		t.Errorf("tally = %+v, want 3 told", tally)
	}
	if n := r.canaries(s); n.Sent != 0 {
		t.Errorf("canaries = %+v", n)
	}
}

// A request of email is refused whole. If it may have been for the canary, it
// is tried again without one, and nobody of it counts as refused.
func TestARequestRefusedForItsCanaryIsMadeAgainWithoutIt(t *testing.T) {
	r := newRig(t, testPeople(1), nil)
	r.makeOrganisation("canaries: [{given_name: Serinus, family_name: Canaria, email: " + canaryMail + "}]\n")
	s, _ := r.start("one")
	w := &worker{s: s, p: &plan{org: testOrg}, c: &chunk{channel: Email}}
	refused := func(bad ...int) []*run {
		return []*run{{letters: make([]letter, 2), canary: &canary{}, answers: []carrier.Answer{{Class: carrier.Refused, Bad: bad}}}}
	}
	for _, bad := range [][]int{{1}, nil} {
		runs := refused(bad...)
		if sent := w.takeCanaries(t.Context(), runs); len(sent) != 0 || runs[0].answers[0].Class.String() != "not_sent" || len(runs[0].letters) != 1 {
			t.Errorf("refused at %v: %+v", bad, runs[0])
		}
		if org, _ := r.orgs.Get(testOrg); len(w.canariesOf(org)) != 0 {
			t.Error("the next request carries a canary again")
		}
	}
	runs := refused(0)
	if w.takeCanaries(t.Context(), runs); runs[0].answers[0].Class.String() != "refused" {
		t.Errorf("a person's own refusal became %+v", runs[0].answers[0])
	}
}

// A canary at the address of a person of the list could not tell a mix-up from
// the person's own message, so nothing leaves before a person has looked.
func TestACanaryOnTheListStopsThePlan(t *testing.T) {
	people := testPeople(300)
	people[7].Phone = canaryPhone
	r, _ := canaryRig(t, sqldbtest.SQLite(t), people, nil)
	r.approveAndOrder("email")
	c := r.await("the block", 30*time.Second, func(c *casefile.Case) bool { return len(c.Orders) > 0 && c.Orders[0].Blocked != nil })
	if b := c.Orders[0].Blocked; b.Reason != "anomaly" || !strings.Contains(b.Detail, "person 26") || !strings.Contains(b.Detail, "canary") {
		t.Errorf("blocked for %s: %s", b.Reason, b.Detail)
	}
	if sum := r.box.Summary("", 0); sum.AcceptedTotal+sum.Canaries != 0 {
		t.Errorf("%d messages left", sum.AcceptedTotal+sum.Canaries)
	}
}

// A receipt may come before the answer is recorded; it counts all the same, and
// the canary is looked up once it is known where.
func TestAReceiptFasterThanTheAnswerOfACanaryCounts(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		r, s := canaryRig(t, db, testPeople(1), func(c *Config) { c.CanaryEvery = time.Hour })
		ctx, now := t.Context(), time.Now()
		p, err := s.store.makePlan(ctx, plan{org: testOrg, caseID: testCase, order: "o1", revision: 1, people: 1}, "first", now)
		if err != nil {
			t.Fatal(err)
		}
		a := &attempt{plan: p.id, campaign: p.campaign, channel: Email, people: []person.Number{5}, account: firstMail}
		write := func(f func(*ledger) error) {
			if _, err := s.store.write(ctx, p.campaign, now, f); err != nil {
				t.Fatal(err)
			}
		}
		write(func(l *ledger) error { return l.begin(a) })
		receipt := carrier.Receipt{Attempt: a.id, Pos: 1, Meaning: carrier.Delivered, To: carrier.AddressHash(canaryMail)}
		if err := s.canaryReceipt(ctx, a, receipt, true); err != nil {
			t.Fatal(err)
		}
		later := now.Add(canaryAsks[0])
		if c, err := s.store.claimCanary(ctx, Email, later); c != nil || err != nil {
			t.Errorf("%+v is looked up before it is known where: %v", c, err)
		}
		write(func(l *ledger) error {
			return l.keepCanary(&canary{attempt: a.id, plan: p.id, channel: Email, message: "m1", words: "w1"})
		})
		if n := r.canaries(s); n.Sent != 1 || n.Received != 1 {
			t.Errorf("canaries = %+v", n)
		}
		if c, err := s.store.claimCanary(ctx, Email, later); err != nil || c == nil || c.message != "m1" {
			t.Errorf("looked up by %+v, %v", c, err)
		}
	})
}
