package notice

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// meters are the few numbers that answer a question.
type meters struct {
	moved    metric.Int64Counter // transitions by channel, state and reason
	requests metric.Int64Counter // provider requests by class
	receipts metric.Int64Counter // receipts by provider and verdict
	refused  metric.Int64Counter // orders refused by reason
	canaries metric.Int64Counter // canaries by channel and what their look-up showed
	mismatch metric.Int64Counter // tallies that did not add up; must stay 0
}

func newMeters(p metric.MeterProvider) (m meters, err error) {
	meter := p.Meter("tocsin.dev/services/notice")
	counter := func(name, help string) metric.Int64Counter {
		c, e := meter.Int64Counter(name, metric.WithDescription(help))
		if e != nil && err == nil {
			err = fmt.Errorf("make metric %s: %w", name, e)
		}
		return c
	}
	m.moved = counter("tocsin.notice.messages", "Messages that entered a state, by channel, state and reason.")
	m.requests = counter("tocsin.notice.requests", "Requests to providers by channel and what their answer proved.")
	m.receipts = counter("tocsin.notice.receipts", "Receipts by provider and verdict.")
	m.refused = counter("tocsin.notice.refused", "Batches refused because the approval did not cover them, by reason.")
	m.canaries = counter("tocsin.notice.canaries", "Canaries of batches by channel and what a look-up or a receipt showed.")
	m.mismatch = counter("tocsin.notice.tally_mismatch", "Tallies that did not add up to the sealed list.")
	return m, err
}

// changes reports the transitions of one transaction.
func (m *meters) changes(ctx context.Context, counts map[change]int64) {
	for c, n := range counts {
		m.moved.Add(ctx, n, metric.WithAttributes(
			attribute.String("channel", c.channel.String()), attribute.String("state", c.is.String()), attribute.String("reason", c.why.String())))
	}
}

func (m *meters) request(ctx context.Context, ch Channel, class string, n int) {
	m.requests.Add(ctx, int64(n), metric.WithAttributes(attribute.String("channel", ch.String()), attribute.String("class", class)))
}

func (m *meters) receipt(ctx context.Context, provider, verdict string, n int) {
	m.receipts.Add(ctx, int64(n), metric.WithAttributes(attribute.String("provider", provider), attribute.String("verdict", verdict)))
}
