// Package telemetry sets up logs, traces and metrics for a process and hands
// them to its services: slog with fixed keys, OpenTelemetry traces to an OTLP
// endpoint when one is configured, metrics for Prometheus to scrape.
//
// Several services in one process share the exporters and still appear as
// services of their own: see For. There are no globals; what is not handed
// over is not measured.
//
// Names of metrics live here (metrics.go), because the dashboard and the
// alerts under deployments/ ask for them by name.
package telemetry
