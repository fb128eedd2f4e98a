package law

import (
	"slices"
	"strings"
	"time"
)

// run is the state of one call of Duties: the facts as they were known and what has been computed so far.
type run struct {
	rules  *Rules
	f      *Facts
	asOf   time.Time // zero: everything that is known
	events map[string][]Event
	olds   map[string][]Event // earlier statements of the same event, for the derivation
	memo   map[memoKey]*Duty  // nil while a duty is being computed
	seen   map[string]*env    // the run as seen from each place
	counts map[string]Count   // people by place, once computed
	steps  map[stepKey]Step   // how an event is told, once written
	data   string             // how the data are told, once written
	held   map[*byte]Answer   // what each condition on the data came to

	notOwed *Duty // stands for every duty that does not arise and whose reason nobody asked for
}

type memoKey struct {
	rule *Rule
	here string
}

// env is what a condition is evaluated in: a run, seen from one place.
type env struct {
	*run
	here *Jurisdiction
}

func (r *Rules) newRun(f Facts, asOf time.Time) *run {
	x := &run{rules: r, f: &f, asOf: asOf, events: map[string][]Event{}, olds: map[string][]Event{}, memo: make(map[memoKey]*Duty, 2*len(r.all)),
		seen: map[string]*env{}, counts: map[string]Count{}, steps: map[stepKey]Step{}, held: map[*byte]Answer{}, notOwed: &Duty{NotApplicableBecause: quiet}}
	f.Data = slices.Clone(f.Data)
	for i := range f.Data {
		els := make([]string, len(f.Data[i].Elements))
		for j, el := range f.Data[i].Elements {
			els[j] = r.voc.element(el)
		}
		f.Data[i].Elements = els
	}
	x.indexEvents()
	known := func(t time.Time) bool { return asOf.IsZero() || !t.After(asOf) }
	f.Holds = keep(f.Holds, func(h Hold) bool { return known(h.KnownSince) && known(h.From) })
	f.Submissions = keep(f.Submissions, func(s Submission) bool { return known(s.KnownSince) && known(s.At) })
	if !asOf.IsZero() {
		for i := range f.Holds {
			if f.Holds[i].Released.After(asOf) {
				f.Holds[i].Released = time.Time{}
			}
		}
	}
	return x
}

func keep[T any](in []T, ok func(T) bool) []T {
	return slices.DeleteFunc(slices.Clone(in), func(t T) bool { return !ok(t) })
}

// indexEvents sorts the statements by kind, leaves out what was not known yet and lets corrections win.
func (x *run) indexEvents() {
	corrected := map[string]bool{}
	known := func(e Event) bool { // nothing is known before it is stated, or before it happens
		return x.asOf.IsZero() || !e.KnownSince.After(x.asOf) && !e.At.After(x.asOf)
	}
	for _, e := range x.f.Events {
		if e.Corrects != "" && known(e) {
			corrected[e.Corrects] = true
		}
	}
	for _, e := range x.f.Events {
		if !known(e) {
			continue
		}
		if e.ID != "" && corrected[e.ID] {
			x.olds[e.Kind] = append(x.olds[e.Kind], e)
			continue
		}
		list := x.events[e.Kind]
		i := slices.IndexFunc(list, func(o Event) bool { return o.Jurisdiction == e.Jurisdiction && o.Duty == e.Duty })
		if i < 0 {
			x.events[e.Kind] = append(list, e)
			continue
		}
		old := list[i]
		later := e.KnownSince.Compare(old.KnownSince)
		if later > 0 || later == 0 && e.At.Before(old.At) {
			list[i], e = e, old
		}
		if later != 0 {
			x.olds[e.Kind] = append(x.olds[e.Kind], e)
		}
	}
}

// event returns the statement of a kind that holds here: one made for this place wins over a general one.
func (e *env) event(kind string) (Event, bool) {
	var found Event
	ok := false
	for _, ev := range e.events[kind] {
		if ev.Duty != "" {
			continue
		}
		switch {
		case ev.Jurisdiction == "" && !ok:
			found, ok = ev, true
		case ev.Jurisdiction != "" && within(e.here.Code, ev.Jurisdiction):
			return ev, true
		}
	}
	return found, ok
}

// anchorEvent returns the statement of a kind, or of the first kind that stands in for it.
func (e *env) anchorEvent(kind string, strict bool) (Event, bool) {
	ev, ok := e.event(kind)
	if ok || strict {
		return ev, ok
	}
	for _, other := range e.rules.voc.Events[kind].Else {
		if ev, ok := e.event(other); ok {
			return ev, true
		}
	}
	return Event{}, false
}

func (e *env) title(name string) string {
	v := e.rules.voc
	for _, m := range []map[string]Term{v.Events, v.Breach, v.Tests, v.Flags, v.Findings} {
		if t, ok := m[name]; ok {
			return t.Title
		}
	}
	return name
}

