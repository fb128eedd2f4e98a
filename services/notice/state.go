package notice

import (
	"errors"
	"fmt"
)

// State is where one message of the ledger stands. Numbers are stored and
// never change.
type State uint8

// The states. A person is counted by the one message in a counting state; see
// State.Counts.
const (
	// Planned messages wait to be sent.
	Planned State = 1
	// Submitted messages are written down as handed over; no answer is recorded yet.
	Submitted State = 2
	// InDoubt messages may or may not have been accepted.
	InDoubt State = 3
	// Held messages are in doubt and wait for a person's decision.
	Held State = 4
	// Accepted messages were taken by a provider.
	Accepted State = 5
	// Deferred messages are tried again by the provider.
	Deferred State = 6
	// Delivered messages were taken by the receiving side.
	Delivered State = 7
	// Silent messages were accepted, and no receipt came within T_silent.
	Silent State = 8
	// Refused messages were refused by a provider for this recipient.
	Refused State = 9
	// Failed messages were accepted and did not arrive.
	Failed State = 10
	// Withdrawn messages were no longer needed before they were sent.
	Withdrawn State = 11
	// Unreachable marks a person without a usable address left on any channel.
	Unreachable State = 12
	// Excluded marks a person left out by a rule or a decision, with its reason.
	Excluded State = 13
	// Stopped marks a person not written to because the sending was stopped.
	Stopped State = 14
)

const stateCount = 15

