package law

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Status says what kind of norm a rule is. Only InForce and Contract bind.
type Status string

// The statuses of a rule.
const (
	InForce    Status = "in-force"
	Adopted    Status = "adopted-not-effective"
	Proposed   Status = "proposed"
	Guidance   Status = "guidance"
	Contract   Status = "contract"
	PolicyRule Status = "policy" // an organisation's own public promise
)

// Hardness says how hard a number is. One is never shown as another.
type Hardness string

// The degrees of hardness.
const (
	Statutory      Hardness = "statutory"
	GuideFigure    Hardness = "guide"
	ContractFigure Hardness = "contract"
	InternalTarget Hardness = "internal"
)

// Source says where a rule was read and how far to trust it.
type Source struct {
	Address    string `yaml:"address" json:"address,omitempty"`
	Kind       string `yaml:"kind" json:"kind"`             // primary, secondary, recalled
	Confidence string `yaml:"confidence" json:"confidence"` // high, medium, low
	CheckedOn  Date   `yaml:"checked_on" json:"checked_on"`
}

// Validity is the span of days on which a rule holds; Until is the first day on which it no longer does.
type Validity struct {
	From  Date `yaml:"from" json:"from,omitzero"`
	Until Date `yaml:"until" json:"until,omitzero"`
	// Open says that the first day is not known yet; allowed for proposed and adopted rules only.
	Open bool `yaml:"open" json:"open,omitempty"`
}

// Owner says who owes a duty: a role in the processing (controller, processor, any), one of several regulated kinds, or both.
type Owner struct {
	Role string   `yaml:"role" json:"role,omitempty"`
	Kind []string `yaml:"kind" json:"kind,omitempty"`
}

// Recipient says who must be told.
type Recipient struct {
	Kind      string `yaml:"kind" json:"kind"`                     // regulator, csirt, attorney-general, police, cra, people, media, controller, clients, investors, public
	Name      string `yaml:"name" json:"name"`                     // as shown; filled from the jurisdiction for Authority
	Authority string `yaml:"authority" json:"authority,omitempty"` // key into the jurisdiction's authorities
	Portal    string `yaml:"portal" json:"portal,omitempty"`
}

// Exemption takes a duty away when its condition is surely true.
type Exemption struct {
	When     Condition `yaml:"when" json:"when"`
	Because  string    `yaml:"because" json:"because"`
	Citation string    `yaml:"citation" json:"citation,omitempty"`
	Evidence []string  `yaml:"evidence" json:"evidence,omitempty"` // what has to be kept or filed to rely on it
	Keep     string    `yaml:"keep" json:"keep,omitempty"`
}

// Limit is one number: n units from an anchor.
type Limit struct {
	ID       string    `yaml:"id" json:"id,omitempty"`
	N        int       `yaml:"n" json:"n"`
	UpTo     int       `yaml:"up_to" json:"up_to,omitempty"` // end of a range; n is the earlier
	Unit     string    `yaml:"unit" json:"unit"`             // hour, day, business-day, week, month, year
	From     Anchor    `yaml:"from" json:"from"`
	When     Condition `yaml:"when" json:"when,omitzero"`     // the limit applies unless this is surely false
	Unless   Condition `yaml:"unless" json:"unless,omitzero"` // the limit applies unless this is surely true
	Replaces []string  `yaml:"replaces" json:"replaces,omitempty"`
	Counting Counting  `yaml:"counting" json:"counting,omitzero"`
	Citation string    `yaml:"citation" json:"citation,omitempty"`
}

// Counting says how a period is counted. Empty fields take the unit's own rule: hours start at the
// instant and end at an instant; days start the next day and end with the last second of a civil day.
type Counting struct {
	Start          string `yaml:"start" json:"start,omitempty"`       // instant, next-hour, next-day, same-day, deemed-working-day
	End            string `yaml:"end" json:"end,omitempty"`           // instant, end-of-day, or a clock time such as "17:30"
	Zone           string `yaml:"zone" json:"zone,omitempty"`         // here, entity, event, or an IANA name
	Calendar       string `yaml:"calendar" json:"calendar,omitempty"` // here, entity, or a code
	Roll           *Roll  `yaml:"roll" json:"roll,omitempty"`
	MinWorkingDays int    `yaml:"min_working_days" json:"min_working_days,omitempty"`
}

