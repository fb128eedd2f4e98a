package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files of testdata")

// run parses and runs a command line and returns what it prints.
func run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout := os.Stdout
	os.Stdout = w
	printed := make(chan []byte)
	go func() { data, _ := io.ReadAll(r); printed <- data }()
	defer func() { os.Stdout = stdout }()
	var cli commands
	k, err := kong.New(&cli, kong.Name("tocsin"), kong.BindTo(context.Background(), (*context.Context)(nil)), kong.Exit(func(int) {}))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := k.Parse(args)
	if err == nil {
		err = parsed.Run()
	}
	w.Close()
	return string(<-printed), err
}

const (
	testRules = "testdata/law"
	testFacts = "testdata/facts.json"
)

func TestTheLawCommandsPrintWhatTheManualShows(t *testing.T) {
	for name, args := range map[string][]string{
		"due":       {"law", "due", "--rules", testRules, "--facts", testFacts},
		"due_json":  {"law", "due", "--rules", testRules, "--facts", testFacts, "--json"},
		"due_at":    {"law", "due", "--rules", testRules, "--facts", testFacts, "--at", "2026-11-20T09:45:00Z"},
		"list":      {"law", "list", "--rules", testRules},
		"show":      {"law", "show", "--rules", testRules, "se-act.authority"},
		"explain":   {"law", "explain", "--rules", testRules, testFacts, "se-act.authority"},
		"words":     {"law", "words", "--rules", testRules, "--group", "event"},
		"list_json": {"law", "list", "--rules", testRules, "--status", "in-force", "--json"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := run(t, args...)
			if err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", "golden", "law_"+name+".txt")
			if *update {
				if err := os.MkdirAll(filepath.Dir(golden), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("tocsin %s (-golden +now); -update writes it anew:\n%s", strings.Join(args, " "), diff)
			}
		})
	}
}

func TestTheDutiesOfTheBuiltInRulesKeepTheContract(t *testing.T) {
	printed, err := run(t, "law", "due", "--facts", testFacts, "--json")
	if err != nil {
		t.Fatal(err)
	}
	var answer struct{ Duties []map[string]any }
	if err := json.NewDecoder(bytes.NewBufferString(printed)).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	for _, d := range answer.Duties {
		if d["id"] != "eu-gdpr.authority_SE" {
			continue
		}
		for _, field := range []string{"rule", "version", "status", "hardness", "to", "citation", "due", "due_local", "zone", "readings", "standard", "derivation"} {
			if d[field] == nil || d[field] == "" {
				t.Errorf("the duty has no %s", field)
			}
		}
		if d["due"] != "2026-11-23T09:30:00Z" || d["due_local"] != "2026-11-23T10:30:00+01:00" || d["zone"] != "Europe/Stockholm" {
			t.Errorf("due %v, %v, %v", d["due"], d["due_local"], d["zone"])
		}
		return
	}
	t.Errorf("no duty towards the authority of Sweden in %d duties", len(answer.Duties))
}

func TestABadFactsDocumentIsRefusedByField(t *testing.T) {
	for text, says := range map[string]string{
		`{"events":[{"kind":"aware"}]}`:             "events[0]",
		`{"evnts":[]}`:                              "evnts",
		`{"events":[],"risk":{"level":"terrible"}}`: "risk",
	} {
		if _, err := run(t, "law", "due", "--facts", write(t, "f.json", text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v; want an error that names %s", text, err, says)
		}
	}
	if _, err := run(t, "law", "explain", "2026-404", "eu-gdpr.authority_SE"); err == nil || !strings.Contains(err.Error(), "case number") {
		t.Errorf("a case without a server: %v", err)
	}
}