// String names the state for programs.
func (s State) String() string {
	names := [stateCount]string{"", "planned", "submitted", "in_doubt", "held", "accepted", "deferred",
		"delivered", "silent", "refused", "failed", "withdrawn", "unreachable", "excluded", "stopped"}
	if int(s) < len(names) && s > 0 {
		return names[s]
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// Standing is how a person stands in the tally.
type Standing uint8

// The standings of event.Tally.
const (
	NotCounted Standing = iota
	Pending
	Told
	Doubtful
	Unreached
	LeftOut
)

// Counts says for which standing a message in this state counts its person.
// Refused, failed and withdrawn messages count for nobody: whenever a message
// enters one of them, the same transaction puts another message of that person
// into a counting state. So every person is counted exactly once.
func (s State) Counts() Standing {
	switch s {
	case Planned, Submitted:
		return Pending
	case InDoubt, Held:
		return Doubtful
	case Accepted, Deferred, Delivered, Silent:
		return Told
	case Unreachable:
		return Unreached
	case Excluded, Stopped:
		return LeftOut
	}
	return NotCounted
}

// Reason names why a message changed its state. Numbers are stored and never change.
type Reason uint8

// The reasons.
const (
	ReasonPlanned         Reason = 1  // the plan put it there
	ReasonHandOver        Reason = 2  // written down before the provider is called
	ReasonNotSent         Reason = 3  // the provider provably did not process it
	ReasonAnswer          Reason = 4  // the provider accepted it
	ReasonRefusal         Reason = 5  // the provider refused this recipient
	ReasonLostAnswer      Reason = 6  // no answer, or one that proves nothing
	ReasonLostWorker      Reason = 7  // the worker was gone before it recorded an answer
	ReasonReceipt         Reason = 8  // a receipt that carries our id
	ReasonSameRequest     Reason = 9  // another message of the same request was proven accepted
	ReasonLookUp          Reason = 10 // the provider, asked, knows the message
	ReasonResend          Reason = 11 // policy: send again as a possible duplicate
	ReasonHold            Reason = 12 // policy: a person decides
	ReasonOperatorResend  Reason = 13 // a person decided to send again
	ReasonOperatorAccept  Reason = 14 // a person decided that it was sent
	ReasonSilence         Reason = 15 // no receipt within T_silent
	ReasonLateDelivery    Reason = 16 // delivered after an earlier sign of failure
	ReasonOvertaken       Reason = 17 // an earlier message of the person arrived after all
	ReasonLadderEnd       Reason = 18 // no channel is left
	ReasonNextRung        Reason = 19 // the channel before it failed
	ReasonNoAddress       Reason = 20 // no usable address on any permitted channel
	ReasonCompromised     Reason = 21 // the only addresses were exposed with their credentials
	ReasonDeceased        Reason = 22 // the person is dead
	ReasonGuardianMissing Reason = 23 // a minor without a known guardian
	ReasonStop            Reason = 24 // a person stopped the sending
	ReasonReplanned       Reason = 25 // a new order takes the person up again
	ReasonNotOwed         Reason = 26 // this person is owed no notice of this kind
	ReasonNoText          Reason = 27 // no approved text for the person's language and channel
	ReasonOperatorDrop    Reason = 28 // a person decided to leave the channel
	ReasonErased          Reason = 29 // the person was erased on request
	ReasonQuietOverridden Reason = 31 // handed over in the recipient's quiet hours, because the deadline would pass
	ReasonListed          Reason = 30 // the person's contact record changed and was planned anew
	ReasonRecalled        Reason = 32 // its batch was cancelled in time: nobody got it
	ReasonPublicNotice    Reason = 33 // the order tells everybody by a public notice and writes to nobody
	ReasonRecalledLate    Reason = 34 // its batch was cancelled, perhaps too late: sent again as a possible duplicate
)

const reasonCount = 35

// String names the reason for programs.
func (r Reason) String() string {
	names := [reasonCount]string{"", "planned", "hand_over", "not_sent", "answer", "refusal", "lost_answer", "lost_worker",
		"receipt", "same_request", "look_up", "resend", "hold", "operator_resend", "operator_accept", "silence",
		"late_delivery", "overtaken", "ladder_end", "next_rung", "no_address", "compromised", "deceased",
		"guardian_missing", "stop", "replanned", "not_owed", "no_text", "operator_drop", "erased", "listed", "quiet_hours_overridden", "recalled",
		ReasonPublicNotice: "public_notice", ReasonRecalledLate: "recalled_late"}
	if int(r) < len(names) && r > 0 {
		return names[r]
	}
	return fmt.Sprintf("reason %d", uint8(r))
}

// transitions is the one table of what may become of a message and why.
// Whatever is not in it is refused.
var transitions = map[State]map[State][]Reason{
	0: {
		Planned:     {ReasonPlanned, ReasonNextRung},
		Unreachable: {ReasonNoAddress, ReasonCompromised, ReasonGuardianMissing, ReasonLadderEnd, ReasonNoText},
		Excluded:    {ReasonDeceased, ReasonErased, ReasonNotOwed, ReasonPublicNotice},
	},
	Planned: {
		Submitted: {ReasonHandOver, ReasonQuietOverridden},
		Accepted:  {ReasonReceipt},
		Deferred:  {ReasonReceipt},
		Delivered: {ReasonReceipt},
		Failed:    {ReasonReceipt},
		Withdrawn: {ReasonOvertaken, ReasonReplanned},
		Stopped:   {ReasonStop},
		Excluded:  {ReasonErased, ReasonNotOwed},
	},
	Submitted: {
		Planned:   {ReasonNotSent},
		Accepted:  {ReasonAnswer, ReasonReceipt},
		Deferred:  {ReasonReceipt},
		Delivered: {ReasonReceipt},
		Failed:    {ReasonReceipt},
		Refused:   {ReasonRefusal},
		InDoubt:   {ReasonLostAnswer, ReasonLostWorker},
	},
	InDoubt: {
		Planned:   {ReasonResend, ReasonNotSent, ReasonOperatorResend, ReasonRecalled, ReasonRecalledLate},
		Accepted:  {ReasonAnswer, ReasonReceipt, ReasonSameRequest, ReasonLookUp, ReasonOperatorAccept},
		Deferred:  {ReasonReceipt, ReasonLookUp},
		Delivered: {ReasonReceipt, ReasonLookUp},
		Failed:    {ReasonReceipt, ReasonLookUp, ReasonOperatorDrop},
		Refused:   {ReasonRefusal},
		Held:      {ReasonHold},
	},
	Held: {
		Planned:   {ReasonOperatorResend},
		Accepted:  {ReasonReceipt, ReasonSameRequest, ReasonLookUp, ReasonOperatorAccept},
		Deferred:  {ReasonReceipt, ReasonLookUp},
		Delivered: {ReasonReceipt, ReasonLookUp},
		Failed:    {ReasonReceipt, ReasonLookUp, ReasonOperatorDrop},
	},
	Accepted: {
		Planned:   {ReasonRecalled, ReasonRecalledLate},
		Deferred:  {ReasonReceipt},
		Delivered: {ReasonReceipt},
		Failed:    {ReasonReceipt},
		Silent:    {ReasonSilence},
	},
	Deferred: {
		Delivered: {ReasonReceipt},
		Failed:    {ReasonReceipt},
		Silent:    {ReasonSilence},
	},
	Silent: {
		Deferred:  {ReasonReceipt},
		Delivered: {ReasonReceipt},
		Failed:    {ReasonReceipt},
	},
	Delivered: {
		Failed: {ReasonReceipt},
	},
	Failed: {
		Delivered: {ReasonLateDelivery},
	},
	Withdrawn: {
		Planned:     {ReasonReplanned, ReasonNextRung},
		Unreachable: {ReasonLadderEnd},
		Excluded:    {ReasonDeceased, ReasonNotOwed, ReasonPublicNotice},
	},
	// Only whom a public notice was to tell may be taken up again; see retake.
	Excluded: {
		Withdrawn: {ReasonReplanned},
	},
	Unreachable: {
		Withdrawn: {ReasonLateDelivery, ReasonReplanned},
	},
	Stopped: {
		Planned:   {ReasonReplanned},
		Accepted:  {ReasonReceipt},
		Deferred:  {ReasonReceipt},
		Delivered: {ReasonReceipt},
	},
}

// Permitted reports whether a message may go from one state to another for a
// reason. A new message comes from state 0.
func Permitted(from, to State, why Reason) bool {
	for _, r := range transitions[from][to] {
		if r == why {
			return true
		}
	}
	return false
}

// errTransition is a fault of ours: the table does not know the move.
var errTransition = errors.New("not in the table of transitions")

func refusedMove(from, to State, why Reason) error {
	return fmt.Errorf("ledger: %v may not become %v for %v: %w", from, to, why, errTransition)
}