// Roll moves an end that falls on a weekend or holiday.
type Roll struct {
	To string `yaml:"to" json:"to"`           // next-working-day, previous-working-day
	At string `yaml:"at" json:"at,omitempty"` // clock time on that day; default: its last second
}

// Reading is one way to count. The first is the primary one; the engine moves to another if that is earlier.
type Reading struct {
	ID       string    `yaml:"id" json:"id"`
	Reason   string    `yaml:"reason" json:"reason"`
	Citation string    `yaml:"citation" json:"citation,omitempty"`
	N        int       `yaml:"n" json:"n,omitempty"` // other number than the limit's
	Counting Counting  `yaml:"counting" json:"counting,omitzero"`
	When     Condition `yaml:"when" json:"when,omitzero"`     // the reading is shown only if surely true
	Unless   Condition `yaml:"unless" json:"unless,omitzero"` // and not shown if this may be true
}

// Readings is a list of readings or the name of a preset in data/counting.yaml.
type Readings struct {
	Preset string
	List   []Reading
}

// UnmarshalYAML reads a name or a list.
func (r *Readings) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		return n.Decode(&r.Preset)
	}
	if err := strictNode(n, &r.List); err != nil {
		return err
	}
	return n.Decode(&r.List)
}

// Relation ties a due instant to that of another duty of the same place.
type Relation struct {
	MustBe string    `yaml:"must_be" json:"must_be"` // before, with (not later than, and at once when that one is done)
	Duty   string    `yaml:"duty" json:"duty"`
	When   Condition `yaml:"when" json:"when,omitzero"`
}

// Extension lengthens a period when its ground is surely there.
type Extension struct {
	ID       string    `yaml:"id" json:"id"`
	When     Condition `yaml:"when" json:"when"`
	Times    int       `yaml:"times" json:"times,omitempty"` // multiplies n
	Plus     int       `yaml:"plus" json:"plus,omitempty"`   // adds units of the limit to n
	Because  string    `yaml:"because" json:"because"`
	Citation string    `yaml:"citation" json:"citation,omitempty"`
}

// HoldRule says what a hold of some kind does to a duty.
type HoldRule struct {
	Kind       string         `yaml:"kind" json:"kind"`
	MaxDays    map[string]int `yaml:"max_days" json:"max_days,omitempty"` // longest hold by form, in days
	NeedsGrant bool           `yaml:"needs_grant" json:"needs_grant,omitempty"`
	Then       Then           `yaml:"then" json:"then"`
	Citation   string         `yaml:"citation" json:"citation,omitempty"`
}

// Then says what is left after a hold: "remaining", "at-once", or a number of units.
type Then struct {
	Word         string
	N            int
	Unit         string
	NotBeforeDue bool // the later of this and the due instant without the hold
}

// UnmarshalYAML reads a word or {n, unit, not_before_due}.
func (t *Then) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		t.Word = n.Value
		if t.Word != "remaining" && t.Word != "at-once" {
			return fmt.Errorf("line %d: after a hold comes «remaining», «at-once» or {n, unit}", n.Line)
		}
		return nil
	}
	var x struct {
		N            int    `yaml:"n"`
		Unit         string `yaml:"unit"`
		NotBeforeDue bool   `yaml:"not_before_due"`
	}
	if err := strictNode(n, &x); err != nil {
		return err
	}
	if err := n.Decode(&x); err != nil {
		return err
	}
	t.N, t.Unit, t.NotBeforeDue = x.N, x.Unit, x.NotBeforeDue
	return nil
}

// Target is an internal aim or a regulator's figure beside a duty that has no number of its own.
type Target struct {
	N    int    `yaml:"n" json:"n"`
	Unit string `yaml:"unit" json:"unit"`
	From Anchor `yaml:"from" json:"from"`
	Why  string `yaml:"why" json:"why"`
}

