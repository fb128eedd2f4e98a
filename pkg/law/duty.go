package law

import (
	"strings"
	"time"
)

// Duty is one obligation of one case towards one recipient. Its JSON is the contract of tocsin law due.
type Duty struct {
	ID           string    `json:"id"`   // rule, and after "_" the jurisdiction if there may be several: eu-gdpr.authority_FR
	Rule         string    `json:"rule"` // eu-gdpr.authority
	Regime       string    `json:"regime"`
	Jurisdiction string    `json:"jurisdiction"`
	Version      string    `json:"version"`
	Status       Status    `json:"status"`
	Hardness     Hardness  `json:"hardness"`
	Binding      bool      `json:"binding"` // law or contract in force, and not merely a guide figure
	Title        string    `json:"title"`
	To           Recipient `json:"to"`
	OwedBy       Owner     `json:"owed_by"`
	Citation     string    `json:"citation"`
	Source       Source    `json:"source"`
	Doubts       []string  `json:"doubts,omitempty"`
	Stage        string    `json:"stage,omitempty"`

	Standard  string          `json:"standard,omitempty"` // "without undue delay": what stands beside or instead of a number
	Due       *time.Time      `json:"due"`                // UTC; null when no number or its clock does not run
	DueLocal  string          `json:"due_local,omitempty"`
	Zone      string          `json:"zone"`
	Calendar  string          `json:"calendar,omitempty"` // code and version
	Anchor    *time.Time      `json:"anchor,omitempty"`   // UTC instant that the primary reading counts from
	Pending   string          `json:"pending,omitempty"`  // what has to happen before the clock runs
	Projected *time.Time      `json:"projected,omitempty"`
	Readings  []ReadingResult `json:"readings,omitempty"`
	Target    *TargetResult   `json:"target,omitempty"`
	Relation  string          `json:"relation,omitempty"`
	Suspended *Suspension     `json:"suspended,omitempty"`
	DoneAt    *time.Time      `json:"done_at,omitempty"`
	Late      bool            `json:"late,omitempty"` // done after the due instant; a reason is demanded, nothing is blocked
	IfLate    string          `json:"if_late,omitempty"`
	Assumed   []string        `json:"assumed,omitempty"` // unknown facts that were taken towards the duty

	Content   Content      `json:"content,omitzero"`
	Channels  Channels     `json:"channels,omitzero"`
	RideAlong []string     `json:"ride_along,omitempty"`
	Records   []RecordKept `json:"records,omitempty"`

	Derivation           []Step `json:"derivation"`
	NotApplicableBecause string `json:"not_applicable_because,omitempty"`
}

// Applies reports whether the duty is owed.
func (d *Duty) Applies() bool { return d.NotApplicableBecause == "" }

// ReadingResult is the due instant under one way of counting.
type ReadingResult struct {
	ID       string    `json:"id"`
	Due      time.Time `json:"due"`
	DueLocal string    `json:"due_local"`
	Reason   string    `json:"reason"`
	Primary  bool      `json:"primary"`
	Citation string    `json:"citation,omitempty"`
}

// TargetResult is an aim that no law sets. It is never shown as due.
type TargetResult struct {
	Due      *time.Time `json:"due"`
	DueLocal string     `json:"due_local,omitempty"`
	Label    string     `json:"label"`
	Hardness Hardness   `json:"hardness"`
}

// Suspension says that a hold stops the clock at the instant of asking.
type Suspension struct {
	By          string     `json:"by"`
	Since       time.Time  `json:"since"`
	Until       *time.Time `json:"until,omitempty"`
	WithoutHold *time.Time `json:"without_hold,omitempty"`
}

// Step is one step of a derivation: fact, anchor, rule, period, calendar, instant, reading, hold,
// assumption or doubt.
type Step struct {
	Kind  string     `json:"kind"`
	Text  string     `json:"text"`
	At    *time.Time `json:"at,omitempty"`
	Cite  string     `json:"cite,omitempty"`
	Steps []Step     `json:"steps,omitempty"`
}

// Text prints the derivation as an indented list that fits one screen.
func (d *Duty) Text() string {
	var b strings.Builder
	b.WriteString(d.Title + " (" + d.ID + ")\n")
	if !d.Applies() {
		b.WriteString("does not apply: " + d.NotApplicableBecause + "\n")
	}
	write(&b, d.Derivation, 0)
	return b.String()
}

func write(b *strings.Builder, steps []Step, depth int) {
	for _, s := range steps {
		b.WriteString(strings.Repeat("  ", depth) + "· " + s.Kind + ": " + s.Text)
		if s.Cite != "" {
			b.WriteString(" [" + s.Cite + "]")
		}
		b.WriteByte('\n')
		write(b, s.Steps, depth+1)
	}
}

func ptr(t time.Time) *time.Time {
	t = t.UTC()
	return &t
}
