package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"tocsin.dev/pkg/telemetry"
	"tocsin.dev/pkg/telemetry/telemetrytest"
)

func TestServicesOfOneProcessShareATraceUnderTheirOwnNames(t *testing.T) {
	rec := telemetrytest.Start(t, "tocsin")
	intake, err := rec.For("intake")
	if err != nil {
		t.Fatal(err)
	}
	notice, err := rec.For("notice")
	if err != nil {
		t.Fatal(err)
	}
	ctx, webhook := intake.Tracer.Tracer("test").Start(t.Context(), "webhook")
	_, send := notice.Tracer.Tracer("test").Start(ctx, "send")
	send.End()
	webhook.End()
	var names []string
	for _, s := range rec.Trace(webhook.SpanContext().TraceID()) {
		names = append(names, telemetrytest.Service(s)+" "+s.Name)
	}
	if got := strings.Join(names, ", "); got != "notice send, intake webhook" {
		t.Errorf("the trace holds %s", got)
	}
}

func TestLogLinesCarryTheFixedKeys(t *testing.T) {
	rec := telemetrytest.Start(t, "desk")
	ctx, span := rec.Tracer.Tracer("test").Start(t.Context(), "handle")
	ctx = telemetry.WithCase(ctx, "tidewater", "2026-001")
	rec.Log.With("handler", "h").InfoContext(ctx, "done")
	span.End()
	var line map[string]any
	if err := json.Unmarshal([]byte(rec.Logs()), &line); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		telemetry.KeyService: "desk", telemetry.KeyOrg: "tidewater", telemetry.KeyCase: "2026-001", "handler": "h",
		telemetry.KeyTrace: span.SpanContext().TraceID().String(), telemetry.KeySpan: span.SpanContext().SpanID().String(),
	} {
		if line[key] != want {
			t.Errorf("%s = %v, want %s", key, line[key], want)
		}
	}
	if got := rec.Spans()[0].Attributes; len(got) != 2 || got[1] != attribute.String("tocsin.case", "2026-001") {
		t.Errorf("the span has %v", got)
	}
}

func TestPrometheusShowsTheMetricsOfAllServicesUnderTheNamesTheAlertsUse(t *testing.T) {
	tel, err := telemetry.Start(t.Context(), telemetry.Config{Service: "tocsin", Prometheus: true, Output: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	defer tel.Shutdown(context.Background()) //nolint:errcheck // the test is over
	for _, service := range []string{"deadline", "notice"} {
		of, err := tel.For(service)
		if err != nil {
			t.Fatal(err)
		}
		meter := of.Meter.Meter("test")
		record(t, meter)
	}
	w := httptest.NewRecorder()
	tel.Prometheus.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	for _, want := range []string{
		`tocsin_duty_margin_seconds{rule="gdpr-33",service_name="deadline"} -3`,
		`tocsin_duty_margin_seconds{rule="gdpr-33",service_name="notice"} -3`,
		`tocsin_notice_messages_total{service_name="notice",state="in_doubt"} 4`,
		`tocsin_dead_letters_total{service_name="notice"} 5`,
		`tocsin_handler_duration_seconds_count{service_name="notice"} 1`,
		`go_goroutines`,
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("the scrape lacks %s in:\n%s", want, w.Body)
		}
	}
}

func TestAProcessOfOneServiceIsScrapedWithoutDoubles(t *testing.T) {
	tel, err := telemetry.Start(t.Context(), telemetry.Config{Service: "notice", Prometheus: true, Output: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	defer tel.Shutdown(context.Background()) //nolint:errcheck // the test is over
	same, err := tel.For("notice")
	if err != nil {
		t.Fatal(err)
	}
	record(t, tel.Meter.Meter("test"))
	record(t, same.Meter.Meter("test"))
	w := httptest.NewRecorder()
	tel.Prometheus.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `tocsin_dead_letters_total{service_name="notice"} 10`) {
		t.Errorf("the scrape gives %d:\n%s", w.Code, w.Body)
	}
}

func record(t *testing.T, meter metric.Meter) {
	t.Helper()
	margin, err := meter.Float64Gauge(telemetry.DutyMargin, metric.WithUnit(telemetry.UnitSeconds))
	if err != nil {
		t.Fatal(err)
	}
	margin.Record(t.Context(), -3, metric.WithAttributes(attribute.String("rule", "gdpr-33")))
	notices, err := meter.Int64Counter(telemetry.NoticeMessages)
	if err != nil {
		t.Fatal(err)
	}
	notices.Add(t.Context(), 4, metric.WithAttributes(attribute.String("state", "in_doubt")))
	dead, err := meter.Int64Counter(telemetry.DeadLetters)
	if err != nil {
		t.Fatal(err)
	}
	dead.Add(t.Context(), 5)
	took, err := meter.Float64Histogram(telemetry.HandlerDuration, metric.WithUnit(telemetry.UnitSeconds))
	if err != nil {
		t.Fatal(err)
	}
	took.Record(t.Context(), 0.1)
}

func TestSpansGoToTheConfiguredCollectorBeforeShutdownEnds(t *testing.T) {
	got := make(chan string, 4)
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- r.URL.Path + " " + string(body)
		w.WriteHeader(http.StatusOK)
	}))
	defer collector.Close()
	tel, err := telemetry.Start(t.Context(), telemetry.Config{Service: "scope", OTLPEndpoint: collector.URL, Output: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	_, span := tel.Tracer.Tracer("test").Start(t.Context(), "sealing")
	span.End()
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case request := <-got:
		if !strings.HasPrefix(request, "/v1/traces ") || !strings.Contains(request, "sealing") || !strings.Contains(request, "scope") {
			t.Errorf("the collector got %q", request)
		}
	default:
		t.Error("the collector got nothing")
	}
}

func TestABadEndpointIsRefusedAndNoneMeansNoSpans(t *testing.T) {
	for _, endpoint := range []string{"otel:4318", "::", "ftp://x"} {
		if _, err := telemetry.Start(t.Context(), telemetry.Config{OTLPEndpoint: endpoint, Output: io.Discard}); err == nil || !strings.Contains(err.Error(), endpoint) {
			t.Errorf("%s: error = %v, want one that names it", endpoint, err)
		}
	}
	var out bytes.Buffer
	tel, err := telemetry.Start(t.Context(), telemetry.Config{Service: "x", Output: &out, Level: slog.LevelInfo})
	if err != nil {
		t.Fatal(err)
	}
	ctx, span := tel.Tracer.Tracer("test").Start(t.Context(), "nothing")
	if span.IsRecording() {
		t.Error("spans are recorded for nobody")
	}
	tel.Log.DebugContext(ctx, "hidden")
	tel.Log.InfoContext(ctx, "shown")
	if got := out.String(); strings.Contains(got, "hidden") || !strings.Contains(got, "msg=shown service=x") || strings.Contains(got, "trace_id") {
		t.Errorf("logged %q", got)
	}
	if tel.Prometheus != nil {
		t.Error("metrics are served without being asked for")
	}
}
