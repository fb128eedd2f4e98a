package notice

import (
	"errors"
	"fmt"
	"regexp"
	"sync/atomic"
	"time"

	"tocsin.dev/pkg/organisation"
	"tocsin.dev/services/notice/carrier"
	"tocsin.dev/services/notice/sendgrid"
	"tocsin.dev/services/notice/smtp"
	"tocsin.dev/services/notice/twilio"
)

// account is one way out to people: an account at a vendor, the own mail
// server, or the folder of print files.
type account struct {
	// name stands on every attempt, in limits and in the address of its receipts,
	// so it is never changed or given to another account.
	name    string
	channel Channel

	mail     *sendgrid.Client
	mailHook *sendgrid.Verifier // nil: receipts cannot be verified and are refused
	// pool is the IP pool of SendGrid's that mail leaves by, or empty.
	pool   string
	bypass sendgrid.Bypass

	sms      *twilio.Client
	smsHook  *twilio.Verifier
	validity time.Duration
	// sender replaces the organisation's own on an account that has other numbers.
	sender string

	smtp *smtp.Client

	// unanswered counts the requests in a row that got no answer.
	unanswered atomic.Int32
}

// The accounts that need no name of their own.
const (
	firstMail = "sendgrid"
	firstSMS  = "twilio"
	ownServer = "smtp"
)

// providerOf names the vendor of a channel; its first account has the same name.
func providerOf(ch Channel) string {
	switch ch {
	case Email:
		return firstMail
	case SMS:
		return firstSMS
	}
	return ch.String()
}

// provider names whose limits an account shares with its siblings.
func (a *account) provider() string {
	if a.smtp != nil {
		return ownServer
	}
	return providerOf(a.channel)
}

// senderOf is the number or service by which an account sends text messages.
func (a *account) senderOf(from organisation.Sender) string {
	if a.sender != "" {
		return a.sender
	}
	return from.SMS
}

// receives reports whether the account's vendor tells what became of messages.
func (a *account) receives() bool { return a.mail != nil || a.sms != nil }

// Requests in a row without an answer after which an account rests. One of
// email stands for a thousand people.
const (
	silentMail = 4
	silentSMS  = 100
)

// heard notes whether a request was answered by somebody who knew what to do with it.
func (a *account) heard(said carrier.Answer) {
	if said.Class == carrier.InDoubt || said.Class == carrier.NotSent && said.RetryAfter == 0 {
		a.unanswered.Add(1)
		return
	}
	a.unanswered.Store(0)
}

// silent reports whether the account has been silent for so long that it must rest.
func (a *account) silent() bool { return a.unanswered.Load() >= a.patience() }

// mustRest is silent, once: after the rest the next silence counts at once.
func (a *account) mustRest() bool {
	n := a.unanswered.Load()
	return n >= a.patience() && a.unanswered.CompareAndSwap(n, a.patience()-1)
}

func (a *account) patience() int32 {
	if a.mail != nil {
		return silentMail
	}
	return silentSMS
}

// accountsOn lists the accounts of a channel, in the order in which they stand
// in for each other.
func (s *Service) accountsOn(ch Channel) (all []*account) {
	for _, a := range s.accounts {
		if a.channel == ch {
			all = append(all, a)
		}
	}
	return all
}

// accountNamed returns an account, or nil if it is not configured any more.
func (s *Service) accountNamed(name string) *account {
	for _, a := range s.accounts {
		if a.name == name {
			return a
		}
	}
	return nil
}

// connect makes the clients of the configured accounts.
func (s *Service) connect() error {
	if s.cfg.SendGrid == nil && len(s.cfg.SpareSendGrid) > 0 || s.cfg.Twilio == nil && len(s.cfg.SpareTwilio) > 0 {
		return errors.New("there is a spare account and no first one: set sendgrid or twilio as well")
	}
	if s.cfg.SendGrid != nil {
		for i, g := range append([]SendGrid{*s.cfg.SendGrid}, s.cfg.SpareSendGrid...) {
			if err := s.addSendGrid(g, i == 0); err != nil {
				return err
			}
		}
	}
	if m := s.cfg.SMTP; m != nil {
		client, err := smtp.New(smtp.Config{
			Host: m.Host, Port: m.Port, TLS: m.TLS, Auth: m.Auth, Username: m.Username, Password: m.Password, EHLO: m.EHLO, ReturnPath: m.ReturnPath,
			Conns: m.Conns, Timeout: m.Timeout, Now: s.cfg.Now,
		})
		if err != nil {
			return err
		}
		if err := s.add(&account{name: ownServer, channel: Email, smtp: client}); err != nil {
			return err
		}
	}
	if s.cfg.Twilio != nil {
		for i, w := range append([]Twilio{*s.cfg.Twilio}, s.cfg.SpareTwilio...) {
			if err := s.addTwilio(w, i == 0); err != nil {
				return err
			}
		}
	}
	if s.cfg.PrintDir != "" {
		if err := s.add(&account{name: Post.String(), channel: Post}); err != nil {
			return err
		}
	}
	if s.cfg.FaxDir != "" {
		return s.add(&account{name: Fax.String(), channel: Fax})
	}
	return nil
}

func (s *Service) addSendGrid(g SendGrid, first bool) (err error) {
	a := &account{name: g.Name, channel: Email, pool: g.IPPool, bypass: g.Bypass}
	if first && a.name == "" {
		a.name = firstMail
	}
	if a.mail, err = sendgrid.New(sendgrid.Config{
		Key: g.Key, Host: g.Host, Subuser: g.Subuser, Conns: g.Conns, Timeout: g.Timeout, Now: s.cfg.Now,
	}); err != nil {
		return fmt.Errorf("account %s: %w", a.name, err)
	}
	if len(g.WebhookKeys) > 0 {
		if a.mailHook, err = sendgrid.NewVerifier(0, g.WebhookKeys...); err != nil {
			return fmt.Errorf("account %s: %w", a.name, err)
		}
	}
	return s.add(a)
}

func (s *Service) addTwilio(w Twilio, first bool) (err error) {
	a := &account{name: w.Name, channel: SMS, validity: w.Validity, sender: w.Sender}
	if first && a.name == "" {
		a.name = firstSMS
	}
	callback := ""
	if s.cfg.PublicURL != "" {
		callback = s.cfg.PublicURL + "/v1/receipts/twilio"
		if !first {
			callback += "/accounts/" + a.name
		}
		if a.smsHook, err = twilio.NewVerifier(callback, append([]string{w.AuthToken}, w.OldTokens...)...); err != nil {
			return fmt.Errorf("account %s: %w", a.name, err)
		}
	}
	if a.sms, err = twilio.New(twilio.Config{
		AccountSID: w.AccountSID, AuthToken: w.AuthToken, Host: w.Host, Callback: callback, Conns: w.Conns, Timeout: w.Timeout, Now: s.cfg.Now,
	}); err != nil {
		return fmt.Errorf("account %s: %w", a.name, err)
	}
	return s.add(a)
}

var accountName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// add takes an account up under a name that no other has.
func (s *Service) add(a *account) error {
	switch {
	case a.name == "":
		return errors.New("a further account needs a name: it stands on its attempts and in the address of its receipts")
	case !accountName.MatchString(a.name):
		return fmt.Errorf("account %q: a name has at most 32 small letters, digits and hyphens", a.name)
	case s.accountNamed(a.name) != nil:
		return fmt.Errorf("account %q: another account has this name", a.name)
	}
	s.accounts = append(s.accounts, a)
	return nil
}
