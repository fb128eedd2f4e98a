package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits of POST /v3/mail/send, from SendGrid's reference.
const (
	maxMailBytes        = 30 << 20
	maxPersonalizations = 1000
	maxRecipients       = 1000
	maxCustomArgs       = 10_000 // bytes, per personalization with the message's own
	maxSubstitutions    = 10_000 // bytes, per personalization
	maxCategories       = 10
	maxScheduleAhead    = 72 * time.Hour
)

// mailSend is the body of POST /v3/mail/send, as far as the sandbox looks at it.
type mailSend struct {
	Personalizations []personalization `json:"personalizations"`
	From             *mailAddress      `json:"from"`
	ReplyTo          *mailAddress      `json:"reply_to"`
	ReplyToList      []mailAddress     `json:"reply_to_list"`
	Subject          string            `json:"subject"`
	Content          []mailContent     `json:"content"`
	Attachments      []attachment      `json:"attachments"`
	TemplateID       string            `json:"template_id"`
	Headers          json.RawMessage   `json:"headers"`
	Categories       []string          `json:"categories"`
	CustomArgs       json.RawMessage   `json:"custom_args"`
	SendAt           int64             `json:"send_at"`
	BatchID          string            `json:"batch_id"`
	IPPoolName       *string           `json:"ip_pool_name"`
	ASM              *struct {
		GroupID         *int  `json:"group_id"`
		GroupsToDisplay []int `json:"groups_to_display"`
	} `json:"asm"`
	MailSettings mailSettings `json:"mail_settings"`
}

type personalization struct {
	From          *mailAddress    `json:"from"`
	To            []mailAddress   `json:"to"`
	CC            []mailAddress   `json:"cc"`
	BCC           []mailAddress   `json:"bcc"`
	Subject       string          `json:"subject"`
	Headers       json.RawMessage `json:"headers"`
	Substitutions json.RawMessage `json:"substitutions"`
	TemplateData  json.RawMessage `json:"dynamic_template_data"`
	CustomArgs    json.RawMessage `json:"custom_args"`
	SendAt        int64           `json:"send_at"`
}

type mailAddress struct {
	Email string `json:"email"`
	Name  string `json:"name"`
}

type mailContent struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

type attachment struct {
	Content  json.RawMessage `json:"content"`
	Filename string          `json:"filename"`
}

type toggle struct {
	Enable bool `json:"enable"`
}

type mailSettings struct {
	BypassList         toggle `json:"bypass_list_management"`
	BypassSpam         toggle `json:"bypass_spam_management"`
	BypassBounces      toggle `json:"bypass_bounce_management"`
	BypassUnsubscribes toggle `json:"bypass_unsubscribe_management"`
	Sandbox            toggle `json:"sandbox_mode"`
}

func (m mailSettings) bypass() bypass {
	if m.BypassList.Enable {
		return bypassAll
	}
	var b bypass
	if m.BypassBounces.Enable {
		b |= bypassBounces
	}
	if m.BypassSpam.Enable {
		b |= bypassSpam
	}
	if m.BypassUnsubscribes.Enable {
		b |= bypassUnsubscribes
	}
	return b
}

// mailError is one entry of SendGrid's error body. The vendor's published schema wants help to be
// an object, its servers answer a string or null; left out, it agrees with both.
type mailError struct {
	Message string `json:"message"`
	Field   string `json:"field,omitempty"`
}

// refusals collects what SendGrid would refuse; like the vendor it reports several at once.
type refusals struct{ found []mailError }

func (f *refusals) add(field, format string, args ...any) {
	if len(f.found) < 20 {
		f.found = append(f.found, mailError{Message: fmt.Sprintf(format, args...), Field: field})
	}
}

// check returns every reason SendGrid would give for refusing the whole request.
func (m *mailSend) check(now time.Time, queues *batches) []mailError {
	var f refusals
	m.checkEnvelope(&f, now)
	if m.BatchID != "" && !queues.known(m.BatchID) {
		f.add("batch_id", "The batch_id is not valid; create one with POST /v3/mail/batch.")
	}
	switch n := len(m.Personalizations); {
	case n == 0:
		f.add("personalizations", "You must have at least one personalization.")
	case n > maxPersonalizations:
		f.add("personalizations", "The personalization block is limited to %d personalizations per API request. You have provided %d personalizations.", maxPersonalizations, n)
		return f.found
	}
	recipients, subjects := 0, 0
	shared := len(m.CustomArgs)
	for i := range m.Personalizations {
		p := &m.Personalizations[i]
		recipients += len(p.To) + len(p.CC) + len(p.BCC)
		if p.Subject != "" {
			subjects++
		}
		p.check(&f, i, shared, now, m.TemplateID)
		if len(f.found) >= 20 {
			break
		}
	}
	if recipients > maxRecipients {
		f.add("personalizations", "There is a limit of %d total recipients (to + cc + bcc) per request.", maxRecipients)
	}
	if m.Subject == "" && m.TemplateID == "" && subjects < len(m.Personalizations) {
		f.add("subject", "The subject is required unless a template or every personalization defines one.")
	}
	return f.found
}

