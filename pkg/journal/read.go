package journal

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
)

// stepLimit is how many new events are read one by one from the leader before
// the rest is read in bulk.
const stepLimit = 4

// bulkSize is the number of events asked for in one bulk read.
const bulkSize = 2000

// since returns the events on the subjects after a sequence, in order, as the
// leader of the stream has them.
func (j *Journal) since(ctx context.Context, subjects string, after uint64) ([]casefile.Entry, error) {
	var entries []casefile.Entry
	for range stepLimit {
		if after == 0 { // nothing is known yet, so more than a few are likely
			break
		}
		e, found, err := j.next(ctx, subjects, after)
		if err != nil || !found {
			return entries, err
		}
		entries = append(entries, e)
		after = e.Seq
	}
	last, found, err := j.leader(ctx, getRequest{Last: subjects})
	if err != nil || !found {
		return entries, err
	}
	for after < last.Seq {
		bulk, err := j.bulk(ctx, subjects, after, last.Seq)
		if err != nil {
			return nil, err
		}
		if len(bulk) == 0 { // the replica that answered is behind: ask the leader
			e, found, err := j.next(ctx, subjects, after)
			if err != nil || !found {
				return entries, err
			}
			bulk = []casefile.Entry{e}
		}
		entries = append(entries, bulk...)
		after = entries[len(entries)-1].Seq
	}
	return entries, nil
}

// next returns the first event on the subjects after a sequence.
func (j *Journal) next(ctx context.Context, subjects string, after uint64) (casefile.Entry, bool, error) {
	return j.leader(ctx, getRequest{Seq: after + 1, Next: subjects})
}

// getRequest is the body of the API's message get (ADR-31).
type getRequest struct {
	Seq   uint64 `json:"seq,omitempty"`
	Last  string `json:"last_by_subj,omitempty"`
	Next  string `json:"next_by_subj,omitempty"`
	Batch int    `json:"batch,omitempty"`
}

const codeNoMessage = 10037

// leader reads one event from the leader of the stream, never from a replica
// that may be behind.
func (j *Journal) leader(ctx context.Context, req getRequest) (casefile.Entry, bool, error) {
	var answer struct {
		Message *struct {
			Subject string `json:"subject"`
			Seq     uint64 `json:"seq"`
			Data    string `json:"data"`
		} `json:"message"`
		Error *apiError `json:"error"`
	}
	if err := j.api(ctx, "$JS.API.STREAM.MSG.GET."+event.StreamCases, req, &answer); err != nil {
		return casefile.Entry{}, false, err
	}
	switch {
	case answer.Error != nil && answer.Error.ErrCode == codeNoMessage:
		return casefile.Entry{}, false, nil
	case answer.Error != nil:
		return casefile.Entry{}, false, answer.Error
	case answer.Message == nil:
		return casefile.Entry{}, false, errors.New("the server's answer holds no message")
	}
	data, err := base64.StdEncoding.DecodeString(answer.Message.Data)
	if err != nil {
		return casefile.Entry{}, false, fmt.Errorf("read the event at sequence %d: %w", answer.Message.Seq, err)
	}
	e, err := decodeEntry(answer.Message.Seq, answer.Message.Subject, data)
	return e, err == nil, err
}

// api puts a question to the JetStream API, again while nobody leads.
func (j *Journal) api(ctx context.Context, subject string, question, answer any) error {
	body, err := json.Marshal(question)
	if err != nil {
		return fmt.Errorf("encode a request to %s: %w", subject, err)
	}
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		err := j.ask(ctx, subject, body, answer)
		if !errors.Is(err, nats.ErrNoResponders) && !errors.Is(err, errTryTimeout) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("ask %s: %w (last: %w)", subject, ctx.Err(), err)
		case <-time.After(wait):
		}
	}
}

var errTryTimeout = errors.New("no answer in time")

