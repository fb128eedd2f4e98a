package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"go.yaml.in/yaml/v3"
	"golang.org/x/sys/unix"

	"tocsin.dev/pkg/config"
	"tocsin.dev/pkg/natsd"
	"tocsin.dev/services/app"
)

// fanoutHost is the process that bench fanout kills: notice with embedded NATS,
// as an operator would run both on one machine.
type fanoutHost struct {
	program []string // with its arguments
	// The addresses.
	nats, http, callbacks string
	passwords             map[string]string
	process               *exec.Cmd
	ended                 chan struct{} // closed when process has ended
	cpu                   time.Duration
	starts                time.Duration // CPU time of all starts
	peakKB                int64
}

// The made-up accounts at the look-alikes.
const (
	fanoutKey   = "SG.bench"
	fanoutSID   = "AC00000000000000000000000000000001"
	fanoutToken = "0123456789abcdef0123456789abcdef"
)

const lean = "tocsin-notice"

// findHost returns the program that runs notice: tocsin-notice beside this one,
// or built from the sources where «go run» runs, or else this one, whose starts
// cost more.
func findHost(ctx context.Context, dir string) ([]string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	beside := filepath.Join(filepath.Dir(self), lean)
	if _, err := os.Stat(beside); err == nil {
		fmt.Fprintln(os.Stderr, "notice runs as", beside)
		return []string{beside}, nil
	}
	built := filepath.Join(dir, lean)
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", built, "tocsin.dev/services/"+lean) //nolint:gosec // G204: both are ours
	build.Env = append(os.Environ(), "CGO_ENABLED=0")                                                                         // as for the image
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "notice runs as «tocsin run notice», whose starts cost more: there is no %s, and go build says: %v: %s\n", beside, err, bytes.TrimSpace(out))
		return []string{self, "run", "notice"}, nil
	}
	fmt.Fprintf(os.Stderr, "notice runs as %s, built for this run\n", lean)
	return []string{built}, nil
}

// keyring is the file of the keys whose approvals count.
func (f *fanout) keyring() string { return filepath.Join(f.dir, "keyring.yaml") }

// writeSettings writes the host's settings and makes it read them.
func (f *fanout) writeSettings() error {
	file, tenants := filepath.Join(f.dir, "tocsin.yaml"), filepath.Join(f.dir, "organisations")
	set := map[string]any{
		"data_dir": f.dir, "listen": f.host.http, "callbacks_listen": f.host.callbacks, "organisations": tenants,
		"nats":      map[string]any{"listen": f.host.nats, "passwords": f.host.passwords},
		"keys":      map[string]any{"keyring": f.keyring()},
		"telemetry": map[string]any{"log_level": "error"},
		"sendgrid":  map[string]any{"host": f.boxURL, "api_key": fanoutKey, "event_key": f.box.PublicKey()},
		"twilio":    map[string]any{"host": f.boxURL, "account_sid": fanoutSID, "auth_token": fanoutToken, "conns": fanoutConns},
		"doubt":     map[string]any{"quiet": "1s", "after": "4s", "freeze": "4s", "budget": 1},
	}
	if f.Rate > 0 {
		set["limits"] = []map[string]any{{"provider": "sendgrid", "per_second": f.Rate}, {"provider": "twilio", "per_second": f.Rate}}
	}
	text, err := yaml.Marshal(set)
	if err != nil {
		return err
	}
	f.host.program = append(f.host.program, "--config", file)
	if f.Profile != "" {
		f.host.program = append(f.host.program, "--cpu-profile", f.Profile)
	}
	return errors.Join(os.MkdirAll(tenants, 0o700), os.WriteFile(file, text, 0o600),
		os.WriteFile(filepath.Join(tenants, "bench.yaml"), []byte(f.organisation()), 0o600))
}

// start starts the process and waits until it serves.
func (h *fanoutHost) start(ctx context.Context) error {
	h.process = exec.CommandContext(ctx, h.program[0], h.program[1:]...) //nolint:gosec // G204: the program starts its like
	// As deployments/ run notice, unless the caller says otherwise. Our own settings are not the bench's.
	h.process.Env = append([]string{"GOGC=300"},
		slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, config.Prefix) })...)
	h.process.Stderr = os.Stderr
	if err := h.process.Start(); err != nil {
		return err
	}
	alive, died := context.WithCancel(ctx)
	h.ended = make(chan struct{})
	go func() {
		_ = h.process.Wait() // killed: its status is no news
		died()
		close(h.ended)
	}()
	if err := app.AwaitHealthy(alive, h.http); err != nil {
		h.end(os.Kill)
		return fmt.Errorf("%s did not start: %w", strings.Join(h.program, " "), err)
	}
	used, err := cpuTime(h.process.Process.Pid)
	h.starts += used
	return err
}

// end ends the process and adds up what it used.
func (h *fanoutHost) end(how os.Signal) {
	h.peakKB = max(h.peakKB, peakKB(h.process.Process.Pid))
	_ = h.process.Process.Signal(how)
	<-h.ended
	h.cpu += h.process.ProcessState.UserTime() + h.process.ProcessState.SystemTime()
}

// peakKB is the most memory that a running process has had resident, in KiB
// (Linux; 0 elsewhere). What wait4 says would count the parent's as well: a
// process takes the peak of whoever started it over when it begins (exec_mmap).
func peakKB(pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, peak, _ := strings.Cut(string(status), "VmHWM:")
	var kb int64
	_, _ = fmt.Sscan(peak, &kb)
	return kb
}

// connect opens a connection that outlives the server's deaths.
func (h *fanoutHost) connect(user string) (*nats.Conn, error) {
	options := append(natsd.ClientOptions(user, h.passwords[user]), nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond), nats.ReconnectJitter(5*time.Millisecond, 0))
	return nats.Connect("nats://"+h.nats, options...)
}

// cpuTime is the user and system time that a running process has used (Linux).
func cpuTime(pid int) (time.Duration, error) {
	if runtime.GOOS != "linux" {
		return 0, nil
	}
	var used unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|2), &used); err != nil { // MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED)
		return 0, fmt.Errorf("read the processor time of process %d: %w", pid, err)
	}
	return time.Duration(used.Nano()), nil
}
