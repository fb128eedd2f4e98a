package notice

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"tocsin.dev/pkg/web"
	"tocsin.dev/services/notice/twilio"
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

func TestACallbackReachesTheAccountItsPathNames(t *testing.T) {
	r := newRig(t, testPeople(1), func(c *Config) {
		c.SpareSendGrid = []SendGrid{{Name: "europe", Key: "SG.europe", WebhookKeys: c.SendGrid.WebhookKeys}}
		c.SpareTwilio = []Twilio{{Name: "spare", AccountSID: "AC2", AuthToken: "t2"}}
	})
	s, _ := r.start("one")
	for path, want := range map[string]int{
		"/v1/receipts/sendgrid":        http.StatusForbidden, // reached, and not signed
		"/v1/receipts/sendgrid/europe": http.StatusForbidden,
		"/v1/receipts/sendgrid/asia":   http.StatusNotFound,
		"/v1/receipts/sendgrid/":       http.StatusNotFound,
		"/v1/receipts/twilio":          http.StatusNotFound,
		"/v1/receipts/twilio/cases/2026-001/AAAAAAAAAAAAAAAAAAAAAA/1.0":                 http.StatusForbidden,
		"/v1/receipts/twilio/accounts/spare/cases/2026-001/AAAAAAAAAAAAAAAAAAAAAA/1.0":  http.StatusForbidden,
		"/v1/receipts/twilio/accounts/europe/cases/2026-001/AAAAAAAAAAAAAAAAAAAAAA/1.0": http.StatusNotFound,
		"/v1/receipts/twilio/cases/2026-001/AAAAAAAAAAAAAAAAAAAAAA/1.0/more":            http.StatusNotFound,
		"/v1/receipts/smtp": http.StatusUnauthorized,
		"/v1/public/x/y":    http.StatusNotFound,
		"sendgrid":          http.StatusNotFound,
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
