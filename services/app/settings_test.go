package app

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tocsin.dev/pkg/config"
	"tocsin.dev/pkg/event"
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
  - {name: spare-sms, account_sid: AC1, auth_token: t, sender: MG1, conns: 200}
limits:
  - {provider: twilio, per_second: 90}
  - {provider: twilio, sender: "+447700900000", per_second: 1}
  - {account: europe, per_second: 500}
  - {domain: Gmail.com, per_second: 50}
`)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.SpareSendGrid[0]; got.APIKey != "SG.second" || got.Name != "europe" || got.IPPool != "reserve" || got.EventKey != "EK" {
		t.Errorf("the spare account is %+v", got)
	}
	if got := s.SpareTwilio[0]; got.Sender != "MG1" || got.Conns != 200 || s.SendGrid.IPPool != "notices" {
		t.Errorf("the spare account is %+v", got)
	}
	rates, err := s.Rates()
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

// Who asked for a sandbox and has none must not reach a real person instead.
func TestAProgramWithoutLookAlikesRefusesASandbox(t *testing.T) {
	s := Defaults()
	s.DataDir, s.Listen, s.SandboxListen, s.Organisations = t.TempDir(), "127.0.0.1:0", "127.0.0.1:0", "../samples/organisations"
	s.Services = []string{event.Notice}
	started := false
	notice := func(context.Context, *Base) (Runner, error) { started = true; return nil, errors.New("started") }
	err := Run(t.Context(), s, Options{Services: map[string]Builder{event.Notice: notice}})
	if err == nil || !strings.Contains(err.Error(), "sandbox_listen") || started {
		t.Errorf("error %v, started %t; want a refusal that names sandbox_listen", err, started)
	}
}

func TestAProgramNamesTheServiceThatItDoesNotHave(t *testing.T) {
	s := Defaults()
	s.DataDir, s.Listen, s.Organisations, s.Services = t.TempDir(), "127.0.0.1:0", "../samples/organisations", []string{event.Desk}
	if err := Run(t.Context(), s, Options{}); err == nil || !strings.Contains(err.Error(), `"desk"`) {
		t.Errorf("error %v, want one that names desk", err)
	}
}
