package law

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Facts is what is known of one case when duties are computed: the organisation, what happened, to
// which data of how many people, and what has been done so far. The JSON form is
// schemas/law/facts.v1.json. Absent means unknown, and unknown is read towards the earlier duty,
// except in Organisation: an organisation knows what it is, so what it does not list it is not.
type Facts struct {
	Organisation Organisation             `json:"organisation"`
	Roles        []string                 `json:"roles,omitempty"` // controller, processor; empty means controller
	Events       []Event                  `json:"events"`
	Data         []DataGroup              `json:"data,omitempty"`
	Breach       map[string]Answer        `json:"breach,omitempty"`   // confidentiality, integrity, availability, access, acquisition …
	Risk         Risk                     `json:"risk,omitzero"`      // level on the scale unlikely, risk, high
	Tests        map[string]Answer        `json:"tests,omitempty"`    // statutory tests: serious_harm, rrosh, material, major_incident …
	Findings     map[string]Determination `json:"findings,omitempty"` // written decisions that exemptions ask for
	Flags        map[string]Answer        `json:"flags,omitempty"`    // facts that single rules declare
	People       People                   `json:"people,omitzero"`
	Counts       map[string]Count         `json:"counts,omitempty"` // minors, records, unreachable …
	Affected     []string                 `json:"affected,omitempty"`
	Holds        []Hold                   `json:"holds,omitempty"`
	Submissions  []Submission             `json:"submissions,omitempty"`
	Severity     *Scores                  `json:"severity,omitempty"` // inputs of the ENISA score; no rule reads them
	StatedBy     map[string]string        `json:"stated_by,omitempty"`
}

// Organisation is the profile of the one who may owe duties.
type Organisation struct {
	Name           string           `json:"name,omitempty"`
	Establishments []Establishment  `json:"establishments,omitempty"`
	LeadAuthority  string           `json:"lead_authority,omitempty"` // jurisdiction of the lead authority, if one is agreed
	Representative string           `json:"representative,omitempty"` // jurisdiction of an Art. 27 representative; opens no one-stop shop
	Kinds          []Kind           `json:"kinds,omitempty"`          // regulated kinds: credit-institution, covered-entity, telecom-provider …
	Unsure         []string         `json:"unsure,omitempty"`         // kinds that nobody has decided yet; rules treat them as present
	Size           map[string]Count `json:"size,omitempty"`           // employees, turnover_eur …
	Zone           string           `json:"zone,omitempty"`           // IANA zone of the organisation, for contract clocks
}

// Establishment is a place where the organisation is established.
type Establishment struct {
	Jurisdiction string `json:"jurisdiction"`
	Main         bool   `json:"main,omitempty"`
}

// Kind is a regulated kind, everywhere or in the named jurisdictions only. In JSON a bare string will do.
type Kind struct {
	Kind          string   `json:"kind"`
	Jurisdictions []string `json:"jurisdictions,omitempty"`
}

// UnmarshalJSON reads a string or an object.
func (k *Kind) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, &k.Kind)
	}
	type plain Kind
	return strictJSON(b, (*plain)(k))
}

// Event is one instant that rules may count from. Two statements of the same kind for the same place
// are a statement and its correction: the one known last wins, and of two known together the earlier instant.
type Event struct {
	ID           string    `json:"id,omitempty"`
	Kind         string    `json:"kind"`
	At           time.Time `json:"at"`                     // true since
	Zone         string    `json:"zone,omitempty"`         // zone in which At was given
	KnownSince   time.Time `json:"known_since,omitzero"`   // when it was stated to us
	StatedBy     string    `json:"stated_by,omitempty"`    // role or system, not a person's name
	Source       string    `json:"source,omitempty"`       // where it was read
	Jurisdiction string    `json:"jurisdiction,omitempty"` // if it holds for one place only
	Unsettled    bool      `json:"unsettled,omitempty"`    // stated, but not decided by a person
	Duty         string    `json:"duty,omitempty"`         // if it belongs to one duty or rule only
	Corrects     string    `json:"corrects,omitempty"`     // id of the event that this one replaces
	Why          string    `json:"why,omitempty"`          // reason of a correction, in one line
}

