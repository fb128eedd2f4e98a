package law

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Explanation says what would change a duty.
type Explanation struct {
	Duty    Duty          `json:"duty"`
	Changes []WouldChange `json:"changes"` // nearest first: one fact, then two together
}

// WouldChange is a change of facts and what would follow.
type WouldChange struct {
	If      []string   `json:"if"`   // one or two facts, in words
	Then    string     `json:"then"` // what would follow, in words
	Applies bool       `json:"applies"`
	Due     *time.Time `json:"due"`
	flips   bool
}

// String prints the change as a sentence.
func (c WouldChange) String() string { return "if " + strings.Join(c.If, " and ") + ": " + c.Then }

// Explain finds the nearest facts that would change a duty: make it arise, take it away or move its due
// instant. The duty may be one that does not apply. The id is that of a Duty; a rule id will do if the rule arises once.
func (r *Rules) Explain(f Facts, at time.Time, dutyID string) (Explanation, error) {
	rule, place, _ := strings.Cut(dutyID, "_")
	versions := r.byID[rule]
	if len(versions) == 0 {
		return Explanation{}, fmt.Errorf("explain %s: no such rule; tocsin law list shows all", dutyID)
	}
	now, ok := r.one(f, at, rule, place)
	if !ok {
		return Explanation{}, fmt.Errorf("explain %s: the rule does not concern that place", dutyID)
	}
	out := Explanation{Duty: now, Changes: []WouldChange{}}
	if place == "" {
		place = now.Jurisdiction
	}
	x := &explorer{rules: r, f: f, at: at, here: place}
	for _, v := range versions {
		x.candidates(v)
	}
	for _, c := range x.list {
		x.try(&out, rule, now, c)
	}
	if !slices.ContainsFunc(out.Changes, func(c WouldChange) bool { return c.flips }) {
		for i := range x.list {
			for j := i + 1; j < len(x.list) && j < 40; j++ {
				if x.list[i].what != x.list[j].what {
					x.tryFlip(&out, rule, now, x.list[i], x.list[j])
				}
			}
		}
	}
	slices.SortStableFunc(out.Changes, func(a, b WouldChange) int {
		if len(a.If) != len(b.If) {
			return len(a.If) - len(b.If)
		}
		if a.flips != b.flips && a.flips {
			return -1
		} else if a.flips != b.flips {
			return 1
		}
		return 0
	})
	return out, nil
}

// one returns the duty of a rule at a place; one that applies is preferred.
func (r *Rules) one(f Facts, at time.Time, rule, place string) (Duty, bool) {
	var best Duty
	ok := false
	for _, d := range r.DutiesWith(f, at, Options{Rule: rule, NotApplicable: true}) {
		if place != "" && d.Jurisdiction != place && strings.Contains(d.ID, "_") {
			continue
		}
		if !ok || d.Applies() && !best.Applies() {
			best, ok = d, true
		}
	}
	if !ok && r.voc.Places[place] != nil {
		x := r.newRun(f, at)
		for _, v := range r.byID[rule] {
			if slices.Contains(v.among, place) {
				_, _, why := x.places(v)
				d := x.frame(v, r.voc.Places[place])
				d.NotApplicableBecause = why
				return d, true
			}
		}
	}
	return best, ok
}

// candidate is one change of facts.
type candidate struct {
	what, text string
	apply      func(*Facts)
}

type explorer struct {
	rules *Rules
	f     Facts
	at    time.Time
	here  string
	list  []candidate
}

func (x *explorer) add(what, text string, apply func(*Facts)) {
	if !slices.ContainsFunc(x.list, func(c candidate) bool { return c.text == text }) {
		x.list = append(x.list, candidate{what, text, apply})
	}
}

