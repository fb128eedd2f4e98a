package intake

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // some vendors still sign with HMAC-SHA1
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"net/http"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"tocsin.dev/pkg/event"
)

// The schemes by which a source proves itself.
const (
	SchemeBearer           = "bearer"
	SchemeBasic            = "basic"
	SchemeStandardWebhooks = "standard-webhooks"
	SchemeHMAC             = "hmac"
)

// Source is one configured sender of alerts. It belongs to one organisation.
type Source struct {
	// ID stands in the URL and in the subject: lower-case letters, digits, '-', '_'.
	ID  string `koanf:"id" yaml:"id"`
	Org string `koanf:"org" yaml:"org"`
	// Mapping is the mapping to try first; all others are tried after it.
	Mapping string `koanf:"mapping" yaml:"mapping,omitempty"`
	// Scheme is "bearer", "basic", "standard-webhooks" or "hmac".
	Scheme string `koanf:"scheme" yaml:"scheme"`
	// Tokens are accepted bearer tokens, each as "sha256:<hex>" of the token;
	// several during a change. A token is at least 16 random characters.
	Tokens []string `koanf:"tokens" yaml:"tokens,omitempty"`
	// User and Passwords are for Basic; passwords as "sha256:<hex>" too.
	User      string   `koanf:"user" yaml:"user,omitempty"`
	Passwords []string `koanf:"passwords" yaml:"passwords,omitempty"`
	// Secrets are the keys of standard-webhooks (whsec_ and Base64) and of hmac
	// (as they are); several during a change.
	Secrets []string `koanf:"secrets" yaml:"secrets,omitempty"`
	HMAC    HMAC     `koanf:"hmac" yaml:"hmac,omitempty"`
	// SilentAfterHours is the silence after which the console warns; 0 means never.
	SilentAfterHours int `koanf:"silent_after_hours" yaml:"silent_after_hours,omitempty"`
	// Origins may deliver CloudEvents here (the OPTIONS handshake); "*" allows any.
	Origins []string `koanf:"origins" yaml:"origins,omitempty"`
}

// HMAC describes the signature of a vendor with a scheme of its own. What
// CrowdStrike signs, for one, is told in two ways, so it is a setting: take
// parts ["body", "header:X-CS-Delivery-Timestamp"] or the other order, and
// check it against a live delivery.
type HMAC struct {
	// Header holds the signature, such as "X-CS-Primary-Signature".
	Header string `koanf:"header" yaml:"header,omitempty"`
	// Algorithm is "sha256" (the default), "sha512" or "sha1".
	Algorithm string `koanf:"algorithm" yaml:"algorithm,omitempty"`
	// Encoding is "hex" (the default) or "base64".
	Encoding string `koanf:"encoding" yaml:"encoding,omitempty"`
	// Prefix stands before the signature, such as "sha256=".
	Prefix string `koanf:"prefix" yaml:"prefix,omitempty"`
	// Parts are signed one after the other: "body", "header:<name>", "text:<literal>".
	// The default is the body alone.
	Parts []string `koanf:"parts" yaml:"parts,omitempty"`
	// Timestamp is the header with the time of sending, in seconds since 1970 or
	// RFC 3339. If it is set it must be among the parts and at most five minutes off.
	Timestamp string `koanf:"timestamp" yaml:"timestamp,omitempty"`
}

// tolerance is how far the clock of a signing sender may be off.
const tolerance = 5 * time.Minute

// errNotAuthentic is all that a stranger is told.
var errNotAuthentic = errors.New("the request does not prove that it comes from this source")

// verifier checks one request. body is nil for schemes that do not sign it.
type verifier func(r *http.Request, body []byte, now time.Time) error

// source is a checked Source ready for work.
type source struct {
	Source
	verify verifier
	// signed says that the body takes part, so it must be read first.
	signed bool
	// gather bundles its deliveries on their way to the disk.
	gather *gatherer
}

// newSource checks the settings of a source. Errors name the setting and never a secret.
func newSource(cfg Source) (*source, error) {
	if !event.ValidToken(cfg.ID) || !event.ValidToken(cfg.Org) {
		return nil, errors.New("id and org are lower-case letters, digits, '-' and '_'")
	}
	s := &source{Source: cfg}
	var err error
	switch cfg.Scheme {
	case SchemeBearer:
		s.verify, err = bearer(cfg.Tokens)
	case SchemeBasic:
		s.verify, err = basic(cfg.User, cfg.Passwords)
	case SchemeStandardWebhooks:
		s.signed = true
		s.verify, err = standardWebhooks(cfg.Secrets)
	case SchemeHMAC:
		s.signed = true
		s.verify, err = vendorHMAC(cfg.HMAC, cfg.Secrets)
	default:
		err = fmt.Errorf("scheme %q: want bearer, basic, standard-webhooks or hmac", cfg.Scheme)
	}
	return s, err
}

