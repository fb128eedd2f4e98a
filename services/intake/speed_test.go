package intake

import (
	"os"
	"testing"
	"time"

	"tocsin.dev/pkg/event"
)

// BenchmarkWebhook measures the answer at 500 requests a second on the embedded
// default (synced NATS, SQLite), with the reading of the alerts going on beside
// it. The target is a p99 below 10 ms.
func BenchmarkWebhook(b *testing.B) {
	h := start(b)
	load := Load{URL: h.web.URL + "/v1/alerts/splunk", Token: splunkToken, Rate: 500, Duration: 5 * time.Second}
	if s := os.Getenv("TOCSIN_BENCH_DURATION"); s != "" {
		var err error
		load.Duration, err = time.ParseDuration(s)
		must(b, err)
	}
	b.ResetTimer()
	r, err := load.Run(b.Context())
	must(b, err)
	b.StopTimer()
	began := time.Now()
	eventually(b, "all alerts are read", func() bool {
		return h.list("tidewater", event.AlertsList{Limit: 1}).Counts[event.AlertNew] == int64(r.Sent)
	})
	b.Logf("%v; read %v after the last", r, time.Since(began).Round(time.Millisecond))
	b.ReportMetric(float64(r.P50.Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(r.P99.Microseconds())/1000, "p99-ms")
	b.ReportMetric(0, "ns/op")
	if r.Statuses[202] != r.Sent {
		b.Errorf("%v (%v)", r, r.Err())
	}
}
