// Package synthetic makes people who do not exist, for the demo, drills, tests
// and measurements.
//
// The same organisation, number and seed give the same people everywhere. They
// have the awkward shapes of real inventories: thirty and more jurisdictions,
// twelve and more languages, families that share a mailbox, people recorded
// twice, missing contacts, minors with and without guardians, dead people,
// opt-outs, and what is particular to each sample organisation (organisations.go).
//
// Nothing in them can reach anybody: mailboxes lie under example.test (RFC
// 2606), phone numbers in ranges kept for fiction (Ofcom, NANPA, PTS, ACMA,
// ARCEP), and streets and places are invented. About one address in fifty has
// "bounce" in its local part, which the sandbox takes as a wish.
package synthetic
