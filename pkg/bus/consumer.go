package bus

import (
	"context"
	"fmt"
	"reflect"

	"github.com/nats-io/nats.go/jetstream"
)

// EnsureConsumer returns the durable consumer of a stream, made or changed if
// need be. It looks first: a server writes even an unchanged consumer down
// anew, and a cluster votes on it, at every start of every service.
func EnsureConsumer(ctx context.Context, js jetstream.JetStream, stream string, want jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	if c, err := js.Consumer(ctx, stream, want.Durable); err == nil && unchanged(c.CachedInfo().Config, want) {
		return c, nil
	}
	c, err := js.CreateOrUpdateConsumer(ctx, stream, want)
	if err != nil {
		return nil, fmt.Errorf("make the consumer %s on stream %s: %w", want.Durable, stream, err)
	}
	return c, nil
}

// unchanged reports whether a consumer is as wanted, but for what the server
// fills in by itself.
func unchanged(have, want jetstream.ConsumerConfig) bool {
	have.Name, have.Metadata = want.Name, want.Metadata
	if want.MaxWaiting == 0 {
		have.MaxWaiting = 0
	}
	return reflect.DeepEqual(have, want)
}
