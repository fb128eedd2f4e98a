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
	// Canaries count the batches' canaries; nil if none was sent.
	Canaries *CanaryCount `json:"canaries,omitempty"`
}

// CanaryCount counts the canaries that a provider accepted, one a batch.
type CanaryCount struct {
	Sent int64 `json:"sent"`
	// LookedUp were asked for at the provider, which holds exactly what was handed over.
	LookedUp int64 `json:"looked_up"`
	// Received have a receipt for the right address.
	Received int64 `json:"received"`
	// Wrong are batches in which something went to somebody else, or said something else.
	Wrong int64 `json:"wrong"`
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
	Reference string `json:"reference,omitempty"`
	// PostedAt is when the printer or gateway says that it sent a letter or fax.
	PostedAt          *time.Time `json:"posted_at,omitempty"`
	Jurisdiction      string     `json:"jurisdiction,omitempty"`
	PossibleDuplicate bool       `json:"possible_duplicate,omitempty"`
	ArrivedLate       bool       `json:"arrived_late,omitempty"`
	Complained        bool       `json:"complained,omitempty"`
	Guardian          bool       `json:"guardian,omitempty"`
	// ExposedChannel says that a channel of the person was left out because the
	// breach itself exposed its credentials.
	ExposedChannel bool `json:"exposed_channel,omitempty"`
	// EarliestStart is when a planned text message may leave at the earliest,
	// because it is night where the person lives; nil if nothing holds it.
	EarliestStart *time.Time `json:"earliest_start,omitempty"`
	// Ladder are the channels that were planned for the person, best first.
	Ladder []string `json:"ladder,omitempty"`
	// History are receipts that say more than «delivered», oldest first; only
	// for a single person.
	History []MessageReceipt `json:"history,omitempty"`
}

// MessageReceipt is one receipt of a message.
type MessageReceipt struct {
	Attempt int64  `json:"attempt"`
	Meaning string `json:"meaning"`
	Code    int    `json:"code,omitempty"`
	// At is when it happened by the provider's clock, or when we heard if it names none.
	At time.Time `json:"at"`
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

// ReportQuestion asks for the outcome of a case by channel and jurisdiction.
type ReportQuestion struct {
	Org  string `json:"org"`
	Case string `json:"case"`
}

// ReportAnswer breaks the people of each kind of notice down.
type ReportAnswer struct {
	Lines []ReportLine `json:"lines"`
	// Duties says for every duty to tell people how many it concerns and what
	// became of them, from the first notices.
	Duties []DutyReport `json:"duties,omitempty"`
	// Substitute says where people cannot be reached, or where a law lets the
	// public be told instead, with the numbers that law asks for; most
	// unreachable people first.
	Substitute []SubstituteProposal `json:"substitute,omitempty"`
	// Files are those of letters and faxes, with the proof that they were posted,
	// at most 1,000, newest first.
	Files []PaperFile `json:"files,omitempty"`
}

// DutyReport counts the people whom one duty concerns. They add up: People is
// the sum of the others.
type DutyReport struct {
	Duty         string `json:"duty"`
	Title        string `json:"title"`
	Jurisdiction string `json:"jurisdiction,omitempty"`
	People       int64  `json:"people"`
	Told         int64  `json:"told"`
	Pending      int64  `json:"pending"`
	InDoubt      int64  `json:"in_doubt"`
	Unreachable  int64  `json:"unreachable"`
	Excluded     int64  `json:"excluded"`
}

// ReportLine counts the messages of one kind, channel, jurisdiction and state.
// Channel "none" are people who are not written to, with the reason.
type ReportLine struct {
	Kind         string `json:"kind"`
	Channel      string `json:"channel"`
	Jurisdiction string `json:"jurisdiction"`
	State        string `json:"state"`
	Reason       string `json:"reason"`
	People       int64  `json:"people"`
}

// SubstituteProposal holds the numbers that decide whether telling the public
// may stand in for telling each person under one duty.
type SubstituteProposal struct {
	// Duty, Title and Citation name the duty; they are empty for people under no
	// duty that names a substitute.
	Duty         string `json:"duty,omitempty"`
	Title        string `json:"title,omitempty"`
	Citation     string `json:"citation,omitempty"`
	Jurisdiction string `json:"jurisdiction"`
	Unreachable  int64  `json:"unreachable"`
	People       int64  `json:"people"`
	// PeopleOver, CostOver and If are the law's own conditions, as in Substitute.
	PeopleOver int64  `json:"people_over,omitempty"`
	CostOver   string `json:"cost_over,omitempty"`
	If         string `json:"if,omitempty"`
	// Exceeded is whether People is over PeopleOver.
	Exceeded bool `json:"exceeded,omitempty"`
	// Parts is what the public notice consists of.
	Parts []string `json:"parts,omitempty"`
	// Ordered says that a public notice has been ordered and stands for them.
	Ordered bool `json:"ordered,omitempty"`
}

// ForecastQuestion asks whether a sending ends before the deadline. Zero
// fields are taken from the case and the installation.
type ForecastQuestion struct {
	Org  string `json:"org"`
	Case string `json:"case"`
	// Channels are those an order would name; empty means those of the latest
	// order, or the organisation's promise.
	Channels []string `json:"channels,omitempty"`
	// StartAt is when the order would be placed; nil means now.
	StartAt *time.Time `json:"start_at,omitempty"`
	// Rates overrides messages a second, by channel.
	Rates map[string]float64 `json:"rates,omitempty"`
}

// ForecastAnswer is when the sending would end, as a distribution.
type ForecastAnswer struct {
	People int64 `json:"people"`
	// Left are people still to be written to.
	Left int64 `json:"left"`
	// P10, P50 and P90 bound the end: one sending in ten ends before P10.
	P10 time.Time `json:"p10"`
	P50 time.Time `json:"p50"`
	P90 time.Time `json:"p90"`
	// Seconds is the median duration.
	Seconds float64 `json:"seconds"`
	// ApprovalSeconds is how long it was taken to last until the words are
	// approved; 0 if they are.
	ApprovalSeconds float64 `json:"approval_seconds,omitempty"`
	// Due is the earliest due instant of an open duty to people, if any.
	Due *time.Time `json:"due,omitempty"`
	// InTime is the share of outcomes that end before Due, 0 to 1.
	InTime float64 `json:"in_time"`
	// LatestApproval is by when the approval must be given for nine outcomes in ten to be in time.
	LatestApproval *time.Time        `json:"latest_approval,omitempty"`
	Channels       []ForecastChannel `json:"channels"`
	// Cheapest is the smallest change that makes it, in words, if it is not in time.
	Cheapest string `json:"cheapest,omitempty"`
	// Assumed lists what was assumed because nothing better is known.
	Assumed []string `json:"assumed,omitempty"`
}

// ForecastChannel is one channel of a forecast.
type ForecastChannel struct {
	Channel string `json:"channel"`
	// Messages is how many would go out on it, further rungs included.
	Messages int64 `json:"messages"`
	// Rate is messages a second; Parts is the parts of one SMS.
	Rate    float64 `json:"rate"`
	Parts   int     `json:"parts,omitempty"`
	Seconds float64 `json:"seconds"`
	// LatestStart is when this channel must begin to end before Due.
	LatestStart *time.Time `json:"latest_start,omitempty"`
}
