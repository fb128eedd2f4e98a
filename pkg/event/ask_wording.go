package event

import "tocsin.dev/pkg/person"

// AskWording lays the texts of a case over every person of a sealed list, so
// that nobody's missing value is found out while sending; answered by scope to
// desk. People stay in scope: the answer counts, and names person numbers.
const AskWording = "tocsin.ask.scope.wording"

// NamedPeople is the most person numbers that an answer names for one finding.
const NamedPeople = 20

// ShownPeople is the most person numbers that an answer names as examples of one form.
const ShownPeople = 3

// WordingQuestion asks about the texts of a case as they stand in the journal.
type WordingQuestion struct {
	Org  string `json:"org"`
	Case string `json:"case"`
	// Asker is the signed-in person, for the audit.
	Asker Actor `json:"asker"`
	// Wait is for how many milliseconds the answer may be held back until it is
	// complete; 0 means 2,000. A list of ten million takes longer: ask again.
	Wait int `json:"wait,omitempty"`
}

// WordingAnswer says what the texts would come to on the newest sealed list.
type WordingAnswer struct {
	// Revision and ScopeDigest name the list, Texts and SheetDigest the words.
	Revision    int            `json:"revision"`
	ScopeDigest string         `json:"scope_digest"`
	Texts       []ApprovedText `json:"texts"`
	SheetDigest string         `json:"sheet_digest"`
	// Done is false while the list is still being walked; Checked counts up to People.
	Done    bool  `json:"done"`
	Checked int64 `json:"checked"`
	People  int64 `json:"people"`
	// Missing are personal values that a text needs and people lack.
	Missing []MissingValue `json:"missing,omitempty"`
	// Unworded are people who could be told on a channel and have no text there.
	Unworded []UnwordedPeople `json:"unworded,omitempty"`
	// Variants count people by text and the conditions of the text they meet. A
	// person counts under every channel on which they could be told.
	Variants []VariantCount `json:"variants,omitempty"`
	// Samples are people whose notices are worth looking at before a yes.
	Samples []SamplePeople `json:"samples,omitempty"`
	// Erased and Deceased people are not written to; WithoutGuardian are minors
	// whose guardian is unknown; Unreachable have no address on any channel that has a text.
	Erased          int64 `json:"erased,omitempty"`
	Deceased        int64 `json:"deceased,omitempty"`
	WithoutGuardian int64 `json:"without_guardian,omitempty"`
	Unreachable     int64 `json:"unreachable,omitempty"`
	// Problem says why nothing could be checked, or is empty.
	Problem string `json:"problem,omitempty"`
}

// MissingValue is one merge field that people lack.
type MissingValue struct {
	TextKey
	Field  string `json:"field"`
	People int64  `json:"people"`
	// Numbers are the first of them, at most NamedPeople.
	Numbers []person.Number `json:"numbers"`
}

// UnwordedPeople are readers of a language in which there is no text.
type UnwordedPeople struct {
	TextKey
	People  int64           `json:"people"`
	Numbers []person.Number `json:"numbers"`
}

// VariantCount is one form of a text with the people who get it.
type VariantCount struct {
	TextKey
	// Conditions are those met, as they are written in the text.
	Conditions []string `json:"conditions"`
	People     int64    `json:"people"`
	// Numbers are the first of them, at most ShownPeople.
	Numbers []person.Number `json:"numbers,omitempty"`
}

// SamplePeople are people of the list who are alike in a way that easily goes wrong.
type SamplePeople struct {
	// Kind is "no_name", "no_given_name", "minor", "payment_card",
	// "other_language" (than the organisation's), "unknown_language" or "unreachable".
	Kind   string `json:"kind"`
	People int64  `json:"people"`
	// Numbers are the first of them, at most ShownPeople.
	Numbers []person.Number `json:"numbers"`
}
