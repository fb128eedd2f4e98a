package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/event"
)

// Headers of the JetStream publish protocol (ADR-22, ADR-50).
const (
	headerExpected        = "Nats-Expected-Last-Subject-Sequence"
	headerExpectedSubject = "Nats-Expected-Last-Subject-Sequence-Subject"
	headerBatchID         = "Nats-Batch-Id"
	headerBatchSequence   = "Nats-Batch-Sequence"
	headerBatchCommit     = "Nats-Batch-Commit"
)

// Error codes of the server.
const (
	// codeWrongSequence names the sequence it found: somebody else was first.
	codeWrongSequence = 10071
	// codeBusy is "wrong last sequence" without a number: the subject is still
	// in process, which at three replicas may be our own earlier append.
	codeBusy = 10164
	// codeTooManyBatches means that too many atomic batches are open at once.
	codeTooManyBatches = 10210
	// codeIncompleteBatch means that a part of the batch did not arrive, such
	// as after a change of leader.
	codeIncompleteBatch = 10176
)

// tryTimeout bounds one attempt; an append whose answer was lost is looked up
// and tried again within the caller's deadline.
const tryTimeout = 5 * time.Second

// Append stores the events of one decision after the sequence that the case
// had when it was loaded, all or none, and returns the sequence of the last.
// An expected sequence of 0 means that the case must not exist yet. It returns
// ErrConflict when anyone else has appended since; when the case already holds
// exactly these event ids after the expected sequence it succeeds. It returns
// ErrInvalid for events that can never be stored and bus.ErrForbidden for
// events that this service may not say.
func (j *Journal) Append(ctx context.Context, org, caseID string, expected uint64, events ...event.Event) (uint64, error) {
	msgs, err := j.encode(ctx, org, caseID, expected, events)
	if err != nil {
		return 0, fmt.Errorf("append to case %s/%s: %w", org, caseID, err)
	}
	ctx, cancel := j.bounded(ctx)
	defer cancel()
	for wait := 2 * time.Millisecond; ; wait = min(2*wait, 250*time.Millisecond) {
		last, err := j.try(ctx, msgs)
		if err == nil {
			return last, nil
		}
		if !lookAgain(err) {
			return 0, fmt.Errorf("append to case %s/%s: %w", org, caseID, err)
		}
		last, settled, lookErr := j.settle(ctx, org, caseID, expected, events)
		switch {
		case lookErr != nil && ctx.Err() != nil:
			return 0, fmt.Errorf("append to case %s/%s: %w", org, caseID, errors.Join(err, lookErr))
		case settled && lookErr == nil:
			return last, nil
		case errors.Is(lookErr, ErrConflict):
			return 0, fmt.Errorf("append to case %s/%s after sequence %d: %w", org, caseID, expected, ErrConflict)
		}
		// The case still stands where we expect it: the server was busy with it.
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("append to case %s/%s: %w (last: %w)", org, caseID, ctx.Err(), err)
		case <-time.After(wait + rand.N(wait)):
		}
	}
}

// try publishes the events once and awaits the server's word.
func (j *Journal) try(ctx context.Context, msgs []*nats.Msg) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	if len(msgs) > 1 {
		id := nuid.Next()
		for i, m := range msgs {
			m.Header.Set(headerBatchID, id)
			m.Header.Set(headerBatchSequence, strconv.Itoa(i+1))
		}
		msgs[len(msgs)-1].Header.Set(headerBatchCommit, "1")
	}
	// A forbidden event anywhere in the batch must end the wait at once.
	guarded, done := j.refusals.Guard(ctx, subjectsOf(msgs)...)
	defer done()
	for _, m := range msgs[:len(msgs)-1] {
		if err := j.nc.PublishMsg(m); err != nil {
			return 0, err
		}
	}
	answer, err := j.nc.RequestMsgWithContext(guarded, msgs[len(msgs)-1])
	if err != nil {
		return 0, bus.Explain(guarded, err)
	}
	return readAck(answer.Data)
}

func subjectsOf(msgs []*nats.Msg) []string {
	subjects := make([]string, len(msgs))
	for i, m := range msgs {
		subjects[i] = m.Subject
	}
	return subjects
}

// apiError is the server's refusal of a publish.
type apiError struct {
	Code        int    `json:"code"`
	ErrCode     int    `json:"err_code"`
	Description string `json:"description"`
}

func (e *apiError) Error() string { return fmt.Sprintf("%s (%d)", e.Description, e.ErrCode) }

