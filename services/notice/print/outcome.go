package print

import (
	"slices"
	"strings"

	"tocsin.dev/services/notice/carrier"
)

// Outcome is what became of one letter or fax, in the word of a returns file.
type Outcome struct {
	Word    string
	Code    int // stored; never changes
	Meaning carrier.Meaning
	Says    string
}

// Letters is what printers and post offices say about a letter. The words
// follow the reasons of return that the Universal Postal Union prints on its
// form CN 15; those of a carrier of your own are mapped to them before the file
// is handed in.
var Letters = []Outcome{
	{"delivered", 101, carrier.Delivered, "handed over, such as a registered letter"},
	{"undeliverable", 110, carrier.Hard, "could not be delivered, no reason given"},
	{"unknown", 111, carrier.Hard, "unknown at the address"},
	{"insufficient_address", 112, carrier.Hard, "address incomplete or wrong"},
	{"moved", 113, carrier.Hard, "moved, new address not known to the post"},
	{"gone_away", 114, carrier.Hard, "left without an address"},
	{"vacant", 115, carrier.Hard, "house or box is empty"},
	{"deceased", 116, carrier.Deceased, "the person is dead"},
	{"refused", 120, carrier.Blocked, "the receiver would not take it"},
	{"unclaimed", 121, carrier.Soft, "not collected in time"},
	{"damaged", 122, carrier.Soft, "spoilt or lost on the way"},
	{"not_printed", 123, carrier.Soft, "the printer could not make it"},
	{"embargo", 124, carrier.Blocked, "no mail goes there"},
	{"other", 199, carrier.Unknown, "came back for a reason not listed"},
}

// Faxes is what fax gateways say at the end of their own repeats.
var Faxes = []Outcome{
	{"sent", 201, carrier.Delivered, "all pages confirmed by the receiving machine"},
	{"ok", 201, carrier.Delivered, "the same"},
	{"busy", 210, carrier.Soft, "engaged at every try"},
	{"no_answer", 211, carrier.Soft, "nobody and nothing answered"},
	{"line_error", 212, carrier.Soft, "the line broke down before the last page"},
	{"no_paper", 213, carrier.Soft, "the machine took the call and could not print"},
	{"not_a_fax", 220, carrier.Hard, "a person, a voice box or a modem answered"},
	{"no_such_number", 221, carrier.Hard, "the number does not exist or is out of service"},
	{"rejected", 230, carrier.Blocked, "the machine or its owner refuses us"},
	{"barred", 231, carrier.Blocked, "our line may not call there"},
	{"expired", 240, carrier.Expired, "the gateway gave up before a try ended"},
	{"other", 299, carrier.Unknown, "failed for a reason not listed"},
}

// Find returns the outcome of a word; case, spaces and hyphens do not matter.
func Find(table []Outcome, word string) (Outcome, bool) {
	word = strings.NewReplacer(" ", "_", "-", "_").Replace(strings.ToLower(strings.TrimSpace(word)))
	i := slices.IndexFunc(table, func(o Outcome) bool { return o.Word == word })
	if i < 0 {
		return Outcome{}, false
	}
	return table[i], true
}

// Words lists the words of a table.
func Words(table []Outcome) string {
	words := make([]string, len(table))
	for i, o := range table {
		words[i] = o.Word
	}
	return strings.Join(words, ", ")
}
