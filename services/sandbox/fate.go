package sandbox

import (
	"strconv"
	"strings"
)

// fate is what will happen to a message after it is accepted.
type fate uint8

const (
	fateDelivered fate = iota
	fateBounced
	fateBlocked
	fateDeferred
	fateComplained
	fateSilent
	fateMute
	fateDroppedBounce
	fateDroppedUnsubscribed
	fateDroppedSpam
	fateUndelivered
	fateFailed
)

// bypass is which suppression lists a request passes over.
type bypass uint8

const (
	bypassBounces bypass = 1 << iota
	bypassSpam
	bypassUnsubscribes
	bypassAll = bypassBounces | bypassSpam | bypassUnsubscribes
)

// emailFate reads the steering keyword of an address (see the table in the package comment) and
// the suppression list the address would be on from the start.
func emailFate(address string) (fate, suppression) {
	local, _, _ := strings.Cut(address, "@")
	local = strings.ToLower(local)
	switch {
	case strings.Contains(local, "bounce"):
		return fateBounced, notSuppressed
	case strings.Contains(local, "optout"):
		return fateDelivered, unsubscribed
	}
	for word := range strings.FieldsFuncSeq(local, func(r rune) bool { return r < 'a' || r > 'z' }) {
		switch word {
		case "block":
			return fateBlocked, notSuppressed
		case "defer":
			return fateDeferred, notSuppressed
		case "complain":
			return fateComplained, notSuppressed
		case "silent":
			return fateSilent, notSuppressed
		case "mute":
			return fateMute, notSuppressed
		case "drop":
			return fateBounced, bouncedBefore
		case "spam":
			return fateDelivered, spamReported
		}
	}
	return fateDelivered, notSuppressed
}

// createCodes are the errors that Twilio gives when a message is created, with its words.
var createCodes = map[int]string{
	21211: "Invalid 'To' Phone Number",
	21408: "Permission to send an SMS has not been enabled for the region indicated by the 'To' number",
	21610: "Attempt to send to unsubscribed recipient",
	21611: "This 'From' number has exceeded the maximum number of queued messages",
	21612: "The 'To' phone number is not currently reachable using the 'From' phone number via SMS",
	21614: "'To' number is not a valid mobile number",
	21635: "The 'To' phone number is a landline",
}

// outcomeCodes are the errors that arrive in a callback, and whether the message is then
// undelivered (the carrier said so) or failed (it never left Twilio).
var outcomeCodes = map[int]fate{
	30001: fateFailed, 30002: fateFailed,
	30003: fateUndelivered, 30004: fateUndelivered, 30005: fateUndelivered, 30006: fateUndelivered,
	30007: fateUndelivered, 30008: fateUndelivered, 30022: fateUndelivered, 30034: fateUndelivered,
	30036: fateFailed,
}

// outcomeWords is Twilio's error_message for an outcome.
var outcomeWords = map[uint16]string{
	30001: "Queue overflow", 30002: "Account suspended", 30003: "Unreachable destination handset",
	30004: "Message blocked", 30005: "Unknown destination handset", 30006: "Landline or unreachable carrier",
	30007: "Carrier violation", 30008: "Unknown error", 30022: "US A2P 10DLC - Rate Limits Exceeded",
	30034: "US A2P 10DLC - Message from an Unregistered Number", 30036: "Validity Period Expired",
}

// testNumbers are Twilio's own magic numbers and the error each gives.
var testNumbers = map[string]int{
	"+15005550001": 21211, "+15005550002": 21612, "+15005550003": 21408, "+15005550004": 21610, "+15005550009": 21614,
}

// phoneFate reads the steering suffix of a number: an error at creation, or an outcome with its code.
func phoneFate(number string) (refuse int, f fate, code uint16) {
	if c, ok := testNumbers[number]; ok {
		return c, fateDelivered, 0
	}
	if len(number) < 8 || number[len(number)-7:len(number)-5] != "99" {
		return 0, fateDelivered, 0
	}
	n, err := strconv.Atoi(number[len(number)-5:])
	if err != nil {
		return 0, fateDelivered, 0
	}
	switch _, atCreation := createCodes[n]; {
	case atCreation:
		return n, fateDelivered, 0
	case n == 0:
		return 0, fateSilent, 0
	case n == 1:
		return 0, fateMute, 0
	}
	if f, ok := outcomeCodes[n]; ok {
		return 0, f, uint16(n)
	}
	return 0, fateDelivered, 0
}
