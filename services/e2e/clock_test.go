package e2e

import (
	"sync"
	"time"
)

// clock is real time that a test may move forward.
type clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

// Now is the present as the process sees it.
func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}
