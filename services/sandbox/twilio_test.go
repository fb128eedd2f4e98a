package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twilio/twilio-go"
	"github.com/twilio/twilio-go/client"
	api "github.com/twilio/twilio-go/rest/api/v2010"
)

// toSandbox sends what twilio-go addresses to Twilio to the sandbox.
type toSandbox struct{ url *url.URL }

func (t toSandbox) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host = t.url.Scheme, t.url.Host
	return http.DefaultTransport.RoundTrip(r)
}

func (r *rig) twilioClient() *twilio.RestClient {
	u, err := url.Parse(r.url)
	if err != nil {
		r.t.Fatal(err)
	}
	c := &client.Client{
		Credentials: client.NewCredentials(testSID, testToken),
		HTTPClient:  &http.Client{Transport: toSandbox{u}},
	}
	c.SetAccountSid(testSID)
	return twilio.NewRestClientWithParams(twilio.ClientParams{Client: c})
}

func (r *rig) smsStates(to string) (states []string) {
	for _, f := range r.forms {
		if f.Get("To") == to {
			states = append(states, f.Get("MessageStatus"))
		}
	}
	return states
}

func TestTheRealTwilioClientSendsAndIsCalledBack(t *testing.T) {
	r := newRig(t, nil)
	c := r.twilioClient()
	p := &api.CreateMessageParams{}
	p.SetTo("+447700900001")
	p.SetFrom("+15005550006")
	p.SetBody("Your data: €5 for a naïve reader")
	p.SetStatusCallback(r.hook + "/sms/cases/c-7/notice1/attempt1?x=1#rc=5&rp=all")
	p.SetValidityPeriod(3600)
	m, err := c.Api.CreateMessage(p)
	if err != nil {
		t.Fatal(err)
	}
	if *m.Status != "queued" || !strings.HasPrefix(*m.Sid, "SM") || *m.NumSegments != "1" || m.ErrorCode != nil {
		t.Fatalf("message %v %v %v", *m.Status, *m.Sid, *m.NumSegments)
	}
	r.until("sent and delivered", func() bool { return len(r.smsStates("+447700900001")) == 2 })
	if got := r.smsStates("+447700900001"); !slices.Contains(got, "sent") || !slices.Contains(got, "delivered") {
		t.Errorf("callbacks %v", got)
	}
	if r.bad != 0 {
		t.Errorf("%d signatures did not verify", r.bad)
	}
	if r.paths[0] != "/sms/cases/c-7/notice1/attempt1" {
		t.Errorf("called back at %q", r.paths[0])
	}
	found, err := c.Api.FetchMessage(*m.Sid, nil)
	if err != nil {
		t.Fatal(err)
	}
	if *found.Status != "delivered" || found.DateSent == nil {
		t.Errorf("fetched %v, sent %v", *found.Status, found.DateSent)
	}
	if sum := r.Summary("c-7", 0); sum.ToldOnce != 1 || sum.Notices != 1 || sum.ByChannel["sms"] != 1 {
		t.Errorf("record %+v", sum)
	}
	s := r.show(0)
	if s.Notice != "notice1" || s.Attempt != "attempt1" {
		t.Errorf("notice %q attempt %q", s.Notice, s.Attempt)
	}
}

func TestAMessagingServicePicksItsSenderLater(t *testing.T) {
	r := newRig(t, nil)
	form := r.sms("+447700900002")
	form.Del("From")
	form.Set("MessagingServiceSid", "MG0123456789abcdef0123456789abcdef")
	resp, body := r.text(form)
	wantStatus(t, resp, body, 201)
	var m map[string]any
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		t.Fatal(err)
	}
	if m["status"] != "accepted" || m["from"] != nil || m["num_segments"] != "0" {
		t.Errorf("created: %s", body)
	}
	r.until("queued, sent, delivered", func() bool { return len(r.smsStates("+447700900002")) == 3 })
}

