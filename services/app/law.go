package app

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"time"

	"tocsin.dev/pkg/duty"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/organisation"
	"tocsin.dev/pkg/rulebook"
	"tocsin.dev/services/deadline"
)

// rulebook opens the rules of every organisation and checks that each promise
// of an organisation is one of its own rules.
func (a *app) rulebook(ctx context.Context, b base) (*rulebook.Book, error) {
	book, err := rulebook.Open(ctx, rulebook.Config{NATS: b.nats, BuiltIn: a.rules, Own: a.own, Now: a.now, Log: b.telemetry.Log})
	if err != nil {
		return nil, err
	}
	for _, org := range a.orgs.All() {
		for _, promise := range org.Promises {
			if len(book.For(org.ID).Rule(org.ID+"."+promise)) == 0 {
				return nil, fmt.Errorf("organisation %s promises %q, which %s.rules.yaml does not define", org.ID, promise, org.ID)
			}
		}
	}
	return book, nil
}

// dutiesOf says which duties a declaration would open.
func dutiesOf(book *rulebook.Book) func(*organisation.Organisation, event.CaseDeclared, time.Time) []event.Duty {
	return func(org *organisation.Organisation, declared event.CaseDeclared, now time.Time) []event.Duty {
		return duty.Of(book.For(org.ID), org, duty.Declaration(org.ID, declared, now), now)
	}
}

// calendarOf returns how a calendar feed is addressed, or nil where this
// process does not have the key of the deadline service.
func (a *app) calendarOf() func(org, role string) string {
	if a.Keys.Calendar == "" && !slices.Contains(a.Services, event.Deadline) {
		return nil
	}
	key, err := secretKey(a.key(a.Keys.Calendar, "calendar.key"))
	if err != nil {
		return nil // the deadline service says why
	}
	return func(org, role string) string {
		return a.running.URL + "/v1/calendar/" + url.PathEscape(org) + "/" + url.PathEscape(role) + "/" + deadline.CalendarToken(key, org, role) + ".ics"
	}
}
