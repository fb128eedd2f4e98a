package bus

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

type permanent struct{ err error }

func (p permanent) Error() string { return p.err.Error() }
func (p permanent) Unwrap() error { return p.err }

// Permanent marks an error that trying again cannot cure: the message is
// parked at once. Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanent{err}
}

// IsPermanent reports whether Permanent marked err or an error it wraps.
func IsPermanent(err error) bool {
	var p permanent
	return errors.As(err, &p)
}

// meters are the measurements of a bus.
type meters struct {
	duration metric.Float64Histogram
	dead     metric.Int64Counter
}

func newMeters(p metric.MeterProvider) (m meters, err error) {
	meter := p.Meter("tocsin.dev/pkg/bus")
	if m.duration, err = meter.Float64Histogram("tocsin.handler.duration", metric.WithUnit("s"),
		metric.WithDescription("time a handler worked on one message")); err != nil {
		return m, fmt.Errorf("make a metric: %w", err)
	}
	if m.dead, err = meter.Int64Counter("tocsin.dead_letters",
		metric.WithDescription("messages parked in DEAD")); err != nil {
		return m, fmt.Errorf("make a metric: %w", err)
	}
	return m, nil
}

// recoverer turns a panic of a handler into an error with its stack.
func recoverer(next message.HandlerFunc) message.HandlerFunc {
	return func(m *message.Message) (out []*message.Message, err error) {
		defer func() {
			if r := recover(); r != nil {
				err = &panicked{value: r, stack: debug.Stack()}
			}
		}()
		return next(m)
	}
}

// panicked is a contained panic. Its text holds the kind of the value alone:
// the value might quote what the handler was working on.
type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string {
	if err, ok := p.value.(error); ok {
		return "panic: " + err.Error()
	}
	return fmt.Sprintf("panic: %v", p.value)
}

// traced opens one span for each run, as a child of whatever published the message.
func (b *Bus) traced(name string, h Handler) message.HandlerMiddleware {
	return func(next message.HandlerFunc) message.HandlerFunc {
		return func(m *message.Message) ([]*message.Message, error) {
			d, _ := deliveryOf(m.Context())
			ctx, span := b.tracer.Start(Extract(m.Context(), d.header), "handle "+name,
				trace.WithSpanKind(trace.SpanKindConsumer),
				trace.WithAttributes(
					attribute.String("messaging.system", "nats"),
					attribute.String("messaging.destination.name", d.subject),
					attribute.String("messaging.message.id", m.UUID),
					attribute.Int64("tocsin.deliveries", int64(d.count)),
				))
			defer span.End()
			m.SetContext(ctx)
			out, err := next(m)
			if err != nil {
				span.SetStatus(codes.Error, err.Error())
			}
			return out, err
		}
	}
}

func (b *Bus) measured(name string) message.HandlerMiddleware {
	return func(next message.HandlerFunc) message.HandlerFunc {
		return func(m *message.Message) ([]*message.Message, error) {
			started, outcome := time.Now(), "panic" // a duration, not an instant: the monotonic clock is right here
			defer func() {
				b.meters.duration.Record(m.Context(), time.Since(started).Seconds(), metric.WithAttributes(
					attribute.String("handler", name), attribute.String("outcome", outcome)))
			}()
			out, err := next(m)
			switch {
			case err == nil:
				outcome = "ok"
			case IsPermanent(err):
				outcome = "permanent"
			default:
				outcome = "error"
			}
			return out, err
		}
	}
}

func timeout(d time.Duration) message.HandlerMiddleware {
	return func(next message.HandlerFunc) message.HandlerFunc {
		return func(m *message.Message) ([]*message.Message, error) {
			ctx, cancel := context.WithTimeout(m.Context(), d)
			defer cancel()
			m.SetContext(ctx)
			return next(m)
		}
	}
}

// forMe lets a retried dead letter through only to the handler that parked it.
func (b *Bus) forMe(name string) message.HandlerMiddleware {
	return func(next message.HandlerFunc) message.HandlerFunc {
		return func(m *message.Message) ([]*message.Message, error) {
			if only := m.Metadata.Get(headerFor); only != "" && only != name {
				return nil, nil
			}
			return next(m)
		}
	}
}

// park moves a message that cannot be handled into DEAD and acknowledges it.
// If parking fails the message stays where it is and comes again.
func (b *Bus) park(name string, h Handler) message.HandlerMiddleware {
	return func(next message.HandlerFunc) message.HandlerFunc {
		return func(m *message.Message) ([]*message.Message, error) {
			out, err := next(m)
			if err == nil {
				return out, nil
			}
			d, _ := deliveryOf(m.Context())
			log := b.cfg.Log.With("handler", name, "subject", d.subject, "seq", d.seq, "deliveries", d.count)
			var p *panicked
			if errors.As(err, &p) {
				log.Error("handler panicked", "error", err, "stack", string(p.stack))
			}
			if !IsPermanent(err) && d.count < uint64(h.MaxDeliveries) {
				log.Warn("handler failed; will try again", "error", err)
				return nil, err
			}
			ctx := context.WithoutCancel(m.Context())
			if parkErr := b.bury(ctx, h, m, d, err); parkErr != nil {
				log.Error("could not park a message; it will come again", "error", parkErr, "reason", err)
				return nil, err
			}
			b.meters.dead.Add(ctx, 1, metric.WithAttributes(attribute.String("handler", name)))
			log.Error("message parked", "error", err)
			return nil, nil
		}
	}
}

func joined(values []string) string { return strings.Join(values, ",") }
