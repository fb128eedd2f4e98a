// Package telemetrytest records spans, metrics and logs in memory, so that a
// test can assert what would have been sent.
package telemetrytest

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"tocsin.dev/pkg/telemetry"
)

// Recorder is a Telemetry whose output stays in memory.
type Recorder struct {
	*telemetry.Telemetry
	spans  *tracetest.InMemoryExporter
	reader *sdkmetric.ManualReader
	logs   *buffer
}

// Start returns the telemetry of a service, ended with the test.
func Start(t testing.TB, service string) *Recorder {
	t.Helper()
	r := &Recorder{spans: tracetest.NewInMemoryExporter(), reader: sdkmetric.NewManualReader(), logs: &buffer{}}
	tel, err := telemetry.Start(t.Context(), telemetry.Config{
		Service: service, JSON: true, Level: slog.LevelDebug, Output: r.logs, Spans: r.spans, Metrics: r.reader,
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Telemetry = tel
	t.Cleanup(func() {
		if err := tel.Shutdown(context.Background()); err != nil { // t.Context has ended by now
			t.Error(err)
		}
	})
	return r
}

// Spans returns all spans that have ended, in that order.
func (r *Recorder) Spans() tracetest.SpanStubs { return r.spans.GetSpans() }

// Trace returns the ended spans of one trace.
func (r *Recorder) Trace(id trace.TraceID) tracetest.SpanStubs {
	var of tracetest.SpanStubs
	for _, s := range r.spans.GetSpans() {
		if s.SpanContext.TraceID() == id {
			of = append(of, s)
		}
	}
	return of
}

// Service returns the service.name of a span.
func Service(s tracetest.SpanStub) string {
	for _, kv := range s.Resource.Attributes() {
		if kv.Key == "service.name" {
			return kv.Value.AsString()
		}
	}
	return ""
}

// Logs returns everything logged so far as JSON lines.
func (r *Recorder) Logs() string { return r.logs.String() }

// Metrics collects and returns the metrics of the service that Start named,
// by name.
func (r *Recorder) Metrics(t testing.TB) map[string]metricdata.Metrics {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := r.reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(fmt.Errorf("collect metrics: %w", err))
	}
	byName := map[string]metricdata.Metrics{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			byName[m.Name] = m
		}
	}
	return byName
}

// buffer is a bytes.Buffer that many goroutines may write to.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
