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
	validators []base.RequestValidator
	rooms      sync.Pool // of *room
}

// room is the memory in which one callback is read.
type room struct {
	params []param
	said   []byte
	sent   [2 * sha1.Size]byte
	want   [sha1.Size]byte
	macs   []hash.Hash // one for each token
}

// NewVerifier takes the public base URL of callbacks, exactly as it was given
// to Twilio: the signature covers it, whatever a proxy made of the request.
func NewVerifier(callback string, tokens ...string) (*Verifier, error) {
	if callback == "" || len(tokens) == 0 {
		return nil, errors.New("twilio callbacks: the public URL and an auth token are needed: set notice.public_url")
	}
	v := &Verifier{callback: callback}
	for _, t := range tokens {
		v.validators = append(v.validators, base.NewRequestValidator(t))
	}
	v.rooms.New = func() any {
		in := &room{}
		for _, t := range tokens {
			in.macs = append(in.macs, hmac.New(sha1.New, []byte(t)))
		}
		return in
	}
	return v, nil
}

// ErrForm means that a body is not a form that Twilio would send.
var ErrForm = errors.New("twilio callback: not a plain form")

// Read verifies a status callback that came for the notice and attempt of the
// path and returns its fact. ok is false if the signature is wrong; err tells
// of a body or path that cannot be read.
func (v *Verifier) Read(caseID, notice, attempt string, body []byte, signature string) (r carrier.Receipt, ok bool, err error) {
	in := v.rooms.Get().(*room) //nolint:errcheck,forcetypeassert // the pool's own
	defer v.rooms.Put(in)
	params, err := plainForm(in.params[:0], body)
	in.params = params
	if err != nil {
		return r, false, err
	}
	address := v.callback + "/cases/" + caseID + "/" + notice + "/" + attempt
	if !v.signed(in, address, signature) {
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

// plainForm reads a form in which every name stands once into all, in order of
// name; all comes back with an error too, for its memory. The validator would
// look at the first of several values alone.
func plainForm(all []param, body []byte) ([]param, error) {
	for field := range strings.SplitSeq(string(body), "&") {
		if field == "" {
			continue
		}
		name, value, _ := strings.Cut(field, "=")
		plain, err := url.QueryUnescape(name)
		if err != nil || strings.Contains(field, ";") {
			return all, ErrForm
		}
		if value, err = url.QueryUnescape(value); err != nil {
			return all, ErrForm
		}
		all = append(all, param{plain, value})
	}
	slices.SortFunc(all, func(a, b param) int { return strings.Compare(a.name, b.name) })
	for i := 1; i < len(all); i++ {
		if all[i].name == all[i-1].name {
			return all, ErrForm
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
func (v *Verifier) signed(in *room, address, signature string) bool {
	in.said = append(in.said[:0], address...)
	for _, p := range in.params {
		in.said = append(append(in.said, p.name...), p.value...)
	}
	if base64.StdEncoding.DecodedLen(len(signature)) > len(in.sent) {
		return false
	}
	n, err := base64.StdEncoding.Decode(in.sent[:], []byte(signature))
	if err != nil || n != sha1.Size {
		return false
	}
	for _, mac := range in.macs {
		mac.Reset()
		mac.Write(in.said)
		if hmac.Equal(mac.Sum(in.want[:0]), in.sent[:n]) {
			return true
		}
	}
	named := make(map[string]string, len(in.params))
	for _, p := range in.params {
		named[p.name] = p.value
	}
	for i := range v.validators {
		if v.validators[i].Validate(address, named, signature) {
			return true
		}
	}
	return false
}
