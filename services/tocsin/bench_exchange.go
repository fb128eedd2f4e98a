package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"tocsin.dev/pkg/web"
)

// exchanges is how many requests measure what one costs; that takes a second.
const exchanges = 20_000

// exchangeCost returns the CPU µs of one bare exchange over HTTP, both sides of
// it in this process: a short form and an empty answer, over as many connections
// as text messages have. A machine that others share is at times half as fast as
// at others; what a notice costs can be compared in units of this.
func exchangeCost(ctx context.Context) (float64, error) {
	ln, err := web.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	srv := &http.Server{
		ReadTimeout: web.ReadTimeout, WriteTimeout: web.WriteTimeout, IdleTimeout: web.IdleTimeout,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // a request cut off fails at its client
			w.WriteHeader(http.StatusNoContent)
		}),
	}
	go func() { _ = srv.Serve(ln) }() // ends with Close
	defer srv.Close()
	transport := &http.Transport{MaxIdleConnsPerHost: fanoutConns}
	defer transport.CloseIdleConnections()
	began, err := cpuTime(os.Getpid())
	if err != nil {
		return 0, err
	}
	if err := exchange(ctx, &http.Client{Transport: transport, Timeout: web.ReadTimeout}, "http://"+ln.Addr().String()); err != nil {
		return 0, fmt.Errorf("measure a bare exchange: %w", err)
	}
	ended, err := cpuTime(os.Getpid())
	return float64((ended - began).Microseconds()) / exchanges, err
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