// TokenDigest returns the form in which the settings hold a token or password.
func TokenDigest(token string) string {
	sum := sha256.Sum256([]byte(token))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// digests decodes "sha256:<hex>" settings.
func digests(name string, list []string) ([][]byte, error) {
	if len(list) == 0 {
		return nil, fmt.Errorf("%s is empty: give at least one \"sha256:<hex>\"", name)
	}
	var out [][]byte
	for i, s := range list {
		b, err := hex.DecodeString(strings.TrimPrefix(s, "sha256:"))
		if err != nil || len(b) != sha256.Size || !strings.HasPrefix(s, "sha256:") {
			return nil, fmt.Errorf("%s[%d] is not \"sha256:\" and 64 hex digits", name, i)
		}
		out = append(out, b)
	}
	return out, nil
}

// among compares with every digest, so that time does not tell which came close.
func among(secret string, list [][]byte) bool {
	sum := sha256.Sum256([]byte(secret))
	found := 0
	for _, d := range list {
		found |= subtle.ConstantTimeCompare(sum[:], d)
	}
	return found == 1
}

func bearer(tokens []string) (verifier, error) {
	list, err := digests("tokens", tokens)
	if err != nil {
		return nil, err
	}
	return func(r *http.Request, _ []byte, _ time.Time) error {
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "bearer") || !among(strings.TrimSpace(token), list) {
			return errNotAuthentic
		}
		return nil
	}, nil
}

func basic(user string, passwords []string) (verifier, error) {
	list, err := digests("passwords", passwords)
	if err != nil {
		return nil, err
	}
	if user == "" {
		return nil, errors.New("user is missing")
	}
	want, _ := digests("user", []string{TokenDigest(user)})
	return func(r *http.Request, _ []byte, _ time.Time) error {
		u, p, _ := r.BasicAuth()
		if known, right := among(u, want), among(p, list); !known || !right {
			return errNotAuthentic
		}
		return nil
	}, nil
}

func standardWebhooks(secrets []string) (verifier, error) {
	var hooks []*standardwebhooks.Webhook
	for i, s := range secrets {
		h, err := standardwebhooks.NewWebhook(s)
		if key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(s, "whsec_")); err != nil || len(key) < 24 {
			return nil, fmt.Errorf("secrets[%d] is not whsec_ and the Base64 of at least 24 bytes", i)
		}
		hooks = append(hooks, h)
	}
	if len(hooks) == 0 {
		return nil, errors.New("secrets is empty: give at least one whsec_…")
	}
	return func(r *http.Request, body []byte, now time.Time) error {
		if !fresh(r.Header.Get(standardwebhooks.HeaderWebhookTimestamp), now) {
			return errNotAuthentic
		}
		for _, h := range hooks {
			// The library's own check of the time does not take our clock.
			if h.VerifyIgnoringTimestamp(body, r.Header) == nil {
				return nil
			}
		}
		return errNotAuthentic
	}, nil
}

// fresh reports whether an instant, in seconds since 1970 or RFC 3339, is within the tolerance.
func fresh(s string, now time.Time) bool {
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return false
		}
		if at = time.Unix(n, 0); n > 1e11 {
			at = time.UnixMilli(n)
		}
	}
	return now.Sub(at).Abs() <= tolerance
}

func vendorHMAC(h HMAC, secrets []string) (verifier, error) {
	algorithms := map[string]func() hash.Hash{"": sha256.New, "sha256": sha256.New, "sha512": sha512.New, "sha1": sha1.New}
	newHash := algorithms[h.Algorithm]
	decode := map[string]func(string) ([]byte, error){"": hex.DecodeString, "hex": hex.DecodeString, "base64": base64.StdEncoding.DecodeString}[h.Encoding]
	parts := h.Parts
	if len(parts) == 0 {
		parts = []string{"body"}
	}
	switch {
	case h.Header == "":
		return nil, errors.New("hmac.header is missing: which header holds the signature?")
	case newHash == nil:
		return nil, fmt.Errorf("hmac.algorithm %q: want sha256, sha512 or sha1", h.Algorithm)
	case decode == nil:
		return nil, fmt.Errorf("hmac.encoding %q: want hex or base64", h.Encoding)
	case len(secrets) == 0:
		return nil, errors.New("secrets is empty")
	}
	if err := checkParts(parts, h.Timestamp); err != nil {
		return nil, err
	}
	for i, s := range secrets {
		if len(s) < 16 {
			return nil, fmt.Errorf("secrets[%d] is shorter than 16 characters", i)
		}
	}
	return func(r *http.Request, body []byte, now time.Time) error {
		text, ok := strings.CutPrefix(r.Header.Get(h.Header), h.Prefix)
		got, err := decode(strings.TrimSpace(text))
		if !ok || err != nil || (h.Timestamp != "" && !fresh(r.Header.Get(h.Timestamp), now)) {
			return errNotAuthentic
		}
		found := false
		for _, secret := range secrets {
			mac := hmac.New(newHash, []byte(secret))
			for _, p := range parts {
				mac.Write(part(p, r, body))
			}
			if hmac.Equal(mac.Sum(nil), got) {
				found = true
			}
		}
		if !found {
			return errNotAuthentic
		}
		return nil
	}, nil
}

func checkParts(parts []string, timestamp string) error {
	signsBody, signsTime := false, timestamp == ""
	for i, p := range parts {
		kind, name, _ := strings.Cut(p, ":")
		switch {
		case p == "body":
			signsBody = true
		case kind == "header" && name != "":
			signsTime = signsTime || strings.EqualFold(name, timestamp)
		case kind == "text":
		default:
			return fmt.Errorf("hmac.parts[%d] %q: want body, header:<name> or text:<literal>", i, p)
		}
	}
	if !signsBody || !signsTime {
		return errors.New("hmac.parts must hold body, and the timestamp's header if one is set")
	}
	return nil
}

func part(p string, r *http.Request, body []byte) []byte {
	kind, name, _ := strings.Cut(p, ":")
	switch kind {
	case "header":
		return []byte(r.Header.Get(name))
	case "text":
		return []byte(name)
	}
	return body
}
