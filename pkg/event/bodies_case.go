package event

import "time"

// Severity is the analyst's own grading of an incident.
type Severity string

// Severities, mildest first.
const (
	SeverityLow      Severity = "low"
	SeverityMedium   Severity = "medium"
	SeverityHigh     Severity = "high"
	SeverityCritical Severity = "critical"
)

// CaseDeclared opens a case. Only a person declares; an alert never does.
type CaseDeclared struct {
	// Title names the incident for people who work on it. No personal data.
	Title   string `json:"title"`
	Summary string `json:"summary,omitempty"`
	// AwareAt is when the controller became aware of the breach (GDPR Art. 33(1)).
	// Statutory clocks run from here, not from Event.At.
	AwareAt time.Time `json:"aware_at"`
	// AwareZone is the IANA zone in which AwareAt was given, such as "Europe/London".
	AwareZone string `json:"aware_zone"`
	// AwareEvidence says what made the organisation aware.
	AwareEvidence string   `json:"aware_evidence,omitempty"`
	Severity      Severity `json:"severity"`
	// Role is the organisation's role for the data concerned: "controller" or "processor".
	Role string `json:"role"`
	// Categories are the Fides keys of the data suspected to be concerned.
	Categories []string `json:"categories,omitempty"`
	// Alerts are the ids of the alerts from which the case was declared.
	Alerts []string `json:"alerts,omitempty"`
	// Drill marks an exercise: nothing in it may reach a real person.
	Drill bool `json:"drill,omitempty"`
}

// FactStated records something a person knows about the breach. A later
// statement of the same Key replaces the earlier one from then on; both stay
// in the journal.
type FactStated struct {
	// Key names the fact in the vocabulary of law.Facts, such as "encryption",
	// "event.detected" or "risk". See casefile.FactKeys.
	Key string `json:"key"`
	// Value is the fact: a word, a number, a boolean or an RFC 3339 instant.
	Value string `json:"value"`
	// TrueSince is from when it was true in the world; nil means always.
	TrueSince *time.Time `json:"true_since,omitempty"`
	// KnownSince is when the organisation learned it.
	KnownSince time.Time `json:"known_since"`
	// Zone is the IANA zone in which the instants were given.
	Zone string `json:"zone,omitempty"`
	Note string `json:"note,omitempty"`
}

// AlertAccepted is the analyst's decision that an alert belongs to the case.
type AlertAccepted struct {
	Alert string `json:"alert"`
	Note  string `json:"note,omitempty"`
}

// AlertLinked is intake's confirmation: the alert is marked as part of the
// case and its raw body is kept.
type AlertLinked struct {
	Alert    string `json:"alert"`
	Source   string `json:"source"`
	Product  string `json:"product,omitempty"`
	Title    string `json:"title"`
	Severity int    `json:"severity_id"`
	// The three instants the law may ask about, kept apart.
	OccurredAt *time.Time `json:"occurred_at,omitempty"`
	DetectedAt *time.Time `json:"detected_at,omitempty"`
	ReceivedAt time.Time  `json:"received_at"`
	// RawSHA256 is the hex digest of the body exactly as it was received.
	RawSHA256 string `json:"raw_sha256"`
}

// RiskLevel is the outcome of a person's assessment under GDPR Arts. 33(1) and 34(1).
type RiskLevel string

// Risk levels, mildest first.
const (
	RiskUnlikely RiskLevel = "unlikely"
	RiskPresent  RiskLevel = "risk"
	RiskHigh     RiskLevel = "high"
)

// RiskAssessed is a person's decision about the risk to the people affected.
type RiskAssessed struct {
	Level  RiskLevel `json:"level"`
	Reason string    `json:"reason"`
	// Score is the ENISA score that was shown as advice, if any.
	Score float64 `json:"score,omitempty"`
}

// CaseClosed ends the work on a case. Duties still open are listed by the desk
// before it lets a person close.
type CaseClosed struct {
	Reason string `json:"reason"`
}
