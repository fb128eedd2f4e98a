package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"tocsin.dev/pkg/event"
)

// Config is what a bus needs of its service.
type Config struct {
	// Service is the name of the service: its NATS user, the prefix of its
	// handlers and the queue group of its answers.
	Service string
	// Log, Tracer and Meter may be nil.
	Log    *slog.Logger
	Tracer trace.TracerProvider
	Meter  metric.MeterProvider
	// Now is the clock of dead letters; nil means time.Now.
	Now func() time.Time
	// Grace is how long handlers may go on after Run's context ends; 0 means 8 s.
	Grace time.Duration
}

// Defaults of a Handler.
const (
	defaultWorkers       = 4
	maxWorkers           = 256
	defaultAckWait       = 30 * time.Second
	defaultMaxDeliveries = 10
	defaultGrace         = 8 * time.Second
)

// Handler says what to do with the messages of a subject.
type Handler struct {
	// Name is unique within the service; the durable consumer is <service>-<Name>.
	Name string
	// Stream and Subject say which messages; Subject may hold wildcards.
	Stream  string
	Subject string
	// Workers is how many messages are in work at once in this process; 0 means 4.
	Workers int
	// AckWait is how long the server waits for a sign of life before it gives
	// the message to another; 0 means 30 s. A running handler gives that sign.
	AckWait time.Duration
	// MaxDeliveries is after how many deliveries a failing message is parked; 0 means 10.
	MaxDeliveries int
	// Timeout ends the context of one run; 0 means ten times AckWait.
	Timeout time.Duration
	// Backoff is the pause after n deliveries; nil means 0.5 s doubled up to 2 minutes.
	Backoff func(deliveries uint64) time.Duration
	// Do handles one message and may run twice for it. An error means again
	// later; Permanent(err) means never.
	Do func(ctx context.Context, m *message.Message) error
}

// Bus is one service's connection to the others. Handlers and answers are
// registered before Run.
type Bus struct {
	cfg      Config
	nc       *nats.Conn
	js       jetstream.JetStream
	refusals *Refusals
	pub      *publisher
	tracer   trace.Tracer
	meters   meters

	mu       sync.Mutex
	handlers []Handler
	answers  []answer
	running  bool
	ready    chan struct{}
}

