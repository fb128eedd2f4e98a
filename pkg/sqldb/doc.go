// Package sqldb opens a service's SQL store from one URL and hides the few
// places where SQLite and PostgreSQL differ: how to open, how to write one at
// a time, and which of two schema texts to apply.
//
// A store belongs to one service. With SQLite that is a file; with PostgreSQL
// it is a schema named after the service, so that all services can share one
// database without seeing each other's tables.
//
// The same SQL text serves both engines if it keeps to $n placeholders, BIGINT
// instants taken from Go's clock, BYTEA blobs, opaque TEXT for JSON, and a
// Batch instead of arrays. Do not write long VALUES lists with $n by hand:
// SQLite takes quadratic time over them, and Batch does not.
//
// Drivers: modernc.org/sqlite because it needs no cgo and so keeps the static
// binary; pgx through database/sql so that one *sql.DB serves both.
package sqldb
