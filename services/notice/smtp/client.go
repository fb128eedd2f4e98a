package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"regexp"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
	wire "github.com/wneessen/go-mail/smtp"

	"tocsin.dev/services/notice/carrier"
)

// Config is one mail server.
type Config struct {
	Host string
	// Port is 587 when 0, or 465 with TLS "implicit".
	Port int
	// TLS is "starttls" (the default: no mail without it), "implicit" (TLS from
	// the first byte), "opportunistic" or "none".
	TLS string
	// Auth is "none", "plain", "login", "cram-md5", "scram-sha-256" or "auto";
	// when empty, "auto" with a user name and "none" without.
	Auth, Username, Password string
	// EHLO is the name by which we greet, and the right side of Message-ID; the
	// host's own name when empty.
	EHLO string
	// ReturnPath is where undeliverable mail comes back to, such as
	// bounces@tidewater.example, whose server must deliver bounces+anything@ to the
	// same place: the notice is named there. Empty sends it back to the sender.
	ReturnPath string
	// Conns is the most connections; 4 when 0. Timeout bounds one message; 30 s when 0.
	Conns   int
	Timeout time.Duration
	// Roots is for tests with their own certificate; nil means the system's roots.
	Roots *tls.Config
	Now   func() time.Time
}

var policies = map[string]gomail.TLSPolicy{
	"": gomail.TLSMandatory, "starttls": gomail.TLSMandatory, "opportunistic": gomail.TLSOpportunistic, "none": gomail.NoTLS, "implicit": gomail.TLSMandatory,
}

var mechanisms = map[string]gomail.SMTPAuthType{
	"none": gomail.SMTPAuthNoAuth, "plain": gomail.SMTPAuthPlain, "login": gomail.SMTPAuthLogin, "cram-md5": gomail.SMTPAuthCramMD5,
	"scram-sha-256": gomail.SMTPAuthSCRAMSHA256, "auto": gomail.SMTPAuthAutoDiscover,
}

// returnPaths leaves room for the notice id: 64 characters may stand before the @.
var returnPaths = regexp.MustCompile(`^[A-Za-z0-9._-]{1,16}@[A-Za-z0-9.-]+\.[A-Za-z]{2,}$`)

// Client sends through one mail server. It is safe for concurrent use.
type Client struct {
	cfg  Config
	dial *gomail.Client
	// slots holds one entry for each connection that may be open: an idle one, or nil.
	slots chan *wire.Client
}

// New returns a client; it connects with the first message.
func New(cfg Config) (*Client, error) {
	policy, known := policies[cfg.TLS]
	if !known {
		return nil, fmt.Errorf("smtp: tls is %q; want starttls, implicit, opportunistic or none", cfg.TLS)
	}
	if cfg.Auth == "" {
		cfg.Auth = "none"
		if cfg.Username != "" {
			cfg.Auth = "auto"
		}
	}
	auth, known := mechanisms[cfg.Auth]
	switch {
	case cfg.Host == "":
		return nil, errors.New("smtp: the host is missing: set smtp.host")
	case !known:
		return nil, fmt.Errorf("smtp: auth is %q; want none, plain, login, cram-md5, scram-sha-256 or auto", cfg.Auth)
	case cfg.Now == nil:
		return nil, errors.New("smtp: a clock is needed")
	case cfg.ReturnPath != "" && !returnPaths.MatchString(cfg.ReturnPath):
		return nil, errors.New("smtp: return_path is not a plain address with at most 16 characters before the @, such as bounces@tidewater.example")
	}
	if cfg.Conns <= 0 {
		cfg.Conns = 4
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 30 * time.Second
	}
	if cfg.Port == 0 {
		cfg.Port = 587
		if cfg.TLS == "implicit" {
			cfg.Port = 465
		}
	}
	options := []gomail.Option{
		gomail.WithPort(cfg.Port), gomail.WithTimeout(cfg.Timeout), gomail.WithTLSPolicy(policy), gomail.WithSMTPAuth(auth),
		gomail.WithUsername(cfg.Username), gomail.WithPassword(cfg.Password), gomail.WithoutNoop(), gomail.WithoutRset(),
	}
	if cfg.TLS == "implicit" {
		options = append(options, gomail.WithSSL())
	} else {
		options = append(options, gomail.WithDialContextFunc(dialKept))
	}
	if cfg.EHLO != "" {
		options = append(options, gomail.WithHELO(cfg.EHLO))
	}
	if cfg.Roots != nil {
		options = append(options, gomail.WithTLSConfig(cfg.Roots))
	}
	dial, err := gomail.NewClient(cfg.Host, options...)
	if err != nil {
		return nil, fmt.Errorf("smtp: %w", err)
	}
	c := &Client{cfg: cfg, dial: dial, slots: make(chan *wire.Client, cfg.Conns)}
	for range cfg.Conns {
		c.slots <- nil
	}
	return c, nil
}

