// Package journal is the stream CASES: the only truth about a case.
//
// An append names the sequence that the case had when the decision was made
// and is refused with ErrConflict when anyone else has appended since. Several
// events of one decision are stored together or not at all, in one atomic
// batch (NATS ADR-50). A repeated append of the same event ids succeeds
// without storing anything twice, however long ago the first one was.
//
// Reads decide on the stream's leader. Long reads come from any replica, but
// only up to the sequence that the leader named. The batch protocol is written
// here, in a page, because orbit.go's jetstreamext would be a second JetStream
// client with its own errors for the same two headers.
package journal
