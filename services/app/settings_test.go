package app

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tocsin.dev/pkg/config"
)

func load(t *testing.T, text string) (Settings, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tocsin.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return config.Load(Defaults(), config.Source{File: path})
}

func TestSpareAccountsAndLimitsAreSettings(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("SG.second\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := load(t, `
sendgrid: {api_key: SG.first, ip_pool: notices}
spare_sendgrid:
  - {name: europe, host: https://api.eu.sendgrid.com, api_key_file: `+key+`, event_key: EK, ip_pool: reserve}
spare_twilio:
  - {name: spare-sms, account_sid: AC1, auth_token: t, sender: MG1}
limits:
  - {provider: twilio, per_second: 90}
  - {provider: twilio, sender: "+447700900000", per_second: 1}
  - {account: europe, per_second: 500}
  - {domain: Gmail.com, per_second: 50}
`)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.SpareSendGrid[0].account(); got.Key != "SG.second" || got.Name != "europe" || got.IPPool != "reserve" || got.WebhookKeys[0] != "EK" {
		t.Errorf("the spare account is %+v", got)
	}
	if got := s.SpareTwilio[0].account(); got.Sender != "MG1" || s.SendGrid.account().IPPool != "notices" {
		t.Errorf("the spare account is %+v", got)
	}
	rates, err := s.rates()
	want := map[string]float64{"twilio": 90, "twilio/+447700900000": 1, "account/europe": 500, "domain/gmail.com": 50}
	if err != nil || !maps.Equal(rates, want) {
		t.Errorf("limits are %v, %v; want %v", rates, err, want)
	}
}

func TestALimitSaysOfWhatItIs(t *testing.T) {
	for text, want := range map[string]string{
		"limits: [{per_second: 5}]":                              "limits[0]: say of what",
		"limits: [{provider: twilio, domain: x, per_second: 5}]": "limits[0]: say of what",
		"limits: [{account: a}]":                                 "limits[0]: per_second is 0",
		"limits: [{acount: a, per_second: 1}]":                   "limits",
	} {
		if _, err := load(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", text, err, want)
		}
	}
}

// With the look-alikes nothing real is reachable, by no account.
func TestTheSandboxLeavesNoRealAccount(t *testing.T) {
	a := &app{Settings: Settings{
		SendGrid: SendGrid{APIKey: "SG.real"}, SpareSendGrid: []SendGrid{{Name: "x", APIKey: "SG.real"}},
		SpareTwilio: []Twilio{{Name: "y", AuthToken: "real"}}, SMTP: SMTP{Host: "mail.example"},
	}}
	if err := a.sandboxAccount(); err != nil {
		t.Fatal(err)
	}
	if len(a.SpareSendGrid)+len(a.SpareTwilio) > 0 || a.SMTP.Host != "" || a.SendGrid.APIKey == "SG.real" {
		t.Errorf("a real account is left: %+v", a.Settings)
	}
}