func TestTwilioRefusesWhatTheVendorRefuses(t *testing.T) {
	r := newRig(t, nil)
	for name, c := range map[string]struct {
		set  [2]string
		code int
	}{
		"no to":                    {[2]string{"To", ""}, 21604},
		"national number":          {[2]string{"To", "07700900001"}, 21211},
		"spaces":                   {[2]string{"To", "+44 7700 900001"}, 21211},
		"no sender":                {[2]string{"From", ""}, 21603},
		"bad sender":               {[2]string{"From", "A very long sender"}, 21212},
		"to itself":                {[2]string{"From", "+447700900001"}, 21266},
		"no body":                  {[2]string{"Body", ""}, 21602},
		"1601 characters":          {[2]string{"Body", strings.Repeat("ä", 1601)}, 21617},
		"1600 characters":          {[2]string{"Body", strings.Repeat("ä", 1600)}, 0},
		"callback not a URL":       {[2]string{"StatusCallback", "nowhere"}, 21609},
		"validity 0":               {[2]string{"ValidityPeriod", "0"}, 21624},
		"validity 36001":           {[2]string{"ValidityPeriod", "36001"}, 21624},
		"validity 36000":           {[2]string{"ValidityPeriod", "36000"}, 0},
		"alphanumeric sender":      {[2]string{"From", "Tidewater"}, 0},
		"opted out":                {[2]string{"To", "+44779921610"}, 21610},
		"landline":                 {[2]string{"To", "+44779921635"}, 21635},
		"not mobile":               {[2]string{"To", "+44779921614"}, 21614},
		"queue full":               {[2]string{"To", "+44779921611"}, 21611},
		"invalid by steering":      {[2]string{"To", "+44779921211"}, 21211},
		"Twilio's own test number": {[2]string{"To", "+15005550004"}, 21610},
		"unknown service":          {[2]string{"MessagingServiceSid", "MGx"}, 21701},
		"schedule without service": {[2]string{"ScheduleType", "fixed"}, 35114},
	} {
		t.Run(name, func(t *testing.T) {
			form := r.sms("+447700900001")
			form.Set(c.set[0], c.set[1])
			before := r.Summary("", 0).AcceptedTotal
			resp, body := r.text(form)
			if c.code == 0 {
				wantStatus(t, resp, body, 201)
				return
			}
			wantStatus(t, resp, body, 400)
			if !strings.Contains(body, fmt.Sprintf(`"code":%d,`, c.code)) {
				t.Errorf("want code %d: %s", c.code, body)
			}
			if r.Summary("", 0).AcceptedTotal != before {
				t.Error("a refused message was accepted")
			}
		})
	}
	resp, body := r.do("POST", "/2010-04-01/Accounts/"+testSID+"/Messages.json", "To=x", "Content-Type", "application/x-www-form-urlencoded")
	wantStatus(t, resp, body, 401)
	if !strings.Contains(body, `"code":20003`) {
		t.Errorf("unauthorised: %s", body)
	}
	p := &api.CreateMessageParams{}
	p.SetTo("+44779921610")
	p.SetFrom("+15005550006")
	p.SetBody("x")
	_, err := r.twilioClient().Api.CreateMessage(p)
	var rest *client.TwilioRestError
	if !errors.As(err, &rest) || rest.Code != 21610 || rest.Status != 400 {
		t.Errorf("the real client reads %v", err)
	}
}

func TestThePhoneNumberDecidesTheOutcome(t *testing.T) {
	r := newRig(t, nil)
	for to, c := range map[string][2]string{
		"+44779930003": {"undelivered", "30003"}, "+44779930007": {"undelivered", "30007"},
		"+44779930036": {"failed", "30036"}, "+44779930001": {"failed", "30001"},
	} {
		resp, body := r.text(r.sms(to))
		wantStatus(t, resp, body, 201)
		r.until(to+" "+c[0], func() bool {
			for _, f := range r.forms {
				if f.Get("To") == to && f.Get("MessageStatus") == c[0] && f.Get("ErrorCode") == c[1] {
					return true
				}
			}
			return false
		})
	}
	r.faultsAre(Faults{SteeringOff: true})
	resp, body := r.text(r.sms("+44779921610"))
	wantStatus(t, resp, body, 201)
}

func TestTheListIsPagedNewestFirstByTheRealClient(t *testing.T) {
	r := newRig(t, nil)
	c := r.twilioClient()
	for i := range 7 {
		form := r.sms("+447700900005")
		form.Set("Body", fmt.Sprint("number ", i))
		resp, body := r.text(form)
		wantStatus(t, resp, body, 201)
	}
	r.text(r.sms("+447700900006"))
	p := &api.ListMessageParams{}
	p.SetTo("+447700900005")
	p.SetPageSize(3)
	found, err := c.Api.ListMessage(p)
	if err != nil {
		t.Fatal(err)
	}
	var bodies []string
	for _, m := range found {
		bodies = append(bodies, strings.TrimPrefix(*m.Body, "number "))
	}
	if got := strings.Join(bodies, ""); got != "6543210" {
		t.Errorf("bodies in the order %s, want 6543210", got)
	}
	r.until("all sent", func() bool { return r.Summary("", 0).ByState["delivered"] == 8 })
	p = &api.ListMessageParams{}
	p.SetFrom("+15005550006")
	p.SetDateSentAfter(time.Now().Add(-time.Hour))
	if found, err = c.Api.ListMessage(p); err != nil || len(found) != 8 {
		t.Errorf("sent in the last hour: %d, %v; want 8", len(found), err)
	}
	p.SetDateSentAfter(time.Now().Add(time.Hour))
	if found, err = c.Api.ListMessage(p); err != nil || len(found) != 0 {
		t.Errorf("sent in the next hour: %d, %v; want none", len(found), err)
	}
	r.faultsAre(Faults{LookupsOff: true})
	if _, err = c.Api.ListMessage(p); err == nil {
		t.Error("the look-up answers although it is off")
	}
}

