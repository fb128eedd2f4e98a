package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"go.yaml.in/yaml/v3"
	"golang.org/x/sync/errgroup"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/journal"
	"tocsin.dev/pkg/process"
	"tocsin.dev/pkg/rulebook"
	"tocsin.dev/pkg/sqldb"
	"tocsin.dev/pkg/telemetry"
	"tocsin.dev/services/deadline"
	"tocsin.dev/services/desk"
	"tocsin.dev/services/intake"
	"tocsin.dev/services/notice"
	"tocsin.dev/services/notice/sendgrid"
	"tocsin.dev/services/scope"
)

// runner is a service between New and the end of Run.
type runner interface {
	Run(ctx context.Context) error
}

// base is what every service gets: its own user, bus, journal and store.
type base struct {
	nats      *nats.Conn
	bus       *bus.Bus
	journal   *journal.Journal
	db        *sqldb.DB
	book      *rulebook.Book
	telemetry *telemetry.Telemetry
}

// addService adds a service with everything of its own.
func (a *app) addService(name string) error {
	build := map[string]func(base) (runner, error){
		event.Intake: a.newIntake, event.Desk: a.newDesk, event.Scope: a.newScope, event.Deadline: a.newDeadline, event.Notice: a.newNotice,
	}[name]
	if build == nil {
		return fmt.Errorf("there is no service %q", name)
	}
	var (
		b base
		s runner
	)
	a.parts.Add(process.Part{
		Name: name,
		Start: func(ctx context.Context) (err error) {
			if b, err = a.base(ctx, name); err != nil {
				return err
			}
			s, err = build(b)
			return err
		},
		Run: func(ctx context.Context) error {
			g, ctx := errgroup.WithContext(ctx)
			g.Go(func() error { return b.bus.Run(ctx) })
			g.Go(func() error { return s.Run(ctx) })
			if b.book != nil {
				g.Go(func() error { return b.book.Run(ctx) })
			}
			return g.Wait()
		},
		Stop: func(context.Context) error { return b.close() },
	})
	return nil
}

func (a *app) base(ctx context.Context, name string) (b base, err error) {
	if b.telemetry, err = a.telemetry.For(name); err != nil {
		return b, err
	}
	if b.nats, err = a.connect(ctx, name); err != nil {
		return b, err
	}
	b.bus, err = bus.New(b.nats, bus.Config{Service: name, Log: b.telemetry.Log, Tracer: b.telemetry.Tracer, Meter: b.telemetry.Meter, Now: a.now})
	if err != nil {
		return b, err
	}
	if b.journal, err = journal.New(b.nats, journal.Config{Log: b.telemetry.Log}); err != nil {
		return b, err
	}
	if name == event.Desk || name == event.Deadline {
		b.book, err = a.rulebook(ctx, b)
		return b, err // these keep no rows
	}
	b.db, err = sqldb.Open(ctx, a.database(name))
	return b, err
}

func (b base) close() error {
	if b.nats != nil {
		b.nats.Close()
	}
	if b.db != nil {
		return b.db.Close()
	}
	return nil
}

func (a *app) newDeadline(b base) (runner, error) {
	key, err := secretKey(a.key(a.Keys.Calendar, "calendar.key"))
	if err != nil {
		return nil, err
	}
	s, err := deadline.New(deadline.Config{
		Bus: b.bus, Journal: b.journal, Organisations: a.orgs, Book: b.book, Now: a.now,
		Log: b.telemetry.Log, Meter: b.telemetry.Meter, CalendarKey: key,
	})
	if err != nil {
		return nil, err
	}
	a.routes.add(s.Handler(), "/v1/calendar/")
	return s, nil
}

func (a *app) newDesk(b base) (runner, error) {
	users, err := desk.LoadUsers(a.Users)
	if err != nil {
		return nil, err
	}
	approver, err := a.approvalKey()
	if err != nil {
		return nil, err
	}
	cooling := a.Cooling
	if cooling == 0 {
		cooling = -1
	}
	s, err := desk.New(desk.Config{
		NATS: b.nats, Bus: b.bus, Journal: b.journal, Organisations: a.orgs, Now: a.now,
		Log: b.telemetry.Log, Tracer: b.telemetry.Tracer, Meter: b.telemetry.Meter,
		Users: users, Approver: approver, Duties: dutiesOf(b.book), Book: b.book, Calendar: a.calendarOf(), Secure: a.secure(), Cooling: cooling,
		AlertURL: a.running.URL + "/v1/alerts/", Drill: a.SandboxListen != "",
	})
	if err != nil {
		return nil, err
	}
	a.routes.add(s.Handler(), "/")
	return s, nil
}

