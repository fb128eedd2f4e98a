package sandbox

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestAnAcceptedMailIsOnRecordAlthoughTheConnectionBroke(t *testing.T) {
	r := newRig(t, nil)
	r.faultsAre(Faults{AcceptThenDrop: 1})
	resp, err := r.mail(letter("ann@people.example"))
	if resp != nil {
		t.Fatalf("answered %d, want a broken connection", resp.StatusCode)
	}
	if !strings.Contains(err, "EOF") && !strings.Contains(err, "reset") {
		t.Errorf("the caller saw %q", err)
	}
	if resp, err := r.text(r.sms("+447700900001")); resp != nil {
		t.Fatalf("answered %s, want a broken connection", err)
	}
	if sum := r.Summary("c-1", 0); sum.ToldOnce != 2 || sum.Dropped != 2 {
		t.Errorf("record %+v", sum)
	}
	r.until("receipts prove it", func() bool {
		return slices.Contains(r.eventNames("ann@people.example"), "delivered") && slices.Contains(r.smsStates("+447700900001"), "delivered")
	})
	// sending again, as a client without a ledger would, is seen
	r.faultsAre(Faults{})
	r.mail(strings.ReplaceAll(letter("ann@people.example"), `"n":"n0`, `"n":"other`))
	sum := r.Summary("c-1", 10)
	if sum.ToldTwice != 1 || sum.SameTwice != 1 || sum.NoticesTwice != 0 || len(sum.Twice) != 1 || len(sum.Twice[0].Notices) != 2 {
		t.Errorf("record %+v", sum)
	}
}

func TestNothingIsOnRecordAfterAFaultBeforeAccepting(t *testing.T) {
	r := newRig(t, nil)
	for name, c := range map[string]struct {
		f    Faults
		want int // 0: a broken connection, 1: any 5xx
	}{
		"drop before accept": {Faults{DropBeforeAccept: 1}, 0},
		"rate limited":       {Faults{RateLimited: 1, RetryAfter: 3}, 429},
		"server error":       {Faults{ServerError: 1}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			r.faultsAre(c.f)
			for _, send := range []func() (int, string){
				func() (int, string) {
					resp, body := r.mail(letter("ann@people.example"))
					if resp == nil {
						return 0, body
					}
					if c.want == 429 && (resp.Header.Get("Retry-After") != "3" || resp.Header.Get("X-RateLimit-Reset") == "") {
						t.Errorf("headers %v", resp.Header)
					}
					return resp.StatusCode, body
				},
				func() (int, string) {
					resp, body := r.text(r.sms("+447700900001"))
					if resp == nil {
						return 0, body
					}
					if c.want == 429 && !strings.Contains(body, "20429") {
						t.Errorf("not Twilio's 429: %s", body)
					}
					return resp.StatusCode, body
				},
			} {
				got, body := send()
				if c.want == 1 && got < 500 || c.want != 1 && got != c.want {
					t.Errorf("got %d %s", got, body)
				}
			}
			if n := r.Summary("", 0).AcceptedTotal; n != 0 {
				t.Errorf("%d accepted", n)
			}
		})
	}
}

func TestAnErrorOrALateAnswerMayHideAnAcceptance(t *testing.T) {
	r := newRig(t, nil)
	r.faultsAre(Faults{AcceptThenError: 1})
	resp, body := r.mail(letter("ann@people.example"))
	if resp == nil || resp.StatusCode < 500 {
		t.Fatalf("answer %v %s", resp, body)
	}
	r.faultsAre(Faults{LateAnswer: 1, LateMS: 150})
	start := time.Now()
	resp, body = r.mail(letter("bob@people.example"))
	wantStatus(t, resp, body, 202)
	if took := time.Since(start); took < 150*time.Millisecond {
		t.Errorf("answered after %v", took)
	}
	r.faultsAre(Faults{Slow: Delay{Rate: 1, MinMS: 100, MaxMS: 120}})
	start = time.Now()
	resp, body = r.text(r.sms("+447700900001"))
	wantStatus(t, resp, body, 201)
	if took := time.Since(start); took < 100*time.Millisecond {
		t.Errorf("answered after %v", took)
	}
	if n := r.Summary("", 0).ToldOnce; n != 3 {
		t.Errorf("%d told, want 3", n)
	}
}

func TestReceiptsAreLostTripledShuffledAndBare(t *testing.T) {
	r := newRig(t, nil)
	people := func(n int) (list []string) {
		for i := range n {
			list = append(list, fmt.Sprintf("p%d@people.example", i))
		}
		return list
	}
	r.faultsAre(Faults{Seed: 5, Receipts: Receipts{Lost: 0.2, Tripled: 1, Shuffled: true}})
	r.mail(letter(people(500)...))
	r.until("everything settled", func() bool {
		sum := r.Summary("", 0)
		return sum.ByState["delivered"] == 500 && sum.Callbacks.Waiting == 0 && sum.Callbacks.Delivered == 3*(1000-sum.Callbacks.Lost)
	})
	lost := r.Summary("", 0).Callbacks.Lost
	if lost < 150 || lost > 250 {
		t.Errorf("%d of 1000 lost, want about 200", lost)
	}
	r.mu.Lock()
	disorder, ids := 0, map[string]int{}
	for i := range 500 {
		names := r.eventNames(fmt.Sprintf("p%d@people.example", i))
		if len(names) > 1 && slices.Index(names, "delivered") < slices.Index(names, "processed") && slices.Contains(names, "delivered") {
			disorder++
		}
	}
	for _, e := range r.events {
		ids[e["sg_event_id"].(string)]++
	}
	repeated := 0
	for _, n := range ids {
		if n == 2 {
			repeated++
		}
	}
	if disorder == 0 || repeated != int(1000-lost) || len(ids) != 2*int(1000-lost) {
		t.Errorf("%d in disorder, %d ids of which %d repeated; %d lost", disorder, len(ids), repeated, lost)
	}
	r.events = nil
	r.mu.Unlock()
	r.faultsAre(Faults{Receipts: Receipts{WithoutCustomArgs: 1, Delayed: Delay{Rate: 1, MinMS: 50, MaxMS: 60}}})
	r.mail(letter("bare@people.example"))
	r.until("bare events", func() bool { return len(r.eventNames("bare@people.example")) == 2 })
	for _, e := range r.events {
		if e["n"] != nil {
			t.Errorf("event with custom arguments: %v", e)
		}
	}
}

