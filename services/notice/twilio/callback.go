package twilio

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // Twilio signs with HMAC-SHA1
	"encoding/base64"
	"errors"
	"hash"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	base "github.com/twilio/twilio-go/client"

	"tocsin.dev/services/notice/carrier"
)

// SignatureHeader carries Twilio's signature of a callback.
const SignatureHeader = "X-Twilio-Signature"

// MaxCallback bounds the body of a status callback.
const MaxCallback = 64 << 10

// Verifier checks the signatures of callbacks with one or more auth tokens, so
// that a token can be changed without losing callbacks.
type Verifier struct {
	callback   string
	macs       []*sync.Pool // of hash.Hash, one pool for each token
	validators []base.RequestValidator
}

// NewVerifier takes the public base URL of callbacks, exactly as it was given
// to Twilio: the signature covers it, whatever a proxy made of the request.
func NewVerifier(callback string, tokens ...string) (*Verifier, error) {
	if callback == "" || len(tokens) == 0 {
		return nil, errors.New("twilio callbacks: the public URL and an auth token are needed: set notice.public_url")
	}
	v := &Verifier{callback: callback}
	for _, t := range tokens {
		v.macs = append(v.macs, &sync.Pool{New: func() any { return hmac.New(sha1.New, []byte(t)) }})
		v.validators = append(v.validators, base.NewRequestValidator(t))
	}
	return v, nil
}

// ErrForm means that a body is not a form that Twilio would send.
var ErrForm = errors.New("twilio callback: not a plain form")

// Read verifies a status callback that came for the notice and attempt of the
// path and returns its fact. ok is false if the signature is wrong; err tells
// of a body or path that cannot be read.
func (v *Verifier) Read(caseID, notice, attempt string, body []byte, signature string) (r carrier.Receipt, ok bool, err error) {
	params, err := plainForm(body)
	if err != nil {
		return r, false, err
	}
	address := v.callback + "/cases/" + caseID + "/" + notice + "/" + attempt
	if !v.signed(address, params, signature) {
		return r, false, nil
	}
	if r.Notice, err = carrier.ParseID(notice); err != nil {
		return r, true, err
	}
	if r.Attempt, r.Pos, err = carrier.ParseAttempt(attempt); err != nil {
		return r, true, err
	}
	r.Message = valueOf(params, "MessageSid")
	r.To = carrier.AddressHash(valueOf(params, "To"))
	r.Code, _ = strconv.Atoi(valueOf(params, "ErrorCode")) // absent unless it failed
	r.Meaning = meaningOf(valueOf(params, "MessageStatus"), r.Code)
	return r, true, nil
}

// param is one parameter of a form.
type param struct{ name, value string }

// plainForm reads a form in which every name stands once, in order of name. The
// validator would look at the first of several values alone.
func plainForm(body []byte) ([]param, error) {
	all := make([]param, 0, 16)
	for field := range strings.SplitSeq(string(body), "&") {
		if field == "" {
			continue
		}
		name, value, _ := strings.Cut(field, "=")
		plain, err := url.QueryUnescape(name)
		if err != nil || strings.Contains(field, ";") {
			return nil, ErrForm
		}
		if value, err = url.QueryUnescape(value); err != nil {
			return nil, ErrForm
		}
		all = append(all, param{plain, value})
	}
	slices.SortFunc(all, func(a, b param) int { return strings.Compare(a.name, b.name) })
	for i := 1; i < len(all); i++ {
		if all[i].name == all[i-1].name {
			return nil, ErrForm
		}
	}
	return all, nil
}

func valueOf(params []param, name string) string {
	i, ok := slices.BinarySearchFunc(params, name, func(p param, name string) int { return strings.Compare(p.name, name) })
	if !ok {
		return ""
	}
	return params[i].value
}

// signed reports whether a signature fits. The address is the one that we gave,
// so its own signature is computed first; twilio-go's validator, which also
// tries the address with and without its port and costs several times as much,
// sees only what does not fit that.
func (v *Verifier) signed(address string, params []param, signature string) bool {
	var room [1024]byte
	said := append(room[:0], address...)
	for _, p := range params {
		said = append(append(said, p.name...), p.value...)
	}
	sent, err := base64.StdEncoding.DecodeString(signature)
	if err != nil || len(sent) != sha1.Size {
		return false
	}
	var want [sha1.Size]byte
	for _, pool := range v.macs {
		mac := pool.Get().(hash.Hash) //nolint:errcheck,forcetypeassert // the pool's own
		mac.Reset()
		mac.Write(said)
		same := hmac.Equal(mac.Sum(want[:0]), sent)
		pool.Put(mac)
		if same {
			return true
		}
	}
	named := make(map[string]string, len(params))
	for _, p := range params {
		named[p.name] = p.value
	}
	for i := range v.validators {
		if v.validators[i].Validate(address, named, signature) {
			return true
		}
	}
	return false
}
