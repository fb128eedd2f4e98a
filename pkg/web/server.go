package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

// The limits of every server. A handler that streams longer than WriteTimeout
// moves its deadline with http.ResponseController.
const (
	ReadHeaderTimeout = 5 * time.Second
	ReadTimeout       = 30 * time.Second
	WriteTimeout      = 60 * time.Second
	IdleTimeout       = 2 * time.Minute
	MaxHeaderBytes    = 32 << 10
	// Grace is how long a stopping server waits for requests in work.
	Grace = 10 * time.Second
)

// ErrPortInUse means that another program listens on the address.
var ErrPortInUse = errors.New("address already in use")

// Server listens on addr ("127.0.0.1:8080", ":0") and serves until ctx ends.
func Server(ctx context.Context, addr string, h http.Handler, log *slog.Logger) error {
	ln, err := Listen(ctx, addr)
	if err != nil {
		return err
	}
	return Serve(ctx, ln, h, log)
}

// Listen opens addr. Its errors say which address and what to do.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	switch {
	case err == nil:
		return ln, nil
	case errors.Is(err, syscall.EADDRINUSE):
		_, port, _ := net.SplitHostPort(addr)
		return nil, fmt.Errorf("listen on %s: port %s is taken by another program; stop it or choose another port: %w", addr, port, ErrPortInUse)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("listen on %s: ports below 1024 need a privilege; choose a higher port: %w", addr, err)
	}
	return nil, fmt.Errorf("listen on %s: %w", addr, err)
}

// FreeAddress returns an address of this machine, host:port, that nobody
// listened on a moment ago, for a process that must know its own beforehand. It
// returns none twice, though whoever asked may be slow to listen.
func FreeAddress() (string, error) {
	for {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", fmt.Errorf("find a free port: %w", err)
		}
		address := ln.Addr().String()
		if err := ln.Close(); err != nil {
			return "", fmt.Errorf("find a free port: %w", err)
		}
		if _, taken := given.LoadOrStore(address, true); !taken {
			return address, nil
		}
	}
}

var given sync.Map //nolint:gochecknoglobals // what a process has given away

// Serve serves h on ln until ctx ends, then stops: no new connections, up to
// Grace for the requests in work, then their connections are cut. A clean stop
// returns nil. Requests keep their context while they finish; those that would
// never end by themselves watch Stopping.
func Serve(ctx context.Context, ln net.Listener, h http.Handler, log *slog.Logger) error {
	return serve(ctx, ln, h, log, Grace)
}

func serve(ctx context.Context, ln net.Listener, h http.Handler, log *slog.Logger, grace time.Duration) error {
	base, cut := context.WithCancel(context.WithValue(context.WithoutCancel(ctx), stoppingKey{}, ctx.Done()))
	defer cut()
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: ReadHeaderTimeout,
		ReadTimeout:       ReadTimeout,
		WriteTimeout:      WriteTimeout,
		IdleTimeout:       IdleTimeout,
		MaxHeaderBytes:    MaxHeaderBytes,
		BaseContext:       func(net.Listener) context.Context { return base },
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(ln) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve on %s: %w", ln.Addr(), err)
	case <-ctx.Done():
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	err := srv.Shutdown(bounded)
	if errors.Is(err, context.DeadlineExceeded) {
		log.WarnContext(ctx, "requests cut off at stop", "grace", grace.String())
		cut()
		err = srv.Close()
	}
	<-failed //nolint:errcheck // always http.ErrServerClosed by now
	if err != nil {
		return fmt.Errorf("stop server on %s: %w", ln.Addr(), err)
	}
	return nil
}

type stoppingKey struct{}

// Stopping returns a channel that is closed when the server of this request
// begins to stop. An event stream ends itself then; otherwise it would hold up
// the stop for the whole of Grace. Outside of Serve the channel never closes.
func Stopping(ctx context.Context) <-chan struct{} {
	done, _ := ctx.Value(stoppingKey{}).(<-chan struct{})
	return done
}
