package suite

import (
	"testing"

	"tocsin.dev/services/app"
)

// With the look-alikes nothing real is reachable, by no account.
func TestTheSandboxLeavesNoRealAccount(t *testing.T) {
	s := app.Settings{
		SendGrid: app.SendGrid{APIKey: "SG.real"}, SpareSendGrid: []app.SendGrid{{Name: "x", APIKey: "SG.real"}},
		SpareTwilio: []app.Twilio{{Name: "y", AuthToken: "real"}}, SMTP: app.SMTP{Host: "mail.example"},
	}
	if err := drawAccount(&s); err != nil {
		t.Fatal(err)
	}
	if len(s.SpareSendGrid)+len(s.SpareTwilio) > 0 || s.SMTP.Host != "" || s.SendGrid.APIKey == "SG.real" {
		t.Errorf("a real account is left: %+v", s)
	}
}
