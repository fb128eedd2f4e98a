// Package sender makes the service notice of a process's settings. It stands
// apart from suite so that a program which only sends carries nothing else.
package sender

import (
	"context"
	"time"

	"tocsin.dev/services/app"
	"tocsin.dev/services/notice"
	"tocsin.dev/services/notice/sendgrid"
)

// New is notice's app.Builder.
func New(ctx context.Context, b *app.Base) (app.Runner, error) {
	cfg, err := config(b)
	if err != nil {
		return nil, err
	}
	if cfg.DB, err = b.Store(ctx); err != nil {
		return nil, err
	}
	s, err := notice.New(cfg)
	if err != nil {
		return nil, err
	}
	b.RouteCallbacks(s.Callbacks(), notice.CallbackPath)
	b.Route(s.Handler(), "/v1/public/")
	return s, nil
}

func config(b *app.Base) (notice.Config, error) {
	set := &b.Settings
	cfg := notice.Config{
		NATS: b.NATS, Bus: b.Bus, Journal: b.Journal, Organisations: b.Orgs, Now: b.Now, Log: b.Log, Tracer: b.Tracer, Meter: b.Meter,
		Keyring: set.Key(set.Keys.Keyring, "keyring.yaml"), PublicURL: b.CallbackURL, Users: set.Users, PrintDir: set.PrintDir, FaxDir: set.FaxDir,
		MailDomains: map[string][]string{},
		Doubt: notice.Doubt{
			Quiet: set.Doubt.Quiet, After: set.Doubt.After, Freeze: set.Doubt.Freeze, Policy: set.Doubt.Policy, Ahead: set.Doubt.Ahead, Budget: set.Doubt.Budget,
		},
	}
	var err error
	if cfg.Key, err = app.SecretKey(set.Key(set.Keys.Ledger, "ledger.key")); err != nil {
		return cfg, err
	}
	if cfg.Rates, err = set.Rates(); err != nil {
		return cfg, err
	}
	for _, org := range b.Orgs.All() {
		if len(org.MailboxDomains) > 0 {
			cfg.MailDomains[org.ID] = org.MailboxDomains
		}
	}
	if set.SandboxListen != "" {
		// The look-alikes answer within seconds; nobody should wait longer for one that does not.
		cfg.SettleFor = 10 * time.Second
	}
	addAccounts(&cfg, set)
	return cfg, nil
}

// addAccounts adds the accounts that are set; without any a channel is off.
func addAccounts(cfg *notice.Config, set *app.Settings) {
	if set.SendGrid.APIKey != "" {
		first := sendGrid(set.SendGrid)
		cfg.SendGrid = &first
	}
	for _, g := range set.SpareSendGrid {
		cfg.SpareSendGrid = append(cfg.SpareSendGrid, sendGrid(g))
	}
	if m := set.SMTP; m.Host != "" {
		cfg.SMTP = &notice.SMTP{Host: m.Host, Port: m.Port, TLS: m.TLS, Auth: m.Auth, Username: m.Username, Password: m.Password, EHLO: m.EHLO, Conns: m.Conns,
			ReturnPath: m.ReturnPath, BounceToken: m.BounceToken}
	}
	if set.Twilio.AuthToken != "" {
		first := twilio(set.Twilio)
		cfg.Twilio = &first
	}
	for _, w := range set.SpareTwilio {
		cfg.SpareTwilio = append(cfg.SpareTwilio, twilio(w))
	}
}

// sendGrid is the account as notice takes it. An opt-out from marketing does
// not stop a notice that the law demands.
func sendGrid(g app.SendGrid) notice.SendGrid {
	return notice.SendGrid{
		Name: g.Name, Key: g.APIKey, Host: g.Host, Subuser: g.Subuser, IPPool: g.IPPool, WebhookKeys: []string{g.EventKey}, Bypass: sendgrid.BypassUnsubscribes,
	}
}

func twilio(w app.Twilio) notice.Twilio {
	return notice.Twilio{Name: w.Name, AccountSID: w.AccountSID, AuthToken: w.AuthToken, Host: w.Host, Sender: w.Sender, Conns: w.Conns}
}
