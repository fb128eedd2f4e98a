package e2e

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v3"

	"tocsin.dev/pkg/config"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/organisation"
	"tocsin.dev/pkg/seal"
	"tocsin.dev/pkg/telemetry"
	"tocsin.dev/services/app"
	"tocsin.dev/services/app/suite"
	"tocsin.dev/services/desk"
)

// deployments is a link to the folder at the root: Go forgets a cached result
// only when a file below the module's own folder changes.
const deployments = "testdata/deployments"

// installed copies deployments/ and does what the head of compose.yaml says:
// draw secrets, copy the samples.
func installed(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("CI must have openssl")
		}
		t.Skip("no openssl, which deployments/secrets.sh needs (apt-get install openssl)")
	}
	dir := filepath.Join(t.TempDir(), "deployments")
	if err := os.CopyFS(dir, os.DirFS(deployments)); err != nil {
		t.Fatal(err)
	}
	for range 2 { // it may run again and changes nothing
		if out, err := exec.CommandContext(t.Context(), "sh", filepath.Join(dir, "secrets.sh")).CombinedOutput(); err != nil {
			t.Fatalf("secrets.sh: %v\n%s", err, out)
		}
	}
	samples, err := filepath.Glob(filepath.Join(dir, "env", "*.env.sample"))
	if err != nil || len(samples) == 0 {
		t.Fatalf("no samples of settings: %v", err)
	}
	for _, sample := range samples {
		copyFile(t, sample, strings.TrimSuffix(sample, ".sample"))
	}
	for _, name := range []string{"users", "sources"} {
		copyFile(t, filepath.Join(dir, "config", name+".sample.yaml"), filepath.Join(dir, "config", name+".yaml"))
	}
	return dir
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// composed loads the compose files as docker compose does.
func composed(t *testing.T, dir string, files ...string) *types.Project {
	t.Helper()
	var paths []string
	for _, f := range files {
		paths = append(paths, filepath.Join(dir, f))
	}
	organisations, err := filepath.Abs("../samples/organisations")
	if err != nil {
		t.Fatal(err)
	}
	options, err := cli.NewProjectOptions(paths, cli.WithWorkingDirectory(dir), cli.WithProfiles([]string{"*"}),
		cli.WithEnv([]string{"TOCSIN_ORGANISATIONS_DIR=" + organisations}))
	if err != nil {
		t.Fatal(err)
	}
	p, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// inContainer returns the container's environment with the paths of files
// inside of it turned into those on this machine.
func inContainer(p *types.Project, s types.ServiceConfig) []string {
	paths := map[string]string{}
	for _, secret := range s.Secrets {
		target := secret.Target
		if target == "" {
			target = secret.Source
		}
		if !strings.HasPrefix(target, "/") {
			target = "/run/secrets/" + target
		}
		paths[target] = p.Secrets[secret.Source].File
	}
	for _, v := range s.Volumes {
		if v.Type == types.VolumeTypeBind {
			paths[v.Target] = v.Source
		}
	}
	var env []string
	for name, value := range s.Environment {
		if value == nil || !strings.HasPrefix(name, config.Prefix) {
			continue
		}
		v := *value
		if there, ok := paths[v]; ok {
			v = there
		}
		env = append(env, name+"="+v)
	}
	return env
}

// ours returns the containers that run our program, by what they run.
func ours(p *types.Project) map[string]types.ServiceConfig {
	found := map[string]types.ServiceConfig{}
	for name, s := range p.Services {
		if s.Image == "tocsin:local" || s.Image == "tocsin-notice:local" {
			found[name] = s
		}
	}
	return found
}

func settingsOf(t *testing.T, p *types.Project, name string) app.Settings {
	t.Helper()
	got, err := config.Load(app.Defaults(), config.Source{Env: inContainer(p, p.Services[name])})
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
	return got
}

func TestEverySampleOfSettingsLoads(t *testing.T) {
	p := composed(t, installed(t), "compose.yaml", "compose.sandbox.yaml")
	for name := range ours(p) {
		got := settingsOf(t, p, name)
		if name != "sandbox" {
			user := name
			if name == "setup" {
				user = "admin"
			}
			if len(got.NATS.Passwords) != 1 || got.NATS.Passwords[user] == "" || got.NATS.Replicas != 3 {
				t.Errorf("%s: knows the passwords of %v and wants %d replicas", name, slices.Sorted(maps.Keys(got.NATS.Passwords)), got.NATS.Replicas)
			}
		}
		if stores := slices.Contains([]string{"intake", "scope", "notice"}, name); stores != strings.HasPrefix(got.Database, "postgres://"+name+":") {
			t.Errorf("%s: its database is not that of a role of its own", name)
		}
	}
	if got := settingsOf(t, p, "notice"); got.SendGrid.APIKey == "" || got.SendGrid.EventKey == "" || got.Twilio.AuthToken == "" || got.SendGrid.Host != "http://sandbox:8420" {
		t.Error("notice cannot reach the sandbox")
	}
	if _, err := desk.LoadUsers(settingsOf(t, p, "desk").Users); err != nil {
		t.Error(err)
	}
	orgs, err := organisation.Load(os.DirFS(settingsOf(t, p, "intake").Organisations))
	if err != nil || len(orgs.All()) == 0 {
		t.Errorf("organisations: %v", err)
	}
	sources, err := suite.LoadSources(settingsOf(t, p, "intake").Sources)
	if err != nil || len(sources) == 0 {
		t.Errorf("sources: %v", err)
	}
}

func TestTheSenderTrustsTheApprovalKeyThatTheDeskIsGiven(t *testing.T) {
	p := composed(t, installed(t), "compose.yaml")
	signer, err := seal.LoadSigner(settingsOf(t, p, "desk").Keys.Approval)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := seal.LoadKeyring(settingsOf(t, p, "notice").Keys.Keyring)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := seal.Digest("words")
	if err != nil {
		t.Fatal(err)
	}
	if err := ring.Verify(digest, signer.Sign(digest), time.Now().Add(time.Minute)); err != nil {
		t.Error(err)
	}
}

// images reads the Dockerfile: the programs that are copied into each target.
func images(t *testing.T, dir string) map[string]map[string]bool {
	t.Helper()
	found, target := map[string]map[string]bool{}, ""
	copied := regexp.MustCompile(`^COPY .* /usr/local/bin/(\S+)$`)
	for _, line := range strings.Split(string(read(t, dir, "Dockerfile")), "\n") {
		if _, name, ok := strings.Cut(line, " AS "); ok && strings.HasPrefix(line, "FROM ") {
			target, found[name] = name, map[string]bool{}
		}
		if m := copied.FindStringSubmatch(line); m != nil {
			found[target][m[1]] = true
		}
	}
	return found
}

func TestTheContainersAreThoseOfProduction(t *testing.T) {
	dir := installed(t)
	p := composed(t, dir, "compose.yaml")
	var nodes int
	for name, s := range p.Services {
		if strings.HasPrefix(name, "nats-") {
			nodes++
			for _, variable := range []string{"TOCSIN_NATS_NAME", "TOCSIN_NATS_STORE", "TOCSIN_NATS_ROUTE_3", "TOCSIN_NATS_INTAKE_PASSWORD", "TOCSIN_NATS_CLUSTER_PASSWORD"} {
				if v := s.Environment[variable]; v == nil || *v == "" {
					t.Errorf("%s: %s is not set", name, variable)
				}
			}
		}
		if !s.ReadOnly || !slices.Contains(s.CapDrop, "ALL") {
			t.Errorf("%s may write to its image or keeps capabilities", name)
		}
		for _, port := range s.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s: port %s is open to the network without TLS", name, port.Published)
			}
		}
	}
	if nodes != 3 {
		t.Errorf("%d NATS nodes, want three", nodes)
	}
	only := images(t, dir)
	for _, service := range event.Services() {
		name, target, command := "tocsin", "tocsin", []string{"run", service}
		if service == event.Notice {
			name, target, command = "tocsin-notice", "notice", nil
		}
		s, ok := p.Services[service]
		if !ok || s.Build == nil || s.Build.Target != target || !slices.Equal(s.Command, command) {
			t.Errorf("%s does not run in a container of its own: %v of %+v", service, s.Command, s.Build)
		}
		if !only[target][name] || len(only[target]) != 1 {
			t.Errorf("the image of %s holds the programs %v, want %s alone", service, only[target], name)
		}
		if s.HealthCheck == nil || s.HealthCheck.Disable || !slices.Equal(s.HealthCheck.Test, []string{"CMD", "/usr/local/bin/" + name, "health"}) {
			t.Errorf("%s: nobody looks at its health", service)
		}
	}
	conf, err := os.ReadFile(filepath.Join(dir, "nats", "nats.conf"))
	if err != nil || !regexp.MustCompile(`(?m)^\s*sync_interval: always`).Match(conf) {
		t.Errorf("NATS acknowledges what is not on disk: %v", err)
	}
	for _, variable := range regexp.MustCompile(`\$(TOCSIN_[A-Z0-9_]+)`).FindAllSubmatch(append(conf, read(t, dir, "nats/accounts.conf")...), -1) {
		if v := p.Services["nats-1"].Environment[string(variable[1])]; v == nil || *v == "" {
			t.Errorf("NATS reads $%s, which nobody sets", variable[1])
		}
	}
}

