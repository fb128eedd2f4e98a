package natsd_test

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/natsd"
)

func start(t *testing.T, cfg natsd.Config) *natsd.Server {
	t.Helper()
	s, err := natsd.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func connect(t *testing.T, s *natsd.Server, user string) *nats.Conn {
	t.Helper()
	nc, err := s.Connect(user)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

const accountsFile = "../../deployments/nats/accounts.conf"

func TestTheClusterReadsTheSamePermissions(t *testing.T) {
	if os.Getenv("TOCSIN_WRITE_ACCOUNTS") != "" {
		if err := os.WriteFile(accountsFile, []byte(natsd.Accounts()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(accountsFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(natsd.Accounts(), string(got)); diff != "" {
		t.Errorf("%s is not what the table gives; run this test with TOCSIN_WRITE_ACCOUNTS=1 (-table +file):\n%s", accountsFile, diff)
	}
}

func TestTheClusterConfigurationLoadsAndSyncsAlways(t *testing.T) {
	env := map[string]string{
		"TOCSIN_NATS_NAME": "nats-1", "TOCSIN_NATS_HOST": "127.0.0.1", "TOCSIN_NATS_PORT": "4222",
		"TOCSIN_NATS_CLUSTER_PORT": "6222", "TOCSIN_NATS_MONITOR": "127.0.0.1:8222", "TOCSIN_NATS_STORE": t.TempDir(),
		"TOCSIN_NATS_CLUSTER_PASSWORD": "between-nodes",
		"TOCSIN_NATS_ROUTE_1":          "nats://cluster:between-nodes@127.0.0.1:6222",
		"TOCSIN_NATS_ROUTE_2":          "nats://cluster:between-nodes@127.0.0.2:6222",
		"TOCSIN_NATS_ROUTE_3":          "nats://cluster:between-nodes@127.0.0.3:6222",
	}
	for _, u := range append(natsd.Users(), "sys") {
		env["TOCSIN_NATS_"+strings.ToUpper(u)+"_PASSWORD"] = "secret-of-" + u
	}
	for k, v := range env {
		t.Setenv(k, v)
	}
	opts, err := server.ProcessConfigFile("../../deployments/nats/nats.conf")
	if err != nil {
		t.Fatal(err)
	}
	if !opts.SyncAlways || opts.JetStreamDomain != "tocsin" || len(opts.Routes) != 3 || opts.SystemAccount != "SYS" {
		t.Errorf("sync always %v, domain %q, %d routes, system account %q", opts.SyncAlways, opts.JetStreamDomain, len(opts.Routes), opts.SystemAccount)
	}
	users := map[string]*server.User{}
	for _, u := range opts.Users {
		users[u.Username] = u
	}
	for _, g := range natsd.Grants() {
		u := users[g.User]
		if u == nil || u.Password != "secret-of-"+g.User {
			t.Fatalf("user %s is missing or has another password", g.User)
		}
		if diff := cmp.Diff(g.Publish, u.Permissions.Publish.Allow); diff != "" {
			t.Errorf("%s may publish (-table +server):\n%s", g.User, diff)
		}
		if diff := cmp.Diff(g.Subscribe, u.Permissions.Subscribe.Allow); diff != "" {
			t.Errorf("%s may subscribe (-table +server):\n%s", g.User, diff)
		}
	}
}

func TestAServiceMayPublishOnlyTheEventsItSays(t *testing.T) {
	for _, g := range natsd.Grants() {
		says := map[string]bool{}
		for _, ty := range event.Says(g.User) {
			says["tocsin.case.*.*."+string(ty)] = true
		}
		for _, p := range g.Publish {
			if strings.HasPrefix(p, "tocsin.case.") && !says[p] {
				t.Errorf("%s may publish %s, which it does not say", g.User, p)
			}
			delete(says, p)
			if p == ">" || strings.Contains(p, "STREAM.PURGE") || strings.Contains(p, "STREAM.DELETE") || strings.Contains(p, "STREAM.UPDATE") || strings.Contains(p, "STREAM.CREATE") {
				t.Errorf("%s may publish %s", g.User, p)
			}
		}
		if len(says) != 0 {
			t.Errorf("%s may not publish %v, which it says", g.User, says)
		}
	}
}

func TestOnlyNoticeMayAskForContacts(t *testing.T) {
	for _, g := range natsd.Grants() {
		for _, p := range g.Publish {
			if p == event.AskContacts && g.User != event.Notice {
				t.Errorf("%s may ask for contacts", g.User)
			}
		}
	}
}

func TestNoServiceHearsTheAnswersToAnother(t *testing.T) {
	s := start(t, natsd.Config{Dir: t.TempDir()})
	refused := make(chan error, 1)
	nc := connect(t, s, event.Intake)
	nc.SetErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err })
	if _, err := nc.SubscribeSync("_INBOX_notice.>"); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-refused:
		if !errors.Is(err, nats.ErrPermissionViolation) {
			t.Errorf("got %v, want a permission violation", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("intake may listen to the answers of notice")
	}
}

func TestASecondServerOnTheSameFolderIsRefusedClearly(t *testing.T) {
	dir := t.TempDir()
	start(t, natsd.Config{Dir: dir})
	_, err := natsd.Start(t.Context(), natsd.Config{Dir: dir})
	if !errors.Is(err, natsd.ErrDataInUse) || !strings.Contains(err.Error(), dir) {
		t.Errorf("got %v, want ErrDataInUse naming %s", err, dir)
	}
}

func TestATakenPortIsRefusedClearly(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = natsd.Start(t.Context(), natsd.Config{Dir: t.TempDir(), Listen: l.Addr().String()})
	if !errors.Is(err, natsd.ErrPortInUse) || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("got %v, want ErrPortInUse naming %s", err, l.Addr())
	}
}

func TestABadListenAddressIsNamed(t *testing.T) {
	for _, a := range []string{"4222", "localhost:nats"} {
		if _, err := natsd.Start(t.Context(), natsd.Config{Dir: t.TempDir(), Listen: a}); err == nil || !strings.Contains(err.Error(), a) {
			t.Errorf("listen on %q: %v; want an error naming it", a, err)
		}
	}
}

func TestNothingListensUnlessAsked(t *testing.T) {
	if a := start(t, natsd.Config{Dir: t.TempDir()}).Address(); a != "" {
		t.Errorf("the server listens on %s", a)
	}
}

func TestAListeningServerTakesOnlyItsOwnPasswords(t *testing.T) {
	s := start(t, natsd.Config{Dir: t.TempDir(), Listen: "127.0.0.1:0", Users: map[string]string{event.Desk: "1e5"}})
	url := "nats://" + s.Address()
	nc, err := nats.Connect(url, natsd.ClientOptions(event.Desk, "1e5")...)
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
	if _, err := nats.Connect(url, nats.UserInfo(event.Desk, "wrong")); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("a wrong password gave %v, want an authorization error", err)
	}
	if _, err := nats.Connect(url); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("no password gave %v, want an authorization error", err)
	}
}

func TestAnUnknownUserIsNamed(t *testing.T) {
	s := start(t, natsd.Config{Dir: t.TempDir()})
	if _, err := s.Connect("billing"); err == nil || !strings.Contains(err.Error(), "billing") {
		t.Errorf("got %v, want an error naming the user", err)
	}
}

func TestDataOutlivesTheServer(t *testing.T) {
	dir := t.TempDir()
	s := start(t, natsd.Config{Dir: dir})
	js, err := jetstream.New(connect(t, s, natsd.Admin))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "s", []byte("kept")); err != nil {
		t.Fatal(err)
	}
	s.Close()
	js, err = jetstream.New(connect(t, start(t, natsd.Config{Dir: dir}), natsd.Admin))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "S")
	if err != nil {
		t.Fatal(err)
	}
	m, err := stream.GetMsg(t.Context(), 1)
	if err != nil || string(m.Data) != "kept" {
		t.Errorf("the message was not there after the restart: %v", err)
	}
}

