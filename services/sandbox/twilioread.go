package sandbox

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// smsForm is Twilio's form of a message; pointers are its nulls.
type smsForm struct {
	AccountSID          string            `json:"account_sid"`
	APIVersion          string            `json:"api_version"`
	Body                string            `json:"body"`
	DateCreated         string            `json:"date_created"`
	DateSent            *string           `json:"date_sent"`
	DateUpdated         string            `json:"date_updated"`
	Direction           string            `json:"direction"`
	ErrorCode           *int              `json:"error_code"`
	ErrorMessage        *string           `json:"error_message"`
	From                *string           `json:"from"`
	MessagingServiceSID *string           `json:"messaging_service_sid"`
	NumMedia            string            `json:"num_media"`
	NumSegments         string            `json:"num_segments"`
	Price               *string           `json:"price"`
	PriceUnit           *string           `json:"price_unit"`
	SID                 string            `json:"sid"`
	Status              string            `json:"status"`
	SubresourceURIs     map[string]string `json:"subresource_uris"`
	To                  string            `json:"to"`
	URI                 string            `json:"uri"`
}

// twilioStatus is Twilio's word for a state.
func (s state) twilioStatus() string {
	if s == cancelled {
		return "canceled"
	}
	return s.String()
}

// sentAt is when an SMS left, zero while it has not: the steps are a fixed time apart.
func (s *Service) sentAt(e *entry) time.Time {
	if e.state != sent && e.state != delivered && e.state != undelivered {
		return time.Time{}
	}
	at, steps := e.env.at, time.Duration(1)
	if !e.env.sendAt.IsZero() {
		at = e.env.sendAt
	}
	if e.env.service != "" {
		steps = 2
	}
	return at.Add(steps * s.cfg.StepDelay)
}

// smsResource shows a message as Twilio does. The caller holds the lock or a copy.
func (s *Service) smsResource(e *entry) smsForm {
	base := "/2010-04-01/Accounts/" + s.cfg.TwilioAccountSID + "/Messages/" + e.env.id
	rfc2822 := func(t time.Time) string { return t.UTC().Format(time.RFC1123Z) }
	f := smsForm{
		AccountSID: s.cfg.TwilioAccountSID, APIVersion: "2010-04-01", Body: e.env.content.text,
		DateCreated: rfc2822(e.env.at), DateUpdated: rfc2822(e.env.at), Direction: "outbound-api",
		NumMedia: "0", NumSegments: "0", SID: e.env.id, Status: e.state.twilioStatus(), To: e.piece(e.to),
		SubresourceURIs: map[string]string{"media": base + "/Media.json"}, URI: base + ".json",
	}
	if at := s.sentAt(e); !at.IsZero() {
		text := rfc2822(at)
		f.DateSent, f.DateUpdated = &text, text
	}
	assigned := e.env.service == "" || e.state != accepted && e.state != scheduled
	if assigned { // a messaging service picks its sender, and so the segments, later
		parts, _ := segments(e.env.content.text)
		f.NumSegments = strconv.Itoa(parts)
		from := e.env.from
		if from == "" {
			from = senderOfService
		}
		f.From = &from
	}
	if e.env.service != "" {
		f.MessagingServiceSID = &e.env.service
	}
	if e.code != 0 {
		code, words := int(e.code), outcomeWords[e.code]
		f.ErrorCode, f.ErrorMessage = &code, &words
	}
	return f
}

func (s *Service) showSMS(w http.ResponseWriter, r *http.Request) {
	sid, isJSON := strings.CutSuffix(r.PathValue("file"), ".json")
	if s.lookupsOff(w) {
		return
	}
	s.record.mu.Lock()
	defer s.record.mu.Unlock()
	i, ok := s.record.byID[sid]
	if !ok || !isJSON || s.record.at(i).env.channel != sms {
		writeTwilioError(w, http.StatusNotFound, 20404, "The requested resource was not found")
		return
	}
	writeJSON(w, http.StatusOK, s.smsResource(s.record.at(i)))
}

func (s *Service) lookupsOff(w http.ResponseWriter) bool {
	if !s.faults.Load().LookupsOff {
		return false
	}
	writeTwilioError(w, http.StatusServiceUnavailable, 20503, "Service Unavailable")
	return true
}

// smsFilter is the query of a list.
type smsFilter struct {
	to, from      string
	after, before time.Time // of date_sent, inclusive from, exclusive to
	visible       time.Time // newer messages are not seen yet
}

func (s *Service) listSMS(w http.ResponseWriter, r *http.Request) {
	if s.lookupsOff(w) {
		return
	}
	q := r.URL.Query()
	filter, err := readSMSFilter(q)
	if err != nil {
		s.refuseSMS(w, 20001, err.Error())
		return
	}
	filter.visible = s.cfg.Now().Add(-time.Duration(s.faults.Load().LookupLagMS) * time.Millisecond)
	size, err := intBetween(q.Get("PageSize"), 50, 1, 1000)
	if err != nil {
		s.refuseSMS(w, 20001, "PageSize must be between 1 and 1000")
		return
	}
	page, err := intBetween(q.Get("Page"), 0, 0, 1<<30)
	if err != nil {
		s.refuseSMS(w, 20001, "Page must be a number")
		return
	}
	below := uint32(1<<32 - 1) // the token says where the page before ended
	if token := q.Get("PageToken"); token != "" {
		n, err := strconv.ParseUint(strings.TrimPrefix(token, "PASM"), 16, 32)
		if err != nil {
			s.refuseSMS(w, 20001, "Invalid PageToken")
			return
		}
		below = uint32(n)
	} else if page > 0 {
		s.refuseSMS(w, 20001, "Page needs the PageToken of the page before")
		return
	}
	s.writePage(w, q, filter, size, page, below)
}