// What compose.yaml tells the operator of a proxy, and what the chart's own
// ingress does, must lead to where the paths are served.
func TestEveryPublicPathLeadsToItsService(t *testing.T) {
	dir := installed(t)
	p := composed(t, dir, "compose.yaml")
	said := map[string]string{}
	for _, m := range regexp.MustCompile(`(/v1/[a-z]+/) → (\d+)`).FindAllSubmatch(read(t, dir, "compose.yaml"), -1) {
		said[string(m[1])] = string(m[2])
	}
	callbacks := settingsOf(t, p, event.Notice).CallbacksListen
	ingress := string(read(t, deployments, "helm/tocsin/templates/ingress.yaml"))
	if !regexp.MustCompile(`path: /v1/receipts/\n.*\n.*-notice, port: \{name: callbacks\}`).MatchString(ingress) {
		t.Error("the chart's ingress does not send /v1/receipts/ to the callbacks of notice")
	}
	for path, want := range map[string]struct{ service, listen string }{
		"/v1/alerts/":   {event.Intake, settingsOf(t, p, event.Intake).Listen},
		"/v1/receipts/": {event.Notice, callbacks},
		"/v1/public/":   {event.Notice, settingsOf(t, p, event.Notice).Listen},
		"/v1/calendar/": {event.Deadline, settingsOf(t, p, event.Deadline).Listen},
	} {
		at := slices.IndexFunc(p.Services[want.service].Ports, func(port types.ServicePortConfig) bool { return port.Published == said[path] })
		if at < 0 || ":"+strconv.Itoa(int(p.Services[want.service].Ports[at].Target)) != want.listen {
			t.Errorf("compose.yaml sends %s to port %q, which is not %s of %s", path, said[path], want.listen, want.service)
		}
		if !strings.Contains(ingress, path) {
			t.Errorf("the chart's ingress does not know %s", path)
		}
	}
}

