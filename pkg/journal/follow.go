package journal

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
)

// followEvery is how often Follow looks without having been told: an
// announcement may be lost, the journal is not.
const followEvery = 2 * time.Second

// Follow calls f with every event after a sequence, in journal order, and goes
// on with new ones as they are stored, until ctx ends (it then returns nil) or
// f or the connection fails. An empty org or case stands for all of them.
// It holds nothing on the server: many may follow at once.
func (j *Journal) Follow(ctx context.Context, org, caseID string, after uint64, f func(casefile.Entry) error) error {
	for _, s := range []string{org, caseID} {
		if s != "" && !event.ValidToken(s) {
			return fmt.Errorf("follow: %w: %q cannot name an organisation or a case", ErrInvalid, s)
		}
	}
	news := make(chan struct{}, 1)
	sub, err := j.nc.Subscribe(event.StoredSubjects(org, caseID), func(*nats.Msg) {
		select {
		case news <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return fmt.Errorf("follow: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	again := time.NewTicker(followEvery)
	defer again.Stop()
	subjects := event.AnyCaseSubjects(org, caseID)
	for {
		entries, err := j.sinceBounded(ctx, subjects, after)
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("follow %s: %w", subjects, err)
		}
		for _, e := range entries {
			if err := f(e); err != nil {
				return err
			}
			after = e.Seq
		}
		select {
		case <-ctx.Done():
			return nil
		case <-news:
		case <-again.C:
		}
	}
}

func (j *Journal) sinceBounded(ctx context.Context, subjects string, after uint64) ([]casefile.Entry, error) {
	ctx, cancel := j.bounded(ctx)
	defer cancel()
	return j.since(ctx, subjects, after)
}
