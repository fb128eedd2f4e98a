package intake

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/journal"
	"tocsin.dev/pkg/sqldb"
)

func TestARestartKeepsEverything(t *testing.T) {
	h := start(t)
	id := h.splunk(search("s1", "fs-02", "amira")).ID
	h.alert("tidewater", id)
	h.splunk(search("s1", "fs-02", "amira"))
	h.stop()
	h = open(t, h.dir, time.Now)
	a := h.alert("tidewater", id)
	if a.Count != 2 || string(a.Raw) != search("s1", "fs-02", "amira") {
		t.Errorf("after the restart: count %d, body %q %s", a.Count, a.Raw, a.RawProblem)
	}
	if r := h.splunk(search("s1", "fs-02", "amira")); !r.Duplicate || r.ID != id {
		t.Errorf("the same body after the restart: %+v", r)
	}
}

// child is the environment variable by which the test binary becomes the
// process that is killed.
const child = "TOCSIN_TEST_INTAKE_CHILD"

// TestChildProcess is not a test: it runs intake until it is killed.
func TestChildProcess(t *testing.T) {
	dir := os.Getenv(child)
	if dir == "" {
		t.Skip("runs only inside TestAnAnsweredAlertSurvivesAKill")
	}
	h := open(t, dir, time.Now)
	fmt.Println("URL", h.web.URL)
	select {}
}

func TestAnAnsweredAlertSurvivesAKill(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes; run without -short")
	}
	dir := t.TempDir()
	answered := map[string]string{}
	for round := range 3 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestChildProcess$", "-test.v")
		cmd.Env = append(os.Environ(), child+"="+dir)
		out, err := cmd.StdoutPipe()
		must(t, err)
		cmd.Stderr = os.Stderr
		must(t, cmd.Start())
		url := ""
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if _, u, ok := strings.Cut(lines.Text(), "URL "); ok {
				url = u
				break
			}
		}
		if url == "" {
			t.Fatal("the child did not start")
		}
		killed := make(chan struct{})
		ctx, cancel := context.WithCancel(context.Background())
		results := make(chan [2]string, 10000)
		go func() {
			defer close(results)
			for n := 0; ctx.Err() == nil; n++ {
				body := search(fmt.Sprint("kill-", round, "-", n), "h", "u")
				if status, err := (Load{URL: url + "/v1/alerts/splunk", Token: splunkToken, Client: httpClient}).post(ctx, []byte(body)); err == nil && status == 202 {
					results <- [2]string{body, "202"}
				}
			}
		}()
		go func() {
			defer close(killed)
			// Kill in the middle of the flow: after the fiftieth answer.
			for range 50 {
				r := <-results
				answered[r[0]] = r[1]
			}
			_ = cmd.Process.Kill()
		}()
		<-killed
		_ = cmd.Wait()
		cancel()
		for r := range results {
			answered[r[0]] = r[1]
		}
	}
	h := open(t, dir, time.Now)
	src := h.service.sources["splunk"]
	for body := range answered {
		id := newDelivery(src, []byte(body), "application/json", "", time.Now()).ID
		if a := h.alert("tidewater", id); string(a.Raw) != body {
			t.Errorf("alert %s: body %q, %s", id, a.Raw, a.RawProblem)
		}
	}
	t.Logf("%d answered alerts are all there after 3 kills", len(answered))
}

func TestOneTraceLeadsFromTheWebhookToTheReading(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	provider := trace.NewTracerProvider(trace.WithSpanProcessor(spans))
	h := &house{t: t, dir: t.TempDir()}
	h = openTraced(t, h.dir, provider)
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	r := h.post("splunk", []byte(search("s1", "h", "u")), "Authorization", "Bearer "+splunkToken, "traceparent", parent)
	h.alert("tidewater", r.ID)
	names := map[string]bool{}
	eventually(t, "the handler's span ends", func() bool {
		for _, s := range spans.Ended() {
			if s.SpanContext().TraceID().String() == "4bf92f3577b34da6a3ce929d0e0e4736" {
				names[s.Name()] = true
			}
		}
		return names["handle intake-map"]
	})
	if !names["receive alert"] || !names["read alert"] {
		t.Errorf("spans of the trace: %v", names)
	}
	for _, s := range spans.Ended() {
		if text := fmt.Sprint(s.Attributes(), s.Events(), s.Status()); strings.Contains(text, "amira") {
			t.Errorf("span %s names an account", s.Name())
		}
	}
}

func TestASecondIntakeOnTheSameStreamSharesTheWork(t *testing.T) {
	h := start(t)
	// A replica: same store, same durable consumer, its own connection.
	db, err := sqldb.Open(context.Background(), "sqlite:"+filepath.Join(h.dir, "intake.db"))
	must(t, err)
	defer db.Close()
	nc := h.srv.Connect(t, event.Intake)
	b, err := bus.New(nc, bus.Config{Service: event.Intake})
	must(t, err)
	j, err := journal.New(nc, journal.Config{})
	must(t, err)
	second, err := New(Config{NATS: nc, Bus: b, Journal: j, DB: db, Now: time.Now, Sources: testSources})
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- second.Run(ctx) }()
	go func() { ended <- b.Run(ctx) }()
	<-b.Ready()
	for n := range 100 {
		h.splunk(search(fmt.Sprint("r", n), "h", "u"))
	}
	eventually(t, "100 alerts are read once", func() bool {
		return h.list("tidewater", event.AlertsList{Limit: 1}).Counts[event.AlertNew] == 100
	})
	for _, a := range h.list("tidewater", event.AlertsList{Limit: 200}).Alerts {
		if a.Count != 1 {
			t.Errorf("alert %s counted %d times", a.ID, a.Count)
		}
	}
	cancel()
	for range 2 {
		must(t, <-ended)
	}
}
