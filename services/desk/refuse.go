package desk

import (
	"errors"
	"fmt"
	"strings"

	"tocsin.dev/pkg/casefile"
)

// ErrNotFound means that the organisation of the person signed in has no such
// case, alert, duty or order. What another organisation has looks the same.
var ErrNotFound = errors.New("not found")

// ErrSignIn means that a person must sign in first.
var ErrSignIn = errors.New("sign in first")

// Invalid is bad input, field by field.
type Invalid struct{ Fields []FieldError }

// FieldError says what is wrong with one field and what to do. Field is its
// name in the API and in the console's form.
type FieldError struct{ Field, Message string }

func (e *Invalid) Error() string {
	parts := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		parts[i] = f.Field + ": " + f.Message
	}
	return strings.Join(parts, "; ")
}

// add notes a problem with a field.
func (e *Invalid) add(field, format string, args ...any) {
	e.Fields = append(e.Fields, FieldError{field, fmt.Sprintf(format, args...)})
}

// or returns nil if nothing was noted.
func (e *Invalid) or() error {
	if len(e.Fields) == 0 {
		return nil
	}
	return e
}

func invalid(field, format string, args ...any) error {
	e := &Invalid{}
	e.add(field, format, args...)
	return e
}

// Forbidden means that the person may not do it; Why says who may.
type Forbidden struct{ Why string }

func (e *Forbidden) Error() string { return e.Why }

// Refused means that the case does not allow the act as it stands.
type Refused struct {
	// Code is a word for programs, such as "writer_cannot_approve".
	Code string
	Why  string
}

func (e *Refused) Error() string { return e.Why }

func refuse(code, format string, args ...any) error {
	return &Refused{Code: code, Why: fmt.Sprintf(format, args...)}
}

// Conflict means that something that matters to the act happened after the
// person looked at the case.
type Conflict struct{ Changes []casefile.Entry }

func (e *Conflict) Error() string {
	parts := make([]string, len(e.Changes))
	for i, c := range e.Changes {
		parts[i] = Describe(c)
	}
	return "the case has changed since you looked at it: " + strings.Join(parts, "; ")
}
