// Package casefile folds the journal of a case into its state.
//
// Fold is pure and total: the same entries give the same Case in every
// service, unknown events are kept and ignored, and folding a prefix gives the
// case as it was known then. There is no other truth about a case.
package casefile

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"tocsin.dev/pkg/event"
)

// Entry is an event with its place in the journal.
type Entry struct {
	// Seq is the sequence of the event in the stream CASES.
	Seq uint64 `json:"seq"`
	event.Event
}

// Status is where a case stands.
type Status string

// The states of a case.
const (
	StatusOpen   Status = "open"
	StatusClosed Status = "closed"
)

// Case is the state of one case after the event Seq.
type Case struct {
	Org    string
	Number string
	// Seq is the sequence of the last event folded; the next append expects it.
	Seq uint64
	// OpenedAt and ChangedAt are the instants of the first and the last event.
	OpenedAt  time.Time
	ChangedAt time.Time
	Status    Status

	Declared   *event.CaseDeclared
	DeclaredBy event.Actor
	Closed     *event.CaseClosed

	// Facts holds the statement in force for every key.
	Facts map[string]Fact
	// FactHistory holds every statement in the order it was made.
	FactHistory []Fact

	Risk   *event.RiskAssessed
	RiskBy event.Actor
	// RiskAt is when the assessment was made.
	RiskAt time.Time

	// AcceptedAlerts are the alerts a person put into the case; Linked are those
	// that intake has confirmed.
	AcceptedAlerts []string
	Linked         map[string]event.AlertLinked

	// Exposure is the latest statement of what was exposed.
	Exposure *Statement
	// Sealed are the sealed revisions in order; Refused maps a statement to the reason.
	Sealed  []Sealed
	Refused map[string]string

	Duties map[string]*Duty

	// Texts holds the latest version of every text by its key.
	Texts map[event.TextKey]*Text
	// Writers are the ids of everybody who wrote any version of any text.
	Writers map[string]bool
	// Approvals are all signed approvals in order. Whether one still stands
	// is asked by Standing.
	Approvals []Approved

	// Comments are the reviewers' remarks in order.
	Comments []Comment
	// Tests are the test sends of texts in order.
	Tests []Test
	// Overrides are the findings of the wording checks that a person let stand.
	Overrides []Override

	// Orders are the dispatch orders in order.
	Orders []*Order

	// Unknown are events of types that this build does not know.
	Unknown []Entry
}

// Fact is a statement with who made it and when.
type Fact struct {
	event.FactStated
	Seq      uint64
	EventID  string
	StatedBy event.Actor
	StatedAt time.Time
}

// Statement is an exposure statement with its event id.
type Statement struct {
	event.ExposureStated
	EventID  string
	StatedBy event.Actor
	StatedAt time.Time
}

// Sealed is a sealed revision with when it was sealed.
type Sealed struct {
	event.ScopeSealed
	SealedAt time.Time
}

// Text is the latest version of one text of the wording set.
type Text struct {
	event.WordingDrafted
	Writer    string
	WrittenAt time.Time
	// Rejected is the reason the latest version was sent back, or empty.
	Rejected string
}

// Comment is a remark on a text with who made it.
type Comment struct {
	event.WordingCommented
	By event.Actor
	At time.Time
}

// Test is a test send of a text with when it entered the journal.
type Test struct {
	event.WordingTested
	At time.Time
}

// Override is an overridden finding with who let it stand.
type Override struct {
	event.CheckOverridden
	By event.Actor
	At time.Time
}

// Approved is a signed approval with when it entered the journal.
type Approved struct {
	event.WordingApproved
	Seq        uint64
	ApprovedBy event.Actor
	// Revoked is the reason it was taken back, or empty.
	Revoked string
}

// DutyState is where a duty stands.
type DutyState string

// The states of a duty.
const (
	DutyOpen    DutyState = "open"
	DutyMissed  DutyState = "missed"
	DutyMet     DutyState = "met"
	DutyWaived  DutyState = "waived"
	DutyDropped DutyState = "dropped"
)

// Duty is a duty with everything that happened to it.
type Duty struct {
	event.Duty
	State    DutyState
	OpenedAt time.Time
	// Reminded is the smallest HoursLeft already announced for the present due instant; 0 if none.
	Reminded int
	// Unanswered counts the reminders for the present due instant since somebody last acknowledged one.
	Unanswered int
	// Changes are the moves of the due instant, oldest first.
	Changes []event.DutyChanged
	Met     *event.DutyMet
	Waived  *event.DutyWaived
	// AcknowledgedAt is when a person last said that they have seen the reminder.
	AcknowledgedAt time.Time
	// MissedDue is the due instant that was announced as missed.
	MissedDue *time.Time
	// Why is the reason given when it was dropped.
	Why string
}

// OrderState is where a dispatch order stands.
type OrderState string

// The states of an order.
const (
	OrderPlaced    OrderState = "ordered"
	OrderPlanned   OrderState = "planned"
	OrderPaused    OrderState = "paused"
	OrderStopped   OrderState = "stopped"
	OrderRefused   OrderState = "refused"
	OrderCompleted OrderState = "completed"
)

