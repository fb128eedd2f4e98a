package sendgrid

import (
	"strings"

	"tocsin.dev/services/notice/carrier"
)

// dropped is what SendGrid's reasons for dropping a mail mean. It gives words, no codes.
var dropped = []struct {
	words   string
	meaning carrier.Meaning
}{
	{"bounced address", carrier.Hard},
	{"invalid smtpapi", carrier.Unknown},
	{"invalid", carrier.Hard},
	{"unsubscribed", carrier.OptedOut},
	{"spam reporting", carrier.OptedOut},
	{"spam content", carrier.Filtered},
	{"spam", carrier.Filtered},
	{"recipient list over package quota", carrier.Unknown},
}

// meaningOf reads one event. The code is the enhanced status as a number, 511 for 5.1.1.
func meaningOf(event, kind, status, reason string) (carrier.Meaning, int) {
	code := carrier.EnhancedCode(status)
	switch event {
	case "processed":
		return carrier.Processed, 0
	case "deferred":
		return carrier.Deferred, code
	case "delivered":
		return carrier.Delivered, 0
	case "spamreport":
		return carrier.Complained, 0
	case "bounce":
		if m, ok := carrier.Enhanced(status); ok {
			if m == carrier.Hard && kind == "blocked" {
				m = carrier.Blocked // SendGrid itself does not take it for permanent
			}
			return m, code
		}
		if kind == "blocked" {
			return carrier.Blocked, code
		}
		return carrier.Hard, code
	case "dropped":
		words := strings.ToLower(reason)
		for _, d := range dropped {
			if strings.Contains(words, d.words) {
				return d.meaning, code
			}
		}
		return carrier.Unknown, code
	}
	return carrier.Ignored, 0 // open, click, unsubscribe, group events
}
