package app

import (
	"context"
	"net/http"
	"strings"

	"tocsin.dev/pkg/process"
	"tocsin.dev/pkg/web"
)

// routes collects the handlers of the services by the paths they own.
type routes struct {
	mux http.ServeMux
	// callbacks take what is posted to paths that begin with callbackPath; nil: nobody does.
	callbacks    *web.Callbacks
	callbackPath string
}

// handler is everything this process serves on its public address.
func (r *routes) handler(a *App) http.Handler {
	r.mux.HandleFunc("GET "+healthPath, health)
	wrapped := web.Wrap(&r.mux, web.Options{Service: "http", Log: a.Log, Tracer: a.telemetry.Tracer, Meter: a.telemetry.Meter, HSTS: a.Secure()})
	if r.callbacks == nil || a.callbacks != nil {
		return wrapped
	}
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if strings.HasPrefix(q.URL.Path, r.callbackPath) {
			r.callbacks.ServeHTTP(w, q)
			return
		}
		wrapped.ServeHTTP(w, q)
	})
}

// addServers adds the parts that let the world in.
func (a *App) addServers() {
	a.parts.Add(process.Part{Name: "http", Run: func(ctx context.Context) error {
		return web.Serve(ctx, a.listener, a.routes.handler(a), a.Log)
	}})
	if a.callbacks != nil {
		a.parts.Add(process.Part{Name: "callbacks", Run: func(ctx context.Context) error {
			return a.routes.callbacks.Serve(ctx, a.callbacks)
		}})
	}
}
