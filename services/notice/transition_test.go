package notice

import (
	"fmt"
	"testing"
	"time"

	"tocsin.dev/pkg/organisation"
	"tocsin.dev/pkg/person"
	"tocsin.dev/pkg/sqldb"
	"tocsin.dev/pkg/sqldb/sqldbtest"
	"tocsin.dev/services/notice/carrier"
)

// life is one person's way through the ledger, by the service's own functions.
type life struct {
	t   testing.TB
	s   *Service
	org *organisation.Organisation
	id  string // of the case
	p   *plan
	a   *attempt // the last request
	// peer is another person of the same request.
	ladder     Ladder
	who, peer  person.Number
	providerAt int64
}

func (l *life) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *life) write(f func(*ledger) error) {
	l.t.Helper()
	_, err := l.s.store.write(l.t.Context(), l.p.campaign, time.Now(), f)
	l.must(err)
}

// order places an order of the case; the newest one sends.
func (l *life) order(id string, rows ...message) {
	l.t.Helper()
	p, err := l.s.store.makePlan(l.t.Context(), plan{org: testOrg, caseID: l.id, order: id, revision: 1, people: int64(len(rows))}, "first", time.Now())
	l.must(err)
	l.p = p
	l.write(func(w *ledger) error {
		if err := w.take(p, rows, true); err != nil {
			return err
		}
		return openChunks(w, p.id, 0, rows, time.Hour)
	})
	l.must(l.s.store.setPlan(l.t.Context(), p.id, planSending, "", ""))
	l.p.state = planSending
}

func (l *life) planned(n person.Number) message {
	return message{person: n, channel: l.ladder.First(), ladder: l.ladder, state: Planned, reason: ReasonPlanned}
}

func (l *life) begin() { l.order("o1", l.planned(l.who), l.planned(l.peer)) }

func (l *life) hand(why Reason) {
	l.t.Helper()
	l.a = &attempt{plan: l.p.id, campaign: l.p.campaign, channel: Email, chunk: wholePage, people: []person.Number{l.who, l.peer},
		account: "sendgrid", batch: "b", sendAt: time.Now().Add(time.Hour).Unix()}
	l.write(func(w *ledger) error {
		if err := w.begin(l.a); err != nil {
			return err
		}
		_, err := w.move(Email, l.a.people, Planned, Submitted, why, set{attempt: l.a.id})
		return err
	})
}

func (l *life) answer(a carrier.Answer) {
	l.t.Helper()
	l.write(func(w *ledger) error {
		return l.s.outcome(w, l.p, &run{attempt: *l.a, answers: []carrier.Answer{a}, letters: make([]letter, 2)})
	})
}

func (l *life) lose() { l.t.Helper(); l.answer(carrier.Answer{Class: carrier.InDoubt}) }

func (l *life) hear(m carrier.Meaning, why Reason) {
	l.t.Helper()
	l.providerAt++
	l.write(func(w *ledger) error {
		return w.receive([]fact{{Receipt: carrier.Receipt{Attempt: l.a.id, Meaning: m, At: time.Unix(1_800_000_000+l.providerAt, 0)}, channel: Email, person: l.who}}, why)
	})
}

func (l *life) decide(policy string) {
	l.t.Helper()
	l.org.InDoubt = policy
	rows, err := onChannel(l.t.Context(), l.s.store.db, l.p.campaign, Email, l.a.people)
	l.must(err)
	l.must(l.s.decideDoubt(l.t.Context(), l.a, rows))
}

// wide is a list on which the person may be reached by other channels.
func (l *life) again(ladder ...Channel) {
	l.t.Helper()
	l.ladder = makeLadder(ladder)
	l.order("o2", l.planned(l.who), l.planned(l.peer))
}

// reach brings the person into a state by the shortest way.
func (l *life) reach(st State) {
	l.t.Helper()
	defer func() {
		if l.a == nil { // never handed over: whatever is said is about no request
			l.a = &attempt{plan: l.p.id, campaign: l.p.campaign, channel: Email, people: []person.Number{l.who, l.peer}}
		}
	}()
	switch st {
	case Planned:
		l.begin()
	case Submitted:
		l.begin()
		l.hand(ReasonHandOver)
	case InDoubt:
		l.reach(Submitted)
		l.lose()
	case Held:
		l.reach(InDoubt)
		l.decide(organisation.Hold)
	case Accepted:
		l.reach(Submitted)
		l.answer(carrier.Answer{Class: carrier.Accepted})
	case Deferred:
		l.reach(Accepted)
		l.hear(carrier.Deferred, ReasonReceipt)
	case Delivered:
		l.reach(Accepted)
		l.hear(carrier.Delivered, ReasonReceipt)
	case Failed:
		l.reach(Accepted)
		l.hear(carrier.Hard, ReasonReceipt)
	case Silent:
		l.reach(Accepted)
		l.must(l.s.markSilentOn(l.t.Context(), l.p, Email, Accepted, time.Now().Add(time.Hour)))
	case Stopped:
		l.reach(Planned)
		l.must(l.s.stop(l.t.Context(), l.p))
	case Withdrawn: // the text message: the email arrived after all
		l.reach(Failed)
		l.hear(carrier.Delivered, ReasonReceipt)
	case Unreachable:
		l.ladder = makeLadder([]Channel{Email})
		l.reach(Failed)
	}
}

