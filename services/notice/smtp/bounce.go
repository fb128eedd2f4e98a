package smtp

import (
	"bufio"
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"net/textproto"
	"regexp"
	"strconv"
	"strings"
	"time"

	"tocsin.dev/services/notice/carrier"
)

// MaxBounce is the most bytes of a message that came back. What matters comes
// first in it; the original message, if it is whole, comes last.
const MaxBounce = 1 << 20

// ErrNotMessage means that what was posted is no message at all.
var ErrNotMessage = errors.New("not an email message (RFC 5322)")

// ReadBounce reads a message that came back: a delivery status notification
// (RFC 3464), a complaint (RFC 5965), or the plain words of servers that write
// neither. ours is false when it names no notice of ours; the meaning is Ignored
// when it says nothing about delivery, as an out-of-office reply does. Only our
// id, the status and the instant are taken; whom it was for is not looked at.
func ReadBounce(raw []byte, now time.Time) (r carrier.Receipt, ours bool, err error) {
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil || len(m.Header) == 0 {
		return r, false, ErrNotMessage
	}
	r, ours = named(raw)
	b := bounce{now: now, r: &r}
	b.r.Meaning = carrier.Ignored
	b.read(m)
	return r, ours, nil
}

// How a bounce may name our notice, the surest first: the address it came back
// to, our header in the original, its Message-ID.
var (
	byReturnPath = regexp.MustCompile(`(?i)\+([0-9a-v]{26})\.([1-9][0-9]{0,17}\.[0-9]{1,5})@`)
	byHeader     = regexp.MustCompile(`(?i)` + HeaderNotice + `:\s*((?-i:[A-Za-z0-9_-]{22}))\s+([1-9][0-9]{0,17}\.[0-9]{1,5})`)
	byMessageID  = regexp.MustCompile(`<([A-Za-z0-9_-]{22})\.([1-9][0-9]{0,17}\.[0-9]{1,5})@`)
)

// verp spells a notice id in an address, whose letters may change case on the way.
var verp = base32.HexEncoding.WithPadding(base32.NoPadding)

func named(raw []byte) (r carrier.Receipt, ok bool) {
	if m := byReturnPath.FindSubmatch(raw); m != nil {
		id, err := verp.DecodeString(strings.ToUpper(string(m[1])))
		if err == nil && len(id) == len(r.Notice) {
			copy(r.Notice[:], id)
			return r, place(&r, m[2])
		}
	}
	for _, form := range []*regexp.Regexp{byHeader, byMessageID} {
		if m := form.FindSubmatch(raw); m != nil {
			if id, err := carrier.ParseID(string(m[1])); err == nil {
				r.Notice = id
				return r, place(&r, m[2])
			}
		}
	}
	return r, false
}

func place(r *carrier.Receipt, s []byte) bool {
	var err error
	r.Attempt, r.Pos, err = carrier.ParseAttempt(string(s))
	return err == nil
}

// bounce is one message being read into a receipt.
type bounce struct {
	now time.Time
	r   *carrier.Receipt
}

