package event

import "time"

// DispatchOrdered tells the sender to write to the people of a sealed
// revision. It is refused unless its approval verifies against what would be sent.
type DispatchOrdered struct {
	// Order is the id of the order, unique within the case.
	Order string `json:"order"`
	// Kind is the kind of notice: "first", "supplement" or "correction".
	Kind string `json:"kind"`
	// Approval is the id of the Approval the order relies on.
	Approval    string   `json:"approval"`
	Revision    int      `json:"revision"`
	ScopeDigest string   `json:"scope_digest"`
	Channels    []string `json:"channels"`
	// Confirmed is what the person typed to confirm: the case number and the count.
	Confirmed string `json:"confirmed"`
	// NotBefore is the end of the cooling window; nothing leaves earlier.
	NotBefore *time.Time `json:"not_before,omitempty"`
}

// DispatchPaused holds the sending; what has left stays counted.
type DispatchPaused struct {
	Order  string `json:"order"`
	Reason string `json:"reason"`
}

// DispatchResumed continues a paused sending.
type DispatchResumed struct {
	Order  string `json:"order"`
	Reason string `json:"reason,omitempty"`
}

// DispatchStopped ends the sending for good.
type DispatchStopped struct {
	Order  string `json:"order"`
	Reason string `json:"reason"`
}

// DispatchPlanned says that a ledger row exists for every person of the list.
type DispatchPlanned struct {
	Order    string `json:"order"`
	Kind     string `json:"kind"`
	Revision int    `json:"revision"`
	People   int64  `json:"people"`
	// Messages are the rows planned on each channel.
	Messages map[string]int64 `json:"messages"`
	// Unreachable are people without a usable address on any channel.
	Unreachable int64 `json:"unreachable"`
}

// Tally counts the people of an order by where they stand. It always adds up:
// People = Pending + Told + InDoubt + Unreachable + Excluded.
type Tally struct {
	People int64 `json:"people"`
	// Pending are people who are still to be written to on some channel.
	Pending int64 `json:"pending"`
	// Told are people with a message accepted by a provider and not bounced.
	Told int64 `json:"told"`
	// InDoubt are people whose only message may or may not have been accepted.
	InDoubt     int64 `json:"in_doubt"`
	Unreachable int64 `json:"unreachable"`
	// Excluded are people left out by a person's decision, with a reason.
	Excluded int64 `json:"excluded"`
	// Public are those of the unreachable and excluded for whom an ordered public
	// notice stands in place of a message. They never count as told.
	Public int64 `json:"public,omitempty"`
	// States counts messages by channel and ledger state: States["email"]["delivered"].
	States map[string]map[string]int64 `json:"states"`
}

// DispatchProgressed reports the ledger's counts. It is said at most every few
// seconds and at every tenth of the way.
type DispatchProgressed struct {
	Order string `json:"order"`
	Tally Tally  `json:"tally"`
	// QuietOverridden says that people were written to in their quiet hours; absent if nobody was.
	QuietOverridden *QuietOverride `json:"quiet_overridden,omitempty"`
}

// DispatchCompleted says that nobody is pending any more.
type DispatchCompleted struct {
	Order string `json:"order"`
	Tally Tally  `json:"tally"`
	// QuietOverridden says that people were written to in their quiet hours; absent if nobody was.
	QuietOverridden *QuietOverride `json:"quiet_overridden,omitempty"`
}

// QuietOverride says for whose sake people were written to in the night: a duty
// to tell them would have been missed by the morning.
type QuietOverride struct {
	// People are all whom it concerned up to now.
	People int64 `json:"people"`
	// Duty is the id of the duty that was due first.
	Duty string    `json:"duty"`
	Due  time.Time `json:"due"`
}

// DispatchBlocked says that the sending cannot go on by itself and why.
type DispatchBlocked struct {
	Order string `json:"order"`
	// Reason is a word for programs, such as "contact_point_missing" or "provider_account".
	Reason string `json:"reason"`
	Detail string `json:"detail"`
}

// ApprovalRefused says that the sender refused an order because the approval
// does not cover exactly what would be sent.
type ApprovalRefused struct {
	Order    string `json:"order"`
	Approval string `json:"approval,omitempty"`
	// Reason is a word for programs, such as "no_approval", "wording_changed",
	// "list_changed", "signature_invalid", "expired", "writer_approved".
	Reason string `json:"reason"`
	Detail string `json:"detail"`
}

// DoubtDecided is a person's decision about messages in doubt: they are sent
// again, marked as possible duplicates, they count as told, or the next channel
// is used.
type DoubtDecided struct {
	Order string `json:"order"`
	// Decision is "resend", "accept" or "drop" (leave the channel for the next).
	Decision string `json:"decision"`
	// Notices are the ids of the messages; empty means all in doubt at that time.
	Notices []string `json:"notices,omitempty"`
	Reason  string   `json:"reason"`
}
