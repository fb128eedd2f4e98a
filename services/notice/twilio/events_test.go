package twilio

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // Twilio signs with HMAC-SHA1
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"tocsin.dev/services/notice/carrier"
)

const sinkBase = "https://t.example/v1/receipts/twilio"

// event is one of Event Streams, with the fields of the schema's version 4.
func event(status, callback, more string) string {
	return fmt.Sprintf(`{"specversion":"1.0","type":"com.twilio.messaging.message.%s","source":"/2010-04-01/Accounts/AC1/Messages/SM1.json","id":"EZ1",
		"dataschema":"https://events-schemas.twilio.com/Messaging.MessageStatus/4","datacontenttype":"application/json","time":"2026-11-29T10:00:00.000Z",
		"data":{"messageSid":"SM1","timestamp":"2026-11-29T10:00:00.000Z","accountSid":"AC1","eventName":"com.twilio.messaging.message.%s","apiVersion":"2010-04-01",
		"from":"+15005550006","to":"+447700900001","messageStatus":"%s","body":"Your data were seen.","statusCallBackUrl":"%s"%s}}`,
		status, status, strings.ToUpper(status), callback, more)
}

// signedFor signs a body as the documentation of Twilio says, not as its library does.
func signedFor(body, token string) (query, signature string) {
	query = fmt.Sprintf("bodySHA256=%x", sha256.Sum256([]byte(body)))
	mac := hmac.New(sha1.New, []byte(token))
	mac.Write([]byte(sinkBase + "/events?" + query))
	return query, base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func sinkVerifier(t *testing.T) *Verifier {
	t.Helper()
	v, err := NewVerifier(sinkBase, "token", "older")
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestEventsThatAreOursBecomeFacts(t *testing.T) {
	id := carrier.ID{9}
	callback := sinkBase + "/cases/2026-001/" + id.String() + "/12.3"
	body := "[" + strings.Join([]string{
		event("sent", callback+"#rc=5&rp=all", ""),
		event("undelivered", callback, `,"errorCode":30005`),
		event("delivered", "https://shop.example/parcel", ""),
		event("delivered", "", ""),
		event("delivered", sinkBase+"/cases/2026-001/nobody/12.3", ""),
		event("delivered", sinkBase+"/cases/2026-001/"+id.String()+"/x", ""),
		`{"type":"com.twilio.messaging.inbound-message.received","data":{"messageSid":"SM2","body":"STOP"}}`,
		event("delivered", callback, ""),
	}, ",") + "]"
	for _, token := range []string{"token", "older"} {
		query, signature := signedFor(body, token)
		e, ok, err := sinkVerifier(t).ReadEvents(query, []byte(body), signature)
		if !ok || err != nil || len(e.Facts) != 3 {
			t.Fatalf("%d facts, %v, %v", len(e.Facts), ok, err)
		}
		for i, want := range []carrier.Meaning{carrier.Processed, carrier.Hard, carrier.Delivered} {
			f := e.Facts[i]
			if f.Notice != id || f.Attempt != 12 || f.Pos != 3 || f.Message != "SM1" || f.Meaning != want || f.To != carrier.AddressHash("+447700900001") {
				t.Errorf("fact %d is %+v, want %v", i, f, want)
			}
		}
		if ours := string(e.Ours); strings.Count(ours, "specversion") != 3 || strings.Contains(ours, "shop.example") || strings.Contains(ours, "STOP") {
			t.Errorf("what is kept: %s", ours)
		}
	}
}

func TestALoneEventIsReadToo(t *testing.T) {
	body := event("delivered", sinkBase+"/cases/2026-001/"+carrier.ID{9}.String()+"/12.3", "")
	query, signature := signedFor(body, "token")
	if e, ok, err := sinkVerifier(t).ReadEvents(query, []byte(body), signature); !ok || err != nil || len(e.Facts) != 1 {
		t.Errorf("%d facts, %v, %v", len(e.Facts), ok, err)
	}
}

func TestEventsThatTwilioDidNotSignAreNotBelieved(t *testing.T) {
	body := "[" + event("delivered", sinkBase+"/cases/2026-001/"+carrier.ID{9}.String()+"/12.3", "") + "]"
	query, signature := signedFor(body, "token")
	_, stranger := signedFor(body, "another")
	for name, c := range map[string]struct{ query, body, signature string }{
		"another token":     {query, body, stranger},
		"another body":      {query, strings.Replace(body, "delivered", "failed", 1), signature},
		"another query":     {query + "&x=1", body, signature},
		"no hash":           {"", body, signature},
		"an empty hash":     {"bodySHA256=", body, signature},
		"a query of rubble": {"%zz", body, signature},
		"no signature":      {query, body, ""},
	} {
		if _, ok, err := sinkVerifier(t).ReadEvents(c.query, []byte(c.body), c.signature); ok || err != nil {
			t.Errorf("%s: ok %v, %v", name, ok, err)
		}
	}
}

func TestABodyThatIsNoEventsIsAnError(t *testing.T) {
	for _, body := range []string{"", "null!", `["x"]`, `[{"type":7}]`, "a=1&b=2"} {
		query, signature := signedFor(body, "token")
		if _, ok, err := sinkVerifier(t).ReadEvents(query, []byte(body), signature); !ok || !errors.Is(err, ErrEvents) {
			t.Errorf("%q: ok %v, %v", body, ok, err)
		}
	}
}
