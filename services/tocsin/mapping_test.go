package main

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tocsin.dev/services/intake/mapping"
)

const ownMapping = `apiVersion: tocsin.dev/v1
kind: AlertMapping
metadata: {name: own, version: 1}
match: has("headline")
map:
  finding_info.title: .headline
tests:
  - input: {headline: T}
    expect: {finding_info.title: T}
  - sample: wazuh/yum_package_installed.json
    expect: {}
`

// write puts a file into a folder of the test and returns its path.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// silence sends what a command prints nowhere.
func silence(t *testing.T) {
	t.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	stdout := os.Stdout
	os.Stdout = null
	t.Cleanup(func() { os.Stdout = stdout; null.Close() })
}

func TestAMappingFileIsTestedByItsOwnTestsAndByAPayload(t *testing.T) {
	silence(t)
	ctx := context.Background()
	good := write(t, "own.yaml", strings.Split(ownMapping, "  - sample")[0])
	if err := (&mappingTestCmd{File: good}).Run(ctx); err != nil {
		t.Errorf("a good file: %v", err)
	}
	if err := (&mappingTestCmd{File: good, Payload: write(t, "p.json", `{"headline":"x"}`), JSON: true}).Run(ctx); err != nil {
		t.Errorf("a payload that it reads: %v", err)
	}
	for name, c := range map[string]struct {
		cmd  mappingTestCmd
		says string
	}{
		"a failing test":           {mappingTestCmd{File: write(t, "own.yaml", ownMapping)}, "test 2: match does not hold"},
		"a payload it cannot read": {mappingTestCmd{File: good, Payload: write(t, "p.json", `{}`)}, "does not match"},
	} {
		err := c.cmd.Run(ctx)
		if err == nil || !strings.Contains(err.Error(), c.says) || exitCode(err) != 2 {
			t.Errorf("%s: %v, status %d; want an error about %q and status 2", name, err, exitCode(err), c.says)
		}
	}
	if err := (&mappingTestCmd{File: good, Payload: write(t, "p.json", `{`)}).Run(ctx); err == nil || !strings.Contains(err.Error(), "not JSON") {
		t.Errorf("a payload that is not JSON: %v", err)
	}
}

func TestExplainTellsOfEveryPayloadWhatBecomesOfIt(t *testing.T) {
	silence(t)
	sample, err := fs.ReadFile(mapping.Samples(), "splunk/webhook_saved_search.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, payload := range []string{string(sample), `{"hello":"world"}`} {
		for _, asJSON := range []bool{false, true} {
			if err := (&mappingExplainCmd{Payload: write(t, "p.json", payload), JSON: asJSON}).Run(context.Background()); err != nil {
				t.Error(err)
			}
		}
	}
	if err := (&mappingListCmd{}).Run(); err != nil {
		t.Error(err)
	}
}
