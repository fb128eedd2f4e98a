// Package bustest gives tests a real NATS server in the same process, with the
// production streams, users and permissions.
package bustest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/natsd"
)

// Server is a NATS server that ends with its test.
type Server struct {
	*natsd.Server
	// Dir is the data folder.
	Dir string
}

// Start runs a server on a temporary folder with every stream made. It is
// closed when the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	dir := t.TempDir()
	s := Open(t, dir)
	nc := s.Connect(t, natsd.Admin)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := bus.EnsureStreams(ctx, nc, 1); err != nil {
		t.Fatal(err)
	}
	return s
}

// Open runs a server on a data folder that may hold data already, and makes no
// streams. It is closed when the test ends, or earlier by Close.
func Open(t testing.TB, dir string) *Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	srv, err := natsd.Start(ctx, natsd.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	return &Server{Server: srv, Dir: dir}
}

// Part is what runs until its context ends and says when it is ready.
type Part interface {
	Run(ctx context.Context) error
	Ready() <-chan struct{}
}

// Run starts a part, waits until it is ready and returns how to stop it, which
// waits until it has ended and fails the test if it ended with an error. It
// stops at the latest when the test ends.
func Run(t testing.TB, p Part) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	select {
	case <-p.Ready():
	case err := <-ended:
		ended <- err
		t.Fatalf("%T ended before it was ready: %v", p, err)
	case <-time.After(10 * time.Second):
		t.Fatalf("%T was not ready in time", p)
	}
	return stop
}

// Connect opens an in-process connection as a service or as the admin; it is
// closed when the test ends.
func (s *Server) Connect(t testing.TB, user string) *nats.Conn {
	t.Helper()
	nc, err := s.Server.Connect(user)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}