// candidates lists single changes of every fact that the rule looks at.
func (x *explorer) candidates(rule *Rule) {
	e := &env{x.rules.newRun(x.f, x.at), x.rules.voc.Places[x.here]}
	see := func(c Condition) {
		if c.expr != nil {
			c.expr.leaves(func(l leaf) { x.leaf(e, l) })
		}
	}
	if rule.gate != nil {
		rule.gate.leaves(func(l leaf) { x.leaf(e, l) })
	}
	for _, ex := range slices.Concat(rule.regimeExcept, rule.Except) {
		see(ex.When)
	}
	for _, l := range rule.Limits {
		see(l.When)
		see(l.Unless)
	}
	for _, ext := range rule.Extend {
		see(ext.When)
	}
	if k := rule.Common.OwedBy.Kind; len(k) > 0 {
		x.leaf(e, kindLeaf{k})
	}
	if role := rule.Common.OwedBy.Role; role != "" {
		if e.hasRole(role) {
			other := map[string]string{"controller": "processor", "processor": "controller"}[role]
			x.add("role", "the organisation were a "+other+" only", func(f *Facts) { f.Roles = []string{other} })
		} else {
			x.add("role", "the organisation were a "+role, func(f *Facts) { f.Roles = append(slices.Clone(f.Roles), role) })
		}
	}
	switch rule.Common.Connection {
	case "residence", "affected", "lead-authority":
		name := e.here.Name
		if e.maybePeople(x.here) {
			x.add("people "+x.here, "no affected people lived in "+name, func(f *Facts) { f.People.ByJurisdiction[x.here] = Exactly(0) })
		} else {
			x.add("people "+x.here, "one affected person lived in "+name, func(f *Facts) { f.People.ByJurisdiction[x.here] = Exactly(1) })
		}
	}
}

func (x *explorer) leaf(e *env, l leaf) {
	switch l := l.(type) {
	case factLeaf:
		for _, a := range []Answer{Yes, No} {
			if l.eval(e) != a {
				x.add(l.name, "«"+e.title(l.name)+"» were "+a.String(), func(f *Facts) {
					[]map[string]Answer{f.Breach, f.Tests, f.Flags}[l.section][l.name] = a
				})
			}
		}
	case riskLeaf:
		for _, level := range riskLevels {
			if level != x.f.Risk.Level {
				x.add("risk", "the risk were assessed as «"+level+"»", func(f *Facts) { f.Risk.Level = level })
			}
		}
	case countLeaf:
		x.count(e, l)
	case kindLeaf:
		for _, k := range l.kinds {
			if e.kind(k) != No {
				x.add("kind "+k, "the organisation were no "+e.kindTitle(k), func(f *Facts) {
					f.Organisation.Kinds = keep(f.Organisation.Kinds, func(o Kind) bool { return o.Kind != k })
					f.Organisation.Unsure = keep(f.Organisation.Unsure, func(o string) bool { return o != k })
				})
			} else {
				x.add("kind "+k, "the organisation were: "+e.kindTitle(k), func(f *Facts) {
					f.Organisation.Kinds = append(slices.Clone(f.Organisation.Kinds), Kind{Kind: k})
				})
			}
		}
	case dataLeaf:
		x.add("data", "all data were encrypted and the key safe", func(f *Facts) {
			for i := range f.Data {
				f.Data[i].Encrypted, f.Data[i].KeySafe = Yes, Yes
			}
		})
		x.add("data", "all data were readable", func(f *Facts) {
			for i := range f.Data {
				f.Data[i].Encrypted, f.Data[i].KeySafe, f.Data[i].Redacted, f.Data[i].Public = No, No, No, No
			}
		})
		if len(l.any) > 0 && len(l.any[0]) > 0 && l.eval(e) != Yes {
			c := l.any[0]
			x.add("data", "the data held "+strings.Join(c, " + ")+", readable", func(f *Facts) {
				f.Data = append(f.Data, DataGroup{Elements: c, Encrypted: No, Form: l.form})
			})
		}
	case findingLeaf:
		if l.eval(e) == Yes {
			x.add("finding", "there were no finding «"+e.title(l.name)+"»", func(f *Facts) { delete(f.Findings, l.name) })
		} else {
			x.add("finding", "there were the finding «"+e.title(l.name)+"»"+withEvidence(l.evidence), func(f *Facts) {
				f.Findings[l.name] = Determination{Value: Yes, Evidence: l.evidence}
			})
		}
	case compareLeaf:
		if r, ok := e.anchorEvent(l.right, false); ok {
			edge := r.At.Add(l.plus)
			for _, d := range []time.Duration{-time.Minute, time.Minute} {
				t := edge.Add(d)
				x.add(l.left, "«"+e.title(l.left)+"» were "+stamp(t.In(e.here.loc)), func(f *Facts) {
					f.Events = append(keep(f.Events, func(ev Event) bool { return ev.Kind != l.left }), Event{Kind: l.left, At: t, Zone: r.Zone})
				})
			}
		}
	}
}

