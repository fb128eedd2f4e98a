package law

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Summary is one line of the list of rules.
type Summary struct {
	Rule         string   `json:"rule"`
	Title        string   `json:"title"`
	Jurisdiction string   `json:"jurisdiction"`
	Places       int      `json:"places"` // in how many places it can arise
	Status       Status   `json:"status"`
	Hardness     Hardness `json:"hardness"`
	Period       string   `json:"period"` // in words
	To           string   `json:"to"`
	Citation     string   `json:"citation"`
	Valid        Validity `json:"valid"`
	Version      string   `json:"version"`
	Source       Source   `json:"source"`
	Doubts       []string `json:"doubts,omitempty"`
	File         string   `json:"file"`
}

// List returns the rules of a jurisdiction ("" for all; a member of a group finds the group's rules) and a status ("" for all).
func (r *Rules) List(jurisdiction string, status Status) []Summary {
	var out []Summary
	for _, rule := range r.all {
		if status != "" && rule.Common.Status != status {
			continue
		}
		if jurisdiction != "" && rule.Jurisdiction != jurisdiction && !slices.Contains(rule.among, jurisdiction) {
			continue
		}
		out = append(out, rule.Summary())
	}
	return out
}

// Summary returns the rule in one line.
func (rule *Rule) Summary() Summary {
	c := &rule.Common
	return Summary{Rule: rule.Full, Title: rule.Title, Jurisdiction: rule.Jurisdiction, Places: len(rule.among),
		Status: c.Status, Hardness: c.Hardness, Period: rule.Period(), To: rule.To.Name, Citation: c.Citation,
		Valid: c.Valid, Version: c.Version, Source: c.Source, Doubts: c.Doubts, File: fmt.Sprintf("%s:%d", rule.File, rule.Line)}
}

// Period says in words how long the duty leaves.
func (rule *Rule) Period() string {
	var parts []string
	for _, l := range rule.Limits {
		s := plural(l.N, l.Unit)
		if l.UpTo > 0 {
			s = fmt.Sprintf("%d to %s", l.N, plural(l.UpTo, l.Unit))
		}
		parts = append(parts, s+" from "+l.From.String())
	}
	for _, rel := range rule.Relative {
		parts = append(parts, map[string]string{"before": "before ", "with": "not later than "}[rel.MustBe]+rel.Duty)
	}
	if len(parts) == 0 {
		return "no number: " + rule.Standard
	}
	if rule.Combine == "max" {
		return "the latest of " + strings.Join(parts, ", ")
	}
	return strings.Join(parts, ", ")
}

// Show prints a whole rule for people: every version, its conditions in words, its period, source and doubts.
func (r *Rules) Show(id string) (string, error) {
	versions := r.byID[id]
	if len(versions) == 0 {
		return "", fmt.Errorf("no rule %q; tocsin law list shows all", id)
	}
	var b strings.Builder
	for _, rule := range versions {
		rule.show(&b)
	}
	return b.String(), nil
}

func (rule *Rule) show(b *strings.Builder) {
	c := &rule.Common
	line := func(name, text string) {
		if text != "" {
			fmt.Fprintf(b, "  %-11s %s\n", name, text)
		}
	}
	fmt.Fprintf(b, "%s: %s\n", rule.Full, rule.Title)
	line("law", rule.RegimeTitle+" ("+c.Citation+")")
	valid := "since a day not known yet"
	if !c.Valid.From.IsZero() {
		valid = "since " + c.Valid.From.String()
	}
	if !c.Valid.Until.IsZero() {
		valid += " until " + c.Valid.Until.String()
	}
	line("status", string(c.Status)+", "+valid+", hardness "+string(c.Hardness)+", version "+c.Version)
	line("owed by", strings.TrimSpace(c.OwedBy.Role+" "+strings.Join(c.OwedBy.Kind, " or ")))
	line("to", rule.To.Name)
	line("where", c.Connection+" in "+short(rule.among))
	if rule.gate != nil {
		line("when", rule.gate.String())
	}
	for _, x := range slices.Concat(rule.regimeExcept, rule.Except) {
		line("except", x.When.Text+": "+x.Because)
	}
	line("standard", rule.Standard)
	line("period", rule.Period())
	for _, x := range rule.readings {
		line("reading", x.ID+": "+x.Reason)
	}
	for _, x := range rule.Extend {
		line("extended", x.When.Text+": "+x.Because)
	}
	for _, h := range c.Holds {
		line("hold", h.Kind+", then "+h.Then.String())
	}
	line("must say", strings.Join(rule.Content.Required, ", "))
	line("must not say", strings.Join(rule.Content.Forbidden, ", "))
	for _, x := range rule.RideAlong {
		line("also", x)
	}
	for _, x := range c.Records {
		line("keep", x.What+": "+x.Keep)
	}
	line("source", strings.TrimSpace(c.Source.Kind+", confidence "+c.Source.Confidence+", checked "+c.Source.CheckedOn.String()+" "+c.Source.Address))
	for _, x := range c.Doubts {
		line("doubt", x)
	}
}

// HoldKinds returns the kinds of hold that any rule knows, in order.
func (r *Rules) HoldKinds() []string {
	var out []string
	for _, rule := range r.all {
		for _, h := range rule.Common.Holds {
			if !slices.Contains(out, h.Kind) {
				out = append(out, h.Kind)
			}
		}
	}
	slices.Sort(out)
	return out
}

// Affected is a case that a new rule package would touch.
type Affected struct {
	Case    string       `json:"case"`
	Changes []DutyChange `json:"changes"`
}

// AffectedBy compares, for every case, the duties under these rules with those under others.
func (r *Rules) AffectedBy(next *Rules, cases map[string]Facts, at time.Time) []Affected {
	ids := make([]string, 0, len(cases))
	for id := range cases {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	var out []Affected
	for _, id := range ids {
		f := cases[id]
		now := next.DutiesWith(f, at, Options{NotApplicable: true})
		if c := Changes(r.Duties(f, at), now); len(c) > 0 {
			out = append(out, Affected{id, c})
		}
	}
	return out
}
