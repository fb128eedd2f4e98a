// Package inventory knows which people an organisation holds data about, where,
// which and since when, and fixes lists of those whom an exposure reaches.
//
// It keeps no row per person. People have dense numbers; 65,536 numbers are a
// chunk; every column of a chunk is one blob of the table segment. A scope is
// answered chunk by chunk in a scratch array, so memory does not grow with the
// population and the answer is exact, deduplicated and in person order.
//
// What identifies a person (names, addresses, birth dates, customer numbers)
// lies in sealed records with a key per person; see keys.go for the tree above
// them and for what erasure destroys. Beside them stand numbers, times,
// categories, country, language and age class in the clear, and keyed hashes of
// identifiers (blind.go).
//
// With SQLite the bulk of large deliveries lies in files beside the database
// (shelf.go): they are one with it when it is copied or backed up.
//
// Every organisation is an inventory of its own: own numbers, own keys, own
// hash keys. Nothing is ever read across two of them.
//
// Numbers are given once and never again. Within one delivery they do not
// depend on the order of rows, files or datasets, and every store gives the
// same; between deliveries the earlier one has the lower numbers.
package inventory
