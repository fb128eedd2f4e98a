package twilio

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // Twilio signs with HMAC-SHA1
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"testing"

	base "github.com/twilio/twilio-go/client"
	"pgregory.net/rapid"

	"tocsin.dev/services/notice/carrier"
)

func TestAnAnswerIsShortenedOnlyWhenItIsWhole(t *testing.T) {
	for body, want := range map[string]string{
		`{"body":"\"sid\":\"no\"","subresource_uris":{"sid":"inner"},"sid" : "SM1","status":"queued"}`: `{"sid":"SM1"}`,
		"{\"sid\":\"SM2\"}\n":              `{"sid":"SM2"}`,
		`{"sid":"SM3","status":"que`:       `{"sid":"SM3","status":"que`,
		`{"sid":null,"a":"SM4"}`:           `{"sid":null,"a":"SM4"}`,
		`{"sid":"S\u004d5"}`:               `{"sid":"S\u004d5"}`,
		`{"status":"queued"}`:              `{"status":"queued"}`,
		`[{"sid":"SM6"}]`:                  `[{"sid":"SM6"}]`,
		`{"sid":"SM7"}<html>`:              `{"sid":"SM7"}<html>`,
		`{"list":["sid","x"],"a":["sid"]}`: `{"list":["sid","x"],"a":["sid"]}`,
		``:                                 ``,
	} {
		if got := string(brief([]byte(body))); got != want {
			t.Errorf("brief(%s) = %s, want %s", body, got, want)
		}
	}
}

func TestAShortAnswerSaysWhatTheWholeOneSaid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		whole := rapid.MapOf(rapid.SampledFrom([]string{"sid", "status", "body", "sid\"", "uri"}), rapid.String()).Draw(t, "answer")
		body, err := json.Marshal(map[string]any{"before": whole, "sid": whole["sid"], "status": whole["status"], "zlist": []string{"sid", whole["body"]}})
		if err != nil {
			t.Fatal(err)
		}
		var was, is struct{ Sid string }
		if json.Unmarshal(body, &was) != nil || json.Unmarshal(brief(body), &is) != nil || was != is {
			t.Fatalf("%s became %s", body, brief(body))
		}
	})
}

func TestASignatureCountsExactlyWhenTwiliosOwnValidatorSaysSo(t *testing.T) {
	const at = "https://t.example/v1/receipts/twilio"
	v, err := NewVerifier(at, "token", "older")
	if err != nil {
		t.Fatal(err)
	}
	notice := carrier.ID{7}.String()
	rapid.Check(t, func(t *rapid.T) {
		form := url.Values{"MessageStatus": {"delivered"}, "MessageSid": {rapid.String().Draw(t, "sid")}, rapid.StringN(1, 8, -1).Draw(t, "name"): {rapid.String().Draw(t, "value")}}
		params := map[string]string{}
		for k := range form {
			params[k] = form.Get(k)
		}
		token := rapid.SampledFrom([]string{"token", "older", "wrong"}).Draw(t, "token")
		address := rapid.SampledFrom([]string{at, "https://t.example:443/v1/receipts/twilio", "https://u.example/v1/receipts/twilio"}).Draw(t, "address") + "/cases/2026-001/" + notice + "/3.4"
		signature := sign(token, address, params)
		want := false
		for _, known := range []string{"token", "older"} {
			library := base.NewRequestValidator(known)
			want = want || library.Validate(at+"/cases/2026-001/"+notice+"/3.4", params, signature)
		}
		r, ok, err := v.Read("2026-001", notice, "3.4", []byte(form.Encode()), signature)
		if ok != want || ok && (err != nil || r.Attempt != 3 || r.Pos != 4 || r.Meaning != carrier.Delivered) {
			t.Fatalf("ok = %v, %+v, %v, want %v", ok, r, err, want)
		}
	})
}

// sign signs as Twilio's documents describe.
func sign(token, address string, params map[string]string) string {
	names := slices.Sorted(maps.Keys(params))
	mac := hmac.New(sha1.New, []byte(token))
	mac.Write([]byte(address))
	for _, n := range names {
		mac.Write([]byte(n + params[n]))
	}
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func TestAFormIsWrittenAsTheStandardLibraryWritesIt(t *testing.T) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	for _, form := range []url.Values{
		{},
		{"To": {"+447700900001"}, "Body": {"Ann, your name & email (ünïcode 😀) were seen. 100% ~ref A-1_b*"}, "StatusCallback": {"https://t.example/v1/receipts#rc=5&rp=all"}},
		{"b": {"2", "1", ""}, "a b": {string(every)}, "": {"x"}},
	} {
		if got, want := string(encode(form)), form.Encode(); got != want {
			t.Errorf("wrote %q, want %q", got, want)
		}
	}
}
