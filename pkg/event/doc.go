// Package event is the language that Tocsin's services speak: the events of a
// case, the questions services ask each other, and the address book of every
// subject and stream on the bus.
//
// An event is said in the past tense by exactly one service. Its name is at
// once the name of its JSON Schema (schemas/events/<name>.v1.json), of its Go
// type, and the tail of its subject. A published v1 may gain optional fields
// and nothing else.
//
// Events never carry a name, an address or a number of an affected person:
// people are person numbers, counts and digests here.
package event
