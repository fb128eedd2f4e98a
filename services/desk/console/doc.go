// Package console is how the desk's pages look: templates, one style sheet and
// one small script. It decides nothing and reads no store.
//
// The sheet follows the ideas of GOV.UK Frontend (large type, one task a page,
// visible focus) and uses neither its code nor its crown, logo or font. Every
// page works without the script, which only keeps clocks and counts alive.
package console
