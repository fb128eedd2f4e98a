package smtp

import (
	"errors"
	"io"
	"net"
	"net/textproto"
	"strings"
	"syscall"
	"time"

	gomail "github.com/wneessen/go-mail"

	"tocsin.dev/services/notice/carrier"
)

// deferral is how long a recipient waits whom the server put off: servers that
// greylist want some minutes, and refuse who comes back at once.
const deferral = time.Minute

// unconnected classifies a failure before any message was begun.
func unconnected(err error) carrier.Answer {
	var reply *textproto.Error
	var network net.Error
	switch {
	case errors.As(err, &reply) && reply.Code < 500:
		return carrier.Answer{Class: carrier.Slow, Status: reply.Code, Code: reply.Code, Detail: detail(reply.Code, "", "connect")}
	case errors.As(err, &reply):
		return carrier.Answer{Class: carrier.Account, Status: reply.Code, Code: reply.Code, Detail: detail(reply.Code, "", "connect")}
	case errors.As(err, &network), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return carrier.Answer{Class: carrier.NotSent, Detail: "no connection"}
	}
	// What is left is TLS or AUTH that the two sides cannot agree on.
	return carrier.Answer{Class: carrier.Account, Detail: "the server does not offer the TLS or AUTH that is configured, or its certificate is not trusted"}
}

// classify says what a failed message proves, and whether its connection can be
// used again. A reply of 4xx or 5xx is a statement of the server that it did not
// take the message (RFC 5321, 4.2.1); without a reply, all that came before
// the content is provably not sent, and everything after is in doubt.
func classify(err error) (a carrier.Answer, usable bool) {
	var failed *gomail.SendError
	if !errors.As(err, &failed) {
		return carrier.Answer{Class: carrier.InDoubt, Detail: "no answer"}, false
	}
	code, enhanced := failed.ErrorCode(), failed.EnhancedStatusCode()
	where, begun := "connection", false
	switch failed.Reason {
	case gomail.ErrSMTPMailFrom:
		where = "MAIL FROM"
	case gomail.ErrSMTPRcptTo:
		where = "RCPT TO"
	case gomail.ErrSMTPData:
		where = "DATA"
	case gomail.ErrWriteContent:
		where, begun, code = "content", true, 0
	case gomail.ErrSMTPDataClose:
		where, begun = "end of content", true
	case gomail.ErrConnCheck:
	default:
		where, begun = "an unknown step", true
	}
	a = carrier.Answer{Status: code, Code: code, Detail: detail(code, enhanced, where)}
	switch {
	case code == 0 && begun:
		a.Class = carrier.InDoubt
	case code == 0:
		a.Class = carrier.NotSent
	case code == 421: // the server closes the connection
		a.Class = carrier.Slow
	case code < 500 && (where == "RCPT TO" || begun):
		a.Class, a.RetryAfter = carrier.NotSent, deferral
	case code < 500:
		a.Class = carrier.Slow
	case ours(code, enhanced, where, err):
		a.Class = carrier.Account
	default:
		a.Class, a.Meaning = carrier.Refused, meaning(code, enhanced, begun)
	}
	return a, code != 0 && code != 421
}

// ours reports whether a 5xx is about us and not about the recipient: to take it
// for the recipient's would mark a whole list as unreachable.
func ours(code int, enhanced, where string, err error) bool {
	switch code {
	case 530, 534, 535, 538: // authentication is wanted
		return true
	}
	if where == "MAIL FROM" || enhanced == "5.7.0" || enhanced == "5.7.8" {
		return true
	}
	return where == "RCPT TO" && strings.Contains(strings.ToLower(err.Error()), "relay")
}

// meaning reads a refusal by its enhanced code (RFC 3463), else by its basic one.
func meaning(code int, enhanced string, begun bool) carrier.Meaning {
	switch {
	case enhanced == "5.2.2", code == 552 && !begun: // the mailbox is full
		return carrier.Soft
	case strings.HasPrefix(enhanced, "5.1."), strings.HasPrefix(enhanced, "5.2."):
		return carrier.Hard
	case strings.HasPrefix(enhanced, "5.7."), begun, code == 554:
		return carrier.Blocked
	}
	return carrier.Hard
}