// DataGroup is data of one form and one state of protection.
type DataGroup struct {
	Elements  []string `json:"elements"`            // vocabulary: name, national_id, password … ; "unknown" keeps the list open
	Encrypted Answer   `json:"encrypted,omitempty"` // unknown counts as no
	KeySafe   Answer   `json:"key_safe,omitempty"`  // unknown counts as no
	Redacted  Answer   `json:"redacted,omitempty"`  // unknown counts as no
	Public    Answer   `json:"public,omitempty"`    // lawfully public before; unknown counts as no
	Form      string   `json:"form,omitempty"`      // electronic, paper; empty is unknown and counts as both
}

// Risk is the assessed risk to people on the GDPR scale. "" and "unknown" are unknown.
type Risk struct {
	Level string `json:"level,omitempty"` // unlikely, risk, high
	By    string `json:"by,omitempty"`
}

// Determination is a decision that somebody took and can prove.
type Determination struct {
	Value         Answer    `json:"value"`
	Jurisdictions []string  `json:"jurisdictions,omitempty"` // empty: everywhere
	Evidence      []string  `json:"evidence,omitempty"`      // written, ag_informed, le_consulted …
	By            string    `json:"by,omitempty"`
	At            time.Time `json:"at,omitzero"`
}

// People counts affected people. A jurisdiction that the map leaves out has none; a null count is unknown.
// A country beside its own subdivisions is their total, so the rest may live in any of them.
type People struct {
	Total          Count            `json:"total,omitzero"`
	ByJurisdiction map[string]Count `json:"by_jurisdiction,omitempty"`
}

// Hold is a request or order that stops or delays telling.
type Hold struct {
	ID            string    `json:"id,omitempty"`
	Kind          string    `json:"kind"`           // law-enforcement, attorney-general …
	Form          string    `json:"form,omitempty"` // written, oral, first, second, extraordinary
	From          time.Time `json:"from"`
	Until         time.Time `json:"until,omitzero"`    // end named in the request
	Released      time.Time `json:"released,omitzero"` // when it was really lifted
	Granted       *bool     `json:"granted,omitempty"` // false: asked for only
	Jurisdictions []string  `json:"jurisdictions,omitempty"`
	Duties        []string  `json:"duties,omitempty"` // duty or rule ids; empty: all
	StatedBy      string    `json:"stated_by,omitempty"`
	KnownSince    time.Time `json:"known_since,omitzero"`
}

// Submission is a stage that was done: a report filed, people told.
type Submission struct {
	Duty         string    `json:"duty"` // duty id ("eu-dora.initial_DE") or rule id ("eu-dora.initial")
	Jurisdiction string    `json:"jurisdiction,omitempty"`
	At           time.Time `json:"at"`
	Zone         string    `json:"zone,omitempty"`
	Kind         string    `json:"kind,omitempty"`    // new, follow-up, complete, withdrawn
	Reading      string    `json:"reading,omitempty"` // the reading under which it was filed
	LateReason   string    `json:"late_reason,omitempty"`
	KnownSince   time.Time `json:"known_since,omitzero"`
	StatedBy     string    `json:"stated_by,omitempty"`
}

// Answer is yes, no or unknown. In JSON true, false, null and the three words are accepted.
type Answer int8

// The three answers. Unknown is the zero value.
const (
	No      Answer = -1
	Unknown Answer = 0
	Yes     Answer = 1
)

func (a Answer) String() string { return [...]string{"no", "unknown", "yes"}[a+1] }

// MarshalText writes yes, no or unknown.
func (a Answer) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalJSON reads true, false, null, "yes", "no" or "unknown".
func (a *Answer) UnmarshalJSON(b []byte) error {
	switch strings.Trim(string(b), `"`) {
	case "true", "yes":
		*a = Yes
	case "false", "no":
		*a = No
	case "null", "unknown", "":
		*a = Unknown
	default:
		return fmt.Errorf("want yes, no or unknown, got %s", b)
	}
	return nil
}

// Count is a number of people or things, between Min and Max; the zero value is unknown.
type Count struct {
	Known    bool
	Min, Max int
}

// Exactly returns the count of n.
func Exactly(n int) Count { return Count{true, n, n} }

const many = 1 << 40 // stands for «no upper bound»

func (c Count) bounds() (int, int) {
	if !c.Known {
		return 0, many
	}
	return c.Min, c.Max
}

