package notice

import (
	"fmt"
	"os"
	"sync"
	"time"
)

// watched is what a file holds, read again when the file changes.
type watched[T any] struct {
	path, what string
	load       func(path string) (T, error)

	mu    sync.Mutex
	known bool
	at    time.Time
	size  int64
	value T
}

func (w *watched[T]) get() (none T, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	info, err := os.Stat(w.path)
	if err != nil {
		return none, fmt.Errorf("%s: %w", w.what, err)
	}
	if w.known && info.ModTime().Equal(w.at) && info.Size() == w.size {
		return w.value, nil
	}
	value, err := w.load(w.path)
	if err != nil {
		return none, err
	}
	w.value, w.at, w.size, w.known = value, info.ModTime(), info.Size(), true
	return value, nil
}
