package sandbox

import (
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits of Twilio's Messages resource.
const (
	maxSMSBody     = 1600  // characters
	maxValidity    = 36000 // seconds
	maxSMSForm     = 256 << 10
	minScheduleSMS = 300 * time.Second
	maxScheduleSMS = 35 * 24 * time.Hour
	// senderOfService is the number that a messaging service takes in the sandbox: Twilio's own
	// magic sender.
	senderOfService = "+15005550006"
)

var (
	e164         = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)
	shortCode    = regexp.MustCompile(`^[0-9]{3,8}$`)
	alphanumeric = regexp.MustCompile(`^[A-Za-z0-9 +\-_&.]{1,11}$`)
)

func (s *Service) twilioRoutes(mux *http.ServeMux) {
	const messages = "/2010-04-01/Accounts/{account}/Messages.json"
	const message = "/2010-04-01/Accounts/{account}/Messages/{file}"
	mux.Handle("POST "+messages, s.twilio(s.createSMS))
	mux.Handle("GET "+messages, s.twilio(s.listSMS))
	mux.Handle("GET "+message, s.twilio(s.showSMS))
	mux.Handle("POST "+message, s.twilio(s.changeSMS))
	mux.HandleFunc("/2010-04-01/", func(w http.ResponseWriter, r *http.Request) {
		writeTwilioError(w, http.StatusNotFound, 20404, "The requested resource was not found")
	})
}

// twilio lets a request with the right account and token through.
func (s *Service) twilio(h http.HandlerFunc) http.Handler {
	sid, token := []byte(s.cfg.TwilioAccountSID), []byte(s.cfg.TwilioAuthToken)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if subtle.ConstantTimeCompare([]byte(user), sid)&subtle.ConstantTimeCompare([]byte(password), token) != 1 {
			s.stats.refused.Add(1)
			w.Header().Set("WWW-Authenticate", `Basic realm="Twilio API"`)
			writeTwilioError(w, http.StatusUnauthorized, 20003, "Authenticate")
			return
		}
		if r.PathValue("account") != s.cfg.TwilioAccountSID {
			writeTwilioError(w, http.StatusNotFound, 20404, "The requested resource was not found")
			return
		}
		h(w, r)
	})
}

func writeTwilioError(w http.ResponseWriter, status, code int, message string) {
	writeJSON(w, status, map[string]any{"code": code, "message": message, "more_info": moreInfo(code), "status": status})
}

func moreInfo(code int) string { return fmt.Sprintf("https://www.twilio.com/docs/errors/%d", code) }

func (s *Service) createSMS(w http.ResponseWriter, r *http.Request) {
	f := s.faults.Load()
	wait, fault := f.next()
	if !s.pause(r, wait) {
		return
	}
	switch {
	case fault == dropBeforeAccept:
		s.hangUp(w)
		return
	case fault == answerRateLimited || s.callbacks.full():
		s.rateLimited(w, f)
		writeTwilioError(w, http.StatusTooManyRequests, 20429, "Too Many Requests")
		return
	case fault == answerServerError:
		s.serverError(w, f)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxSMSForm)
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/x-www-form-urlencoded" {
		s.refuseSMS(w, 20001, "The request is not form encoded")
		return
	}
	if err := r.ParseForm(); err != nil {
		s.refuseSMS(w, 20001, "The form cannot be read")
		return
	}
	now := s.cfg.Now()
	env, code, message := s.readSMS(r.PostForm, now)
	if code != 0 {
		s.refuseSMS(w, code, message)
		return
	}
	to := r.PostForm.Get("To")
	outcome := fateDelivered
	if !f.SteeringOff {
		refuse, steered, _ := phoneFate(to)
		if refuse != 0 {
			s.refuseSMS(w, refuse, createCodes[refuse])
			return
		}
		outcome = steered
	}
	if before := s.lastBody.Swap(env.content); f.MixUp && before != nil {
		env.content = before
	}
	index := s.acceptSMS(env, to, outcome)
	if !s.answer(w, r, f, fault) {
		return
	}
	s.record.mu.Lock()
	e := *s.record.at(index)
	s.record.mu.Unlock()
	e.state = e.firstState()
	writeJSON(w, http.StatusCreated, s.smsResource(&e))
}

func (s *Service) refuseSMS(w http.ResponseWriter, code int, message string) {
	s.stats.refused.Add(1)
	writeTwilioError(w, http.StatusBadRequest, code, message)
}

// readSMS checks a form in the vendor's order and returns the vendor's code for the first fault.
func (s *Service) readSMS(form url.Values, now time.Time) (env *envelope, code int, message string) {
	to, from, service := form.Get("To"), form.Get("From"), form.Get("MessagingServiceSid")
	body := form.Get("Body")
	switch {
	case to == "":
		return nil, 21604, "A 'To' phone number is required."
	case !e164.MatchString(to):
		return nil, 21211, "Invalid 'To' Phone Number"
	case from == "" && service == "":
		return nil, 21603, "A 'From' phone number is required."
	case service != "" && !isSID(service, "MG"):
		return nil, 21701, "The Messaging Service does not exist"
	case from != "" && !e164.MatchString(from) && !shortCode.MatchString(from) && !isAlphanumericSender(from):
		return nil, 21212, "Invalid 'From' Number"
	case from == to:
		return nil, 21266, "'To' and 'From' number cannot be the same"
	case body == "" && len(form["MediaUrl"]) == 0 && form.Get("ContentSid") == "":
		return nil, 21602, "Message body is required."
	case utf8.RuneCountInString(body) > maxSMSBody:
		return nil, 21617, "The concatenated message body exceeds the 1600 character limit."
	}
	env = &envelope{
		channel: sms, id: s.sid(), at: now, from: from, service: service,
		callback: form.Get("StatusCallback"), validity: maxValidity * time.Second, content: &content{text: body},
	}
	if env.callback != "" && !isWebURL(env.callback) {
		return nil, 21609, "The StatusCallback URL is not a valid URL."
	}
	if v := form.Get("ValidityPeriod"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > maxValidity {
			return nil, 21624, "The ValidityPeriod must be an integer from 1 to 36000."
		}
		env.validity = time.Duration(n) * time.Second
	}
	code, message = readSchedule(form, env, now)
	return env, code, message
}

