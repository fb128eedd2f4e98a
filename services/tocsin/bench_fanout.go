package main

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/natsd"
	"tocsin.dev/pkg/seal"
	"tocsin.dev/pkg/web"
	"tocsin.dev/services/sandbox"
)

// benchFanoutCmd plays a whole fan-out against the sandbox: notice with the
// embedded NATS server is a process of its own, killed at random moments; the
// sandbox, which judges, the desk and scope live in this process.
type benchFanoutCmd struct {
	People  int     `default:"10000" help:"People on the list."`
	Channel string  `default:"email" enum:"email,sms" help:"email or sms."`
	Kill    int     `default:"0" help:"How often notice and NATS are killed with SIGKILL."`
	Faults  string  `default:"none" help:"Faults profile of the sandbox: none, storm, blind, limits or deaf."`
	Rate    float64 `help:"Pace of the provider in messages a second, as an operator would set it; 0 is as fast as it goes."`
	Canary  bool    `help:"Let a canary travel in every batch; it counts as nobody."`
	Profile string  `help:"Write the CPU profile of the last process of notice to this file." type:"path"`
	JSON    bool    `name:"json" help:"Print JSON."`
}

// fanoutResult is the outcome of bench fanout, judged by the sandbox's record.
type fanoutResult struct {
	People             int   `json:"people"`
	ToldOnce           int   `json:"told_once"`
	ToldTwice          int   `json:"told_twice"`
	NeverTold          int   `json:"never_told"`
	InDoubt            int64 `json:"in_doubt"`
	Unreachable        int64 `json:"unreachable"`
	PossibleDuplicates int64 `json:"possible_duplicates"`
	Kills              int   `json:"kills"`
	// KillsSending is how many of the kills came after the last page had been asked for, to plan.
	KillsSending int     `json:"kills_sending"`
	Seconds      float64 `json:"seconds"`
	PerSecond    float64 `json:"per_second"`
	// CPU is user and system time of the killed and the last process, embedded
	// NATS and every start included.
	CPU        float64 `json:"cpu_us_per_notice"`
	CPUSeconds float64 `json:"cpu_seconds"`
	// Exchange is what a bare exchange over HTTP cost on this machine just before
	// and after, in CPU µs of both sides; 0 where it cannot be measured (not Linux).
	Exchange float64 `json:"exchange_us"`
	// StartSeconds is the part of CPUSeconds that went into starting processes,
	// from exec until they served; the rest went into sending.
	StartSeconds float64     `json:"start_cpu_seconds"`
	PeakMB       float64     `json:"peak_rss_mb"`
	Tally        event.Tally `json:"tally"`
	// Forecasts are what the sender foretold on the way.
	Forecasts []foretold `json:"forecasts"`
}

// foretold is a forecast of the whole sending, made when a share of the people
// had been written to, beside what it then took.
type foretold struct {
	Share   float64 `json:"share"`
	Seconds float64 `json:"seconds"`
	// Error is how far the forecast was off, as a share of what the sending took.
	Error float64 `json:"error"`
}

const (
	fanoutOrg  = "bench"
	fanoutCase = "2026-001"
	// fanoutConns is how many text messages, and how many status callbacks, are
	// under way at once.
	fanoutConns = 200
)

// Run plays the fan-out and prints the result.
func (c *benchFanoutCmd) Run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "tocsin-fanout-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	before, err := exchangeCost(ctx)
	if err != nil {
		return err
	}
	f := &fanout{benchFanoutCmd: c, dir: dir}
	var parts sync.WaitGroup
	defer parts.Wait()
	defer cancel()
	if err := f.prepare(ctx, &parts); err != nil {
		return err
	}
	result, err := f.play(ctx, &parts)
	if err != nil {
		return err
	}
	after, err := exchangeCost(ctx)
	if err != nil {
		return err
	}
	result.Exchange = (before + after) / 2
	if c.JSON {
		return printJSON(result)
	}
	fmt.Printf("%d people: told once %d, twice %d, never %d; %d kills; %.1f s, %.0f/s, %.0f µs CPU a notice, %.0f MB; a bare HTTP exchange cost %.0f µs\n",
		result.People, result.ToldOnce, result.ToldTwice, result.NeverTold, result.Kills, result.Seconds, result.PerSecond, result.CPU, result.PeakMB, result.Exchange)
	for _, f := range result.Forecasts {
		fmt.Printf("forecast when %.0f %% were written to: %.1f s, off by %+.1f %%\n", 100*f.Share, f.Seconds, 100*f.Error)
	}
	return nil
}

