package desk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/journal"
)

// On says which case a person acts on and what they had seen of it.
type On struct {
	Case string
	// Seen is the sequence of the case that the person was looking at; 0 if it was not said.
	Seen uint64
	// Key makes a repeated act the same act; empty if it was not said.
	Key string
}

// act is one legal act: who may do it, what would have changed the person's
// mind, and what it says.
type act struct {
	who   User
	on    On
	roles []Role
	// matters picks the entries that void what the person saw; nil: none does.
	matters func(casefile.Entry) bool
	// decide checks the act against the case as it is and returns what to say.
	// It may run again after a conflict, and returns nothing if nothing is left to say.
	decide func(c *casefile.Case, as event.Actor, now time.Time) ([]event.Body, error)
}

// conflictTries bounds how often an act is decided again because somebody else appended meanwhile.
const conflictTries = 10

// perform does one act and returns the case after it.
func (s *Service) perform(ctx context.Context, a act) (*casefile.Case, error) {
	actor, err := mayAct(a.who, a.roles)
	if err != nil {
		return nil, err
	}
	for range conflictTries {
		c, err := s.load(ctx, a.who.Org, a.on.Case)
		if err != nil {
			return nil, err
		}
		if done, err := s.alreadyDone(ctx, a, c); done || err != nil {
			return c, err
		}
		now := s.cfg.Now().UTC()
		bodies, err := a.decide(c, actor, now)
		if err != nil {
			return nil, err
		}
		if len(bodies) == 0 {
			return c, nil
		}
		events, err := wrap(a, actor, now, bodies)
		if err != nil {
			return nil, err
		}
		_, err = s.cfg.Journal.Append(ctx, a.who.Org, a.on.Case, c.Seq, events...)
		if errors.Is(err, journal.ErrConflict) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return s.load(ctx, a.who.Org, a.on.Case)
	}
	return nil, refuse("busy", "the case changes too quickly at the moment; try again")
}

// mayAct returns the actor under the first role that allows the act.
func mayAct(who User, roles []Role) (event.Actor, error) {
	role, ok := who.as(roles)
	if !ok {
		return event.Actor{}, &Forbidden{Why: "this needs the role " + roleNames(roles)}
	}
	return event.Person(who.ID, string(role)), nil
}

func roleNames(roles []Role) string {
	names := make([]string, len(roles))
	for i, r := range roles {
		names[i] = string(r)
	}
	return strings.Join(names, " or ")
}

// load returns a case of the organisation, or ErrNotFound.
func (s *Service) load(ctx context.Context, org, number string) (*casefile.Case, error) {
	if !event.ValidToken(number) {
		return nil, fmt.Errorf("case %q: %w", number, ErrNotFound)
	}
	c, err := s.cfg.Journal.Load(ctx, org, number)
	if errors.Is(err, journal.ErrNotFound) || (err == nil && c.Declared == nil) {
		return nil, fmt.Errorf("case %s: %w", number, ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// alreadyDone reports whether the act is in the journal already, and returns a
// Conflict if the person acted on a view that is out of date.
func (s *Service) alreadyDone(ctx context.Context, a act, c *casefile.Case) (bool, error) {
	stale := a.on.Seen != 0 && a.on.Seen < c.Seq && a.matters != nil
	if a.on.Key == "" && !stale {
		return false, nil
	}
	entries, err := s.cfg.Journal.Entries(ctx, a.who.Org, a.on.Case)
	if err != nil {
		return false, err
	}
	id := eventID(a, 0)
	if a.on.Key != "" && slices.ContainsFunc(entries, func(e casefile.Entry) bool { return e.ID == id }) {
		return true, nil
	}
	if !stale {
		return false, nil
	}
	conflict := &Conflict{}
	for _, e := range entries {
		if e.Seq > a.on.Seen && a.matters(e) {
			conflict.Changes = append(conflict.Changes, e)
		}
	}
	if len(conflict.Changes) == 0 {
		return false, nil
	}
	return false, conflict
}

func wrap(a act, actor event.Actor, now time.Time, bodies []event.Body) ([]event.Event, error) {
	events := make([]event.Event, len(bodies))
	for i, b := range bodies {
		e, err := event.New(eventID(a, i), now, a.who.Org, a.on.Case, actor, b)
		if err != nil {
			return nil, err
		}
		events[i] = e
	}
	return events, nil
}

// eventID derives the id from the act's key, so that a repeated request is the same event.
func eventID(a act, i int) string {
	if a.on.Key == "" {
		return event.NewID()
	}
	return event.DerivedID(a.who.Org, a.on.Case, event.Desk, a.who.ID, a.on.Key, strconv.Itoa(i))
}

// anyOf returns a filter for entries of some types.
func anyOf(types ...event.Type) func(casefile.Entry) bool {
	return func(e casefile.Entry) bool { return slices.Contains(types, e.Type) }
}

// open refuses acts on a closed case.
func open(c *casefile.Case) error {
	if c.Status == casefile.StatusClosed {
		return refuse("closed", "the case is closed")
	}
	return nil
}
