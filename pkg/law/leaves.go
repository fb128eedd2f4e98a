package law

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// leaf kinds of the trigger language and how each reads the facts.
type (
	always   struct{}
	factLeaf struct {
		name    string
		section section
	}
	riskLeaf struct {
		op    string
		level int
	}
	countLeaf struct {
		what, where, op string
		n               int
	}
	dataLeaf struct {
		voc     *Vocabulary
		exposed bool
		form    string
		any     []combo
		key     *byte // under which a run keeps the answer, which is the same everywhere
	}
	kindLeaf    struct{ kinds []string }
	roleLeaf    struct{ role string }
	findingLeaf struct {
		name     string
		evidence []string
	}
	doneLeaf        struct{ duty string }
	holdLeaf        struct{ kind string }
	establishedLeaf struct{ codes []string }
	hereLeaf        struct{ codes []string }
	statedLeaf      struct{ kind string }
	compareLeaf     struct {
		left, op, right string
		plus            time.Duration
	}
)

func truth(b bool) Answer {
	if b {
		return Yes
	}
	return No
}

func (always) eval(*env) Answer       { return Yes }
func (x always) leaves(fn func(leaf)) { fn(x) }
func (always) String() string         { return "always" }
func (always) fact(*env) string       { return "every case" }

func (x factLeaf) eval(e *env) Answer   { return x.section.read(e.f, x.name) }
func (x factLeaf) leaves(fn func(leaf)) { fn(x) }
func (x factLeaf) String() string       { return x.name }
func (x factLeaf) fact(e *env) string {
	by := e.f.StatedBy[x.name]
	if by != "" {
		by = " (stated by " + by + ")"
	}
	return e.title(x.name) + ": " + x.eval(e).String() + by
}

func (x riskLeaf) eval(e *env) Answer {
	have := slices.Index(riskLevels, e.f.Risk.Level)
	if have < 0 {
		return Unknown
	}
	if x.op == "is" {
		return truth(have == x.level)
	}
	return compareInts(have, have, x.op, x.level)
}
func (x riskLeaf) leaves(fn func(leaf)) { fn(x) }
func (x riskLeaf) String() string       { return "risk " + x.op + " " + riskLevels[x.level] }
func (x riskLeaf) fact(e *env) string {
	level := e.f.Risk.Level
	if level == "" {
		level = "unknown"
	}
	if e.f.Risk.By != "" {
		level += " (assessed by " + e.f.Risk.By + ")"
	}
	return "risk to people: " + level
}

// compareInts compares a number known to lie in lo..hi with n.
func compareInts(lo, hi int, op string, n int) Answer {
	switch op {
	case ">":
		n++
	case "<":
		return -compareInts(lo, hi, ">=", n)
	case "<=":
		return -compareInts(lo, hi, ">=", n+1)
	}
	switch {
	case lo >= n:
		return Yes
	case hi < n:
		return No
	}
	return Unknown
}

func (x countLeaf) count(e *env) Count {
	switch x.what {
	case "count":
		return e.f.Counts[x.where]
	case "size":
		return e.f.Organisation.Size[x.where]
	}
	switch x.where {
	case "total":
		return e.total()
	case "here":
		return e.peopleIn(e.here.Code)
	}
	sum := Exactly(0)
	for _, code := range e.rules.voc.expand([]string{x.where}) {
		c := e.peopleIn(code)
		lo, hi := c.bounds()
		sum.Min, sum.Max = sum.Min+lo, min(many, sum.Max+hi)
	}
	return sum
}
func (x countLeaf) eval(e *env) Answer {
	lo, hi := x.count(e).bounds()
	return compareInts(lo, hi, x.op, x.n)
}
func (x countLeaf) leaves(fn func(leaf)) { fn(x) }
func (x countLeaf) String() string {
	where := x.where
	if x.what == "people" && where != "here" && where != "total" {
		where = "in " + where
	}
	return fmt.Sprintf("%s %s %s %d", x.what, where, x.op, x.n)
}
func (x countLeaf) fact(e *env) string {
	where := x.where
	if where == "here" {
		where = "in " + e.here.Name
	}
	return fmt.Sprintf("%s %s: %s", x.what, where, x.count(e))
}

