package telemetry

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// The keys that every log line uses, so that one query finds them in all
// services. The first is set by Start and For, the others come from the context.
const (
	KeyService = "service"
	KeyOrg     = "org"
	KeyCase    = "case"
	KeyTrace   = "trace_id"
	KeySpan    = "span_id"
)

type caseKey struct{}

type caseRef struct{ org, id string }

// WithCase notes in ctx which case is being worked on, for log lines and the
// current span. It is for telemetry only; nothing decides by it.
func WithCase(ctx context.Context, org, caseID string) context.Context {
	trace.SpanFromContext(ctx).SetAttributes(attribute.String("tocsin.org", org), attribute.String("tocsin.case", caseID))
	return context.WithValue(ctx, caseKey{}, caseRef{org, caseID})
}

// contextual adds the keys that come from the context.
type contextual struct{ slog.Handler }

// Handle adds org, case, trace_id and span_id where the context has them.
func (h contextual) Handle(ctx context.Context, r slog.Record) error {
	if c, ok := ctx.Value(caseKey{}).(caseRef); ok {
		r = r.Clone()
		r.AddAttrs(slog.String(KeyOrg, c.org), slog.String(KeyCase, c.id))
	}
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		r = r.Clone()
		r.AddAttrs(slog.String(KeyTrace, span.TraceID().String()), slog.String(KeySpan, span.SpanID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs keeps the wrapper.
func (h contextual) WithAttrs(attrs []slog.Attr) slog.Handler {
	return contextual{h.Handler.WithAttrs(attrs)}
}

// WithGroup keeps the wrapper.
func (h contextual) WithGroup(name string) slog.Handler {
	return contextual{h.Handler.WithGroup(name)}
}
