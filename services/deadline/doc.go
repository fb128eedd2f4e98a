// Package deadline keeps the duties of every case: which apply, when each is
// due, who must be reminded, and what was missed.
//
// Owns: nothing that cannot be computed again. A duty's due instant is a
// function of the facts in the journal and the rules in force, so a restart
// loses nothing and no timer is stored.
//
// Hears: every event of every case, as a poke to look again.
//
// Says: duty.opened, duty.changed, duty.dropped, duty.due_soon, duty.missed.
//
// Does not guarantee: that a reminder was read, or that the law is right. A
// rule says how sure it is, and the desk shows it.
package deadline
