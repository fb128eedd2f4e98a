package event

import (
	"fmt"
	"regexp"
	"strings"
)

// Streams of the bus.
const (
	// StreamCases is the journal: append-only, no limits, deny delete and purge.
	StreamCases = "CASES"
	// StreamAlerts holds references to raw alerts waiting to be mapped.
	StreamAlerts = "ALERTS"
	// StreamDispatch holds tickets: chunks of sending work, never people.
	StreamDispatch = "DISPATCH"
	// StreamReceipts holds provider callbacks exactly as they were received and verified.
	StreamReceipts = "RECEIPTS"
	// StreamDead holds messages that were parked, with the reason.
	StreamDead = "DEAD"
)

// Subject patterns of the streams.
const (
	SubjectCases    = "tocsin.case.>"
	SubjectAlerts   = "tocsin.alert.raw.>"
	SubjectDispatch = "tocsin.dispatch.>"
	SubjectReceipts = "tocsin.receipt.>"
	SubjectDead     = "tocsin.dead.>"
)

// Questions that services answer over NATS request/reply. Answers are never stored.
const (
	// AskAlerts lists, shows and dismisses alerts; answered by intake.
	AskAlerts = "tocsin.ask.intake.alerts"
	// AskInventory lists systems and datasets; answered by scope.
	AskInventory = "tocsin.ask.scope.inventory"
	// AskPreview counts the people an exposure would reach; answered by scope.
	AskPreview = "tocsin.ask.scope.preview"
	// AskContacts returns contact records of a sealed revision; answered by scope to notice alone.
	AskContacts = "tocsin.ask.scope.contacts"
	// AskPerson searches and reveals one person to an authorised role; answered by scope.
	AskPerson = "tocsin.ask.scope.person"
	// AskProgress returns the ledger's tally of a case; answered by notice.
	AskProgress = "tocsin.ask.notice.progress"
	// AskMessages lists ledger rows by person number; answered by notice.
	AskMessages = "tocsin.ask.notice.messages"
	// AskForecast says whether the sending ends before the deadline; answered by notice.
	AskForecast = "tocsin.ask.notice.forecast"
)

// Key-value buckets of the desk.
const (
	BucketSessions = "desk-sessions"
	BucketUsers    = "desk-users"
)

// BucketLaw holds rule packages beside the built-in one: what was proposed,
// and what each organisation has accepted. The desk writes it.
const BucketLaw = "law-packages"

// ObjectsRaw is the object store bucket of raw alert bodies.
const ObjectsRaw = "alerts-raw"

var token = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)

// ValidToken reports whether s may stand as an organisation or case id in a
// subject: lower-case letters, digits, '-' and '_', at most 64 characters.
func ValidToken(s string) bool { return token.MatchString(s) }

// Subject returns the subject of an event: tocsin.case.<org>.<case>.<type>.
func (e Event) Subject() string { return "tocsin.case." + e.Org + "." + e.Case + "." + string(e.Type) }

// CaseSubjects returns the wildcard over all events of one case.
func CaseSubjects(org, caseID string) string { return "tocsin.case." + org + "." + caseID + ".>" }

// ParseSubject splits the subject of a case event.
func ParseSubject(subject string) (org, caseID string, t Type, err error) {
	p := strings.SplitN(subject, ".", 5)
	if len(p) != 5 || p[0] != "tocsin" || p[1] != "case" {
		return "", "", "", fmt.Errorf("%q is not the subject of a case event", subject)
	}
	return p[2], p[3], Type(p[4]), nil
}

// SubjectAlertRaw returns where intake announces a raw alert of a source.
func SubjectAlertRaw(source string) string { return "tocsin.alert.raw." + source }

// SubjectTicket returns where tickets of a channel are published.
func SubjectTicket(channel string) string { return "tocsin.dispatch." + channel }

// SubjectReceipt returns where verified callbacks of a provider are published.
func SubjectReceipt(provider string) string { return "tocsin.receipt." + provider }

// SubjectDeadLetter returns where a handler's parked messages go.
func SubjectDeadLetter(handler string) string { return "tocsin.dead." + handler }
