package twilio

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"tocsin.dev/services/notice/carrier"
)

const sid = "AC00000000000000000000000000000001"

func client(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	c, err := New(Config{AccountSID: sid, AuthToken: "token", Host: srv.URL, Callback: "https://t.example/v1/receipts/twilio", Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestARequestCarriesTheNoticeInItsCallback(t *testing.T) {
	var form url.Values
	var auth string
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		form = r.PostForm
		auth, _, _ = r.BasicAuth()
		w.WriteHeader(201)
		_, _ = w.Write([]byte(`{"sid":"SM1","status":"queued"}`))
	})
	a := c.Send(t.Context(), SMS{To: "+447700900001", From: "MG00000000000000000000000000000001", Body: "hej åäö", Case: "2026-001", Validity: time.Hour, Notice: carrier.ID{9}, Attempt: 12, Pos: 3})
	if a.Class != carrier.Accepted || a.ID != "SM1" {
		t.Errorf("answer = %+v, want accepted SM1", a)
	}
	want := url.Values{"To": {"+447700900001"}, "MessagingServiceSid": {"MG00000000000000000000000000000001"}, "Body": {"hej åäö"}, "ValidityPeriod": {"3600"},
		"StatusCallback": {"https://t.example/v1/receipts/twilio/cases/2026-001/" + carrier.ID{9}.String() + "/12.3#rc=5&rp=all"}}
	if form.Encode() != want.Encode() || auth != sid {
		t.Errorf("the form is %v as %s, want %v", form, auth, want)
	}
}

func TestWhatAnAnswerOfTwilioProves(t *testing.T) {
	tested := map[int]bool{}
	for _, row := range []struct {
		status, code int
		want         carrier.Class
		meaning      carrier.Meaning
	}{
		{429, 20429, carrier.Slow, 0}, {400, 63017, carrier.Slow, 0}, {400, 21611, carrier.Slow, 0}, {400, 30001, carrier.Slow, 0}, {400, 30022, carrier.Slow, 0},
		{401, 20003, carrier.Account, 0}, {403, 20005, carrier.Account, 0}, {404, 20404, carrier.Account, 0}, {400, 30002, carrier.Account, 0},
		{400, 21212, carrier.Account, 0}, {400, 21603, carrier.Account, 0}, {400, 21606, carrier.Account, 0}, {400, 21659, carrier.Account, 0},
		{400, 21701, carrier.Account, 0}, {400, 21703, carrier.Account, 0}, {400, 30034, carrier.Account, 0},
		{400, 21211, carrier.Refused, carrier.Hard}, {400, 21604, carrier.Refused, carrier.Hard}, {400, 21612, carrier.Refused, carrier.Hard},
		{400, 21614, carrier.Refused, carrier.Hard}, {400, 21635, carrier.Refused, carrier.Hard}, {400, 21610, carrier.Refused, carrier.OptedOut},
		{400, 21408, carrier.Refused, carrier.Blocked}, {400, 21266, carrier.Refused, carrier.Blocked}, {400, 99999, carrier.Refused, carrier.Unknown},
		{500, 20500, carrier.InDoubt, 0}, {502, 0, carrier.InDoubt, 0}, {503, 0, carrier.InDoubt, 0}, {504, 0, carrier.InDoubt, 0},
	} {
		tested[row.code] = true
		c := client(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(row.status)
			if row.code == 0 {
				_, _ = w.Write([]byte("<html>bad gateway</html>"))
				return
			}
			fmt.Fprintf(w, `{"code":%d,"message":"about +447700900001","status":%d}`, row.code, row.status)
		})
		a := c.Send(t.Context(), SMS{To: "+447700900001", From: "+447700900000", Body: "x", Attempt: 1})
		if a.Class != row.want || a.Meaning != row.meaning {
			t.Errorf("%d/%d proves %v (%v), want %v (%v)", row.status, row.code, a.Class, a.Meaning, row.want, row.meaning)
		}
		if strings.Contains(a.Detail, "+44") {
			t.Errorf("the detail of %d shows a number: %s", row.code, a.Detail)
		}
	}
	for code := range created {
		if !tested[code] {
			t.Errorf("the code %d of a new message is not tested", code)
		}
	}
}

func TestAnUnreadableSuccessIsInDoubt(t *testing.T) {
	c := client(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(201)
		_, _ = w.Write([]byte(`{"sid":`))
	})
	if a := c.Send(t.Context(), SMS{To: "+447700900001", From: "+447700900000", Body: "x", Attempt: 1}); a.Class != carrier.InDoubt {
		t.Errorf("answer = %+v, want in doubt", a)
	}
}

func TestCodesOfTextMessages(t *testing.T) {
	tested := map[int]bool{}
	for _, c := range []struct {
		status string
		code   int
		want   carrier.Meaning
	}{
		{"accepted", 0, carrier.Processed}, {"queued", 0, carrier.Processed}, {"sending", 0, carrier.Processed}, {"sent", 0, carrier.Processed}, {"scheduled", 0, carrier.Processed},
		{"delivered", 0, carrier.Delivered}, {"read", 0, carrier.Delivered},
		{"failed", 30001, carrier.Soft}, {"failed", 30002, carrier.Blocked}, {"undelivered", 30003, carrier.Soft}, {"undelivered", 30004, carrier.Blocked},
		{"undelivered", 30005, carrier.Hard}, {"undelivered", 30006, carrier.Hard}, {"undelivered", 30007, carrier.Filtered}, {"undelivered", 30008, carrier.Unknown},
		{"failed", 30022, carrier.Soft}, {"failed", 30034, carrier.Blocked}, {"failed", 30036, carrier.Expired}, {"failed", 21610, carrier.OptedOut},
		{"failed", 21211, carrier.Hard}, {"failed", 21614, carrier.Hard}, {"failed", 21635, carrier.Hard},
		{"undelivered", 0, carrier.Unknown}, {"canceled", 0, carrier.Unknown}, {"receiving", 0, carrier.Ignored},
	} {
		tested[c.code] = true
		if got := meaningOf(c.status, c.code); got != c.want {
			t.Errorf("%s %d means %v, want %v", c.status, c.code, got, c.want)
		}
	}
	for code := range outcomes {
		if !tested[code] {
			t.Errorf("the code %d of an outcome is not tested", code)
		}
	}
}

func TestACallbackWithRepeatedKeysIsNotBelieved(t *testing.T) {
	v, err := NewVerifier("https://t.example/v1/receipts/twilio", "token")
	if err != nil {
		t.Fatal(err)
	}
	if _, ok, err := v.Read("2026-001", carrier.ID{1}.String(), "1.0", []byte("MessageStatus=delivered&MessageStatus=failed"), "x"); ok || err == nil {
		t.Errorf("ok %v, %v; want a refusal", ok, err)
	}
}
