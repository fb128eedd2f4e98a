// Package desk is where people work: the console, the HTTP API, sign-in and
// roles. Every legal act (declare, state, assess, write, approve, order, stop)
// is one function here, used by the console and the API alike.
//
// It owns the users and their sessions. A case is the journal's; the desk
// keeps no copy of it.
//
// It says case.declared, fact.stated, alert.accepted, exposure.stated,
// risk.assessed, wording.drafted, wording.approved, wording.rejected,
// dispatch.ordered, dispatch.paused, dispatch.resumed, dispatch.stopped,
// duty.met, duty.waived and case.closed. It hears every event of a case, to
// keep open pages alive.
//
// It asks intake for alerts, scope for the inventory and for previews, and
// notice for progress and messages.
//
// It does not guarantee that an approved text is the one that is sent: the
// sender verifies that itself. It does not guarantee that a counter of failed
// sign-ins is shared between replicas.
package desk
