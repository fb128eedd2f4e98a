package law

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Options widen what Duties returns.
type Options struct {
	NotApplicable bool   // also duties that do not apply, each with its reason
	Rule          string // only this rule
}

// Duties returns every duty of a case as it was known at an instant (zero: everything that is known),
// the earliest due first and those without a due instant last. The same facts give the same duties.
func (r *Rules) Duties(f Facts, at time.Time) []Duty { return r.DutiesWith(f, at, Options{}) }

// DutiesWith is Duties with options.
func (r *Rules) DutiesWith(f Facts, at time.Time, o Options) []Duty {
	x := r.newRun(f, at)
	var found []*Duty
	for _, rule := range r.all {
		if o.Rule == "" || rule.Full == o.Rule {
			found = x.collect(found, rule, o)
		}
	}
	slices.SortStableFunc(found, earlier)
	out := make([]Duty, len(found))
	for i, d := range found {
		out[i] = *d
	}
	return out
}

// earlier orders duties: those that apply first, then by due instant, those without one last, then by id.
func earlier(a, b *Duty) int {
	switch {
	case a.Applies() != b.Applies():
		if a.Applies() {
			return -1
		}
		return 1
	case a.Due != nil && b.Due != nil && !a.Due.Equal(*b.Due):
		return a.Due.Compare(*b.Due)
	case (a.Due == nil) != (b.Due == nil):
		if a.Due != nil {
			return -1
		}
		return 1
	}
	return cmp.Compare(a.ID, b.ID)
}

// collect appends the duties of one rule, one for each place where it arises.
func (x *run) collect(out []*Duty, rule *Rule, o Options) []*Duty {
	places, assumed, why := x.places(rule)
	if len(places) == 0 && o.NotApplicable {
		d := x.frame(rule, x.rules.voc.Places[rule.Jurisdiction])
		d.NotApplicableBecause = why
		return append(out, &d)
	}
	for _, code := range places {
		d := x.duty(rule, code, o.NotApplicable)
		if d == nil || !d.Applies() && !o.NotApplicable {
			continue
		}
		if assumed != "" && d.Applies() {
			c := *d
			c.Assumed = append([]string{assumed}, c.Assumed...)
			d = &c
		}
		out = append(out, d)
	}
	return out
}

// frame fills what a duty has from its rule alone.
func (x *run) frame(rule *Rule, here *Jurisdiction) Duty {
	c := &rule.Common
	d := Duty{
		ID: rule.Full, Rule: rule.Full, Regime: rule.Regime, Jurisdiction: here.Code, Version: c.Version,
		Status: c.Status, Hardness: c.Hardness, Title: rule.Title, To: rule.To, OwedBy: c.OwedBy,
		Citation: c.Citation, Source: c.Source, Doubts: c.Doubts, Stage: rule.Stage, Standard: rule.Standard,
		Zone: here.Zone, IfLate: rule.IfLate, Content: rule.Content, Channels: rule.Channels,
		RideAlong: rule.RideAlong, Records: c.Records,
	}
	if len(rule.among) > 1 {
		d.ID += "_" + here.Code
	}
	if rule.To.Authority != "" {
		if n := here.Authorities[rule.To.Authority]; n != "" {
			d.To.Name = n
		} else if d.To.Name == "" {
			d.To.Name = "competent authority (" + rule.To.Authority + ")"
		}
		if !strings.Contains(d.To.Name, here.Name) && len(rule.among) > 1 {
			d.To.Name += ", " + here.Name
		}
	}
	return d
}

// duty computes one rule at one place, once in a run. It returns nil for a rule that is tied to itself.
// Most rules do not arise in a case, so that is found out before anything is allocated.
func (x *run) duty(rule *Rule, code string, reasons bool) *Duty {
	key := memoKey{rule, code}
	if d, ok := x.memo[key]; ok && (d == nil || d.Applies() || d.NotApplicableBecause != quiet || !reasons) {
		return d // nil while it is being computed
	}
	e := x.at(code)
	if !reasons && e.gate(rule, false) != "" {
		x.memo[key] = x.notOwed
		return x.notOwed
	}
	x.memo[key] = nil
	w := &work{env: e, rule: rule}
	d := w.run(reasons)
	x.memo[key] = d
	return d
}

// at returns the run as it is seen from a place.
func (x *run) at(code string) *env {
	e := x.seen[code]
	if e == nil {
		e = &env{x, x.rules.voc.Places[code]}
		x.seen[code] = e
	}
	return e
}

// quiet stands for a reason that nobody asked for.
const quiet = "does not apply"

// work computes one duty.
type work struct {
	*env
	rule *Rule
	d    Duty
}

func (w *work) run(reasons bool) *Duty {
	w.d = w.frame(w.rule, w.here)
	if reasons {
		if w.d.NotApplicableBecause = w.gate(w.rule, true); !w.d.Applies() {
			return &w.d
		}
	}
	w.status()
	w.trigger()
	w.clock()
	w.finish()
	return &w.d
}

