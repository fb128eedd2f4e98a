package twilio

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	base "github.com/twilio/twilio-go/client"
	api "github.com/twilio/twilio-go/rest/api/v2010"

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
	http *http.Client
	host *url.URL // nil: Twilio's own
	// posted is the header of requests that create messages; never changed.
	posted http.Header
	last   atomic.Pointer[address]
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
	c := &Client{cfg: cfg, http: carrier.Client(cfg.Conns, cfg.Timeout, cfg.TLS), posted: postHeader(cfg)}
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

// call is a twilio-go BaseClient for exactly one request.
type call struct {
	c      *Client
	ctx    context.Context
	wire   *carrier.Wire
	status int
	header http.Header
	body   []byte
	err    error
	// made is whether a request was begun; twilio-go may fail before.
	made bool
}

func (c *Client) newCall(ctx context.Context) *call {
	ctx, wire := carrier.Watch(ctx)
	return &call{c: c, ctx: ctx, wire: wire}
}

// AccountSid implements twilio-go's BaseClient.
func (k *call) AccountSid() string { return k.c.cfg.AccountSID }

// SetTimeout implements BaseClient; the time-out is the client's own.
func (k *call) SetTimeout(time.Duration) {}

// SetOauth implements BaseClient; account SID and token are used.
func (k *call) SetOauth(base.OAuth) {}

// OAuth implements BaseClient.
func (k *call) OAuth() base.OAuth { return nil }

// SendRequest implements BaseClient.
func (k *call) SendRequest(method, rawURL string, data url.Values, headers map[string]any, _ ...byte) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(k.ctx, k.c.cfg.Timeout)
	defer cancel()
	req, err := k.request(ctx, method, rawURL, data, headers)
	if err != nil {
		return nil, fmt.Errorf("twilio: %w", err)
	}
	k.made = true
	// The transport itself: a client would only add redirects, which are not followed, and a second timer.
	resp, err := k.c.http.Transport.RoundTrip(req)
	if err != nil {
		k.err = err
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	k.status, k.header = resp.StatusCode, resp.Header
	// A short read leaves a body that does not decode; the caller then calls it in doubt.
	whole := bytes.NewBuffer(make([]byte, 0, min(max(resp.ContentLength, 1024), 1<<20)+bytes.MinRead))
	_, _ = whole.ReadFrom(io.LimitReader(resp.Body, 1<<20))
	k.body = whole.Bytes()
	if resp.StatusCode >= 400 {
		return nil, &base.TwilioRestError{Status: resp.StatusCode}
	}
	readable := k.body
	if method == http.MethodPost {
		readable = brief(k.body)
	}
	resp.Body = io.NopCloser(bytes.NewReader(readable))
	return resp, nil
}

// request builds a request. A message is created at one address with one set of
// headers, so both are kept; the transport changes neither.
func (k *call) request(ctx context.Context, method, rawURL string, data url.Values, headers map[string]any) (*http.Request, error) {
	u, err := k.c.address(rawURL)
	if err != nil {
		return nil, err
	}
	if method == http.MethodPost && headers["Content-Type"] == formType {
		body := encode(data)
		req := &http.Request{Method: method, URL: u, Host: u.Host, Header: k.c.posted, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body))}
		return req.WithContext(ctx), nil
	}
	there, body := *u, io.Reader(nil)
	if method == http.MethodGet {
		there.RawQuery = data.Encode()
	} else {
		body = strings.NewReader(data.Encode())
	}
	req, err := http.NewRequestWithContext(ctx, method, there.String(), body)
	if err != nil {
		return nil, err
	}
	for name, v := range headers {
		req.Header.Set(name, fmt.Sprint(v))
	}
	req.Header.Set("Accept", "application/json")
	req.SetBasicAuth(k.c.cfg.AccountSID, k.c.cfg.AuthToken)
	return req, nil
}

const formType = "application/x-www-form-urlencoded"

// postHeader is the header of every creation of a message.
func postHeader(cfg Config) http.Header {
	r := http.Request{Header: http.Header{"Accept": {"application/json"}, "Content-Type": {formType}}}
	r.SetBasicAuth(cfg.AccountSID, cfg.AuthToken)
	return r.Header
}

// address returns where a URL of twilio-go leads, on the configured host. It
// remembers the last one, which is nearly always the same.
func (c *Client) address(rawURL string) (*url.URL, error) {
	if last := c.last.Load(); last != nil && last.raw == rawURL {
		return last.url, nil
	}
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, err
	}
	if c.host != nil {
		u.Scheme, u.Host = c.host.Scheme, c.host.Host
	}
	c.last.Store(&address{raw: rawURL, url: u})
	return u, nil
}

// address is a URL as twilio-go wrote it and where it leads. Neither is changed.
type address struct {
	raw string
	url *url.URL
}

// answer classifies what came back.
func (k *call) answer(now time.Time) carrier.Answer {
	switch {
	case !k.made:
		return carrier.Answer{Class: carrier.Refused, Meaning: carrier.Unknown, Detail: "the request could not be built"}
	case k.err != nil:
		return k.wire.Lost(k.err)
	}
	a := carrier.Status(k.status, k.header, now)
	if a.Class == carrier.Accepted || a.Class == carrier.InDoubt {
		return a
	}
	var e struct {
		Code int `json:"code"`
	}
	if json.Unmarshal(k.body, &e) == nil && e.Code != 0 {
		a.Code = e.Code
		a.Detail = fmt.Sprintf("%s, Twilio error %d", a.Detail, e.Code)
		if known, ok := created[e.Code]; ok {
			a.Class, a.Meaning = known.Class, known.Meaning
		}
	}
	if a.Class == carrier.Refused && a.Meaning == 0 {
		a.Meaning = carrier.Unknown
	}
	return a
}
