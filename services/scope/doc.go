// Package scope knows whose data an incident reached.
//
// Owns: the inventory of every organisation (systems, datasets, people; package
// inventory) and every sealed list of affected people. It is the one room in
// which people are kept; they lie encrypted with a key per person.
//
// Hears: exposure.stated, as a poke to look at the case. A statement leads to a
// sealing job named by case and statement, which any replica may run and run
// again: the same statement is sealed once.
//
// Says: scope.sealed with counts and a digest, and scope.refused with a reason.
// Never a person.
//
// Answers: what is held, how many an exposure would reach, what changed between
// two revisions, contact records of a sealed list to notice alone, one person
// to an authorised role, a list typed in by hand, an erasure on request, and what
// the texts of a case come to on every person of its list, who asked for people's
// data and why, and to legal and the data protection officer what a list says
// about the organisation itself.
//
// Does not guarantee: that the inventory is what the organisation really holds;
// it is as true as what was last imported.
package scope
