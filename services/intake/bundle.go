package intake

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/otel/propagation"
)

// Deliveries that wait for the disk at the same time share one message and so
// one fsync: a slow disk makes bundles longer, not the queue. A message holds
// one line of JSON with the entries, then their bodies one after the other.

// Limits of one bundle.
const (
	bundleMost  = 128
	bundleBytes = 512 << 10
)

// entry is what a bundle says of one delivery.
type entry struct {
	ID          string    `json:"id"`
	Org         string    `json:"org"`
	Source      string    `json:"source"`
	ReceivedAt  time.Time `json:"received_at"`
	SHA256      string    `json:"sha256"`
	ContentType string    `json:"content_type,omitempty"`
	CloudEvent  string    `json:"cloudevent,omitempty"`
	// Object is the key of a body that lies in the object store; Size is then 0.
	Object string `json:"object,omitempty"`
	Size   int    `json:"size"`
	// Trace is the W3C trace context of the request.
	Trace map[string]string `json:"trace,omitempty"`
}

// pack writes deliveries as one message.
func pack(all []delivery) ([]byte, error) {
	entries := make([]entry, len(all))
	size := 0
	for i, d := range all {
		entries[i] = entry{ID: d.ID, Org: d.Org, Source: d.Source, ReceivedAt: d.ReceivedAt.UTC(), SHA256: d.SHA256,
			ContentType: d.ContentType, CloudEvent: d.CloudEvent, Object: d.Object, Trace: d.Trace}
		if d.Object == "" {
			entries[i].Size = len(d.Body)
		}
		size += entries[i].Size
	}
	line, err := json.Marshal(entries)
	if err != nil {
		return nil, fmt.Errorf("write a bundle: %w", err)
	}
	out := make([]byte, 0, len(line)+1+size)
	out = append(append(out, line...), '\n')
	for _, d := range all {
		if d.Object == "" {
			out = append(out, d.Body...)
		}
	}
	return out, nil
}

// unpack reads a message. The bodies alias it; those in the object store are nil.
func unpack(data []byte) ([]delivery, error) {
	line, rest, ok := bytes.Cut(data, []byte("\n"))
	var entries []entry
	if !ok {
		return nil, errors.New("read a bundle: no line of entries")
	}
	if err := json.Unmarshal(line, &entries); err != nil {
		return nil, fmt.Errorf("read a bundle: %w", err)
	}
	all := make([]delivery, len(entries))
	for i, e := range entries {
		if e.Size < 0 || e.Size > len(rest) || e.ID == "" || e.Org == "" || e.Source == "" || e.SHA256 == "" || e.ReceivedAt.IsZero() {
			return nil, fmt.Errorf("read a bundle: entry %d is damaged", i)
		}
		all[i] = delivery{ID: e.ID, Org: e.Org, Source: e.Source, SHA256: e.SHA256, ContentType: e.ContentType,
			CloudEvent: e.CloudEvent, ReceivedAt: e.ReceivedAt, Object: e.Object, Trace: e.Trace}
		if e.Object == "" {
			all[i].Body, rest = rest[:e.Size:e.Size], rest[e.Size:]
		}
	}
	return all, nil
}

// traceOf writes the trace context of a request for the bundle.
func traceOf(ctx context.Context) map[string]string {
	t := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, t)
	if len(t) == 0 {
		return nil
	}
	return t
}

// traced returns ctx within the trace of the request that brought the delivery.
func (d delivery) traced(ctx context.Context) context.Context {
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier(d.Trace))
}

// gatherer bundles the deliveries of one source. Nobody waits for company: the
// first publishes alone, and those that come while it does go together next,
// published by one of them.
type gatherer struct {
	publish func(ctx context.Context, all []delivery) (duplicate bool, err error)

	mu      sync.Mutex
	busy    bool
	waiting []*pending
}

// pending is a delivery that waits for its turn.
type pending struct {
	d    delivery
	lead chan struct{}
	done chan kept
}

type kept struct {
	duplicate bool
	err       error
}

// keep returns when the delivery is durable or could not be made so. It waits
// for at most two publishes, which have their own time limit.
func (g *gatherer) keep(ctx context.Context, d delivery) (duplicate bool, err error) {
	p := &pending{d: d, lead: make(chan struct{}, 1), done: make(chan kept, 1)}
	g.mu.Lock()
	g.waiting = append(g.waiting, p)
	if !g.busy {
		g.busy = true
		p.lead <- struct{}{}
	}
	g.mu.Unlock()
	select {
	case <-p.lead:
		g.flush(ctx)
	case k := <-p.done:
		return k.duplicate, k.err
	}
	k := <-p.done
	return k.duplicate, k.err
}

// flush publishes what waits, beginning with the caller's own, and then lets
// the next one lead. Others depend on it, so the caller's hanging up does not end it.
func (g *gatherer) flush(ctx context.Context) {
	batch := g.take()
	all := make([]delivery, len(batch))
	for i, p := range batch {
		all[i] = p.d
	}
	k := kept{err: errors.New("publishing panicked")}
	defer func() {
		for _, p := range batch {
			p.done <- k
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.busy = len(g.waiting) > 0; g.busy {
			g.waiting[0].lead <- struct{}{}
		}
	}()
	k.duplicate, k.err = g.publish(context.WithoutCancel(ctx), all)
}

// take removes the next bundle from those waiting: at least the first.
func (g *gatherer) take() []*pending {
	g.mu.Lock()
	defer g.mu.Unlock()
	n, size := 0, 0
	for n < len(g.waiting) && n < bundleMost {
		if d := g.waiting[n].d; d.Object == "" {
			size += len(d.Body)
		}
		if n > 0 && size > bundleBytes {
			break
		}
		n++
	}
	batch := g.waiting[:n:n]
	g.waiting = append([]*pending(nil), g.waiting[n:]...)
	return batch
}

// recent remembers the last ids of this process, so that a repetition is
// answered as one before it has been read. It holds two generations.
type recent struct {
	mu       sync.Mutex
	new, old map[string]struct{}
}

const recentMost = 10_000

func newRecent() *recent { return &recent{new: map[string]struct{}{}} }

func (r *recent) has(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, inNew := r.new[id]
	_, inOld := r.old[id]
	return inNew || inOld
}

func (r *recent) add(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.new) >= recentMost {
		r.new, r.old = map[string]struct{}{}, r.new
	}
	r.new[id] = struct{}{}
}
