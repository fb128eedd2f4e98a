package desk

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
)

// Describe tells an entry of the journal in one line for people.
func Describe(e casefile.Entry) string {
	body, err := event.Decode(e.Event)
	if err != nil {
		return "Something that this version does not know: " + e.Type.Name()
	}
	for _, f := range []func(event.Body) string{describeCase, describeDuty, describeWording, describeDispatch} {
		if s := f(body); s != "" {
			return s
		}
	}
	return e.Type.Name()
}

func describeCase(body event.Body) string {
	switch b := body.(type) {
	case *event.CaseDeclared:
		return fmt.Sprintf("Case declared: %s Aware since %s.", sentence(b.Title), instant(b.AwareAt))
	case *event.FactStated:
		value := b.Value
		if len([]rune(value)) > 120 {
			value = string([]rune(value)[:119]) + "…"
		}
		return sentence(fmt.Sprintf("Fact stated: %s: %s", FactLabel(b.Key), value))
	case *event.AlertAccepted:
		return "Alert put into the case: " + b.Alert
	case *event.AlertLinked:
		return "Alert linked and its body kept: " + b.Title
	case *event.RiskAssessed:
		return fmt.Sprintf("Risk assessed: %s. %s", RiskWords(b.Level), b.Reason)
	case *event.CaseClosed:
		return "Case closed: " + b.Reason
	case *event.ExposureStated:
		names := make([]string, len(b.Exposures))
		for i, x := range b.Exposures {
			names[i] = x.Dataset
		}
		return "Exposure stated: " + strings.Join(names, ", ")
	case *event.ScopeSealed:
		return fmt.Sprintf("List %d of %s people sealed.", b.Revision, Number(b.People))
	case *event.ScopeRefused:
		return "The exposure could not be turned into a list: " + b.Reason
	}
	return ""
}

func describeDuty(body event.Body) string {
	switch b := body.(type) {
	case *event.DutyOpened:
		return fmt.Sprintf("Duty opened: %s (%s)%s.", b.Duty.Title, b.Duty.Citation, dueWords(b.Duty.Due))
	case *event.DutyChanged:
		return fmt.Sprintf("Duty changed: %s%s. %s", b.Duty.Title, dueWords(b.Duty.Due), b.Why)
	case *event.DutyDropped:
		return fmt.Sprintf("Duty dropped: %s. %s", b.Duty, b.Why)
	case *event.DutyDueSoon:
		if b.Escalation > 0 {
			return fmt.Sprintf("Reminder, %d unanswered before it: less than %d hours until %s is due.", b.Escalation, b.HoursLeft, b.Duty)
		}
		return fmt.Sprintf("Reminder: less than %d hours until %s is due.", b.HoursLeft, b.Duty)
	case *event.DutyMissed:
		return fmt.Sprintf("Missed: %s was due on %s.", b.Duty, instant(b.Due))
	case *event.DutyMet:
		return fmt.Sprintf("Duty met: %s, on %s. Evidence: %s", b.Duty, instant(b.MetAt), b.Evidence)
	case *event.DutyAcknowledged:
		return strings.TrimSpace(fmt.Sprintf("Reminder seen: %s. %s", b.Duty, b.Note))
	case *event.DutyWaived:
		return fmt.Sprintf("Duty waived: %s. %s", b.Duty, b.Reason)
	}
	return ""
}

func describeWording(body event.Body) string {
	switch b := body.(type) {
	case *event.WordingDrafted:
		return fmt.Sprintf("Text written: %s, version %d.", b.TextKey, b.Version)
	case *event.WordingRejected:
		return fmt.Sprintf("Text sent back: %s. %s", b.TextKey, b.Reason)
	case *event.WordingCommented:
		if b.Passage == "" {
			return fmt.Sprintf("Remark on %s: %s", b.TextKey, b.Comment)
		}
		return fmt.Sprintf("Remark on %s, at %q: %s", b.TextKey, b.Passage, b.Comment)
	case *event.WordingTested:
		if len(b.To) == 0 {
			return fmt.Sprintf("Test of %s reached nobody.", b.TextKey)
		}
		return fmt.Sprintf("Test of %s sent to %s.", b.TextKey, strings.Join(b.To, ", "))
	case *event.CheckOverridden:
		return fmt.Sprintf("Check %s let stand in %s. %s", strings.ReplaceAll(b.Check, "_", " "), b.TextKey, b.Reason)
	case *event.ApprovalRevoked:
		return "Approval taken back: " + b.Reason
	case *event.WordingApproved:
		a := b.Approval
		return fmt.Sprintf("Approved and signed: %s for list %d by %s, until %s.", count(len(a.Texts), "text"), a.Revision,
			strings.Join(a.Channels, ", "), instant(a.ValidUntil))
	}
	return ""
}