// resent is planned again after a doubt: its first copy may still be heard of.
func (l *life) resent() {
	l.t.Helper()
	l.reach(InDoubt)
	l.decide(organisation.Resend)
}

var receiptThat = map[State]carrier.Meaning{Accepted: carrier.Processed, Deferred: carrier.Deferred, Delivered: carrier.Delivered, Failed: carrier.Hard}

// happens makes one transition happen.
func (l *life) happens(from, to State, why Reason) {
	l.t.Helper()
	switch why {
	case ReasonPlanned:
		l.begin()
	case ReasonNoAddress, ReasonCompromised, ReasonGuardianMissing, ReasonNoText:
		l.order("o1", message{person: l.who, state: Unreachable, reason: why})
	case ReasonDeceased, ReasonPublicNotice:
		l.leftOut(from, why)
	case ReasonErased:
		if from == 0 {
			l.order("o1", message{person: l.who, state: Excluded, reason: why})
			return
		}
		l.reach(from)
		w := &worker{s: l.s, p: l.p, c: &chunk{channel: Email}}
		l.must(w.dropErased(l.t.Context(), []person.Number{l.who}))
	case ReasonNotOwed:
		if from == 0 || from == Withdrawn {
			l.leftOut(from, why)
			return
		}
		l.reach(from)
		l.order("o2", l.planned(l.peer)) // the person is not on the new list
	case ReasonHandOver, ReasonQuietOverridden:
		l.reach(from)
		l.hand(why)
	case ReasonAnswer, ReasonNotSent, ReasonRefusal:
		l.reach(from)
		l.answer(carrier.Answer{Class: map[Reason]carrier.Class{ReasonAnswer: carrier.Accepted, ReasonNotSent: carrier.NotSent, ReasonRefusal: carrier.Refused}[why], Bad: []int{0}})
	case ReasonLostAnswer:
		l.reach(from)
		l.lose()
	case ReasonLostWorker:
		l.reach(from)
		l.must(l.s.recoverLost(l.t.Context(), l.p, &chunk{plan: l.p.id, channel: Email, no: wholePage, token: 7}))
	case ReasonReceipt:
		switch from {
		case Planned:
			l.resent()
		case Stopped:
			l.resent()
			l.must(l.s.stop(l.t.Context(), l.p))
		default:
			l.reach(from)
		}
		l.hear(receiptThat[to], why)
	case ReasonLookUp:
		l.reach(from)
		l.hear(receiptThat[to], why)
	case ReasonSameRequest:
		l.reach(from)
		rows, err := onChannel(l.t.Context(), l.s.store.db, l.p.campaign, Email, l.a.people)
		l.must(err)
		l.must(l.s.believe(l.t.Context(), l.a, rows))
	case ReasonResend, ReasonHold:
		l.reach(from)
		l.decide(map[Reason]string{ReasonResend: organisation.Resend, ReasonHold: organisation.Hold}[why])
	case ReasonRecalled, ReasonRecalledLate:
		l.reach(from)
		if l.a.sendAt = time.Now().Unix(); why == ReasonRecalled {
			l.a.sendAt += int64(time.Hour / time.Second)
		}
		l.must(l.s.takeBack(l.t.Context(), l.a))
	case ReasonOperatorResend, ReasonOperatorAccept, ReasonOperatorDrop:
		l.reach(from)
		_, err := l.s.settleBy(l.t.Context(), l.a, map[Reason]string{ReasonOperatorResend: "resend", ReasonOperatorAccept: "accept", ReasonOperatorDrop: "drop"}[why])
		l.must(err)
	case ReasonSilence:
		l.reach(from)
		l.must(l.s.markSilentOn(l.t.Context(), l.p, Email, from, time.Now().Add(time.Hour)))
	case ReasonStop:
		l.reach(from)
		l.must(l.s.stop(l.t.Context(), l.p))
	case ReasonOvertaken:
		l.reach(Withdrawn)
	case ReasonLateDelivery:
		l.reach(map[State]State{Failed: Failed, Unreachable: Unreachable}[from])
		l.hear(carrier.Delivered, ReasonReceipt)
	case ReasonReplanned:
		l.replanned(from, to)
	case ReasonNextRung, ReasonLadderEnd:
		l.nextRung(from, to)
	default:
		l.t.Fatalf("nothing makes %v become %v for %v", from, to, why)
	}
}

