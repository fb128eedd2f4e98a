package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/natsd"
	"tocsin.dev/pkg/process"
)

// connectTimeout bounds how long a starting process waits for a NATS cluster.
const connectTimeout = 30 * time.Second

// addNATS starts the embedded server and makes its streams, unless the
// settings name a cluster; there Setup makes them once.
func (a *App) addNATS() {
	if a.Settings.NATS.URL != "" {
		return
	}
	a.parts.Add(process.Part{
		Name: "nats",
		Start: func(ctx context.Context) (err error) {
			a.NATS, err = natsd.Start(ctx, natsd.Config{
				Dir: filepath.Join(a.Settings.DataDir, "nats"), Listen: a.Settings.NATS.Listen, Users: a.Settings.NATS.Passwords, Log: a.Log})
			if err != nil {
				return err
			}
			return a.makeStreams(ctx)
		},
		Stop: func(context.Context) error { a.NATS.Close(); return nil },
	})
}

// makeStreams makes the streams of the embedded server, unless an earlier start
// has made the same and all are there: nobody else changes them, and a dozen
// updates that change nothing would be half of what a start costs.
func (a *App) makeStreams(ctx context.Context) error {
	file := filepath.Join(a.Settings.DataDir, "nats", "streams")
	want, err := a.streams()
	if err != nil {
		return err
	}
	if made, err := os.ReadFile(file); err == nil && string(made) == want {
		return nil
	}
	admin, err := a.NATS.Connect(natsd.Admin)
	if err != nil {
		return err
	}
	defer admin.Close()
	if err := bus.EnsureStreams(ctx, admin, 1); err != nil {
		return err
	}
	if want, err = a.streams(); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(want), 0o600)
}

// streams names what streams the program wants and says how many there are.
func (a *App) streams() (string, error) {
	n, err := a.NATS.Streams()
	return fmt.Sprintf("%s %d\n", bus.StreamsDigest(1), n), err
}

// connect opens a service's own connection, as its own user.
func (a *App) connect(ctx context.Context, user string) (*nats.Conn, error) {
	if a.NATS != nil {
		return a.NATS.Connect(user)
	}
	return dial(ctx, a.Settings.NATS, user)
}

func dial(ctx context.Context, s NATS, user string) (*nats.Conn, error) {
	password := s.Passwords[user]
	if password == "" {
		return nil, fmt.Errorf("nats.passwords.%s: the password of this user is missing", user)
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	for {
		nc, err := nats.Connect(s.URL, natsd.ClientOptions(user, password)...)
		if err == nil {
			return nc, nil
		}
		if errors.Is(err, nats.ErrAuthorization) {
			return nil, fmt.Errorf("connect to NATS at %s as %s: the password is refused", s.URL, user)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("connect to NATS at %s as %s: %w", s.URL, user, err)
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// Setup makes or updates the streams and buckets of a cluster, as its admin.
func Setup(ctx context.Context, s Settings) error {
	if s.NATS.URL == "" {
		return errors.New("nats.url is empty; the embedded server needs no setup")
	}
	nc, err := dial(ctx, s.NATS, natsd.Admin)
	if err != nil {
		return err
	}
	defer nc.Close()
	return bus.EnsureStreams(ctx, nc, s.NATS.Replicas)
}
