package smtp

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tocsin.dev/services/notice/carrier"
	"tocsin.dev/services/notice/smtp/smtptest"
)

func client(t *testing.T, s *smtptest.Server) *Client {
	t.Helper()
	c, err := New(Config{Host: "127.0.0.1", Port: s.Port(), TLS: "none", EHLO: "tocsin.test", Conns: 1, Timeout: 5 * time.Second, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func letterTo(to string) Mail {
	return Mail{FromName: "Tidewater", From: "notices@tidewater.example", To: to, Subject: "Über your data", Text: "Dear Ann,\n\n.\nReference 1", HTML: "<p>Dear Ann</p>",
		Notice: carrier.ID{1, 2, 3}, Attempt: 7, Pos: 2}
}

func usual(string) string { return "" }

func TestMessagesShareAConnectionAndCarryTheNoticeID(t *testing.T) {
	s := smtptest.Start(t, usual)
	c := client(t, s)
	id := carrier.ID{1, 2, 3}.String()
	for range 5 {
		a := c.Send(t.Context(), letterTo("ann@people.example"))
		if a.Class != carrier.Accepted || !strings.Contains(a.ID, id) {
			t.Fatalf("answer = %+v, want accepted with the notice id", a)
		}
	}
	if s.Conns() != 1 || len(s.Took()) != 5 {
		t.Errorf("%d messages over %d connections, want 5 over 1", len(s.Took()), s.Conns())
	}
	for _, want := range []string{"Message-ID: <" + id + ".7.2@tocsin.test>", HeaderNotice + ": " + id + " 7.2", "Auto-Submitted: auto-generated", "To: <ann@people.example>"} {
		if !strings.Contains(s.Took()[0], want) {
			t.Errorf("the message lacks %q:\n%s", want, s.Took()[0])
		}
	}
}

func TestEachReplyProvesWhatItProvesAndQuotesNobody(t *testing.T) {
	for name, row := range map[string]struct {
		at, reply string
		want      carrier.Class
		meaning   carrier.Meaning
		later     bool
	}{
		"an unknown mailbox":        {"RCPT", "550 5.1.1 <bea@people.example> unknown", carrier.Refused, carrier.Hard, false},
		"a full mailbox":            {"RCPT", "552 5.2.2 full", carrier.Refused, carrier.Soft, false},
		"a blocked message":         {".", "554 5.7.1 content of bea@people.example refused", carrier.Refused, carrier.Blocked, false},
		"greylisting":               {"RCPT", "451 4.7.1 later", carrier.NotSent, 0, true},
		"a deferral at the end":     {".", "451 4.3.0 later", carrier.NotSent, 0, true},
		"a busy server":             {"MAIL", "452 4.3.1 no room", carrier.Slow, 0, false},
		"a server going down":       {"RCPT", "421 4.3.2 bye", carrier.Slow, 0, false},
		"no right to relay":         {"RCPT", "554 5.7.1 <bea@people.example>: Relay access denied", carrier.Account, 0, false},
		"authentication is wanted":  {"MAIL", "530 5.7.0 authenticate first", carrier.Account, 0, false},
		"our sender is refused":     {"MAIL", "550 5.1.8 sender refused", carrier.Account, 0, false},
		"greeting refused":          {"EHLO", "554 5.7.1 go away", carrier.Account, 0, false},
		"lost before the recipient": {"MAIL", "drop", carrier.NotSent, 0, false},
		"lost at the recipient":     {"RCPT", "drop", carrier.NotSent, 0, false},
		"lost at DATA":              {"DATA", "drop", carrier.NotSent, 0, false},
		"lost after the content":    {".", "drop", carrier.InDoubt, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := smtptest.Start(t, func(line string) string {
				if strings.HasPrefix(line, row.at) || row.at == "EHLO" && strings.HasPrefix(line, "HELO") {
					return row.reply
				}
				return ""
			})
			a := client(t, s).Send(t.Context(), letterTo("bea@people.example"))
			if a.Class != row.want || a.Meaning != row.meaning || (a.RetryAfter > 0) != row.later {
				t.Errorf("answer = %+v, want %v %v", a, row.want, row.meaning)
			}
			if strings.Contains(a.Detail, "people.example") || strings.Contains(a.Detail, "bea") {
				t.Errorf("the detail quotes an address: %s", a.Detail)
			}
			if len(s.Took()) != 0 {
				t.Error("the server took the message")
			}
		})
	}
}

func TestOneRefusedRecipientDoesNotStopTheNext(t *testing.T) {
	s := smtptest.Start(t, func(line string) string {
		if strings.Contains(line, "RCPT TO:<bea@") {
			return "550 5.1.1 unknown"
		}
		return ""
	})
	c := client(t, s)
	var got []carrier.Class
	for _, to := range []string{"ann@people.example", "bea@people.example", "cy@people.example"} {
		got = append(got, c.Send(t.Context(), letterTo(to)).Class)
	}
	if got[0] != carrier.Accepted || got[1] != carrier.Refused || got[2] != carrier.Accepted || s.Conns() != 1 {
		t.Errorf("answers = %v over %d connections", got, s.Conns())
	}
}

func TestAConnectionThatTheServerClosedIsOpenedAnew(t *testing.T) {
	var mails atomic.Int32
	s := smtptest.Start(t, func(line string) string {
		if strings.HasPrefix(line, "MAIL") {
			if mails.Add(1) == 2 {
				return "drop"
			}
		}
		return ""
	})
	c := client(t, s)
	for range 2 {
		if a := c.Send(t.Context(), letterTo("ann@people.example")); a.Class != carrier.Accepted {
			t.Fatalf("answer = %+v, want accepted", a)
		}
	}
	if len(s.Took()) != 2 || s.Conns() != 2 {
		t.Errorf("%d messages over %d connections, want 2 over 2", len(s.Took()), s.Conns())
	}
}

func TestNoMailLeavesWithoutTheTLSThatIsDemanded(t *testing.T) {
	s := smtptest.Start(t, usual)
	strict, err := New(Config{Host: "127.0.0.1", Port: s.Port(), EHLO: "tocsin.test", Timeout: 5 * time.Second, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if a := strict.Send(t.Context(), letterTo("ann@people.example")); a.Class != carrier.Account || len(s.Took()) != 0 {
		t.Errorf("answer = %+v and %d messages, want our account at fault and none", a, len(s.Took()))
	}
}

func TestARefusalMeansWhatItsCodeSays(t *testing.T) {
	for _, row := range []struct {
		code     int
		enhanced string
		begun    bool
		want     carrier.Meaning
	}{
		{550, "5.1.1", false, carrier.Hard}, {550, "5.1.10", false, carrier.Hard}, {550, "5.2.1", false, carrier.Hard}, {550, "", false, carrier.Hard}, {553, "", false, carrier.Hard},
		{552, "5.2.2", false, carrier.Soft}, {552, "", false, carrier.Soft}, {550, "5.2.2", true, carrier.Soft},
		{550, "5.7.1", false, carrier.Blocked}, {554, "", false, carrier.Blocked}, {552, "", true, carrier.Blocked}, {550, "5.6.0", true, carrier.Blocked},
	} {
		if got := meaning(row.code, row.enhanced, row.begun); got != row.want {
			t.Errorf("%d %s (content begun: %v) means %v, want %v", row.code, row.enhanced, row.begun, got, row.want)
		}
	}
}
