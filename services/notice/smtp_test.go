package notice

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/organisation"
	"tocsin.dev/services/notice/smtp/smtptest"
)

func usualMail(string) string { return "" }

func ownMail(srv *smtptest.Server) *SMTP {
	return &SMTP{Host: "127.0.0.1", Port: srv.Port(), TLS: "none", EHLO: "tocsin.test", Timeout: 5 * time.Second}
}

// copies counts the messages of each recipient that a server took.
func copies(srv *smtptest.Server) map[string]int {
	n := map[string]int{}
	for _, m := range srv.Took() {
		_, rest, _ := strings.Cut(m, "To: <")
		to, _, _ := strings.Cut(rest, ">")
		n[to]++
	}
	return n
}

func TestEverybodyIsToldOnceThroughTheirOwnMailServer(t *testing.T) {
	srv := smtptest.Start(t, func(line string) string {
		if strings.HasPrefix(line, "RCPT TO:<ann7.") {
			return "550 5.1.1 unknown"
		}
		return ""
	})
	r := newRig(t, testPeople(230), func(c *Config) {
		c.SendGrid, c.SMTP, c.SettleFor = nil, ownMail(srv), time.Second
	})
	r.start("one")
	r.prepare()
	r.approveAndOrder("email")
	tally := r.completed(60 * time.Second)
	if tally.Told != 229 || tally.Unreachable != 1 {
		t.Errorf("tally = %+v, want 229 told and 1 unreachable", tally)
	}
	got := copies(srv)
	for to, n := range got {
		if n != 1 {
			t.Errorf("%s was written to %d times", to, n)
		}
	}
	if len(got) != 229 || got["ann7.oneil@people.example"] != 0 {
		t.Errorf("%d people were written to, want 229", len(got))
	}
}

func TestAMessageLostAfterItsContentIsInDoubtAndTheOthersAreNot(t *testing.T) {
	var mu sync.Mutex
	drop, to := true, ""
	srv := smtptest.Start(t, func(line string) string {
		mu.Lock()
		defer mu.Unlock()
		if strings.HasPrefix(line, "RCPT") {
			to = line
		}
		if line == "." && drop && strings.Contains(to, "ann3.") {
			drop = false
			return "drop"
		}
		return ""
	})
	r := newRig(t, testPeople(20), func(c *Config) {
		c.SendGrid, c.SMTP, c.SettleFor, c.Doubt.Policy = nil, ownMail(srv), time.Second, organisation.Hold
		c.SMTP.Conns = 1
	})
	r.start("one")
	r.prepare()
	r.approveAndOrder("email")
	c := r.await("one doubt that waits for a person", 30*time.Second, func(c *casefile.Case) bool {
		return len(c.Orders) > 0 && c.Orders[0].Tally != nil && c.Orders[0].Tally.States["email"]["held"] == 1
	})
	if tally := c.Orders[0].Tally; tally.Told != 19 || tally.InDoubt != 1 {
		t.Errorf("tally = %+v, want 19 told and 1 in doubt", tally)
	}
}

func TestTheOwnMailServerStandsInWhileSendGridRefusesOurAccount(t *testing.T) {
	srv := smtptest.Start(t, usualMail)
	refusing := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "{}", http.StatusForbidden) }))
	r := newRig(t, testPeople(150), func(c *Config) {
		c.SendGrid.Host, c.SMTP, c.SettleFor = refusing, ownMail(srv), time.Second
	})
	r.start("one")
	r.prepare()
	r.approveAndOrder("email")
	if tally := r.completed(60 * time.Second); tally.Told != 150 {
		t.Errorf("tally = %+v, want 150 told", tally)
	}
	if got := copies(srv); len(got) != 150 || len(srv.Took()) != 150 {
		t.Errorf("%d messages to %d people, want 150 to 150", len(srv.Took()), len(got))
	}
}

// What may already have left by one account never leaves by another.
func TestADoubtfulMessageIsNotSentThroughAnotherAccount(t *testing.T) {
	srv := smtptest.Start(t, usualMail)
	r := newRig(t, testPeople(3), func(c *Config) { c.SMTP = ownMail(srv) })
	s, _ := r.start("one")
	rows := []message{{person: 5, flags: flagDuplicate}, {person: 8}}
	closed := time.Now().Add(time.Minute).UnixMicro()
	if _, err := r.db.ExecContext(t.Context(), `INSERT INTO bucket (name, next_at) VALUES ($1,$2)`, s.accountNamed("sendgrid").shutter(), closed); err != nil {
		t.Fatal(err)
	}
	account, now, err := s.route(t.Context(), Email, rows)
	if err != nil || account.name != ownServer || len(now) != 1 || now[0].person != 8 {
		t.Errorf("route = %+v with %+v, %v; want only person 8 through the own server", account, now, err)
	}
	account, now, err = s.route(t.Context(), Email, rows[:1])
	if err != nil || account.name != "sendgrid" || len(now) != 1 {
		t.Errorf("route = %+v with %+v, %v; want the doubtful one to wait for SendGrid", account, now, err)
	}
}