// ask puts a question once. The leader may have changed without a word, so one
// try never takes the whole of the caller's time.
func (j *Journal) ask(ctx context.Context, subject string, body []byte, answer any) error {
	guarded, done := j.refusals.Guard(ctx, subject)
	defer done()
	try, cancel := context.WithTimeout(guarded, tryTimeout)
	defer cancel()
	m, err := j.nc.RequestWithContext(try, subject, body)
	if err != nil {
		if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
			err = errTryTimeout
		}
		return fmt.Errorf("ask %s: %w", subject, bus.Explain(guarded, err))
	}
	if err := json.Unmarshal(m.Data, answer); err != nil {
		return fmt.Errorf("read the answer of %s: %w", subject, err)
	}
	return nil
}

// bulk reads events after a sequence and up to another in one stream of
// answers. It returns fewer when the replica that answers has fewer.
func (j *Journal) bulk(ctx context.Context, subjects string, after, upTo uint64) ([]casefile.Entry, error) {
	inbox := j.nc.NewRespInbox()
	sub, err := j.nc.SubscribeSync(inbox)
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	body, err := json.Marshal(getRequest{Seq: after + 1, Next: subjects, Batch: bulkSize})
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	if err := j.nc.PublishRequest("$JS.API.DIRECT.GET."+event.StreamCases, inbox, body); err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	wait, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	var entries []casefile.Entry
	for {
		m, err := sub.NextMsgWithContext(wait)
		if err != nil {
			return entries, ctx.Err() // what came is in order and whole; the caller goes on from there
		}
		if status := m.Header.Get("Status"); status != "" { // 204 ends the batch, 404 finds nothing
			return entries, nil
		}
		seq, err := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("read the journal: the server sent no sequence: %w", err)
		}
		if seq > upTo {
			return entries, nil
		}
		e, err := decodeEntry(seq, m.Header.Get("Nats-Subject"), m.Data)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
}

// Cases lists the declared cases of an organisation, or of all when org is
// empty, in no particular order.
func (j *Journal) Cases(ctx context.Context, org string) ([]Ref, error) {
	if org != "" && !event.ValidToken(org) {
		return nil, fmt.Errorf("list cases: %w: %q cannot name an organisation", ErrInvalid, org)
	}
	ctx, cancel := j.bounded(ctx)
	defer cancel()
	closed, err := j.casesWith(ctx, org, event.TypeCaseClosed)
	if err != nil {
		return nil, fmt.Errorf("list cases: %w", err)
	}
	isClosed := make(map[Ref]bool, len(closed))
	for _, r := range closed {
		isClosed[r] = true
	}
	refs, err := j.casesWith(ctx, org, event.TypeCaseDeclared)
	if err != nil {
		return nil, fmt.Errorf("list cases: %w", err)
	}
	for i, r := range refs {
		refs[i].Closed = isClosed[r]
	}
	return refs, nil
}

// casesWith returns the cases that hold an event of a type. The server's
// index of subjects answers, not the events.
func (j *Journal) casesWith(ctx context.Context, org string, t event.Type) ([]Ref, error) {
	if org == "" {
		org = "*"
	}
	type page struct {
		Filter string `json:"subjects_filter"`
		Offset int    `json:"offset,omitempty"`
	}
	var refs []Ref
	for {
		var answer struct {
			Total int `json:"total"`
			State struct {
				Subjects map[string]uint64 `json:"subjects"`
			} `json:"state"`
			Error *apiError `json:"error"`
		}
		req := page{Filter: "tocsin.case." + org + ".*." + string(t), Offset: len(refs)}
		if err := j.api(ctx, "$JS.API.STREAM.INFO."+event.StreamCases, req, &answer); err != nil {
			return nil, err
		}
		if answer.Error != nil {
			return nil, answer.Error
		}
		for s := range answer.State.Subjects {
			p := strings.SplitN(s, ".", 5)
			refs = append(refs, Ref{Org: p[2], Case: p[3]})
		}
		if len(answer.State.Subjects) == 0 || len(refs) >= answer.Total {
			return refs, nil
		}
	}
}
