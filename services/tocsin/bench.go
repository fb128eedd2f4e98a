package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"tocsin.dev/pkg/web"
	"tocsin.dev/services/app"
	"tocsin.dev/services/demo"
)

// benchCmd measures the program as its users run it.
type benchCmd struct {
	Webhook  benchWebhookCmd  `cmd:"" help:"Answer time of the alert webhook at a steady rate, with the raw body durable before the answer."`
	Scope    benchScopeCmd    `cmd:"" help:"Import, preview, seal, compare, stream and erase generated people, beside a plain SQL reference."`
	Startup  benchStartupCmd  `cmd:"" help:"Time from start to ready, and idle memory, of the whole program on embedded stores."`
	Fanout   benchFanoutCmd   `cmd:"" help:"A whole fan-out against the sandbox, with notice and NATS killed at random moments."`
	Exchange benchExchangeCmd `cmd:"" help:"What a bare exchange over HTTP costs on this machine, as a yardstick for the others."`
}

type benchStartupCmd struct {
	Rounds int           `default:"5" help:"How often to start."`
	Idle   time.Duration `default:"5s" help:"How long to wait before the memory is read."`
	JSON   bool          `name:"json" help:"Print JSON."`
}

// startupResult is the outcome of bench startup.
type startupResult struct {
	Rounds int `json:"rounds"`
	// ReadySeconds are the times until the health check answered, sorted.
	ReadySeconds []float64 `json:"ready_seconds"`
	// IdleMB is the largest resident memory after the idle time, in MB of 10^6 bytes.
	IdleMB float64 `json:"idle_rss_mb"`
}

// Run starts the program as processes of its own; the first start also makes
// the folder, streams and keys.
func (c *benchStartupCmd) Run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "tocsin-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	in, err := demo.Prepare(dir, time.Now)
	if err != nil {
		return err
	}
	result := startupResult{Rounds: c.Rounds}
	for range c.Rounds {
		ready, rss, err := startOnce(ctx, in, c.Idle)
		if err != nil {
			return err
		}
		result.ReadySeconds = append(result.ReadySeconds, ready.Seconds())
		result.IdleMB = max(result.IdleMB, rss)
	}
	slices.Sort(result.ReadySeconds)
	if c.JSON {
		return printJSON(result)
	}
	fmt.Printf("ready in %.2f s (median of %d), idle memory %.0f MB\n", result.ReadySeconds[len(result.ReadySeconds)/2], c.Rounds, result.IdleMB)
	return nil
}

// startOnce starts «tocsin up», waits until it is healthy and then idle, reads
// its resident memory in MB, and stops it.
func startOnce(ctx context.Context, in *demo.Installation, idle time.Duration) (ready time.Duration, rss float64, err error) {
	address, err := web.FreeAddress()
	if err != nil {
		return 0, 0, err
	}
	self, err := os.Executable()
	if err != nil {
		return 0, 0, err
	}
	s := in.Settings()
	cmd := exec.CommandContext(ctx, self, "up", "--data-dir", in.Dir, "--listen", address) //nolint:gosec // G204: the program starts itself
	cmd.Env = append(os.Environ(), "TOCSIN_ORGANISATIONS="+s.Organisations, "TOCSIN_USERS="+s.Users, "TOCSIN_SOURCES="+s.Sources, "TOCSIN_TELEMETRY_LOG_LEVEL=warn")
	cmd.Stderr = os.Stderr
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, 0, err
	}
	defer func() {
		err = errors.Join(err, cmd.Process.Signal(os.Interrupt), cmd.Wait())
	}()
	if err := app.AwaitHealthy(ctx, address); err != nil {
		return 0, 0, err
	}
	ready = time.Since(began)
	select {
	case <-time.After(idle):
	case <-ctx.Done():
		return 0, 0, ctx.Err()
	}
	rss, err = residentMB(cmd.Process.Pid)
	return ready, rss, err
}

// residentMB reads VmRSS of a process from /proc (Linux).
func residentMB(pid int) (float64, error) {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0, fmt.Errorf("read resident memory: %w", err)
	}
	for _, line := range strings.Split(string(data), "\n") {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb * 1024 / 1e6, err
		}
	}
	return 0, errors.New("the system does not tell resident memory")
}
