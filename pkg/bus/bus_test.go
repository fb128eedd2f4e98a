package bus_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/goleak"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/bus/bustest"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/natsd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func newBus(t testing.TB, srv *bustest.Server, service string, change ...func(*bus.Config)) *bus.Bus {
	t.Helper()
	cfg := bus.Config{Service: service, Log: slog.New(slog.DiscardHandler)}
	for _, c := range change {
		c(&cfg)
	}
	b, err := bus.New(srv.Connect(t, service), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func soon(uint64) time.Duration { return time.Millisecond }

func TestASlowHandlerRunsOnceForEveryMessage(t *testing.T) {
	srv := bustest.Start(t)
	b := newBus(t, srv, event.Intake)
	var runs sync.Map
	var done atomic.Int32
	finished := make(chan struct{})
	b.Handle(bus.Handler{
		Name: "map", Stream: event.StreamAlerts, Subject: event.SubjectAlerts, Workers: 2, AckWait: 300 * time.Millisecond,
		Do: func(_ context.Context, m *message.Message) error {
			n, _ := runs.LoadOrStore(m.UUID, new(atomic.Int32))
			n.(*atomic.Int32).Add(1)
			pause := 20 * time.Millisecond
			if m.UUID == "alert-3" {
				pause = time.Second // three times as long as the server waits
			}
			<-time.After(pause)
			if done.Add(1) == 40 {
				close(finished)
			}
			return nil
		},
	})
	for i := range 40 {
		if err := b.Publish(within(t, 5*time.Second), event.SubjectAlertRaw("siem"), fmt.Sprintf("alert-%d", i), []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	bustest.Run(t, b)
	select {
	case <-finished:
	case <-time.After(20 * time.Second):
		t.Fatal("not all messages were handled")
	}
	runs.Range(func(id, n any) bool {
		if n.(*atomic.Int32).Load() != 1 {
			t.Errorf("%v ran %d times", id, n.(*atomic.Int32).Load())
		}
		return true
	})
}

func TestRestartsLoseAndRepeatNothing(t *testing.T) {
	const messages = 300
	srv := bustest.Start(t)
	publisher := newBus(t, srv, event.Intake)
	for i := range messages {
		if err := publisher.Publish(within(t, 5*time.Second), event.SubjectAlertRaw("siem"), strconv.Itoa(i), nil); err != nil {
			t.Fatal(err)
		}
	}
	var mu sync.Mutex
	runs := map[string]int{}
	handled := make(chan struct{}, messages*2)
	for cycle := 0; ; cycle++ {
		b := newBus(t, srv, event.Intake)
		b.Handle(bus.Handler{
			Name: "map", Stream: event.StreamAlerts, Subject: event.SubjectAlerts, Workers: 4,
			Do: func(_ context.Context, m *message.Message) error {
				mu.Lock()
				runs[m.UUID]++
				mu.Unlock()
				handled <- struct{}{}
				return nil
			},
		})
		stop := bustest.Run(t, b)
		for range 15 { // let some through, then stop in the middle
			select {
			case <-handled:
			case <-time.After(5 * time.Second):
				t.Fatalf("stuck in cycle %d after %d messages", cycle, len(runs))
			}
		}
		stop()
		mu.Lock()
		n := len(runs)
		mu.Unlock()
		if n == messages {
			break
		}
	}
	for id, n := range runs {
		if n != 1 {
			t.Errorf("message %s ran %d times", id, n)
		}
	}
}

func TestARepeatedIDIsStoredOnce(t *testing.T) {
	srv := bustest.Start(t)
	b := newBus(t, srv, event.Intake)
	for range 3 {
		if err := b.Publish(within(t, 5*time.Second), event.SubjectAlertRaw("siem"), "same", nil); err != nil {
			t.Fatal(err)
		}
	}
	js := b.JetStream()
	s, err := js.Stream(within(t, 5*time.Second), event.StreamAlerts)
	if err != nil {
		t.Fatal(err)
	}
	if n := s.CachedInfo().State.Msgs; n != 1 {
		t.Errorf("%d messages stored, want 1", n)
	}
}

func TestAForbiddenPublishFailsAtOnce(t *testing.T) {
	srv := bustest.Start(t)
	for _, c := range []struct{ service, subject string }{
		{event.Intake, "tocsin.case.acme.2026-001.case.declared.v1"},
		{event.Notice, "tocsin.case.acme.2026-001.scope.sealed.v1"},
		{event.Desk, event.SubjectTicket("email")},
		{event.Scope, event.SubjectAlertRaw("siem")},
		{event.Deadline, "$JS.API.STREAM.DELETE." + event.StreamDead},
		{event.Scope, "$JS.API.STREAM.PURGE." + event.StreamDispatch},
		{event.Intake, "$JS.API.CONSUMER.DELETE.CASES." + event.PokeConsumer(event.Notice)},
		{event.Intake, "$JS.API.CONSUMER.CREATE.CASES." + event.PokeConsumer(event.Notice)},
		{event.Intake, "$JS.API.CONSUMER.MSG.NEXT.DISPATCH.notice-email"},
		{event.Scope, "$KV.desk-sessions.somebody"},
	} {
		b := newBus(t, srv, c.service)
		started := time.Now()
		err := b.Publish(within(t, 10*time.Second), c.subject, "id", []byte("{}"))
		if !errors.Is(err, bus.ErrForbidden) {
			t.Errorf("%s on %s: %v, want ErrForbidden", c.service, c.subject, err)
		}
		if took := time.Since(started); took > time.Second {
			t.Errorf("%s on %s failed only after %v", c.service, c.subject, took)
		}
	}
}

func TestAForbiddenQuestionFailsAtOnce(t *testing.T) {
	srv := bustest.Start(t)
	_, err := bus.Ask[string, string](within(t, 10*time.Second), newBus(t, srv, event.Desk), event.AskContacts, "everybody")
	if !errors.Is(err, bus.ErrForbidden) {
		t.Errorf("got %v, want ErrForbidden", err)
	}
}

func TestThePermissionErrorHandlerOfTheCallerStillHears(t *testing.T) {
	srv := bustest.Start(t)
	nc := srv.Connect(t, event.Intake)
	heard := make(chan error, 1)
	nc.SetErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		select {
		case heard <- err:
		default:
		}
	})
	b, err := bus.New(nc, bus.Config{Service: event.Intake})
	if err != nil {
		t.Fatal(err)
	}
	_ = b.Publish(within(t, 5*time.Second), event.SubjectTicket("sms"), "id", nil)
	select {
	case <-heard:
	case <-time.After(5 * time.Second):
		t.Error("the handler set before the bus was lost")
	}
}

func TestAFailureIsTriedAgainAndThenParked(t *testing.T) {
	srv := bustest.Start(t)
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	b := newBus(t, srv, event.Intake, func(c *bus.Config) { c.Now = func() time.Time { return at } })
	var runs atomic.Int32
	b.Handle(bus.Handler{
		Name: "map", Stream: event.StreamAlerts, Subject: event.SubjectAlerts, MaxDeliveries: 3, Backoff: soon,
		Do: func(context.Context, *message.Message) error {
			runs.Add(1)
			return errors.New("the mapping file\r\nNats-Msg-Id: forged")
		},
	})
	bustest.Run(t, b)
	if err := b.Publish(within(t, 5*time.Second), event.SubjectAlertRaw("splunk"), "alert-1", []byte(`{"a":1}`)); err != nil {
		t.Fatal(err)
	}
	l := waitForLetter(t, b)
	if runs.Load() != 3 {
		t.Errorf("the handler ran %d times before parking, want 3", runs.Load())
	}
	if l.Service != event.Intake || l.Handler != "intake-map" || l.Subject != "tocsin.alert.raw.splunk" || l.ID != "alert-1" ||
		l.Deliveries != 3 || string(l.Payload) != `{"a":1}` || !l.At.Equal(at) || l.Reason != "the mapping file  Nats-Msg-Id: forged" {
		t.Errorf("the letter is %+v", l)
	}
}

func TestAPermanentErrorIsParkedAtOnce(t *testing.T) {
	srv := bustest.Start(t)
	b := newBus(t, srv, event.Intake)
	var runs atomic.Int32
	b.Handle(bus.Handler{
		Name: "map", Stream: event.StreamAlerts, Subject: event.SubjectAlerts,
		Do: func(context.Context, *message.Message) error {
			runs.Add(1)
			return fmt.Errorf("map: %w", bus.Permanent(errors.New("not an alert")))
		},
	})
	bustest.Run(t, b)
	if err := b.Publish(within(t, 5*time.Second), event.SubjectAlertRaw("splunk"), "alert-1", nil); err != nil {
		t.Fatal(err)
	}
	if l := waitForLetter(t, b); l.Deliveries != 1 || runs.Load() != 1 || l.Reason != "map: not an alert" {
		t.Errorf("%d runs, letter %+v", runs.Load(), l)
	}
}

func TestAPanicIsContainedAndParked(t *testing.T) {
	srv := bustest.Start(t)
	b := newBus(t, srv, event.Intake)
	b.Handle(bus.Handler{
		Name: "map", Stream: event.StreamAlerts, Subject: event.SubjectAlerts, MaxDeliveries: 2, Backoff: soon,
		Do: func(context.Context, *message.Message) error { panic("index out of range") },
	})
	bustest.Run(t, b)
	if err := b.Publish(within(t, 5*time.Second), event.SubjectAlertRaw("splunk"), "alert-1", nil); err != nil {
		t.Fatal(err)
	}
	if l := waitForLetter(t, b); l.Deliveries != 2 || !strings.Contains(l.Reason, "index out of range") {
		t.Errorf("the letter is %+v", l)
	}
}

func TestARetriedLetterReachesOnlyTheHandlerThatGaveUp(t *testing.T) {
	srv := bustest.Start(t)
	b := newBus(t, srv, event.Intake)
	var broken atomic.Bool
	broken.Store(true)
	mapped, counted := make(chan string, 10), make(chan string, 10)
	b.Handle(bus.Handler{
		Name: "map", Stream: event.StreamAlerts, Subject: event.SubjectAlerts,
		Do: func(_ context.Context, m *message.Message) error {
			if broken.Load() {
				return bus.Permanent(errors.New("broken"))
			}
			mapped <- m.Metadata.Get("traceparent")
			return nil
		},
	})
	b.Handle(bus.Handler{
		Name: "count", Stream: event.StreamAlerts, Subject: event.SubjectAlerts,
		Do: func(_ context.Context, m *message.Message) error { counted <- m.UUID; return nil },
	})
	bustest.Run(t, b)
	ctx := within(t, 20*time.Second)
	if err := b.Publish(ctx, event.SubjectAlertRaw("splunk"), "alert-1", []byte("x")); err != nil {
		t.Fatal(err)
	}
	l := waitForLetter(t, b)
	<-counted
	broken.Store(false)
	if err := b.Retry(ctx, l.Seq); !errors.Is(err, bus.ErrForbidden) {
		t.Errorf("intake may retry letters itself: %v", err)
	}
	desk := newBus(t, srv, event.Desk)
	if err := desk.Retry(ctx, l.Seq); err != nil {
		t.Fatal(err)
	}
	<-mapped
	if _, err := desk.Show(ctx, l.Seq); !errors.Is(err, bus.ErrNoDeadLetter) {
		t.Errorf("the letter is still there: %v", err)
	}
	if err := desk.Retry(ctx, l.Seq); !errors.Is(err, bus.ErrNoDeadLetter) {
		t.Errorf("retry of a gone letter: %v, want ErrNoDeadLetter", err)
	}
	if err := b.Publish(ctx, event.SubjectAlertRaw("splunk"), "alert-2", nil); err != nil {
		t.Fatal(err)
	}
	<-mapped
	if id := <-counted; id != "alert-2" {
		t.Errorf("the other handler was given %s again", id)
	}
	if len(mapped) != 0 {
		t.Error("the handler was given the letter twice")
	}
}

func waitForLetter(t *testing.T, b *bus.Bus) bus.DeadLetter {
	t.Helper()
	deadline := time.After(15 * time.Second)
	for {
		all, err := b.DeadLetters(within(t, 5*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		if len(all) == 1 {
			return all[0]
		}
		select {
		case <-deadline:
			t.Fatalf("%d dead letters, want 1", len(all))
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func TestTheTraceReachesTheHandlerAndTheAnswer(t *testing.T) {
	srv := bustest.Start(t)
	spans := tracetest.NewSpanRecorder()
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	traced := func(c *bus.Config) { c.Tracer = tracers }
	scope, notice := newBus(t, srv, event.Scope, traced), newBus(t, srv, event.Notice, traced)
	bus.Answer(scope, event.AskContacts, func(context.Context, int) (int, error) { return 1, nil })
	done := make(chan error, 1)
	notice.Handle(bus.Handler{
		Name: "email", Stream: event.StreamDispatch, Subject: event.SubjectTicket("email"),
		Do: func(ctx context.Context, _ *message.Message) error {
			_, err := bus.Ask[int, int](ctx, notice, event.AskContacts, 500)
			done <- err
			return nil
		},
	})
	bustest.Run(t, scope)
	stop := bustest.Run(t, notice)
	ctx, root := tracers.Tracer("test").Start(within(t, 10*time.Second), "webhook")
	if err := notice.Publish(ctx, event.SubjectTicket("email"), "ticket-1", nil); err != nil {
		t.Fatal(err)
	}
	root.End()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	stop()
	want := map[string]bool{"webhook": true, "handle notice-email": true, "ask " + event.AskContacts: true, "answer " + event.AskContacts: true}
	deadline := time.After(5 * time.Second)
	for len(spans.Ended()) < len(want) {
		select {
		case <-deadline:
			t.Fatalf("only %d spans ended", len(spans.Ended()))
		case <-time.After(time.Millisecond):
		}
	}
	for _, s := range spans.Ended() {
		if s.SpanContext().TraceID() != root.SpanContext().TraceID() {
			t.Errorf("span %q is in another trace", s.Name())
		}
		delete(want, s.Name())
	}
	if len(want) != 0 {
		t.Errorf("no span for %v", want)
	}
}

func TestARepeatedHeaderIsJoined(t *testing.T) {
	srv := bustest.Start(t)
	b := newBus(t, srv, event.Intake)
	got := make(chan string, 1)
	b.Handle(bus.Handler{
		Name: "map", Stream: event.StreamAlerts, Subject: event.SubjectAlerts,
		Do: func(_ context.Context, m *message.Message) error { got <- m.Metadata.Get("tracestate"); return nil },
	})
	bustest.Run(t, b)
	m := nats.NewMsg(event.SubjectAlertRaw("siem"))
	m.Header.Add("tracestate", "a=1")
	m.Header.Add("tracestate", "b=2")
	if _, err := b.JetStream().PublishMsg(within(t, 5*time.Second), m); err != nil {
		t.Fatal(err)
	}
	select {
	case s := <-got:
		if s != "a=1,b=2" {
			t.Errorf("tracestate is %q", s)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the message never arrived")
	}
}

func TestAHandlerInWorkFinishesBeforeTheBusEnds(t *testing.T) {
	srv := bustest.Start(t)
	b := newBus(t, srv, event.Intake)
	begun, finished := make(chan struct{}), atomic.Bool{}
	b.Handle(bus.Handler{
		Name: "map", Stream: event.StreamAlerts, Subject: event.SubjectAlerts,
		Do: func(ctx context.Context, _ *message.Message) error {
			close(begun)
			select {
			case <-time.After(100 * time.Millisecond):
				finished.Store(true)
			case <-ctx.Done():
			}
			return nil
		},
	})
	stop := bustest.Run(t, b)
	if err := b.Publish(within(t, 5*time.Second), event.SubjectAlertRaw("siem"), "1", nil); err != nil {
		t.Fatal(err)
	}
	<-begun
	stop()
	if !finished.Load() {
		t.Error("the handler was cut off")
	}
}

func TestAStuckHandlerDoesNotHoldTheBusLongerThanItsGrace(t *testing.T) {
	srv := bustest.Start(t)
	b := newBus(t, srv, event.Intake, func(c *bus.Config) { c.Grace = 200 * time.Millisecond })
	begun := make(chan struct{})
	b.Handle(bus.Handler{
		Name: "map", Stream: event.StreamAlerts, Subject: event.SubjectAlerts,
		Do: func(ctx context.Context, _ *message.Message) error {
			close(begun)
			<-ctx.Done()
			return ctx.Err()
		},
	})
	stop := bustest.Run(t, b)
	if err := b.Publish(within(t, 5*time.Second), event.SubjectAlertRaw("siem"), "1", nil); err != nil {
		t.Fatal(err)
	}
	<-begun
	started := time.Now()
	stop()
	if took := time.Since(started); took > 2*time.Second {
		t.Errorf("stopping took %v", took)
	}
}

func TestQuestionsAreAnsweredAndRefused(t *testing.T) {
	srv := bustest.Start(t)
	scope, notice, desk := newBus(t, srv, event.Scope), newBus(t, srv, event.Notice), newBus(t, srv, event.Desk)
	type question struct{ From, To int }
	bus.Answer(scope, event.AskContacts, func(_ context.Context, q question) ([]int, error) {
		switch {
		case q.From < 0:
			return nil, bus.Refuse("invalid", "from %d is before the first person", q.From)
		case q.From == 13:
			return nil, errors.New("disk 7 of host db-3 is on fire")
		case q.From == 14:
			panic("bug")
		case q.From == 15:
			return make([]int, 1_000_000), nil
		}
		return []int{q.From, q.To}, nil
	})
	bus.Answer(scope, event.AskInventory, func(ctx context.Context, _ string) (time.Duration, error) {
		deadline, _ := ctx.Deadline()
		return time.Until(deadline), nil
	})
	bustest.Run(t, scope)
	ctx := within(t, 10*time.Second)
	got, err := bus.Ask[question, []int](ctx, notice, event.AskContacts, question{1, 500})
	if err != nil || len(got) != 2 || got[1] != 500 {
		t.Errorf("got %v, %v", got, err)
	}
	for from, code := range map[int]string{-1: "invalid", 13: "internal", 14: "internal", 15: "too_large"} {
		_, err = bus.Ask[question, []int](ctx, notice, event.AskContacts, question{From: from})
		var refusal *bus.AskError
		if !errors.As(err, &refusal) || refusal.Code != code || strings.Contains(refusal.Message, "db-3") {
			t.Errorf("from %d: %v, want code %s", from, err, code)
		}
	}
	left, err := bus.Ask[string, time.Duration](within(t, 2*time.Second), desk, event.AskInventory, "")
	if err != nil || left > 2*time.Second || left < time.Second {
		t.Errorf("the answerer has %v (%v), want the asker's two seconds", left, err)
	}
	if _, err := bus.Ask[string, string](ctx, desk, event.AskForecast, ""); !errors.Is(err, bus.ErrNobodyAnswers) {
		t.Errorf("got %v, want ErrNobodyAnswers", err)
	}
}

func TestReplicasShareTheQuestions(t *testing.T) {
	srv := bustest.Start(t)
	var n [2]atomic.Int32
	for i := range n {
		b := newBus(t, srv, event.Scope)
		bus.Answer(b, event.AskInventory, func(context.Context, int) (int, error) { n[i].Add(1); return 0, nil })
		bustest.Run(t, b)
	}
	desk := newBus(t, srv, event.Desk)
	for range 100 {
		if _, err := bus.Ask[int, int](within(t, 5*time.Second), desk, event.AskInventory, 0); err != nil {
			t.Fatal(err)
		}
	}
	if a, b := n[0].Load(), n[1].Load(); a+b != 100 || a == 0 || b == 0 {
		t.Errorf("the replicas answered %d and %d of 100", a, b)
	}
}

func TestAFullStreamRefusesInsteadOfForgetting(t *testing.T) {
	for _, cfg := range bus.Streams(3) {
		if cfg.Discard != jetstream.DiscardNew || cfg.Retention != jetstream.LimitsPolicy || cfg.Replicas != 3 || cfg.AllowMsgSchedules {
			t.Errorf("stream %s: discard %v, retention %v, %d replicas, schedules %v", cfg.Name, cfg.Discard, cfg.Retention, cfg.Replicas, cfg.AllowMsgSchedules)
		}
	}
}

func TestStreamsCanBeEnsuredAgain(t *testing.T) {
	srv := bustest.Start(t)
	for range 2 {
		if err := bus.EnsureStreams(within(t, 10*time.Second), srv.Connect(t, natsd.Admin), 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := bus.EnsureStreams(within(t, 10*time.Second), srv.Connect(t, event.Intake), 1); !errors.Is(err, bus.ErrForbidden) {
		t.Errorf("intake may change streams: %v", err)
	}
}

func TestTheOwnersCanUseTheirBuckets(t *testing.T) {
	srv := bustest.Start(t)
	ctx := within(t, 10*time.Second)
	desk, intake := newBus(t, srv, event.Desk).JetStream(), newBus(t, srv, event.Intake).JetStream()
	kv, err := desk.KeyValue(ctx, event.BucketUsers)
	if err != nil {
		t.Fatal(err)
	}
	rev, err := kv.Create(ctx, "ana", []byte("1"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Update(ctx, "ana", []byte("2"), rev); err != nil {
		t.Fatal(err)
	}
	if keys, err := kv.Keys(ctx); err != nil || len(keys) != 1 {
		t.Errorf("keys %v, %v", keys, err)
	}
	if err := kv.Delete(ctx, "ana"); err != nil {
		t.Error(err)
	}
	objects, err := intake.ObjectStore(ctx, event.ObjectsRaw)
	if err != nil {
		t.Fatal(err)
	}
	body := strings.Repeat("raw ", 100_000)
	if _, err := objects.PutString(ctx, "alert-1", body); err != nil {
		t.Fatal(err)
	}
	if got, err := objects.GetString(ctx, "alert-1"); err != nil || got != body {
		t.Errorf("%d bytes back, %v; want %d", len(got), err, len(body))
	}
}

func BenchmarkPublish(b *testing.B) {
	srv := bustest.Start(b)
	s := newBus(b, srv, event.Notice)
	payload := []byte(strings.Repeat("x", 300))
	b.SetParallelism(16)
	var n atomic.Int64
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if err := s.Publish(context.Background(), event.SubjectTicket("email"), strconv.FormatInt(n.Add(1), 10), payload); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkConsume(b *testing.B) {
	srv := bustest.Start(b)
	s := newBus(b, srv, event.Notice)
	fs := make([]jetstream.PubAckFuture, b.N)
	for i := range b.N {
		f, err := s.JetStream().PublishAsync(event.SubjectTicket("email"), []byte(strings.Repeat("x", 300)), jetstream.WithMsgID(strconv.Itoa(i)), jetstream.WithStallWait(30*time.Second))
		if err != nil {
			b.Fatal(err)
		}
		fs[i] = f
	}
	for _, f := range fs {
		select {
		case <-f.Ok():
		case err := <-f.Err():
			b.Fatal(err)
		}
	}
	var n atomic.Int64
	done := make(chan struct{})
	s.Handle(bus.Handler{
		Name: "email", Stream: event.StreamDispatch, Subject: event.SubjectTicket("email"), Workers: 16,
		Do: func(context.Context, *message.Message) error {
			if n.Add(1) == int64(b.N) {
				close(done)
			}
			return nil
		},
	})
	b.ResetTimer()
	stop := bustest.Run(b, s)
	<-done
	b.StopTimer()
	stop()
}

// TestALoneWorkerIsNeverForgotten guards against a pull that is not sent: with
// the client's own iterator one message in some thousands waited for 30 s.
func TestALoneWorkerIsNeverForgotten(t *testing.T) {
	const messages = 3000
	srv := bustest.Start(t)
	b := newBus(t, srv, event.Notice)
	for range messages {
		if _, err := b.JetStream().PublishAsync(event.SubjectTicket("email"), nil, jetstream.WithStallWait(10*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	<-b.JetStream().PublishAsyncComplete()
	n, done := 0, make(chan struct{})
	b.Handle(bus.Handler{
		Name: "email", Stream: event.StreamDispatch, Subject: event.SubjectTicket("email"), Workers: 1,
		Do: func(context.Context, *message.Message) error {
			if n++; n == messages {
				close(done)
			}
			return nil
		},
	})
	bustest.Run(t, b)
	select {
	case <-done:
	case <-time.After(25 * time.Second):
		t.Error("not all messages came within 25 s")
	}
}