func (m *mailSend) checkEnvelope(f *refusals, now time.Time) {
	if m.From == nil || m.From.Email == "" {
		f.add("from.email", "The from object must be provided for every email send. It is an object that requires the email parameter.")
	} else {
		checkSender(f, "from", *m.From)
	}
	if m.ReplyTo != nil {
		checkAddress(f, "reply_to", *m.ReplyTo)
		if len(m.ReplyToList) > 0 {
			f.add("reply_to_list", "Use either reply_to or reply_to_list, not both.")
		}
	}
	if len(m.Content) == 0 && m.TemplateID == "" {
		f.add("content", "Unless a valid template_id is provided, the content parameter is required.")
	}
	for i, c := range m.Content {
		switch {
		case c.Type == "" || strings.ContainsAny(c.Type, ";\r\n"):
			f.add(fmt.Sprintf("content.%d.type", i), "The content type must be a non-empty string without ';' or line breaks.")
		case c.Value == "":
			f.add(fmt.Sprintf("content.%d.value", i), "The content value must be a string at least one character in length.")
		case i > 0 && c.Type == "text/plain":
			f.add("content", "If present, text/plain must come first, then text/html, then any other.")
		}
	}
	for i, a := range m.Attachments {
		if len(a.Content) < 3 || a.Filename == "" {
			f.add(fmt.Sprintf("attachments.%d", i), "An attachment needs content (base64) and filename.")
		}
	}
	m.checkSettings(f, now)
}

func (m *mailSend) checkSettings(f *refusals, now time.Time) {
	if len(m.Categories) > maxCategories {
		f.add("categories", "You cannot have more than %d categories per request.", maxCategories)
	}
	seen := make(map[string]bool, len(m.Categories))
	for i, c := range m.Categories {
		if len(c) > 255 || seen[c] {
			f.add(fmt.Sprintf("categories.%d", i), "A category is at most 255 characters long and named once.")
		}
		seen[c] = true
	}
	if m.ASM != nil && (m.ASM.GroupID == nil || len(m.ASM.GroupsToDisplay) > 25) {
		f.add("asm.group_id", "asm needs a group_id and shows at most 25 groups.")
	}
	if m.IPPoolName != nil && (len(*m.IPPoolName) < 2 || len(*m.IPPoolName) > 64) {
		f.add("ip_pool_name", "The ip_pool_name must be between 2 and 64 characters long.")
	}
	one := m.MailSettings.BypassSpam.Enable || m.MailSettings.BypassBounces.Enable || m.MailSettings.BypassUnsubscribes.Enable
	if m.MailSettings.BypassList.Enable && one {
		f.add("mail_settings.bypass_list_management", "bypass_list_management cannot be combined with any other bypass filter.")
	}
	checkSendAt(f, "send_at", m.SendAt, now)
	if len(m.CustomArgs) > 0 {
		if _, err := flatStrings(m.CustomArgs); err != nil {
			f.add("custom_args", "custom_args must be an object of strings.")
		}
	}
}

func (p *personalization) check(f *refusals, i, shared int, now time.Time, template string) {
	at := func(field string) string { return fmt.Sprintf("personalizations.%d.%s", i, field) }
	if len(p.To) == 0 {
		f.add(at("to"), "The to array is required for all personalization objects, and must have at least one email object with a valid email address.")
	}
	if p.From != nil {
		checkSender(f, at("from"), *p.From)
	}
	if len(p.To) == 1 && len(p.CC)+len(p.BCC) == 0 {
		if bad := p.To[0].fault(); bad != "" { // the usual case, without building names of fields
			f.add(at("to.0.email"), "%s", bad)
		}
	} else {
		seen := make(map[string]bool)
		for name, list := range map[string][]mailAddress{"to": p.To, "cc": p.CC, "bcc": p.BCC} {
			for j, a := range list {
				checkAddress(f, at(fmt.Sprintf("%s.%d", name, j)), a)
				key := strings.ToLower(a.Email)
				if seen[key] {
					f.add(fmt.Sprintf("personalizations.%d", i), "Each email address in the personalization block should be unique between to, cc, and bcc. We found one in the personalizations.%d.%s field a second time.", i, name)
				}
				seen[key] = true
			}
		}
	}
	if p.SendAt != 0 {
		checkSendAt(f, at("send_at"), p.SendAt, now)
	}
	if len(p.CustomArgs) > 0 {
		if _, err := flatStrings(p.CustomArgs); err != nil {
			f.add(at("custom_args"), "custom_args must be an object of strings.")
		}
	}
	if len(p.CustomArgs)+shared > maxCustomArgs {
		f.add(at("custom_args"), "custom_args cannot be larger than %d bytes.", maxCustomArgs)
	}
	if len(p.Substitutions) > 0 {
		if n, err := flatStrings(p.Substitutions); err != nil {
			f.add(at("substitutions"), "substitutions must be an object of strings.")
		} else if n > maxSubstitutions {
			f.add(at("substitutions"), "The total size of substitutions cannot be larger than %d bytes.", maxSubstitutions)
		}
		if strings.HasPrefix(template, "d-") {
			f.add(at("substitutions"), "Substitutions may not be used with dynamic templating.")
		}
	}
	if len(p.TemplateData) > 0 && p.TemplateData[0] != '{' {
		f.add(at("dynamic_template_data"), "dynamic_template_data must be an object.")
	}
}

