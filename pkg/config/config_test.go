package config_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tocsin.dev/pkg/config"
)

type settings struct {
	Listen   string        `koanf:"listen"`
	Services []string      `koanf:"services"`
	Cooling  time.Duration `koanf:"cooling"`
	Level    slog.Level    `koanf:"level"`
	NATS     struct {
		URL           string            `koanf:"url"`
		Replicas      int               `koanf:"replicas"`
		Passwords     map[string]string `koanf:"passwords"`
		PasswordsFile string            `koanf:"passwords_file"`
	} `koanf:"nats"`
	Mail struct {
		APIKey     string `koanf:"api_key"`
		APIKeyFile string `koanf:"api_key_file"`
	} `koanf:"mail"`
	Sources []source `koanf:"sources"`
	Hidden  string
}

type source struct {
	Name      string `koanf:"name"`
	Token     string `koanf:"token"`
	TokenFile string `koanf:"token_file"`
}

func (s *settings) Validate() error {
	if s.NATS.Replicas == 2 {
		return errors.New("nats.replicas: never 2")
	}
	return nil
}

func defaults() settings {
	s := settings{Listen: "127.0.0.1:1", Services: []string{"a", "b", "c"}, Cooling: time.Minute}
	s.NATS.Replicas = 1
	return s
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTheFileOverrulesDefaultsAndTheEnvironmentBoth(t *testing.T) {
	key := write(t, "key", "s3cret\n")
	file := write(t, "tocsin.yaml", `
listen: ":80"
services: [x]
nats: {url: nats://one, passwords: {intake: p}}
sources: [{name: splunk, token_file: `+key+`}]
`)
	got, err := config.Load(defaults(), config.Source{File: file, Foreign: []string{"TOCSIN_CLI_"}, Env: []string{
		"TOCSIN_NATS_URL=nats://two", "TOCSIN_COOLING=90s", "TOCSIN_LEVEL=WARN", "TOCSIN_NATS_REPLICAS=3", "TOCSIN_LISTEN=",
		"TOCSIN_NATS_PASSWORDS_SCOPE=q", "TOCSIN_MAIL_API_KEY_FILE=" + key, "TOCSIN_TEST_POSTGRES=x", "TOCSIN_CLI_COLOUR=x", "HOME=/root"}})
	if err != nil {
		t.Fatal(err)
	}
	want := settings{Listen: ":80", Services: []string{"x"}, Cooling: 90 * time.Second, Level: slog.LevelWarn,
		Sources: []source{{Name: "splunk", Token: "s3cret", TokenFile: key}}}
	want.NATS.URL, want.NATS.Replicas, want.NATS.Passwords = "nats://two", 3, map[string]string{"intake": "p", "scope": "q"}
	want.Mail.APIKey, want.Mail.APIKeyFile = "s3cret", key
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestNothingSetMeansTheDefaults(t *testing.T) {
	for name, file := range map[string]string{"no file": "", "empty file": write(t, "e.yaml", ""), "only a comment": write(t, "c.yaml", "# nothing\n")} {
		got, err := config.Load(defaults(), config.Source{File: file})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(defaults(), got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestAMistakeIsNamedWithItsPlace(t *testing.T) {
	secrets := write(t, "passwords", "intake: hunter2\nnot a map\n")
	empty := write(t, "empty", "\n")
	for name, c := range map[string]struct {
		yaml string
		env  string
		want string
	}{
		"unknown key":          {"listen: x\nlisen: y\n", "", `tocsin.yaml:2: unknown setting "lisen"`},
		"unknown nested key":   {"nats:\n  url: x\n  replica: 3\n", "", `tocsin.yaml:3: unknown setting "nats.replica"`},
		"unknown key in list":  {"sources:\n- name: x\n- nom: y\n", "", `tocsin.yaml:3: unknown setting "sources[1].nom"`},
		"field without a key":  {"Hidden: x\n", "", `unknown setting "Hidden"`},
		"mapping for a value":  {"listen: {a: b}\n", "", "tocsin.yaml:1: listen is not a single value"},
		"value for the top":    {"hello\n", "", "the top is not a mapping"},
		"repeated key":         {"listen: a\nlisten: b\n", "", "already defined"},
		"two documents":        {"listen: a\n---\nlisten: b\n", "", "more than one YAML document"},
		"not YAML":             {"a: [\n", "", "tocsin.yaml"},
		"no number":            {"nats: {replicas: many}\n", "", "nats.replicas"},
		"unknown variable":     {"", "TOCSIN_LISEN=x", "unknown setting TOCSIN_LISEN"},
		"no duration":          {"", "TOCSIN_COOLING=soon", "cooling"},
		"refused by Validate":  {"", "TOCSIN_NATS_REPLICAS=2", "never 2"},
		"value and file":       {"mail: {api_key: a, api_key_file: b}\n", "", "mail.api_key_file: give either the value or the file"},
		"missing secret file":  {"mail: {api_key_file: /none}\n", "", "mail.api_key_file: open /none"},
		"empty secret file":    {"mail: {api_key_file: " + empty + "}\n", "", "is empty"},
		"secret file not YAML": {"nats: {passwords_file: " + secrets + "}\n", "", "is not the YAML that is expected here"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := config.Load(defaults(), config.Source{File: write(t, "tocsin.yaml", c.yaml), Env: []string{c.env}})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error = %v\nwant one that says %s", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error tells a secret: %v", err)
			}
		})
	}
	if _, err := config.Load(defaults(), config.Source{File: "/none/x.yaml"}); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "/none/x.yaml") {
		t.Errorf("a missing file gives %v", err)
	}
}

func TestAMapOfSecretsIsReadFromItsFile(t *testing.T) {
	file := write(t, "passwords.yaml", "intake: a\nscope: b\n")
	got, err := config.Load(defaults(), config.Source{Env: []string{"TOCSIN_NATS_PASSWORDS_FILE=" + file}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"intake": "a", "scope": "b"}, got.NATS.Passwords); diff != "" {
		t.Error(diff)
	}
}
