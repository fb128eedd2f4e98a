package law

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// check parses the conditions of a rule and reports everything that is missing or makes no sense.
func (rule *Rule) check(voc *Vocabulary, reg *regime) error {
	var errs []error
	need := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, rule.errorf(format, args...))
		}
	}
	c := &rule.Common
	need(reg.ID != "" && rule.ID != "", "regime and duty need an id")
	need(keyLike(rule.Full), "id %q may hold only a-z 0-9 - .", rule.Full)
	need(voc.Places[rule.Jurisdiction] != nil, "jurisdiction %q is not in data/jurisdictions*.yaml", rule.Jurisdiction)
	need(rule.Title != "", "no title")
	need(c.Citation != "", "no citation")
	need(c.Version != "", "no version")
	need(slices.Contains([]Status{InForce, Adopted, Proposed, Guidance, Contract, PolicyRule}, c.Status), "status %q is none of in-force, adopted-not-effective, proposed, guidance, contract, policy", c.Status)
	binding := c.Status == InForce || c.Status == Contract || c.Status == PolicyRule
	need(!c.Valid.From.IsZero() || c.Valid.Open && !binding, "no validity: valid.from is missing (valid.open is for what is not in force yet)")
	need(slices.Contains([]string{"primary", "secondary", "recalled"}, c.Source.Kind), "source.kind is primary, secondary or recalled, not %q", c.Source.Kind)
	need(slices.Contains([]string{"high", "medium", "low"}, c.Source.Confidence), "source.confidence is high, medium or low, not %q", c.Source.Confidence)
	need(!c.Source.CheckedOn.IsZero(), "source.checked_on is missing")
	need(slices.Contains(connections, c.Connection), "connection %q is none of %s", c.Connection, strings.Join(connections, ", "))
	need(slices.Contains([]Hardness{Statutory, GuideFigure, ContractFigure, InternalTarget}, c.Hardness), "hardness %q is none of statutory, guide, contract, internal", c.Hardness)
	need(c.OwedBy.Role != "" || len(c.OwedBy.Kind) > 0, "owed_by needs a role or a kind")
	for _, k := range c.OwedBy.Kind {
		need(voc.Kinds[k].Title != "", "owed_by.kind %q is not in the vocabulary", k)
	}
	need(rule.To.Kind != "" && (rule.To.Name != "" || rule.To.Authority != ""), "to needs a kind and a name or authority")
	for _, p := range c.Among {
		need(voc.place(p), "among: %q is no jurisdiction or group", p)
	}
	rule.among = voc.expand(c.Among)
	need(len(rule.Limits) > 0 || len(rule.Relative) > 0 || rule.Standard != "", "a duty without a number needs a standard in words")
	need(rule.Combine == "" || rule.Combine == "min" || rule.Combine == "max", "combine is min or max")
	for i := range rule.Limits {
		errs = append(errs, rule.checkLimit(voc, &rule.Limits[i]))
	}
	if t := rule.Target; t != nil {
		need(t.N > 0 && units[t.Unit] && t.Why != "", "target needs n, unit and why")
		errs = append(errs, rule.checkAnchor(voc, &t.From))
	}
	errs = append(errs, rule.checkCounting(voc, &c.Counting))
	errs = append(errs, rule.checkReadings(voc))
	for _, h := range c.Holds {
		need(h.Kind != "" && (h.Then.Word != "" || h.Then.N > 0 && units[h.Then.Unit]), "a hold needs a kind and then")
	}
	for _, w := range slices.Concat(rule.Content.Required, rule.Content.Forbidden) {
		need(voc.Content[w].Title != "", "content %q is not in the vocabulary", w)
	}
	for _, w := range slices.Concat(rule.Channels.Order, rule.Channels.Forbidden) {
		need(voc.Channels[w.Channel].Title != "", "channel %q is not in the vocabulary", w.Channel)
	}
	errs = append(errs, rule.checkConditions(voc, reg))
	return errors.Join(errs...)
}

var connections = []string{"residence", "lead-authority", "establishment", "main-establishment", "affected",
	"sector", "licence", "listing", "system", "contract", "organisation"}

var units = map[string]bool{"hour": true, "day": true, "business-day": true, "week": true, "month": true, "year": true}

