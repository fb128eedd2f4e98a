package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// Canary people have names, addresses and numbers that occur nowhere else.
// After a whole case they stand in no file of the installation, in no log line
// and in no span, in no spelling that a program would use by accident; only
// the provider has seen them.
func TestNoPersonalDataLeaveTheirRoom(t *testing.T) {
	var logs output
	spans := tracetest.NewInMemoryExporter()
	w := begin(t, 0, func(w *world) {
		w.settings.Telemetry.LogLevel = "debug"
		w.options.Telemetry.Output, w.options.Telemetry.Spans = &logs, spans
	})
	canaries, err := w.PopulateCanaries(w.ctx, w.running, "tidewater", 25)
	w.must(err)
	s := w.Story("tidewater", io.Discard)
	w.must(s.UpTo(w.ctx, "await"))
	if page := w.running.Sandbox.Summary(s.Number(), 0); page.AcceptedTotal == 0 {
		t.Fatal("the canaries were never written to, so nothing is shown")
	}
	w.eventually("the spans", func() bool { return len(spans.GetSpans()) > 0 })
	seen := spans.GetSpans() // stopping forgets them
	w.stop()

	needles := spellings(canaries)
	err = filepath.WalkDir(w.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		search(t, strings.TrimPrefix(path, w.Dir), data, needles)
		return nil
	})
	w.must(err)
	search(t, "the logs", []byte(logs.String()), needles)
	for _, span := range seen {
		var text strings.Builder
		text.WriteString(span.Name + span.Status.Description)
		for _, a := range span.Attributes {
			text.WriteString(string(a.Key) + "=" + a.Value.String() + ";")
		}
		for _, e := range span.Events {
			text.WriteString(e.Name)
			for _, a := range e.Attributes {
				text.WriteString(string(a.Key) + "=" + a.Value.String() + ";")
			}
		}
		search(t, "the span "+span.Name, []byte(text.String()), needles)
	}
}

// spellings returns the canaries as they are and as JSON, URLs, hex and base64
// would carry them.
func spellings(canaries []string) map[string][]byte {
	out := map[string][]byte{}
	for _, c := range canaries {
		for _, s := range []string{c, strings.ToLower(c), strings.ToUpper(c), strings.ReplaceAll(c, "@", "%40"), strings.ReplaceAll(c, "+", "%2B"),
			strings.TrimPrefix(c, "+"), hex.EncodeToString([]byte(c))} {
			out[s] = []byte(s)
		}
		// Base64 of the middle of the text in each of the three alignments.
		for shift := range 3 {
			padded := append(make([]byte, shift), c...)
			b64 := base64.StdEncoding.EncodeToString(padded)
			if len(b64) > 12 {
				out[fmt.Sprintf("base64 of %s, %d", c, shift)] = []byte(b64[4 : len(b64)-4])
			}
		}
	}
	return out
}

func search(t *testing.T, where string, data []byte, needles map[string][]byte) {
	t.Helper()
	for name, needle := range needles {
		if bytes.Contains(data, needle) {
			t.Errorf("%s holds %q", where, name)
		}
	}
}

// Finding nothing must mean something: the same search finds a canary that is there.
func TestTheSearchForCanariesFindsThem(t *testing.T) {
	needles := spellings([]string{"Canaria Quillfeather"})
	for _, spelled := range []string{"Canaria Quillfeather", "canaria quillfeather", hex.EncodeToString([]byte("Canaria Quillfeather")),
		base64.StdEncoding.EncodeToString([]byte("x Canaria Quillfeather y"))} {
		found := false
		for _, n := range needles {
			found = found || bytes.Contains([]byte(spelled), n)
		}
		if !found {
			t.Errorf("%q would not be found", spelled)
		}
	}
}