// gate returns why the duty does not arise here, or "".
func (e *env) gate(rule *Rule, reasons bool) string {
	if why := e.validity(&rule.Common.Valid); why != "" {
		return why
	}
	o := &rule.Common.OwedBy
	if o.Role != "" && !e.hasRole(o.Role) {
		return "owed by a " + o.Role + " only"
	}
	if len(o.Kind) > 0 && (kindLeaf{o.Kind}).eval(e) == No {
		return "owed only by: " + strings.Join(o.Kind, ", ")
	}
	if rule.gate != nil && rule.gate.eval(e) == No {
		if !reasons {
			return quiet
		}
		return e.whyNot(rule.gate)
	}
	for _, list := range [][]Exemption{rule.regimeExcept, rule.Except} {
		for i := range list {
			if list[i].When.expr.eval(e) == Yes {
				return exempt(&list[i])
			}
		}
	}
	return ""
}

func exempt(x *Exemption) string {
	s := "exempt: " + x.Because
	if x.Citation != "" {
		s += " (" + x.Citation + ")"
	}
	if len(x.Evidence) > 0 {
		s += "; keep: " + strings.Join(x.Evidence, ", ")
	}
	if x.Keep != "" {
		s += ", " + x.Keep
	}
	return s
}

// whyNot names the first part of a condition that is not met, with the fact behind it.
func (e *env) whyNot(x expr) string {
	if and, ok := x.(andExpr); ok {
		for _, y := range and {
			if y.eval(e) == No {
				return e.whyNot(y)
			}
		}
	}
	var facts []string
	x.leaves(func(l leaf) {
		if f := l.fact(e); !slices.Contains(facts, f) {
			facts = append(facts, f)
		}
	})
	return "needs: " + x.String() + "; but " + strings.Join(facts, "; ")
}

// reference is the instant whose law governs the case: when the breach came to light.
func (e *env) reference() (time.Time, bool) {
	for _, kind := range []string{"aware", "discovered", "detected", "informed"} {
		if ev, ok := e.event(kind); ok {
			return ev.At, true
		}
	}
	var at time.Time
	for _, list := range e.events {
		for _, ev := range list {
			if at.IsZero() || ev.At.Before(at) {
				at = ev.At
			}
		}
	}
	if at.IsZero() {
		at = e.asOf
	}
	return at, !at.IsZero()
}

func (e *env) validity(v *Validity) string {
	ref, ok := e.reference()
	if !ok {
		if !v.Until.IsZero() {
			return "this version ended on " + v.Until.String()
		}
		return ""
	}
	d := dayOf(ref.In(e.here.loc))
	if !v.From.IsZero() && d < v.From.day {
		return "not in force on " + d.String() + ": holds from " + v.From.String()
	}
	if !v.Until.IsZero() && d >= v.Until.day {
		return "no longer in force on " + d.String() + ": held until " + v.Until.String()
	}
	return ""
}

// status turns adopted into in force once its day has come, and says whether the duty binds.
func (w *work) status() {
	if w.d.Status == Adopted && !w.rule.Common.Valid.From.IsZero() {
		w.d.Status = InForce
	}
	binding := w.d.Status == InForce || w.d.Status == Contract || w.d.Status == PolicyRule
	w.d.Binding = binding && w.d.Hardness != GuideFigure && w.d.Hardness != InternalTarget
}

// trigger writes the rule and the facts that made it arise into the derivation.
func (w *work) trigger() {
	c := &w.rule.Common
	text := "rule " + w.rule.Full + ", version " + c.Version + ", " + string(w.d.Status)
	if !c.Valid.From.IsZero() {
		text += " since " + c.Valid.From.String()
	}
	s := Step{Kind: "rule", Text: text, Cite: c.Citation, Steps: make([]Step, 0, 8)}
	if w.rule.gate != nil {
		sure := w.rule.gate.eval(w.env)
		seen := make([]string, 0, 8)
		w.rule.gate.leaves(func(l leaf) {
			v := l.eval(w.env)
			if v == No {
				return
			}
			f := l.fact(w.env)
			if slices.Contains(seen, f) {
				return
			}
			seen = append(seen, f)
			if v == Unknown && sure == Unknown {
				w.d.Assumed = append(w.d.Assumed, f)
				s.Steps = append(s.Steps, Step{Kind: "assumption", Text: f + "; taken towards the duty"})
				return
			}
			s.Steps = append(s.Steps, Step{Kind: "fact", Text: f})
		})
	}
	o := &c.OwedBy
	if len(o.Kind) > 0 && (kindLeaf{o.Kind}).eval(w.env) == Unknown {
		f := "organisation is " + strings.Join(o.Kind, " or ") + ": undecided"
		w.d.Assumed = append(w.d.Assumed, f)
		s.Steps = append(s.Steps, Step{Kind: "assumption", Text: f})
	}
	for _, list := range [][]Exemption{w.rule.regimeExcept, w.rule.Except} {
		for i := range list {
			if list[i].When.expr.eval(w.env) == Unknown {
				s.Steps = append(s.Steps, Step{Kind: "assumption", Text: "exemption not proven: " + list[i].Because, Cite: list[i].Citation})
			}
		}
	}
	w.d.Derivation = append(w.d.Derivation, s)
}

// finish notes whether the duty has been done, and whether in time.
func (w *work) finish() {
	at, ok := w.done(w.rule.Full)
	if !ok {
		return
	}
	w.d.DoneAt = ptr(at)
	w.d.Late = w.d.Due != nil && at.After(*w.d.Due)
	text := "done " + stamp(at.In(w.here.loc))
	if w.d.Late {
		text += ", after the due instant"
		if w.rule.IfLate != "" {
			text += ": " + w.rule.IfLate
		}
	}
	w.d.Derivation = append(w.d.Derivation, Step{Kind: "fact", Text: text, At: w.d.DoneAt})
}
