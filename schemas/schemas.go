// Package schemas is the contract of Tocsin as files: the JSON Schemas and
// examples of every event, the APIs of the bus and of the desk, what senders of
// webhooks may post, and the shapes of rule, calendar and mapping files.
//
// A published v1 may gain optional fields and nothing else. The schemas are
// closed (additionalProperties false) so that they say exactly what this
// release writes; a reader of a newer event ignores the fields it does not know.
//
// The module has no dependency. Packages that hold a schema against its Go type
// or validate with it bring their own validator.
package schemas

import "embed"

// FS holds every file of the contract under its path in this folder, such as
// "events/case.declared.v1.json" or "events/examples/case.declared.v1.json".
//
//go:embed events law mapping webhooks *.yaml
var FS embed.FS

// Base is the prefix of every $id: Base + "events/case.declared.v1.json".
const Base = "https://tocsin.dev/schemas/"