// leftOut leaves the person out of a first order, or of one after a public
// notice and an order that writes.
func (l *life) leftOut(from State, why Reason) {
	l.t.Helper()
	if from == 0 {
		l.order("o1", message{person: l.who, state: Excluded, reason: why})
		return
	}
	l.replanned(Excluded, from)
	l.order("o3", message{person: l.who, state: Excluded, reason: why})
}

// replanned takes the person up again under a later order.
func (l *life) replanned(from, to State) {
	l.t.Helper()
	switch from {
	case Excluded: // a public notice was to tell everybody
		l.order("o1", message{person: l.who, state: Excluded, reason: ReasonPublicNotice})
		l.again(Email)
	case Planned: // by another channel
		l.reach(from)
		l.again(SMS)
	case Stopped, Unreachable:
		l.reach(from)
		l.again(Email, SMS)
	case Withdrawn: // back to the channel that was left
		l.reach(Planned)
		l.again(SMS)
		l.again2(Email)
	}
}

func (l *life) again2(ladder ...Channel) {
	l.t.Helper()
	l.ladder = makeLadder(ladder)
	l.order("o3", l.planned(l.who), l.planned(l.peer))
}

// nextRung lets the person's email fail where the next channel was withdrawn
// before, or none is left.
func (l *life) nextRung(from, to State) {
	l.t.Helper()
	if from == 0 && to == Unreachable {
		l.ladder = makeLadder([]Channel{Email})
	}
	if from == Withdrawn && to == Unreachable {
		l.ladder = makeLadder([]Channel{Email})
	}
	l.reach(Failed)
	if from == 0 {
		return
	}
	l.hear(carrier.Delivered, ReasonReceipt) // after all: the next rung is withdrawn
	l.hear(carrier.Hard, ReasonReceipt)      // and then not
}

// Every line of the table can happen, by the code that is there for it, and is
// counted under its reason. Whatever cannot does not belong into the table.
func TestEachTransitionHappensAndIsCountedWithItsReason(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		r := newRigOn(t, db, testPeople(2), nil)
		s, stop := r.start("one")
		stop() // nobody else works on these cases
		org, err := r.orgs.Get(testOrg)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for from, all := range transitions {
			for to, reasons := range all {
				for _, why := range reasons {
					n++
					t.Run(fmt.Sprintf("%d to %v for %v", from, to, why), func(t *testing.T) {
						l := &life{t: t, s: s, org: org, id: fmt.Sprintf("2026-%03d", n), ladder: makeLadder([]Channel{Email, SMS}), who: 5, peer: 8}
						l.happens(from, to, why)
						var counted int64
						l.must(db.QueryRowContext(t.Context(), `SELECT COALESCE(SUM(n),0) FROM moved WHERE campaign=$1 AND was=$2 AND state=$3 AND reason=$4`,
							l.p.campaign, from, to, why).Scan(&counted))
						if counted == 0 {
							t.Errorf("%v does not become %v for %v", from, to, why)
						}
						tally, err := s.store.tally(t.Context(), l.p.campaign)
						l.must(err)
						if sum := tally.Pending + tally.Told + tally.InDoubt + tally.Unreachable + tally.Excluded; sum != tally.People {
							t.Errorf("the tally does not add up: %+v", tally)
						}
					})
				}
			}
		}
	})
}

// The database, not the program, keeps a person from standing twice on a channel.
func TestAPersonStandsOnceOnAChannelWhoeverWrites(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		st := testStore(t, db)
		row := []message{{person: 5, channel: Email, state: Planned, reason: ReasonPlanned}}
		added := make(chan int64, 8)
		for range cap(added) {
			go func() {
				var n int64
				_, err := st.write(t.Context(), 1, time.Now(), func(l *ledger) (err error) { n, err = l.put(row); return err })
				if err != nil {
					n = -1
					t.Error(err)
				}
				added <- n
			}()
		}
		sum := int64(0)
		for range cap(added) {
			sum += <-added
		}
		tally, err := st.tally(t.Context(), 1)
		if err != nil || sum != 1 || tally.People != 1 {
			t.Errorf("%d rows were added and %d people counted, %v; want one", sum, tally.People, err)
		}
		if _, err := db.ExecContext(t.Context(), `INSERT INTO message SELECT campaign, channel, person, state, reason, tries, flags, meaning, code, ladder, attempt, exposed, bind, place, told_at, at FROM message`); err == nil {
			t.Error("the database took the same message twice")
		}
	})
}
