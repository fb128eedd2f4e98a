package law

import (
	"slices"
	"time"
)

// anchored is an anchor made concrete.
type anchored struct {
	at          time.Time
	zone        string // zone in which the instant was given
	step        Step
	provisional string // why the instant only stands in for the real anchor
}

// anchor finds the instant that a period counts from. If its clock does not run yet, pending says for what it waits.
func (w *work) anchor(a Anchor) (out anchored, pending string, ok bool) {
	switch {
	case a.Event != "":
		return w.anchorOf([]string{a.Event}, a.Strict, false)
	case len(a.Earliest) > 0:
		return w.anchorOf(a.Earliest, false, false)
	case len(a.Latest) > 0:
		return w.anchorOf(a.Latest, false, true)
	case a.YearEnd != "":
		out, pending, ok = w.anchorOf([]string{a.YearEnd}, false, false)
		if ok {
			y, _, _ := out.at.In(w.here.loc).Date()
			out.at = civil(y, time.December, 31).at(0, w.here.loc)
			out.step = Step{Kind: "anchor", Text: "end of the calendar year: " + dayOf(out.at).String(), At: ptr(out.at), Steps: []Step{out.step}}
		}
		return out, pending, ok
	case a.Due != "":
		d := w.other(a.Due)
		if d == nil || d.Due == nil {
			return out, "the due instant of " + a.Due, false
		}
		return anchored{at: *d.Due, step: Step{Kind: "anchor", Text: a.Due + " is due " + stamp(d.Due.In(w.here.loc)), At: d.Due}}, "", true
	}
	at, found := w.doneAt(a.Done, a.Last)
	if !found {
		return out, a.Done + " being done", false
	}
	text := a.Done + " was done " + stamp(at.In(w.here.loc))
	return anchored{at: at, step: Step{Kind: "anchor", Text: text, At: ptr(at)}}, "", true
}

// anchorOf returns the earliest (or latest) of several events. An event that has not been stated is replaced
// by what stands in for it; if others are there the missing one is left out, which is never later.
func (w *work) anchorOf(kinds []string, strict, latest bool) (out anchored, pending string, ok bool) {
	missing := ""
	var best Event
	var bestKind string
	for _, k := range kinds {
		ev, found := w.event(k)
		if !found {
			missing = k
			continue
		}
		if !ok || latest && ev.At.After(best.At) || !latest && ev.At.Before(best.At) {
			best, bestKind, ok = ev, k, true
		}
	}
	if !ok {
		for _, k := range kinds {
			if ev, found := w.anchorEvent(k, strict); found && (!ok || ev.At.Before(best.At)) {
				best, bestKind, ok = ev, k, true
			}
		}
	}
	if !ok {
		return out, "the event «" + w.title(kinds[0]) + "» being stated", false
	}
	out = anchored{at: best.At, zone: best.Zone, step: w.eventStep(bestKind, best)}
	if best.Kind != bestKind {
		out.provisional = "«" + w.title(bestKind) + "» has not been stated: counted from «" + w.title(best.Kind) + "», which is not later"
	} else if latest && missing != "" {
		out.provisional = "«" + w.title(missing) + "» has not been stated: counted as if it were not later"
	}
	if best.Unsettled {
		out.provisional = "«" + w.title(best.Kind) + "» is stated but not decided by a person"
	}
	return out, "", true
}

// eventStep tells what was stated, by whom, since when it is known, and what was said before.
func (w *work) eventStep(kind string, ev Event) Step {
	loc := w.here.loc
	if ev.Zone != "" {
		loc = w.rules.voc.zone(ev.Zone)
	}
	key := stepKey{kind, ev.Kind, ev.Jurisdiction, loc}
	s, ok := w.steps[key]
	if !ok {
		s = w.newEventStep(kind, ev, loc)
		w.steps[key] = s
	}
	return s
}

type stepKey struct {
	kind, stated, place string
	loc                 *time.Location
}