func keyLike(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' {
			return false
		}
	}
	return s != ""
}

func (rule *Rule) checkLimit(voc *Vocabulary, l *Limit) error {
	if l.N < 0 || !units[l.Unit] {
		return rule.errorf("a limit needs n and a unit of hour, day, business-day, week, month, year; has %d %q", l.N, l.Unit)
	}
	if l.UpTo != 0 && l.UpTo <= l.N {
		return rule.errorf("a range needs up_to above n")
	}
	return errors.Join(rule.checkAnchor(voc, &l.From), rule.checkCounting(voc, &l.Counting))
}

func (rule *Rule) checkAnchor(voc *Vocabulary, a *Anchor) error {
	var events []string
	for _, e := range []string{a.Event, a.YearEnd} {
		if e != "" {
			events = append(events, e)
		}
	}
	events = append(events, a.Earliest...)
	events = append(events, a.Latest...)
	for _, e := range events {
		if _, ok := voc.Events[e]; !ok {
			return rule.errorf("event %q is not in the vocabulary", e)
		}
	}
	if len(events) == 0 && a.Done == "" && a.Due == "" {
		return rule.errorf("a limit needs from")
	}
	for _, ref := range []*string{&a.Done, &a.Due} {
		if *ref != "" && !strings.Contains(*ref, ".") {
			*ref = rule.Regime + "." + *ref
		}
	}
	return nil
}

func (rule *Rule) checkCounting(voc *Vocabulary, c *Counting) error {
	if !slices.Contains([]string{"", "instant", "next-hour", "next-day", "same-day", "deemed-working-day"}, c.Start) {
		return rule.errorf("counting.start %q is none of instant, next-hour, next-day, same-day, deemed-working-day", c.Start)
	}
	if _, err := clock(c.End); c.End != "" && c.End != "instant" && c.End != "end-of-day" && err != nil {
		return rule.errorf("counting.end: %w", err)
	}
	switch c.Zone {
	case "", "here", "entity", "event":
	default:
		if _, err := time.LoadLocation(c.Zone); err != nil {
			return rule.errorf("counting.zone: no such zone %q", c.Zone)
		}
	}
	if r := c.Roll; r != nil {
		if r.To != "next-working-day" && r.To != "previous-working-day" {
			return rule.errorf("counting.roll.to is next-working-day or previous-working-day")
		}
		if _, err := clock(r.At); r.At != "" && err != nil {
			return rule.errorf("counting.roll.at: %w", err)
		}
	}
	return nil
}

// clock reads "17:30" or "17:30:00" as seconds after midnight.
func clock(s string) (int, error) {
	for _, layout := range []string{"15:04", "15:04:05"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.Hour()*3600 + t.Minute()*60 + t.Second(), nil
		}
	}
	return 0, fmt.Errorf("want a clock time such as 17:30, got %q", s)
}

func (rule *Rule) checkReadings(voc *Vocabulary) error {
	rule.readings = slices.Clone(rule.Readings.List)
	if p := rule.Readings.Preset; p != "" {
		preset, ok := voc.Readings[p]
		if !ok {
			return rule.errorf("readings %q is no preset of data/counting*.yaml", p)
		}
		rule.readings = slices.Clone(preset)
	}
	if len(rule.readings) == 0 {
		rule.readings = []Reading{{ID: "plain", Reason: "as the period is written"}}
	}
	for i := range rule.readings {
		x := &rule.readings[i]
		if x.ID == "" || x.Reason == "" {
			return rule.errorf("a reading needs an id and a reason")
		}
		if err := rule.checkCounting(voc, &x.Counting); err != nil {
			return err
		}
	}
	return nil
}

