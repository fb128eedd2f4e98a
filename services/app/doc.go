// Package app runs any set of services in one process.
//
// It reads the settings and the clock, and owns every connection: each service
// gets its own NATS user, its own store and its own handlers on the shared
// listener. «Everything in one process» and «one service against a cluster»
// differ only in Settings. It knows no service: suite hands it all of them,
// sender only notice, so that the program which is restarted in the middle of
// a sending carries no more than it needs.
package app
