package web

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/google/uuid"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Options are what Wrap needs. Nil telemetry is no telemetry.
type Options struct {
	// Service names the spans' server.
	Service string
	Log     *slog.Logger
	Tracer  trace.TracerProvider
	Meter   metric.MeterProvider
	// HSTS adds Strict-Transport-Security, for servers behind TLS only.
	HSTS bool
}

// Wrap puts around h what every server does: request id, span, security
// headers, a net for panics, and one debug line per request. The headers are
// defaults that a handler may replace.
func Wrap(h http.Handler, o Options) http.Handler {
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	h = logged(contained(secured(h, o.HSTS)), log)
	options := []otelhttp.Option{otelhttp.WithPropagators(propagation.TraceContext{})}
	if o.Tracer != nil {
		options = append(options, otelhttp.WithTracerProvider(o.Tracer))
	}
	if o.Meter != nil {
		options = append(options, otelhttp.WithMeterProvider(o.Meter))
	}
	return identified(otelhttp.NewHandler(h, o.Service, options...), log)
}

// request is what Wrap knows of a request.
type request struct {
	id  string
	log *slog.Logger // without the id, which few requests log
}

type requestKey struct{}

// validRequestID bounds what a caller may put into our logs.
var validRequestID = regexp.MustCompile(`^[A-Za-z0-9_.:-]{8,64}$`)

// RequestID returns the id of the request, or "" outside of one.
func RequestID(ctx context.Context) string {
	if r, ok := ctx.Value(requestKey{}).(*request); ok {
		return r.id
	}
	return ""
}

// requestID takes what the caller said in X-Request-Id, or makes one.
func requestID(said string) string {
	if validRequestID.MatchString(said) {
		return said
	}
	return uuid.NewString()
}

const requestIDHeader = "X-Request-Id"

// identified gives a request its id and echoes it.
func identified(next http.Handler, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := requestID(r.Header.Get(requestIDHeader))
		w.Header().Set(requestIDHeader, id)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), requestKey{}, &request{id, log})))
	})
}

// seen notes the status that went out. It unwraps for http.ResponseController.
type seen struct {
	http.ResponseWriter
	status int
}

func (s *seen) WriteHeader(status int) {
	if s.status == 0 {
		s.status = status
	}
	s.ResponseWriter.WriteHeader(status)
}

func (s *seen) Write(b []byte) (int, error) {
	if s.status == 0 {
		s.status = http.StatusOK
	}
	return s.ResponseWriter.Write(b)
}

// Flush is for those who ask for http.Flusher; errors come with the next write.
func (s *seen) Flush() { _ = http.NewResponseController(s.ResponseWriter).Flush() }

// Unwrap lets http.ResponseController reach deadlines and flushing.
func (s *seen) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// logged writes one debug line for each request, without its path. How long it
// took is otelhttp's http.server.request.duration.
func logged(next http.Handler, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !log.Enabled(r.Context(), slog.LevelDebug) {
			next.ServeHTTP(w, r)
			return
		}
		out := &seen{ResponseWriter: w}
		next.ServeHTTP(out, r)
		logger(r.Context()).DebugContext(r.Context(), "request", "method", r.Method, "route", r.Pattern, "status", out.status)
	})
}

// contained turns a panic into a 500 that is logged with its stack. The value
// itself is not logged: it may hold somebody's data. http.ErrAbortHandler
// passes, it is a way to hang up.
func contained(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out := &seen{ResponseWriter: w}
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so
				panic(p)
			}
			logger(r.Context()).ErrorContext(r.Context(), "handler panicked", "route", r.Pattern, "kind", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			if out.status != 0 {
				panic(http.ErrAbortHandler) // half an answer is out: hang up, so that it cannot pass for a whole one
			}
			WriteError(out, r, NewError(http.StatusInternalServerError, "internal", "Something went wrong here. It has been recorded under the request's number."))
		}()
		next.ServeHTTP(out, r)
	})
}

// secured sets the headers that are safe for every answer of ours.
func secured(next http.Handler, hsts bool) http.Handler {
	headers := http.Header{}
	headers.Set("Content-Security-Policy", CSP{}.String())
	headers.Set("X-Content-Type-Options", "nosniff")
	headers.Set("X-Frame-Options", "DENY")
	headers.Set("Referrer-Policy", "same-origin")
	headers.Set("Cross-Origin-Opener-Policy", "same-origin")
	headers.Set("Cross-Origin-Resource-Policy", "same-origin")
	headers.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
	headers.Set("Cache-Control", "no-store")
	if hsts {
		headers.Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
	}
	for name, values := range headers {
		headers[name] = slices.Clip(values) // shared by all answers: who adds to one gets another slice
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		maps.Copy(w.Header(), headers)
		next.ServeHTTP(w, r)
	})
}

// CSP is a Content-Security-Policy that begins with nothing and allows what
// is listed, such as "'self'". Frames, plug-ins and other bases stay forbidden.
type CSP struct {
	Script, Style, Image, Font, Connect, Form []string
}

// String returns the header's value.
func (c CSP) String() string {
	parts := []string{"default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"}
	for _, d := range []struct {
		name string
		from []string
	}{{"script-src", c.Script}, {"style-src", c.Style}, {"img-src", c.Image}, {"font-src", c.Font}, {"connect-src", c.Connect}} {
		if len(d.from) > 0 {
			parts = append(parts, d.name+" "+strings.Join(d.from, " "))
		}
	}
	// form-action does not fall back to default-src.
	form := "'none'"
	if len(c.Form) > 0 {
		form = strings.Join(c.Form, " ")
	}
	return strings.Join(append(parts, "form-action "+form), "; ")
}