func withEvidence(ev []string) string {
	if len(ev) == 0 {
		return ""
	}
	return " with " + strings.Join(ev, ", ")
}

func (e *env) kindTitle(k string) string { return e.rules.voc.Kinds[k].Title }

// count tries both sides of a threshold.
func (x *explorer) count(e *env, l countLeaf) {
	for _, n := range []int{l.n - 1, l.n, l.n + 1} {
		if n < 0 || compareInts(n, n, l.op, l.n) == l.eval(e) {
			continue
		}
		c := Exactly(n)
		switch {
		case l.what == "count":
			x.add(l.where, fmt.Sprintf("%s were %d", e.rules.voc.Counts[l.where].Title, n), func(f *Facts) { f.Counts[l.where] = c })
		case l.what == "size":
			x.add(l.where, fmt.Sprintf("%s were %d", e.rules.voc.Sizes[l.where].Title, n), func(f *Facts) { f.Organisation.Size[l.where] = c })
		case l.where == "total":
			x.add("people total", fmt.Sprintf("%d people were affected in all", n), func(f *Facts) {
				f.People.Total = c
				if sum := e.total(); sum.Min > n {
					f.People.ByJurisdiction = map[string]Count{x.here: c}
				}
			})
		case l.where == "here":
			x.add("people "+x.here, fmt.Sprintf("%d affected people lived in %s", n, e.here.Name), func(f *Facts) { f.People.ByJurisdiction[x.here] = c })
		case e.rules.voc.Places[l.where] != nil:
			x.add("people "+l.where, fmt.Sprintf("%d affected people lived in %s", n, e.rules.voc.Places[l.where].Name), func(f *Facts) { f.People.ByJurisdiction[l.where] = c })
		}
	}
}

// try records what follows from one change, if anything does.
func (x *explorer) try(out *Explanation, rule string, now Duty, c candidate) {
	if w, ok := x.outcome(rule, now, c); ok {
		out.Changes = append(out.Changes, w)
	}
}

// tryFlip records two changes that together make the duty arise or fall.
func (x *explorer) tryFlip(out *Explanation, rule string, now Duty, a, b candidate) {
	if w, ok := x.outcome(rule, now, a, b); ok && w.flips && len(out.Changes) < 20 {
		out.Changes = append(out.Changes, w)
	}
}

func (x *explorer) outcome(rule string, now Duty, cs ...candidate) (WouldChange, bool) {
	f := x.f.clone()
	w := WouldChange{}
	for _, c := range cs {
		c.apply(&f)
		w.If = append(w.If, c.text)
	}
	place := ""
	if strings.Contains(now.ID, "_") {
		place = x.here
	}
	then, ok := x.rules.one(f, x.at, rule, place)
	if !ok {
		return w, false
	}
	w.Applies, w.Due = then.Applies(), then.Due
	w.flips = w.Applies != now.Applies()
	local := func(t *time.Time) string {
		if t == nil {
			return "no due instant"
		}
		return "due " + stamp(t.In(x.rules.voc.zone(then.Zone)))
	}
	switch {
	case w.flips && w.Applies:
		w.Then = "the duty would arise, " + local(then.Due)
	case w.flips:
		w.Then = "the duty would not arise: " + then.NotApplicableBecause
	case !w.Applies:
		return w, false
	case (then.Due == nil) != (now.Due == nil) || then.Due != nil && !then.Due.Equal(*now.Due):
		w.Then = "it would be " + local(then.Due) + " instead of " + local(now.Due)
	case len(then.Assumed) < len(now.Assumed):
		w.Then = "the duty would stand, no longer on an assumption"
	default:
		return w, false
	}
	return w, true
}

// clone copies the facts so far that a candidate may change them; maps are never nil.
func (f Facts) clone() Facts {
	f.Data = slices.Clone(f.Data)
	f.Breach, f.Tests, f.Flags = copyMap(f.Breach), copyMap(f.Tests), copyMap(f.Flags)
	f.Findings, f.Counts = copyMap(f.Findings), copyMap(f.Counts)
	f.People.ByJurisdiction = copyMap(f.People.ByJurisdiction)
	f.Organisation.Size = copyMap(f.Organisation.Size)
	return f
}

func copyMap[V any](m map[string]V) map[string]V {
	if m == nil {
		return map[string]V{}
	}
	return maps.Clone(m)
}
