package twilio

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"tocsin.dev/services/notice/carrier"
)

// MaxEvents bounds one request of Event Streams, which batches at most 64 KB.
const MaxEvents = 256 << 10

// messageEvent is what the type of an event about an outgoing message begins with;
// the rest is its status.
const messageEvent = "com.twilio.messaging.message."

// ErrEvents means that a verified body is not what Event Streams sends.
var ErrEvents = errors.New("twilio events: not a JSON array of CloudEvents")

// Events are those of a request that are about notices of ours.
type Events struct {
	Facts []carrier.Receipt
	// Ours is the request without the events of others.
	Ours []byte
}

// cloudEvent is an event, schema Messaging.MessageStatus, as far as it is read:
// https://events-schemas.twilio.com/Messaging.MessageStatus/4
type cloudEvent struct {
	Type string `json:"type"`
	Data struct {
		MessageSID string `json:"messageSid"`
		To         string `json:"to"`
		ErrorCode  int    `json:"errorCode"`
		// StatusCallback is the address that the message was created with, which
		// names notice and attempt.
		StatusCallback string `json:"statusCallBackUrl"`
	} `json:"data"`
}

// ReadEvents verifies a request of a webhook sink of Event Streams, which came
// with a query, and returns its events. ok is false if the signature is wrong; err
// tells of a body that cannot be read.
//
// Event Streams repeats for four hours what is not taken within five seconds;
// status callbacks, which say the same, are lost after a few tries at once.
func (v *Verifier) ReadEvents(query string, body []byte, signature string) (e Events, ok bool, err error) {
	if !v.signedBody(query, body, signature) {
		return e, false, nil
	}
	var all []json.RawMessage
	if bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")) { // a sink without batches
		body = fmt.Appendf(nil, "[%s]", body)
	}
	if err := json.Unmarshal(body, &all); err != nil {
		return e, true, ErrEvents
	}
	var ours [][]byte
	for _, raw := range all {
		var one cloudEvent
		if err := json.Unmarshal(raw, &one); err != nil {
			return e, true, ErrEvents
		}
		if r, ok := v.fact(&one); ok {
			e.Facts, ours = append(e.Facts, r), append(ours, raw)
		}
	}
	e.Ours = fmt.Appendf(nil, "[%s]", bytes.Join(ours, []byte(",")))
	return e, true, nil
}

// signedBody reports whether a signature fits the address of the sink, to whose
// query Twilio adds the body's hash, and the hash the body.
func (v *Verifier) signedBody(query string, body []byte, signature string) bool {
	if q, err := url.ParseQuery(query); err != nil || q.Get("bodySHA256") == "" {
		return false // the validator would take the body for a form
	}
	for i := range v.validators {
		if v.validators[i].ValidateBody(v.callback+"/events?"+query, body, signature) {
			return true
		}
	}
	return false
}

// fact reads an event; ok is false if it is not about a notice of ours, or says
// nothing. It carries no clock, as callbacks do not: a status that is final stays.
func (v *Verifier) fact(e *cloudEvent) (r carrier.Receipt, ok bool) {
	status, isMessage := strings.CutPrefix(e.Type, messageEvent)
	address, _, _ := strings.Cut(e.Data.StatusCallback, "#")
	path, isOurs := strings.CutPrefix(address, v.callback+"/cases/")
	about := strings.Split(path, "/")
	if !isMessage || !isOurs || len(about) != 3 {
		return r, false
	}
	var err error
	if r.Notice, err = carrier.ParseID(about[1]); err != nil {
		return r, false
	}
	if r.Attempt, r.Pos, err = carrier.ParseAttempt(about[2]); err != nil {
		return r, false
	}
	r.Message, r.To, r.Code = e.Data.MessageSID, carrier.AddressHash(e.Data.To), e.Data.ErrorCode
	r.Meaning = meaningOf(status, r.Code)
	return r, r.Meaning != carrier.Ignored
}
