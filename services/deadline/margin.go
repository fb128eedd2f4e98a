package deadline

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
)

// margins keeps the due instants of the open duties for the metric that
// answers «how much time is left?».
type margins struct {
	now  func() time.Time
	mu   sync.Mutex
	open map[[2]string]map[string]due
}

type due struct {
	at   time.Time
	rule string
}

func newMargins(now func() time.Time) *margins {
	return &margins{now: now, open: map[[2]string]map[string]due{}}
}

// register publishes the gauge tocsin.duty.margin, in seconds; negative means late.
func (m *margins) register(provider metric.MeterProvider) error {
	if provider == nil {
		return nil
	}
	meter := provider.Meter("tocsin.dev/services/deadline")
	_, err := meter.Float64ObservableGauge("tocsin.duty.margin",
		metric.WithUnit("s"), metric.WithDescription("Time left until an open duty is due; negative when late."),
		metric.WithFloat64Callback(func(_ context.Context, o metric.Float64Observer) error {
			m.mu.Lock()
			defer m.mu.Unlock()
			for key, duties := range m.open {
				for id, d := range duties {
					o.Observe(d.at.Sub(m.now()).Seconds(), metric.WithAttributes(
						attribute.String("org", key[0]), attribute.String("case", key[1]),
						attribute.String("duty", id), attribute.String("rule", d.rule)))
				}
			}
			return nil
		}))
	return err
}

// observe takes over the open duties of a case as last folded.
func (m *margins) observe(c *casefile.Case) {
	open := map[string]due{}
	for id, d := range c.Duties {
		if pending(d) && d.Due != nil && d.Effect != event.EffectInformation && c.Status != casefile.StatusClosed {
			open[id] = due{at: *d.Due, rule: d.Rule}
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	key := [2]string{c.Org, c.Number}
	if len(open) == 0 {
		delete(m.open, key)
		return
	}
	m.open[key] = open
}