func (a *app) newIntake(b base) (runner, error) {
	sources, err := LoadSources(a.Sources)
	if err != nil {
		return nil, err
	}
	var mappings fs.FS
	if a.Mappings != "" {
		mappings = os.DirFS(a.Mappings)
	}
	s, err := intake.New(intake.Config{
		NATS: b.nats, Bus: b.bus, Journal: b.journal, DB: b.db, Organisations: a.orgs, Now: a.now,
		Log: b.telemetry.Log, Tracer: b.telemetry.Tracer, Meter: b.telemetry.Meter, Sources: sources, Mappings: mappings,
	})
	if err != nil {
		return nil, err
	}
	a.routes.add(s.Handler(), "/v1/alerts/")
	return s, nil
}

func (a *app) newScope(b base) (runner, error) {
	root, err := a.InventoryRoot()
	if err != nil {
		return nil, err
	}
	s, err := scope.New(scope.Config{
		NATS: b.nats, Bus: b.bus, Journal: b.journal, DB: b.db, Organisations: a.orgs, Now: a.now,
		Log: b.telemetry.Log, Tracer: b.telemetry.Tracer, Meter: b.telemetry.Meter,
		Root: root,
	})
	if err != nil {
		return nil, err
	}
	a.running.Scope = s
	return s, nil
}

func (a *app) newNotice(b base) (runner, error) {
	key, err := secretKey(a.key(a.Keys.Ledger, "ledger.key"))
	if err != nil {
		return nil, err
	}
	rates, err := a.rates()
	if err != nil {
		return nil, err
	}
	cfg := notice.Config{
		NATS: b.nats, Bus: b.bus, Journal: b.journal, DB: b.db, Organisations: a.orgs, Now: a.now,
		Log: b.telemetry.Log, Tracer: b.telemetry.Tracer, Meter: b.telemetry.Meter,
		Keyring: a.key(a.Keys.Keyring, "keyring.yaml"), Key: key, PublicURL: a.running.URL,
		Users:    a.Users,
		PrintDir: a.PrintDir, FaxDir: a.FaxDir,
		MailDomains: map[string][]string{}, Rates: rates,
		Doubt: notice.Doubt{Quiet: a.Doubt.Quiet, After: a.Doubt.After, Policy: a.Doubt.Policy, Ahead: a.Doubt.Ahead, Budget: a.Doubt.Budget},
	}
	for _, org := range a.orgs.All() {
		if len(org.MailboxDomains) > 0 {
			cfg.MailDomains[org.ID] = org.MailboxDomains
		}
	}
	if a.SandboxListen != "" {
		// The look-alikes answer within seconds; nobody should wait longer for one that does not.
		cfg.SettleFor = 10 * time.Second
	}
	if a.SendGrid.APIKey != "" {
		first := a.SendGrid.account()
		cfg.SendGrid = &first
	}
	for _, g := range a.SpareSendGrid {
		cfg.SpareSendGrid = append(cfg.SpareSendGrid, g.account())
	}
	if m := a.SMTP; m.Host != "" {
		cfg.SMTP = &notice.SMTP{Host: m.Host, Port: m.Port, TLS: m.TLS, Auth: m.Auth, Username: m.Username, Password: m.Password, EHLO: m.EHLO, Conns: m.Conns,
			ReturnPath: m.ReturnPath, BounceToken: m.BounceToken}
	}
	if a.Twilio.AuthToken != "" {
		first := a.Twilio.account()
		cfg.Twilio = &first
	}
	for _, w := range a.SpareTwilio {
		cfg.SpareTwilio = append(cfg.SpareTwilio, w.account())
	}
	s, err := notice.New(cfg)
	if err != nil {
		return nil, err
	}
	a.routes.add(s.Handler(), "/v1/receipts/", "/v1/public/")
	return s, nil
}

// account is the account as notice takes it. An opt-out from marketing does not
// stop a notice that the law demands.
func (g SendGrid) account() notice.SendGrid {
	return notice.SendGrid{
		Name: g.Name, Key: g.APIKey, Host: g.Host, Subuser: g.Subuser, IPPool: g.IPPool, WebhookKeys: []string{g.EventKey}, Bypass: sendgrid.BypassUnsubscribes,
	}
}

func (w Twilio) account() notice.Twilio {
	return notice.Twilio{Name: w.Name, AccountSID: w.AccountSID, AuthToken: w.AuthToken, Host: w.Host, Sender: w.Sender}
}

// LoadSources reads the file of SIEMs that may post: a list under "sources".
func LoadSources(path string) ([]intake.Source, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the sources: %w", err)
	}
	var file struct {
		Sources []intake.Source `yaml:"sources"`
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("sources file %s: %w", path, err)
	}
	return file.Sources, nil
}
