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
	facts := Facts(org, c)
	settled := settledDuties(rules, org, c, facts, now)
	var out []event.Duty
	for _, d := range rules.Duties(facts, now) {
		if !d.Applies() {
			continue
		}
		j := journalDuty(&d)
		if settled != nil {
			if due, stands := settled[d.ID]; !stands || !sameInstant(due, d.Due) {
				j.Provisional = provisional(Undecided(org, c))
			}
		}
		out = append(out, j)
	}
	return out
}

// settledDuties returns what is due whichever candidate place of establishment
// a person decides for; nil if nothing is undecided.
func settledDuties(rules *law.Rules, org *organisation.Organisation, c *casefile.Case, f law.Facts, now time.Time) map[string]*time.Time {
	candidates := Undecided(org, c)
	if len(candidates) < 2 {
		return nil
	}
	var settled map[string]*time.Time
	for _, place := range candidates {
		f.Organisation.Establishments = []law.Establishment{{Jurisdiction: place, Main: true}}
		here := map[string]*time.Time{}
		for _, d := range rules.Duties(f, now) {
			before, stands := settled[d.ID]
			if d.Applies() && (settled == nil || stands && sameInstant(before, d.Due)) {
				here[d.ID] = d.Due
			}
		}
		settled = here
	}
	return settled
}

func sameInstant(a, b *time.Time) bool {
	return (a == nil) == (b == nil) && (a == nil || a.Equal(*b))
}

// WhyNot says in one line, by duty id, why open duties no longer apply.
func WhyNot(rules *law.Rules, org *organisation.Organisation, c *casefile.Case, now time.Time, ids ...string) map[string]string {
	why := map[string]string{}
	if len(ids) == 0 {
		return why
	}
	reasons := map[string]string{}
	for _, d := range rules.DutiesWith(Facts(org, c), now, law.Options{NotApplicable: true}) {
		reasons[d.ID] = d.NotApplicableBecause
		if reasons[d.Rule] == "" {
			reasons[d.Rule] = d.NotApplicableBecause
		}
	}
	for _, id := range ids {
		switch rule := c.Duties[id].Rule; {
		case reasons[id] != "":
			why[id] = reasons[id]
		case len(rules.Rule(rule)) == 0:
			why[id] = "the rules hold no " + rule + " any more"
		case reasons[rule] != "":
			why[id] = reasons[rule]
		default:
			why[id] = "the facts no longer lead to it"
		}
	}
	return why
}

// WhyChanged says in one line what moved a duty and why: the due instants
// before and after, and the first thing in which the two derivations differ.
func WhyChanged(c *casefile.Case, was, is event.Duty) string {
	before, after := lawDuty(&was), lawDuty(&is)
	if changes := law.Changes([]law.Duty{before}, []law.Duty{after}); len(changes) == 1 && (changes[0].Kind != "restated") {
		return clip(changes[0].Line)
	}
	what := "its reasons changed"
	switch {
	case was.Version != is.Version:
		what = "the rule changed from version " + was.Version + " to " + is.Version
	case was.Effect != is.Effect || was.Status != is.Status:
		what = "it is now " + is.Status + " and was " + was.Status
	case was.Provisional != is.Provisional && is.Provisional == "":
		what = "no longer provisional"
	case was.Provisional != is.Provisional:
		what = "now provisional: " + is.Provisional
	case was.Suspended != is.Suspended && is.Suspended == "":
		what = "the hold was lifted"
	case len(was.Assumed) > len(is.Assumed):
		what = "it rests on fewer assumptions"
	case len(was.Readings) != len(is.Readings):
		what = "its readings changed"
	}
	if why := newest(c); why != "" {
		what += ", after " + why
	}
	return clip(what)
}

// clip keeps a line within what a page and an event can carry.
func clip(line string) string {
	const longest = 1000
	if r := []rune(line); len(r) > longest {
		return string(r[:longest-1]) + "…"
	}
	return line
}

// newest names the latest thing in the case that can move a duty.
func newest(c *casefile.Case) string {
	var at time.Time
	why := ""
	for _, f := range c.FactHistory {
		if IsLaw(f.Key) {
			at, why = f.StatedAt, fmt.Sprintf("%s was stated as %q", f.Key, f.Value)
		}
	}
	if c.Risk != nil && c.RiskAt.After(at) {
		at, why = c.RiskAt, "the risk was assessed as "+string(c.Risk.Level)
	}
	if s := c.Latest(); s != nil && s.SealedAt.After(at) {
		why = fmt.Sprintf("revision %d of the list was sealed with %d people", s.Revision, s.People)
	}
	return why
}

// effect says how far a duty binds.
func effect(d *law.Duty) string {
	switch {
	case d.Binding:
		return ""
	case d.Status == law.Proposed || d.Status == law.Adopted:
		return event.EffectInformation
	case d.Status == law.Guidance:
		return event.EffectAdvice
	}
	return event.EffectGuide
}

func journalDuty(d *law.Duty) event.Duty {
	out := event.Duty{
		ID: d.ID, Rule: d.Rule, Version: d.Version, Jurisdiction: d.Jurisdiction, Effect: effect(d),
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
	if x := d.Channels.Substitute; x != nil {
		out.Substitute = &event.Substitute{PeopleOver: int64(x.PeopleOver), CostOver: x.CostOver, If: x.If, Parts: x.Parts}
	}
	for _, r := range d.Readings {
		out.Readings = append(out.Readings, event.Reading{ID: r.ID, Due: r.Due.UTC(), Reason: r.Reason, Primary: r.Primary})
	}
	return out
}

func steps(in []law.Step) []event.Step {
	if len(in) == 0 {
		return nil
	}
	out := make([]event.Step, len(in))
	for i, s := range in {
		out[i] = event.Step{Kind: s.Kind, Text: s.Text, At: s.At, Cite: s.Cite, Steps: steps(s.Steps)}
	}
	return out
}

// lawDuty returns so much of the engine's duty as a comparison needs.
func lawDuty(d *event.Duty) law.Duty {
	out := law.Duty{ID: d.ID, Rule: d.Rule, Version: d.Version, Status: law.Status(d.Status), Title: d.Title, Due: d.Due, DueLocal: d.DueLocal,
		Standard: d.Standard, Pending: d.Pending, Derivation: lawSteps(d.Derivation)}
	if d.Suspended != "" {
		out.Suspended = &law.Suspension{By: d.Suspended}
	}
	for _, s := range d.Derivation {
		if s.Kind == "anchor" && s.At != nil {
			out.Anchor = s.At
			break
		}
	}
	return out
}

func lawSteps(in []event.Step) []law.Step {
	out := make([]law.Step, len(in))
	for i, s := range in {
		out[i] = law.Step{Kind: s.Kind, Text: s.Text, At: s.At, Cite: s.Cite, Steps: lawSteps(s.Steps)}
	}
	return out
}
