package app

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/natsd"
)

// idle is a service that does nothing.
type idle struct{}

func (idle) Run(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

// started runs an idle notice on a folder, hands its streams to look, and stops it.
func started(t *testing.T, dir string, look func(jetstream.JetStream)) {
	t.Helper()
	s := Defaults()
	s.DataDir, s.Listen, s.Organisations, s.Services = dir, "127.0.0.1:0", "../samples/organisations", []string{event.Notice}
	s.Telemetry.LogLevel = "error"
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	looked := false
	err := Run(ctx, s, Options{
		Services: map[string]Builder{event.Notice: func(context.Context, *Base) (Runner, error) { return idle{}, nil }},
		Ready: func(a *App) {
			defer stop()
			nc, err := a.NATS.Connect(natsd.Admin)
			if err != nil {
				t.Error(err)
				return
			}
			defer nc.Close()
			js, err := jetstream.New(nc)
			if err != nil {
				t.Error(err)
				return
			}
			look(js)
			looked = true
		},
	})
	if err != nil || !looked {
		t.Fatalf("the process did not start: %v", err)
	}
}

// A new version of the program may want other streams than those of the folder,
// and a folder may have lost one.
func TestStreamsAreMadeAgainWhenOneIsMissingOrTheProgramWantsOthers(t *testing.T) {
	dir := t.TempDir()
	const older = "as an older program wanted it"
	started(t, dir, func(js jetstream.JetStream) {
		if err := js.DeleteStream(t.Context(), event.StreamDead); err != nil {
			t.Errorf("after the first start: %v", err)
		}
	})
	started(t, dir, func(js jetstream.JetStream) {
		stream, err := js.Stream(t.Context(), event.StreamDead)
		if err != nil {
			t.Errorf("after a stream was lost: %v", err)
			return
		}
		cfg := stream.CachedInfo().Config
		cfg.Description = older
		if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
			t.Error(err)
		}
	})
	if err := os.WriteFile(filepath.Join(dir, "nats", "streams"), []byte("those of an older program"), 0o600); err != nil {
		t.Fatal(err)
	}
	started(t, dir, func(js jetstream.JetStream) {
		stream, err := js.Stream(t.Context(), event.StreamDead)
		if err != nil || stream.CachedInfo().Config.Description == older {
			t.Errorf("after the start of a program with other streams: %v", err)
		}
	})
}
