package journal_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/journal"
	"tocsin.dev/pkg/natsd"
)

// cluster is three servers in this process on the files of deployments/nats.
type cluster struct {
	nodes []*server.Server
	urls  string
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	free := func() string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	}
	t.Setenv("TOCSIN_NATS_HOST", "127.0.0.1")
	t.Setenv("TOCSIN_NATS_MONITOR", "127.0.0.1:-1")
	t.Setenv("TOCSIN_NATS_CLUSTER_PASSWORD", "between-nodes")
	for _, u := range append(natsd.Users(), "sys") {
		t.Setenv("TOCSIN_NATS_"+strings.ToUpper(u)+"_PASSWORD", "secret-of-"+u)
	}
	ports := [3]string{free(), free(), free()}
	for i, p := range ports {
		t.Setenv(fmt.Sprintf("TOCSIN_NATS_ROUTE_%d", i+1), "nats://cluster:between-nodes@127.0.0.1:"+p)
	}
	c := &cluster{}
	var urls []string
	for i, p := range ports {
		t.Setenv("TOCSIN_NATS_NAME", fmt.Sprint("nats-", i+1))
		t.Setenv("TOCSIN_NATS_PORT", "-1")
		t.Setenv("TOCSIN_NATS_CLUSTER_PORT", p)
		t.Setenv("TOCSIN_NATS_STORE", t.TempDir())
		opts, err := server.ProcessConfigFile("../../deployments/nats/nats.conf")
		if err != nil {
			t.Fatal(err)
		}
		opts.NoSigs, opts.NoLog = true, true
		ns, err := server.NewServer(opts)
		if err != nil {
			t.Fatal(err)
		}
		ns.Start()
		t.Cleanup(func() { ns.Shutdown(); ns.WaitForShutdown() })
		c.nodes = append(c.nodes, ns)
	}
	for _, ns := range c.nodes {
		if !ns.ReadyForConnections(10 * time.Second) {
			t.Fatal("a node does not serve clients")
		}
		urls = append(urls, ns.ClientURL())
	}
	c.urls = strings.Join(urls, ",")
	return c
}

func (c *cluster) connect(t *testing.T, user string) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(c.urls, natsd.ClientOptions(user, "secret-of-"+user)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// TestAClusterKeepsEveryDecisionWholeWhenItsLeaderIsLost runs three nodes on
// the deployment's own configuration, lets writers compete for one case, and
// takes the stream's leader away in the middle.
func TestAClusterKeepsEveryDecisionWholeWhenItsLeaderIsLost(t *testing.T) {
	if testing.Short() {
		t.Skip("starts three servers")
	}
	c := startCluster(t)
	if err := bus.EnsureStreams(within(t, 60*time.Second), c.connect(t, natsd.Admin), 3); err != nil {
		t.Fatal(err)
	}
	over := func(user string) *journal.Journal {
		j, err := journal.New(c.connect(t, user), journal.Config{Timeout: 30 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		return j
	}
	if _, err := over(event.Intake).Append(within(t, 10*time.Second), org, number, 0, declared(t, number)); !errors.Is(err, bus.ErrForbidden) {
		t.Errorf("intake declared a case in the cluster: %v", err)
	}
	mustAppend(t, over(event.Desk), number, 0, declared(t, number))
	const writers, each = 4, 12
	var appended atomic.Int32
	var wg sync.WaitGroup
	for w := range writers {
		j := over(event.Desk)
		wg.Go(func() {
			for i := range each {
				if err := insist(j, fact(t, number, fmt.Sprintf("%d-%d-a", w, i)), fact(t, number, fmt.Sprintf("%d-%d-b", w, i))); err != nil {
					t.Error(err)
					return
				}
				if appended.Add(1) == writers*each/2 {
					c.stopLeader(t)
				}
			}
		})
	}
	wg.Wait()
	entries, err := over(event.Scope).Entries(within(t, 30*time.Second), org, number)
	if err != nil || len(entries) != 1+2*writers*each {
		t.Fatalf("the journal holds %d events (%v), want %d", len(entries), err, 1+2*writers*each)
	}
	for i := 1; i < len(entries); i += 2 {
		if a, b := value(t, entries[i]), value(t, entries[i+1]); strings.TrimSuffix(a, "-a") != strings.TrimSuffix(b, "-b") {
			t.Errorf("the decision %q was torn apart by %q", a, b)
		}
	}
}

// insist appends after whatever the case holds until nobody else came first.
func insist(j *journal.Journal, events ...event.Event) error {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	for {
		c, err := j.Load(ctx, org, number)
		if err != nil {
			return err
		}
		if _, err = j.Append(ctx, org, number, c.Seq, events...); !errors.Is(err, journal.ErrConflict) {
			return err
		}
	}
}

func (c *cluster) stopLeader(t *testing.T) {
	for _, ns := range c.nodes {
		if ns.JetStreamIsStreamLeader("TOCSIN", event.StreamCases) {
			ns.Shutdown()
			return
		}
	}
	t.Error("no node leads the journal")
}