func readAck(data []byte) (uint64, error) {
	var ack struct {
		Seq   uint64    `json:"seq"`
		Error *apiError `json:"error"`
	}
	if err := json.Unmarshal(data, &ack); err != nil {
		return 0, fmt.Errorf("read the server's acknowledgement: %w", err)
	}
	if ack.Error != nil {
		return 0, ack.Error
	}
	if ack.Seq == 0 {
		return 0, errors.New("the server's acknowledgement names no sequence")
	}
	return ack.Seq, nil
}

// lookAgain reports whether only the journal itself can say what became of an
// append that failed with err.
func lookAgain(err error) bool {
	var api *apiError
	if errors.As(err, &api) {
		switch api.ErrCode {
		case codeWrongSequence, codeBusy, codeTooManyBatches, codeIncompleteBatch:
			return true
		}
		return api.Code == 503
	}
	return errors.Is(err, nats.ErrTimeout) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, nats.ErrNoResponders) || errors.Is(err, nats.ErrDisconnected) ||
		errors.Is(err, nats.ErrConnectionReconnecting)
}

// settle reads what the case holds after the expected sequence. It returns
// settled when these are exactly our events, ErrConflict when they are not,
// and neither when there is nothing.
func (j *Journal) settle(ctx context.Context, org, caseID string, expected uint64, events []event.Event) (last uint64, settled bool, err error) {
	entries, err := j.since(ctx, event.CaseSubjects(org, caseID), expected)
	if err != nil || len(entries) == 0 {
		return 0, false, err
	}
	if len(entries) < len(events) {
		return 0, false, ErrConflict
	}
	for i, e := range events {
		if entries[i].ID != e.ID {
			return 0, false, ErrConflict
		}
	}
	return entries[len(events)-1].Seq, true, nil
}

// encode checks the events and turns them into messages.
func (j *Journal) encode(ctx context.Context, org, caseID string, expected uint64, events []event.Event) ([]*nats.Msg, error) {
	if err := checkTokens(org, caseID); err != nil {
		return nil, err
	}
	if len(events) == 0 || len(events) > MaxBatch {
		return nil, fmt.Errorf("%w: %d events in one decision; want 1 to %d", ErrInvalid, len(events), MaxBatch)
	}
	total := 0
	msgs := make([]*nats.Msg, len(events))
	for i, e := range events {
		if err := checkEvent(e, org, caseID); err != nil {
			return nil, err
		}
		data, err := json.Marshal(e)
		if err != nil {
			return nil, fmt.Errorf("%w: encode %s %s: %w", ErrInvalid, e.Type, e.ID, err)
		}
		if total += len(data); len(data) > MaxEventBytes || total > maxBatchBytes {
			return nil, fmt.Errorf("%w: %s %s is too large (%d bytes; at most %d, and %d for a decision)", ErrInvalid, e.Type, e.ID, len(data), MaxEventBytes, maxBatchBytes)
		}
		msgs[i] = &nats.Msg{Subject: e.Subject(), Header: nats.Header{}, Data: data}
		bus.Inject(ctx, msgs[i].Header)
	}
	msgs[0].Header.Set(headerExpected, strconv.FormatUint(expected, 10))
	msgs[0].Header.Set(headerExpectedSubject, event.CaseSubjects(org, caseID))
	return msgs, nil
}

func checkEvent(e event.Event, org, caseID string) error {
	switch {
	case e.ID == "":
		return fmt.Errorf("%w: %s without an id", ErrInvalid, e.Type)
	case !validType(string(e.Type)):
		return fmt.Errorf("%w: %q is not the name of an event", ErrInvalid, e.Type)
	case e.Org != org || e.Case != caseID:
		return fmt.Errorf("%w: %s %s belongs to case %s/%s", ErrInvalid, e.Type, e.ID, e.Org, e.Case)
	case e.At.IsZero():
		return fmt.Errorf("%w: %s %s without an instant", ErrInvalid, e.Type, e.ID)
	case e.Actor.ID == "" || e.Actor.Kind == "":
		return fmt.Errorf("%w: %s %s without an actor", ErrInvalid, e.Type, e.ID)
	}
	return nil
}

// validType reports whether an event name can be the tail of a subject: three
// tokens of lower-case letters, digits and '_', such as "case.declared.v1".
func validType(t string) bool {
	dots, last := 0, byte('.')
	for i := range len(t) {
		c := t[i]
		switch {
		case c == '.' && last != '.':
			dots++
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '_':
		default:
			return false
		}
		last = c
	}
	return dots == 2 && last != '.' && len(t) <= 100
}