func TestTheChartSetsOnlySettingsThatExist(t *testing.T) {
	names := regexp.MustCompile(`name: (TOCSIN_[A-Z_]+)`).FindAllSubmatch(read(t, deployments, "helm/tocsin/templates/_names.tpl"), -1)
	if len(names) < 20 {
		t.Fatalf("found only %d settings in the chart", len(names))
	}
	for _, name := range names {
		_, err := config.Load(app.Defaults(), config.Source{Env: []string{string(name[1]) + "=1"}})
		if errors.Is(err, config.ErrUnknownKey) {
			t.Error(err)
		}
	}
}

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestDashboardAndAlertsAskForMetricsThatExist(t *testing.T) {
	known := map[string]bool{}
	for _, name := range []string{telemetry.DutyMargin + "_seconds", telemetry.HandlerDuration + "_seconds_bucket", telemetry.NoticeMessages + "_total",
		telemetry.NoticeRequests + "_total", telemetry.NoticeReceipts + "_total", telemetry.NoticeRefused + "_total",
		telemetry.NoticeCanaries + "_total", telemetry.NoticeTallyMismatch + "_total", telemetry.DeadLetters + "_total"} {
		known[strings.ReplaceAll(name, ".", "_")] = true
	}
	dashboard := read(t, deployments, "grafana/tocsin.json")
	if !json.Valid(dashboard) {
		t.Error("the dashboard is not JSON")
	}
	asked := regexp.MustCompile(`tocsin_[a-z_]+`)
	for file, text := range map[string][]byte{"grafana/tocsin.json": dashboard, "prometheus/alerts.yaml": read(t, deployments, "prometheus/alerts.yaml")} {
		for _, name := range asked.FindAllString(string(text), -1) {
			if !known[name] {
				t.Errorf("%s asks for %s, which nobody measures", file, name)
			}
		}
	}
}

func TestEveryAlertHasItsRunbookAndEveryRunbookItsAlert(t *testing.T) {
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert       string            `yaml:"alert"`
				Annotations map[string]string `yaml:"annotations"`
			} `yaml:"rules"`
		} `yaml:"groups"`
	}
	if err := yaml.Unmarshal(read(t, deployments, "prometheus/alerts.yaml"), &file); err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{"README.md": true}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			named[filepath.Base(r.Annotations["runbook"])] = true
			if text := read(t, deployments, r.Annotations["runbook"]); len(text) < 200 {
				t.Errorf("the runbook of %s says nothing", r.Alert)
			}
		}
	}
	pages, err := os.ReadDir(filepath.Join(deployments, "runbooks"))
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		if !named[page.Name()] {
			t.Errorf("no alert leads to %s", page.Name())
		}
	}
}
