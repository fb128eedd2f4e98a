package sandbox

import (
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // Twilio's scheme is HMAC-SHA1
	"encoding/base64"
	"net/http"
	"net/url"
	"sort"
	"strconv"
	"strings"
	"time"
)

// overrides are the connection overrides in the fragment of a callback URL, as Twilio documents
// them; without any, it tries once more and only when no connection could be made.
type overrides struct {
	retries int           // rc, 0 to 5
	policy  string        // rp: ct, rt, 4xx, 5xx, all; several with commas
	wait    time.Duration // rt
}

func readOverrides(fragment string) overrides {
	o := overrides{retries: 1, policy: "ct", wait: 15 * time.Second}
	q, err := url.ParseQuery(fragment)
	if err != nil {
		return o
	}
	if n, err := strconv.Atoi(q.Get("rc")); err == nil && n >= 0 && n <= 5 {
		o.retries = n
	}
	if p := q.Get("rp"); p != "" {
		o.policy = p
	}
	if ms, err := strconv.Atoi(q.Get("rt")); err == nil && ms >= 100 && ms <= 15000 {
		o.wait = time.Duration(ms) * time.Millisecond
	}
	return o
}

// again says whether the outcome of a callback is one the sender wants repeated.
func (o overrides) again(status int, connected bool) bool {
	for p := range strings.SplitSeq(o.policy, ",") {
		switch p {
		case "all":
			return true
		case "ct":
			if status == 0 && !connected {
				return true
			}
		case "rt":
			if status == 0 && connected {
				return true
			}
		case "4xx", "5xx":
			if strconv.Itoa(status/100) == p[:1] {
				return true
			}
		}
	}
	return false
}

// postStatus delivers one Twilio status callback.
func (s *Service) postStatus(ctx context.Context, st step) {
	s.record.mu.Lock()
	if st.era != s.record.era || st.message >= s.record.count {
		s.record.mu.Unlock()
		return
	}
	e := *s.record.at(st.message)
	s.record.mu.Unlock()
	address, fragment, _ := strings.Cut(e.env.callback, "#")
	form := s.statusForm(&e, st)
	over := readOverrides(fragment)
	one, cancel := context.WithTimeout(ctx, over.wait)
	defer cancel()
	connected := false
	req, err := http.NewRequestWithContext(watchConnection(one, &connected), http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return // the address was checked when the message was accepted
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")
	req.Header.Set("User-Agent", "TwilioProxy/1.1")
	req.Header.Set("I-Twilio-Idempotency-Token", s.eventID(step{message: st.message, to: st.to, era: st.era}))
	req.Header.Set("X-Twilio-Signature", TwilioSignature(s.cfg.TwilioAuthToken, address, form))
	status, err := s.deliver(req)
	if err == nil && status/100 == 2 {
		s.stats.callbacksDelivered.Add(1)
		return
	}
	if ctx.Err() != nil {
		return
	}
	s.stats.callbacksFailed.Add(1)
	if int(st.try) >= over.retries || !over.again(status, connected) {
		s.stats.receiptsGivenUp.Add(1)
		return
	}
	st.try++
	st.at = s.cfg.Now().Add(min(s.cfg.RetryBase, time.Second)).UnixNano()
	s.callbacks.push(st)
}

// statusForm is the parameters of a status callback.
func (s *Service) statusForm(e *entry, st step) url.Values {
	from := e.env.from
	if from == "" {
		from = senderOfService
	}
	form := url.Values{
		"AccountSid": {s.cfg.TwilioAccountSID}, "ApiVersion": {"2010-04-01"},
		"MessageSid": {e.env.id}, "SmsSid": {e.env.id},
		"MessageStatus": {st.to.twilioStatus()}, "SmsStatus": {st.to.twilioStatus()},
		"To": {e.piece(e.to)}, "From": {from},
	}
	if e.env.service != "" {
		form.Set("MessagingServiceSid", e.env.service)
	}
	if st.to == undelivered || st.to == failed {
		if code, _ := e.outcomeCode(); code != 0 {
			form.Set("ErrorCode", strconv.Itoa(int(code)))
		}
	}
	return form
}

// TwilioSignature is the X-Twilio-Signature of a form posted to address: HMAC-SHA1 with the auth
// token over the address and the sorted parameters, in base64.
func TwilioSignature(token, address string, form url.Values) string {
	keys := make([]string, 0, len(form))
	for k := range form {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	mac := hmac.New(sha1.New, []byte(token))
	mac.Write([]byte(address))
	for _, k := range keys {
		mac.Write([]byte(k))
		mac.Write([]byte(form.Get(k)))
	}
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
