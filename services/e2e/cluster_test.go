//go:build cluster

package e2e

import (
	"bufio"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/sqldb"
	"tocsin.dev/services/demo"
	"tocsin.dev/services/scope/inventory"
	"tocsin.dev/services/scope/inventory/synthetic"
)

// cluster is production on this machine: three NATS processes with the
// configuration of deployments/, PostgreSQL, and one process per service with
// the settings of deployments/env. Only addresses and folders are replaced.
type cluster struct {
	*demo.Installation
	t        *testing.T
	ctx      context.Context
	dir      string
	postgres string
	ports    map[string]string // what stands for a host of the compose file
	ingress  string
	services map[string]*proc
	nats     []*exec.Cmd
}

// A whole case runs on the cluster; in the middle a NATS node and a replica of
// the sender are killed, and still nobody is missed or written to twice.
func TestClusterCarriesACaseThroughTheLossOfANodeAndASender(t *testing.T) {
	c := startCluster(t)
	const people = 400
	c.populate(people)
	c.callbacksStandAlone()
	s := c.Story("tidewater", io.Discard)
	c.must(s.UpTo(c.ctx, "order"))
	_ = c.nats[2].Process.Kill()
	c.services["notice-2"].kill()
	c.must(s.Await(c.ctx))
	r, err := s.Report(c.ctx)
	c.must(err)
	if !r.Accounted || r.People == 0 || r.InDoubt != 0 {
		t.Errorf("not everybody is accounted for: %+v", r)
	}
	record := provider{url: "http://" + c.ports["sandbox"]}.record(c.ctx, t, s.Number())
	if record.NoticesTwice != 0 || int64(record.Notices) != r.Accepted || record.Canaries == 0 {
		t.Errorf("the provider accepted %d notices, %d of them twice, and %d canaries; the ledger says %d", record.Notices, record.NoticesTwice, record.Canaries, r.Accepted)
	}
	for name, p := range c.services {
		if name != "notice-2" {
			p.interrupt()
		}
	}
}