func (x dataLeaf) eval(e *env) Answer {
	out, ok := e.held[x.key]
	if !ok {
		out = x.read(e)
		e.held[x.key] = out
	}
	return out
}

func (x dataLeaf) read(e *env) Answer {
	if len(e.f.Data) == 0 {
		return Unknown
	}
	out := No
	for _, c := range x.any {
		all := Yes
		if len(c) == 0 {
			all = x.has(e, "")
		}
		for _, el := range c {
			if all = min(all, x.has(e, el)); all == No {
				break
			}
		}
		if out = max(out, all); out == Yes {
			return Yes
		}
	}
	return out
}

// has reports whether any matching group holds the element, itself, a narrower one, or (perhaps) a wider one.
func (x dataLeaf) has(e *env, el string) Answer {
	out := No
	for i := range e.f.Data {
		g := &e.f.Data[i]
		fits := Yes
		if x.exposed {
			fits = g.exposed()
		}
		if x.form != "" {
			switch g.Form {
			case "":
				fits = min(fits, Unknown)
			case x.form:
			default:
				fits = No
			}
		}
		if fits == No {
			continue
		}
		out = max(out, min(fits, x.voc.holds(g.Elements, el)))
	}
	return out
}

// exposed reports whether the group could be read by whoever got it. Encryption protects only while the
// key is safe; what was not said of encryption or key stays unknown and so counts as readable.
func (g *DataGroup) exposed() Answer {
	if g.Redacted == Yes || g.Public == Yes {
		return No
	}
	return -min(g.Encrypted, g.KeySafe)
}

func (x dataLeaf) leaves(fn func(leaf)) { fn(x) }
func (x dataLeaf) String() string {
	words := []string{}
	if x.exposed {
		words = append(words, "exposed")
	}
	if x.form != "" {
		words = append(words, x.form)
	}
	parts := make([]string, len(x.any))
	for i, c := range x.any {
		parts[i] = strings.Join(c, " + ")
		if len(c) == 0 {
			parts[i] = "anything"
		}
	}
	s := strings.Join(append(words, "data has "), " ")
	if len(parts) == 1 {
		return s + parts[0]
	}
	return s + "any of [" + strings.Join(parts, ", ") + "]"
}
func (x dataLeaf) fact(e *env) string {
	if e.run.data == "" {
		e.run.data = e.f.dataInWords()
	}
	return e.run.data
}

func (f *Facts) dataInWords() string {
	if len(f.Data) == 0 {
		return "data: unknown"
	}
	var b strings.Builder
	b.WriteString("data:")
	for i, g := range f.Data {
		if i > 0 {
			b.WriteString(";")
		}
		b.WriteString(" " + strings.Join(g.Elements, ", "))
		switch g.exposed() {
		case Yes:
			b.WriteString(" (readable)")
		case No:
			b.WriteString(" (protected)")
		default:
			b.WriteString(" (protection not proven)")
		}
	}
	return b.String()
}

func (x kindLeaf) eval(e *env) Answer {
	out := No
	for _, k := range x.kinds {
		out = max(out, e.kind(k))
	}
	return out
}
func (x kindLeaf) leaves(fn func(leaf)) { fn(x) }
func (x kindLeaf) String() string       { return "organisation is " + strings.Join(x.kinds, " or ") }
func (x kindLeaf) fact(e *env) string {
	return "organisation is " + strings.Join(x.kinds, " or ") + ": " + x.eval(e).String()
}

func (x roleLeaf) eval(e *env) Answer   { return truth(e.hasRole(x.role)) }
func (x roleLeaf) leaves(fn func(leaf)) { fn(x) }
func (x roleLeaf) String() string       { return "role is " + x.role }
func (x roleLeaf) fact(e *env) string   { return "role is " + x.role + ": " + x.eval(e).String() }

