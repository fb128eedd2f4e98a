package sendgrid

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sendgrid/rest"
	sg "github.com/sendgrid/sendgrid-go"

	"tocsin.dev/services/notice/carrier"
)

// The hosts of SendGrid's API.
const (
	HostGlobal = "https://api.sendgrid.com"
	// HostEU keeps mail and events of EU regional subusers in the EU.
	HostEU = "https://api.eu.sendgrid.com"
)

// Config is one account at SendGrid.
type Config struct {
	Key string
	// Host is the base URL; HostGlobal when empty. Tests and the sandbox have their own.
	Host string
	// Subuser sends on behalf of a subuser, or is empty.
	Subuser string
	// Conns is the most connections; 8 when 0. Timeout bounds one request; 30 s when 0.
	Conns   int
	Timeout time.Duration
	// TLS is for tests with their own certificate; nil means the system's roots.
	TLS *tls.Config
	Now func() time.Time
}

// Client sends through one account. It is safe for concurrent use.
type Client struct {
	cfg  Config
	rest rest.Client
}

// New returns a client.
func New(cfg Config) (*Client, error) {
	if cfg.Key == "" {
		return nil, errors.New("sendgrid: the API key is missing: set notice.sendgrid.key_file")
	}
	if cfg.Host == "" {
		cfg.Host = HostGlobal
	}
	if cfg.Conns <= 0 {
		cfg.Conns = 8
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 30 * time.Second
	}
	return &Client{cfg: cfg, rest: rest.Client{HTTPClient: carrier.Client(cfg.Conns, cfg.Timeout, cfg.TLS)}}, nil
}

// Send posts a body written by Body and says what the answer proves. The body
// must not change until Send returns.
func (c *Client) Send(ctx context.Context, body []byte) carrier.Answer {
	a, _ := c.post(ctx, rest.Post, "/v3/mail/send", body)
	return a
}

// post makes one request and classifies its answer. With 2xx the answer's body is returned.
func (c *Client) post(ctx context.Context, method rest.Method, path string, body []byte) (carrier.Answer, string) {
	req := sg.GetRequestSubuser(c.cfg.Key, path, c.cfg.Host, c.cfg.Subuser)
	req.Method, req.Body = method, body
	ctx, wire := carrier.Watch(ctx)
	resp, err := c.rest.SendWithContext(ctx, req)
	if resp == nil {
		return wire.Lost(err), ""
	}
	// A status is an answer even when reading the rest of it failed.
	a := carrier.Status(resp.StatusCode, http.Header(resp.Headers).Get, c.cfg.Now())
	switch a.Class {
	case carrier.Accepted:
		a.ID = http.Header(resp.Headers).Get("X-Message-Id")
		return a, resp.Body
	case carrier.Refused, carrier.Account:
		var ours bool
		a.Bad, ours, a.Detail = faults(resp.Body, a.Detail)
		if ours { // the sender or the settings are wrong: no recipient is at fault
			a.Class = carrier.Account
		}
	}
	return a, ""
}

// faults reads SendGrid's error body: the positions of the recipients it names,
// whether it names only what all recipients share, and one line made of field
// names only, because its words may quote an address.
func faults(body, status string) (bad []int, ours bool, detail string) {
	var in struct {
		Errors []struct {
			Field string `json:"field"`
		} `json:"errors"`
	}
	if json.Unmarshal([]byte(body), &in) != nil {
		return nil, false, status
	}
	var fields []string
	for _, e := range in.Errors {
		if rest, ok := strings.CutPrefix(e.Field, "personalizations."); ok {
			number, _, _ := strings.Cut(rest, ".")
			if n, err := strconv.Atoi(number); err == nil && (len(bad) == 0 || bad[len(bad)-1] != n) {
				bad = append(bad, n)
			}
		}
		if e.Field != "" && len(fields) < 3 {
			fields = append(fields, e.Field)
		}
	}
	if len(fields) > 0 {
		status = fmt.Sprintf("%s: %s", status, strings.Join(fields, ", "))
	}
	return bad, len(fields) > 0 && len(bad) == 0, status
}
