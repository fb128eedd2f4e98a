package desk

import (
	"fmt"
	"slices"
	"strings"

	"tocsin.dev/pkg/event"
)

// canaryWords says before an order whether its batches will be checked at the provider.
func canaryWords(d DispatchCheck) string {
	var with, without []string
	for _, ch := range []string{"email", "sms"} {
		switch {
		case d.Approval == nil || !slices.Contains(d.Approval.Channels, ch):
		case d.Canaries[ch] > 0:
			with = append(with, fmt.Sprintf("%s (%d)", channelWord(ch), d.Canaries[ch]))
		default:
			without = append(without, channelWord(ch))
		}
	}
	switch {
	case len(with)+len(without) == 0:
		return "No approved channel carries one."
	case len(with) == 0:
		return "None is set up for the organisation: no batch is checked at the provider."
	case len(without) == 0:
		return "One of the organisation's own in every batch by " + strings.Join(with, " and ") + "; the provider is asked whether it holds exactly that."
	}
	return "One of the organisation's own in every batch by " + strings.Join(with, " and ") + ". Batches by " + strings.Join(without, " and ") + " have none and are not checked at the provider."
}

// canariesSoFar says how many batches were checked.
func canariesSoFar(n *event.CanaryCount) string {
	if n == nil {
		return ""
	}
	s := fmt.Sprintf("Batches with a canary: %s. It has a receipt for the right address in %s; the provider was asked about %s, the newest first, and holds there what was handed over.",
		Number(n.Sent), Number(n.Received), Number(n.LookedUp))
	if n.Wrong > 0 {
		s += " Batches in which something is wrong: " + Number(n.Wrong) + "."
	}
	return s
}
