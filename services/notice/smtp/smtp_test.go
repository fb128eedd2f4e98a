package smtp

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tocsin.dev/services/notice/carrier"
)

// server is a small mail server: it answers as its rules say and keeps what it took.
type server struct {
	mu     sync.Mutex
	conns  int
	took   []string
	reply  func(line string) string // "" is the usual answer, "drop" closes
	listen net.Listener
}

func startServer(t *testing.T, reply func(line string) string) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{reply: reply, listen: l}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { s.serve(c) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); all.Wait() }) // the client closes first
	return s
}

func (s *server) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	s.mu.Lock()
	s.conns++
	s.mu.Unlock()
	in := bufio.NewScanner(c)
	say := func(line string) { _, _ = fmt.Fprintf(c, "%s\r\n", line) }
	say("220 mail.test ESMTP")
	for in.Scan() {
		line := in.Text()
		if r := s.reply(line); r == "drop" {
			return
		} else if r != "" {
			say(r)
			continue
		}
		switch {
		case strings.HasPrefix(line, "EHLO"):
			say("250-mail.test\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES")
		case line == "DATA":
			say("354 go on")
			var body strings.Builder
			for in.Scan() && in.Text() != "." {
				body.WriteString(in.Text() + "\n")
			}
			switch r := s.reply("."); r {
			case "drop":
				return
			case "":
				s.mu.Lock()
				s.took = append(s.took, body.String())
				s.mu.Unlock()
				say("250 2.0.0 queued")
			default:
				say(r)
			}
		case line == "QUIT":
			say("221 bye")
			return
		default:
			say("250 2.0.0 ok")
		}
	}
}

func (s *server) client(t *testing.T) *Client {
	t.Helper()
	addr, ok := s.listen.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatal("no TCP address")
	}
	c, err := New(Config{Host: "127.0.0.1", Port: addr.Port, TLS: "none", EHLO: "tocsin.test", Conns: 1, Timeout: 5 * time.Second, Now: time.Now})
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
	s := startServer(t, usual)
	c := s.client(t)
	id := carrier.ID{1, 2, 3}.String()
	for range 5 {
		a := c.Send(t.Context(), letterTo("ann@people.example"))
		if a.Class != carrier.Accepted || !strings.Contains(a.ID, id) {
			t.Fatalf("answer = %+v, want accepted with the notice id", a)
		}
	}
	if s.conns != 1 || len(s.took) != 5 {
		t.Errorf("%d messages over %d connections, want 5 over 1", len(s.took), s.conns)
	}
	for _, want := range []string{"Message-ID: <" + id + ".7.2@tocsin.test>", HeaderNotice + ": " + id + " 7.2", "Auto-Submitted: auto-generated", "To: <ann@people.example>"} {
		if !strings.Contains(s.took[0], want) {
			t.Errorf("the message lacks %q:\n%s", want, s.took[0])
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
			s := startServer(t, func(line string) string {
				if strings.HasPrefix(line, row.at) || row.at == "EHLO" && strings.HasPrefix(line, "HELO") {
					return row.reply
				}
				return ""
			})
			a := s.client(t).Send(t.Context(), letterTo("bea@people.example"))
			if a.Class != row.want || a.Meaning != row.meaning || (a.RetryAfter > 0) != row.later {
				t.Errorf("answer = %+v, want %v %v", a, row.want, row.meaning)
			}
			if strings.Contains(a.Detail, "people.example") || strings.Contains(a.Detail, "bea") {
				t.Errorf("the detail quotes an address: %s", a.Detail)
			}
			if len(s.took) != 0 {
				t.Error("the server took the message")
			}
		})
	}
}

func TestOneRefusedRecipientDoesNotStopTheNext(t *testing.T) {
	s := startServer(t, func(line string) string {
		if strings.Contains(line, "RCPT TO:<bea@") {
			return "550 5.1.1 unknown"
		}
		return ""
	})
	c := s.client(t)
	var got []carrier.Class
	for _, to := range []string{"ann@people.example", "bea@people.example", "cy@people.example"} {
		got = append(got, c.Send(t.Context(), letterTo(to)).Class)
	}
	if got[0] != carrier.Accepted || got[1] != carrier.Refused || got[2] != carrier.Accepted || s.conns != 1 {
		t.Errorf("answers = %v over %d connections", got, s.conns)
	}
}

func TestAConnectionThatTheServerClosedIsOpenedAnew(t *testing.T) {
	var mails atomic.Int32
	s := startServer(t, func(line string) string {
		if strings.HasPrefix(line, "MAIL") {
			if mails.Add(1) == 2 {
				return "drop"
			}
		}
		return ""
	})
	c := s.client(t)
	for range 2 {
		if a := c.Send(t.Context(), letterTo("ann@people.example")); a.Class != carrier.Accepted {
			t.Fatalf("answer = %+v, want accepted", a)
		}
	}
	if len(s.took) != 2 || s.conns != 2 {
		t.Errorf("%d messages over %d connections, want 2 over 2", len(s.took), s.conns)
	}
}

func TestNoMailLeavesWithoutTheTLSThatIsDemanded(t *testing.T) {
	s := startServer(t, usual)
	c := s.client(t)
	c.Close()
	addr, _ := s.listen.Addr().(*net.TCPAddr)
	strict, err := New(Config{Host: "127.0.0.1", Port: addr.Port, EHLO: "tocsin.test", Timeout: 5 * time.Second, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if a := strict.Send(t.Context(), letterTo("ann@people.example")); a.Class != carrier.Account || len(s.took) != 0 {
		t.Errorf("answer = %+v and %d messages, want our account at fault and none", a, len(s.took))
	}
}