func (w *work) newEventStep(kind string, ev Event, loc *time.Location) Step {
	fact := Step{Kind: "fact", Text: w.title(ev.Kind) + ": " + stamp(ev.At.In(loc)), At: ptr(ev.At)}
	if ev.StatedBy != "" {
		fact.Text += ", stated by " + ev.StatedBy
	}
	if !ev.KnownSince.IsZero() {
		fact.Text += ", known since " + stamp(ev.KnownSince.In(loc))
	}
	for _, old := range w.olds[ev.Kind] {
		if old.Jurisdiction == ev.Jurisdiction {
			text := "before it was " + stamp(old.At.In(loc))
			if ev.Why != "" {
				text += "; changed because " + ev.Why
			}
			fact.Steps = append(fact.Steps, Step{Kind: "fact", Text: text, At: ptr(old.At)})
		}
	}
	return Step{Kind: "anchor", Text: w.title(kind), At: ptr(ev.At), Steps: []Step{fact}}
}

// other returns another duty at the same place, or at the only place it has.
func (w *work) other(id string) *Duty {
	for _, r := range w.rules.byID[id] {
		code := w.here.Code
		if !slices.Contains(r.among, code) {
			if len(r.among) != 1 {
				continue
			}
			code = r.among[0]
		}
		if d := w.duty(r, code, false); d != nil && d.Applies() {
			return d
		}
	}
	return nil
}

// result is a due instant under one reading.
type result struct {
	due    time.Time
	anchor time.Time
	tied   bool // taken from another duty, which has its own holds
	steps  []Step
}

// clock computes the due instant under every reading and puts the earliest forward.
func (w *work) clock() {
	limits := w.limits()
	var results []result
	var readings []Reading
	pending := ""
	take := func(x *Reading) {
		r, wait := w.under(limits, x)
		if r == nil {
			pending = wait
			return
		}
		results, readings = append(results, *r), append(readings, *x)
	}
	for i := range w.rule.readings {
		x := &w.rule.readings[i]
		if x.When.expr != nil && x.When.expr.eval(w.env) != Yes || x.Unless.expr != nil && x.Unless.expr.eval(w.env) != No {
			continue
		}
		take(x)
	}
	if len(results) == 0 && pending == "" {
		take(&Reading{ID: "plain", Reason: "as the period is written"})
	}
	if len(results) == 0 {
		w.d.Pending = pending
		w.projected(limits)
		if len(w.rule.Limits) > 0 || !w.holds(nil) {
			w.target()
		}
		return
	}
	if r, x, ok := w.upper(limits); ok {
		results, readings = append(results, r), append(readings, x)
	}
	unheld := slices.Clone(results)
	w.related(unheld)
	before := unheld[earliest(unheld)].due
	suspended := w.holds(results)
	w.related(results) // a hold lengthens the duty's own period, not the tie to another duty
	w.publish(results, readings, earliest(results), suspended, before)
}

func earliest(results []result) int {
	first := 0
	for i := range results {
		if results[i].due.Before(results[first].due) {
			first = i
		}
	}
	return first
}

// publish writes the results into the duty.
func (w *work) publish(results []result, readings []Reading, first int, suspended bool, before time.Time) {
	loc := w.here.loc
	p := results[first]
	if !p.anchor.IsZero() {
		w.d.Anchor = ptr(p.anchor)
	}
	w.d.Derivation = append(w.d.Derivation, p.steps...)
	if suspended {
		w.d.Suspended.WithoutHold = ptr(before)
		return
	}
	w.d.Due = ptr(p.due)
	w.d.DueLocal = p.due.In(loc).Format(time.RFC3339)
	text := "due " + stamp(p.due.In(loc)) + " (" + w.here.Zone + ")"
	if len(results) > 1 {
		text += ", reading " + readings[first].ID
	}
	w.d.Derivation = append(w.d.Derivation, Step{Kind: "instant", Text: text, At: w.d.Due})
	for i, r := range results {
		w.d.Readings = append(w.d.Readings, ReadingResult{
			ID: readings[i].ID, Due: r.due.UTC(), DueLocal: r.due.In(loc).Format(time.RFC3339),
			Reason: readings[i].Reason, Primary: i == first, Citation: readings[i].Citation,
		})
		if i != first {
			text := readings[i].ID + ": " + stamp(r.due.In(loc)) + ", " + readings[i].Reason
			w.d.Derivation = append(w.d.Derivation, Step{Kind: "reading", Text: text, At: ptr(r.due), Cite: readings[i].Citation})
		}
	}
}

