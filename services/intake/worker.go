package intake

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/event"
	"tocsin.dev/services/intake/mapping"
)

// mapAlert is the handler of the stream ALERTS: it reads the deliveries of one
// message by the mappings and stores their alerts. A damaged delivery is parked
// with its message after the others are stored.
func (s *Service) mapAlert(ctx context.Context, m *message.Message) error {
	all, err := unpack(m.Payload)
	if err != nil {
		return bus.Permanent(err)
	}
	var jobs []reading
	var damaged error
	for _, d := range all {
		d.Seq = bus.Sequence(ctx)
		rows, err := s.readTraced(ctx, d)
		switch {
		case bus.IsPermanent(err):
			damaged = err
		case err != nil:
			return err
		default:
			jobs = append(jobs, reading{d: d, rows: rows})
		}
	}
	if err := s.commit.save(ctx, jobs); err != nil {
		return err
	}
	return damaged
}

// readTraced reads one delivery within the trace of the request that brought it.
func (s *Service) readTraced(ctx context.Context, d delivery) ([]row, error) {
	ctx, span := s.tracer.Start(d.traced(ctx), "read alert", trace.WithAttributes(
		attribute.String("tocsin.source", d.Source), attribute.String("tocsin.org", d.Org), attribute.String("tocsin.alert", d.ID)))
	defer span.End()
	if d.Object != "" {
		var err error
		if d.Body, err = s.raw.body(ctx, 0, d.Object, d.SHA256); err != nil {
			return nil, fmt.Errorf("read delivery %s: %w", d.ID, err)
		}
	}
	s.background.enter()
	defer s.background.leave()
	rows, err := s.read(ctx, d)
	if err != nil {
		return nil, bus.Permanent(fmt.Errorf("read delivery %s: %w", d.ID, err))
	}
	return rows, nil
}

// read maps every document of a delivery. It fails only on a body that was
// damaged; what no mapping can read becomes an unmapped alert.
func (s *Service) read(ctx context.Context, d delivery) ([]row, error) {
	docs, err := documents(d.Body)
	if err != nil {
		return nil, err
	}
	if d.CloudEvent != "" {
		whole, err := structured(d.CloudEvent, docs[0])
		if err != nil {
			return nil, err
		}
		docs = []json.RawMessage{whole}
	}
	hint := ""
	if src := s.sources[d.Source]; src != nil {
		hint = src.Mapping
	}
	var rows []row
	for i, doc := range docs {
		rows = append(rows, s.readDocument(ctx, d, i, doc, hint)...)
	}
	return rows, nil
}

func (s *Service) readDocument(ctx context.Context, d delivery, i int, doc json.RawMessage, hint string) []row {
	v, err := mapping.Decode(doc)
	var result mapping.Result
	if err == nil {
		result, err = s.mappings.Map(ctx, v, hint)
	}
	if err != nil || result.Mapping == nil || len(result.Alerts) == 0 {
		r := newRow(d, i, 0)
		r.Unmapped = true
		r.Title = "Unmapped alert from " + d.Source
		r.dedupe = key("unmapped", string(doc))
		if err != nil {
			r.problems = []string{err.Error()}
		}
		return []row{r}
	}
	var rows []row
	for n, found := range result.Alerts {
		r := newRow(d, i, n)
		r.AlertFacts = found.AlertFacts
		r.mapping, r.version, r.problems = result.Mapping.Name, result.Mapping.Version, found.Problems
		if result.Unwrapped != "" {
			r.problems = append(r.problems, "read from "+result.Unwrapped+" of an envelope")
		}
		r.dedupe = dedupeKey(found, doc, n)
		rows = append(rows, r)
	}
	return rows
}

func newRow(d delivery, document, n int) row {
	return row{
		Alert:    event.Alert{ID: alertID(d.ID, document, n), Source: d.Source, ReceivedAt: d.ReceivedAt},
		delivery: d.ID, document: document, rawSHA256: d.SHA256, rawType: d.ContentType, rawSeq: d.Seq, rawObject: d.Object,
	}
}

// dedupeKey recognises a repetition within a source: by the sender's id with
// what the mapping adds to it, or else by the document itself.
func dedupeKey(f mapping.Found, doc json.RawMessage, n int) string {
	if f.ExternalID == "" && f.Dedupe == "" {
		return key("document", string(doc), fmt.Sprint(n))
	}
	return key("id", f.Product, f.ExternalID, f.Dedupe)
}

func key(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:])
}

// background bounds how many processors reading and storing may use at once, so
// that one is always there to answer senders.
type background chan struct{}

func newBackground() background { return make(background, max(1, runtime.GOMAXPROCS(0)-1)) }

func (b background) enter() { b <- struct{}{} }
func (b background) leave() { <-b }

// committer gathers what several workers want to store into one transaction,
// so that a flood of alerts costs one fsync for many.
type committer struct {
	store      *store
	background background
	jobs       chan commitJob
}

// reading is a delivery with what was read from it.
type reading struct {
	d    delivery
	rows []row
}

type commitJob struct {
	readings []reading
	done     chan error
}

// A flood is gathered: at most one transaction in commitPause, each of at most
// commitBatch messages. A single alert is not kept waiting.
const (
	commitBatch = 64
	commitPause = 50 * time.Millisecond
)

func newCommitter(st *store, b background) *committer {
	return &committer{store: st, background: b, jobs: make(chan commitJob)}
}

// save returns when the rows are on disk.
func (c *committer) save(ctx context.Context, readings []reading) error {
	j := commitJob{readings: readings, done: make(chan error, 1)}
	select {
	case c.jobs <- j:
	case <-ctx.Done():
		return fmt.Errorf("save %d deliveries: %w", len(readings), ctx.Err())
	}
	select {
	case err := <-j.done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("save %d deliveries: %w", len(readings), ctx.Err())
	}
}

// run commits until ctx ends. Jobs that are offered later wait until their own
// context ends, and their messages come again.
func (c *committer) run(ctx context.Context) {
	rest := time.NewTimer(0)
	defer rest.Stop()
	for {
		var batch []commitJob
		select {
		case j := <-c.jobs:
			batch = append(batch, j)
		case <-ctx.Done():
			return
		}
		for resting := true; resting && len(batch) < commitBatch; {
			select {
			case j := <-c.jobs:
				batch = append(batch, j)
			case <-rest.C:
				resting = false
			case <-ctx.Done():
				resting = false
			}
		}
		c.commit(context.WithoutCancel(ctx), batch)
		rest.Reset(commitPause)
	}
}

func (c *committer) commit(ctx context.Context, batch []commitJob) {
	err := c.tx(ctx, batch)
	if err != nil && len(batch) > 1 {
		// One of them may be at fault: each for itself.
		for _, j := range batch {
			j.done <- c.tx(ctx, []commitJob{j})
		}
		return
	}
	for _, j := range batch {
		j.done <- err
	}
}

func (c *committer) tx(ctx context.Context, batch []commitJob) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	c.background.enter()
	defer c.background.leave()
	return c.store.db.Tx(ctx, func(tx *sql.Tx) error {
		w := &writing{ctx: ctx, tx: tx, ready: map[string]*sql.Stmt{}}
		for _, j := range batch {
			for _, r := range j.readings {
				if err := w.save(r.d, r.rows); err != nil {
					return err
				}
			}
		}
		return nil
	})
}
