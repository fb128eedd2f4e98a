package scope

import (
	"context"
	"sync"

	"tocsin.dev/pkg/event"
)

// sealersAtOnce is how many lists are sealed at the same time.
const sealersAtOnce = 2

// job seals the list for one statement.
type job struct {
	org, caseID, statement string
	exposures              []event.Exposure
}

func (j job) key() string { return j.org + "/" + j.caseID + "/" + j.statement }

// jobs are the sealing jobs of this process. What they have done lies in the
// store, so losing them in a crash loses nothing.
type jobs struct {
	queue chan job

	mu      sync.Mutex
	running map[string]bool
	refused map[string]string
}

// waiting bounds the jobs in line; a case that finds no room asks again later.
const waiting = 1024

func newJobs() *jobs {
	return &jobs{queue: make(chan job, waiting), running: map[string]bool{}, refused: map[string]string{}}
}

// start puts the job in line unless it already is.
func (q *jobs) start(j job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.running[j.key()] {
		return
	}
	select {
	case q.queue <- j:
		q.running[j.key()] = true
	default:
	}
}

// work runs jobs until ctx ends.
func (q *jobs) work(ctx context.Context, do func(context.Context, job)) {
	for {
		select {
		case <-ctx.Done():
			return
		case j := <-q.queue:
			do(ctx, j)
			q.mu.Lock()
			delete(q.running, j.key())
			q.mu.Unlock()
		}
	}
}

func (q *jobs) refuse(j job, reason string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.refused[j.key()] = reason
}

func (q *jobs) refusal(j job) string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.refused[j.key()]
}

// forget drops what is known of a job whose answer is in the store.
func (q *jobs) forget(j job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.refused, j.key())
}
