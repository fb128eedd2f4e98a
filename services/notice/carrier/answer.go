package carrier

import (
	"fmt"
	"hash/maphash"
	"strings"
	"time"
)

// Class says what the answer to a request, or the lack of one, proves.
type Class uint8

// The classes. There is no class "failed": a request that may have been
// accepted is in doubt, and everything else is known.
const (
	// NotSent means that the vendor provably did not process the request.
	NotSent Class = iota + 1
	// Slow is NotSent with the vendor's wish to be asked less often (429).
	Slow
	// Account is NotSent because of the state of our account there.
	Account
	// Refused means that the vendor read the request and refused all of it.
	Refused
	// Accepted means that the vendor took responsibility.
	Accepted
	// InDoubt means that the request may or may not have been accepted.
	InDoubt
)

// String names the class for logs and metrics.
func (c Class) String() string {
	switch c {
	case NotSent:
		return "not_sent"
	case Slow:
		return "slow_down"
	case Account:
		return "account"
	case Refused:
		return "refused"
	case Accepted:
		return "accepted"
	case InDoubt:
		return "in_doubt"
	}
	return fmt.Sprintf("class %d", uint8(c))
}

// Unsent reports whether the vendor provably processed nothing, so that the
// same notice may be handed over again at once or through another account.
func (c Class) Unsent() bool { return c == NotSent || c == Slow || c == Account }

// Answer is what one request came to.
type Answer struct {
	Class Class
	// Status is the HTTP status, 0 without an answer.
	Status int
	// Code is the vendor's own error code, 0 if it has none.
	Code int
	// ID is the vendor's id of an accepted request.
	ID string
	// Meaning says what a refusal means for the recipient; only with Refused.
	Meaning Meaning
	// Bad are the positions of the recipients that a refusal names, if it names any.
	Bad []int
	// RetryAfter is how long the vendor asks us to wait; 0 if it does not say.
	RetryAfter time.Duration
	// Detail is one line for the operator, free of personal data.
	Detail string
}

// Meaning says what happened to a message that a vendor accepted, or why it
// refused a single recipient. Numbers are stored and never change.
type Meaning uint8

// The meanings.
const (
	// Processed means that the vendor has the message and works on it.
	Processed Meaning = 1
	// Deferred means that the receiving side asked the vendor to try later.
	Deferred Meaning = 2
	// Delivered means that the receiving side took the message.
	Delivered Meaning = 3
	// Hard means that the address cannot be reached, now or later.
	Hard Meaning = 4
	// Soft means that it could not be reached this time.
	Soft Meaning = 5
	// Blocked means that the receiving side refused the message.
	Blocked Meaning = 6
	// OptedOut means that the person stopped this sender at the vendor.
	OptedOut Meaning = 7
	// Filtered means that a carrier withheld the message as unwanted.
	Filtered Meaning = 8
	// Expired means that its validity ended before it could be delivered.
	Expired Meaning = 9
	// Unknown is a failure whose code says nothing.
	Unknown Meaning = 10
	// Complained means that the person reported the message as spam; it was delivered.
	Complained Meaning = 11
	// Ignored is an event that says nothing about delivery.
	Ignored Meaning = 12
	// Deceased means that a letter came back because its receiver is dead.
	Deceased Meaning = 13
)

// String names the meaning for programs.
func (m Meaning) String() string {
	names := [...]string{"", "processed", "deferred", "delivered", "hard", "soft", "blocked",
		"opted_out", "filtered", "expired", "unknown", "complained", "ignored", "deceased"}
	if int(m) < len(names) {
		return names[m]
	}
	return fmt.Sprintf("meaning %d", uint8(m))
}

// Failed reports whether the message did not reach the person.
func (m Meaning) Failed() bool { return m >= Hard && m <= Unknown || m == Deceased }

// Receipt is one fact about one message from a vendor, without an address.
type Receipt struct {
	// Notice is the notice id that the message carried.
	Notice ID
	// Attempt and Pos say which message of which request it was.
	Attempt int64
	Pos     int
	Meaning Meaning
	// Code is the vendor's error or SMTP code, 0 if none.
	Code int
	// At is the vendor's own instant of the event, in UTC; zero if it gives none.
	At time.Time
	// Message is the vendor's id of the message.
	Message string
	// To is the AddressHash of where the vendor says it went; 0 if it does not say.
	To uint64
}

var addressSeed = maphash.MakeSeed()

// AddressHash returns a number by which this process can tell whether two
// addresses are the same. No other process can, and it is not to be stored.
func AddressHash(address string) uint64 {
	if address == "" {
		return 0
	}
	return maphash.String(addressSeed, strings.ToLower(address)) | 1
}
