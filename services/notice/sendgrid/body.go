package sendgrid

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"tocsin.dev/services/notice/carrier"
)

// Limits of POST /v3/mail/send, from SendGrid's reference.
const (
	// MaxRecipients is the most personalizations of one request.
	MaxRecipients = 1000
	// MaxSubstitutions is the most bytes of tags and values of one personalization.
	MaxSubstitutions = 10_000
	// MaxBody is the most bytes of one request.
	MaxBody = 30 << 20
)

// tagMark begins every substitution tag. A value that contains it could be
// substituted a second time, so such a value is never sent as one (see Clean).
const tagMark = "-tocsin:"

// textTags and htmlTags are the tags of the first slots. A slot has two,
// because the same value is written differently in plain text and in HTML.
var (
	textTags = tags('t')
	htmlTags = tags('h')
)

func tags(kind byte) (all [16]string) {
	for i := range all {
		all[i] = tagMark + string(kind) + strconv.Itoa(i) + "-"
	}
	return all
}

// TextTag returns the tag of slot i in subject and plain text. There are 16 slots.
func TextTag(i int) string { return textTags[i] }

// HTMLTag returns the tag of slot i in HTML.
func HTMLTag(i int) string { return htmlTags[i] }

// MaxSlots is the number of slots a text can have.
const MaxSlots = len(textTags)

// Clean reports whether a value or text can be sent beside substitution tags
// without being mistaken for one.
func Clean(s string) bool { return !strings.Contains(s, tagMark) }

// Bypass says which of SendGrid's suppression lists a mail passes over. It is
// an explicit decision per sending: a legally required notice is not stopped
// by a marketing opt-out.
type Bypass uint8

// The choices.
const (
	BypassNone Bypass = iota
	// BypassUnsubscribes passes over unsubscribes and spam reports; bounces still stop a mail.
	BypassUnsubscribes
	// BypassAll passes over every list, bounces included.
	BypassAll
)

// Envelope is what all recipients of one request share.
type Envelope struct {
	FromEmail, FromName, ReplyTo string
	// Subject, Text and HTML hold TextTag and HTMLTag where a person's value goes.
	Subject, Text, HTML string
	// Categories are stored long by SendGrid: no personal data. At most 10.
	Categories []string
}

// Handling is what SendGrid is to do with one request, whatever it says.
type Handling struct {
	Bypass Bypass
	// IPPool is the name of an IP pool, or empty.
	IPPool string
	// Batch and SendAt (unix seconds) put the sending off, so that it can be cancelled until then.
	Batch  string
	SendAt int64
}

// Body writes the body of one request. The zero value is ready; Reset makes it
// ready again and keeps its memory.
type Body struct {
	buf  []byte
	n    int
	slot int // substitutions written for the recipient under way
	size int // bytes of its tags and values, as SendGrid counts them
}

// Reset begins a new body.
func (b *Body) Reset() {
	b.buf = append(b.buf[:0], `{"personalizations":[`...)
	b.n = 0
}

// Recipients returns how many recipients the body has.
func (b *Body) Recipients() int { return b.n }

// Open begins a recipient. Values follow, then Close.
func (b *Body) Open(email string, notice carrier.ID, attempt int64) {
	if b.n > 0 {
		b.buf = append(b.buf, ',')
	}
	b.buf = append(b.buf, `{"to":[{"email":"`...)
	b.buf = appendString(b.buf, email)
	b.buf = append(b.buf, `"}],"custom_args":{"n":"`...)
	b.buf = notice.Append(b.buf)
	b.buf = append(b.buf, `","b":"`...)
	b.buf = carrier.AppendAttempt(b.buf, attempt, b.n)
	b.buf = append(b.buf, `"}`...)
	b.slot, b.size = 0, 0
}

// Value gives the open recipient its value of slot i.
func (b *Body) Value(i int, value string) {
	b.next(textTags[i])
	b.buf = appendString(b.buf, value)
	b.next(htmlTags[i])
	b.buf = appendHTML(b.buf, value)
	b.size += 2 * len(value)
}

func (b *Body) next(tag string) {
	switch b.slot {
	case 0:
		b.buf = append(b.buf, `,"substitutions":{"`...)
	default:
		b.buf = append(b.buf, `","`...)
	}
	b.slot++
	b.size += len(tag)
	b.buf = append(b.buf, tag...) // tags need no escape
	b.buf = append(b.buf, `":"`...)
}

