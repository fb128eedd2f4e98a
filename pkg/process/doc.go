// Package process runs the parts of a program: it starts them in order, watches
// them, and stops them in the opposite order within a bounded time. It also
// holds the lock on a data folder, so that two programs never write to one.
package process
