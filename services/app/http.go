package app

import (
	"net/http"
	"strings"

	"tocsin.dev/pkg/web"
)

// routes collects the handlers of the services by the paths they own.
type routes struct {
	mux http.ServeMux
	// callbacks are for machines that come by the hundred thousand; what they cost
	// is what their handler costs.
	callbacks []callbacks
}

// callbacks are the paths that begin with a prefix.
type callbacks struct {
	prefix  string
	handler http.Handler
}

// handler is everything this process serves on its public address.
func (r *routes) handler(a *App) http.Handler {
	r.mux.HandleFunc("GET "+healthPath, health)
	wrapped := web.Wrap(&r.mux, web.Options{Service: "http", Log: a.Log, Tracer: a.telemetry.Tracer, Meter: a.telemetry.Meter, HSTS: a.Secure()})
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		for _, c := range r.callbacks {
			if strings.HasPrefix(q.URL.Path, c.prefix) {
				c.handler.ServeHTTP(w, q)
				return
			}
		}
		wrapped.ServeHTTP(w, q)
	})
}
