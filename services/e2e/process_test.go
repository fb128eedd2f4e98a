package e2e

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"tocsin.dev/pkg/web"
	"tocsin.dev/services/app"
	"tocsin.dev/services/sandbox"
)

// programs builds tocsin and tocsin-notice once for all tests that run them as
// processes, and returns their folder.
var programs = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "tocsin-e2e-")
	if err != nil {
		return "", err
	}
	out, err := exec.Command("go", "build", "-o", dir, "tocsin.dev/services/tocsin", "tocsin.dev/services/tocsin-notice").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build tocsin and tocsin-notice: %w\n%s", err, out)
	}
	return dir, nil
})

// program returns the path of a program of ours.
func program(t *testing.T, name string) string {
	t.Helper()
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := programs(); err == nil {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// proc is one process of ours.
type proc struct {
	t   *testing.T
	cmd *exec.Cmd
	log *output
}

// spawn starts tocsin with arguments and settings as environment variables.
func spawn(t *testing.T, env map[string]string, args ...string) *proc {
	t.Helper()
	return spawnProgram(t, "tocsin", env, args...)
}

// spawnProgram is spawn for either program.
func spawnProgram(t *testing.T, name string, env map[string]string, args ...string) *proc {
	t.Helper()
	p := &proc{t: t, cmd: exec.Command(program(t, name), args...), log: &output{}}
	p.cmd.Env = append(os.Environ(), "GOMEMLIMIT=512MiB")
	for k, v := range env {
		p.cmd.Env = append(p.cmd.Env, k+"="+v)
	}
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s %s:\n%.4000s", name, strings.Join(args, " "), p.log)
		}
	})
	return p
}

// kill ends the process as a crash would.
func (p *proc) kill() {
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Signal(syscall.SIGKILL)
		_ = p.cmd.Wait()
	}
}

// interrupt ends the process as Ctrl-C would and fails the test if it does not.
func (p *proc) interrupt() {
	p.t.Helper()
	_ = p.cmd.Process.Signal(os.Interrupt)
	done := make(chan error, 1)
	go func() { done <- p.cmd.Wait() }()
	select {
	case err := <-done:
		if err != nil {
			p.t.Errorf("after Ctrl-C: %v", err)
		}
	case <-time.After(patience):
		p.t.Error("Ctrl-C did not stop the process")
		p.kill()
	}
}

// serving waits until an address answers its health check.
func serving(ctx context.Context, t *testing.T, address string) {
	t.Helper()
	if err := app.AwaitHealthy(ctx, address); err != nil {
		t.Fatal(err)
	}
}

// freePort returns an address of this machine that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	address, err := web.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// provider is the sandbox as a process of its own, which outlives the crashes
// of the senders and keeps the record that judges them.
type provider struct {
	url, eventKey, sendGridKey, sid, token string
}

func startProvider(ctx context.Context, t *testing.T, receiptsAt string) provider {
	t.Helper()
	p := provider{sendGridKey: "SG.e2e", sid: "AC" + strings.Repeat("0", 32), token: hex.EncodeToString([]byte("sandbox-token-16"))}
	dir := t.TempDir()
	organisations, err := filepath.Abs("../samples/organisations")
	if err != nil {
		t.Fatal(err)
	}
	process := spawn(t, map[string]string{
		"TOCSIN_DATA_DIR": dir, "TOCSIN_SANDBOX_LISTEN": "127.0.0.1:0", "TOCSIN_PUBLIC_URL": "http://" + receiptsAt, "TOCSIN_ORGANISATIONS": organisations,
		"TOCSIN_SENDGRID_API_KEY": p.sendGridKey, "TOCSIN_TWILIO_ACCOUNT_SID": p.sid, "TOCSIN_TWILIO_AUTH_TOKEN": p.token,
	}, "sandbox")
	var said struct {
		URL string `json:"url"`
		Key string `json:"sendgrid_event_key"`
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for said.URL == "" {
		select {
		case <-ctx.Done():
			t.Fatalf("the sandbox did not start:\n%s", process.log)
		case <-tick.C:
			_ = json.Unmarshal([]byte(process.log.String()), &said)
		}
	}
	p.url, p.eventKey = said.URL, said.Key
	return p
}

// settings are the senders' settings that lead to the provider.
func (p provider) settings() map[string]any {
	return map[string]any{
		"sendgrid": map[string]any{"host": p.url, "api_key": p.sendGridKey, "event_key": p.eventKey},
		"twilio":   map[string]any{"host": p.url, "account_sid": p.sid, "auth_token": p.token},
	}
}

// record reads the provider's own record of what it accepted for a case.
func (p provider) record(ctx context.Context, t *testing.T, caseID string) sandbox.Summary {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/sandbox/record?case="+caseID, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var s sandbox.Summary
	if err := json.NewDecoder(res.Body).Decode(&s); err != nil {
		t.Fatal(err)
	}
	return s
}

// writeSettings writes a settings file and returns its path.
func writeSettings(t *testing.T, parts ...map[string]any) string {
	t.Helper()
	all := map[string]any{}
	for _, p := range parts {
		for k, v := range p {
			all[k] = v
		}
	}
	data, err := yaml.Marshal(all)
	path := filepath.Join(t.TempDir(), "tocsin.yaml")
	if err = errors.Join(err, os.WriteFile(path, data, 0o600)); err != nil {
		t.Fatal(err)
	}
	return path
}
