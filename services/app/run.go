package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"time"

	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/natsd"
	"tocsin.dev/pkg/organisation"
	"tocsin.dev/pkg/process"
	"tocsin.dev/pkg/telemetry"
	"tocsin.dev/pkg/web"
)

// Options are what the caller of Run supplies besides Settings.
type Options struct {
	// Services are the services that this program has, by name.
	Services map[string]Builder
	// Sandbox adds the look-alike providers and sends through them, where the
	// settings name an address for them. With nil such settings are refused:
	// nobody shall reach a real person who asked for a sandbox.
	Sandbox func(context.Context, *App) error
	// Now is the clock of every service; nil means time.Now.
	Now func() time.Time
	// Telemetry receives logs, spans and metrics; its Service is ignored.
	Telemetry telemetry.Config
	// Ready is called once, when everything serves.
	Ready func(*App)
}

// App is one process.
type App struct {
	Settings Settings
	// URL is where Listen is reached, with the port that was really taken.
	URL string
	// CallbackURL is where providers reach the callbacks.
	CallbackURL string
	Orgs        *organisation.Registry
	// NATS is the embedded server once it has started, or nil.
	NATS *natsd.Server
	Now  func() time.Time
	Log  *slog.Logger

	telemetry *telemetry.Telemetry
	listener  net.Listener
	callbacks net.Listener // nil: listener takes them too
	parts     process.Group
	routes    routes
}

// Run starts the services of the settings and works until ctx ends or a part
// fails. It stops in bounded time and leaves nothing that a restart would miss.
func Run(ctx context.Context, s Settings, o Options) error {
	a := &App{Settings: s, Now: o.Now}
	if a.Now == nil {
		a.Now = time.Now
	}
	if err := a.Settings.Validate(); err != nil {
		return err
	}
	var err error
	if a.telemetry, err = telemetry.Start(ctx, a.telemetryConfig(o.Telemetry)); err != nil {
		return err
	}
	a.Log, a.parts.Log = a.telemetry.Log, a.telemetry.Log
	defer func() {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if err := a.telemetry.Shutdown(stop); err != nil {
			a.Log.Warn("telemetry did not shut down", "error", err)
		}
	}()
	if a.Orgs, err = loadOrganisations(os.DirFS(a.Settings.Organisations)); err != nil {
		return fmt.Errorf("organisations in %s: %w", a.Settings.Organisations, err)
	}
	if err := a.assemble(ctx, o); err != nil {
		return err
	}
	return a.parts.Run(ctx, func() {
		a.Log.Info("ready", "url", a.URL, "services", a.Settings.Services)
		if o.Ready != nil {
			o.Ready(a)
		}
	})
}

func loadOrganisations(fsys fs.FS) (*organisation.Registry, error) {
	orgs, err := organisation.Load(fsys)
	if err == nil && len(orgs.All()) == 0 {
		err = fmt.Errorf("no *.yaml file; every tenant needs one")
	}
	return orgs, err
}

// assemble adds the parts in the order of their start: what everything stands
// on first, the listener that lets the world in last.
func (a *App) assemble(ctx context.Context, o Options) error {
	a.addFolder()
	a.addNATS()
	if err := a.listen(ctx); err != nil {
		return err
	}
	if a.Settings.SandboxListen != "" {
		if o.Sandbox == nil {
			return errors.New("sandbox_listen: this program has no look-alike providers; leave it empty, or use tocsin")
		}
		if err := o.Sandbox(ctx, a); err != nil {
			return err
		}
	}
	for _, name := range a.Settings.Services {
		build := o.Services[name]
		if build == nil {
			return fmt.Errorf("this program does not have the service %q", name)
		}
		a.addService(name, build)
	}
	a.addMetrics()
	a.addServers()
	return nil
}

// Add adds a part of the process; Options.Sandbox may.
func (a *App) Add(p process.Part) { a.parts.Add(p) }

// addFolder locks the data folder, so that two processes never share it.
func (a *App) addFolder() {
	var lock *process.Lock
	a.parts.Add(process.Part{
		Name: "data folder",
		Start: func(context.Context) (err error) {
			lock, err = process.LockFolder(a.Settings.DataDir)
			return err
		},
		Stop: func(context.Context) error { return lock.Release() },
	})
}

// listen opens the public addresses early: a taken port is told before anything
// starts, and services can be given their real address.
func (a *App) listen(ctx context.Context) (err error) {
	if a.listener, err = web.Listen(ctx, a.Settings.Listen); err != nil {
		return err
	}
	called := a.listener
	if a.Settings.CallbacksListen != "" && slices.Contains(a.Settings.Services, event.Notice) {
		if a.callbacks, err = web.Listen(ctx, a.Settings.CallbacksListen); err != nil {
			return errors.Join(fmt.Errorf("callbacks_listen: %w", err), a.listener.Close())
		}
		called = a.callbacks
	}
	reached := func(at net.Listener) string { return cmp.Or(a.Settings.PublicURL, "http://"+at.Addr().String()) }
	a.URL, a.CallbackURL = reached(a.listener), reached(called)
	return nil
}

func (a *App) addMetrics() {
	if a.Settings.MetricsListen == "" {
		return
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", a.telemetry.Prometheus)
	mux.HandleFunc("GET "+healthPath, health)
	a.parts.Add(process.Part{Name: "metrics", Run: func(ctx context.Context) error {
		return web.Server(ctx, a.Settings.MetricsListen, mux, a.Log)
	}})
}

func (a *App) telemetryConfig(c telemetry.Config) telemetry.Config {
	c.Service = "tocsin"
	if len(a.Settings.Services) == 1 {
		c.Service = a.Settings.Services[0]
	}
	if c.OTLPEndpoint == "" {
		c.OTLPEndpoint = a.Settings.Telemetry.OTLPEndpoint
	}
	c.Prometheus = c.Prometheus || a.Settings.MetricsListen != ""
	c.JSON = a.Settings.Telemetry.LogFormat == "json"
	if c.Level == nil {
		var level slog.Level
		if level.UnmarshalText([]byte(a.Settings.Telemetry.LogLevel)) == nil {
			c.Level = level
		}
	}
	return c
}
