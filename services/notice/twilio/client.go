package twilio

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	api "github.com/twilio/twilio-go/rest/api/v2010"
	"github.com/valyala/fasthttp"

	"tocsin.dev/services/notice/carrier"
)

// MaxValidity is the longest and default validity of a message.
const MaxValidity = 10 * time.Hour

// Config is one account at Twilio.
type Config struct {
	AccountSID, AuthToken string
	// Host replaces https://api.twilio.com; tests and the sandbox have their own.
	Host string
	// Callback is the public base URL of status callbacks, without a slash at the
	// end: "https://tocsin.example/v1/receipts/twilio". Empty means no callbacks.
	Callback string
	// Conns is the most connections; 32 when 0. Timeout bounds one request; 15 s when 0.
	Conns   int
	Timeout time.Duration
	TLS     *tls.Config
	Now     func() time.Time
}

// Client sends through one account. It is safe for concurrent use.
type Client struct {
	cfg  Config
	http *fasthttp.Client
	host *url.URL // nil: Twilio's own
	// basic is the value of the Authorization header.
	basic string
	last  atomic.Pointer[address]
}

var credential = regexp.MustCompile(`^[a-zA-Z0-9]+$`)

// New returns a client.
func New(cfg Config) (*Client, error) {
	if !credential.MatchString(cfg.AccountSID) || !credential.MatchString(cfg.AuthToken) {
		return nil, errors.New("twilio: account SID and auth token are letters and digits: set notice.twilio.account_sid and auth_token_file")
	}
	if cfg.Conns <= 0 {
		cfg.Conns = 32
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 15 * time.Second
	}
	http, err := httpClient(cfg)
	if err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, http: http, basic: "Basic " + base64.StdEncoding.EncodeToString([]byte(cfg.AccountSID+":"+cfg.AuthToken))}
	if cfg.Host != "" {
		u, err := url.Parse(cfg.Host)
		if err != nil || u.Host == "" {
			return nil, fmt.Errorf("twilio: host %q is not a URL", cfg.Host)
		}
		c.host = u
	}
	return c, nil
}

// SMS is one text message.
type SMS struct {
	// To is an E.164 number. From is an E.164 number, a short code, a sender name,
	// or the SID of a Messaging Service (MG…).
	To, From, Body string
	// Validity is how long Twilio may try; 0 means MaxValidity.
	Validity time.Duration
	// Case is the number of the case, which callbacks carry for operators.
	Case    string
	Notice  carrier.ID
	Attempt int64
	Pos     int
}

// Send creates one message and says what the answer proves.
func (c *Client) Send(ctx context.Context, m SMS) carrier.Answer {
	call := c.newCall(ctx)
	defer call.end()
	created, err := api.NewApiServiceWithClient(call).CreateMessage(c.params(m))
	a := call.answer(c.cfg.Now())
	if a.Class != carrier.Accepted {
		return a
	}
	if err != nil || created.Sid == nil {
		return carrier.Answer{Class: carrier.InDoubt, Status: a.Status, Detail: "2xx without a readable message"}
	}
	a.ID = *created.Sid
	return a
}

func (c *Client) params(m SMS) *api.CreateMessageParams {
	p := (&api.CreateMessageParams{}).SetTo(m.To).SetBody(m.Body)
	if strings.HasPrefix(m.From, "MG") && len(m.From) == 34 {
		p.SetMessagingServiceSid(m.From)
	} else {
		p.SetFrom(m.From)
	}
	if m.Validity > 0 && m.Validity < MaxValidity {
		p.SetValidityPeriod(max(1, int(m.Validity/time.Second)))
	}
	if c.cfg.Callback != "" {
		p.SetStatusCallback(c.callback(m))
	}
	return p
}

// callback is the URL of a message's callbacks. The fragment asks Twilio for
// five more tries on every kind of failure; its default is one, for failed connections.
func (c *Client) callback(m SMS) string {
	b := append([]byte(c.cfg.Callback), "/cases/"+m.Case+"/"...)
	b = append(m.Notice.Append(b), '/')
	b = carrier.AppendAttempt(b, m.Attempt, m.Pos)
	return string(append(b, "#rc=5&rp=all"...))
}

// Find asks Twilio for a message of ours to a number since an instant. Twilio
// keeps no argument of ours, so a message is the notice if its body is exactly
// what we sent (every body carries its notice's reference). It returns nil if
// Twilio knows none.
func (c *Client) Find(ctx context.Context, to, body string, notice carrier.ID, since time.Time) (*carrier.Receipt, error) {
	// date_sent is empty until a message is sent, so only To is filtered there.
	call := c.newCall(ctx)
	defer call.end()
	page, err := api.NewApiServiceWithClient(call).PageMessage((&api.ListMessageParams{}).SetTo(to).SetPageSize(200), "", "")
	if a := call.answer(c.cfg.Now()); a.Class != carrier.Accepted {
		return nil, ErrLookup{a}
	}
	if err != nil {
		return nil, errors.New("twilio look-up: the answer is not readable")
	}
	for i := range page.Messages {
		m := &page.Messages[i]
		if m.Body == nil || *m.Body != body || m.DateCreated == nil || m.Status == nil {
			continue
		}
		at, err := time.Parse(time.RFC1123Z, *m.DateCreated)
		if err != nil || at.Before(since.Add(-time.Minute)) {
			continue
		}
		r := &carrier.Receipt{Notice: notice, At: at.UTC()}
		if m.ErrorCode != nil {
			r.Code = *m.ErrorCode
		}
		if m.Sid != nil {
			r.Message = *m.Sid
		}
		r.Meaning = meaningOf(*m.Status, r.Code)
		return r, nil
	}
	return nil, nil
}

// Fetch asks Twilio for one message by its SID and returns where it goes and
// what it says, byte for byte.
func (c *Client) Fetch(ctx context.Context, sid string) (to, body string, err error) {
	call := c.newCall(ctx)
	defer call.end()
	m, err := api.NewApiServiceWithClient(call).FetchMessage(sid, &api.FetchMessageParams{})
	if a := call.answer(c.cfg.Now()); a.Class != carrier.Accepted {
		return "", "", ErrLookup{a}
	}
	if err != nil || m.To == nil || m.Body == nil {
		return "", "", errors.New("twilio look-up: the answer is not readable")
	}
	return *m.To, *m.Body, nil
}

// ErrLookup means that Twilio could not be asked. It proves nothing about any message.
type ErrLookup struct{ Answer carrier.Answer }

// Error implements error.
func (e ErrLookup) Error() string { return "twilio look-up: " + e.Answer.Detail }