// Order is a dispatch order with what became of it.
type Order struct {
	event.DispatchOrdered
	OrderedBy event.Actor
	OrderedAt time.Time
	State     OrderState
	// Stopped is set once a person stopped it, even when it completes.
	Stopped  bool
	Planned  *event.DispatchPlanned
	Tally    *event.Tally
	Blocked  *event.DispatchBlocked
	Refused  *event.ApprovalRefused
	EndedAt  time.Time
	PausedBy string
	// QuietOverridden says that people were written to in their quiet hours; nil if nobody was.
	QuietOverridden *event.QuietOverride
	// Doubts are people's decisions about messages in doubt, in order.
	Doubts []Doubt
}

// Doubt is a decision about messages in doubt with who took it.
type Doubt struct {
	event.DoubtDecided
	// ID is the id of the event, by which the sender knows that it has acted on it.
	ID string
	By event.Actor
	At time.Time
}

// Latest returns the newest sealed revision, or nil.
func (c *Case) Latest() *Sealed {
	if len(c.Sealed) == 0 {
		return nil
	}
	return &c.Sealed[len(c.Sealed)-1]
}

// Exposed returns the codes of the categories of data that people of the newest
// sealed list lost, or else those that were declared.
func (c *Case) Exposed() []string {
	if latest := c.Latest(); latest != nil && len(latest.Counts.Categories) > 0 {
		return slices.Sorted(maps.Keys(latest.Counts.Categories))
	}
	if c.Declared == nil {
		return nil
	}
	return c.Declared.Categories
}

// Revision returns the sealed revision with the number, or nil.
func (c *Case) Revision(n int) *Sealed {
	for i := range c.Sealed {
		if c.Sealed[i].Revision == n {
			return &c.Sealed[i]
		}
	}
	return nil
}

// Order returns the order with the id, or nil.
func (c *Case) Order(id string) *Order {
	for _, o := range c.Orders {
		if o.Order == id {
			return o
		}
	}
	return nil
}

// Approval returns the approval with the id, or nil.
func (c *Case) Approval(id string) *Approved {
	for i := range c.Approvals {
		if c.Approvals[i].Approval.ID == id {
			return &c.Approvals[i]
		}
	}
	return nil
}

// NextDue returns the open duty that is due first, or nil. What is not law yet does not count.
func (c *Case) NextDue() *Duty {
	var next *Duty
	for _, d := range c.Duties {
		if (d.State != DutyOpen && d.State != DutyMissed) || d.Due == nil || d.Effect == event.EffectInformation {
			continue
		}
		if next == nil || d.Due.Before(*next.Due) || (d.Due.Equal(*next.Due) && d.ID < next.ID) {
			next = d
		}
	}
	return next
}

// Stale says in one line why an approval no longer covers the case as it
// stands, or returns "" while it does. It compares words, list and time; the
// signature is the sender's to verify.
func (c *Case) Stale(a event.Approval, now time.Time) string {
	if approved := c.Approval(a.ID); approved != nil && approved.Revoked != "" {
		return "the approval was taken back: " + approved.Revoked
	}
	switch latest := c.Latest(); {
	case now.After(a.ValidUntil):
		return "the approval ran out at " + a.ValidUntil.UTC().Format("2 January 2006 15:04 UTC")
	case latest == nil || latest.Digest != a.ScopeDigest || latest.Revision != a.Revision:
		return "the list of people is no longer the one that was approved"
	}
	if a.SheetDigest != c.SheetDigest() {
		return "a fact on the facts sheet was changed after the approval"
	}
	for _, t := range a.Texts {
		if now := c.Texts[t.TextKey]; now == nil || now.Digest != t.Digest {
			return "the text " + t.TextKey.String() + " was changed after the approval"
		}
	}
	return ""
}

// sheetPrefix marks the facts that feed the texts: "sheet.<name>.<language>".
const sheetPrefix = "sheet."

// Sheet returns the facts sheet in a language by name: "what_happened",
// "when", "consequences", "measures", "advice". The language is a BCP 47 tag;
// a fact stated for its base language ("sv" for "sv-FI") serves too.
func (c *Case) Sheet(language string) map[string]string {
	base, _, _ := strings.Cut(language, "-")
	sheet := map[string]string{}
	for _, tag := range []string{base, language} {
		for key, f := range c.Facts {
			if name, ok := strings.CutPrefix(key, sheetPrefix); ok && strings.HasSuffix(name, "."+tag) {
				sheet[strings.TrimSuffix(name, "."+tag)] = f.Value
			}
		}
	}
	return sheet
}

// SheetDigest returns the SHA-256 over all facts of the sheet in every
// language, as "sha256:<hex>". An approval names it, so a changed fact voids it.
func (c *Case) SheetDigest() string {
	h := sha256.New()
	for _, key := range slices.Sorted(maps.Keys(c.Facts)) {
		if strings.HasPrefix(key, sheetPrefix) {
			fmt.Fprintf(h, "%d:%s%d:%s", len(key), key, len(c.Facts[key].Value), c.Facts[key].Value)
		}
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}
