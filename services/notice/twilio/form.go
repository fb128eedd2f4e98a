package twilio

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	base "github.com/twilio/twilio-go/client"
	api "github.com/twilio/twilio-go/rest/api/v2010"
)

// Form returns the body of the request with which Send would create a message,
// and sends nothing.
func (c *Client) Form(m SMS) []byte {
	k := &keeper{account: c.cfg.AccountSID}
	_, _ = api.NewApiServiceWithClient(k).CreateMessage(c.params(m)) // errKept, always
	return k.body
}

// encode writes a form as url.Values.Encode does, in one piece: a message is
// one form, and escaping it part by part costs more than rendering it did.
func encode(form url.Values) []byte {
	names := make([]string, 0, 8)
	size := 0
	for name, values := range form {
		names = append(names, name)
		for _, v := range values {
			size += len(name) + 2*len(v) + 2
		}
	}
	slices.Sort(names)
	b := make([]byte, 0, size)
	for _, name := range names {
		for _, v := range form[name] {
			if len(b) > 0 {
				b = append(b, '&')
			}
			b = append(escape(b, name), '=')
			b = escape(b, v)
		}
	}
	return b
}

// escape appends s as url.QueryEscape writes it.
func escape(b []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.', c == '~':
			b = append(b, c)
		case c == ' ':
			b = append(b, '+')
		default:
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return b
}

// keeper is a twilio-go BaseClient that keeps a request instead of making it.
type keeper struct {
	account string
	body    []byte
}

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
	k.body = encode(data)
	return nil, errKept
}
