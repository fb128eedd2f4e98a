package event

import "tocsin.dev/pkg/person"

// AskLetter shows a notice as one person of the sealed list would get it;
// answered by notice to desk. Every answer reveals a person and is written to
// scope's audit with the asker and the reason. Nothing is sent.
const AskLetter = "tocsin.ask.notice.letter"

// LetterQuestion asks for the notice of one person on one channel, in the
// words of the case as they stand.
type LetterQuestion struct {
	Org   string `json:"org"`
	Case  string `json:"case"`
	Asker Actor  `json:"asker"`
	// Reason is why the person is revealed, for the audit.
	Reason string `json:"reason"`
	// Kind is the kind of notice; empty means "first".
	Kind    string        `json:"kind,omitempty"`
	Person  person.Number `json:"person"`
	Channel string        `json:"channel"`
}

// LetterAnswer is the notice as it would leave.
type LetterAnswer struct {
	TextKey
	Person person.Number `json:"person"`
	// Sending is the channel: "email", "sms", "post" or "fax".
	Sending string `json:"sending"`
	// To is the address or number it goes to, lines of a postal address joined.
	To string `json:"to"`
	// Guardian says that it goes to the person's guardian.
	Guardian  bool   `json:"guardian,omitempty"`
	Subject   string `json:"subject,omitempty"`
	Text      string `json:"text"`
	HTML      string `json:"html,omitempty"`
	Reference string `json:"reference"`
	// Conditions are those of the text that the person meets.
	Conditions []string `json:"conditions,omitempty"`
	// Parts and Alphabet say how an SMS travels.
	Parts    int    `json:"parts,omitempty"`
	Alphabet string `json:"alphabet,omitempty"`
	// Request is the body that would go to the provider or printer for this
	// person alone, byte for byte; the number of the attempt in it is 0, as none
	// is made. SHA256 is over it.
	Request     []byte `json:"request,omitempty"`
	ContentType string `json:"content_type,omitempty"`
	SHA256      string `json:"sha256,omitempty"`
	// Ladder are the channels on which the person would be tried, in order; a
	// compromised one is not on it.
	Ladder []string `json:"ladder,omitempty"`
	// Problem says why nothing would leave, or is empty.
	Problem string `json:"problem,omitempty"`
}
