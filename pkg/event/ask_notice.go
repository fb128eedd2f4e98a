package event

import (
	"time"

	"tocsin.dev/pkg/person"
)

// AskDoubts lists messages in doubt with both risks; answered by notice.
const AskDoubts = "tocsin.ask.notice.doubts"

// AskSettle takes a person's decision about messages in doubt; answered by
// notice to the roles dpo, legal and admin.
const AskSettle = "tocsin.ask.notice.settle"

// AskReport breaks the people of a case down by channel, jurisdiction and
// outcome; answered by notice.
const AskReport = "tocsin.ask.notice.report"

// ProgressQuestion asks how the sending of a case stands.
type ProgressQuestion struct {
	Org  string `json:"org"`
	Case string `json:"case"`
	// Order limits the answer to one order; empty means all.
	Order string `json:"order,omitempty"`
}

// ProgressAnswer is the ledger's own count, as of At.
type ProgressAnswer struct {
	At     time.Time       `json:"at"`
	Orders []OrderProgress `json:"orders"`
	// Receipts says how the providers' callbacks are doing, by provider.
	Receipts map[string]ReceiptHealth `json:"receipts"`
}

// OrderProgress is one order.
type OrderProgress struct {
	Order    string `json:"order"`
	Revision int    `json:"revision"`
	// State is "listing", "sending", "paused", "blocked", "stopped", "refused" or "replaced".
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"`
	Detail string `json:"detail,omitempty"`
	// Listed and People say how far the planning is.
	Listed int64 `json:"listed"`
	People int64 `json:"people"`
	Tally  Tally `json:"tally"`
	// PossibleDuplicates are notices sent again after a doubt nothing settled.
	PossibleDuplicates int64      `json:"possible_duplicates"`
	FirstSentAt        *time.Time `json:"first_sent_at,omitempty"`
	LastSentAt         *time.Time `json:"last_sent_at,omitempty"`
	// PerSecond is the mean rate of hand-overs so far.
	PerSecond float64 `json:"per_second,omitempty"`
	// Reasons counts transitions by channel and reason: Reasons["email"]["lost_answer"].
	Reasons map[string]map[string]int64 `json:"reasons"`
}

// ReceiptHealth says when a provider's callbacks were last understood.
type ReceiptHealth struct {
	LastGood *time.Time `json:"last_good,omitempty"`
	LastBad  *time.Time `json:"last_bad,omitempty"`
	Healthy  bool       `json:"healthy"`
}

// MessagesQuestion asks for ledger rows.
type MessagesQuestion struct {
	Org  string `json:"org"`
	Case string `json:"case"`
	// Person limits the answer to one person: the whole history.
	Person person.Number `json:"person,omitempty"`
	// State and Channel limit the list: "failed", "unreachable", "in_doubt", …
	State   string `json:"state,omitempty"`
	Channel string `json:"channel,omitempty"`
	// After is the person number after which the page begins.
	After person.Number `json:"after,omitempty"`
	// Limit is at most 1,000; 0 means 100.
	Limit int `json:"limit,omitempty"`
}

// MessagesAnswer lists messages in order of person number.
type MessagesAnswer struct {
	Messages []MessageRow `json:"messages"`
	// More is whether the list goes on after the last person.
	More bool `json:"more,omitempty"`
}

// MessageRow is one message of the ledger.
type MessageRow struct {
	Kind    string        `json:"kind"`
	Person  person.Number `json:"person"`
	Channel string        `json:"channel"`
	State   string        `json:"state"`
	Reason  string        `json:"reason"`
	// Meaning and Code are what the provider said last: "hard", 511.
	Meaning string    `json:"meaning,omitempty"`
	Code    int       `json:"code,omitempty"`
	Tries   int       `json:"tries"`
	At      time.Time `json:"at"`
	// Reference is what the person may quote.
	Reference         string `json:"reference,omitempty"`
	Jurisdiction      string `json:"jurisdiction,omitempty"`
	PossibleDuplicate bool   `json:"possible_duplicate,omitempty"`
	ArrivedLate       bool   `json:"arrived_late,omitempty"`
	Complained        bool   `json:"complained,omitempty"`
	Guardian          bool   `json:"guardian,omitempty"`
	// Ladder are the channels that were planned for the person, best first.
	Ladder []string `json:"ladder,omitempty"`
	// History are receipts that say more than «delivered», oldest first; only
	// for a single person.
	History []MessageReceipt `json:"history,omitempty"`
}

// MessageReceipt is one receipt of a message.
type MessageReceipt struct {
	Attempt int64     `json:"attempt"`
	Meaning string    `json:"meaning"`
	Code    int       `json:"code,omitempty"`
	At      time.Time `json:"at"`
}

// DoubtsQuestion asks for the messages in doubt of a case.
type DoubtsQuestion struct {
	Org   string `json:"org"`
	Case  string `json:"case"`
	Limit int    `json:"limit,omitempty"`
}

// DoubtsAnswer lists requests in doubt, oldest first.
type DoubtsAnswer struct {
	Doubts []Doubt `json:"doubts"`
	People int64   `json:"people"`
}

// Doubt is one request of which it is not known whether it was accepted.
type Doubt struct {
	Attempt int64           `json:"attempt"`
	Channel string          `json:"channel"`
	People  []person.Number `json:"people"`
	Since   time.Time       `json:"since"`
	// Held is whether it waits for a person's decision.
	Held bool `json:"held"`
	// Probes is how often the evidence was examined.
	Probes int `json:"probes"`
	// Next is when it is examined again.
	Next time.Time `json:"next"`
	// IfSentAgain and IfLeft state the two risks.
	IfSentAgain string `json:"if_sent_again"`
	IfLeft      string `json:"if_left"`
}

// SettleQuestion is a person's decision about requests in doubt.
type SettleQuestion struct {
	Org      string  `json:"org"`
	Case     string  `json:"case"`
	Asker    Actor   `json:"asker"`
	Attempts []int64 `json:"attempts"`
	// Decision is "resend", "accept" or "drop" (leave the channel, go to the next).
	Decision string `json:"decision"`
	Reason   string `json:"reason"`
}

// SettleAnswer says how many people the decision settled.
type SettleAnswer struct {
	People int64 `json:"people"`
}
