package e2e

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// A receipt proves that a person was told, so a forged one must change
// nothing: not unsigned, not signed for another body, not from a stranger.
func TestAReceiptWithAWrongSignatureIsRefused(t *testing.T) {
	w := begin(t, 30)
	s := w.Story("tidewater", io.Discard)
	w.must(s.UpTo(w.ctx, "await"))
	before, err := s.Report(w.ctx)
	w.must(err)

	forged := `[{"event":"bounce","type":"bounce","n":"00000000000000000000000000000000","sg_event_id":"x","timestamp":1}]`
	post := func(path, contentType, body string, headers map[string]string) int {
		req, err := http.NewRequestWithContext(w.ctx, http.MethodPost, w.URL+path, strings.NewReader(body))
		w.must(err)
		req.Header.Set("Content-Type", contentType)
		for k, v := range headers {
			req.Header.Set(k, v)
		}
		res, err := w.HTTP.Do(req)
		w.must(err)
		defer res.Body.Close()
		return res.StatusCode
	}
	form := url.Values{"MessageStatus": {"delivered"}, "MessageSid": {"SM00000000000000000000000000000000"}}.Encode()
	for name, status := range map[string]int{
		"an unsigned SendGrid event": post("/v1/receipts/sendgrid", "application/json", forged, nil),
		"a SendGrid event with a made-up signature": post("/v1/receipts/sendgrid", "application/json", forged, map[string]string{
			"X-Twilio-Email-Event-Webhook-Signature": "MEUCIQDx", "X-Twilio-Email-Event-Webhook-Timestamp": time.Now().Format("20060102")}),
		"an unsigned Twilio callback": post("/v1/receipts/twilio/cases/x/n/1", "application/x-www-form-urlencoded", form, nil),
		"a Twilio callback with a made-up signature": post("/v1/receipts/twilio/cases/x/n/1", "application/x-www-form-urlencoded", form,
			map[string]string{"X-Twilio-Signature": "AAAA"}),
	} {
		if status != http.StatusForbidden && status != http.StatusUnauthorized && status != http.StatusNotFound {
			t.Errorf("%s was answered %d", name, status)
		}
	}
	after, err := s.Report(w.ctx)
	w.must(err)
	if before.Delivered != after.Delivered || before.Bounced != after.Bounced {
		t.Errorf("forged receipts moved the counts from %+v to %+v", before, after)
	}
}
