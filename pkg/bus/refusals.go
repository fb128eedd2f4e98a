package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
)

// ErrForbidden means that the NATS user of this service may not publish on a
// subject: a service says only what is its own to say.
var ErrForbidden = errors.New("forbidden by the NATS permissions")

// Refusals hears the permission errors of a connection. The server reports
// them apart from the request they belong to, which would otherwise only time
// out.
type Refusals struct {
	mu      sync.Mutex
	waiting map[string]map[*waiter]struct{}
}

type waiter struct{ cancel context.CancelCauseFunc }

// WatchRefusals starts to listen on a connection. An error handler that is
// already set keeps being called.
func WatchRefusals(nc *nats.Conn) *Refusals {
	r := &Refusals{waiting: map[string]map[*waiter]struct{}{}}
	previous := nc.ErrorHandler()
	nc.SetErrorHandler(func(nc *nats.Conn, sub *nats.Subscription, err error) {
		r.heard(err)
		if previous != nil {
			previous(nc, sub, err)
		}
	})
	return r
}

// Guard returns a context that ends with ErrForbidden as its cause as soon as
// the server refuses a publish on one of the subjects. The caller calls done
// afterwards.
func (r *Refusals) Guard(ctx context.Context, subjects ...string) (guarded context.Context, done func()) {
	guarded, cancel := context.WithCancelCause(ctx)
	w := &waiter{cancel: cancel}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range subjects {
		if r.waiting[s] == nil {
			r.waiting[s] = map[*waiter]struct{}{}
		}
		r.waiting[s][w] = struct{}{}
	}
	return guarded, func() {
		r.forget(w, subjects)
		cancel(nil)
	}
}

func (r *Refusals) forget(w *waiter, subjects []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range subjects {
		delete(r.waiting[s], w)
		if len(r.waiting[s]) == 0 {
			delete(r.waiting, s)
		}
	}
}

// Explain returns the refusal that ended the guarded context, or err as it is.
func Explain(guarded context.Context, err error) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(guarded); errors.Is(cause, ErrForbidden) {
		return cause
	}
	return err
}

func (r *Refusals) heard(err error) {
	if !errors.Is(err, nats.ErrPermissionViolation) {
		return
	}
	_, rest, ok := strings.Cut(err.Error(), `"`)
	subject, _, closed := strings.Cut(rest, `"`)
	if !ok || !closed {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for w := range r.waiting[subject] {
		w.cancel(fmt.Errorf("%w: %s", ErrForbidden, subject))
	}
}
