package app

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"tocsin.dev/pkg/law"
	"tocsin.dev/pkg/natsd"
	"tocsin.dev/pkg/organisation"
	"tocsin.dev/pkg/process"
	"tocsin.dev/pkg/telemetry"
	"tocsin.dev/pkg/web"
	"tocsin.dev/services/sandbox"
	"tocsin.dev/services/scope"
)

// Options are what the caller of Run may supply besides Settings.
type Options struct {
	// Now is the clock of every service; nil means time.Now.
	Now func() time.Time
	// Telemetry receives logs, spans and metrics; its Service is ignored.
	Telemetry telemetry.Config
	// Ready is called once, when everything serves.
	Ready func(*Running)
}

// Running is what a started process offers to its caller.
type Running struct {
	// URL is where Listen is reached, with the port that was really taken.
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

// app is a process being put together.
type app struct {
	Settings
	now       func() time.Time
	telemetry *telemetry.Telemetry
	log       *slog.Logger
	rules     *law.Rules
	own       map[string][]byte // the organisations' own rules
	orgs      *organisation.Registry
	nats      *natsd.Server
	listener  net.Listener
	sandboxes net.Listener
	parts     process.Group
	routes    routes
	running   Running
}

// Run starts the services of the settings and works until ctx ends or a part
// fails. It stops in bounded time and leaves nothing that a restart would miss.
func Run(ctx context.Context, s Settings, o Options) error {
	a := &app{Settings: s, now: o.Now}
	if a.now == nil {
		a.now = time.Now
	}
	if err := a.Validate(); err != nil {
		return err
	}
	var err error
	if a.telemetry, err = telemetry.Start(ctx, a.telemetryConfig(o.Telemetry)); err != nil {
		return err
	}
	a.log, a.parts.Log = a.telemetry.Log, a.telemetry.Log
	defer func() {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if err := a.telemetry.Shutdown(stop); err != nil {
			a.log.Warn("telemetry did not shut down", "error", err)
		}
	}()
	if err := a.load(); err != nil {
		return err
	}
	if err := a.assemble(ctx); err != nil {
		return err
	}
	return a.parts.Run(ctx, func() {
		a.log.Info("ready", "url", a.running.URL, "services", a.Services)
		if o.Ready != nil {
			o.Ready(&a.running)
		}
	})
}

// load reads everything that is data: organisations and law.
func (a *app) load() error {
	var err error
	if a.orgs, err = loadOrganisations(os.DirFS(a.Organisations)); err != nil {
		return fmt.Errorf("organisations in %s: %w", a.Organisations, err)
	}
	if a.own, err = a.orgs.OwnRules(os.DirFS(a.Organisations)); err != nil {
		return fmt.Errorf("organisations in %s: %w", a.Organisations, err)
	}
	a.rules, err = law.Default()
	return err
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
func (a *app) assemble(ctx context.Context) error {
	a.addFolder()
	a.addNATS()
	if err := a.listen(ctx); err != nil {
		return err
	}
	a.addSandbox()
	for _, name := range a.Services {
		if err := a.addService(name); err != nil {
			return err
		}
	}
	a.addMetrics()
	a.parts.Add(process.Part{Name: "http", Run: func(ctx context.Context) error {
		return web.Serve(ctx, a.listener, a.routes.handler(a), a.log)
	}})
	return nil
}

// addFolder locks the data folder, so that two processes never share it.
func (a *app) addFolder() {
	var lock *process.Lock
	a.parts.Add(process.Part{
		Name: "data folder",
		Start: func(context.Context) (err error) {
			lock, err = process.LockFolder(a.DataDir)
			return err
		},
		Stop: func(context.Context) error { return lock.Release() },
	})
}

// listen opens the public addresses early: a taken port is told before
// anything starts, and services can be given their real addresses.
func (a *app) listen(ctx context.Context) error {
	var err error
	if a.listener, err = web.Listen(ctx, a.Listen); err != nil {
		return err
	}
	a.running.URL = a.PublicURL
	if a.running.URL == "" {
		a.running.URL = "http://" + a.listener.Addr().String()
	}
	if a.SandboxListen != "" {
		if a.sandboxes, err = web.Listen(ctx, a.SandboxListen); err != nil {
			return err
		}
		a.running.SandboxURL = "http://" + a.sandboxes.Addr().String()
	}
	return nil
}

func (a *app) addMetrics() {
	if a.MetricsListen == "" {
		return
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", a.telemetry.Prometheus)
	mux.HandleFunc("GET "+healthPath, health)
	a.parts.Add(process.Part{Name: "metrics", Run: func(ctx context.Context) error {
		return web.Server(ctx, a.MetricsListen, mux, a.log)
	}})
}

func (a *app) telemetryConfig(c telemetry.Config) telemetry.Config {
	c.Service = "tocsin"
	if len(a.Services) == 1 {
		c.Service = a.Services[0]
	}
	if c.OTLPEndpoint == "" {
		c.OTLPEndpoint = a.Settings.Telemetry.OTLPEndpoint
	}
	c.Prometheus = c.Prometheus || a.MetricsListen != ""
	c.JSON = a.Settings.Telemetry.LogFormat == "json"
	if c.Level == nil {
		var level slog.Level
		if level.UnmarshalText([]byte(a.Settings.Telemetry.LogLevel)) == nil {
			c.Level = level
		}
	}
	return c
}