// TestAcknowledgedDataOutlivesAKilledProcess runs this test binary again as a
// server, lets it acknowledge messages, kills it, and opens the folder here.
func TestAcknowledgedDataOutlivesAKilledProcess(t *testing.T) {
	if dir := os.Getenv("TOCSIN_TEST_KILLED"); dir != "" {
		serveUntilKilled(t, dir)
		return
	}
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), "TOCSIN_TEST_KILLED="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64)
	n, _ := out.Read(buf)
	if !strings.HasPrefix(string(buf[:n]), "stored") {
		t.Fatalf("the child said %q", buf[:n])
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	js, err := jetstream.New(connect(t, start(t, natsd.Config{Dir: dir}), natsd.Admin))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "S")
	if err != nil {
		t.Fatal(err)
	}
	if info, err := stream.Info(t.Context()); err != nil || info.State.Msgs != 20 {
		t.Errorf("%d messages survived (%v), want 20", info.State.Msgs, err)
	}
}

func serveUntilKilled(t *testing.T, dir string) {
	s := start(t, natsd.Config{Dir: dir, Log: slog.New(slog.DiscardHandler)})
	js, err := jetstream.New(connect(t, s, natsd.Admin))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if _, err := js.Publish(t.Context(), "s", []byte("acknowledged")); err != nil {
			t.Fatal(err)
		}
	}
	_, _ = os.Stdout.WriteString("stored\n")
	<-t.Context().Done() // until killed
}

func TestAnUnwritableFolderIsNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := natsd.Start(t.Context(), natsd.Config{Dir: filepath.Join(file, "data")}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("got %v, want an error naming %s", err, file)
	}
}