func checkSendAt(f *refusals, field string, at int64, now time.Time) {
	if at < 0 || at > now.Add(maxScheduleAhead).Unix() {
		f.add(field, "The send_at parameter is a Unix timestamp at most 72 hours in the future.")
	}
}

func checkSender(f *refusals, field string, a mailAddress) {
	for _, r := range a.Email {
		if r >= utf8.RuneSelf {
			f.add(field+".email", "The from email may not contain Unicode characters.")
			return
		}
	}
	checkAddress(f, field, a)
}

func checkAddress(f *refusals, field string, a mailAddress) {
	if bad := a.fault(); bad != "" {
		f.add(field+".email", "%s", bad)
	}
}

// fault says what is wrong with an address object, without naming the address.
func (a mailAddress) fault() string {
	if strings.ContainsAny(a.Name, ";,\r\n") {
		return "The name may not contain ';', ',' or line breaks."
	}
	local, domain, found := strings.Cut(a.Email, "@")
	if !found || local == "" || len(local) > 64 || domain == "" || len(a.Email) > 254 ||
		!strings.Contains(strings.Trim(domain, "."), ".") || strings.Contains(domain, "..") {
		return "Does not contain a valid address."
	}
	for i := range len(a.Email) {
		switch c := a.Email[i]; {
		case c <= ' ', c == 0x7f, c == '(', c == ')', c == '<', c == '>', c == ',', c == ';', c == ':', c == '\\', c == '"', c == '[', c == ']':
			return "Does not contain a valid address."
		case c == '@' && i > len(local):
			return "Does not contain a valid address."
		}
	}
	if local[0] == '.' || local[len(local)-1] == '.' || strings.Contains(local, "..") {
		return "Does not contain a valid address."
	}
	return ""
}

// flatStrings checks that raw, which is valid JSON, is an object whose values are all strings, and
// returns the bytes of its keys and values.
func flatStrings(raw []byte) (size int, err error) {
	err = eachPair(raw, func(key, value []byte) { size += len(key) + len(value) })
	return size, err
}

// eachPair calls f with the still escaped key and value of every pair of an object of strings.
func eachPair(raw []byte, f func(key, value []byte)) error {
	bad := fmt.Errorf("not an object of strings")
	rest := bytes.TrimSpace(raw)
	if len(rest) < 2 || rest[0] != '{' {
		return bad
	}
	rest = bytes.TrimLeft(rest[1:], " \t\r\n")
	for len(rest) > 0 && rest[0] != '}' {
		key, after, ok := cutString(rest)
		if !ok {
			return bad
		}
		after = bytes.TrimLeft(after, " \t\r\n:")
		value, after, ok := cutString(after)
		if !ok {
			return bad
		}
		f(key, value)
		rest = bytes.TrimLeft(after, " \t\r\n,")
	}
	return nil
}

// cutString takes a JSON string off the front of b, without its quotes.
func cutString(b []byte) (s, rest []byte, ok bool) {
	if len(b) == 0 || b[0] != '"' {
		return nil, nil, false
	}
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return b[1:i], b[i+1:], true
		}
	}
	return nil, nil, false
}

// plain undoes the escapes of a JSON string.
func plain(escaped []byte) string {
	if bytes.IndexByte(escaped, '\\') < 0 {
		return string(escaped)
	}
	var s string
	if json.Unmarshal(append(append([]byte{'"'}, escaped...), '"'), &s) != nil {
		return string(escaped)
	}
	return s
}

// substitute puts a person's values into a text, as SendGrid's substitution tags do.
func substitute(text string, subs []byte) string {
	if len(subs) == 0 {
		return text
	}
	var pairs []string
	_ = eachPair(subs, func(key, value []byte) { // checked when it was accepted
		if len(key) > 0 {
			pairs = append(pairs, plain(key), plain(value))
		}
	})
	return strings.NewReplacer(pairs...).Replace(text)
}

// writeMailErrors answers in SendGrid's error form.
func writeMailErrors(w http.ResponseWriter, status int, errs ...mailError) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(struct {
		Errors []mailError `json:"errors"`
	}{errs})
}