func TestAScheduledSMSIsCancelledBySid(t *testing.T) {
	clock := newClock()
	r := newRig(t, func(c *Config) { c.Now = clock.now })
	p := &api.CreateMessageParams{}
	p.SetTo("+447700900009")
	p.SetMessagingServiceSid("MG0123456789abcdef0123456789abcdef")
	p.SetBody("x")
	p.SetScheduleType("fixed")
	p.SetSendAt(clock.now().Add(time.Hour))
	m, err := r.twilioClient().Api.CreateMessage(p)
	if err != nil {
		t.Fatal(err)
	}
	if *m.Status != "scheduled" {
		t.Fatalf("status %s", *m.Status)
	}
	u := &api.UpdateMessageParams{}
	u.SetStatus("canceled")
	if m, err = r.twilioClient().Api.UpdateMessage(*m.Sid, u); err != nil || *m.Status != "canceled" {
		t.Fatalf("cancel: %v", err)
	}
	clock.forward(2 * time.Hour)
	r.text(r.sms("+447700900010"))
	r.until("the other is delivered", func() bool { return r.Summary("", 0).ByState["delivered"] == 1 })
	if sum := r.Summary("", 0); sum.People != 1 || sum.ByState["cancelled"] != 1 {
		t.Errorf("record %+v", sum)
	}
}

func TestStatusCallbacksAreTriedAgainOnlyAsTheFragmentAsks(t *testing.T) {
	r := newRig(t, nil)
	r.mu.Lock()
	r.refuse = 3
	r.mu.Unlock()
	r.text(r.sms("+447700900011"))
	r.until("delivered in spite of three refusals", func() bool { return len(r.smsStates("+447700900011")) == 2 })
	r.mu.Lock()
	r.refuse = 2
	r.mu.Unlock()
	form := r.sms("+447700900012")
	form.Set("StatusCallback", r.hook+"/sms/n/b") // by default a 5xx loses the event
	r.text(form)
	r.until("two given up", func() bool { return r.Summary("", 0).Callbacks.GivenUp == 2 })
	r.mu.Lock()
	defer r.mu.Unlock()
	if got := r.smsStates("+447700900012"); len(got) != 0 {
		t.Errorf("called back %v", got)
	}
}

func TestSegmentsFollowTheEncoding(t *testing.T) {
	for _, c := range []struct {
		body     string
		parts    int
		encoding string
	}{
		{"", 1, "GSM-7"},
		{strings.Repeat("a", 160), 1, "GSM-7"},
		{strings.Repeat("a", 161), 2, "GSM-7"},
		{strings.Repeat("a", 306), 2, "GSM-7"},
		{strings.Repeat("a", 307), 3, "GSM-7"},
		{strings.Repeat("€", 80), 1, "GSM-7"},
		{strings.Repeat("€", 81), 2, "GSM-7"},
		{strings.Repeat("a", 152) + strings.Repeat("€", 76) + "aa", 3, "GSM-7"}, // a € does not fit in the last place
		{strings.Repeat("ł", 70), 1, "UCS-2"},
		{strings.Repeat("ł", 71), 2, "UCS-2"},
		{strings.Repeat("ł", 134), 2, "UCS-2"},
		{strings.Repeat("👍", 35), 1, "UCS-2"},
		{strings.Repeat("👍", 67), 3, "UCS-2"}, // 33 pairs fit in 67 places
		{"äöüßÄÖÜéèàñ@£¥", 1, "GSM-7"},
		{"ç", 1, "UCS-2"},
	} {
		if parts, encoding := segments(c.body); parts != c.parts || encoding != c.encoding {
			t.Errorf("%.10q… (%d bytes): %d %s, want %d %s", c.body, len(c.body), parts, encoding, c.parts, c.encoding)
		}
	}
}
