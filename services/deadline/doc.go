// Package deadline keeps the duties of every case: which apply, when each is
// due, who must be reminded, and what was missed.
//
// Owns: nothing that cannot be computed again. A duty's due instant is a
// function of the facts in the journal and the rules in force, so a restart
// loses nothing and no timer is stored.
//
// Reminders: at the organisation's ReminderHours before a due instant. Within
// the last 24 hours a reminder that nobody acknowledges is repeated every
// EscalateHours; each says how many before it went unanswered. What is only
// proposed or not yet effective is shown and has no clock; a guide figure is
// reminded of and never missed (event.Duty.Effect).
//
// Hears: every event of every case, as a poke to look again.
//
// Says: duty.opened, duty.changed, duty.dropped, duty.due_soon, duty.missed.
//
// Does not guarantee: that a reminder was read, or that the law is right. A
// rule says how sure it is, and the desk shows it.
package deadline
