package intake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Load says how to load a webhook.
type Load struct {
	// URL is the whole address of a source, such as http://127.0.0.1:8080/v1/alerts/splunk.
	URL string
	// Token is the source's bearer token.
	Token string
	// Rate is requests a second, sent at even distances whether or not the
	// answers come (an open loop: a slow server does not slow the sender).
	Rate int
	// Duration is how long to send.
	Duration time.Duration
	// Body makes the n-th body; nil posts distinct Splunk alerts of about 1 KB.
	Body func(n int) []byte
	// Client is nil for one with 256 connections.
	Client *http.Client
}

// LoadReport is what came back. Times run from sending to the end of the answer.
type LoadReport struct {
	Sent     int           `json:"sent"`
	Statuses map[int]int   `json:"statuses"`
	Errors   int           `json:"errors"`
	Rate     float64       `json:"rate"`
	P50      time.Duration `json:"p50_ns"`
	P90      time.Duration `json:"p90_ns"`
	P99      time.Duration `json:"p99_ns"`
	Max      time.Duration `json:"max_ns"`
	first    error
}

// String returns one line for people.
func (r LoadReport) String() string {
	return fmt.Sprintf("%d requests at %.0f/s: p50 %v, p90 %v, p99 %v, max %v; statuses %v, errors %d",
		r.Sent, r.Rate, r.P50.Round(10*time.Microsecond), r.P90.Round(10*time.Microsecond), r.P99.Round(10*time.Microsecond),
		r.Max.Round(10*time.Microsecond), r.Statuses, r.Errors)
}

// Err returns the first error of a request, or nil.
func (r LoadReport) Err() error { return r.first }

// Run sends and measures until the duration is over or ctx ends.
func (l Load) Run(ctx context.Context) (LoadReport, error) {
	if l.Rate < 1 || l.Duration <= 0 {
		return LoadReport{}, errors.New("load a webhook: rate and duration are needed")
	}
	if l.Body == nil {
		l.Body = loadBody
	}
	if l.Client == nil {
		transport := &http.Transport{MaxIdleConns: 256, MaxIdleConnsPerHost: 256, MaxConnsPerHost: 256}
		defer transport.CloseIdleConnections()
		l.Client = &http.Client{Transport: transport, Timeout: 10 * time.Second}
	}
	total := max(1, int(l.Duration.Seconds()*float64(l.Rate)))
	took := make([]time.Duration, total)
	report := LoadReport{Statuses: map[int]int{}}
	var mu sync.Mutex
	var wg sync.WaitGroup
	start := time.Now() // durations, not instants: the machine's clock is right here
	for n := range total {
		due := start.Add(time.Duration(n) * time.Second / time.Duration(l.Rate))
		select {
		case <-time.After(time.Until(due)):
		case <-ctx.Done():
			wg.Wait()
			return report, ctx.Err()
		}
		body := l.Body(n)
		wg.Go(func() {
			begun := time.Now()
			status, err := l.post(ctx, body)
			took[n] = time.Since(begun)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				report.Errors++
				if report.first == nil {
					report.first = err
				}
				return
			}
			report.Statuses[status]++
		})
	}
	wg.Wait()
	report.Sent, report.Rate = total, float64(total)/time.Since(start).Seconds()
	slices.Sort(took)
	report.P50, report.P90, report.P99, report.Max = took[total/2], took[total*90/100], took[total*99/100], took[total-1]
	return report, nil
}

func (l Load) post(ctx context.Context, body []byte) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.URL, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+l.Token)
	req.Header.Set("Content-Type", "application/json")
	res, err := l.Client.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, err
}

func loadBody(n int) []byte {
	return fmt.Appendf(nil, `{"sid":"load-%d","search_name":"Load","results_link":"https://splunk.example.test/%d","app":"search","owner":"load",`+
		`"result":{"host":"host-%d","user":"user-%d","urgency":"medium","_time":"2026-05-04T09:10:02.118Z","_raw":%q}}`,
		n, n, n%500, n%100, bytes.Repeat([]byte("load "), 150))
}
