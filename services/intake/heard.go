package intake

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// flushEvery is how often heartbeats and repetitions are written down: a storm
// of repetitions must not become a storm of transactions. A crash loses at most
// this much of the counts and nothing else.
const flushEvery = time.Second

// heard gathers heartbeats and repetitions between two flushes.
type heard struct {
	mu      sync.Mutex
	sources map[string]beat
	repeats map[string]beat
}

// beat is how often something came and when last.
type beat struct {
	count int64
	last  time.Time
}

func newHeard() *heard { return &heard{sources: map[string]beat{}, repeats: map[string]beat{}} }

// add notes an authentic message of a source.
func (h *heard) add(source string, at time.Time) { h.note(&h.sources, source, at) }

// repeat notes that a delivery came again.
func (h *heard) repeat(delivery string, at time.Time) { h.note(&h.repeats, delivery, at) }

func (h *heard) note(m *map[string]beat, key string, at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := (*m)[key]
	b.count++
	if at.After(b.last) {
		b.last = at
	}
	(*m)[key] = b
}

// take returns what was gathered and begins anew.
func (h *heard) take() (sources, repeats map[string]beat) {
	h.mu.Lock()
	defer h.mu.Unlock()
	sources, repeats = h.sources, h.repeats
	h.sources, h.repeats = map[string]beat{}, map[string]beat{}
	return sources, repeats
}

// giveBack puts back what could not be written.
func (h *heard) giveBack(sources, repeats map[string]beat) {
	for to, from := range map[*map[string]beat]map[string]beat{&h.sources: sources, &h.repeats: repeats} {
		h.mu.Lock()
		for k, b := range from {
			now := (*to)[k]
			now.count += b.count
			if b.last.After(now.last) {
				now.last = b.last
			}
			(*to)[k] = now
		}
		h.mu.Unlock()
	}
}

// run writes what was gathered until ctx ends, and once more then.
func (h *heard) run(ctx context.Context, st *store, log *slog.Logger) {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			h.flush(last, st, log)
			return
		}
		h.flush(ctx, st, log)
	}
}

func (h *heard) flush(ctx context.Context, st *store, log *slog.Logger) {
	sources, repeats := h.take()
	if len(sources) == 0 && len(repeats) == 0 {
		return
	}
	early, err := st.beat(ctx, sources, repeats)
	if err != nil {
		h.giveBack(sources, repeats)
		log.WarnContext(ctx, "write heartbeats", "error", err)
		return
	}
	h.giveBack(nil, early)
}
