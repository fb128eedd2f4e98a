package law

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The trigger language. A condition reads like the sentence a lawyer would say:
//
//	(confidentiality or integrity or availability) and not risk is unlikely
//	exposed data has any of [name + national_id, username + password] and people here >= 500
//	classified_major > aware + 24h
//
// Every name must stand in the vocabulary, or the rule does not load. Evaluation is three-valued:
// what is not known stays unknown and the engine then takes the side on which the duty arises.

// expr is a parsed condition.
type expr interface {
	eval(e *env) Answer
	// show prints the condition with the value of each of its facts.
	leaves(fn func(leaf))
	String() string
}

// leaf is a condition without and, or, not: the smallest thing that a fact can change.
type leaf interface {
	expr
	// fact says what the facts document holds for this leaf, in words.
	fact(e *env) string
}

type (
	andExpr    []expr
	orExpr     []expr
	notExpr    struct{ x expr }
	surelyExpr struct{ x expr }
)

func (x andExpr) eval(e *env) Answer {
	out := Yes
	for _, y := range x {
		if out = min(out, y.eval(e)); out == No {
			return No
		}
	}
	return out
}

func (x orExpr) eval(e *env) Answer {
	out := No
	for _, y := range x {
		if out = max(out, y.eval(e)); out == Yes {
			return Yes
		}
	}
	return out
}

func (x notExpr) eval(e *env) Answer { return -x.x.eval(e) }

func (x surelyExpr) eval(e *env) Answer {
	if x.x.eval(e) == Yes {
		return Yes
	}
	return No
}

func (x andExpr) leaves(fn func(leaf))    { each(x, fn) }
func (x orExpr) leaves(fn func(leaf))     { each(x, fn) }
func (x notExpr) leaves(fn func(leaf))    { x.x.leaves(fn) }
func (x surelyExpr) leaves(fn func(leaf)) { x.x.leaves(fn) }

func each(xs []expr, fn func(leaf)) {
	for _, x := range xs {
		x.leaves(fn)
	}
}

func (x andExpr) String() string    { return joinExpr(x, " and ") }
func (x orExpr) String() string     { return "(" + joinExpr(x, " or ") + ")" }
func (x notExpr) String() string    { return "not " + grouped(x.x) }
func (x surelyExpr) String() string { return "surely " + grouped(x.x) }

// grouped puts brackets around what «not» and «surely» would otherwise take apart.
func grouped(x expr) string {
	if _, ok := x.(andExpr); ok {
		return "(" + x.String() + ")"
	}
	return x.String()
}

func joinExpr(xs []expr, sep string) string {
	parts := make([]string, len(xs))
	for i, x := range xs {
		parts[i] = x.String()
	}
	return strings.Join(parts, sep)
}

// parser reads one condition. Errors name the word at which reading stopped.
type parser struct {
	voc   *Vocabulary
	words []string
	pos   int
}

const maxCondition = 4000 // characters; longer conditions belong in a named set

func parseExpr(text string, voc *Vocabulary) (expr, error) {
	if len(text) > maxCondition {
		return nil, fmt.Errorf("condition longer than %d characters; name a set instead", maxCondition)
	}
	words, err := split(text)
	if err != nil {
		return nil, err
	}
	p := &parser{voc: voc, words: words}
	x, err := p.or()
	if err == nil && p.pos < len(p.words) {
		err = fmt.Errorf("did not expect %q", p.words[p.pos])
	}
	if err != nil {
		return nil, fmt.Errorf("condition %q: %w", text, err)
	}
	return x, nil
}

// split cuts a condition into words and signs.
func split(text string) ([]string, error) {
	var out []string
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c == ' ' || c == '\n' || c == '\t' || c == '\r':
			i++
		case strings.IndexByte("()[],+", c) >= 0:
			out = append(out, string(c))
			i++
		case c == '>' || c == '<':
			n := 1
			if i+1 < len(text) && text[i+1] == '=' {
				n = 2
			}
			out = append(out, text[i:i+n])
			i += n
		case wordByte(c):
			j := i
			for j < len(text) && wordByte(text[j]) {
				j++
			}
			out = append(out, text[i:j])
			i = j
		default:
			return nil, fmt.Errorf("condition %q: sign %q is not part of the language", text, c)
		}
	}
	return out, nil
}

func wordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' || c == '.'
}

func (p *parser) peek() string {
	if p.pos < len(p.words) {
		return p.words[p.pos]
	}
	return ""
}

func (p *parser) take(w string) bool {
	if p.peek() == w {
		p.pos++
		return true
	}
	return false
}

func (p *parser) next() string {
	w := p.peek()
	p.pos++
	return w
}

func (p *parser) or() (expr, error) {
	x, err := p.and()
	if err != nil || p.peek() != "or" {
		return x, err
	}
	out := orExpr{x}
	for p.take("or") {
		if x, err = p.and(); err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	return out, nil
}

func (p *parser) and() (expr, error) {
	x, err := p.not()
	if err != nil || p.peek() != "and" {
		return x, err
	}
	out := andExpr{x}
	for p.take("and") {
		if x, err = p.not(); err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	return out, nil
}

func (p *parser) not() (expr, error) {
	switch {
	case p.take("not"):
		x, err := p.not()
		return notExpr{x}, err
	case p.take("surely"):
		x, err := p.not()
		return surelyExpr{x}, err
	case p.take("("):
		x, err := p.or()
		if err == nil && !p.take(")") {
			err = fmt.Errorf("missing ) before %q", p.peek())
		}
		return x, err
	}
	return p.leaf()
}

func (p *parser) leaf() (expr, error) {
	w := p.next()
	switch w {
	case "":
		return nil, fmt.Errorf("ends where a fact was expected")
	case "always":
		return always{}, nil
	case "risk":
		return p.risk()
	case "people", "count", "size":
		return p.count(w)
	case "exposed", "electronic", "paper", "data":
		return p.data(w)
	case "organisation":
		return p.organisation()
	case "role":
		if !p.take("is") {
			return nil, fmt.Errorf("write «role is controller»")
		}
		return roleLeaf{p.next()}, nil
	case "finding":
		return p.finding()
	case "done":
		return doneLeaf{p.next()}, nil
	case "hold":
		return holdLeaf{p.next()}, nil
	case "established":
		return p.place("established in", func(codes []string) expr { return establishedLeaf{codes} })
	case "here":
		return p.place("here in", func(codes []string) expr { return hereLeaf{codes} })
	}
	if _, ok := p.voc.Events[w]; ok {
		return p.event(w)
	}
	if sec, ok := p.voc.factSection(w); ok {
		return factLeaf{name: w, section: sec}, nil
	}
	return nil, fmt.Errorf("%q is neither a fact, a test, a flag nor an event of the vocabulary", w)
}

func (p *parser) risk() (expr, error) {
	op := p.next()
	switch op {
	case "is", ">=", ">", "<", "<=":
	default:
		return nil, fmt.Errorf("write «risk is high», «risk >= risk», got %q", op)
	}
	level := slices.Index(riskLevels, p.next())
	if level < 0 {
		return nil, fmt.Errorf("risk levels are %s", strings.Join(riskLevels, ", "))
	}
	return riskLeaf{op: op, level: level}, nil
}

var riskLevels = []string{"unlikely", "risk", "high"}

func (p *parser) count(what string) (expr, error) {
	c := countLeaf{what: what, where: "here"}
	switch what {
	case "people":
		switch w := p.peek(); {
		case w == "here" || w == "total":
			c.where = p.next()
		case w == "in":
			p.pos++
			c.where = p.next()
			if !p.voc.place(c.where) {
				return nil, fmt.Errorf("%q is no jurisdiction or group", c.where)
			}
		}
	default:
		c.where = p.next()
		if known := map[string]map[string]Term{"count": p.voc.Counts, "size": p.voc.Sizes}[what]; known[c.where].Title == "" {
			return nil, fmt.Errorf("%s %q is not in the vocabulary", what, c.where)
		}
	}
	c.op = p.next()
	if !slices.Contains([]string{">", ">=", "<", "<="}, c.op) {
		return nil, fmt.Errorf("a count is compared with > >= < <=, got %q", c.op)
	}
	n, err := strconv.Atoi(strings.ReplaceAll(p.next(), "_", ""))
	if err != nil {
		return nil, fmt.Errorf("a count is compared with a number")
	}
	c.n = n
	return c, nil
}

func (p *parser) data(w string) (expr, error) {
	d := dataLeaf{voc: p.voc, key: new(byte)}
	for ; w != "data"; w = p.next() {
		switch w {
		case "exposed":
			d.exposed = true
		case "electronic", "paper":
			d.form = w
		default:
			return nil, fmt.Errorf("before «data» stand exposed, electronic or paper, got %q", w)
		}
	}
	if !p.take("has") {
		return nil, fmt.Errorf("write «data has name + password» or «data has any of […]»")
	}
	if p.take("anything") {
		d.any = []combo{{}}
		return d, nil
	}
	if !p.take("any") {
		cs, err := p.combos()
		d.any = cs
		return d, err
	}
	if !p.take("of") || !p.take("[") {
		return nil, fmt.Errorf("write «any of [name + national_id, …]»")
	}
	for {
		cs, err := p.combos()
		if err != nil {
			return nil, err
		}
		d.any = append(d.any, cs...)
		if p.take("]") {
			return d, nil
		}
		if !p.take(",") {
			return nil, fmt.Errorf("missing , or ] before %q", p.peek())
		}
	}
}

// combo is a combination of data elements that count together, such as name + national_id.
type combo []string

// combos reads one combination, or the name of a set, which stands for several.
func (p *parser) combos() ([]combo, error) {
	if set, ok := p.voc.Sets[p.peek()]; ok {
		p.pos++
		return set, nil
	}
	var c combo
	for {
		w := p.next()
		if _, ok := p.voc.Elements[w]; !ok {
			return nil, fmt.Errorf("data element or set %q is not in the vocabulary", w)
		}
		c = append(c, w)
		if !p.take("+") {
			return []combo{c}, nil
		}
	}
}

// words reads one word or a list in brackets.
func (p *parser) list() ([]string, error) {
	if !p.take("[") {
		return []string{p.next()}, nil
	}
	var out []string
	for {
		out = append(out, p.next())
		if p.take("]") {
			return out, nil
		}
		if !p.take(",") {
			return nil, fmt.Errorf("missing , or ] before %q", p.peek())
		}
	}
}

func (p *parser) organisation() (expr, error) {
	if !p.take("is") {
		return nil, fmt.Errorf("write «organisation is credit-institution»")
	}
	if p.take("any") {
		p.take("of")
	}
	kinds, err := p.list()
	for _, k := range kinds {
		if p.voc.Kinds[k].Title == "" {
			return nil, fmt.Errorf("kind of organisation %q is not in the vocabulary", k)
		}
	}
	return kindLeaf{kinds}, err
}

func (p *parser) finding() (expr, error) {
	f := findingLeaf{name: p.next()}
	if p.voc.Findings[f.name].Title == "" {
		return nil, fmt.Errorf("finding %q is not in the vocabulary", f.name)
	}
	if p.take("with") {
		var err error
		if f.evidence, err = p.list(); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (p *parser) place(form string, mk func([]string) expr) (expr, error) {
	if !p.take("in") {
		return nil, fmt.Errorf("write «%s eea» or «%s [DE, FR]»", form, form)
	}
	codes, err := p.list()
	if err != nil {
		return nil, err
	}
	for _, c := range codes {
		if !p.voc.place(c) {
			return nil, fmt.Errorf("%q is no jurisdiction or group", c)
		}
	}
	return mk(p.voc.expand(codes)), nil
}

func (p *parser) event(kind string) (expr, error) {
	if p.take("stated") {
		return statedLeaf{kind}, nil
	}
	x := compareLeaf{left: kind, op: p.next()}
	if !slices.Contains([]string{">", ">=", "<", "<="}, x.op) {
		return nil, fmt.Errorf("after the event %s write «stated» or a comparison with another event", kind)
	}
	x.right = p.next()
	if _, ok := p.voc.Events[x.right]; !ok {
		return nil, fmt.Errorf("event %q is not in the vocabulary", x.right)
	}
	if p.take("+") {
		d := p.next()
		n, err := strconv.Atoi(strings.TrimRight(d, "hd"))
		if err != nil || n < 0 {
			return nil, fmt.Errorf("write a span as 24h or 14d, got %q", d)
		}
		x.plus = time.Duration(n) * time.Hour
		if strings.HasSuffix(d, "d") {
			x.plus *= 24
		}
	}
	return x, nil
}
