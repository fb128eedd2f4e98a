// Package law turns the facts of a case into duties: who must be told, under which article, due
// when, and why. It is pure: it reads no clock, opens no connection and writes nothing.
//
// The engine knows mechanisms only (periods, calendars, readings, stages, holds, thresholds). Every
// jurisdiction, statute, duration and holiday is data: rules/ holds the rule records with their test
// cases, calendars/ the public holidays, data/ the vocabulary, the jurisdictions and the counting
// presets. AUTHORING.md says how to write a rule.
//
// Rules of conduct. The due instant of a duty is its earliest defensible reading, never a later one;
// other readings stand beside it. A duty without a number has no due instant. An unknown fact is
// taken to be what makes the duty arise and the clock earlier, and the duty says so under Assumed.
// Overdue never blocks anything.
//
// What it does not do: it does not decide whether a breach is reportable, it gives no legal advice,
// and a severity score never opens or closes a duty.
package law
