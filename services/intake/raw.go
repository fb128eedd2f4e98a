package intake

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/event"
)

// inlineLimit is the largest body that travels in a message.
const inlineLimit = 256 << 10

// storeTimeout is how long a sender is kept waiting for the disk.
const storeTimeout = 3 * time.Second

// delivery is one authentic body as it came.
type delivery struct {
	// ID is derived from organisation, source and body.
	ID, Org, Source string
	Body            []byte
	SHA256          string
	ContentType     string
	// CloudEvent holds the attributes of a CloudEvent in binary mode as JSON.
	CloudEvent string
	ReceivedAt time.Time
	// Seq is its sequence in the stream ALERTS, Object its key in the object
	// store if the body is there.
	Seq    uint64
	Object string
	// Trace is the W3C trace context of the request.
	Trace map[string]string
}

func newDelivery(src *source, body []byte, contentType, cloudEvent string, at time.Time) delivery {
	h := sha256.New()
	h.Write(body)
	d := delivery{Org: src.Org, Source: src.ID, Body: body, SHA256: hex.EncodeToString(h.Sum(nil)), ContentType: contentType, CloudEvent: cloudEvent, ReceivedAt: at}
	d.ID = event.DerivedID("alert", d.Org, d.Source, d.SHA256, cloudEvent)
	return d
}

// alertID is the id of the n-th alert of the m-th document of a delivery. The
// first alert of the first document has the delivery's own.
func alertID(delivery string, document, n int) string {
	if document == 0 && n == 0 {
		return delivery
	}
	return event.DerivedID("alert", delivery, strconv.Itoa(document), strconv.Itoa(n))
}

// rawStore keeps bodies.
type rawStore struct {
	js       jetstream.JetStream
	refusals *bus.Refusals
}

// publish makes deliveries of one source durable in one message. For a single
// one it tells whether the very same is there already.
func (s rawStore) publish(ctx context.Context, all []delivery) (duplicate bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	m := nats.NewMsg(event.SubjectAlertRaw(all[0].Source))
	if m.Data, err = pack(all); err != nil {
		return false, err
	}
	id := all[0].ID
	if len(all) > 1 {
		ids := []string{"bundle"}
		for _, d := range all {
			ids = append(ids, d.ID)
		}
		id = event.DerivedID(ids...)
	}
	m.Header.Set(jetstream.MsgIDHeader, id)
	for k, v := range all[0].Trace {
		m.Header.Set(k, v) // NATS keeps the case, as the recommendation writes it
	}
	guarded, done := s.refusals.Guard(ctx, m.Subject)
	defer done()
	ack, err := s.js.PublishMsg(guarded, m)
	if err != nil {
		return false, fmt.Errorf("store %d alerts of source %s: %w", len(all), all[0].Source, bus.Explain(guarded, err))
	}
	return ack.Duplicate && len(all) == 1, nil
}

func (s rawStore) putObject(ctx context.Context, key string, body []byte) error {
	objects, err := s.js.ObjectStore(ctx, event.ObjectsRaw)
	if err == nil {
		_, err = objects.PutBytes(ctx, key, body)
	}
	if err != nil {
		return fmt.Errorf("store the body of alert %s: %w", key, err)
	}
	return nil
}

var errBodyGone = errors.New("the body is no longer kept")

// body reads a body back from where it lies and checks that it is the same.
func (s rawStore) body(ctx context.Context, seq uint64, object, sum string) ([]byte, error) {
	var body []byte
	var err error
	if object != "" {
		body, err = s.object(ctx, object)
	} else {
		body, err = s.message(ctx, seq, sum)
	}
	if err != nil {
		return nil, err
	}
	if got := sha256.Sum256(body); hex.EncodeToString(got[:]) != sum {
		return nil, fmt.Errorf("the body kept does not have the digest %s that it had when it was received", sum)
	}
	return body, nil
}

func (s rawStore) object(ctx context.Context, key string) ([]byte, error) {
	objects, err := s.js.ObjectStore(ctx, event.ObjectsRaw)
	if err != nil {
		return nil, fmt.Errorf("open the store of raw bodies: %w", err)
	}
	body, err := objects.GetBytes(ctx, key)
	if errors.Is(err, jetstream.ErrObjectNotFound) {
		return nil, errBodyGone
	}
	if err != nil {
		return nil, fmt.Errorf("read the body %s: %w", key, err)
	}
	return body, nil
}

// message finds the body with the digest in a message of the stream.
func (s rawStore) message(ctx context.Context, seq uint64, sum string) ([]byte, error) {
	stream, err := s.js.Stream(ctx, event.StreamAlerts)
	if err != nil {
		return nil, fmt.Errorf("open stream %s: %w", event.StreamAlerts, err)
	}
	m, err := stream.GetMsg(ctx, seq)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, errBodyGone
	}
	if err != nil {
		return nil, fmt.Errorf("read message %d of %s: %w", seq, event.StreamAlerts, err)
	}
	all, err := unpack(m.Data)
	if err != nil {
		return nil, fmt.Errorf("message %d of %s: %w", seq, event.StreamAlerts, err)
	}
	for _, d := range all {
		if d.SHA256 == sum && d.Object == "" {
			return d.Body, nil
		}
	}
	return nil, fmt.Errorf("message %d of %s holds no body with the digest %s", seq, event.StreamAlerts, sum)
}

// structured rebuilds the CloudEvent that came in binary mode.
func structured(attributes string, data json.RawMessage) (json.RawMessage, error) {
	var e map[string]json.RawMessage
	if err := json.Unmarshal([]byte(attributes), &e); err != nil {
		return nil, fmt.Errorf("read CloudEvent attributes: %w", err)
	}
	e["data"] = data
	return json.Marshal(e)
}
