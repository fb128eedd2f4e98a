package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
)

// Config says what to send where.
type Config struct {
	// Service is the name under which this process appears.
	Service string
	// Version of the program, for service.version; may be empty.
	Version string
	// OTLPEndpoint is the URL of an OTLP/HTTP collector, such as
	// "http://otel:4318". Empty means that no spans are made.
	OTLPEndpoint string
	// Prometheus collects metrics and fills Telemetry.Prometheus.
	Prometheus bool
	// JSON writes logs as JSON lines and not as text.
	JSON bool
	// Level is the least level that is logged.
	Level slog.Leveler
	// Output receives the logs; nil means standard error.
	Output io.Writer
	// Spans receives the spans as well; tests pass an in-memory exporter.
	Spans sdktrace.SpanExporter
	// Metrics reads the metrics as well; tests pass a manual reader.
	Metrics sdkmetric.Reader
}

// Telemetry is what a service is handed.
type Telemetry struct {
	Tracer trace.TracerProvider
	Meter  metric.MeterProvider
	Log    *slog.Logger
	// Prometheus serves the metrics of the whole process; nil when not configured.
	Prometheus http.Handler

	shared *shared
}

// shared is what all services of a process have in common.
type shared struct {
	cfg       Config
	logs      slog.Handler
	processor sdktrace.SpanProcessor // nil: no spans
	registry  *prometheus.Registry   // nil: no Prometheus

	mu       sync.Mutex
	services map[string]*Telemetry
	stops    []func(context.Context) error
}

// Start sets up the process's telemetry. The caller ends it with Shutdown. A
// collector that cannot be reached is no error: spans are dropped with a
// warning and the work goes on.
func Start(_ context.Context, cfg Config) (*Telemetry, error) {
	s := &shared{cfg: cfg, logs: logHandler(cfg), services: map[string]*Telemetry{}}
	if err := s.startTraces(); err != nil {
		return nil, fmt.Errorf("start telemetry: %w", err)
	}
	if cfg.Prometheus {
		s.registry = prometheus.NewRegistry()
		s.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	}
	return s.forService(cfg.Service)
}

// For returns the telemetry of one service of this process: the same exporters
// under the service's own name. The same name gives the same telemetry.
func (t *Telemetry) For(service string) (*Telemetry, error) { return t.shared.forService(service) }

// Shutdown sends what is still waiting and stops the exporters of the process,
// including those of services made by For.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	t.shared.mu.Lock()
	stops := t.shared.stops
	t.shared.stops = nil
	t.shared.mu.Unlock()
	var errs []error
	for _, stop := range stops {
		errs = append(errs, stop(ctx))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("stop telemetry: %w", err)
	}
	return nil
}

func (s *shared) startTraces() error {
	var processors []sdktrace.SpanProcessor
	if s.cfg.OTLPEndpoint != "" {
		u, err := url.Parse(s.cfg.OTLPEndpoint)
		if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			return fmt.Errorf("the OTLP endpoint %q is no URL such as http://otel:4318", s.cfg.OTLPEndpoint)
		}
		if u.Path == "" || u.Path == "/" {
			u.Path = "/v1/traces"
		}
		// The exporter is not connected yet; ending is Shutdown's matter, not a context's.
		exporter, err := otlptracehttp.New(context.Background(), otlptracehttp.WithEndpointURL(u.String()))
		if err != nil {
			return fmt.Errorf("export spans to %s: %w", s.cfg.OTLPEndpoint, err)
		}
		processors = append(processors, sdktrace.NewBatchSpanProcessor(exporter))
	}
	if s.cfg.Spans != nil {
		processors = append(processors, sdktrace.NewSimpleSpanProcessor(s.cfg.Spans))
	}
	for _, p := range processors {
		s.stops = append(s.stops, p.Shutdown)
	}
	s.processor = fan(processors)
	return nil
}

// forService makes the providers that carry the service's name, once: two
// readers of one name would give Prometheus the same series twice.
func (s *shared) forService(service string) (*Telemetry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.services[service]; t != nil {
		return t, nil
	}
	attributes := []attribute.KeyValue{attribute.String("service.name", service), attribute.String("service.namespace", "tocsin")}
	if s.cfg.Version != "" {
		attributes = append(attributes, attribute.String("service.version", s.cfg.Version))
	}
	res := resource.NewSchemaless(attributes...)
	t := &Telemetry{
		Tracer: tracenoop.NewTracerProvider(), Meter: metricnoop.NewMeterProvider(),
		Log: slog.New(s.logs).With("service", service), shared: s,
	}
	if s.processor != nil {
		t.Tracer = sdktrace.NewTracerProvider(sdktrace.WithResource(res), sdktrace.WithSpanProcessor(s.processor))
	}
	readers, err := s.readers(service)
	if err != nil {
		return nil, err
	}
	if len(readers) > 0 {
		provider := sdkmetric.NewMeterProvider(append(readers, sdkmetric.WithResource(res))...)
		s.stops = append(s.stops, provider.Shutdown)
		t.Meter = provider
	}
	if s.registry != nil {
		t.Prometheus = promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
	}
	s.services[service] = t
	return t, nil
}

func (s *shared) readers(service string) ([]sdkmetric.Option, error) {
	var readers []sdkmetric.Option
	if s.registry != nil {
		// One exporter for each service on one registry, told apart by service_name.
		exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(s.registry), otelprometheus.WithoutTargetInfo(), otelprometheus.WithoutScopeInfo(),
			otelprometheus.WithResourceAsConstantLabels(attribute.NewAllowKeysFilter("service.name")))
		if err != nil {
			return nil, fmt.Errorf("metrics of %s: %w", service, err)
		}
		readers = append(readers, sdkmetric.WithReader(exporter))
	}
	if s.cfg.Metrics != nil && service == s.cfg.Service {
		// A reader serves one provider only.
		readers = append(readers, sdkmetric.WithReader(s.cfg.Metrics))
	}
	return readers, nil
}

// fan sends each span to all processors; nil when there are none. Their
// shutdown belongs to the process and not to one service's provider.
func fan(processors []sdktrace.SpanProcessor) sdktrace.SpanProcessor {
	if len(processors) == 0 {
		return nil
	}
	return fanned(processors)
}

type fanned []sdktrace.SpanProcessor

func (f fanned) OnStart(ctx context.Context, s sdktrace.ReadWriteSpan) {
	for _, p := range f {
		p.OnStart(ctx, s)
	}
}

func (f fanned) OnEnd(s sdktrace.ReadOnlySpan) {
	for _, p := range f {
		p.OnEnd(s)
	}
}

func (f fanned) Shutdown(context.Context) error { return nil }

func (f fanned) ForceFlush(ctx context.Context) error {
	var errs []error
	for _, p := range f {
		errs = append(errs, p.ForceFlush(ctx))
	}
	return errors.Join(errs...)
}

func logHandler(cfg Config) slog.Handler {
	out := cfg.Output
	if out == nil {
		out = os.Stderr
	}
	options := &slog.HandlerOptions{Level: cfg.Level}
	if cfg.JSON {
		return contextual{slog.NewJSONHandler(out, options)}
	}
	return contextual{slog.NewTextHandler(out, options)}
}
