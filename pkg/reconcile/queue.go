package reconcile

import (
	"container/heap"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// ref names a case.
type ref struct{ org, id string }

// poke is one reason to look: acknowledged once a look has followed it, given
// back to the other replicas if none will.
type poke struct {
	header   nats.Header
	ack      func()
	giveBack func()
}

// task is one look to be taken.
type task struct {
	ref ref
	// header is that of the latest poke, or nil for a look nobody asked for.
	header nats.Header
	pokes  []poke
	// failures and streak count the looks in a row before this one that failed
	// and that added events.
	failures, streak int
}

// outcome is what a look came to.
type outcome struct {
	wake             time.Time
	appended, failed bool
}

// entry is what the queue knows of a case that needs attention now or later.
type entry struct {
	ref              ref
	waiting, running bool
	pokes            []poke
	failures, streak int
	retry            *time.Timer
	// wake is when to look again; at is the place in the heap or -1.
	wake time.Time
	at   int
}

// queue holds the cases to look at: each at most once in line and once in
// progress, with everybody who asked meanwhile.
type queue struct {
	mu      sync.Mutex
	nonzero *sync.Cond
	line    []*entry
	cases   map[ref]*entry
	wakes   wakes
	// rewake tells the waker that the earliest wake-up has changed.
	rewake chan struct{}
	closed bool
}

func newQueue() *queue {
	q := &queue{cases: map[ref]*entry{}, rewake: make(chan struct{}, 1)}
	q.nonzero = sync.NewCond(&q.mu)
	return q
}

// add asks for a look at a case, on behalf of a poke if there is one.
func (q *queue) add(r ref, p *poke) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		if p != nil {
			p.giveBack()
		}
		return
	}
	e := q.cases[r]
	if e == nil {
		e = &entry{ref: r, at: -1}
		q.cases[r] = e
	}
	if p != nil {
		e.pokes = append(e.pokes, *p)
	}
	q.enqueue(e)
}

// enqueue puts a case in line unless it stands there. One in progress joins
// the line when it is done, one that failed when its pause is over.
func (q *queue) enqueue(e *entry) {
	if e.waiting || e.retry != nil || q.closed {
		return
	}
	e.waiting = true
	if !e.running {
		q.line = append(q.line, e)
		q.nonzero.Signal()
	}
}

// take waits for the next look. It returns false once the queue is closed;
// what is in line then is left to the next start.
func (q *queue) take() (task, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.line) == 0 && !q.closed {
		q.nonzero.Wait()
	}
	if q.closed {
		return task{}, false
	}
	e := q.line[0]
	q.line[0] = nil
	q.line = q.line[1:]
	e.waiting, e.running = false, true
	t := task{ref: e.ref, pokes: e.pokes, failures: e.failures, streak: e.streak}
	if n := len(e.pokes); n > 0 {
		t.header = e.pokes[n-1].header
	}
	e.pokes = nil
	return t, true
}

// done settles a look. A failed one is taken again after a pause that grows
// with every failure in a row.
func (q *queue) done(t task, o outcome) {
	q.mu.Lock()
	e := q.cases[t.ref]
	e.running = false
	e.streak = next(e.streak, o.appended)
	e.failures = next(e.failures, o.failed)
	q.schedule(e, o.wake)
	if o.failed && !q.closed {
		e.retry = time.AfterFunc(pause(e.failures), func() { q.again(e) })
	}
	if e.waiting {
		e.waiting = false
		q.enqueue(e)
	}
	if !e.waiting && e.retry == nil && e.wake.IsZero() && e.streak == 0 {
		delete(q.cases, t.ref)
	}
	unanswered := o.failed && q.closed // nobody here will try again
	q.mu.Unlock()
	for _, p := range t.pokes {
		if unanswered {
			p.giveBack()
		} else {
			p.ack()
		}
	}
}

// again ends the pause of a case that failed.
func (q *queue) again(e *entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	e.retry = nil
	q.enqueue(e)
}

func next(n int, again bool) int {
	if again {
		return n + 1
	}
	return 0
}

// pause grows from a quarter of a second to one minute.
func pause(failures int) time.Duration {
	return min(250*time.Millisecond<<min(failures-1, 10), time.Minute)
}

// close ends the line and every timer, and gives back the pokes that no look
// has followed.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	for _, e := range q.cases {
		if e.retry != nil {
			e.retry.Stop()
		}
		for _, p := range e.pokes {
			p.giveBack()
		}
		e.pokes = nil
	}
	q.nonzero.Broadcast()
}

// schedule sets, moves or removes the wake-up of a case.
func (q *queue) schedule(e *entry, wake time.Time) {
	switch {
	case wake.IsZero() && e.at >= 0:
		heap.Remove(&q.wakes, e.at)
	case wake.IsZero():
	case e.at >= 0:
		e.wake = wake
		heap.Fix(&q.wakes, e.at)
	default:
		e.wake = wake
		heap.Push(&q.wakes, e)
	}
	e.wake = wake
	select {
	case q.rewake <- struct{}{}:
	default:
	}
}

// due puts every case in line whose wake-up has come and returns the next one,
// or zero if there is none.
func (q *queue) due(now time.Time) time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.wakes) > 0 && !q.wakes[0].wake.After(now) {
		e := heap.Pop(&q.wakes).(*entry)
		e.wake = time.Time{}
		q.enqueue(e)
	}
	if len(q.wakes) == 0 {
		return time.Time{}
	}
	return q.wakes[0].wake
}

// wakes is a heap of cases, earliest wake-up first.
type wakes []*entry

func (w wakes) Len() int           { return len(w) }
func (w wakes) Less(i, j int) bool { return w[i].wake.Before(w[j].wake) }
func (w wakes) Swap(i, j int) {
	w[i], w[j] = w[j], w[i]
	w[i].at, w[j].at = i, j
}

// Push implements heap.Interface.
func (w *wakes) Push(x any) {
	e := x.(*entry)
	e.at = len(*w)
	*w = append(*w, e)
}

// Pop implements heap.Interface.
func (w *wakes) Pop() any {
	old := *w
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*w = old[:len(old)-1]
	e.at = -1
	return e
}
