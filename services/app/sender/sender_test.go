package sender

import (
	"reflect"
	"testing"

	"tocsin.dev/services/app"
	"tocsin.dev/services/notice"
	"tocsin.dev/services/notice/sendgrid"
)

func accounts(c notice.Config) []any {
	return []any{c.SendGrid, c.SpareSendGrid, c.Twilio, c.SpareTwilio, c.SMTP}
}

func TestEveryAccountOfTheSettingsReachesTheSender(t *testing.T) {
	var got notice.Config
	addAccounts(&got, &app.Settings{
		SendGrid:      app.SendGrid{APIKey: "SG.first", Host: "https://first", EventKey: "E1", IPPool: "notices"},
		SpareSendGrid: []app.SendGrid{{Name: "europe", APIKey: "SG.second", EventKey: "E2", Subuser: "sub"}},
		Twilio:        app.Twilio{AccountSID: "AC1", AuthToken: "t1", Conns: 200},
		SpareTwilio:   []app.Twilio{{Name: "spare", AccountSID: "AC2", AuthToken: "t2", Sender: "MG1"}},
		SMTP:          app.SMTP{Host: "mail.example", Conns: 2, BounceToken: "b"},
	})
	want := notice.Config{
		SendGrid:      &notice.SendGrid{Key: "SG.first", Host: "https://first", WebhookKeys: []string{"E1"}, IPPool: "notices", Bypass: sendgrid.BypassUnsubscribes},
		SpareSendGrid: []notice.SendGrid{{Name: "europe", Key: "SG.second", WebhookKeys: []string{"E2"}, Subuser: "sub", Bypass: sendgrid.BypassUnsubscribes}},
		Twilio:        &notice.Twilio{AccountSID: "AC1", AuthToken: "t1", Conns: 200},
		SpareTwilio:   []notice.Twilio{{Name: "spare", AccountSID: "AC2", AuthToken: "t2", Sender: "MG1"}},
		SMTP:          &notice.SMTP{Host: "mail.example", Conns: 2, BounceToken: "b"},
	}
	if !reflect.DeepEqual(accounts(got), accounts(want)) {
		t.Errorf("the sender has %+v, want %+v", got, want)
	}
}

func TestWithoutAnAccountAChannelIsOff(t *testing.T) {
	var got notice.Config
	defaults := app.Defaults()
	addAccounts(&got, &defaults)
	if !reflect.DeepEqual(accounts(got), accounts(notice.Config{})) {
		t.Errorf("the sender has accounts that nobody set: %+v", got)
	}
}
