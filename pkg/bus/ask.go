package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

const (
	askTimeout = 5 * time.Second
	// maxAnswers is how many questions one subject's answerer works on at once.
	maxAnswers = 64

	headerErrorCode = "Tocsin-Error"
	// headerWithin is how long the asker waits, in milliseconds.
	headerWithin = "Tocsin-Within"
)

// ErrNobodyAnswers means that no service that could answer is running.
var ErrNobodyAnswers = errors.New("nobody answers")

// AskError is an answer that says no, or why not.
type AskError struct {
	// Code is a word that programs branch on, such as "not_found" or "invalid".
	Code string
	// Message is for the person who asked. No personal data.
	Message string
}

func (e *AskError) Error() string { return e.Message + " (" + e.Code + ")" }

// Refuse returns an AskError: what an answering function returns to say no.
func Refuse(code, format string, args ...any) error {
	return &AskError{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Ask puts a question to the service that answers the subject and waits for
// its answer, at most until ctx ends or 5 s. A refusal is an *AskError, a
// silent subject ErrNobodyAnswers, and a subject this service may not use
// ErrForbidden.
func Ask[Q, A any](ctx context.Context, b *Bus, subject string, q Q) (A, error) {
	var a A
	data, err := json.Marshal(q)
	if err != nil {
		return a, fmt.Errorf("ask %s: encode the question: %w", subject, err)
	}
	answer, err := b.request(ctx, subject, data)
	if err != nil {
		return a, fmt.Errorf("ask %s: %w", subject, err)
	}
	if err := json.Unmarshal(answer, &a); err != nil {
		return a, fmt.Errorf("ask %s: decode the answer: %w", subject, err)
	}
	return a, nil
}

func (b *Bus) request(ctx context.Context, subject string, data []byte) ([]byte, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, askTimeout)
		defer cancel()
	}
	ctx, span := b.tracer.Start(ctx, "ask "+subject, trace.WithSpanKind(trace.SpanKindClient))
	defer span.End()
	m := &nats.Msg{Subject: subject, Data: data, Header: nats.Header{}}
	Inject(ctx, m.Header)
	if deadline, ok := ctx.Deadline(); ok {
		m.Header.Set(headerWithin, strconv.FormatInt(time.Until(deadline).Milliseconds(), 10))
	}
	guarded, done := b.refusals.Guard(ctx, subject)
	defer done()
	r, err := b.nc.RequestMsgWithContext(guarded, m)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		err = ErrNobodyAnswers
	case err != nil:
		err = Explain(guarded, err)
	case r.Header.Get(headerErrorCode) != "":
		err = &AskError{Code: r.Header.Get(headerErrorCode), Message: string(r.Data)}
	default:
		return r.Data, nil
	}
	span.SetStatus(codes.Error, err.Error())
	return nil, err
}

// answer is a registered answer to a subject.
type answer struct {
	subject string
	do      func(ctx context.Context, question []byte) ([]byte, error)
}

// Answer registers the function that answers a subject. It must be called
// before Run. Replicas share the questions; many run at once. An *AskError goes
// back as it is; any other error is logged and goes back as code "internal"
// without its text.
func Answer[Q, A any](b *Bus, subject string, f func(ctx context.Context, q Q) (A, error)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mustNotRun("answer to " + subject)
	b.answers = append(b.answers, answer{subject, func(ctx context.Context, question []byte) ([]byte, error) {
		var q Q
		if err := json.Unmarshal(question, &q); err != nil {
			return nil, Refuse("invalid", "the question is not valid JSON for %s", subject)
		}
		a, err := f(ctx, q)
		if err != nil {
			return nil, err
		}
		return json.Marshal(a)
	}})
}

// serve subscribes the answers. The returned function stops them and waits for
// those in work, at most the grace.
func (b *Bus) serve(ctx context.Context, answers []answer) (stop func(), err error) {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var (
		mu       sync.Mutex
		stopping bool
		wg       sync.WaitGroup
		subs     []*nats.Subscription
	)
	begin := func() bool { // a question that comes while we stop is another replica's
		mu.Lock()
		defer mu.Unlock()
		if stopping {
			return false
		}
		wg.Add(1)
		return true
	}
	stop = func() {
		for _, s := range subs {
			_ = s.Unsubscribe()
		}
		mu.Lock()
		stopping = true
		mu.Unlock()
		ended := make(chan struct{})
		go func() { wg.Wait(); close(ended) }()
		select {
		case <-ended:
		case <-time.After(b.cfg.Grace):
			b.cfg.Log.Warn("answers still in work are abandoned")
		}
		cancel()
	}
	for _, a := range answers {
		slots := make(chan struct{}, maxAnswers)
		sub, err := b.nc.QueueSubscribe(a.subject, b.cfg.Service, func(m *nats.Msg) {
			slots <- struct{}{}
			if !begin() {
				<-slots
				return
			}
			go func() {
				defer wg.Done()
				defer func() { <-slots }()
				b.respond(work, a, m)
			}()
		})
		if err != nil {
			stop()
			return nil, fmt.Errorf("answer %s: %w", a.subject, err)
		}
		subs = append(subs, sub)
	}
	// The server must know of the subscriptions before anybody is told that we run.
	if err := b.nc.FlushTimeout(askTimeout); err != nil {
		stop()
		return nil, fmt.Errorf("answer questions of %s: %w", b.cfg.Service, err)
	}
	return stop, nil
}

func (b *Bus) respond(ctx context.Context, a answer, m *nats.Msg) {
	within := askTimeout
	if ms, err := strconv.ParseInt(m.Header.Get(headerWithin), 10, 64); err == nil && ms > 0 {
		within = min(time.Duration(ms)*time.Millisecond, 2*time.Minute)
	}
	ctx, cancel := context.WithTimeout(Extract(ctx, m.Header), within)
	defer cancel()
	ctx, span := b.tracer.Start(ctx, "answer "+a.subject, trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(attribute.String("messaging.system", "nats")))
	defer span.End()
	out := nats.NewMsg(m.Reply)
	data, err := b.work(ctx, a, m.Data)
	if err == nil && int64(len(data)) > b.nc.MaxPayload() {
		err = Refuse("too_large", "the answer to %s has %d bytes; ask for less at once", a.subject, len(data))
	}
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
		refusal := new(AskError)
		if !errors.As(err, &refusal) {
			b.cfg.Log.ErrorContext(ctx, "answer failed", "subject", a.subject, "error", err)
			refusal = &AskError{Code: "internal", Message: "the service could not answer"}
		}
		out.Header.Set(headerErrorCode, refusal.Code)
		data = []byte(refusal.Message)
	}
	out.Data = data
	if err := b.nc.PublishMsg(out); err != nil {
		b.cfg.Log.WarnContext(ctx, "send an answer", "subject", a.subject, "error", err)
	}
}

// work runs the answering function and contains its panics.
func (b *Bus) work(ctx context.Context, a answer, question []byte) (data []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return a.do(ctx, question)
}