// Content says what a notice must and must not hold.
type Content struct {
	Required  []string `yaml:"required" json:"required,omitempty"`
	Forbidden []string `yaml:"forbidden" json:"forbidden,omitempty"`
	Form      string   `yaml:"form" json:"form,omitempty"`
	Language  string   `yaml:"language" json:"language,omitempty"`
	Phrases   []string `yaml:"phrases" json:"phrases,omitempty"`
}

// Channels says how the message may travel.
type Channels struct {
	Order      []Channel   `yaml:"order" json:"order,omitempty"`
	Forbidden  []Channel   `yaml:"forbidden" json:"forbidden,omitempty"`
	Substitute *Substitute `yaml:"substitute" json:"substitute,omitempty"`
}

// Channel is a way to reach somebody and the condition on which it counts, in words.
type Channel struct {
	Channel string `yaml:"channel" json:"channel"`
	If      string `yaml:"if" json:"if,omitempty"`
}

// Substitute says when notice to each person may be replaced, and by what.
type Substitute struct {
	CostOver   string   `yaml:"cost_over" json:"cost_over,omitempty"`
	PeopleOver int      `yaml:"people_over" json:"people_over,omitempty"`
	If         string   `yaml:"if" json:"if,omitempty"`
	Parts      []string `yaml:"parts" json:"parts,omitempty"`
}

// RecordKept says what must be kept and how long.
type RecordKept struct {
	What string `yaml:"what" json:"what"`
	Keep string `yaml:"keep" json:"keep"`
}

// common holds what a regime states once for all of its duties and a duty may state otherwise.
type common struct {
	Citation     string       `yaml:"citation"`
	Version      string       `yaml:"version"`
	Status       Status       `yaml:"status"`
	Valid        Validity     `yaml:"valid"`
	Source       Source       `yaml:"source"`
	Doubts       []string     `yaml:"doubts"`
	OwedBy       Owner        `yaml:"owed_by"`
	Connection   string       `yaml:"connection"`
	Among        list         `yaml:"among"`
	Counting     Counting     `yaml:"counting"`
	Holds        []HoldRule   `yaml:"holds"`
	Records      []RecordKept `yaml:"records"`
	Hardness     Hardness     `yaml:"hardness"`
	Organisation string       `yaml:"organisation"`
}

// regime is one file: the head and its duties.
type regime struct {
	ID           string      `yaml:"regime"`
	Title        string      `yaml:"title"`
	Jurisdiction string      `yaml:"jurisdiction"`
	When         Condition   `yaml:"when"`
	Except       []Exemption `yaml:"except"`
	Declare      Words       `yaml:"declare"`
	Common       common      `yaml:",inline"`
	Duties       []*Rule     `yaml:"duties"`

	file string
}

// Rule is one duty as data. Fields that a rule leaves out come from its regime.
type Rule struct {
	ID        string      `yaml:"id"` // within the file; the full id is regime.id
	Title     string      `yaml:"title"`
	Common    common      `yaml:",inline"`
	To        Recipient   `yaml:"to"`
	Stage     string      `yaml:"stage"`
	When      Condition   `yaml:"when"`
	Except    []Exemption `yaml:"except"`
	Standard  string      `yaml:"standard"`
	Limits    []Limit     `yaml:"limits"`
	Combine   string      `yaml:"combine"` // min (default), max
	Relative  []Relation  `yaml:"relative"`
	Readings  Readings    `yaml:"readings"`
	Extend    []Extension `yaml:"extend"`
	Target    *Target     `yaml:"target"`
	Content   Content     `yaml:"content"`
	Channels  Channels    `yaml:"channels"`
	RideAlong []string    `yaml:"ride_along"`
	IfLate    string      `yaml:"if_late"`

	Full         string `yaml:"-"` // full id, such as eu-gdpr.authority
	Regime       string `yaml:"-"`
	RegimeTitle  string `yaml:"-"`
	Jurisdiction string `yaml:"-"`
	File         string `yaml:"-"`
	Line         int    `yaml:"-"`

	regimeExcept []Exemption
	among        []string
	readings     []Reading
	gate         expr // regime's condition and the duty's own
}

