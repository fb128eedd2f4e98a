// Package mapping turns what a SIEM posted into the facts of alerts, by mapping
// files in YAML whose expressions are jq. Analysts know jq, it splits one
// document into many alerts, it is safe on missing paths, and gojq gives it no
// way out of the process.
//
// A mapping is written by an administrator and a document by a stranger. So
// every string that leaves here is clean of control and direction characters
// and limited in length, links are http or https, and a failing expression costs
// one field, never the alert.
//
// Every mapping carries its own tests, which run when it is loaded.
package mapping
