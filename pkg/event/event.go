package event

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Event is one entry of a case's journal.
type Event struct {
	// ID is a UUID. It is derived from the cause where there is one, so that a
	// repeated append is recognised as the same event.
	ID string `json:"id"`
	// Type is the event's name with its version, such as "case.declared.v1".
	Type Type `json:"type"`
	// At is when the event was appended, in UTC. Legal instants are fields of
	// the body and never At.
	At time.Time `json:"at"`
	// Org is the organisation (tenant) the case belongs to.
	Org string `json:"org"`
	// Case is the number of the case, unique within the organisation.
	Case string `json:"case"`
	// Actor is who said it.
	Actor Actor `json:"actor"`
	// Data is the body as JSON; Decode turns it into its Go type.
	Data json.RawMessage `json:"data"`
}

// Type is the versioned name of an event, such as "case.declared.v1".
type Type string

// Name returns the name without the version: "case.declared".
func (t Type) Name() string {
	if i := strings.LastIndex(string(t), ".v"); i > 0 {
		return string(t)[:i]
	}
	return string(t)
}

// Actor is the person or service that caused an event. Persons are named by
// their user id, never by name or address.
type Actor struct {
	Kind ActorKind `json:"kind"`
	ID   string    `json:"id"`
	// Role is the role in which a person acted; empty for services.
	Role string `json:"role,omitempty"`
}

// ActorKind tells people from programs.
type ActorKind string

// The two kinds of actor.
const (
	PersonActor  ActorKind = "person"
	ServiceActor ActorKind = "service"
)

// Service returns the actor for a service of Tocsin.
func Service(name string) Actor { return Actor{Kind: ServiceActor, ID: name} }

// Person returns the actor for a signed-in user acting in a role.
func Person(id, role string) Actor { return Actor{Kind: PersonActor, ID: id, Role: role} }

// Body is the typed content of an event.
type Body interface {
	// EventType returns the name and version under which the body is published.
	EventType() Type
}

// ErrUnknownType means that this build does not know the event's type: a newer
// service said it. Folds keep such events and ignore them.
var ErrUnknownType = errors.New("unknown event type")

// namespace is the fixed UUID namespace of derived event ids.
var namespace = uuid.MustParse("6f0c1f5e-4d0b-5a55-9a0e-8d1d5b6f7c21")

// DerivedID returns the event id derived from its cause: the same parts give
// the same id in every process.
func DerivedID(parts ...string) string {
	return uuid.NewSHA1(namespace, []byte(strings.Join(parts, "\x00"))).String()
}

// NewID returns a fresh, time-ordered id for an event without a derivable cause.
func NewID() string { return uuid.Must(uuid.NewV7()).String() }

// New wraps a body into an event of a case. The caller gives the id and instant.
func New(id string, at time.Time, org, caseID string, actor Actor, body Body) (Event, error) {
	data, err := json.Marshal(body)
	if err != nil {
		return Event{}, fmt.Errorf("encode %s of case %s/%s: %w", body.EventType(), org, caseID, err)
	}
	return Event{ID: id, Type: body.EventType(), At: at.UTC(), Org: org, Case: caseID, Actor: actor, Data: data}, nil
}

// Decode returns the body of e as a pointer to its Go type. It returns
// ErrUnknownType for a type that this build does not know, and an error that
// names the event for a body that is not valid JSON for its type.
func Decode(e Event) (Body, error) {
	b := newBody(e.Type)
	if b == nil {
		return nil, fmt.Errorf("%w: %s", ErrUnknownType, e.Type)
	}
	if err := json.Unmarshal(e.Data, b); err != nil {
		return nil, fmt.Errorf("decode %s %s of case %s/%s: %w", e.Type, e.ID, e.Org, e.Case, err)
	}
	return b, nil
}