// checkConditions parses every condition in place.
func (rule *Rule) checkConditions(voc *Vocabulary, reg *regime) error {
	var errs []error
	parse := func(c *Condition) {
		if c.Text == "" || c.expr != nil {
			return
		}
		x, err := parseExpr(c.Text, voc)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s:%d: %w", rule.File, c.Line, err))
			return
		}
		c.expr = qualify(x, rule.Regime)
	}
	parse(&reg.When)
	for i := range reg.Except {
		parse(&reg.Except[i].When)
	}
	parse(&rule.When)
	for i := range rule.Except {
		parse(&rule.Except[i].When)
	}
	for i := range rule.Limits {
		parse(&rule.Limits[i].When)
		parse(&rule.Limits[i].Unless)
	}
	for i := range rule.readings {
		parse(&rule.readings[i].When)
		parse(&rule.readings[i].Unless)
	}
	for i := range rule.Relative {
		parse(&rule.Relative[i].When)
		if d := &rule.Relative[i].Duty; !strings.Contains(*d, ".") {
			*d = rule.Regime + "." + *d
		}
		if m := rule.Relative[i].MustBe; m != "before" && m != "with" {
			errs = append(errs, rule.errorf("relative.must_be is before or with, not %q", m))
		}
	}
	for i := range rule.Extend {
		parse(&rule.Extend[i].When)
		if x := rule.Extend[i]; x.ID == "" || x.Because == "" || x.When.IsZero() || x.Times == 0 && x.Plus == 0 {
			errs = append(errs, rule.errorf("an extension needs id, when, because and times or plus"))
		}
	}
	for _, x := range slices.Concat(reg.Except, rule.Except) {
		if x.When.IsZero() || x.Because == "" {
			errs = append(errs, rule.errorf("an exemption needs when and because"))
		}
	}
	var gate andExpr
	for _, c := range []Condition{reg.When, rule.When} {
		if c.expr != nil {
			gate = append(gate, c.expr)
		}
	}
	rule.gate = gate
	if len(gate) == 1 {
		rule.gate = gate[0]
	}
	return errors.Join(errs...)
}

// qualify gives the duties that a condition names their full ids.
func qualify(x expr, regime string) expr {
	switch y := x.(type) {
	case andExpr:
		for i := range y {
			y[i] = qualify(y[i], regime)
		}
	case orExpr:
		for i := range y {
			y[i] = qualify(y[i], regime)
		}
	case notExpr:
		return notExpr{qualify(y.x, regime)}
	case surelyExpr:
		return surelyExpr{qualify(y.x, regime)}
	case doneLeaf:
		if !strings.Contains(y.duty, ".") {
			return doneLeaf{regime + "." + y.duty}
		}
	}
	return x
}

// references lists the rules that this one counts from or is tied to.
func (rule *Rule) references() []string {
	var out []string
	for _, l := range rule.Limits {
		out = append(out, l.From.Done, l.From.Due)
	}
	if rule.Target != nil {
		out = append(out, rule.Target.From.Done, rule.Target.From.Due)
	}
	for _, x := range rule.Relative {
		out = append(out, x.Duty)
	}
	return slices.DeleteFunc(out, func(s string) bool { return s == "" })
}

// checkReferences reports rules that do not exist and rules that lean on themselves.
func (r *Rules) checkReferences(rule *Rule) error {
	var walk func(at *Rule, seen []string) error
	walk = func(at *Rule, seen []string) error {
		for _, ref := range at.references() {
			if slices.Contains(seen, ref) {
				return rule.errorf("is tied to itself by way of %s", ref)
			}
			if len(r.byID[ref]) == 0 {
				return rule.errorf("is tied to duty %q, which does not exist", ref)
			}
			for _, next := range r.byID[ref] {
				if err := walk(next, append(slices.Clone(seen), ref)); err != nil {
					return err
				}
			}
		}
		return nil
	}
	return walk(rule, []string{rule.Full})
}

// checkVersions reports two versions of one rule that hold on the same day.
func (r *Rules) checkVersions() error {
	var errs []error
	for _, versions := range r.byID {
		if len(versions) < 2 {
			continue
		}
		slices.SortStableFunc(versions, func(a, b *Rule) int { return int(a.Common.Valid.From.day - b.Common.Valid.From.day) })
		for i := 1; i < len(versions); i++ {
			old, now := versions[i-1], versions[i]
			if old.Common.Valid.Until.IsZero() || old.Common.Valid.Until.day > now.Common.Valid.From.day {
				errs = append(errs, now.errorf("overlaps with the version at line %d: give that one valid.until", old.Line))
			}
		}
	}
	return errors.Join(errs...)
}