// readSchedule reads SendAt and ScheduleType; only a messaging service can schedule.
func readSchedule(form url.Values, env *envelope, now time.Time) (code int, message string) {
	kind, at := form.Get("ScheduleType"), form.Get("SendAt")
	switch {
	case kind == "" && at == "":
		return 0, ""
	case kind != "fixed":
		return 35111, "ScheduleType must be fixed when SendAt is given"
	case at == "":
		return 35114, "SendAt is required when ScheduleType is given"
	case env.service == "":
		return 35118, "MessagingServiceSid is required to schedule a message"
	}
	sendAt, err := time.Parse(time.RFC3339, at)
	if err != nil {
		return 35114, "SendAt must be an ISO 8601 instant"
	}
	if ahead := sendAt.Sub(now); ahead < minScheduleSMS || ahead > maxScheduleSMS {
		return 35114, "SendAt must be between 300 seconds and 35 days ahead"
	}
	env.sendAt = sendAt
	return 0, ""
}

func isAlphanumericSender(s string) bool {
	return alphanumeric.MatchString(s) && strings.ContainsFunc(s, func(r rune) bool { return r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' })
}

func isWebURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && len(s) <= 4000
}

// isSID says whether s is a Twilio id: two letters and 32 hexadecimal digits.
func isSID(s, prefix string) bool {
	if len(s) != 34 || !strings.HasPrefix(s, prefix) {
		return false
	}
	_, err := hex.DecodeString(s[2:])
	return err == nil
}

func (s *Service) sid() string {
	n := s.requests.Add(1)
	return fmt.Sprintf("SM%016x%016x", mix(s.cfg.Seed, n, 41), mix(s.cfg.Seed, n, 42))
}

// acceptSMS records one message. After it returns the message is sent, whatever the caller is answered.
func (s *Service) acceptSMS(env *envelope, to string, outcome fate) uint32 {
	var notice, attempt, caseID string
	if u, err := url.Parse(env.callback); err == nil && env.callback != "" {
		notice, attempt = s.cfg.NoticeFromCallback(u)
		caseID = caseFromURL(u)
	}
	env.text = to + notice + attempt + caseID
	env.caseID = caseID
	r := s.record
	e := entry{
		env: env, fate: outcome, notice: r.hash(notice), addr: r.addressKey(sms, to),
		to:    span{0, uint32(len(to))},
		args:  span{uint32(len(to)), uint32(len(notice))},
		extra: span{uint32(len(to) + len(notice)), uint32(len(attempt))},
	}
	e.what = mix(e.addr, r.hash(env.content.text), 0)
	s.store(env, []entry{e}, []detail{{content: env.content}})
	return env.first
}

// NoticeFromPath reads notice and attempt from the query parameters n and b of a status callback,
// or else from the last two segments of its path.
func NoticeFromPath(u *url.URL) (notice, attempt string) {
	if q := u.Query(); q.Has("n") {
		return q.Get("n"), q.Get("b")
	}
	parts := strings.Split(strings.Trim(u.Path, "/"), "/")
	if len(parts) < 2 {
		return "", ""
	}
	return parts[len(parts)-2], parts[len(parts)-1]
}

func caseFromURL(u *url.URL) string {
	if id := u.Query().Get("case"); id != "" {
		return id
	}
	parts := strings.Split(u.Path, "/")
	for i := 0; i+1 < len(parts); i++ {
		if parts[i] == "case" || parts[i] == "cases" {
			return parts[i+1]
		}
	}
	return ""
}

// changeSMS cancels a scheduled message, the one change the sandbox knows.
func (s *Service) changeSMS(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxSMSForm)
	if err := r.ParseForm(); err != nil || r.PostForm.Get("Status") != "canceled" {
		s.refuseSMS(w, 20001, "Status must be canceled")
		return
	}
	sid, _ := strings.CutSuffix(r.PathValue("file"), ".json")
	s.record.mu.Lock()
	defer s.record.mu.Unlock()
	i, ok := s.record.byID[sid]
	if !ok || s.record.at(i).env.channel != sms {
		writeTwilioError(w, http.StatusNotFound, 20404, "The requested resource was not found")
		return
	}
	e := s.record.at(i)
	if e.state != scheduled {
		writeTwilioError(w, http.StatusConflict, 30409, "Message cannot be canceled: it is not scheduled any more")
		return
	}
	e.state = cancelled
	s.record.note(i, happening{At: s.cfg.Now(), Status: cancelled.String()})
	writeJSON(w, http.StatusOK, s.smsResource(e))
}
