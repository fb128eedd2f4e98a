package twilio

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	base "github.com/twilio/twilio-go/client"
	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttpproxy"

	"tocsin.dev/services/notice/carrier"
)

const (
	formType = "application/x-www-form-urlencoded"
	// maxAnswer is the most bytes of an answer; Twilio's longest page stays far below.
	maxAnswer = 1 << 20
	// keptIdle is how long an unused connection is kept. A request on one that the
	// other side has just closed is a doubt, so it is shorter than servers keep theirs.
	keptIdle = 3 * time.Second
)

// httpClient returns the client of an account. Text messages go one a request, and a
// request of net/http costs three times as much as one of fasthttp, which needs
// no goroutines of its own. It never repeats a request: a second is a second message.
func httpClient(cfg Config) (*fasthttp.Client, error) {
	dialer := fasthttpproxy.Dialer{DialDualStack: true, Timeout: min(cfg.Timeout, 10*time.Second), ConnectTimeout: min(cfg.Timeout, 10*time.Second)}
	dial, err := dialer.GetDialFunc(true)
	if err != nil {
		return nil, fmt.Errorf("twilio: the proxy of the environment: %w", err)
	}
	return &fasthttp.Client{
		Name: "tocsin", Dial: dial, TLSConfig: cfg.TLS,
		MaxConnsPerHost: cfg.Conns, MaxConnWaitTimeout: cfg.Timeout, MaxIdleConnDuration: keptIdle, ConnPoolStrategy: fasthttp.LIFO,
		WriteTimeout:              cfg.Timeout, // bounds the TLS handshake too, which otherwise would come with the first write
		MaxIdemponentCallAttempts: 1, MaxResponseBodySize: maxAnswer, ReadBufferSize: 16 << 10,
	}, nil
}

// call is a twilio-go BaseClient for exactly one request.
type call struct {
	c    *Client
	ctx  context.Context
	req  *fasthttp.Request
	resp *fasthttp.Response
	err  error
	// made is whether a request was begun; twilio-go may fail before.
	made bool
}

// newCall returns a call; its end must be called once its answer has been read.
func (c *Client) newCall(ctx context.Context) *call {
	return &call{c: c, ctx: ctx, req: fasthttp.AcquireRequest(), resp: fasthttp.AcquireResponse()}
}

func (k *call) end() {
	fasthttp.ReleaseRequest(k.req)
	fasthttp.ReleaseResponse(k.resp)
}

// AccountSid implements twilio-go's BaseClient.
func (k *call) AccountSid() string { return k.c.cfg.AccountSID }

// SetTimeout implements BaseClient; the time-out is the client's own.
func (k *call) SetTimeout(time.Duration) {}

// SetOauth implements BaseClient; account SID and token are used.
func (k *call) SetOauth(base.OAuth) {}

// OAuth implements BaseClient.
func (k *call) OAuth() base.OAuth { return nil }

// SendRequest implements BaseClient. A context that ends forbids a request; one
// under way comes to its end within the account's time-out, so that a shutdown
// makes no doubt.
func (k *call) SendRequest(method, rawURL string, data url.Values, _ map[string]any, _ ...byte) (*http.Response, error) {
	if err := k.write(method, rawURL, data); err != nil {
		return nil, fmt.Errorf("twilio: %w", err)
	}
	k.made = true
	left := k.c.cfg.Timeout
	if end, ok := k.ctx.Deadline(); ok {
		left = min(left, time.Until(end))
	}
	if k.err = k.ctx.Err(); k.err == nil {
		k.err = k.c.http.DoTimeout(k.req, k.resp, left)
	}
	if k.err != nil {
		return nil, k.err
	}
	status := k.resp.StatusCode()
	if status >= 400 {
		return nil, &base.TwilioRestError{Status: status}
	}
	readable := k.resp.Body()
	if method == http.MethodPost {
		readable = brief(readable)
	}
	return &http.Response{StatusCode: status, Body: io.NopCloser(bytes.NewReader(readable))}, nil
}

// write makes the request that twilio-go asks for.
func (k *call) write(method, rawURL string, data url.Values) error {
	there, err := k.c.address(rawURL)
	if err != nil {
		return err
	}
	k.req.SetRequestURI(there)
	h := &k.req.Header
	h.SetMethod(method)
	h.Set("Accept", "application/json")
	h.Set("Authorization", k.c.basic)
	if method == http.MethodGet {
		k.req.URI().SetQueryStringBytes(encode(data))
		return nil
	}
	h.SetContentType(formType)
	k.req.SetBodyRaw(encode(data))
	return nil
}

// address returns where a URL of twilio-go leads, on the configured host. It
// remembers the last one, which is nearly always the same.
func (c *Client) address(rawURL string) (string, error) {
	if last := c.last.Load(); last != nil && last.raw == rawURL {
		return last.there, nil
	}
	u, err := url.Parse(rawURL)
	if err != nil {
		return "", err
	}
	if c.host != nil {
		u.Scheme, u.Host = c.host.Scheme, c.host.Host
	}
	c.last.Store(&address{raw: rawURL, there: u.String()})
	return u.String(), nil
}

// address is a URL as twilio-go wrote it and where it leads.
type address struct{ raw, there string }

// answer classifies what came back.
func (k *call) answer(now time.Time) carrier.Answer {
	switch {
	case !k.made:
		return carrier.Answer{Class: carrier.Refused, Meaning: carrier.Unknown, Detail: "the request could not be built"}
	case k.err != nil:
		// fasthttp notes the far end as soon as it has a connection, before it writes.
		return carrier.Unanswered(k.resp.RemoteAddr() != nil, k.err)
	}
	a := carrier.Status(k.resp.StatusCode(), func(name string) string { return string(k.resp.Header.Peek(name)) }, now)
	if a.Class == carrier.Accepted || a.Class == carrier.InDoubt {
		return a
	}
	var e struct {
		Code int `json:"code"`
	}
	if json.Unmarshal(k.resp.Body(), &e) == nil && e.Code != 0 {
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
