package smtp

import (
	"encoding/base64"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tocsin.dev/services/notice/carrier"
	"tocsin.dev/services/notice/smtp/smtptest"
)

var bounceNow = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

const original = "Message-ID: <AQIDAAAAAAAAAAAAAAAAAA.7.2@tocsin.test>\r\n" + HeaderNotice + ": AQIDAAAAAAAAAAAAAAAAAA 7.2\r\nTo: <ann@people.example>\r\nSubject: About your data\r\n\r\nDear Ann\r\n"

// dsn writes a delivery status notification as Postfix does.
func dsn(status string, about string) string {
	return crlf(`From: MAILER-DAEMON@mx.example (Mail Delivery System)
To: notices@tidewater.example
Subject: Undelivered Mail Returned to Sender
Date: Sat, 28 Nov 2026 10:05:00 +0000
Content-Type: multipart/report; report-type=delivery-status; boundary="b1"

--b1
Content-Type: text/plain

I'm sorry to have to inform you that your message could not be delivered.
<ann@people.example>: host mx.people.example said: 550 5.1.1 unknown

--b1
Content-Type: message/delivery-status
`) + status + crlf(`
--b1
Content-Type: message/rfc822

`) + about + "\r\n--b1--\r\n"
}

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

func fields(action, status, diagnostic string) string {
	return crlf("\nReporting-MTA: dns; mx.example\nArrival-Date: Sat, 28 Nov 2026 10:00:00 +0000\n\n" +
		"Final-Recipient: rfc822; ann@people.example\nAction: " + action + "\nStatus: " + status +
		"\nLast-Attempt-Date: Sat, 28 Nov 2026 10:04:00 +0000\nDiagnostic-Code: " + diagnostic + "\n\n")
}

func TestWhatAMessageThatCameBackMeans(t *testing.T) {
	plain := func(headers, body string) string { return crlf(headers+"\n\n"+body+"\n\n") + original }
	encoded := strings.Replace(dsn("", original), "message/delivery-status\r\n", "message/delivery-status\r\nContent-Transfer-Encoding: base64\r\n\r\n"+
		base64.StdEncoding.EncodeToString([]byte(strings.TrimLeft(fields("failed", "5.2.2", "smtp; 552 5.2.2 over quota"), "\r\n")))+"\r\n", 1)
	for name, row := range map[string]struct {
		raw  string
		want carrier.Meaning
		code int
	}{
		"an unknown mailbox":         {dsn(fields("failed", "5.1.1", "smtp; 550 5.1.1 <ann@people.example> unknown"), original), carrier.Hard, 511},
		"a full mailbox":             {dsn(fields("failed", "5.2.2", "smtp; 552 5.2.2 over quota"), original), carrier.Soft, 522},
		"a policy":                   {dsn(fields("failed", "5.7.1", "smtp; 554 5.7.1 no"), original), carrier.Blocked, 571},
		"given up after days":        {dsn(fields("failed", "4.4.7", "smtp; connection timed out"), original), carrier.Expired, 447},
		"a status that says nothing": {dsn(fields("failed", "5.0.0", "smtp; 550 5.7.1 spam"), original), carrier.Blocked, 571},
		"a basic code alone":         {dsn(fields("failed", "5.0.0", "smtp; 550 user unknown"), original), carrier.Hard, 550},
		"no code at all":             {dsn(fields("failed", "", "x-unix; 69"), original), carrier.Unknown, 0},
		"a delay":                    {dsn(fields("delayed", "4.4.1", "smtp; no answer"), original), carrier.Deferred, 441},
		"a delivery":                 {dsn(fields("delivered", "2.1.5", "smtp; 250 ok"), original), carrier.Delivered, 0},
		"handed on without receipts": {dsn(fields("relayed", "2.1.9", "smtp; 250 ok"), original), carrier.Processed, 0},
		"a report in base64":         {encoded, carrier.Soft, 522},
		"a report that is cut off":   {strings.TrimSuffix(dsn(fields("failed", "5.1.1", "smtp; 550 5.1.1 unknown"), original), "Ann\r\n\r\n--b1--\r\n"), carrier.Hard, 511},
		"the words of qmail":         {plain("From: MAILER-DAEMON@mx.example\nSubject: failure notice", "Hi. This is the qmail-send program at mx.example.\nThis is a permanent error; I've given up. Sorry.\n\n<ann@people.example>:\n192.0.2.1 does not like recipient.\nRemote host said: 550 5.1.1 unknown\n\n--- Below this line is a copy of the message."), carrier.Hard, 511},
		"the words of Exim":          {plain("From: Mail Delivery System <Mailer-Daemon@mx.example>\nX-Failed-Recipients: ann@people.example\nSubject: Mail delivery failed", "A message that you sent could not be delivered.\n  ann@people.example\n    Unrouteable address"), carrier.Unknown, 0},
		"a warning in words":         {plain("From: Mailer-Daemon@mx.example\nSubject: Warning: message delayed 24 hours", "451 4.7.1 try later"), carrier.Deferred, 471},
		"words without a code":       {plain("From: postmaster@mx.example\nSubject: Undeliverable", "Your message was not welcome."), carrier.Ignored, 0},
		"an answer of a person":      {plain("From: Ann <ann@people.example>\nSubject: Re: About your data", "What does 550 5.1.1 mean?"), carrier.Ignored, 0},
		"an out-of-office reply":     {plain("From: Ann <ann@people.example>\nAuto-Submitted: auto-replied\nReturn-Path: <>\nSubject: Away", "I am away until 500 - call 550 5.1.1"), carrier.Ignored, 0},
		"a complaint":                {crlf("From: abuse@isp.example\nContent-Type: multipart/report; report-type=feedback-report; boundary=\"b1\"\n\n--b1\nContent-Type: message/feedback-report\n\nFeedback-Type: abuse\n\n--b1\nContent-Type: message/rfc822\n\n") + original, carrier.Complained, 0},
	} {
		r, ours, err := ReadBounce([]byte(row.raw), bounceNow)
		if err != nil || !ours || r.Meaning != row.want || r.Code != row.code {
			t.Errorf("%s: %v (%d), ours %v, %v; want %v (%d)", name, r.Meaning, r.Code, ours, err, row.want, row.code)
		}
		if (r.Notice != carrier.ID{1, 2, 3}) || r.Attempt != 7 || r.Pos != 2 {
			t.Errorf("%s: names %v %d.%d", name, r.Notice, r.Attempt, r.Pos)
		}
	}
}

