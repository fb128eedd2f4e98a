package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"

	"tocsin.dev/pkg/web"
)

// benchExchangeCmd measures what the machine's HTTP costs. Machines that others
// share are at times half as fast as at others: what a notice costs compares
// between two days in units of this.
type benchExchangeCmd struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// exchangeResult is the outcome of bench exchange.
type exchangeResult struct {
	// CPU is in µs for one exchange, user and system of both its sides.
	CPU float64 `json:"cpu_us_per_exchange"`
}

// exchanges is how many requests measure what one costs; that takes a second.
const exchanges = 20_000

// Run exchanges short forms for empty answers over as many connections as text
// messages have. Both sides are in this process, which must have done nothing
// else: collecting the garbage of a large heap would be counted with it.
func (c *benchExchangeCmd) Run(ctx context.Context) error {
	ln, err := web.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		return err
	}
	serving, stop := context.WithCancel(ctx)
	var server sync.WaitGroup
	server.Go(func() { _ = web.Serve(serving, ln, http.HandlerFunc(empty), slog.New(slog.DiscardHandler)) }) // what fails, fails at the client
	defer server.Wait()
	defer stop()
	transport := &http.Transport{MaxIdleConnsPerHost: fanoutConns}
	defer transport.CloseIdleConnections()
	began, err := cpuTime(os.Getpid())
	if err != nil {
		return err
	}
	if err := exchange(ctx, &http.Client{Transport: transport, Timeout: web.ReadTimeout}, "http://"+ln.Addr().String()); err != nil {
		return fmt.Errorf("measure a bare exchange: %w", err)
	}
	ended, err := cpuTime(os.Getpid())
	if err != nil {
		return err
	}
	result := exchangeResult{CPU: float64((ended - began).Microseconds()) / exchanges}
	if c.JSON {
		return printJSON(result)
	}
	fmt.Printf("%.0f µs CPU for a bare HTTP exchange, both its sides\n", result.CPU)
	return nil
}

// exchangeCost runs bench exchange as a process of its own.
func exchangeCost(ctx context.Context) (float64, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, self, "bench", "exchange", "--json") //nolint:gosec // G204: the program starts itself
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("measure a bare exchange: %w", err)
	}
	var r exchangeResult
	err = json.Unmarshal(out, &r)
	return r.CPU, err
}

// empty reads a request and answers nothing.
func empty(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // a request cut off fails at its client
	w.WriteHeader(http.StatusNoContent)
}

// exchange makes all requests; the first that fails ends it.
func exchange(ctx context.Context, client *http.Client, url string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	form := strings.Repeat("MessageStatus=delivered&To=%2B46", 12)
	var left atomic.Int64
	left.Store(exchanges)
	var all sync.WaitGroup
	for range fanoutConns {
		all.Go(func() {
			for ctx.Err() == nil && left.Add(-1) >= 0 {
				if err := post(ctx, client, url, form); err != nil {
					cancel(err)
				}
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

func post(ctx context.Context, client *http.Client, url, form string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(form))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	return res.Body.Close()
}