// Condition is a text of the trigger language with its place in the file.
type Condition struct {
	Text string
	Line int
	expr expr
}

// UnmarshalYAML reads the text; the rule loader parses it once the vocabulary is whole.
func (c *Condition) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.ScalarNode {
		return fmt.Errorf("line %d: a condition is one text such as «confidentiality and risk >= risk»", n.Line)
	}
	c.Text, c.Line = strings.TrimSpace(n.Value), n.Line
	return nil
}

// MarshalText writes the condition as it was written.
func (c Condition) MarshalText() ([]byte, error) { return []byte(c.Text), nil }

// IsZero reports an absent condition.
func (c Condition) IsZero() bool { return c.Text == "" }

// list is a YAML scalar or sequence of words.
type list []string

// UnmarshalYAML reads one word or several.
func (l *list) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*l = list{n.Value}
		return nil
	}
	return n.Decode((*[]string)(l))
}

// Date is a civil date without a zone.
type Date struct{ day day }

// UnmarshalYAML reads YYYY-MM-DD.
func (d *Date) UnmarshalYAML(n *yaml.Node) error {
	x, err := parseDay(n.Value)
	if err != nil {
		return fmt.Errorf("line %d: %w", n.Line, err)
	}
	d.day = x
	return nil
}

// MarshalText writes YYYY-MM-DD.
func (d Date) MarshalText() ([]byte, error) { return []byte(d.day.String()), nil }

// UnmarshalText reads YYYY-MM-DD, or nothing.
func (d *Date) UnmarshalText(text []byte) (err error) {
	*d = Date{}
	if len(text) > 0 {
		d.day, err = parseDay(string(text))
	}
	return err
}

// IsZero reports an absent date.
func (d Date) IsZero() bool { return d.day == 0 }

func (d Date) String() string { return d.day.String() }

// Anchor is what a period counts from.
type Anchor struct {
	Event    string // an event of the vocabulary
	Earliest []string
	Latest   []string
	Done     string // another duty's submission: its rule id
	Last     bool   // with Done: the last submission, not the first
	Due      string // another duty's due instant
	YearEnd  string // 31 December of the year of this event
	Strict   bool   // no other event stands in while this one is missing
}

// UnmarshalYAML reads an event's name or one of {earliest, latest, done, last_done, due, year_end, strict}.
func (a *Anchor) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		a.Event = n.Value
		return nil
	}
	var x struct {
		Earliest []string `yaml:"earliest"`
		Latest   []string `yaml:"latest"`
		Done     string   `yaml:"done"`
		LastDone string   `yaml:"last_done"`
		Due      string   `yaml:"due"`
		YearEnd  string   `yaml:"year_end"`
		Strict   string   `yaml:"strict"`
	}
	if err := strictNode(n, &x); err != nil {
		return err
	}
	if err := n.Decode(&x); err != nil {
		return err
	}
	*a = Anchor{Earliest: x.Earliest, Latest: x.Latest, Done: x.Done, Due: x.Due, YearEnd: x.YearEnd}
	if x.LastDone != "" {
		a.Done, a.Last = x.LastDone, true
	}
	if x.Strict != "" {
		a.Event, a.Strict = x.Strict, true
	}
	return nil
}

// String names the anchor in words.
func (a Anchor) String() string {
	switch {
	case len(a.Earliest) > 0:
		return "earliest of " + strings.Join(a.Earliest, ", ")
	case len(a.Latest) > 0:
		return "latest of " + strings.Join(a.Latest, ", ")
	case a.Done != "":
		return a.Done + " done"
	case a.Due != "":
		return a.Due + " due"
	case a.YearEnd != "":
		return "end of the calendar year of " + a.YearEnd
	}
	return a.Event
}

// MarshalText writes the anchor in words.
func (a Anchor) MarshalText() ([]byte, error) { return []byte(a.String()), nil }
