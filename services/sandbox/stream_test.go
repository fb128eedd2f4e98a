package sandbox

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/twilio/twilio-go/client"
)

// sink takes events and checks their signatures with the vendor's own validator.
type sink struct {
	mu       sync.Mutex
	refuse   []int // answers to the first requests
	requests int
	bad      int
	longest  int
	events   []cloudEvent
}

func (k *sink) serve(t *testing.T) string {
	var address string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		k.mu.Lock()
		defer k.mu.Unlock()
		k.requests++
		if len(k.refuse) > 0 {
			w.WriteHeader(k.refuse[0])
			k.refuse = k.refuse[1:]
			return
		}
		validator := client.NewRequestValidator(testToken)
		if !validator.ValidateBody(address+req.URL.RequestURI(), body, req.Header.Get("X-Twilio-Signature")) {
			k.bad++
		}
		var some []cloudEvent
		if err := json.Unmarshal(body, &some); err != nil {
			t.Errorf("%v in %s", err, body)
		}
		k.events, k.longest = append(k.events, some...), max(k.longest, len(body))
	}))
	t.Cleanup(srv.Close)
	address = srv.URL
	return srv.URL + "/sink"
}

func (k *sink) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.events)
}

func TestEventStreamsRepeatsWhatIsNotTaken(t *testing.T) {
	k := &sink{refuse: []int{http.StatusServiceUnavailable, http.StatusTooManyRequests}}
	r := newRig(t, func(c *Config) { c.EventStreamURL = k.serve(t) })
	for _, to := range []string{"+447700900001", "+44779930005"} {
		form := r.sms(to)
		form.Set("StatusCallback", r.hook+"/sms/cases/c-7/n/a")
		resp, body := r.text(form)
		wantStatus(t, resp, body, http.StatusCreated)
	}
	r.until("sent and an end of both", func() bool { return k.count() == 4 })
	k.mu.Lock()
	defer k.mu.Unlock()
	var types []string
	for _, e := range k.events {
		types = append(types, strings.TrimPrefix(e.Type, "com.twilio.messaging.message."))
		if e.SpecVersion != "1.0" || !strings.HasPrefix(e.ID, "EZ") || len(e.ID) != 34 || e.Data.StatusCallBackURL != r.hook+"/sms/cases/c-7/n/a" || e.Data.AccountSID != testSID {
			t.Errorf("event %+v", e)
		}
		if code := e.Data.ErrorCode; (code != 0) != strings.HasSuffix(e.Type, "undelivered") {
			t.Errorf("%s has the code %d", e.Type, code)
		}
	}
	slices.Sort(types)
	if want := []string{"delivered", "sent", "sent", "undelivered"}; !slices.Equal(types, want) || k.bad != 0 {
		t.Errorf("events %v, want %v; %d signatures did not verify", types, want, k.bad)
	}
	if r.bad != 0 || len(r.smsStates("+447700900001")) != 2 {
		t.Errorf("callbacks beside them: %v, %d wrong", r.smsStates("+447700900001"), r.bad)
	}
}

func TestEventStreamsForgetsWhatIsRefused(t *testing.T) {
	k := &sink{refuse: []int{http.StatusForbidden}}
	r := newRig(t, func(c *Config) { c.EventStreamURL = k.serve(t) })
	resp, body := r.text(r.sms("+447700900001"))
	wantStatus(t, resp, body, http.StatusCreated)
	r.until("both callbacks and one refusal", func() bool {
		k.mu.Lock()
		defer k.mu.Unlock()
		return k.requests > 0 && r.stats.receiptsGivenUp.Load() > 0 && r.stream.size() == 0
	})
	if n := k.count(); n > 1 {
		t.Errorf("%d events came after they had been refused", n)
	}
}

func TestEventStreamsBoundsItsRequests(t *testing.T) {
	k := &sink{}
	r := newRig(t, func(c *Config) { c.EventStreamURL = k.serve(t) })
	for range 2 * streamBatch {
		form := r.sms("+447700900001")
		form.Set("Body", strings.Repeat("a text of some length ", 14))
		resp, body := r.text(form)
		wantStatus(t, resp, body, http.StatusCreated)
	}
	r.until("all events", func() bool { return k.count() == 4*streamBatch })
	if k.longest > 64<<10 {
		t.Errorf("a request of %d bytes", k.longest)
	}
}
