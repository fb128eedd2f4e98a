// Package e2e holds Tocsin's promises to its users, one guarantee a file, each
// shown on the whole system: every service, real JetStream, real SQLite, the
// real SendGrid and Twilio clients against the look-alike providers.
package e2e

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"tocsin.dev/services/app"
	"tocsin.dev/services/app/suite"
	"tocsin.dev/services/demo"
	"tocsin.dev/services/desk"
)

// patience bounds every wait of a test. It is generous because the machines
// that run the tests are shared; nothing waits longer than it must.
const patience = 2 * time.Minute

// world is one installation, started and stopped as often as a test likes.
type world struct {
	*demo.Installation
	t        *testing.T
	ctx      context.Context
	running  *suite.Running
	settings app.Settings
	options  suite.Options
	stop     func()
}

// begin prepares an installation with people in the sample organisation
// tidewater and starts it.
func begin(t *testing.T, people int, change ...func(*world)) *world {
	t.Helper()
	in, err := demo.Prepare(t.TempDir(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	w := &world{Installation: in, t: t, ctx: ctx, settings: in.Settings()}
	for _, c := range change {
		c(w)
	}
	w.start()
	if people > 0 {
		if err := in.Populate(ctx, w.running, "tidewater", people, 1, io.Discard); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// start runs the whole process in the background until stop, or the test's end.
func (w *world) start() {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.ctx))
	ready, ended := make(chan *suite.Running, 1), make(chan error, 1)
	o := w.options
	o.Ready = func(r *suite.Running) { ready <- r }
	go func() { ended <- w.Run(ctx, w.settings, o) }()
	stopped := false
	w.stop = func() {
		w.t.Helper()
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-ended:
			if err != nil && !errors.Is(err, context.Canceled) {
				w.t.Errorf("the process stopped with: %v", err)
			}
		case <-time.After(patience):
			w.t.Error("the process did not stop")
		}
	}
	w.t.Cleanup(func() { w.stop() })
	select {
	case w.running = <-ready:
	case err := <-ended:
		w.t.Fatalf("the process did not start: %v", err)
	case <-time.After(patience):
		w.t.Fatal("the process did not become ready")
	}
}

// restart stops the process cleanly and starts it again on the same folder
// and the same addresses.
func (w *world) restart() {
	w.t.Helper()
	w.settings.Listen = strings.TrimPrefix(w.running.URL, "http://")
	w.settings.SandboxListen = strings.TrimPrefix(w.running.SandboxURL, "http://")
	w.stop()
	w.start()
}

// must fails the test on an error.
func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// eventually asks again until ok, or fails with what was awaited.
func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-w.ctx.Done():
			w.t.Fatalf("gave up waiting for %s", what)
		case <-tick.C:
		}
	}
}

// get fetches a page or document and returns its status and text.
func (w *world) get(url string) (int, string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.ctx, http.MethodGet, url, nil)
	w.must(err)
	res, err := w.HTTP.Do(req)
	w.must(err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	w.must(err)
	return res.StatusCode, string(body)
}

// editUser changes a user before the start.
func (w *world) editUser(id string, change func(*desk.User)) {
	w.t.Helper()
	all := w.users()
	for i := range all {
		if all[i].ID == id {
			change(&all[i])
		}
	}
	data, err := yaml.Marshal(map[string]any{"users": all})
	w.must(err)
	w.must(os.WriteFile(filepath.Join(w.Dir, "users.yaml"), data, 0o600))
}

// users reads the file of users.
func (w *world) users() []desk.User {
	w.t.Helper()
	data, err := os.ReadFile(filepath.Join(w.Dir, "users.yaml"))
	w.must(err)
	var file struct {
		Users []desk.User `yaml:"users"`
	}
	w.must(yaml.Unmarshal(data, &file))
	return file.Users
}