type fanout struct {
	*benchFanoutCmd
	dir    string
	box    *sandbox.Service
	boxURL string
	signer *seal.Signer
	host   fanoutHost
	// planned is how many people of the list notice has asked scope for, to plan.
	planned atomic.Int64
}

func (f *fanout) prepare(ctx context.Context, parts *sync.WaitGroup) (err error) {
	if f.host.program, err = findHost(ctx, f.dir); err != nil {
		return err
	}
	for _, address := range []*string{&f.host.nats, &f.host.http, &f.host.callbacks} {
		if *address, err = web.FreeAddress(); err != nil {
			return err
		}
	}
	f.host.passwords = map[string]string{}
	for _, u := range natsd.Users() {
		f.host.passwords[u] = fmt.Sprintf("bench-%s-%x", u, rand.Uint64())
	}
	if f.signer, err = seal.Generate(); err != nil {
		return err
	}
	ring, err := seal.NewKeyring(seal.Trust(f.signer.Public(), "bench", time.Now().Add(-time.Hour)))
	if err != nil {
		return err
	}
	if err := ring.Save(f.keyring()); err != nil {
		return err
	}
	if err := f.startSandbox(ctx, parts); err != nil {
		return err
	}
	return f.writeSettings()
}

func (f *fanout) startSandbox(ctx context.Context, parts *sync.WaitGroup) error {
	faults, err := sandbox.ReadFaults(strings.NewReader(fmt.Sprintf(`{"profile":%q,"steering_off":true}`, f.Faults)))
	if err != nil {
		return err
	}
	f.box, err = sandbox.New(sandbox.Config{
		Now: time.Now, SendGridKey: fanoutKey, TwilioAccountSID: fanoutSID, TwilioAuthToken: fanoutToken,
		EventWebhookURL: "http://" + f.host.callbacks + "/v1/receipts/sendgrid", Faults: faults, KeepBodies: 100, Canaries: []string{fanoutCanaryMail, fanoutCanaryPhone},
		RetryBase: 100 * time.Millisecond, RetryMax: time.Second, CallbackWorkers: fanoutConns,
		HTTPClient: &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{MaxIdleConns: fanoutConns + 8, MaxIdleConnsPerHost: fanoutConns + 8}},
	})
	if err != nil {
		return err
	}
	ln, err := web.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		return err
	}
	f.boxURL = "http://" + ln.Addr().String()
	srv := &http.Server{Handler: f.box.Handler(), ReadHeaderTimeout: time.Minute, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	parts.Go(func() { _ = srv.Serve(ln) })
	parts.Go(func() { _ = f.box.Run(ctx) })
	parts.Go(func() { <-ctx.Done(); _ = srv.Close() })
	return nil
}

func (f *fanout) play(ctx context.Context, parts *sync.WaitGroup) (r fanoutResult, err error) {
	if err := f.host.start(ctx); err != nil {
		return r, err
	}
	desk, err := f.host.connect(event.Desk)
	if err != nil {
		return r, err
	}
	defer desk.Close()
	ask, err := bus.New(desk, bus.Config{Service: event.Desk})
	if err != nil {
		return r, err
	}
	if err := f.startScope(ctx, parts); err != nil {
		return r, err
	}
	if err := f.order(ctx, desk); err != nil {
		return r, err
	}
	began := time.Now()
	sending, err := f.kill(ctx)
	if err != nil {
		return r, err
	}
	p, told, err := f.await(ctx, ask, began)
	if err != nil {
		return r, err
	}
	r = f.judge(p)
	r.Kills, r.KillsSending, r.Seconds = f.Kill, sending, time.Since(began).Seconds()
	if p.LastSentAt != nil {
		r.Seconds = p.LastSentAt.Sub(began).Seconds()
	}
	for i := range told {
		told[i].Error = (told[i].Seconds - r.Seconds) / r.Seconds
	}
	r.Forecasts = told
	f.host.end(os.Interrupt)
	r.PerSecond = float64(r.People) / r.Seconds
	r.CPUSeconds, r.StartSeconds = f.host.cpu.Seconds(), f.host.starts.Seconds()
	r.CPU = float64(f.host.cpu.Microseconds()) / float64(r.People)
	r.PeakMB = float64(f.host.peakKB) * 1024 / 1e6
	return r, nil
}