// Mail is one message to one person.
type Mail struct {
	FromName, From, ReplyTo string
	To                      string
	Subject, Text, HTML     string
	Notice                  carrier.ID
	Attempt                 int64
	Pos                     int
}

// HeaderNotice names the header that carries our notice id and attempt, by which
// a bounce or a server's log leads back to the ledger.
const HeaderNotice = "X-Tocsin-Notice"

// Send hands one message over and says what came of it.
func (c *Client) Send(ctx context.Context, m Mail) carrier.Answer {
	msg, answer := c.compose(m)
	if msg == nil {
		return answer
	}
	var conn *wire.Client
	select {
	case conn = <-c.slots:
	case <-ctx.Done():
		return carrier.Answer{Class: carrier.NotSent, Detail: "held back"}
	}
	kept := conn != nil
	answer, conn = c.through(ctx, conn, msg)
	if kept && conn == nil && answer.Class == carrier.NotSent && answer.Code == 0 {
		// The server had closed the kept connection; nothing was said on it.
		answer, conn = c.through(ctx, nil, msg)
	}
	if answer.Class == carrier.Accepted {
		answer.ID = msg.GetMessageID()
	}
	c.slots <- conn
	return answer
}

// Close ends idle connections. Those at work end with their message.
func (c *Client) Close() {
	for range cap(c.slots) {
		select {
		case conn := <-c.slots:
			if conn != nil {
				_ = conn.Quit()
			}
			c.slots <- nil
		default:
		}
	}
}

// through sends a message over a connection, or a new one if conn is nil. It
// returns the connection if it can be used again.
func (c *Client) through(ctx context.Context, conn *wire.Client, msg *gomail.Msg) (carrier.Answer, *wire.Client) {
	if conn == nil {
		var err error
		var raw net.Conn
		if conn, err = c.dial.DialToSMTPClientWithContext(context.WithValue(ctx, dialled{}, &raw)); err != nil {
			if raw != nil {
				_ = raw.Close()
			}
			return unconnected(err), nil
		}
	}
	err := c.dial.SendWithSMTPClient(conn, msg)
	if err == nil || msg.IsDelivered() {
		return carrier.Answer{Class: carrier.Accepted, Status: 250, Detail: "SMTP 250"}, conn
	}
	a, usable := classify(err)
	if !usable {
		// Close and not Quit: on a message cut off half-way Quit would end its
		// content and so submit what there is of it.
		_ = conn.Close()
		return a, nil
	}
	return a, conn
}

// dialled is the key under which a context holds the place for the connection
// that is being made: go-mail leaves one open whose greeting, TLS or AUTH failed.
type dialled struct{}

func dialKept(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, address)
	if place, ok := ctx.Value(dialled{}).(*net.Conn); ok {
		*place = conn
	}
	return conn, err
}

func (c *Client) compose(m Mail) (*gomail.Msg, carrier.Answer) {
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := msg.FromFormat(m.FromName, m.From); err != nil {
		return nil, carrier.Answer{Class: carrier.Account, Detail: "the sender address of the organisation is not valid"}
	}
	if m.ReplyTo != "" {
		if err := msg.ReplyTo(m.ReplyTo); err != nil {
			return nil, carrier.Answer{Class: carrier.Account, Detail: "the reply address of the organisation is not valid"}
		}
	}
	to, err := mail.ParseAddress(m.To)
	if err != nil || to.Name != "" || to.Address != m.To { // exactly this one address
		return nil, carrier.Answer{Class: carrier.Refused, Meaning: carrier.Hard, Detail: "the address is not one that SMTP takes"}
	}
	msg.ToMailAddress(&mail.Address{Address: m.To})
	id := m.Notice.String()
	place := string(carrier.AppendAttempt(nil, m.Attempt, m.Pos))
	msg.SetMessageIDWithValue(id + "." + place + "@" + c.domain(m.From))
	msg.SetGenHeader(HeaderNotice, id+" "+place)
	if back := c.returnPath(m); back != "" {
		if err := msg.EnvelopeFrom(back); err != nil {
			return nil, carrier.Answer{Class: carrier.Account, Detail: "the return path is not valid"}
		}
	}
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.SetDateWithValue(c.cfg.Now())
	msg.Subject(m.Subject)
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	if m.HTML != "" {
		msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	}
	return msg, carrier.Answer{}
}

func (c *Client) domain(from string) string {
	if c.cfg.EHLO != "" {
		return c.cfg.EHLO
	}
	_, domain, _ := strings.Cut(from, "@")
	return domain
}

// detail is one line for the operator. It never holds the server's own words,
// which may quote an address.
func detail(code int, enhanced, where string) string {
	line := "SMTP"
	if code != 0 {
		line += " " + strconv.Itoa(code)
	}
	if enhanced != "" {
		line += " " + enhanced
	}
	return line + " at " + where
}
