package e2e

import (
	"io"
	"testing"

	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// The alert's trace goes on in the worker that maps it, and an order's trace
// goes through every service that works on it to the receipt.
func TestOneTraceLeadsFromTheWebhookToTheReceipt(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	w := begin(t, 30, func(w *world) { w.options.Telemetry.Spans = spans })
	s := w.Story("tidewater", io.Discard)
	w.must(s.UpTo(w.ctx, "await"))
	w.eventually("the last spans", func() bool { return len(missing(longest(spans.GetSpans()))) == 0 })
}

// longest returns the names of the services that took part in the trace with
// the most of them.
func longest(spans tracetest.SpanStubs) map[string]bool {
	services := map[string]map[string]bool{}
	var most map[string]bool
	for _, span := range spans {
		trace := span.SpanContext.TraceID().String()
		if services[trace] == nil {
			services[trace] = map[string]bool{}
		}
		for _, a := range span.Resource.Attributes() {
			if a.Key == "service.name" {
				services[trace][a.Value.AsString()] = true
			}
		}
		if len(services[trace]) > len(most) {
			most = services[trace]
		}
	}
	return most
}

func missing(have map[string]bool) []string {
	var out []string
	for _, want := range []string{"intake", "desk", "deadline", "scope", "notice"} {
		if !have[want] {
			out = append(out, want)
		}
	}
	return out
}