// kill kills the process at random moments of its work, and reports how many of
// them fell into the sending.
func (f *fanout) kill(ctx context.Context) (sending int, err error) {
	moments := make([]float64, f.Kill)
	for i := range moments {
		moments[i] = rand.Float64()
	}
	slices.Sort(moments)
	for _, m := range moments {
		for f.done() < m {
			if err := wait(ctx, 2*time.Millisecond); err != nil {
				return sending, err
			}
		}
		// What is done is seen when the provider or scope has just answered; a life ends at any moment.
		if err := wait(ctx, rand.N(100*time.Millisecond)); err != nil {
			return sending, err
		}
		if f.planned.Load() == int64(f.People) {
			sending++
		}
		f.host.end(syscall.SIGKILL)
		if err := f.host.start(ctx); err != nil {
			return sending, err
		}
	}
	return sending, nil
}

// done is the share of the work that is done. To plan takes a quarter of the time.
func (f *fanout) done() float64 {
	return (0.25*float64(f.planned.Load()) + 0.75*float64(f.box.Accepted())) / float64(f.People)
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// forecastAt are the shares of people written to at which a forecast is asked for.
var forecastAt = []float64{0, 0.1, 0.5}

// await asks for progress until nobody is pending or in open doubt, and for
// forecasts on the way.
func (f *fanout) await(ctx context.Context, ask *bus.Bus, began time.Time) (o event.OrderProgress, told []foretold, err error) {
	for {
		a, err := bus.Ask[event.ProgressQuestion, event.ProgressAnswer](ctx, ask, event.AskProgress, event.ProgressQuestion{Org: fanoutOrg, Case: fanoutCase})
		if err == nil && len(a.Orders) == 1 {
			o = a.Orders[0]
			if o.State == "blocked" || o.State == "refused" {
				return o, told, fmt.Errorf("the sending is %s: %s: %s", o.State, o.Reason, o.Detail)
			}
			done := o.Listed == int64(f.People) && o.Tally.Pending == 0 && o.Tally.InDoubt == 0 && o.Tally.People == int64(f.People)
			if done && (f.Faults == "blind" || o.Tally.States[f.Channel]["accepted"] <= int64(f.People)/20) {
				return o, told, nil
			}
			if share := f.written(o); len(told) < len(forecastAt) && share >= forecastAt[len(told)] && !done {
				if one, ok := f.foretell(ctx, ask, began); ok {
					one.Share = share
					told = append(told, one)
				}
			}
		}
		if err := wait(ctx, 100*time.Millisecond); err != nil {
			return o, told, err
		}
	}
}

// written is the share of the people whose message is not waiting any more.
func (f *fanout) written(o event.OrderProgress) float64 {
	return float64(o.Tally.People-o.Tally.Pending) / float64(f.People)
}

func (f *fanout) foretell(ctx context.Context, ask *bus.Bus, began time.Time) (foretold, bool) {
	a, err := bus.Ask[event.ForecastQuestion, event.ForecastAnswer](ctx, ask, event.AskForecast, event.ForecastQuestion{Org: fanoutOrg, Case: fanoutCase})
	if err != nil {
		return foretold{}, false // it was killed; the next look asks again
	}
	return foretold{Seconds: a.P50.Sub(began).Seconds()}, true
}

func (f *fanout) judge(p event.OrderProgress) fanoutResult {
	sum := f.box.Summary("", 1)
	return fanoutResult{
		People: f.People, ToldOnce: sum.ToldOnce, ToldTwice: sum.ToldTwice, NeverTold: f.People - sum.ToldOnce - sum.ToldTwice,
		InDoubt: p.Tally.InDoubt, Unreachable: p.Tally.Unreachable, PossibleDuplicates: p.PossibleDuplicates, Tally: p.Tally,
	}
}