// smsPage is Twilio's form of a list.
type smsPage struct {
	End             int       `json:"end"`
	FirstPageURI    string    `json:"first_page_uri"`
	Messages        []smsForm `json:"messages"`
	NextPageURI     *string   `json:"next_page_uri"`
	Page            int       `json:"page"`
	PageSize        int       `json:"page_size"`
	PreviousPageURI *string   `json:"previous_page_uri"`
	Start           int       `json:"start"`
	URI             string    `json:"uri"`
}

func (s *Service) writePage(w http.ResponseWriter, q url.Values, filter smsFilter, size, page int, below uint32) {
	uri := func(page int, token string) string {
		v := url.Values{}
		for _, k := range []string{"To", "From", "DateSent", "DateSent<", "DateSent>"} {
			if q.Has(k) {
				v.Set(k, q.Get(k))
			}
		}
		v.Set("PageSize", strconv.Itoa(size))
		v.Set("Page", strconv.Itoa(page))
		if token != "" {
			v.Set("PageToken", token)
		}
		return "/2010-04-01/Accounts/" + s.cfg.TwilioAccountSID + "/Messages.json?" + v.Encode()
	}
	s.record.mu.Lock()
	found, last, more := s.findSMS(filter, size, below)
	s.record.mu.Unlock()
	out := smsPage{
		Messages: found, FirstPageURI: uri(0, ""), Page: page, PageSize: size,
		Start: page * size, End: page*size + max(len(found)-1, 0), URI: uri(page, q.Get("PageToken")),
	}
	if more {
		next := uri(page+1, fmt.Sprintf("PASM%08x", last))
		out.NextPageURI = &next
	}
	writeJSON(w, http.StatusOK, out)
}

// findSMS collects the newest messages below an index, newest first. The caller holds the lock.
func (s *Service) findSMS(f smsFilter, size int, below uint32) (found []smsForm, last uint32, more bool) {
	found = []smsForm{}
	take := func(i uint32) bool {
		e := s.record.at(i)
		if i >= below || e.env.channel != sms || !s.matches(e, f) {
			return true
		}
		if len(found) == size {
			more = true
			return false
		}
		found, last = append(found, s.smsResource(e)), i
		return true
	}
	if f.to != "" {
		for i := s.record.byAddr[s.record.addressKey(sms, f.to)]; i != 0; i = s.record.at(i - 1).next {
			if !take(i - 1) {
				break
			}
		}
		return found, last, more
	}
	for i := min(s.record.count, below); i > 0; i-- {
		if !take(i - 1) {
			break
		}
	}
	return found, last, more
}

func (s *Service) matches(e *entry, f smsFilter) bool {
	if f.to != "" && e.piece(e.to) != f.to || e.env.at.After(f.visible) {
		return false
	}
	if f.from != "" && e.env.from != f.from && !(e.env.from == "" && f.from == senderOfService) {
		return false
	}
	if f.after.IsZero() && f.before.IsZero() {
		return true
	}
	at := s.sentAt(e) // a message that has not been sent matches no date
	return !at.IsZero() && !at.Before(f.after) && (f.before.IsZero() || at.Before(f.before))
}

// readSMSFilter understands DateSent as a day or an instant: an instant counts as its day for
// equality, as the vendor's dates do.
func readSMSFilter(q url.Values) (smsFilter, error) {
	f := smsFilter{to: q.Get("To"), from: q.Get("From")}
	for key, set := range map[string]func(time.Time, bool){
		"DateSent": func(t time.Time, _ bool) {
			f.after = t.UTC().Truncate(24 * time.Hour)
			f.before = f.after.Add(24 * time.Hour)
		},
		"DateSent>": func(t time.Time, _ bool) { f.after = t },
		"DateSent<": func(t time.Time, day bool) {
			f.before = t
			if day {
				f.before = t.Add(24 * time.Hour)
			}
		},
	} {
		text := q.Get(key)
		if text == "" {
			continue
		}
		if day, err := time.Parse(time.DateOnly, text); err == nil {
			set(day, true)
		} else if at, err := time.Parse(time.RFC3339, text); err == nil {
			set(at, false)
		} else {
			return f, fmt.Errorf("%s must be YYYY-MM-DD or an ISO 8601 instant", key)
		}
	}
	return f, nil
}

func intBetween(text string, otherwise, low, high int) (int, error) {
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < low || n > high {
		return 0, fmt.Errorf("want a number from %d to %d", low, high)
	}
	return n, nil
}