func TestABounceIsDatedByTheLastAttemptAndNeverAheadOfNow(t *testing.T) {
	r, _, err := ReadBounce([]byte(dsn(fields("failed", "5.1.1", "x"), original)), bounceNow)
	if want := time.Date(2026, 11, 28, 10, 4, 0, 0, time.UTC); err != nil || !r.At.Equal(want) {
		t.Errorf("dated %v, %v; want %v", r.At, err, want)
	}
	r, _, err = ReadBounce([]byte(dsn(fields("failed", "5.1.1", "x"), original)), bounceNow.AddDate(-1, 0, 0))
	if err != nil || !r.At.IsZero() {
		t.Errorf("a date ahead of now is believed: %v, %v", r.At, err)
	}
}

func TestABounceIsKnownByItsReturnPathAlone(t *testing.T) {
	var from atomic.Value
	s := smtptest.Start(t, func(line string) string {
		if rest, ok := strings.CutPrefix(line, "MAIL FROM:<"); ok {
			rest, _, _ = strings.Cut(rest, ">")
			from.Store(rest)
		}
		return ""
	})
	c, err := New(Config{Host: "127.0.0.1", Port: s.Port(), TLS: "none", EHLO: "tocsin.test", ReturnPath: "bounces@tidewater.example", Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	back := c.returnPath(letterTo("ann@people.example"))
	if local, _, _ := strings.Cut(back, "@"); len(local) > 64 || strings.Contains(back, "ann") || !strings.HasPrefix(back, "bounces+") {
		t.Errorf("the return path is %q", back)
	}
	for _, to := range []string{back, strings.ToUpper(back)} {
		r, ours, err := ReadBounce([]byte(strings.Replace(dsn(fields("failed", "5.1.1", "x"), "nothing of the original"), "notices@tidewater.example", to, 1)), bounceNow)
		if err != nil || !ours || (r.Notice != carrier.ID{1, 2, 3}) || r.Attempt != 7 || r.Pos != 2 {
			t.Errorf("%s names %v %d.%d, ours %v, %v", to, r.Notice, r.Attempt, r.Pos, ours, err)
		}
	}
	if a := c.Send(t.Context(), letterTo("ann@people.example")); a.Class != carrier.Accepted {
		t.Errorf("with a return path: %+v", a)
	}
	if got := from.Load(); got != back {
		t.Errorf("MAIL FROM is %v, want %s", got, back)
	}
	if _, err := New(Config{Host: "x", ReturnPath: "Bounces <bounces@tidewater.example>", Now: time.Now}); err == nil {
		t.Error("a return path with a name is taken")
	}
}

func TestWhatNamesNoNoticeOrIsNoMessageIsToldApart(t *testing.T) {
	if _, ours, err := ReadBounce([]byte(dsn(fields("failed", "5.1.1", "x"), "Subject: somebody else's\r\n\r\n")), bounceNow); err != nil || ours {
		t.Errorf("a bounce of another message: ours %v, %v", ours, err)
	}
	for _, raw := range []string{"", "not a message", "\r\n\r\n"} {
		if _, _, err := ReadBounce([]byte(raw), bounceNow); !errors.Is(err, ErrNotMessage) {
			t.Errorf("%q: %v", raw, err)
		}
	}
}

func FuzzReadBounce(f *testing.F) {
	f.Add([]byte(dsn(fields("failed", "5.1.1", "smtp; 550 5.1.1 unknown"), original)))
	f.Add([]byte("From: MAILER-DAEMON@x\r\n\r\n550 5.1.1 " + original))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, ours, err := ReadBounce(raw, bounceNow)
		if err == nil && ours && (r.Attempt <= 0 || r.Pos < 0) {
			t.Errorf("names attempt %d.%d", r.Attempt, r.Pos)
		}
		if err == nil && r.Meaning == 0 {
			t.Error("means nothing, not even that it is ignored")
		}
	})
}
