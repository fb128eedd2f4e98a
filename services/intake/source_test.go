package intake

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

func TestEverySchemeLetsTheRightSenderInAndNobodyElse(t *testing.T) {
	h := start(t)
	body := []byte(search("s1", "h", "u"))
	changed := []byte(search("s2", "h", "u"))
	now := time.Now()
	signed := func(secret string, at time.Time, body []byte) []string {
		w, err := standardwebhooks.NewWebhook(secret)
		must(t, err)
		sig, err := w.Sign("msg_1", at, body)
		must(t, err)
		return []string{"webhook-id", "msg_1", "webhook-timestamp", strconv.FormatInt(at.Unix(), 10), "webhook-signature", "v1,bm9uZQ== " + sig}
	}
	falcon := func(secret string, at time.Time, body []byte) []string {
		stamp := at.UTC().Format(time.RFC3339)
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(body)
		mac.Write([]byte(stamp))
		return []string{"X-CS-Primary-Signature", base64.StdEncoding.EncodeToString(mac.Sum(nil)), "X-CS-Delivery-Timestamp", stamp}
	}
	password := func(p string) []string {
		return []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("wazuh:"+p))}
	}
	for name, c := range map[string]struct {
		source  string
		body    []byte
		headers []string
		in      bool
	}{
		"bearer":                      {"splunk", body, []string{"Authorization", "bearer " + splunkToken}, true},
		"bearer, the next token":      {"splunk", changed, []string{"Authorization", "Bearer the-next-token-00"}, true},
		"basic":                       {"wazuh", body, password("wazuh-password-1"), true},
		"basic, wrong password":       {"wazuh", body, password("wazuh-password-2"), false},
		"basic, no password":          {"wazuh", body, nil, false},
		"standard webhooks":           {"generic", body, signed(whsec, now, body), true},
		"standard, other body":        {"generic", changed, signed(whsec, now, body), false},
		"standard, other secret":      {"generic", body, signed("whsec_"+base64.StdEncoding.EncodeToString(make([]byte, 24)), now, body), false},
		"standard, six minutes old":   {"generic", body, signed(whsec, now.Add(-6*time.Minute), body), false},
		"standard, from the future":   {"generic", body, signed(whsec, now.Add(6*time.Minute), body), false},
		"standard, unsigned":          {"generic", body, nil, false},
		"vendor HMAC":                 {"falcon", body, falcon(hmacSecret, now, body), true},
		"vendor HMAC, other body":     {"falcon", changed, falcon(hmacSecret, now, body), false},
		"vendor HMAC, old":            {"falcon", body, falcon(hmacSecret, now.Add(-time.Hour), body), false},
		"vendor HMAC, other secret":   {"falcon", body, falcon("another-secret-of-it", now, body), false},
		"vendor HMAC, not base64":     {"falcon", body, []string{"X-CS-Primary-Signature", "%%%", "X-CS-Delivery-Timestamp", now.UTC().Format(time.RFC3339)}, false},
		"one source's token, another": {"generic", body, []string{"Authorization", "Bearer " + splunkToken}, false},
	} {
		r := h.post(c.source, c.body, c.headers...)
		if in := r.status == http.StatusAccepted; in != c.in || (!in && r.status != http.StatusUnauthorized) {
			t.Errorf("%s: %d %s", name, r.status, r.Detail)
		}
	}
}

func TestASourceThatCannotBeTrustedIsRefusedAtStart(t *testing.T) {
	good := Source{ID: "s", Org: "o", Scheme: SchemeBearer, Tokens: []string{TokenDigest("x")}}
	for name, c := range map[string]struct {
		change func(*Source)
		says   string
	}{
		"no scheme":             {func(s *Source) { s.Scheme = "" }, "scheme"},
		"no token":              {func(s *Source) { s.Tokens = nil }, "tokens"},
		"token in the clear":    {func(s *Source) { s.Tokens = []string{"secret"} }, "tokens[0]"},
		"id with a dot":         {func(s *Source) { s.ID = "a.b" }, "id"},
		"short webhook secret":  {func(s *Source) { s.Scheme, s.Secrets = SchemeStandardWebhooks, []string{"whsec_AAAA"} }, "secrets[0]"},
		"hmac without a header": {func(s *Source) { s.Scheme, s.Secrets = SchemeHMAC, []string{hmacSecret} }, "hmac.header"},
		"hmac, body not signed": {func(s *Source) {
			s.Scheme, s.Secrets, s.HMAC = SchemeHMAC, []string{hmacSecret}, HMAC{Header: "X", Parts: []string{"header:Y"}}
		}, "body"},
		"hmac, time not signed": {func(s *Source) {
			s.Scheme, s.Secrets, s.HMAC = SchemeHMAC, []string{hmacSecret}, HMAC{Header: "X", Timestamp: "Y"}
		}, "timestamp"},
		"hmac with an unknown part": {func(s *Source) {
			s.Scheme, s.Secrets, s.HMAC = SchemeHMAC, []string{hmacSecret}, HMAC{Header: "X", Parts: []string{"body", "url"}}
		}, "parts[1]"},
	} {
		s := good
		c.change(&s)
		_, err := newSource(s)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want an error about %s", name, err, c.says)
		}
		if err != nil && (strings.Contains(err.Error(), hmacSecret) || strings.Contains(err.Error(), "secret\"")) {
			t.Errorf("%s: the error holds the secret", name)
		}
	}
	if _, err := newSource(good); err != nil {
		t.Error(err)
	}
}

func TestASenderOfCloudEventsIsToldWhetherItMay(t *testing.T) {
	h := start(t)
	for origin, may := range map[string]bool{"eventgrid.example.test": true, "elsewhere.example.test": false} {
		req, _ := http.NewRequest(http.MethodOptions, h.web.URL+"/v1/alerts/splunk", nil)
		req.Header.Set("WebHook-Request-Origin", origin)
		if r := h.do(req); r.status != http.StatusOK || (r.header.Get("WebHook-Allowed-Origin") == origin) != may {
			t.Errorf("%s: %d %v", origin, r.status, r.header)
		}
	}
	r := h.post("splunk", []byte(`{"title":"Public bucket","severity":"High"}`), "Authorization", "Bearer "+splunkToken,
		"ce-specversion", "1.0", "ce-id", "A1", "ce-source", "https://scanner.example.test", "ce-type", "finding")
	a := h.alert("tidewater", r.ID)
	if a.Mapping != "cloudevents" || a.Title != "Public bucket" || a.ExternalID != "https://scanner.example.test|A1" {
		t.Errorf("a CloudEvent in binary mode: %+v", a.Alert)
	}
}
