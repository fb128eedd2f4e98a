package notice

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tocsin.dev/pkg/person"
	"tocsin.dev/pkg/sqldb"
	"tocsin.dev/services/notice/carrier"
)

func openMemory(t *testing.T) *sqldb.DB {
	t.Helper()
	db, err := sqldb.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "m.db"))
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// model plays notice's ledger against a provider.
type model struct {
	t        *rapid.T
	st       *store
	people   int
	p        *plan
	clock    int64
	attempts []*modelAttempt
	accepted map[Channel]map[person.Number]int
	resent   map[person.Number]bool
}

type modelAttempt struct {
	attempt
	took     bool // the provider accepted it
	recalled bool // and will discard it
}

func (m *model) now() time.Time {
	m.clock++
	return time.Unix(1_700_000_000+m.clock, 0)
}

func (m *model) must(err error) {
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *model) plan(n int) {
	ctx := m.t.Context()
	m.people = n
	p, err := m.st.makePlan(ctx, plan{org: "o", caseID: "c", order: "1", revision: 1, people: int64(n)}, "first", m.now())
	m.must(err)
	m.p = p
	var rows []message
	for i := range n {
		rows = append(rows, message{person: person.Number(i + 1), channel: Email, state: Planned, reason: ReasonPlanned, ladder: makeLadder([]Channel{Email, SMS})})
	}
	_, err = m.st.write(ctx, p.campaign, m.now(), func(l *ledger) error {
		if err := l.take(p, rows, true); err != nil {
			return err
		}
		return openChunks(l, p.id, 0, rows, 0)
	})
	m.must(err)
	m.must(m.st.setPlan(ctx, p.id, planSending, "", ""))
	m.p.state = planSending
}

func (m *model) rows(ch Channel, st State) []message {
	var out []message
	for _, r := range m.all() {
		if r.channel == ch && r.state == st {
			out = append(out, r)
		}
	}
	return out
}

func (m *model) all() []message {
	rows, err := scanMessages(m.st.db.QueryContext(m.t.Context(), `SELECT `+messageColumns+` FROM message WHERE campaign=$1`, m.p.campaign))
	m.must(err)
	return rows
}

func (m *model) write(f func(*ledger) error) {
	_, err := m.st.write(m.t.Context(), m.p.campaign, m.now(), f)
	m.must(err)
}

// step does one thing that can happen.
func (m *model) step() {
	switch rapid.IntRange(0, 7).Draw(m.t, "step") {
	case 0, 1:
		m.send()
	case 2, 3:
		m.receipt()
	case 4:
		m.answerOrCrash()
	case 5:
		m.policy()
	case 6:
		m.operator()
	case 7:
		m.recall()
	}
}

// send writes a request ahead; the provider takes it or not.
func (m *model) send() {
	ch := rapid.SampledFrom([]Channel{Email, SMS}).Draw(m.t, "channel")
	rows := m.rows(ch, Planned)
	if len(rows) == 0 {
		return
	}
	a := &modelAttempt{attempt: attempt{plan: m.p.id, campaign: m.p.campaign, channel: ch, people: numbersOf(rows), batch: "b"}}
	m.write(func(l *ledger) error {
		if err := l.begin(&a.attempt); err != nil {
			return err
		}
		_, err := l.move(ch, a.people, Planned, Submitted, ReasonHandOver, set{attempt: a.id})
		return err
	})
	if a.took = rapid.Bool().Draw(m.t, "taken"); a.took {
		for _, n := range a.people {
			m.accepted[ch][n]++
		}
	}
	m.attempts = append(m.attempts, a)
}

// answerOrCrash brings an answer to a request that is still open, loses it, or
// finds that the worker died.
func (m *model) answerOrCrash() {
	if len(m.attempts) == 0 {
		return
	}
	a := rapid.SampledFrom(m.attempts).Draw(m.t, "attempt")
	s := &Service{}
	class := carrier.InDoubt
	if rapid.Bool().Draw(m.t, "answered") {
		class = carrier.NotSent
		if a.took {
			class = carrier.Accepted
		} else if rapid.Bool().Draw(m.t, "refused") {
			class = carrier.Refused
		}
	}
	answer := carrier.Answer{Class: class, Bad: []int{0}}
	m.write(func(l *ledger) error {
		r := &run{attempt: a.attempt, answers: []carrier.Answer{answer}, letters: make([]letter, len(a.people))}
		return s.outcome(l, m.p, r)
	})
}

// receipt lets the provider say something true about a message it took.
func (m *model) receipt() {
	var took []*modelAttempt
	for _, a := range m.attempts {
		if a.took {
			took = append(took, a)
		}
	}
	if len(took) == 0 {
		return
	}
	a := rapid.SampledFrom(took).Draw(m.t, "taken attempt")
	pos := rapid.IntRange(0, len(a.people)-1).Draw(m.t, "pos")
	meanings := []carrier.Meaning{carrier.Processed, carrier.Deferred, carrier.Delivered, carrier.Hard, carrier.OptedOut}
	if a.recalled {
		meanings = []carrier.Meaning{carrier.Processed, carrier.Unknown}
	}
	meaning := rapid.SampledFrom(meanings).Draw(m.t, "meaning")
	at := time.Unix(1_700_000_000+rapid.Int64Range(0, 50).Draw(m.t, "provider clock"), 0)
	f := fact{Receipt: carrier.Receipt{Attempt: a.id, Pos: pos, Meaning: meaning, At: at}, channel: a.channel, person: a.people[pos], scheduled: true}
	for range rapid.IntRange(1, 3).Draw(m.t, "times") {
		m.write(func(l *ledger) error { return l.receive([]fact{f}, ReasonReceipt) })
	}
}

