package sandbox

import (
	"context"
	"sync"
	"time"
)

// step is one thing that happens to a message at an instant: 16 bytes, so that a backlog of
// millions stays small. What is sent about it is written out only when it is sent.
type step struct {
	at      int64 // Unix nanoseconds
	message uint32
	to      state
	try     uint8 // callbacks of this step that failed so far
	era     uint8 // of the record; a step from before a reset is void
	flags   uint8
}

const (
	stepHappened    uint8 = 1 << iota // the message has this state already; only the callback is left
	stepWithoutArgs                   // callback without custom arguments
	stepCopy                          // one of the extra ones of a tripled receipt
	stepNewID                         // with an event id of its own, as has been seen in the field
)

// outbox orders steps by time. It is a heap; push and take are safe for concurrent use.
type outbox struct {
	mu    sync.Mutex
	heap  []step
	limit int
	wake  chan struct{}
}

func newOutbox(limit int) *outbox { return &outbox{limit: limit, wake: make(chan struct{}, 1)} }

// full says that no more should be accepted until callbacks have been delivered.
func (o *outbox) full() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.heap) >= o.limit
}

func (o *outbox) size() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.heap)
}

func (o *outbox) reset() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.heap = nil
}

func (o *outbox) push(steps ...step) {
	if len(steps) == 0 {
		return
	}
	o.mu.Lock()
	for _, s := range steps {
		o.heap = append(o.heap, s)
		o.up(len(o.heap) - 1)
	}
	o.mu.Unlock()
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// take removes up to max steps that are due, in the order of their instants, and says when the
// next one is (zero when there is none).
func (o *outbox) take(now time.Time, max int, into []step) ([]step, time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	limit := now.UnixNano()
	for len(o.heap) > 0 && len(into) < max && o.heap[0].at <= limit {
		into = append(into, o.heap[0])
		last := len(o.heap) - 1
		o.heap[0] = o.heap[last]
		o.heap = o.heap[:last]
		o.down(0)
	}
	if len(o.heap) == 0 {
		return into, time.Time{}
	}
	return into, time.Unix(0, o.heap[0].at)
}

func (o *outbox) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if o.heap[parent].at <= o.heap[i].at {
			return
		}
		o.heap[parent], o.heap[i] = o.heap[i], o.heap[parent]
		i = parent
	}
}

func (o *outbox) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(o.heap) {
			return
		}
		if child+1 < len(o.heap) && o.heap[child+1].at < o.heap[child].at {
			child++
		}
		if o.heap[i].at <= o.heap[child].at {
			return
		}
		o.heap[i], o.heap[child] = o.heap[child], o.heap[i]
		i = child
	}
}

// longestNap bounds how long the loop sleeps, so that a clock set forward is noticed.
const longestNap = 100 * time.Millisecond

// run hands due steps to send, at most batch at a time, until ctx ends. gather is how long it waits
// for a batch to fill once a step is due.
func (o *outbox) run(ctx context.Context, now func() time.Time, batch int, gather time.Duration, send func([]step)) {
	timer := time.NewTimer(longestNap)
	defer timer.Stop()
	for {
		due, next := o.take(now(), batch, nil)
		if len(due) > 0 {
			send(due)
			if ctx.Err() != nil {
				return
			}
			if len(due) == batch {
				continue
			}
		}
		nap := longestNap
		if !next.IsZero() {
			nap = min(nap, max(next.Sub(now()), gather))
		}
		timer.Reset(nap)
		wake := o.wake
		if len(due) > 0 {
			wake = nil // let the next batch fill
		}
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-wake:
		}
	}
}
