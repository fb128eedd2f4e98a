// Package duty stands between a case and the law: it turns what the journal
// knows into law.Facts (Facts), asks the engine (Of), and turns the engine's
// answer into the duties that the journal carries. It also knows the keys by
// which people state facts (Words, Check). It is pure, so that the deadline
// service, the desk's check page and an auditor get the same duties from the
// same entries and rules.
package duty
