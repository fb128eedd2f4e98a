package twilio

import "tocsin.dev/services/notice/carrier"

// created is what Twilio's error codes mean when a message is created. A code
// that is not here is a refusal of unknown meaning.
var created = map[int]carrier.Answer{
	20003: {Class: carrier.Account}, // authentication failed
	20005: {Class: carrier.Account}, // account not active
	20404: {Class: carrier.Account}, // no such account
	20429: {Class: carrier.Slow},    // concurrency; documented as never processed
	63017: {Class: carrier.Slow},    // account rate
	21611: {Class: carrier.Slow},    // the sender's queue is full
	30001: {Class: carrier.Slow},    // queue overflow
	30002: {Class: carrier.Account}, // account suspended
	30022: {Class: carrier.Slow},    // 10DLC rate

	21212: {Class: carrier.Account}, // invalid From
	21603: {Class: carrier.Account}, // From missing
	21606: {Class: carrier.Account}, // From is not ours
	21659: {Class: carrier.Account}, // From is not a Twilio number
	21701: {Class: carrier.Account}, // no such Messaging Service
	21703: {Class: carrier.Account}, // Messaging Service without numbers
	30034: {Class: carrier.Account}, // 10DLC number not registered

	21211: {Class: carrier.Refused, Meaning: carrier.Hard},     // invalid To
	21604: {Class: carrier.Refused, Meaning: carrier.Hard},     // To missing
	21612: {Class: carrier.Refused, Meaning: carrier.Hard},     // To not reachable from this From
	21614: {Class: carrier.Refused, Meaning: carrier.Hard},     // not a mobile number
	21635: {Class: carrier.Refused, Meaning: carrier.Hard},     // landline
	21610: {Class: carrier.Refused, Meaning: carrier.OptedOut}, // STOP; no one can bypass it
	21408: {Class: carrier.Refused, Meaning: carrier.Blocked},  // region not enabled
	21266: {Class: carrier.Refused, Meaning: carrier.Blocked},  // To and From are the same
}

// outcomes is what the error codes of an undelivered or failed message mean.
var outcomes = map[int]carrier.Meaning{
	30001: carrier.Soft,     // queue overflow
	30002: carrier.Blocked,  // account suspended meanwhile
	30003: carrier.Soft,     // unreachable handset
	30004: carrier.Blocked,  // message blocked
	30005: carrier.Hard,     // unknown destination
	30006: carrier.Hard,     // landline or unreachable carrier
	30007: carrier.Filtered, // carrier filtered
	30008: carrier.Unknown,  // unknown error
	30022: carrier.Soft,     // 10DLC rate
	30034: carrier.Blocked,  // 10DLC number not registered
	30036: carrier.Expired,  // validity period over
	21610: carrier.OptedOut,
	21211: carrier.Hard,
	21614: carrier.Hard,
	21635: carrier.Hard,
}

// meaningOf reads a message status with its error code.
func meaningOf(status string, code int) carrier.Meaning {
	switch status {
	case "accepted", "scheduled", "queued", "sending", "sent":
		return carrier.Processed
	case "delivered", "read":
		return carrier.Delivered
	case "undelivered", "failed", "canceled":
		if m, ok := outcomes[code]; ok {
			return m
		}
		return carrier.Unknown
	}
	return carrier.Ignored
}