func TestAProfileIsReproducibleAndKeepsItsRates(t *testing.T) {
	draw := func() (all []answer) {
		f := &faulty{Faults: profiles()["storm"]}
		for range 20_000 {
			_, a := f.next()
			all = append(all, a)
		}
		return all
	}
	first := draw()
	if !slices.Equal(first, draw()) {
		t.Error("the same seed gave another sequence")
	}
	count := map[answer]int{}
	for _, a := range first {
		count[a]++
	}
	for a, want := range map[answer]int{acceptThenDrop: 1000, answerServerError: 500, acceptThenError: 500, answerRateLimited: 400} {
		if got := count[a]; got < want*8/10 || got > want*12/10 {
			t.Errorf("answer %d: %d of 20000, want about %d", a, got, want)
		}
	}
}

func TestAProfileThatMakesNoSenseIsRefused(t *testing.T) {
	r := newRig(t, nil)
	for _, bad := range []string{
		`{"rate_limited":1.5}`, `{"server_error":-1}`, `{"rate_limited":0.6,"accept_then_drop":0.6}`, `{"nonsense":1}`,
		`{"profile":"unheard"}`, `{"slow":{"rate":1,"min_ms":5,"max_ms":1}}`, `{"slow":{"distribution":"odd"}}`, `{`,
	} {
		resp, body := r.do("PUT", "/sandbox/faults", bad)
		wantStatus(t, resp, body, 400)
	}
	resp, body := r.do("PUT", "/sandbox/faults", `{"profile":"storm","seed":9}`)
	wantStatus(t, resp, body, 200)
	resp, body = r.do("GET", "/sandbox/faults", "")
	wantStatus(t, resp, body, 200)
	if !strings.Contains(body, `"profile":"storm","seed":9,`) {
		t.Errorf("faults are %s", body)
	}
}

func TestAFullBacklogSlowsTheSenderInsteadOfLosingReceipts(t *testing.T) {
	r := newRig(t, func(c *Config) { c.MaxBacklog = 10 })
	r.mu.Lock()
	r.refuse = 1 << 30
	r.mu.Unlock()
	r.mail(letter("a@p.example", "b@p.example", "c@p.example", "d@p.example", "e@p.example"))
	resp, body := r.mail(letter("f@p.example"))
	for i := 0; resp.StatusCode == 202 && i < 100; i++ { // steps on their way to the hook do not wait in the backlog
		resp, body = r.mail(letter("f@p.example", "g@p.example", "h@p.example"))
	}
	wantStatus(t, resp, body, 429)
	told := r.Summary("", 0).AcceptedTotal
	r.mu.Lock()
	r.refuse = 0
	r.mu.Unlock()
	r.until("all receipts after all", func() bool { return len(r.events) >= 2*told })
}

func TestAMixUpGivesMessagesToTheWrongPeople(t *testing.T) {
	r := newRig(t, nil)
	r.faultsAre(Faults{MixUp: true})
	resp, body := r.mail(letter("ann@people.example", "bob@people.example", "cee@people.example"))
	if resp == nil || resp.StatusCode != 202 {
		t.Fatalf("mail: %s", body)
	}
	found, _ := r.list(shownFilter{size: 10, before: 1<<32 - 1})
	to := map[string]string{}
	for _, m := range found {
		to[m.Notice] = m.To
	}
	if to["n0-ann@people.example"] != "bob@people.example" || to["n1-bob@people.example"] != "cee@people.example" || to["n2-cee@people.example"] != "ann@people.example" {
		t.Errorf("the notices went to %v", to)
	}
	r.text(r.sms("+447700900001"))
	second := r.sms("+447700900002")
	second.Set("Body", "for the second")
	r.text(second)
	if found, _ := r.list(shownFilter{size: 1, before: 1<<32 - 1}); found[0].To != "+447700900002" || found[0].Text == "for the second" {
		t.Errorf("the second text message is %+v", found[0])
	}
}

func TestACanaryIsRecordedAndCountsAsNobody(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Canaries = []string{"own@office.example", "+447700900009"} })
	for range 2 {
		r.mail(letter("ann@people.example", "Own@office.example"))
	}
	r.text(r.sms("+447700900009"))
	if sum := r.Summary("c-1", 10); sum.Canaries != 3 || sum.AcceptedTotal != 2 || sum.People != 1 || sum.ToldTwice != 1 || len(sum.Twice) != 1 {
		t.Errorf("record %+v", sum)
	}
	if found, _ := r.list(shownFilter{size: 1, before: 1<<32 - 1}); !found[0].Canary {
		t.Errorf("the message does not show that it is a canary's: %+v", found[0])
	}
}
