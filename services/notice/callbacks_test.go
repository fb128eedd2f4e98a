package notice

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/web"
	"tocsin.dev/services/notice/twilio"
	"tocsin.dev/services/sandbox"
)

func TestACallbackAtAStoppedServiceIsToBeRepeated(t *testing.T) {
	r := newReceiver(nil)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	r.run(ctx)
	if err := r.take(&delivery{}); !errors.Is(err, errGone) {
		t.Errorf("taken: %v", err)
	}
}

// While notice is away Twilio gives its callbacks up after a few tries. What it
// said of a message that failed comes by Event Streams, which goes on for hours:
// otherwise somebody who was not told would count as told.
func TestWhatCallbacksLostComesByEventStreams(t *testing.T) {
	people := testPeople(50)
	people[3].Phone = "+44779930005" // an unknown destination
	r := newRig(t, people, nil)
	var refused, batches atomic.Int64
	front := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch {
		case strings.Contains(req.URL.Path, "/twilio/cases/"):
			refused.Add(1)
			http.Error(w, "away", http.StatusBadGateway)
			return
		case strings.HasSuffix(req.URL.Path, "/twilio/events") && batches.Add(1) <= 2:
			http.Error(w, "away", http.StatusBadGateway)
			return
		}
		r.hand.Load().ServeHTTP(w, req)
	}))
	box, err := sandbox.New(sandbox.Config{
		Now: time.Now, SendGridKey: testSG, TwilioAccountSID: testSID, TwilioAuthToken: testTok, EventStreamURL: front + "/v1/receipts/twilio/events",
		StepDelay: 5 * time.Millisecond, RetryBase: 50 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	address := serve(t, box.Handler())
	goRun(t, "sandbox with Event Streams", box.Run)
	r.cfg = func(c *Config) { c.PublicURL, c.Twilio.Host = front, address }
	s, _ := r.start("one")
	r.prepare()
	r.approveAndOrder("sms")
	tally := r.completed(60 * time.Second)
	if tally.Told != 49 || tally.States["sms"]["delivered"] != 49 || tally.Unreachable != 1 {
		t.Errorf("tally = %+v, want 49 delivered and one who could not be reached", tally)
	}
	a, err := s.answerMessages(t.Context(), event.MessagesQuestion{Org: testOrg, Case: testCase, Person: people[3].Number})
	if err != nil || !slices.ContainsFunc(a.Messages, func(m event.MessageRow) bool { return m.State == "failed" && m.Code == 30005 }) {
		t.Errorf("what became of the message that failed: %+v, %v", a.Messages, err)
	}
	if refused.Load() == 0 || batches.Load() <= 2 {
		t.Errorf("%d callbacks were refused and %d batches of events came: nothing was put to the test", refused.Load(), batches.Load())
	}
}

func TestACallbackReachesTheAccountItsPathNames(t *testing.T) {
	r := newRig(t, testPeople(1), func(c *Config) {
		c.SpareSendGrid = []SendGrid{{Name: "europe", Key: "SG.europe", WebhookKeys: c.SendGrid.WebhookKeys}}
		c.SpareTwilio = []Twilio{{Name: "spare", AccountSID: "AC2", AuthToken: "t2"}}
	})
	s, _ := r.start("one")
	for path, want := range map[string]int{
		"/v1/receipts/sendgrid":                                         http.StatusForbidden, // reached, and not signed
		"/v1/receipts/sendgrid/europe":                                  http.StatusForbidden,
		"/v1/receipts/sendgrid/asia":                                    http.StatusNotFound,
		"/v1/receipts/sendgrid/europe/x":                                http.StatusNotFound,
		"/v1/receipts/twilio":                                           http.StatusNotFound,
		"/v1/receipts/twilio/cases/2026-001/AAAAAAAAAAAAAAAAAAAAAA/1.0": http.StatusForbidden,
		"/v1/receipts/twilio/accounts/spare/cases/2026-001/AAAAAAAAAAAAAAAAAAAAAA/1.0":  http.StatusForbidden,
		"/v1/receipts/twilio/accounts/europe/cases/2026-001/AAAAAAAAAAAAAAAAAAAAAA/1.0": http.StatusNotFound,
		"/v1/receipts/twilio/cases/2026-001/AAAAAAAAAAAAAAAAAAAAAA/1.0/more":            http.StatusNotFound,
		"/v1/receipts/twilio/events":                 http.StatusForbidden,
		"/v1/receipts/twilio/accounts/spare/events":  http.StatusForbidden,
		"/v1/receipts/twilio/accounts/europe/events": http.StatusNotFound,
		"/v1/receipts/smtp":                          http.StatusUnauthorized,
		"/v1/receipts/smtp/x":                        http.StatusNotFound,
		"/v1/public/x/y":                             http.StatusNotFound,
		"sendgrid":                                   http.StatusNotFound,
	} {
		if got := s.called(t.Context(), &web.Callback{Path: path, Header: http.Header{}.Get}); got.Status != want {
			t.Errorf("%s was answered %d (%s), want %d", path, got.Status, got.Text, want)
		}
	}
	long := &web.Callback{Path: "/v1/receipts/twilio/cases/a/b/c", Header: http.Header{}.Get, Body: make([]byte, twilio.MaxCallback+1)}
	if got := s.called(t.Context(), long); got.Status != http.StatusRequestEntityTooLarge {
		t.Errorf("a text message's callback of %d bytes was answered %d", len(long.Body), got.Status)
	}
}