func describeDispatch(body event.Body) string {
	switch b := body.(type) {
	case *event.DispatchOrdered:
		return fmt.Sprintf("Sending ordered to list %d by %s. Confirmed with %q.", b.Revision, strings.Join(b.Channels, ", "), b.Confirmed)
	case *event.DoubtDecided:
		return fmt.Sprintf("Decided about messages in doubt: %s. %s", b.Decision, b.Reason)
	case *event.DispatchPaused:
		return "Sending paused: " + b.Reason
	case *event.DispatchResumed:
		return "Sending resumed. " + b.Reason
	case *event.DispatchStopped:
		return "Sending stopped: " + b.Reason
	case *event.DispatchPlanned:
		return fmt.Sprintf("Sending planned for %s people; %s cannot be reached.", Number(b.People), Number(b.Unreachable))
	case *event.DispatchProgressed:
		return fmt.Sprintf("Progress: %s of %s people told.", Number(b.Tally.Told), Number(b.Tally.People)) + nightWords(b.QuietOverridden)
	case *event.DispatchCompleted:
		return fmt.Sprintf("Sending completed: %s of %s people told, %s in doubt, %s unreachable.",
			Number(b.Tally.Told), Number(b.Tally.People), Number(b.Tally.InDoubt), Number(b.Tally.Unreachable)) + nightWords(b.QuietOverridden) + publicWords(b.Tally)
	case *event.DispatchBlocked:
		return fmt.Sprintf("Sending cannot go on by itself: %s", b.Detail)
	case *event.ApprovalRefused:
		return fmt.Sprintf("The sender refused the order: %s", b.Detail)
	}
	return ""
}

// nightWords says why people were written to in their quiet hours, if any were.
func nightWords(q *event.QuietOverride) string {
	if q == nil {
		return ""
	}
	return fmt.Sprintf(" %s people were written to in their quiet hours, because duty %s is due on %s.", Number(q.People), q.Duty, instant(q.Due))
}

func dueWords(due *time.Time) string {
	if due == nil {
		return ", without a due instant"
	}
	return ", due on " + instant(*due)
}

// instant writes an instant as the one-line story shows it; pages add the local time.
func instant(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 UTC") }

// RiskWords says a risk level in words.
func RiskWords(l event.RiskLevel) string {
	switch l {
	case event.RiskUnlikely:
		return "a risk to people is unlikely"
	case event.RiskPresent:
		return "there is a risk to people"
	case event.RiskHigh:
		return "there is a high risk to people"
	}
	return "not assessed"
}

// Number writes a number with thin groups as English does: 48,213.
func Number(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, s = "−", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// Fact is a fact that the console offers to state.
type Fact struct {
	Key   string
	Label string
	// Hint says what to write.
	Hint string
	// Choices are the values offered; empty means free text.
	Choices []string
}

// OfferedFacts are the facts the console offers by name. Any other key may be stated too.
func OfferedFacts(languages []string) []Fact {
	yesNo := []string{"yes", "no", "unknown"}
	facts := []Fact{
		{"event.occurred", "When it began", "An instant such as 2026-11-22T09:30:00Z", nil},
		{"event.detected", "When it was first detected", "An instant such as 2026-11-22T09:30:00Z", nil},
		{"event.contained", "When it was contained", "An instant such as 2026-11-22T09:30:00Z", nil},
		{"breach.confidentiality", "Confidentiality was lost", "Did somebody get or see the data?", yesNo},
		{"breach.integrity", "Integrity was lost", "Were data changed?", yesNo},
		{"breach.availability", "Availability was lost", "Were data destroyed or out of reach?", yesNo},
		{"breach.access", "Data were accessed without authority", "", yesNo},
		{"breach.acquisition", "Somebody took a copy", "", yesNo},
		{"data.encrypted", "The data were encrypted", "", yesNo},
		{"data.key_safe", "The key is safe", "", yesNo},
		{"data.form", "Form of the data", "", []string{"electronic", "paper"}},
		{"established", "Where the organisation is established", "A country, such as GB, once a person has decided it. Give the reason in the note.", nil},
		{"lead_authority", "Lead authority", "The country of the lead supervisory authority, such as SE", nil},
		{factLanguageFallback, "Write in the organisation's language where a language is missing", "The reason for it", nil},
	}
	for _, tag := range languages {
		base, _, _ := strings.Cut(tag, "-")
		for _, n := range sheetNames {
			facts = append(facts, Fact{"sheet." + n.name + "." + base, n.label + " (" + base + ")", n.hint, nil})
		}
	}
	return slices.CompactFunc(facts, func(a, b Fact) bool { return a.Key == b.Key })
}

var sheetNames = []struct{ name, label, hint string }{
	{"what_happened", "What happened", "One or two plain sentences for the people affected. No personal data."},
	{"when", "When it happened", "As it reads in a sentence: between 3 and 5 November 2026"},
	{"consequences", "Likely consequences", "What people may have to expect."},
	{"measures", "What we have done", "Measures taken, in plain words."},
	{"advice", "What you can do", "Advice that holds for everybody affected."},
}

// FactLabel returns the plain name of a fact, or its key.
func FactLabel(key string) string {
	if rest, ok := strings.CutPrefix(key, "sheet."); ok {
		name, lang, _ := strings.Cut(rest, ".")
		for _, n := range sheetNames {
			if n.name == name {
				return n.label + " (" + lang + ")"
			}
		}
	}
	for _, f := range OfferedFacts(nil) {
		if f.Key == key {
			return f.Label
		}
	}
	return key
}
