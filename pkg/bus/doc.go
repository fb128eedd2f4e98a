// Package bus carries work and questions between services over NATS JetStream:
// the streams, a Watermill router over our own adapter, request/reply between
// services, trace context in headers, and dead letters.
//
// Delivery is at least once: a handler may run twice, so it creates or
// tolerates. Retry lives in one place, the consumer's back-off; an error that
// Permanent marks, or the last delivery, parks the message in the stream DEAD.
// Nothing here is exactly once, and no stream here is the proof of anything
// but the journal and the sender's ledger.
//
// The adapter is our own because watermill-nats (2.1.3, 2.2.0) loses its
// consumer on a clean shutdown, delivers acknowledged messages again, runs slow
// handlers two to three times and panics on a repeated header.
package bus
