package app

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// healthPath answers in every process as soon as everything in it has started.
const healthPath = "/healthz"

func health(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n"))
}

// Healthy asks a process once, at the URL of its health check, and returns nil
// if it is ready.
func Healthy(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("ask %s: %w", url, err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("not ready: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s answers %s", url, res.Status)
	}
	return nil
}

// AwaitHealthy asks every few milliseconds until the process that listens on
// an address, host:port, is ready. It gives up after a minute.
func AwaitHealthy(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := Healthy(ctx, "http://"+address+healthPath)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s did not become healthy: %w", address, err)
		case <-tick.C:
		}
	}
}