// Close ends the open recipient.
func (b *Body) Close() {
	if b.slot > 0 {
		b.buf = append(b.buf, `"}`...)
	}
	b.buf = append(b.buf, '}')
	b.n++
}

// Finish appends handling and envelope and returns the whole body, valid until the next Reset.
func (b *Body) Finish(h Handling, tail []byte) []byte {
	b.buf = h.append(append(b.buf, ']'))
	b.buf = append(b.buf, tail...)
	return b.buf
}

// Tail encodes an envelope once for all requests that share it.
func (e *Envelope) Tail() []byte {
	t := append([]byte(nil), `,"from":{"email":"`...)
	t = appendString(t, e.FromEmail)
	if e.FromName != "" {
		t = append(t, `","name":"`...)
		t = appendString(t, displayName(e.FromName))
	}
	t = append(t, `"}`...)
	if e.ReplyTo != "" {
		t = append(t, `,"reply_to":{"email":"`...)
		t = append(appendString(t, e.ReplyTo), `"}`...)
	}
	t = append(appendString(append(t, `,"subject":"`...), e.Subject), '"')
	t = append(t, `,"content":[{"type":"text/plain","value":"`...)
	t = append(appendString(t, e.Text), `"}`...)
	if e.HTML != "" {
		t = append(t, `,{"type":"text/html","value":"`...)
		t = append(appendString(t, e.HTML), `"}`...)
	}
	t = append(t, ']')
	lead := `,"categories":["`
	for _, c := range e.Categories {
		t = append(appendString(append(t, lead...), c), '"')
		lead = `,"`
	}
	if len(e.Categories) > 0 {
		t = append(t, ']')
	}
	// No tracking of any kind: a notice about a breach does not watch its reader.
	return append(t, `,"tracking_settings":{"click_tracking":{"enable":false,"enable_text":false},`+
		`"open_tracking":{"enable":false},"subscription_tracking":{"enable":false},"ganalytics":{"enable":false}}}`...)
}

// append writes the handling as members of the request.
func (h *Handling) append(b []byte) []byte {
	if h.IPPool != "" {
		b = append(appendString(append(b, `,"ip_pool_name":"`...), h.IPPool), '"')
	}
	if h.Batch != "" {
		b = append(appendString(append(b, `,"batch_id":"`...), h.Batch), '"')
	}
	if h.SendAt != 0 {
		b = strconv.AppendInt(append(b, `,"send_at":`...), h.SendAt, 10)
	}
	switch h.Bypass {
	case BypassAll:
		b = append(b, `,"mail_settings":{"bypass_list_management":{"enable":true}}`...)
	case BypassUnsubscribes:
		b = append(b, `,"mail_settings":{"bypass_spam_management":{"enable":true},"bypass_unsubscribe_management":{"enable":true}}`...)
	}
	return b
}

// displayName drops what SendGrid refuses in a name.
func displayName(s string) string {
	return strings.Map(func(r rune) rune {
		if r == ';' || r == ',' || r < ' ' {
			return ' '
		}
		return r
	}, s)
}

const hexDigits = "0123456789abcdef"

// appendString appends s as the inside of a JSON string.
func appendString(b []byte, s string) []byte {
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c < utf8.RuneSelf {
			b = append(b, s[start:i]...)
			b = appendEscaped(b, c)
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			b = append(append(b, s[start:i]...), "\uFFFD"...)
			start = i + 1
		}
		i += size
	}
	return append(b, s[start:]...)
}

func appendEscaped(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	}
	return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}

// appendHTML appends s as the inside of a JSON string, escaped for HTML as html.EscapeString does.
func appendHTML(b []byte, s string) []byte {
	start := 0
	for i := 0; i < len(s); i++ {
		var esc string
		switch s[i] {
		case '&':
			esc = "&amp;"
		case '<':
			esc = "&lt;"
		case '>':
			esc = "&gt;"
		case '"':
			esc = "&#34;"
		case '\'':
			esc = "&#39;"
		default:
			continue
		}
		b = appendString(b, s[start:i])
		b = append(b, esc...)
		start = i + 1
	}
	return appendString(b, s[start:])
}

// Size returns the bytes of tags and values of the recipient closed last, as
// SendGrid counts them against MaxSubstitutions; HTML escapes come on top.
func (b *Body) Size() int { return b.size }