// done returns when a duty was done here: the first submission for it, or people told for a duty towards people.
func (e *env) done(rule string) (time.Time, bool) { return e.doneAt(rule, false) }

func (e *env) doneAt(rule string, last bool) (time.Time, bool) {
	var at time.Time
	ok := false
	take := func(t time.Time) {
		if !ok || last && t.After(at) || !last && t.Before(at) {
			at, ok = t, true
		}
	}
	id := rule + "_" + e.here.Code
	for _, s := range e.f.Submissions {
		if s.Kind == "withdrawn" {
			continue
		}
		if s.Duty == id || s.Duty == rule && (s.Jurisdiction == "" || within(e.here.Code, s.Jurisdiction)) {
			take(s.At)
		}
	}
	if rs := e.rules.byID[rule]; !ok && len(rs) > 0 && rs[0].To.Kind == "people" {
		if ev, found := e.event("people_notified"); found {
			take(ev.At)
		}
	}
	return at, ok
}

// covers reports whether a list of places (empty: everywhere) includes here.
func (e *env) covers(places []string) bool {
	if len(places) == 0 {
		return true
	}
	for _, p := range places {
		if within(e.here.Code, p) || within(p, e.here.Code) {
			return true
		}
		if slices.Contains(e.rules.voc.expand([]string{p}), e.here.Code) {
			return true
		}
	}
	return false
}

// kind reports whether the organisation is of a regulated kind here. The profile is complete: what it does
// not list is no, what it lists as unsure is unknown.
func (e *env) kind(kind string) Answer {
	for _, k := range e.f.Organisation.Kinds {
		if k.Kind == kind && e.covers(k.Jurisdictions) {
			return Yes
		}
	}
	if slices.Contains(e.f.Organisation.Unsure, kind) {
		return Unknown
	}
	return No
}

func (e *env) hasRole(role string) bool {
	if role == "any" {
		return true
	}
	if len(e.f.Roles) == 0 {
		return role == "controller"
	}
	return slices.Contains(e.f.Roles, role)
}

// total is the number of affected people everywhere.
func (x *run) total() Count {
	sum := Exactly(0)
	for code := range x.f.People.ByJurisdiction {
		if country, _, sub := strings.Cut(code, "-"); sub {
			if _, both := x.f.People.ByJurisdiction[country]; both {
				continue
			}
		}
		lo, hi := x.peopleIn(code).bounds()
		sum.Min, sum.Max = sum.Min+lo, min(many, sum.Max+hi)
	}
	t := x.f.People.Total
	switch {
	case t.Known:
		return Count{true, max(t.Min, sum.Min), max(t.Max, sum.Min)}
	case len(x.f.People.ByJurisdiction) == 0:
		return Count{}
	case sum.Max == many && sum.Min == 0:
		return Count{}
	}
	return sum
}

// peopleIn counts the affected people of a place with its subdivisions. Without a map it is unknown; a
// place outside the map has nobody, unless its country's total holds people whose subdivision is unknown.
func (x *run) peopleIn(code string) Count {
	c, ok := x.counts[code]
	if !ok {
		c = x.countIn(code)
		x.counts[code] = c
	}
	return c
}

func (x *run) countIn(code string) Count {
	by := x.f.People.ByJurisdiction
	if len(by) == 0 {
		return Count{}
	}
	if c, ok := by[code]; ok {
		return c.atLeast(x.partsOf(code))
	}
	if parts, ok := x.partsOf(code); ok {
		return parts
	}
	country, _, sub := strings.Cut(code, "-")
	whole, ok := by[country]
	if !sub || !ok {
		return Exactly(0)
	}
	if !whole.Known {
		return Count{}
	}
	parts, _ := x.partsOf(country)
	return Count{true, 0, max(0, whole.Max-parts.Min)}
}

// atLeast keeps a total from falling under the sum of its parts.
func (c Count) atLeast(parts Count, ok bool) Count {
	if !ok {
		return c
	}
	if !c.Known {
		return Count{true, parts.Min, many}
	}
	return Count{true, max(c.Min, parts.Min), max(c.Max, parts.Min)}
}

func (x *run) partsOf(code string) (Count, bool) {
	sum, ok := Exactly(0), false
	for c, n := range x.f.People.ByJurisdiction {
		if c != code && within(c, code) {
			lo, hi := n.bounds()
			sum.Min, sum.Max, ok = sum.Min+lo, min(many, sum.Max+hi), true
		}
	}
	return sum, ok
}

// maybePeople reports whether somebody affected lives, or may live, in a place.
func (x *run) maybePeople(code string) bool {
	_, hi := x.peopleIn(code).bounds()
	return hi > 0
}
