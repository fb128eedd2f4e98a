// Package intake receives the alerts of SIEMs, keeps them as they came, reads
// them by mappings and proposes them to analysts.
//
// It owns the alerts: their raw bodies (stream ALERTS, and the object store
// alerts-raw for large bodies and for those of a case), their rows in SQL, the
// mappings (package mapping), the heartbeat of each source.
//
// It hears POST /v1/alerts/{source}, the desk's questions on event.AskAlerts,
// and case.declared and alert.accepted on the journal.
//
// It says alert.linked, once a person has taken an alert into a case. An alert
// never declares a case: this service could not, its NATS user may not say
// case.declared.
//
// # What an answer promises
//
// 202 and 200 mean that the body is on disk in the stream ALERTS, written
// through by every replica that counts. The body is the message: measured on
// the embedded default at 500 requests a second, one stored message costs one
// fsync and half a millisecond in the middle, an object with a reference costs
// three and its slowest tenth took ten times as long. Bodies above 256 KiB go
// to the object store first. A body in no case is kept for as long as ALERTS
// keeps messages (400 days); the bodies of a case are copied and kept.
//
// The id of a delivery is derived from source and body, so a repeated body has
// the same id everywhere, also after a crash between storing and answering.
//
// # What it does not guarantee
//
// The number of repetitions of an alert is exact but for the last seconds
// before a crash. A mapping can be wrong: the raw body is the evidence, the
// facts are a reading of it. That no alert arrives may mean that nothing
// happens or that the sender broke; the heartbeat shows it, nothing decides it.
package intake