func (c Count) String() string {
	lo, hi := c.bounds()
	switch {
	case !c.Known:
		return "unknown"
	case lo == hi:
		return strconv.Itoa(lo)
	case hi == many:
		return fmt.Sprintf("at least %d", lo)
	}
	return fmt.Sprintf("%d to %d", lo, hi)
}

// IsZero reports an unknown count, which JSON leaves out.
func (c Count) IsZero() bool { return !c.Known }

// MarshalJSON writes a number, null, or {"min","max"}.
func (c Count) MarshalJSON() ([]byte, error) {
	switch {
	case !c.Known:
		return []byte("null"), nil
	case c.Min == c.Max:
		return strconv.AppendInt(nil, int64(c.Min), 10), nil
	case c.Max == many:
		return fmt.Appendf(nil, `{"min":%d}`, c.Min), nil
	}
	return fmt.Appendf(nil, `{"min":%d,"max":%d}`, c.Min, c.Max), nil
}

// UnmarshalJSON reads a number, null, "unknown" or {"min","max"}.
func (c *Count) UnmarshalJSON(b []byte) error {
	s := string(b)
	if s == "null" || s == `"unknown"` {
		*c = Count{}
		return nil
	}
	if n, err := strconv.Atoi(s); err == nil && n >= 0 {
		*c = Exactly(n)
		return nil
	}
	var r struct{ Min, Max *int }
	if err := strictJSON(b, &r); err != nil || (r.Min == nil && r.Max == nil) {
		return fmt.Errorf(`a count is a number, null, "unknown" or {"min":…,"max":…}, got %s`, s)
	}
	*c = Count{true, 0, many}
	if r.Min != nil {
		c.Min = *r.Min
	}
	if r.Max != nil {
		c.Max = *r.Max
	}
	if c.Min < 0 || c.Max < c.Min {
		return fmt.Errorf("a count needs 0 ≤ min ≤ max, got %s", s)
	}
	return nil
}

// maxFacts is the largest facts document that ReadFacts takes, in bytes.
const maxFacts = 4 << 20

// ReadFacts reads a facts document and checks it. Unknown fields, kinds without instants and zones that
// do not exist are errors that name the field.
func ReadFacts(r io.Reader) (Facts, error) {
	var f Facts
	data, err := io.ReadAll(io.LimitReader(r, maxFacts+1))
	if err != nil {
		return f, fmt.Errorf("read facts: %w", err)
	}
	if len(data) > maxFacts {
		return f, fmt.Errorf("read facts: more than %d bytes", maxFacts)
	}
	if err := strictJSON(data, &f); err != nil {
		return f, fmt.Errorf("read facts: %w", err)
	}
	return f, f.Validate()
}

func strictJSON(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if d.More() {
		return fmt.Errorf("more than one JSON value")
	}
	return nil
}

// Validate reports what no rule could work with: an event without kind or instant, a zone that does not exist,
// a risk level off the scale.
func (f *Facts) Validate() error {
	for i, e := range f.Events {
		if e.Kind == "" || e.At.IsZero() {
			return fmt.Errorf("facts.events[%d]: kind and at are needed", i)
		}
		if err := checkZone(e.Zone); err != nil {
			return fmt.Errorf("facts.events[%d].zone: %w", i, err)
		}
	}
	for i, s := range f.Submissions {
		if s.Duty == "" || s.At.IsZero() {
			return fmt.Errorf("facts.submissions[%d]: duty and at are needed", i)
		}
		if err := checkZone(s.Zone); err != nil {
			return fmt.Errorf("facts.submissions[%d].zone: %w", i, err)
		}
	}
	for i, h := range f.Holds {
		if h.Kind == "" || h.From.IsZero() {
			return fmt.Errorf("facts.holds[%d]: kind and from are needed", i)
		}
	}
	switch f.Risk.Level {
	case "", "unknown", "unlikely", "risk", "high":
	default:
		return fmt.Errorf("facts.risk.level: want unlikely, risk, high or unknown, got %q", f.Risk.Level)
	}
	if err := checkZone(f.Organisation.Zone); err != nil {
		return fmt.Errorf("facts.organisation.zone: %w", err)
	}
	return nil
}

func checkZone(z string) error {
	if z == "" {
		return nil
	}
	if _, err := time.LoadLocation(z); err != nil {
		return fmt.Errorf("no such zone %q; write an IANA name such as Europe/Paris", z)
	}
	return nil
}
