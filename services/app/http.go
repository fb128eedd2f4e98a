package app

import (
	"net/http"

	"tocsin.dev/pkg/web"
)

// routes collects the handlers of the services by the paths they own.
type routes struct{ mux *http.ServeMux }

// add mounts a service's handler at patterns; a nil handler adds nothing.
func (r *routes) add(h http.Handler, patterns ...string) {
	if h == nil {
		return
	}
	if r.mux == nil {
		r.mux = http.NewServeMux()
	}
	for _, p := range patterns {
		r.mux.Handle(p, h)
	}
}

// handler is everything this process serves on its public address.
func (r *routes) handler(a *App) http.Handler {
	r.add(http.HandlerFunc(health), "GET "+healthPath)
	return web.Wrap(r.mux, web.Options{Service: "http", Log: a.Log, Tracer: a.telemetry.Tracer, Meter: a.telemetry.Meter, HSTS: a.Secure()})
}