func (x findingLeaf) eval(e *env) Answer {
	d, ok := e.f.Findings[x.name]
	if !ok || !e.covers(d.Jurisdictions) {
		return Unknown
	}
	if d.Value != Yes {
		return d.Value
	}
	for _, ev := range x.evidence {
		if !slices.Contains(d.Evidence, ev) {
			return Unknown
		}
	}
	return Yes
}
func (x findingLeaf) leaves(fn func(leaf)) { fn(x) }
func (x findingLeaf) String() string {
	if len(x.evidence) == 0 {
		return "finding " + x.name
	}
	return "finding " + x.name + " with [" + strings.Join(x.evidence, ", ") + "]"
}
func (x findingLeaf) fact(e *env) string {
	d, ok := e.f.Findings[x.name]
	if !ok || !e.covers(d.Jurisdictions) {
		return "finding " + x.name + ": none recorded"
	}
	s := "finding " + x.name + ": " + d.Value.String()
	for _, ev := range x.evidence {
		if !slices.Contains(d.Evidence, ev) {
			s += ", evidence missing: " + ev
		}
	}
	return s
}

func (x doneLeaf) eval(e *env) Answer {
	_, ok := e.done(x.duty)
	return truth(ok)
}
func (x doneLeaf) leaves(fn func(leaf)) { fn(x) }
func (x doneLeaf) String() string       { return "done " + x.duty }
func (x doneLeaf) fact(e *env) string   { return x.duty + " done: " + x.eval(e).String() }

func (x holdLeaf) eval(e *env) Answer {
	for i := range e.f.Holds {
		if h := &e.f.Holds[i]; h.Kind == x.kind && e.covers(h.Jurisdictions) {
			return Yes
		}
	}
	return No
}
func (x holdLeaf) leaves(fn func(leaf)) { fn(x) }
func (x holdLeaf) String() string       { return "hold " + x.kind }
func (x holdLeaf) fact(e *env) string   { return "hold " + x.kind + ": " + x.eval(e).String() }

func (x establishedLeaf) eval(e *env) Answer {
	for _, s := range e.f.Organisation.Establishments {
		for _, c := range x.codes {
			if within(s.Jurisdiction, c) {
				return Yes
			}
		}
	}
	return No
}
func (x establishedLeaf) leaves(fn func(leaf)) { fn(x) }
func (x establishedLeaf) String() string       { return "established in " + short(x.codes) }
func (x establishedLeaf) fact(e *env) string {
	return "established in " + short(x.codes) + ": " + x.eval(e).String()
}

func short(codes []string) string {
	if len(codes) > 4 {
		return strings.Join(codes[:3], ", ") + " …"
	}
	return strings.Join(codes, ", ")
}

func (x hereLeaf) eval(e *env) Answer   { return truth(slices.Contains(x.codes, e.here.Code)) }
func (x hereLeaf) leaves(fn func(leaf)) { fn(x) }
func (x hereLeaf) String() string       { return "here in " + short(x.codes) }
func (x hereLeaf) fact(e *env) string   { return "jurisdiction: " + e.here.Name }

func (x statedLeaf) eval(e *env) Answer {
	_, ok := e.event(x.kind)
	return truth(ok)
}
func (x statedLeaf) leaves(fn func(leaf)) { fn(x) }
func (x statedLeaf) String() string       { return x.kind + " stated" }
func (x statedLeaf) fact(e *env) string   { return e.title(x.kind) + " stated: " + x.eval(e).String() }

// eval of a comparison is unknown while one of the events has not been stated.
func (x compareLeaf) eval(e *env) Answer {
	l, ok1 := e.anchorEvent(x.left, false)
	r, ok2 := e.anchorEvent(x.right, false)
	if !ok1 || !ok2 {
		return Unknown
	}
	c := l.At.Compare(r.At.Add(x.plus))
	switch x.op {
	case ">":
		return truth(c > 0)
	case ">=":
		return truth(c >= 0)
	case "<":
		return truth(c < 0)
	}
	return truth(c <= 0)
}
func (x compareLeaf) leaves(fn func(leaf)) { fn(x) }
func (x compareLeaf) String() string {
	s := x.left + " " + x.op + " " + x.right
	if x.plus > 0 {
		s += fmt.Sprintf(" + %dh", int(x.plus.Hours()))
	}
	return s
}
func (x compareLeaf) fact(e *env) string { return x.String() + ": " + x.eval(e).String() }
