package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tocsin.dev/pkg/seal"
)

// tocsin-notice is what «tocsin run notice» is: the same settings, the same
// answers, the same errors and exit codes.
func TestTheSenderAloneIsTheSameService(t *testing.T) {
	address, dir := freePort(t), t.TempDir()
	organisations, err := filepath.Abs("../samples/organisations")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := seal.Generate()
	if err != nil {
		t.Fatal(err)
	}
	ring, err := seal.NewKeyring(seal.Trust(signer.Public(), "desk", time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	keyring := filepath.Join(dir, "keyring.yaml")
	if err := ring.Save(keyring); err != nil {
		t.Fatal(err)
	}
	file := writeSettings(t, map[string]any{
		"data_dir": dir, "listen": address, "organisations": organisations, "keys": map[string]any{"keyring": keyring},
		"twilio": map[string]any{"account_sid": "AC" + strings.Repeat("0", 32), "auth_token": "t"},
	})
	for _, args := range [][]string{{"tocsin", "run", "notice"}, {"tocsin-notice"}} {
		p := spawnProgram(t, args[0], nil, append(args[1:], "--config", file)...)
		serving(t.Context(), t, address)
		url := "http://" + address + "/healthz"
		if out, status := ask(t, args[0], "health", url); status != 0 {
			t.Errorf("%s health: %d\n%s", args[0], status, out)
		}
		p.interrupt()
		if _, status := ask(t, args[0], "health", url); status != 1 {
			t.Errorf("%s health of nothing: status %d, want 1", args[0], status)
		}
	}
	wrong := writeSettings(t, map[string]any{"nats": map[string]any{"url": "nats://nowhere"}})
	unknown := writeSettings(t, map[string]any{"natz": 1})
	for what, flags := range map[string][]string{
		"settings that do not do": {"--config", wrong}, "an unknown setting": {"--config", unknown}, "no such file": {"--config", filepath.Join(dir, "none")}, "an unknown flag": {"--no"},
	} {
		want, status := complaint(t, "tocsin", append([]string{"run", "notice"}, flags...)...)
		got, gotStatus := complaint(t, "tocsin-notice", flags...)
		if status == 0 || gotStatus != status {
			t.Errorf("%s: status %d, want %d, which is not 0", what, gotStatus, status)
		}
		if what != "an unknown flag" && got != want {
			t.Errorf("%s:\n%s\nwant\n%s", what, got, want)
		}
	}
}

// complaint runs a program and returns the last line that it said to standard
// error, without its own name.
func complaint(t *testing.T, name string, args ...string) (string, int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program(t, name), args...)
	var said strings.Builder
	cmd.Stderr = &said
	_ = cmd.Run()
	lines := strings.Split(strings.TrimSpace(said.String()), "\n")
	return strings.TrimPrefix(strings.TrimPrefix(lines[len(lines)-1], name+": "), "error: "), cmd.ProcessState.ExitCode()
}

// What the sender imports, it loads at every start: command lines, validators
// of documents and the plans of the world's telephone numbers are not its work.
func TestTheSenderAloneCarriesNothingOfTheOthers(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "tocsin.dev/services/tocsin-notice").Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := "\n" + string(out)
	if !strings.Contains(deps, "\ntocsin.dev/services/notice\n") {
		t.Fatal("the list of imports is not that of the sender")
	}
	for _, foreign := range []string{
		"tocsin.dev/services/intake", "tocsin.dev/services/scope", "tocsin.dev/services/desk", "tocsin.dev/services/deadline", "tocsin.dev/services/sandbox",
		"tocsin.dev/pkg/law", "github.com/alecthomas/kong", "github.com/getkin/kin-openapi", "github.com/itchyny/gojq", "github.com/nyaruka/phonenumbers", "github.com/santhosh-tekuri",
	} {
		if strings.Contains(deps, "\n"+foreign) {
			t.Errorf("tocsin-notice imports %s", foreign)
		}
	}
}
