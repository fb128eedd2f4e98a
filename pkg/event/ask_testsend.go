package event

import "tocsin.dev/pkg/person"

// AskTestSend sends a text, marked as a test, to people of the organisation
// itself; answered by notice to desk. Notice looks the addresses up in its own
// file of users: none comes in the question.
const AskTestSend = "tocsin.ask.notice.test"

// TestQuestion asks for one test send.
type TestQuestion struct {
	Org   string `json:"org"`
	Case  string `json:"case"`
	Asker Actor  `json:"asker"`
	// ID makes a repeated question the same test.
	ID string `json:"id"`
	TextKey
	// Digest is the version that the asker looks at; another one is refused.
	Digest string `json:"digest"`
	// To are the ids of the users who shall get it.
	To []string `json:"to"`
	// Person is a person of the newest sealed list whose values are put in; 0
	// means a made-up person.
	Person person.Number `json:"person,omitempty"`
	// Reason is why the person is revealed, for the audit; needed with Person.
	Reason string `json:"reason,omitempty"`
}

// TestAnswer says what became of a test send.
type TestAnswer struct {
	Test string `json:"test"`
	TextKey
	Digest    string      `json:"digest"`
	Reference string      `json:"reference"`
	Sent      []TestedFor `json:"sent"`
}

// TestedFor is one message of a test send.
type TestedFor struct {
	User string `json:"user"`
	// Outcome is "accepted", "refused", "not_sent" or "in_doubt".
	Outcome string `json:"outcome"`
	// Detail is one line for the operator, without an address.
	Detail string `json:"detail,omitempty"`
}
