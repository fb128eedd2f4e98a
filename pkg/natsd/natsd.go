package natsd

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"tocsin.dev/pkg/event"
)

// Config says how the embedded server runs.
type Config struct {
	// Dir is the data folder; it is created, and locked while the server runs.
	Dir string
	// Listen is an optional host:port for clients of other processes. Empty
	// means that only this process can connect.
	Listen string
	// Users maps a user to its password. Users that are missing get a random
	// password for this run.
	Users map[string]string
	// Log receives warnings and errors of the server; nil discards them.
	Log *slog.Logger
}

// Errors of Start that a caller may want to tell apart.
var (
	// ErrDataInUse means that another process has locked the data folder.
	ErrDataInUse = errors.New("the NATS data folder is in use by another process")
	// ErrPortInUse means that the listen address is taken.
	ErrPortInUse = errors.New("the NATS listen address is in use")
)

const startTimeout = 30 * time.Second

// Server is a running embedded NATS server.
type Server struct {
	ns    *server.Server
	users map[string]string
	lock  *os.File
}

// Start runs a server on the data folder and returns once it serves clients
// and JetStream. It fails with ErrDataInUse or ErrPortInUse when it would
// share either with another process.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	if cfg.Dir == "" {
		return nil, errors.New("start NATS: no data folder given")
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("start NATS: make the data folder: %w", err)
	}
	lock, err := lockFile(filepath.Join(cfg.Dir, "nats.lock"))
	if err != nil {
		return nil, fmt.Errorf("start NATS on %s: %w", cfg.Dir, err)
	}
	s := &Server{users: passwords(cfg.Users), lock: lock}
	if err := s.start(ctx, cfg); err != nil {
		s.Close()
		return nil, fmt.Errorf("start NATS on %s: %w", cfg.Dir, err)
	}
	return s, nil
}

func (s *Server) start(ctx context.Context, cfg Config) error {
	opts, err := s.options(cfg)
	if err != nil {
		return err
	}
	ns, err := server.NewServer(opts)
	if err != nil {
		return err
	}
	logs := &logger{log: cfg.Log, fatal: make(chan string, 1)}
	if cfg.Log == nil {
		logs.log = slog.New(slog.DiscardHandler)
	}
	ns.SetLoggerV2(logs, false, false, false)
	s.ns = ns
	ns.Start()
	return s.ready(ctx, logs)
}

// ready waits until in-process clients and JetStream are served.
func (s *Server) ready(ctx context.Context, logs *logger) error {
	deadline := time.NewTimer(startTimeout)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		if s.ns.ReadyForConnections(time.Millisecond) && s.ns.JetStreamEnabled() {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case reason := <-logs.fatal:
			return errors.New(reason)
		case <-deadline.C:
			return fmt.Errorf("not ready after %v", startTimeout)
		case <-tick.C:
		}
	}
}

// options builds the server options from the text that a cluster would read.
func (s *Server) options(cfg Config) (*server.Options, error) {
	var b strings.Builder
	for user, password := range s.users {
		fmt.Fprintf(&b, "%s: %q\n", passwordVariable(user), password)
	}
	fmt.Fprintf(&b, "server_name: tocsin\njetstream { store_dir: %q, domain: tocsin, sync_interval: always }\n", cfg.Dir)
	b.WriteString(Accounts())
	opts := &server.Options{}
	if err := opts.ProcessConfigString(b.String()); err != nil {
		return nil, fmt.Errorf("read the server configuration: %w", err)
	}
	opts.NoSigs = true
	opts.DontListen = cfg.Listen == ""
	if cfg.Listen != "" {
		if err := listen(opts, cfg.Listen); err != nil {
			return nil, err
		}
	}
	return opts, nil
}

func listen(opts *server.Options, address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("listen address %q: want host:port: %w", address, err)
	}
	if opts.Port, err = strconv.Atoi(port); err != nil {
		return fmt.Errorf("listen address %q: want a number after the colon", address)
	}
	opts.Host = host
	if opts.Port == 0 {
		opts.Port = server.RANDOM_PORT
		return nil
	}
	probe, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("%w: %s (%w)", ErrPortInUse, address, err)
	}
	return probe.Close()
}

// Connect opens an in-process connection as a service or as Admin. It
// reconnects for ever; the caller closes it.
func (s *Server) Connect(user string) (*nats.Conn, error) {
	password, ok := s.users[user]
	if !ok {
		return nil, fmt.Errorf("connect to NATS: no user %q; want one of %s", user, strings.Join(Users(), ", "))
	}
	nc, err := nats.Connect("", append(ClientOptions(user, password), nats.InProcessServer(s.ns))...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS as %s: %w", user, err)
	}
	return nc, nil
}

// ClientOptions returns the connection options that every client of Tocsin
// needs, whether embedded or in a cluster: credentials, its own inbox prefix,
// and reconnecting without end.
func ClientOptions(user, password string) []nats.Option {
	return []nats.Option{
		nats.Name("tocsin-" + user),
		nats.UserInfo(user, password),
		nats.CustomInboxPrefix(inboxPrefix(user)),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(250 * time.Millisecond),
		nats.IgnoreAuthErrorAbort(),
		// The client's own handler prints to standard error; the bus logs instead.
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}),
	}
}

// Users lists the users of the bus: the services and the admin.
func Users() []string { return append(event.Services(), Admin) }

// Address returns the address on which the server listens, or "" if it does not.
func (s *Server) Address() string {
	if a := s.ns.Addr(); a != nil {
		return a.String()
	}
	return ""
}

// Streams returns how many streams the server has, those of buckets among them.
func (s *Server) Streams() (int, error) {
	info, err := s.ns.Jsz(nil)
	if err != nil {
		return 0, fmt.Errorf("count streams: %w", err)
	}
	return info.Streams, nil
}

// Close stops the server, waits until its files are written, and unlocks the
// data folder. It may be called twice.
func (s *Server) Close() {
	if s.ns != nil {
		s.ns.Shutdown()
		s.ns.WaitForShutdown()
	}
	if s.lock != nil {
		_ = s.lock.Close()
		s.lock = nil
	}
}

func passwords(given map[string]string) map[string]string {
	all := map[string]string{}
	for _, u := range append(Users(), sysUser) {
		if all[u] = given[u]; all[u] == "" {
			all[u] = randomPassword()
		}
	}
	return all
}

func randomPassword() string {
	var b [24]byte
	_, _ = rand.Read(b[:]) // crypto/rand never fails
	return hex.EncodeToString(b[:])
}

// logger passes the server's warnings and errors on. A fatal error of the
// server ends Start instead of the process.
type logger struct {
	log   *slog.Logger
	fatal chan string
}

func (l *logger) Noticef(format string, v ...any) {
	l.log.Debug(fmt.Sprintf(format, v...), "component", "nats")
}

// Warnf passes on all but the advice to hash passwords: those of the embedded
// server are random, made for this run, and stand in no file.
func (l *logger) Warnf(format string, v ...any) {
	if text := fmt.Sprintf(format, v...); !strings.HasPrefix(text, "Plaintext passwords detected") {
		l.log.Warn(text, "component", "nats")
	}
}

func (l *logger) Errorf(format string, v ...any) {
	l.log.Error(fmt.Sprintf(format, v...), "component", "nats")
}
func (l *logger) Debugf(string, ...any) {}
func (l *logger) Tracef(string, ...any) {}
func (l *logger) Fatalf(format string, v ...any) {
	l.Errorf(format, v...)
	select {
	case l.fatal <- fmt.Sprintf(format, v...):
	default:
	}
}