func (b *bounce) read(m *mail.Message) {
	if at, err := m.Header.Date(); err == nil {
		b.at(at)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	report := strings.ToLower(params["report-type"])
	switch {
	case err == nil && kind == "multipart/report" && report == "feedback-report":
		b.r.Meaning = carrier.Complained
	case err == nil && kind == "multipart/report" && report == "delivery-status":
		b.report(multipart.NewReader(m.Body, params["boundary"]))
	case strings.HasPrefix(strings.ToLower(m.Header.Get("Auto-Submitted")), "auto-replied"):
	default:
		b.plain(m)
	}
}

// at takes an instant if it can be true.
func (b *bounce) at(t time.Time) {
	if !t.After(b.now.Add(time.Hour)) {
		b.r.At = t.UTC()
	}
}

// report reads the machine's part of a delivery status notification.
func (b *bounce) report(parts *multipart.Reader) {
	for {
		p, err := parts.NextPart()
		if err != nil {
			return // the end, or cut off
		}
		kind, _, _ := mime.ParseMediaType(p.Header.Get("Content-Type"))
		if kind != "message/delivery-status" && kind != "message/global-delivery-status" {
			continue
		}
		var body io.Reader = p
		if strings.EqualFold(p.Header.Get("Content-Transfer-Encoding"), "base64") {
			body = base64.NewDecoder(base64.StdEncoding, p)
		}
		b.groups(textproto.NewReader(bufio.NewReader(body)))
		return
	}
}

// groups reads the fields about the message and then those about its recipient.
// We write to one person at a time, so the first failure is theirs.
func (b *bounce) groups(in *textproto.Reader) {
	for {
		f, err := in.ReadMIMEHeader()
		if at, bad := mail.ParseDate(f.Get("Last-Attempt-Date")); bad == nil {
			b.at(at)
		}
		if action := strings.ToLower(strings.TrimSpace(f.Get("Action"))); action != "" && !b.r.Meaning.Failed() {
			b.action(action, f)
		}
		if err != nil {
			return
		}
	}
}

var (
	enhancedIn = regexp.MustCompile(`(?:^|[\s(#;:\[])([245]\.[0-9]{1,3}\.[0-9]{1,3})(?:[\s);:,\]]|$)`)
	basicIn    = regexp.MustCompile(`(?m)(?:^|[\s:;>])([45][0-9]{2})[ -]`)
)

func (b *bounce) action(action string, f textproto.MIMEHeader) {
	status := ""
	if m := enhancedIn.FindStringSubmatch(f.Get("Status")); m != nil {
		status = m[1]
	}
	said := f.Get("Diagnostic-Code")
	switch action {
	case "delivered":
		b.r.Meaning = carrier.Delivered
	case "relayed", "expanded": // on its way to where no receipts are made
		b.r.Meaning = carrier.Processed
	case "delayed":
		b.r.Meaning, b.r.Code = carrier.Deferred, carrier.EnhancedCode(status)
	case "failed":
		b.r.Meaning, b.r.Code = failed(status, said)
	}
}

// failed says what a failure means: by its enhanced status, else by what the
// other server said. Status 5.0.0 says no more than that it failed.
func failed(status, said string) (carrier.Meaning, int) {
	if m := enhancedIn.FindStringSubmatch(said); m != nil && (status == "" || strings.HasSuffix(status, ".0.0")) {
		status = m[1]
	}
	code := 0
	if m := basicIn.FindStringSubmatch(said); m != nil {
		code, _ = strconv.Atoi(m[1]) // three digits
	}
	m, known := carrier.Enhanced(status)
	switch {
	case known && (!strings.HasSuffix(status, ".0.0") || code == 0):
		return m, carrier.EnhancedCode(status)
	case code >= 500:
		return meaning(code, status, false), code
	case code >= 400:
		return carrier.Soft, code
	}
	return carrier.Unknown, 0
}

// plain reads the words of servers that write no report, such as qmail and older
// Exim: it must come from a mail server and name a code or say that it failed.
func (b *bounce) plain(m *mail.Message) {
	from, to := strings.ToLower(m.Header.Get("From")), m.Header.Get("X-Failed-Recipients")
	machine := to != "" || strings.TrimSpace(m.Header.Get("Return-Path")) == "<>" || strings.Contains(from, "mailer-daemon") || strings.Contains(from, "postmaster")
	if !machine {
		return
	}
	text, err := io.ReadAll(io.LimitReader(m.Body, 64<<10))
	if err != nil {
		return
	}
	words := string(text)
	for _, begins := range []string{HeaderNotice, "\nMessage-ID:", "\nMessage-Id:", "--- Below this line is a copy"} {
		words, _, _ = strings.Cut(words, begins) // the rest is our own message
	}
	meant, code := failed("", words)
	subject := strings.ToLower(m.Header.Get("Subject"))
	switch {
	case strings.Contains(subject, "delayed") || strings.Contains(subject, "warning"):
		b.r.Meaning, b.r.Code = carrier.Deferred, code
	case code != 0:
		b.r.Meaning, b.r.Code = meant, code
	case to != "" || strings.Contains(words, "permanent error"):
		b.r.Meaning = carrier.Unknown
	}
}

// returnPath is the address to which a message comes back if it cannot be
// delivered; it names the notice and nobody. Without a configured one it is "".
func (c *Client) returnPath(m Mail) string {
	local, domain, ok := strings.Cut(c.cfg.ReturnPath, "@")
	if !ok {
		return ""
	}
	at := carrier.AppendAttempt(nil, m.Attempt, m.Pos)
	return local + "+" + strings.ToLower(verp.EncodeToString(m.Notice[:])) + "." + string(at) + "@" + domain
}
