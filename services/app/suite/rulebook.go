package suite

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"tocsin.dev/pkg/duty"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/organisation"
	"tocsin.dev/pkg/rulebook"
	"tocsin.dev/services/app"
	"tocsin.dev/services/deadline"
)

// openRules opens the rules of every organisation and checks that each promise
// of an organisation is one of its own rules.
func (w *suite) openRules(ctx context.Context, b *app.Base) (*rulebook.Book, error) {
	builtIn, err := w.rules()
	if err != nil {
		return nil, err
	}
	own, err := b.Orgs.OwnRules(os.DirFS(b.Settings.Organisations))
	if err != nil {
		return nil, fmt.Errorf("organisations in %s: %w", b.Settings.Organisations, err)
	}
	book, err := rulebook.Open(ctx, rulebook.Config{NATS: b.NATS, BuiltIn: builtIn, Own: own, Now: b.Now, Log: b.Log})
	if err != nil {
		return nil, err
	}
	for _, org := range b.Orgs.All() {
		for _, promise := range org.Promises {
			if len(book.For(org.ID).Rule(org.ID+"."+promise)) == 0 {
				return nil, fmt.Errorf("organisation %s promises %q, which %s.rules.yaml does not define", org.ID, promise, org.ID)
			}
		}
	}
	return book, nil
}

// ruled is a service beside the rules that it goes by.
type ruled struct {
	service app.Runner
	book    *rulebook.Book
}

// Run runs both.
func (r ruled) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return r.service.Run(ctx) })
	g.Go(func() error { return r.book.Run(ctx) })
	return g.Wait()
}

// dutiesOf says which duties a declaration would open.
func dutiesOf(book *rulebook.Book) func(*organisation.Organisation, event.CaseDeclared, time.Time) []event.Duty {
	return func(org *organisation.Organisation, declared event.CaseDeclared, now time.Time) []event.Duty {
		return duty.Of(book.For(org.ID), org, duty.Declaration(org.ID, declared, now), now)
	}
}

// calendarOf returns how a calendar feed is addressed, or nil where this
// process does not have the key of the deadline service.
func calendarOf(a *app.App) func(org, role string) string {
	if a.Settings.Keys.Calendar == "" && !slices.Contains(a.Settings.Services, event.Deadline) {
		return nil
	}
	key, err := app.SecretKey(a.Settings.Key(a.Settings.Keys.Calendar, "calendar.key"))
	if err != nil {
		return nil // the deadline service says why
	}
	return func(org, role string) string {
		return a.URL + "/v1/calendar/" + url.PathEscape(org) + "/" + url.PathEscape(role) + "/" + deadline.CalendarToken(key, org, role) + ".ics"
	}
}