// callbacksStandAlone checks that the address of the callbacks serves nothing
// else, and that nothing else serves callbacks.
func (c *cluster) callbacksStandAlone() {
	c.t.Helper()
	for address, want := range map[string]int{
		c.ports["callbacks of notice"] + "/v1/receipts/sendgrid":           http.StatusForbidden, // not signed
		c.ports["callbacks of notice"] + "/v1/public/tidewater/x":          http.StatusNotFound,
		c.ports["callbacks of notice"] + "/healthz":                        http.StatusNotFound,
		c.ports["notice"] + "/v1/receipts/sendgrid":                        http.StatusNotFound,
		strings.TrimPrefix(c.ingress, "http://") + "/v1/receipts/sendgrid": http.StatusForbidden,
	} {
		req, err := http.NewRequestWithContext(c.ctx, http.MethodPost, "http://"+address, strings.NewReader("[]"))
		c.must(err)
		resp, err := http.DefaultClient.Do(req)
		c.must(err)
		c.must(resp.Body.Close())
		if resp.StatusCode != want {
			c.t.Errorf("what is posted to %s is answered %d, want %d", address, resp.StatusCode, want)
		}
	}
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	admin := os.Getenv("TOCSIN_TEST_POSTGRES")
	if admin == "" {
		t.Fatal("TOCSIN_TEST_POSTGRES is empty: give the URL of a PostgreSQL whose user may make databases")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	c := &cluster{t: t, ctx: ctx, dir: installed(t), ports: map[string]string{}, services: map[string]*proc{}}
	var err error
	c.Installation, err = demo.Prepare(t.TempDir(), time.Now)
	c.must(err)
	c.database(admin)
	c.startNATS()
	c.startServices()
	return c
}

func (c *cluster) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// database makes a database of its own for this test.
func (c *cluster) database(admin string) {
	c.t.Helper()
	db, err := sql.Open("pgx", admin)
	c.must(err)
	c.t.Cleanup(func() { db.Close() })
	random := make([]byte, 6)
	_, _ = rand.Read(random)
	name := "e2e_" + hex.EncodeToString(random)
	_, err = db.ExecContext(c.ctx, "CREATE DATABASE "+name)
	c.must(err)
	c.t.Cleanup(func() {
		_, _ = db.ExecContext(context.WithoutCancel(c.ctx), "DROP DATABASE "+name+" WITH (FORCE)")
	})
	u, err := url.Parse(admin)
	c.must(err)
	u.Path = "/" + name
	c.postgres = u.String()
}

// startNATS builds the server of the pinned module and starts three nodes.
func (c *cluster) startNATS() {
	c.t.Helper()
	binary := filepath.Join(c.t.TempDir(), "nats-server")
	if out, err := exec.CommandContext(c.ctx, "go", "build", "-o", binary, "github.com/nats-io/nats-server/v2").CombinedOutput(); err != nil {
		c.t.Fatalf("build nats-server: %v\n%s", err, out)
	}
	var routes [3]string
	for i := range routes {
		c.ports[fmt.Sprintf("nats-%d", i+1)] = freePort(c.t)
		routes[i] = freePort(c.t)
	}
	secrets := c.envFile(filepath.Join(c.dir, "secrets", "nats.env"))
	for i := range routes {
		host, port, _ := strings.Cut(c.ports[fmt.Sprintf("nats-%d", i+1)], ":")
		_, clusterPort, _ := strings.Cut(routes[i], ":")
		env := map[string]string{
			"TOCSIN_NATS_NAME": fmt.Sprintf("nats-%d", i+1), "TOCSIN_NATS_HOST": host, "TOCSIN_NATS_PORT": port, "TOCSIN_NATS_CLUSTER_PORT": clusterPort,
			"TOCSIN_NATS_MONITOR": freePort(c.t), "TOCSIN_NATS_STORE": c.t.TempDir(),
		}
		for k, v := range secrets {
			env[k] = v
		}
		for j := range routes {
			key := fmt.Sprintf("TOCSIN_NATS_ROUTE_%d", j+1)
			env[key] = strings.Replace(env[key], fmt.Sprintf("nats-%d:6222", j+1), routes[j], 1)
		}
		cmd := exec.Command(binary, "--config", filepath.Join(c.dir, "nats", "nats.conf"))
		for k, v := range env {
			cmd.Env = append(cmd.Env, k+"="+v)
		}
		cmd.Stderr = os.Stderr
		if !testing.Verbose() {
			cmd.Stderr = nil
		}
		c.must(cmd.Start())
		c.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		c.nats = append(c.nats, cmd)
	}
}

// startServices runs setup, the sandbox and every service, the sender twice,
// behind one ingress as the head of compose.yaml describes it.
func (c *cluster) startServices() {
	c.t.Helper()
	for _, s := range []string{"sandbox", "intake", "scope", "deadline", "notice", "callbacks of notice", "notice-2", "callbacks of notice-2", "desk"} {
		c.ports[s] = freePort(c.t)
	}
	c.ingress = c.startIngress()
	c.URL = c.ingress
	setup := c.run("setup", nil, "setup")
	if err := setup.cmd.Wait(); err != nil {
		c.t.Fatalf("setup: %v\n%s", err, setup.log)
	}
	c.services["sandbox"] = c.run("sandbox", map[string]string{
		"TOCSIN_SANDBOX_LISTEN": c.ports["sandbox"], "TOCSIN_ORGANISATIONS": filepath.Join(c.Dir, "organisations"), // whose canaries it counts apart
	}, "sandbox")
	for _, s := range []string{"intake", "scope", "deadline", "notice", "notice-2", "desk"} {
		service := strings.TrimSuffix(s, "-2")
		c.services[s] = c.run(service, c.replaced(s), "run", service)
	}
	for _, s := range []string{"intake", "scope", "deadline", "notice", "notice-2", "desk"} {
		serving(c.ctx, c.t, c.ports[s])
	}
}

// replaced are the settings that a machine decides: addresses, the accounts of
// the sandbox, and patience with doubt that suits a test.
func (c *cluster) replaced(name string) map[string]string {
	env := map[string]string{
		"TOCSIN_LISTEN": c.ports[name], "TOCSIN_METRICS_LISTEN": "", "TOCSIN_DATABASE_FILE": "", "TOCSIN_DATABASE": c.postgres,
		"TOCSIN_COOLING": "0s", "TOCSIN_ORGANISATIONS": filepath.Join(c.Dir, "organisations"),
		"TOCSIN_USERS": filepath.Join(c.Dir, "users.yaml"), "TOCSIN_SOURCES": filepath.Join(c.Dir, "sources.yaml"),
	}
	if strings.HasPrefix(name, "notice") {
		for k, v := range c.envFile(filepath.Join(c.dir, "secrets", "sandbox.env")) {
			env[k] = v
		}
		env["TOCSIN_CALLBACKS_LISTEN"] = c.ports["callbacks of "+name]
		env["TOCSIN_SENDGRID_HOST"], env["TOCSIN_TWILIO_HOST"] = "http://"+c.ports["sandbox"], "http://"+c.ports["sandbox"]
		env["TOCSIN_DOUBT_QUIET"], env["TOCSIN_DOUBT_AFTER"], env["TOCSIN_DOUBT_BUDGET"] = "300ms", "3s", "1"
	}
	return env
}

// run starts tocsin with a sample of settings in which only the places of this
// machine are replaced.
func (c *cluster) run(service string, change map[string]string, args ...string) *proc {
	c.t.Helper()
	secrets := filepath.Join(c.dir, "secrets")
	user := service
	if service == "setup" {
		user = "admin"
	}
	places := strings.NewReplacer(
		"/run/secrets/nats_passwords", filepath.Join(secrets, "nats_"+user+".yaml"), "/run/secrets/", secrets+"/", "/keys/", c.Dir+"/",
		"nats-1:4222", c.ports["nats-1"], "nats-2:4222", c.ports["nats-2"], "nats-3:4222", c.ports["nats-3"],
		"https://tocsin.example.org", c.ingress, "http://notice:8430", c.ingress,
	)
	env := c.envFile(filepath.Join(c.dir, "env", service+".env"))
	for k, v := range env {
		env[k] = places.Replace(v)
	}
	env["TOCSIN_DATA_DIR"] = c.t.TempDir()
	if service == "sandbox" {
		keys := filepath.Join(env["TOCSIN_DATA_DIR"], "keys")
		c.must(os.MkdirAll(keys, 0o700))
		copyFile(c.t, filepath.Join(secrets, "sandbox.key"), filepath.Join(keys, "sandbox.key"))
	}
	for k, v := range change {
		env[k] = v
	}
	if service == event.Notice { // a program of its own, as in its container
		return spawnProgram(c.t, "tocsin-notice", env)
	}
	return spawn(c.t, env, args...)
}

// startIngress is the proxy in front: it sends each path to the service that owns it.
func (c *cluster) startIngress() string {
	to := func(service string) *httputil.ReverseProxy {
		return httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: c.ports[service]})
	}
	mux := http.NewServeMux()
	mux.Handle("/v1/alerts/", to("intake"))
	mux.Handle("/v1/receipts/", to("callbacks of notice"))
	mux.Handle("/v1/public/", to("notice"))
	mux.Handle("/v1/calendar/", to("deadline"))
	mux.Handle("/", to("desk"))
	server := httptest.NewServer(mux)
	c.t.Cleanup(server.Close)
	return server.URL
}

// envFile reads NAME=value lines.
func (c *cluster) envFile(path string) map[string]string {
	c.t.Helper()
	f, err := os.Open(path)
	c.must(err)
	defer f.Close()
	env := map[string]string{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if name, value, ok := strings.Cut(lines.Text(), "="); ok && !strings.HasPrefix(name, "#") {
			env[name] = value
		}
	}
	c.must(lines.Err())
	return env
}

// populate imports people as the operator's tool does: beside the running
// service, into the same database with the same root key.
func (c *cluster) populate(people int) {
	c.t.Helper()
	db, err := sqldb.Open(c.ctx, c.postgres)
	c.must(err)
	defer db.Close()
	root, err := inventory.OpenFileRoot(filepath.Join(c.Dir, "inventory.key"))
	c.must(err)
	store, err := inventory.Open(c.ctx, inventory.Config{DB: db, Root: root, Now: time.Now})
	c.must(err)
	d, err := store.Deliver(c.ctx, "tidewater", "cluster")
	c.must(err)
	c.must(synthetic.New("tidewater", people, 1).Deliver(c.ctx, d))
	_, err = d.Commit(c.ctx, "cluster", true)
	c.must(errors.Join(err, d.Close()))
}