// policy settles what is in doubt: sent again, or the rest of a proven request believed.
func (m *model) policy() {
	for _, a := range m.attempts {
		rows, err := onChannel(m.t.Context(), m.st.db, m.p.campaign, a.channel, a.people)
		m.must(err)
		doubtful, _, proven := (&Service{}).weigh(&a.attempt, rows)
		if len(doubtful) == 0 {
			continue
		}
		m.write(func(l *ledger) error {
			if proven {
				_, err := l.move(a.channel, numbersOf(doubtful), InDoubt, Accepted, ReasonSameRequest, set{onAttempt: a.id})
				return err
			}
			for _, d := range doubtful {
				m.resent[d.person] = true
			}
			return l.resend(m.p, &a.attempt, numbersOf(doubtful), InDoubt, ReasonResend, 0)
		})
	}
}

// recall cancels the batch of a request in doubt, of which nothing has come to
// an end: the provider discards it, or perhaps not if that came too late.
func (m *model) recall() {
	for _, a := range m.attempts {
		now, err := readAttempt(m.t.Context(), m.st.db, a.id)
		m.must(err)
		rows, err := onChannel(m.t.Context(), m.st.db, m.p.campaign, a.channel, a.people)
		m.must(err)
		doubtful, _, _ := (&Service{}).weigh(&a.attempt, rows)
		if now.state != attemptInDoubt || len(doubtful) == 0 || slices.ContainsFunc(rows, func(r message) bool {
			return r.attempt == a.id && r.state != InDoubt && r.state != Accepted
		}) {
			continue
		}
		why := ReasonRecalled
		if rapid.Bool().Draw(m.t, "too late") {
			why = ReasonRecalledLate
			for _, r := range rows {
				m.resent[r.person] = m.resent[r.person] || r.attempt == a.id
			}
		}
		m.write(func(l *ledger) error { return l.takeBack(&a.attempt, m.now(), why) })
		a.recalled = why == ReasonRecalled || rapid.Bool().Draw(m.t, "discarded all the same")
		if a.recalled && a.took {
			for _, n := range a.people {
				m.accepted[a.channel][n]--
			}
		}
		return
	}
}

func (m *model) operator() {
	for _, a := range m.attempts {
		rows, err := onChannel(m.t.Context(), m.st.db, m.p.campaign, a.channel, a.people)
		m.must(err)
		doubtful, _, _ := (&Service{}).weigh(&a.attempt, rows)
		if len(doubtful) == 0 {
			continue
		}
		decision := rapid.SampledFrom([]string{"accept", "drop", "resend"}).Draw(m.t, "decision")
		m.write(func(l *ledger) error {
			if decision == "resend" {
				for _, d := range doubtful {
					m.resent[d.person] = true
				}
			}
			return l.settleAs(m.p, &a.attempt, doubtful, InDoubt, decision)
		})
	}
}

// check holds what must be true after every step.
func (m *model) check() {
	counted := map[person.Number]int{}
	var states [7][stateCount]int64
	for _, r := range m.all() {
		states[r.channel][r.state]++
		if r.state.Counts() != NotCounted {
			counted[r.person]++
		}
		if r.state.Counts() == Told && r.flags&flagOperator == 0 && m.accepted[r.channel][r.person] == 0 {
			m.t.Fatalf("person %d counts as told (%v for %v) and the provider has nothing for them", r.person, r.state, r.reason)
		}
		if r.tries > 1 && !m.resent[r.person] && m.accepted[r.channel][r.person] > 1 {
			m.t.Fatalf("person %d was accepted %d times on %v without a resend", r.person, m.accepted[r.channel][r.person], r.channel)
		}
	}
	for n := 1; n <= m.people; n++ {
		if counted[person.Number(n)] != 1 {
			m.t.Fatalf("person %d is counted %d times", n, counted[person.Number(n)])
		}
	}
	t, err := m.st.tally(m.t.Context(), m.p.campaign)
	m.must(err)
	if sum := t.Pending + t.Told + t.InDoubt + t.Unreachable + t.Excluded; t.People != int64(m.people) || sum != t.People {
		m.t.Fatalf("the tally does not add up: %+v for %d people", t, m.people)
	}
	for ch := range states {
		for st := State(1); ch > 0 && st < stateCount; st++ {
			if got := t.States[Channel(ch).String()][st.String()]; got != states[ch][st] {
				m.t.Fatalf("the counters say %d %v on %v, the rows %d", got, st, Channel(ch), states[ch][st])
			}
		}
	}
	for ch, people := range m.accepted {
		for n, k := range people {
			if k > 1 && !m.resent[n] {
				m.t.Fatalf("person %d was accepted %d times on %v and nothing was ever sent again", n, k, ch)
			}
		}
	}
}
