package app

import (
	"net/http"

	"tocsin.dev/pkg/web"
)

// routes collects the handlers of the services by the paths they own.
type routes struct {
	mux *http.ServeMux
	// callbacks are for machines that come by the hundred thousand; what they cost
	// is what their handler costs.
	callbacks *http.ServeMux
}

// mount adds a service's handler to mux; a nil handler adds nothing.
func mount(mux **http.ServeMux, h http.Handler, patterns ...string) {
	if *mux == nil {
		*mux = http.NewServeMux()
	}
	if h == nil {
		return
	}
	for _, p := range patterns {
		(*mux).Handle(p, h)
	}
}

// handler is everything this process serves on its public address.
func (r *routes) handler(a *App) http.Handler {
	mount(&r.mux, http.HandlerFunc(health), "GET "+healthPath)
	wrapped := web.Wrap(r.mux, web.Options{Service: "http", Log: a.Log, Tracer: a.telemetry.Tracer, Meter: a.telemetry.Meter, HSTS: a.Secure()})
	mount(&r.callbacks, wrapped, "/")
	return r.callbacks
}
