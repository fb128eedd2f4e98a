package twilio

import (
	"errors"
	"net/url"
	"strconv"

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
	return v, nil
}

// ErrForm means that a body is not a form that Twilio would send.
var ErrForm = errors.New("twilio callback: not a plain form")

// Read verifies a status callback that came for the notice and attempt of the
// path and returns its fact. ok is false if the signature is wrong; err tells
// of a body or path that cannot be read.
func (v *Verifier) Read(caseID, notice, attempt string, body []byte, signature string) (r carrier.Receipt, ok bool, err error) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return r, false, ErrForm
	}
	params := make(map[string]string, len(form))
	for k, values := range form {
		if len(values) != 1 { // the validator would look at the first alone
			return r, false, ErrForm
		}
		params[k] = values[0]
	}
	address := v.callback + "/cases/" + caseID + "/" + notice + "/" + attempt
	for i := range v.validators {
		ok = ok || v.validators[i].Validate(address, params, signature)
	}
	if !ok {
		return r, false, nil
	}
	if r.Notice, err = carrier.ParseID(notice); err != nil {
		return r, true, err
	}
	if r.Attempt, r.Pos, err = carrier.ParseAttempt(attempt); err != nil {
		return r, true, err
	}
	r.Message = params["MessageSid"]
	r.Code, _ = strconv.Atoi(params["ErrorCode"]) // absent unless it failed
	r.Meaning = meaningOf(params["MessageStatus"], r.Code)
	return r, true, nil
}