// limits returns the limits that may apply here. One whose condition is unknown applies.
func (w *work) limits() []*Limit {
	var out []*Limit
	var gone []string
	for i := range w.rule.Limits {
		l := &w.rule.Limits[i]
		if l.When.expr != nil && l.When.expr.eval(w.env) == No || l.Unless.expr != nil && l.Unless.expr.eval(w.env) == Yes {
			continue
		}
		if l.When.expr == nil || l.When.expr.eval(w.env) == Yes {
			gone = append(gone, l.Replaces...)
		}
		out = append(out, l)
	}
	return slices.DeleteFunc(out, func(l *Limit) bool { return l.ID != "" && slices.Contains(gone, l.ID) })
}

// under computes the limits under a reading (nil: as written) and combines them.
func (w *work) under(limits []*Limit, x *Reading) (*result, string) {
	var best *result
	pending := ""
	for _, l := range limits {
		from, wait, ok := w.anchor(l.From)
		if !ok {
			pending = wait
			continue
		}
		r := w.limit(l, from, x, l.N)
		if best == nil || (w.rule.Combine == "max") == r.due.After(best.due) && !r.due.Equal(best.due) {
			best = r
		}
	}
	if best == nil && len(w.rule.Relative) > 0 {
		if due, step, ok := w.relation(); ok {
			return &result{due: due, tied: true, steps: []Step{step}}, ""
		}
		if pending == "" {
			pending = "the duty it is tied to: " + w.rule.Relative[0].Duty
		}
	}
	return best, pending
}

// limit computes one limit from its anchor.
func (w *work) limit(l *Limit, from anchored, x *Reading, n int) *result {
	how := l.Counting.over(w.rule.Common.Counting)
	if x != nil {
		how = x.Counting.over(how)
		if x.N > 0 {
			n = x.N
		}
	}
	loc := w.location(how.Zone, from.zone)
	cal := w.calendar(how.Calendar)
	r := &result{anchor: from.at, steps: []Step{from.step}}
	if from.provisional != "" {
		r.steps[0].Steps = append(slices.Clone(r.steps[0].Steps), Step{Kind: "assumption", Text: from.provisional})
		if !slices.Contains(w.d.Assumed, from.provisional) {
			w.d.Assumed = append(w.d.Assumed, from.provisional)
		}
	}
	for _, ext := range w.rule.Extend {
		if ext.When.expr.eval(w.env) != Yes {
			continue
		}
		n = n*max(1, ext.Times) + ext.Plus
		r.steps = append(r.steps, Step{Kind: "rule", Text: "extended to " + plural(n, l.Unit) + ": " + ext.Because, Cite: ext.Citation})
	}
	say := func(kind, text string) {
		r.steps = append(r.steps, Step{Kind: kind, Text: text, Cite: l.Citation})
		if kind == "doubt" && !slices.Contains(w.d.Doubts, text) {
			w.d.Doubts = append(slices.Clone(w.d.Doubts), text)
		}
	}
	w.d.Calendar = cal.Code + " " + cal.Version
	r.due = count{n: n, unit: l.Unit, how: how, loc: loc, cal: cal}.end(from.at, say)
	if l.Unit != "hour" || how.Roll != nil || how.MinWorkingDays > 0 {
		say("calendar", "civil days of "+loc.String()+", calendar "+w.d.Calendar)
	}
	return r
}

// upper computes the later end of a range as a reading of its own.
func (w *work) upper(limits []*Limit) (result, Reading, bool) {
	for _, l := range limits {
		if l.UpTo == 0 {
			continue
		}
		if from, _, ok := w.anchor(l.From); ok {
			return *w.limit(l, from, nil, l.UpTo), Reading{ID: "upper", Reason: "the later end of the range " + plural(l.N, l.Unit) + " to " + plural(l.UpTo, l.Unit)}, true
		}
	}
	return result{}, Reading{}, false
}

func (w *work) location(name, eventZone string) *time.Location {
	switch name {
	case "", "here":
		return w.here.loc
	case "entity":
		if z := w.f.Organisation.Zone; z != "" {
			return w.rules.voc.zone(z)
		}
		if p := w.home(); p != nil {
			return p.loc
		}
		return w.here.loc
	case "event":
		if eventZone != "" {
			return w.rules.voc.zone(eventZone)
		}
		return w.here.loc
	}
	return w.rules.voc.zone(name)
}

