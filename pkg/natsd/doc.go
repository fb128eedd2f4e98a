// Package natsd runs the NATS server with JetStream inside our own process and
// holds the one table of who may do what on the bus.
//
// The embedded server reads exactly the text that the cluster reads: the
// accounts block made by [Accounts], which is also deployments/nats/accounts.conf.
// It syncs every message before it acknowledges it, listens on no port unless
// told to, and reports to nobody.
package natsd
