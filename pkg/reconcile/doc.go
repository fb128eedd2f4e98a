// Package reconcile runs the heart of a service: a function from the state of
// a case and the present instant to the events that are missing and the
// instant at which time alone will change the answer.
//
// An event is only a poke. The runner loads the case, asks the function,
// appends with the sequence it saw, and on a conflict loads and asks again, so
// duplicates, order, restarts and replicas do not matter. Pokes come from a
// durable consumer that replicas share, from wake-ups, from finished jobs, and
// from a sweep over every open case at the start and every minute: a deadline
// needs no timer store.
//
// Within a process one case is looked at by one goroutine at a time. Nothing
// keeps two replicas from looking at the same case at once; the journal lets
// only one of them write. JetStream's message schedules are not used.
package reconcile
