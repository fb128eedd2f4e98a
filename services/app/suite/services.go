package suite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"go.yaml.in/yaml/v3"

	"tocsin.dev/services/app"
	"tocsin.dev/services/deadline"
	"tocsin.dev/services/desk"
	"tocsin.dev/services/intake"
	"tocsin.dev/services/scope"
)

func (w *suite) newDeadline(ctx context.Context, b *app.Base) (app.Runner, error) {
	key, err := app.SecretKey(b.Settings.Key(b.Settings.Keys.Calendar, "calendar.key"))
	if err != nil {
		return nil, err
	}
	book, err := w.openRules(ctx, b)
	if err != nil {
		return nil, err
	}
	s, err := deadline.New(deadline.Config{
		Bus: b.Bus, Journal: b.Journal, Organisations: b.Orgs, Book: book, Now: b.Now,
		Log: b.Log, Meter: b.Meter, CalendarKey: key,
	})
	if err != nil {
		return nil, err
	}
	b.Route(s.Handler(), "/v1/calendar/")
	return ruled{s, book}, nil
}

func (w *suite) newDesk(ctx context.Context, b *app.Base) (app.Runner, error) {
	users, err := desk.LoadUsers(b.Settings.Users)
	if err != nil {
		return nil, err
	}
	approver, err := approvalKey(b.App)
	if err != nil {
		return nil, err
	}
	book, err := w.openRules(ctx, b)
	if err != nil {
		return nil, err
	}
	cooling := b.Settings.Cooling
	if cooling == 0 {
		cooling = -1
	}
	s, err := desk.New(desk.Config{
		NATS: b.NATS, Bus: b.Bus, Journal: b.Journal, Organisations: b.Orgs, Now: b.Now,
		Log: b.Log, Tracer: b.Tracer, Meter: b.Meter,
		Users: users, Approver: approver, Duties: dutiesOf(book), Book: book, Calendar: calendarOf(b.App), Secure: b.Secure(), Cooling: cooling,
		AlertURL: b.URL + "/v1/alerts/", Drill: b.Settings.SandboxListen != "",
	})
	if err != nil {
		return nil, err
	}
	b.Route(s.Handler(), "/")
	return ruled{s, book}, nil
}

func newIntake(ctx context.Context, b *app.Base) (app.Runner, error) {
	sources, err := LoadSources(b.Settings.Sources)
	if err != nil {
		return nil, err
	}
	var mappings fs.FS
	if b.Settings.Mappings != "" {
		mappings = os.DirFS(b.Settings.Mappings)
	}
	db, err := b.Store(ctx)
	if err != nil {
		return nil, err
	}
	s, err := intake.New(intake.Config{
		NATS: b.NATS, Bus: b.Bus, Journal: b.Journal, DB: db, Organisations: b.Orgs, Now: b.Now,
		Log: b.Log, Tracer: b.Tracer, Meter: b.Meter, Sources: sources, Mappings: mappings,
	})
	if err != nil {
		return nil, err
	}
	b.Route(s.Handler(), "/v1/alerts/")
	return s, nil
}

func (w *suite) newScope(ctx context.Context, b *app.Base) (app.Runner, error) {
	root, err := InventoryRoot(&b.Settings)
	if err != nil {
		return nil, err
	}
	db, err := b.Store(ctx)
	if err != nil {
		return nil, err
	}
	s, err := scope.New(scope.Config{
		NATS: b.NATS, Bus: b.Bus, Journal: b.Journal, DB: db, Organisations: b.Orgs, Now: b.Now,
		Log: b.Log, Tracer: b.Tracer, Meter: b.Meter, Root: root,
	})
	if err != nil {
		return nil, err
	}
	w.running.Scope = s
	return s, nil
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
