package e2e

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"tocsin.dev/services/demo"
)

// root is the folder of the clone, seen from this package.
const root = "../.."

// Every link of the README leads to something, and every command in it is one
// that is run here or by .ci/run.
func TestTheReadmeIsTrue(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range regexp.MustCompile(`\]\(([^)#]+)`).FindAllStringSubmatch(string(text), -1) {
		if strings.Contains(link[1], "://") {
			continue
		}
		if _, err := os.Stat(filepath.Join(root, link[1])); err != nil {
			t.Errorf("the README links to %s: %v", link[1], err)
		}
	}
	gate, err := os.ReadFile(filepath.Join(root, ".ci", "run"))
	if err != nil {
		t.Fatal(err)
	}
	shown := []string{"go run ./services/tocsin demo"} // run by the tests below
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		for _, command := range strings.Split(strings.TrimSpace(block[1]), "\n") {
			if !slices.Contains(shown, command) && !strings.Contains(string(gate), command) {
				t.Errorf("nothing runs the README's command %q", command)
			}
		}
	}
}

// The demo plays one whole case by itself and says what became of everybody.
func TestTheDemoPlaysOneWholeCase(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	p := spawn(t, nil, "demo", "--once", "--json", "--people", "120")
	done := make(chan error, 1)
	go func() { done <- p.cmd.Wait() }()
	select {
	case err := <-done:
		if err != nil {
			t.Fatalf("demo --once: %v\n%s", err, p.log)
		}
	case <-ctx.Done():
		t.Fatalf("demo --once does not end:\n%s", p.log)
	}
	text := p.log.String()
	var r demo.Report
	if err := json.Unmarshal([]byte(text[strings.Index(text, "\n{")+1:]), &r); err != nil {
		t.Fatalf("demo --once --json printed no JSON object: %v\n%s", err, text)
	}
	if !r.Accounted || r.People == 0 || len(r.Duties) == 0 || len(r.Timeline) == 0 {
		t.Errorf("the demo's report: %+v", r)
	}
	for _, d := range r.Duties {
		if d.Citation == "" || len(d.Derivation) == 0 {
			t.Errorf("a duty without citation or derivation: %+v", d)
		}
	}
}

// The demo stays up with the console's address and three sign-ins printed, and
// Ctrl-C ends it without leaving its folder.
func TestTheDemoPrintsItsAddressAndSignInsAndStopsCleanly(t *testing.T) {
	p := spawn(t, nil, "demo", "--people", "30", "--listen", "127.0.0.1:0", "--sandbox", "127.0.0.1:0")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !strings.Contains(p.log.String(), "Ctrl-C") {
		select {
		case <-ctx.Done():
			t.Fatalf("the demo does not come up:\n%s", p.log)
		case <-tick.C:
		}
	}
	for _, want := range []string{"Console: ", "tidewater-analyst", "tidewater-legal", "tidewater-dpo", "/sandbox/"} {
		if !strings.Contains(p.log.String(), want) {
			t.Errorf("the demo does not print %q:\n%s", want, p.log)
		}
	}
	p.interrupt()
	dir := regexp.MustCompile(`(/\S*tocsin-demo-[^/\s]*)/`).FindStringSubmatch(p.log.String())
	if dir == nil {
		t.Fatalf("the demo does not name its folder:\n%s", p.log)
	}
	if _, err := os.Stat(dir[1]); !os.IsNotExist(err) {
		t.Errorf("the demo left %s behind: %v", dir[1], err)
	}
}