// home is the place of the main establishment, or of the only one.
func (w *work) home() *Jurisdiction {
	es := w.f.Organisation.Establishments
	for _, e := range es {
		if e.Main || len(es) == 1 {
			return w.rules.voc.Places[e.Jurisdiction]
		}
	}
	return nil
}

var weekendsOnly = &Calendar{Code: "none", Version: "weekends only", first: 0, last: 1 << 30,
	weekend: [7]bool{time.Saturday: true, time.Sunday: true}}

func (w *work) calendar(name string) *Calendar {
	cal := w.here.cal
	switch name {
	case "", "here":
	case "entity":
		if p := w.home(); p != nil {
			cal = p.cal
		}
	default:
		cal = w.rules.cals.Get(name)
	}
	if cal == nil {
		return weekendsOnly
	}
	return cal
}

// relation returns the instant that the duty must not be later than because of another duty.
func (w *work) relation() (due time.Time, step Step, ok bool) {
	for _, rel := range w.rule.Relative {
		if rel.When.expr != nil && rel.When.expr.eval(w.env) == No {
			continue
		}
		at, how, found := w.tied(rel.Duty)
		word := map[string]string{"before": "before ", "with": "not later than "}[rel.MustBe]
		w.d.Relation = word + rel.Duty
		if !found {
			continue
		}
		if rel.MustBe == "before" {
			at = at.Add(-time.Second) // the last second before
		}
		if !ok || at.Before(due) {
			due, ok = at, true
			step = Step{Kind: "rule", Text: word + rel.Duty + ", which " + how + ": " + stamp(at.In(w.here.loc)), At: ptr(at)}
		}
	}
	return due, step, ok
}

// tied returns when another duty is due or was done, whichever is first.
func (w *work) tied(id string) (at time.Time, how string, ok bool) {
	if d := w.other(id); d != nil && d.Due != nil {
		at, how, ok = *d.Due, "is due", true
	}
	if done, found := w.done(id); found && (!ok || done.Before(at)) {
		at, how, ok = done, "was done", true
	}
	return at, how, ok
}

// related brings every result forward to the duty it is tied to.
func (w *work) related(results []result) {
	if len(w.rule.Relative) == 0 {
		return
	}
	due, step, ok := w.relation()
	for i := range results {
		if ok && due.Before(results[i].due) {
			results[i].due = due
			results[i].steps = append(slices.Clone(results[i].steps), step)
		}
	}
}

// projected says when a stage would fall due if the stage before it were done on its last second.
func (w *work) projected(limits []*Limit) {
	for _, l := range limits {
		if l.From.Done == "" {
			continue
		}
		d := w.other(l.From.Done)
		if d == nil || d.Due == nil {
			continue
		}
		keep := w.d.Assumed
		r := w.limit(l, anchored{at: *d.Due}, nil, l.N)
		w.d.Assumed = keep
		w.d.Projected = ptr(r.due)
		text := "if " + l.From.Done + " is done on its last second: " + stamp(r.due.In(w.here.loc))
		w.d.Derivation = append(w.d.Derivation, Step{Kind: "reading", Text: text, At: w.d.Projected})
	}
	if w.d.Pending != "" {
		w.d.Derivation = append(w.d.Derivation, Step{Kind: "anchor", Text: "the clock does not run yet: it waits for " + w.d.Pending})
	}
}

// target computes the aim of a duty without a number.
func (w *work) target() {
	if len(w.rule.Limits) == 0 && w.rule.Standard != "" {
		w.d.Derivation = append(w.d.Derivation, Step{Kind: "instant", Text: "no number in the law: " + w.rule.Standard})
	}
	t := w.rule.Target
	if t == nil {
		return
	}
	w.d.Target = &TargetResult{Label: t.Why, Hardness: InternalTarget}
	from, _, ok := w.anchor(t.From)
	if !ok {
		return
	}
	r := w.limit(&Limit{N: t.N, Unit: t.Unit}, from, nil, t.N)
	w.d.Target.Due, w.d.Target.DueLocal = ptr(r.due), r.due.In(w.here.loc).Format(time.RFC3339)
	w.d.Derivation = append(w.d.Derivation, Step{Kind: "note", Text: "internal target, not law: " + t.Why + ": " + stamp(r.due.In(w.here.loc)), At: w.d.Target.Due})
}
