package carrier

import (
	"strconv"
	"strings"
)

// enhanced is what enhanced SMTP status codes (RFC 3463) mean for a notice. The
// longest entry that the code begins with counts.
var enhanced = map[string]Meaning{
	"5":      Hard,
	"5.1.1":  Hard,    // no such mailbox
	"5.1.2":  Hard,    // no such host
	"5.1.10": Hard,    // null MX
	"5.2.1":  Hard,    // mailbox disabled
	"5.2.2":  Soft,    // mailbox full
	"5.2.3":  Blocked, // message too long for the mailbox
	"5.3":    Soft,
	"5.4":    Soft,
	"5.7":    Blocked, // policy, reputation, authentication
	"5.7.13": Hard,    // account disabled
	"4":      Soft,
	"4.4.7":  Expired, // given up after many tries
	"4.7":    Blocked,
}

// Enhanced returns what an enhanced status code such as "5.1.1" means.
func Enhanced(status string) (Meaning, bool) {
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

// EnhancedCode writes an enhanced status code as a number, 511 for "5.1.1"; 0 if it is none.
func EnhancedCode(status string) int {
	n, err := strconv.Atoi(strings.ReplaceAll(status, ".", ""))
	if err != nil || n < 0 || n > 99999 {
		return 0
	}
	return n
}
