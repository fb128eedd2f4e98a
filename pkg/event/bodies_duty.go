package event

import "time"

// Duty is something the law (or a contract, or the organisation's own promise)
// demands, as computed by package law from the facts known at the time.
type Duty struct {
	// ID is stable for a rule and an addressee within a case.
	ID      string `json:"id"`
	Rule    string `json:"rule"`
	Version string `json:"version"`
	// Jurisdiction is the ISO 3166 code under whose law it is owed.
	Jurisdiction string `json:"jurisdiction,omitempty"`
	// Status is "in-force", "adopted-not-effective", "proposed", "guidance", "contract" or "policy".
	Status string `json:"status"`
	// Hardness is "statutory", "guide", "contract" or "internal".
	Hardness string `json:"hardness"`
	// Effect says how far the duty binds: empty for one that binds with its number, "guide" if only
	// the number is a guide figure, "advice" if nothing binds, "information" for what is not law yet.
	Effect string `json:"effect,omitempty"`
	// Provisional says what is undecided that the duty rests on, such as where the organisation is established.
	Provisional string `json:"provisional,omitempty"`
	Title       string `json:"title"`
	// To is who must be told, in words.
	To string `json:"to"`
	// ToKind is "regulator", "people", "controller", "media", … for programs.
	ToKind   string `json:"to_kind"`
	Citation string `json:"citation"`
	// Due is the earliest defensible due instant in UTC; nil if the law names no number.
	Due *time.Time `json:"due,omitempty"`
	// DueLocal is Due in the addressee's zone, RFC 3339 with offset.
	DueLocal string `json:"due_local,omitempty"`
	Zone     string `json:"zone,omitempty"`
	// Standard is the law's own words class, such as "without undue delay".
	Standard string `json:"standard,omitempty"`
	// Pending is what must happen before the clock runs.
	Pending string `json:"pending,omitempty"`
	// Target is an internal target, shown as such and never as law.
	Target      *time.Time `json:"target,omitempty"`
	TargetLabel string     `json:"target_label,omitempty"`
	Stage       string     `json:"stage,omitempty"`
	// Suspended says which hold stops the clock.
	Suspended string `json:"suspended,omitempty"`
	// Assumed are unknown facts that were taken towards the duty.
	Assumed []string `json:"assumed,omitempty"`
	// Required and Forbidden are the content words a notice must and must not carry.
	Required  []string `json:"required,omitempty"`
	Forbidden []string `json:"forbidden,omitempty"`
	// Substitute is what may stand in for telling each person; nil if the rule names nothing.
	Substitute *Substitute `json:"substitute,omitempty"`
	Readings   []Reading   `json:"readings,omitempty"`
	Derivation []Step      `json:"derivation,omitempty"`
	// Doubts are what the rule record itself is unsure of.
	Doubts     []string `json:"doubts,omitempty"`
	Confidence string   `json:"confidence,omitempty"`
}

// Reading is one defensible way to compute the due instant.
type Reading struct {
	ID      string    `json:"id"`
	Due     time.Time `json:"due"`
	Reason  string    `json:"reason"`
	Primary bool      `json:"primary,omitempty"`
}

// Substitute says when notice to each person may be replaced, and by what. The
// conditions stand beside each other: each alone opens the way.
type Substitute struct {
	// PeopleOver is a number of affected people, CostOver a cost such as "USD 250000".
	PeopleOver int64  `json:"people_over,omitempty"`
	CostOver   string `json:"cost_over,omitempty"`
	// If is a condition in words, such as "contact data are missing".
	If string `json:"if,omitempty"`
	// Parts is what the public notice consists of.
	Parts []string `json:"parts,omitempty"`
}

// Step is one step of a derivation: fact, anchor, rule, period, calendar,
// instant, reading, hold, assumption or doubt.
type Step struct {
	Kind string `json:"kind"`
	Text string `json:"text"`
	// At is the instant the step is about, in UTC, if it is about one.
	At *time.Time `json:"at,omitempty"`
	// Cite is where the step comes from: a citation or a calendar version.
	Cite  string `json:"cite,omitempty"`
	Steps []Step `json:"steps,omitempty"`
}

// The effects of a duty; a duty that binds with its number has none of these.
const (
	// EffectGuide marks a duty that binds while its number is only a guide figure: it is reminded of, never missed.
	EffectGuide = "guide"
	// EffectAdvice marks an authority's advice: it is reminded of, never missed, and no case waits for it.
	EffectAdvice = "advice"
	// EffectInformation marks what is not law yet: it is shown and nothing else.
	EffectInformation = "information"
)

// Binds reports whether somebody has to fulfil the duty.
func (d *Duty) Binds() bool { return d.Effect == "" || d.Effect == EffectGuide }

// DutyOpened says that a duty applies.
type DutyOpened struct {
	Duty Duty `json:"duty"`
	// Rules is the digest of the rules that computed it.
	Rules string `json:"rules,omitempty"`
}

// DutyChanged says that facts or rules moved a duty. Why is one line for people.
type DutyChanged struct {
	Duty   Duty       `json:"duty"`
	WasDue *time.Time `json:"was_due,omitempty"`
	Why    string     `json:"why"`
	// Rules is the digest of the rules that computed it.
	Rules string `json:"rules,omitempty"`
}

// DutyDropped says that a duty no longer applies.
type DutyDropped struct {
	Duty string `json:"duty"`
	Why  string `json:"why"`
	// Rules is the digest of the rules that computed it.
	Rules string `json:"rules,omitempty"`
}

// DutyDueSoon is a reminder: fewer than HoursLeft hours remain.
type DutyDueSoon struct {
	Duty      string    `json:"duty"`
	Due       time.Time `json:"due"`
	HoursLeft int       `json:"hours_left"`
	// Escalation counts the reminders before this one that nobody acknowledged; 0 for none.
	Escalation int `json:"escalation,omitempty"`
}

// DutyMissed says that the due instant passed and the duty was not met.
type DutyMissed struct {
	Duty string    `json:"duty"`
	Due  time.Time `json:"due"`
}

// DutyMet records that a person fulfilled the duty, with the evidence.
type DutyMet struct {
	Duty string `json:"duty"`
	// MetAt is when the addressee was told.
	MetAt    time.Time `json:"met_at"`
	Evidence string    `json:"evidence"`
	// LateReason is demanded when MetAt is after the due instant (GDPR Art. 33(1)).
	LateReason string `json:"late_reason,omitempty"`
}

// DutyWaived records a person's decision that the duty need not be met, with the reason.
type DutyWaived struct {
	Duty   string `json:"duty"`
	Reason string `json:"reason"`
}

// DutyAcknowledged stops the escalation of a reminder: a person has seen it.
type DutyAcknowledged struct {
	Duty string `json:"duty"`
	Note string `json:"note,omitempty"`
}