// New returns a bus over a connection, which stays the caller's to close after
// Run has returned.
func New(nc *nats.Conn, cfg Config) (*Bus, error) {
	if nc == nil || cfg.Service == "" {
		return nil, errors.New("open the bus: a NATS connection and the service's name are needed")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Tracer == nil {
		cfg.Tracer = tracenoop.NewTracerProvider()
	}
	if cfg.Meter == nil {
		cfg.Meter = metricnoop.NewMeterProvider()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Grace <= 0 {
		cfg.Grace = defaultGrace
	}
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncTimeout(publishTimeout))
	if err != nil {
		return nil, fmt.Errorf("open the bus: %w", err)
	}
	logErrors(nc, cfg.Log)
	b := &Bus{
		cfg: cfg, nc: nc, js: js, refusals: WatchRefusals(nc),
		tracer: cfg.Tracer.Tracer("tocsin.dev/pkg/bus"), ready: make(chan struct{}),
	}
	b.pub = &publisher{js: js, refusals: b.refusals}
	if b.meters, err = newMeters(cfg.Meter); err != nil {
		return nil, fmt.Errorf("open the bus: %w", err)
	}
	Answer(b, event.AskDead(cfg.Service), b.takeUp)
	return b, nil
}

// logErrors logs what a connection reports apart from any call. An error
// handler that is already set keeps being called.
func logErrors(nc *nats.Conn, log *slog.Logger) {
	previous := nc.ErrorHandler()
	nc.SetErrorHandler(func(nc *nats.Conn, sub *nats.Subscription, err error) {
		log.Warn("NATS connection", "error", err)
		if previous != nil {
			previous(nc, sub, err)
		}
	})
}

// Tracer returns the provider that the bus was given, never nil.
func (b *Bus) Tracer() trace.TracerProvider { return b.cfg.Tracer }

// JetStream returns the JetStream client of the bus for buckets and objects.
func (b *Bus) JetStream() jetstream.JetStream { return b.js }

// Publish stores a message on a stream's subject and returns when it is safe.
// A second message with the same id within the stream's window is dropped by
// the server, so a repeat is harmless. It returns ErrForbidden at once if this
// service may not publish there.
func (b *Bus) Publish(ctx context.Context, subject, id string, payload []byte) error {
	if subject == "" || id == "" || strings.ContainsAny(subject, " \t\r\n*>") {
		return fmt.Errorf("publish on %q with id %q: want a subject without wildcards and an id", subject, id)
	}
	m := &nats.Msg{Subject: subject, Data: payload, Header: nats.Header{}}
	Inject(ctx, m.Header)
	m.Header.Set(jetstream.MsgIDHeader, id)
	return b.pub.store(ctx, m)
}

// Handle registers a handler. It panics on a handler that could never run,
// since that is a mistake in the program, and must be called before Run.
func (b *Bus) Handle(h Handler) {
	switch {
	case !event.ValidToken(h.Name) || h.Stream == "" || h.Subject == "" || h.Do == nil:
		panic(fmt.Sprintf("bus: handler %q of %s needs a name, a stream, a subject and something to do", h.Name, b.cfg.Service))
	case h.Workers > maxWorkers:
		panic(fmt.Sprintf("bus: handler %q of %s asks for %d workers; at most %d", h.Name, b.cfg.Service, h.Workers, maxWorkers))
	}
	if h.Workers <= 0 {
		h.Workers = defaultWorkers
	}
	if h.AckWait <= 0 {
		h.AckWait = defaultAckWait
	}
	if h.MaxDeliveries <= 0 {
		h.MaxDeliveries = defaultMaxDeliveries
	}
	if h.Timeout <= 0 {
		h.Timeout = 10 * h.AckWait
	}
	if h.Backoff == nil {
		h.Backoff = Backoff
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, other := range b.handlers {
		if other.Name == h.Name {
			panic(fmt.Sprintf("bus: two handlers named %q in %s", h.Name, b.cfg.Service))
		}
	}
	b.mustNotRun("handler " + h.Name)
	b.handlers = append(b.handlers, h)
}

func (b *Bus) mustNotRun(what string) {
	if b.running {
		panic(fmt.Sprintf("bus: %s of %s registered after Run", what, b.cfg.Service))
	}
}

// Backoff is the default pause after n deliveries: half a second, doubled each
// time, at most two minutes.
func Backoff(n uint64) time.Duration {
	const first, most = 500 * time.Millisecond, 2 * time.Minute
	if n < 1 {
		n = 1
	}
	if n > 9 {
		return most
	}
	return min(first<<(n-1), most)
}

// Ready is closed once Run has subscribed everything.
func (b *Bus) Ready() <-chan struct{} { return b.ready }

// Run handles messages and answers questions until ctx ends, then waits for
// what is in work, at most the grace, and returns nil. It runs once.
func (b *Bus) Run(ctx context.Context) error {
	b.mu.Lock()
	b.mustNotRun("Run")
	b.running = true
	handlers, answers := b.handlers, b.answers
	b.mu.Unlock()

	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: b.cfg.Grace + time.Second}, quiet{b.cfg.Log})
	if err != nil {
		return fmt.Errorf("run the bus of %s: %w", b.cfg.Service, err)
	}
	for _, h := range handlers {
		b.route(router, h)
	}
	stop, err := b.serve(ctx, answers)
	if err != nil {
		return err
	}
	defer stop()
	if len(handlers) == 0 {
		close(b.ready)
		<-ctx.Done()
		return nil
	}
	go func() {
		select {
		case <-router.Running():
			close(b.ready)
		case <-ctx.Done():
		}
	}()
	if err := router.Run(ctx); err != nil && ctx.Err() == nil {
		return fmt.Errorf("run the bus of %s: %w", b.cfg.Service, err)
	}
	return nil
}

// route puts a handler on the router. The order from the outside in: parking,
// recoverer, trace, metrics, timeout, handler. Errors go back to the server.
func (b *Bus) route(router *message.Router, h Handler) {
	name := b.cfg.Service + "-" + h.Name
	sub := newSubscriber(b.js, subscriberConfig{
		consumer: func(string) (string, string) { return h.Stream, name },
		workers:  h.Workers, ackWait: h.AckWait, backoff: h.Backoff,
		grace: b.cfg.Grace, log: b.cfg.Log,
	})
	do := h.Do
	r := router.AddConsumerHandler(name, h.Subject, sub, func(m *message.Message) error { return do(m.Context(), m) })
	r.AddMiddleware(b.forMe(name), b.park(name, h), recoverer, b.traced(name, h), b.measured(name), timeout(h.Timeout))
}

// quiet passes Watermill's log on, its chatter at debug level.
type quiet struct{ log *slog.Logger }

func (q quiet) Error(msg string, err error, f watermill.LogFields) {
	q.log.Error(msg, append(attrs(f), "error", err)...)
}
func (q quiet) Info(msg string, f watermill.LogFields) { q.log.Debug(msg, attrs(f)...) }
func (q quiet) Debug(string, watermill.LogFields)      {}
func (q quiet) Trace(string, watermill.LogFields)      {}
func (q quiet) With(f watermill.LogFields) watermill.LoggerAdapter {
	return quiet{q.log.With(attrs(f)...)}
}

func attrs(f watermill.LogFields) []any {
	all := make([]any, 0, 2*len(f)+2)
	for k, v := range f {
		all = append(all, k, v)
	}
	return all
}
