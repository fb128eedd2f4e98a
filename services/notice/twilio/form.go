package twilio

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	base "github.com/twilio/twilio-go/client"
	api "github.com/twilio/twilio-go/rest/api/v2010"
)

// Form returns the body of the request with which Send would create a message,
// and sends nothing.
func (c *Client) Form(m SMS) []byte {
	k := &keeper{account: c.cfg.AccountSID}
	_, _ = api.NewApiServiceWithClient(k).CreateMessage(c.params(m)) // errKept, always
	return []byte(k.body)
}

// keeper is a twilio-go BaseClient that keeps a request instead of making it.
type keeper struct{ account, body string }

var errKept = errors.New("kept and not sent")

// AccountSid implements BaseClient.
func (k *keeper) AccountSid() string { return k.account }

// SetTimeout implements BaseClient.
func (k *keeper) SetTimeout(time.Duration) {}

// SetOauth implements BaseClient.
func (k *keeper) SetOauth(base.OAuth) {}

// OAuth implements BaseClient.
func (k *keeper) OAuth() base.OAuth { return nil }

// SendRequest implements BaseClient by keeping the body.
func (k *keeper) SendRequest(_, _ string, data url.Values, _ map[string]any, _ ...byte) (*http.Response, error) {
	k.body = data.Encode()
	return nil, errKept
}
