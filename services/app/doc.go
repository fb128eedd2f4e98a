// Package app wires any set of services into one process.
//
// It is the only place that knows all services, the only one that reads the
// clock, and the owner of every connection: each service gets its own NATS
// user, its own store and its own handlers on the shared listener. «Everything
// in one process» and «one service against a cluster» differ only in Settings.
package app
