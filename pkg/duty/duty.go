package duty

import (
	"fmt"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/law"
	"tocsin.dev/pkg/organisation"
)

// Of returns the duties that apply to the case as of now, in the engine's order.
func Of(rules *law.Rules, org *organisation.Organisation, c *casefile.Case, now time.Time) []event.Duty {
	var out []event.Duty
	for _, d := range rules.Duties(Facts(org, c), now) {
		if d.Applies() {
			out = append(out, journalDuty(d))
		}
	}
	return out
}

// WhyNot says in one line why a duty that was open no longer applies.
func WhyNot(rules *law.Rules, org *organisation.Organisation, c *casefile.Case, now time.Time, id string) string {
	for _, d := range rules.DutiesWith(Facts(org, c), now, law.Options{NotApplicable: true}) {
		if d.ID == id && !d.Applies() {
			return d.NotApplicableBecause
		}
	}
	return "the facts no longer lead to it"
}

// WhyChanged says in one line what moved a duty: the due instants before and
// after, and the newest statement that a person made.
func WhyChanged(c *casefile.Case, was, is event.Duty) string {
	what := "its reasons changed"
	switch {
	case was.Due != nil && is.Due != nil && !was.Due.Equal(*is.Due):
		what = fmt.Sprintf("due moved from %s to %s", stamp(*was.Due), stamp(*is.Due))
	case was.Due == nil && is.Due != nil:
		what = "now due at " + stamp(*is.Due)
	case was.Due != nil && is.Due == nil:
		what = "no longer due at a fixed instant"
	case was.Version != is.Version:
		what = "the rule changed from version " + was.Version + " to " + is.Version
	}
	if why := newest(c); why != "" {
		return what + ", after " + why
	}
	return what
}

// newest names the latest thing in the case that can move a duty.
func newest(c *casefile.Case) string {
	var at time.Time
	why := ""
	if n := len(c.FactHistory); n > 0 {
		f := c.FactHistory[n-1]
		at, why = f.StatedAt, fmt.Sprintf("%s was stated as %q", f.Key, f.Value)
	}
	if c.Risk != nil && c.RiskAt.After(at) {
		at, why = c.RiskAt, "the risk was assessed as "+string(c.Risk.Level)
	}
	if s := c.Latest(); s != nil && s.SealedAt.After(at) {
		why = fmt.Sprintf("revision %d of the list was sealed with %d people", s.Revision, s.People)
	}
	return why
}

func stamp(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 UTC") }

func journalDuty(d law.Duty) event.Duty {
	out := event.Duty{
		ID: d.ID, Rule: d.Rule, Version: d.Version, Jurisdiction: d.Jurisdiction,
		Status: string(d.Status), Hardness: string(d.Hardness), Title: d.Title, To: d.To.Name, ToKind: d.To.Kind, Citation: d.Citation,
		Due: d.Due, DueLocal: d.DueLocal, Zone: d.Zone, Standard: d.Standard, Pending: d.Pending, Stage: d.Stage,
		Assumed: d.Assumed, Doubts: d.Doubts, Confidence: d.Source.Confidence, Derivation: steps(d.Derivation),
		Required: d.Content.Required, Forbidden: d.Content.Forbidden,
	}
	if d.Target != nil {
		out.Target, out.TargetLabel = d.Target.Due, d.Target.Label
	}
	if d.Suspended != nil {
		out.Suspended = d.Suspended.By
	}
	for _, r := range d.Readings {
		out.Readings = append(out.Readings, event.Reading{ID: r.ID, Due: r.Due.UTC(), Reason: r.Reason, Primary: r.Primary})
	}
	return out
}

func steps(in []law.Step) []event.Step {
	var out []event.Step
	for _, s := range in {
		out = append(out, event.Step{Kind: s.Kind, Text: s.Text, At: s.At, Cite: s.Cite, Steps: steps(s.Steps)})
	}
	return out
}
