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

// HealthURL is the health check of a process on this machine with the default settings.
const HealthURL = "http://127.0.0.1:8420" + healthPath

// Healthy asks a process once, at the URL of its health check, and returns nil
// if it is ready. It waits for the answer for four seconds at most.
func Healthy(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
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
