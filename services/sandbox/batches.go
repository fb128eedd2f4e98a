package sandbox

import (
	"encoding/json"
	"io"
	"net/http"
	"sort"
	"sync"
	"time"
)

// maxStopped is how many batches may be cancelled or paused at once (SendGrid's reference).
const maxStopped = 10

// maxBatches bounds how many batch ids are remembered.
const maxBatches = 100_000

// batches are SendGrid's batch ids and which of them are cancelled or paused.
type batches struct {
	before time.Duration // see Config.CancelBefore
	mu     sync.Mutex
	all    map[string]struct{}
	stopAt map[string]time.Time
	status map[string]string
}

func newBatches(before time.Duration) *batches {
	b := &batches{before: before}
	b.reset()
	return b
}

func (b *batches) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all, b.stopAt, b.status = make(map[string]struct{}), make(map[string]time.Time), make(map[string]string)
}

func (b *batches) known(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, ok := b.all[id]
	return ok
}

func (b *batches) create(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.all) >= maxBatches {
		return false
	}
	b.all[id] = struct{}{}
	return true
}

// stopped returns "cancel", "pause" or "" for mail of a batch that is due at sendAt. A stop that
// came too late has no effect.
func (b *batches) stopped(id string, sendAt time.Time) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if at, ok := b.stopAt[id]; !ok || sendAt.Sub(at) < b.before {
		return ""
	}
	return b.status[id]
}

// stoppedBatch is SendGrid's form of a cancelled or paused batch.
type stoppedBatch struct {
	BatchID string `json:"batch_id"`
	Status  string `json:"status"`
}

func (s *Service) createBatch(w http.ResponseWriter, _ *http.Request) {
	id := s.messageID()
	if !s.queues.create(id) {
		writeMailErrors(w, http.StatusTooManyRequests, mailError{Message: "too many batch ids"})
		return
	}
	writeJSON(w, http.StatusCreated, map[string]string{"batch_id": id})
}

func (s *Service) checkBatch(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("batch")
	if !s.queues.known(id) {
		writeMailErrors(w, http.StatusBadRequest, mailError{Message: "invalid batch id"})
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"batch_id": id})
}

func (s *Service) stopBatch(w http.ResponseWriter, r *http.Request) {
	in, ok := readStop(w, r)
	if !ok {
		return
	}
	b := s.queues
	b.mu.Lock()
	defer b.mu.Unlock()
	_, known := b.all[in.BatchID]
	_, already := b.status[in.BatchID]
	switch {
	case !known:
		writeMailErrors(w, http.StatusBadRequest, mailError{Message: "invalid batch id", Field: "batch_id"})
	case already:
		writeMailErrors(w, http.StatusBadRequest, mailError{Message: "a status for this batch id exists; update or delete it", Field: "batch_id"})
	case len(b.status) >= maxStopped:
		writeMailErrors(w, http.StatusBadRequest, mailError{Message: "the maximum number of cancelled or paused batches (10) has been reached"})
	default:
		b.status[in.BatchID], b.stopAt[in.BatchID] = in.Status, s.cfg.Now()
		writeJSON(w, http.StatusCreated, in)
	}
}

func readStop(w http.ResponseWriter, r *http.Request) (in stoppedBatch, ok bool) {
	if err := json.NewDecoder(io.LimitReader(r.Body, 64<<10)).Decode(&in); err != nil {
		writeMailErrors(w, http.StatusBadRequest, mailError{Message: "Bad Request"})
		return in, false
	}
	if in.Status != "cancel" && in.Status != "pause" {
		writeMailErrors(w, http.StatusBadRequest, mailError{Message: "status must be cancel or pause", Field: "status"})
		return in, false
	}
	return in, true
}

func (s *Service) listStopped(w http.ResponseWriter, _ *http.Request) {
	b := s.queues
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]stoppedBatch, 0, len(b.status))
	for id, status := range b.status {
		list = append(list, stoppedBatch{id, status})
	}
	sort.Slice(list, func(i, j int) bool { return list[i].BatchID < list[j].BatchID })
	writeJSON(w, http.StatusOK, list)
}

func (s *Service) showStopped(w http.ResponseWriter, r *http.Request) {
	b := s.queues
	b.mu.Lock()
	defer b.mu.Unlock()
	list := []stoppedBatch{}
	if status, ok := b.status[r.PathValue("batch")]; ok {
		list = append(list, stoppedBatch{r.PathValue("batch"), status})
	}
	writeJSON(w, http.StatusOK, list)
}

func (s *Service) changeStopped(w http.ResponseWriter, r *http.Request) {
	in, ok := readStop(w, r)
	if !ok {
		return
	}
	b := s.queues
	b.mu.Lock()
	defer b.mu.Unlock()
	id := r.PathValue("batch")
	if _, ok := b.status[id]; !ok {
		writeMailErrors(w, http.StatusNotFound, mailError{Message: "batch id not found"})
		return
	}
	b.status[id], b.stopAt[id] = in.Status, s.cfg.Now()
	w.WriteHeader(http.StatusNoContent)
}

func (s *Service) resumeBatch(w http.ResponseWriter, r *http.Request) {
	b := s.queues
	b.mu.Lock()
	defer b.mu.Unlock()
	id := r.PathValue("batch")
	if _, ok := b.status[id]; !ok {
		writeMailErrors(w, http.StatusNotFound, mailError{Message: "batch id not found"})
		return
	}
	delete(b.status, id)
	delete(b.stopAt, id)
	w.WriteHeader(http.StatusNoContent)
}
