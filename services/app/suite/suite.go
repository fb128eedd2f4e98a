// Package suite is every service, and the sandbox, in one process or each in
// one of its own. It is the only place that knows all services.
package suite

import (
	"context"
	"net"
	"sync"
	"time"

	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/law"
	"tocsin.dev/pkg/natsd"
	"tocsin.dev/pkg/telemetry"
	"tocsin.dev/services/app"
	"tocsin.dev/services/app/sender"
	"tocsin.dev/services/sandbox"
	"tocsin.dev/services/scope"
)

// Options are what the caller of Run may supply besides settings; see app.Options.
type Options struct {
	Now       func() time.Time
	Telemetry telemetry.Config
	// Ready is called once, when everything serves.
	Ready func(*Running)
}

// Running is what a started process offers to its caller.
type Running struct {
	// URL is where the process is reached, with the port that was really taken.
	URL string
	// SandboxURL is the sandbox's address, or empty.
	SandboxURL string
	// Scope is the scope service if it runs here; the demo imports people through it.
	Scope *scope.Service
	// Sandbox is the look-alike providers if they run here.
	Sandbox *sandbox.Service
	// NATS is the embedded server, or nil.
	NATS *natsd.Server
}

// suite is what the parts of a process know of each other.
type suite struct {
	// rules returns the rules that come with the program; reading them takes a
	// while, so those who need them share them.
	rules     func() (*law.Rules, error)
	sandboxes net.Listener
	running   Running
}

// Run starts the services of the settings and works until ctx ends or a part
// fails; see app.Run.
func Run(ctx context.Context, s app.Settings, o Options) error {
	w := &suite{rules: sync.OnceValues(law.Default)}
	return app.Run(ctx, s, app.Options{
		Services: map[string]app.Builder{
			event.Intake: newIntake, event.Desk: w.newDesk, event.Scope: w.newScope, event.Deadline: w.newDeadline, event.Notice: sender.New,
		},
		Sandbox: w.addSandbox, Now: o.Now, Telemetry: o.Telemetry,
		Ready: func(a *app.App) {
			w.running.URL, w.running.NATS = a.URL, a.NATS
			if o.Ready != nil {
				o.Ready(&w.running)
			}
		},
	})
}
