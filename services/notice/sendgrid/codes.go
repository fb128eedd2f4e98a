package sendgrid

import (
	"strconv"
	"strings"

	"tocsin.dev/services/notice/carrier"
)

// enhanced is what enhanced SMTP status codes (RFC 3463) mean for a notice. The
// longest entry that the code begins with counts.
var enhanced = map[string]carrier.Meaning{
	"5":      carrier.Hard,
	"5.1.1":  carrier.Hard,    // no such mailbox
	"5.1.2":  carrier.Hard,    // no such host
	"5.1.10": carrier.Hard,    // null MX
	"5.2.1":  carrier.Hard,    // mailbox disabled
	"5.2.2":  carrier.Soft,    // mailbox full
	"5.2.3":  carrier.Blocked, // message too long for the mailbox
	"5.3":    carrier.Soft,
	"5.4":    carrier.Soft,
	"5.7":    carrier.Blocked, // policy, reputation, authentication
	"5.7.13": carrier.Hard,    // account disabled
	"4":      carrier.Soft,
	"4.7":    carrier.Blocked,
}

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
	code := codeOf(status)
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
		if m, ok := byStatus(status); ok {
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

func byStatus(status string) (carrier.Meaning, bool) {
	for s := status; s != ""; {
		if m, ok := enhanced[s]; ok {
			return m, true
		}
		i := strings.LastIndexByte(s, '.')
		if i < 0 {
			break
		}
		s = s[:i]
	}
	return 0, false
}

func codeOf(status string) int {
	n, err := strconv.Atoi(strings.ReplaceAll(status, ".", ""))
	if err != nil || n < 0 || n > 99999 {
		return 0
	}
	return n
}
