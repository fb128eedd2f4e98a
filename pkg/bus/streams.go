package bus

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tocsin.dev/pkg/event"
)

// Limits of the work streams. A full stream refuses new messages; it never
// drops old ones for lack of room.
const (
	workMaxAge = 30 * 24 * time.Hour
	// alertsMaxAge is how long the raw body of an alert is kept that is in no
	// case; intake copies those of a case into the object store.
	alertsMaxAge = 400 * 24 * time.Hour
	workMaxMsgs  = 10_000_000
	deadMaxMsgs  = 1_000_000
	// workWindow is how long a repeated message id is recognised. The tables of
	// the owning service, not the window, make a repeat harmless.
	workWindow = 10 * time.Minute
	// sessionMaxAge bounds every session, whatever the desk decides.
	sessionMaxAge = 24 * time.Hour
	ensureTry     = 3 * time.Second
)

// Streams returns the configuration of every stream of the bus.
func Streams(replicas int) []jetstream.StreamConfig {
	cases := jetstream.StreamConfig{
		Name: event.StreamCases, Subjects: []string{event.SubjectCases},
		Description: "the journal of every case; append-only",
		DenyDelete:  true, DenyPurge: true,
		AllowAtomicPublish: true, AllowDirect: true,
		RePublish: &jetstream.RePublish{Source: event.SubjectCases, Destination: event.SubjectStored, HeadersOnly: true},
	}
	all := []jetstream.StreamConfig{
		cases,
		alerts(),
		work(event.StreamDispatch, event.SubjectDispatch, "tickets: chunks of sending work, never people"),
		work(event.StreamReceipts, event.SubjectReceipts, "what providers reported, without addresses"),
		{
			Name: event.StreamDead, Subjects: []string{event.SubjectDead},
			Description: "messages that were parked, with the reason", MaxMsgs: deadMaxMsgs,
			Duplicates: workWindow,
		},
	}
	for i := range all {
		all[i].Retention = jetstream.LimitsPolicy
		all[i].Discard = jetstream.DiscardNew
		all[i].Storage = jetstream.FileStorage
		all[i].Replicas = replicas
	}
	return all
}

func work(name, subjects, description string) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: name, Subjects: []string{subjects}, Description: description,
		MaxAge: workMaxAge, MaxMsgs: workMaxMsgs, Duplicates: workWindow,
	}
}

// alerts holds raw bodies, not only work: a breach is often found months after
// its first alert, and the body is evidence.
func alerts() jetstream.StreamConfig {
	cfg := work(event.StreamAlerts, event.SubjectAlerts, "raw alerts as they were received")
	cfg.MaxAge = alertsMaxAge
	return cfg
}

// EnsureStreams creates or updates every stream, key-value bucket and object
// store of the bus. It needs the admin user and may run any number of times.
func EnsureStreams(ctx context.Context, nc *nats.Conn, replicas int) error {
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("ensure streams: %w", err)
	}
	refusals := WatchRefusals(nc)
	ensure := func(ctx context.Context, stream string, create func(context.Context) error) error {
		guarded, done := refusals.Guard(ctx, "$JS.API.STREAM.UPDATE."+stream, "$JS.API.STREAM.CREATE."+stream)
		defer done()
		return ensure(guarded, stream, func() error {
			// A cluster without a leader does not answer: one try takes only its share.
			try, cancel := context.WithTimeout(guarded, ensureTry)
			defer cancel()
			return Explain(guarded, create(try))
		})
	}
	for _, cfg := range Streams(replicas) {
		if err := ensure(ctx, cfg.Name, func(ctx context.Context) error { _, err := js.CreateOrUpdateStream(ctx, cfg); return err }); err != nil {
			return err
		}
	}
	for _, cfg := range buckets(replicas) {
		if err := ensure(ctx, "KV_"+cfg.Bucket, func(ctx context.Context) error { _, err := js.CreateOrUpdateKeyValue(ctx, cfg); return err }); err != nil {
			return err
		}
	}
	objects := objects(replicas)
	return ensure(ctx, "OBJ_"+objects.Bucket, func(ctx context.Context) error { _, err := js.CreateOrUpdateObjectStore(ctx, objects); return err })
}

// StreamsDigest names what EnsureStreams makes: it changes when the streams,
// buckets or object stores of the bus do.
func StreamsDigest(replicas int) string {
	all, err := json.Marshal([]any{Streams(replicas), buckets(replicas), objects(replicas)})
	if err != nil {
		panic(err) // plain structs
	}
	sum := sha256.Sum256(all)
	return hex.EncodeToString(sum[:])
}

func objects(replicas int) jetstream.ObjectStoreConfig {
	return jetstream.ObjectStoreConfig{
		Bucket: event.ObjectsRaw, Description: "raw alert bodies exactly as received",
		Storage: jetstream.FileStorage, Replicas: replicas,
	}
}

func buckets(replicas int) []jetstream.KeyValueConfig {
	return []jetstream.KeyValueConfig{
		{
			Bucket: event.BucketLaw, Description: "rule packages that were proposed, and which of them hold", History: 64,
			Storage: jetstream.FileStorage, Replicas: replicas,
		},
		{
			Bucket: event.BucketSessions, Description: "signed-in sessions of the desk", History: 1,
			TTL: sessionMaxAge, Storage: jetstream.FileStorage, Replicas: replicas,
		},
		{
			Bucket: event.BucketUsers, Description: "users of the desk", History: 8,
			Storage: jetstream.FileStorage, Replicas: replicas,
		},
	}
}

// storeBusy is the server's "error creating store for stream": the folder of
// the account is being removed or made by somebody else at this moment.
const storeBusy jetstream.ErrorCode = 10049

// ensure retries what the server refuses only for the moment: a store that is
// busy, and a cluster that has no leader yet.
func ensure(ctx context.Context, name string, create func() error) error {
	var err error
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		if err = create(); err == nil {
			return nil
		}
		if !passing(err) && (ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded)) {
			return fmt.Errorf("ensure stream %s: %w", name, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("ensure stream %s: %w (last: %w)", name, ctx.Err(), err)
		case <-time.After(wait):
		}
	}
}

func passing(err error) bool {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return api.ErrorCode == storeBusy || api.Code == 503
	}
	return errors.Is(err, nats.ErrNoResponders) || errors.Is(err, jetstream.ErrNoStreamResponse)
}
