package sandbox

import (
	"fmt"
	"strings"
	"sync"
)

// suppression is the list of SendGrid's that an address is on.
type suppression uint8

const (
	notSuppressed suppression = iota
	bouncedBefore
	spamReported
	unsubscribed
)

var listNames = map[string]suppression{"bounces": bouncedBefore, "spam_reports": spamReported, "unsubscribes": unsubscribed}

// maxSuppressed bounds the lists; beyond it a new bounce is no longer remembered.
const maxSuppressed = 1_000_000

// suppressions are the lists SendGrid consults before it delivers. An address can be taken off a
// list that steering put it on: off remembers that.
type suppressions struct {
	mu  sync.Mutex
	on  map[string]suppression
	off map[string]bool
}

func newSuppressions() *suppressions {
	return &suppressions{on: make(map[string]suppression), off: make(map[string]bool)}
}

// add puts an address on a list ("bounces", "spam_reports", "unsubscribes").
func (s *suppressions) add(list, address string) error {
	which, ok := listNames[list]
	if !ok {
		return fmt.Errorf("unknown suppression list %q: use bounces, spam_reports or unsubscribes", list)
	}
	s.put(which, address)
	return nil
}

func (s *suppressions) put(which suppression, address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	address = strings.ToLower(address)
	delete(s.off, address)
	if len(s.on) < maxSuppressed {
		s.on[address] = which
	}
}

// remove takes an address off every list, also when steering would have put it there.
func (s *suppressions) remove(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	address = strings.ToLower(address)
	delete(s.on, address)
	if len(s.off) < maxSuppressed {
		s.off[address] = true
	}
}

func (s *suppressions) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.on)
	clear(s.off)
}

// decide returns the fate of a message to address, given the steering and the lists passed over.
func (s *suppressions) decide(address string, skip bypass, steering bool) fate {
	outcome, list := fateDelivered, notSuppressed
	if steering {
		outcome, list = emailFate(address)
	}
	s.mu.Lock()
	if len(s.on)+len(s.off) > 0 {
		key := strings.ToLower(address)
		if s.off[key] {
			list = notSuppressed
		}
		if on, ok := s.on[key]; ok {
			list = on
		}
	}
	s.mu.Unlock()
	switch {
	case list == bouncedBefore && skip&bypassBounces == 0:
		return fateDroppedBounce
	case list == spamReported && skip&bypassSpam == 0:
		return fateDroppedSpam
	case list == unsubscribed && skip&bypassUnsubscribes == 0:
		return fateDroppedUnsubscribed
	}
	return outcome
}
