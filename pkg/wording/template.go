package wording

import (
	"errors"
	"fmt"
	"strings"

	"tocsin.dev/pkg/category"
	"tocsin.dev/pkg/event"
)

// Template is a compiled text.
type Template struct {
	Key     event.TextKey
	subject []node
	body    []node
	// conditions are the distinct conditions of the text, at most 63.
	conditions []Condition
	fields     []Field
}

// node is literal text, a field, or a conditional part.
type node struct {
	literal string
	field   Field
	// cond is the index of the condition in Template.conditions, or -1.
	cond    int
	negated bool
	body    []node
}

// maxConditions bounds the variants key to one machine word.
const maxConditions = 63

// ErrSyntax means that a text does not compile; the message names the line.
var ErrSyntax = errors.New("wording syntax")

// Compile parses a text. It refuses fields and conditions outside the closed
// list, unclosed parts, and a subject that spans lines; the error names the line.
func Compile(key event.TextKey, subject, body string) (*Template, error) {
	if strings.ContainsAny(subject, "\r\n") {
		return nil, fmt.Errorf("%w: the subject of %s spans several lines", ErrSyntax, key)
	}
	t := &Template{Key: key}
	var err error
	if t.subject, err = t.parse(subject, "subject"); err != nil {
		return nil, err
	}
	if t.body, err = t.parse(strings.ReplaceAll(body, "\r\n", "\n"), "line"); err != nil {
		return nil, err
	}
	return t, nil
}

// Conditions returns the distinct conditions the text branches on.
func (t *Template) Conditions() []Condition { return t.conditions }

// Fields returns the distinct merge fields the text uses.
func (t *Template) Fields() []Field { return t.fields }

type parser struct {
	t     *Template
	rest  string
	where string
	line  int
}

func (t *Template) parse(src, where string) ([]node, error) {
	p := &parser{t: t, rest: src, where: where, line: 1}
	nodes, end, err := p.nodes(0)
	if err == nil && end != "" {
		err = p.errorf("{{%s}} closes nothing", end)
	}
	return nodes, err
}

func (p *parser) errorf(format string, args ...any) error {
	return fmt.Errorf("%w: %s %d of %s: %s", ErrSyntax, p.where, p.line, p.t.Key, fmt.Sprintf(format, args...))
}

// nodes parses until the end of the text or a closing tag, which it returns.
func (p *parser) nodes(depth int) (out []node, end string, err error) {
	if depth > 8 {
		return nil, "", p.errorf("conditional parts are nested more than 8 deep")
	}
	for p.rest != "" {
		open := strings.Index(p.rest, "{{")
		if open < 0 {
			out = append(out, p.literal(len(p.rest)))
			break
		}
		if open > 0 {
			out = append(out, p.literal(open))
		}
		tag, err := p.tag()
		if err != nil {
			return nil, "", err
		}
		if strings.HasPrefix(tag, "/") {
			return out, tag, nil
		}
		n, err := p.node(tag, depth)
		if err != nil {
			return nil, "", err
		}
		out = append(out, n)
	}
	return out, "", nil
}

func (p *parser) literal(n int) node {
	s := p.rest[:n]
	p.rest = p.rest[n:]
	p.line += strings.Count(s, "\n")
	return node{literal: s, cond: -1}
}

func (p *parser) tag() (string, error) {
	end := strings.Index(p.rest, "}}")
	if end < 0 || strings.Contains(p.rest[:end], "\n") {
		return "", p.errorf("{{ is not closed by }} on its line")
	}
	tag := strings.Join(strings.Fields(p.rest[2:end]), " ")
	p.rest = p.rest[end+2:]
	return tag, nil
}

func (p *parser) node(tag string, depth int) (node, error) {
	for _, kind := range []string{"if", "unless"} {
		if what, ok := strings.CutPrefix(tag, "#"+kind+" "); ok {
			return p.conditional(kind, what, depth)
		}
	}
	f := Field(tag)
	if !f.known() {
		return node{}, p.errorf("there is no merge field {{%s}}; the closed list is: %s", tag, fieldList())
	}
	p.t.addField(f)
	return node{field: f, cond: -1}, nil
}

func (p *parser) conditional(kind, what string, depth int) (node, error) {
	start := p.line
	c, err := parseCondition(what)
	if err != nil {
		return node{}, p.errorf("%v", err)
	}
	index, err := p.t.addCondition(c)
	if err != nil {
		return node{}, p.errorf("%v", err)
	}
	// The line break right after an opening or closing tag belongs to the tag.
	p.skipNewline()
	body, end, err := p.nodes(depth + 1)
	if err != nil {
		return node{}, err
	}
	if end != "/"+kind {
		return node{}, p.errorf("{{#%s %s}} of line %d is not closed by {{/%s}}", kind, what, start, kind)
	}
	p.skipNewline()
	return node{cond: index, negated: kind == "unless", body: body}, nil
}

func (p *parser) skipNewline() {
	if strings.HasPrefix(p.rest, "\n") {
		p.rest = p.rest[1:]
		p.line++
	}
}

func (t *Template) addField(f Field) {
	for _, have := range t.fields {
		if have == f {
			return
		}
	}
	t.fields = append(t.fields, f)
}

func (t *Template) addCondition(c Condition) (int, error) {
	for i, have := range t.conditions {
		if have == c {
			return i, nil
		}
	}
	if len(t.conditions) == maxConditions {
		return 0, fmt.Errorf("the text has more than %d different conditions", maxConditions)
	}
	t.conditions = append(t.conditions, c)
	return len(t.conditions) - 1, nil
}

// Condition is something a text may branch on: the person's own exposure, age
// class, relation, residency, or whether a name or the source of the address is known.
type Condition struct {
	Kind  string
	Value string
	// categories is the set asked for when Kind is "exposed".
	categories category.Set
}

// String returns the condition as it is written in a text.
func (c Condition) String() string {
	if c.Value == "" {
		return c.Kind
	}
	return c.Kind + "." + c.Value
}

func parseCondition(what string) (Condition, error) {
	switch {
	case what == "person.minor", what == "person.has_name", what == "person.has_source", what == "notice.possible_duplicate":
		return Condition{Kind: what}, nil
	case strings.HasPrefix(what, "exposed."):
		set, err := category.Parse(strings.TrimPrefix(what, "exposed."))
		if err != nil {
			return Condition{}, err
		}
		return Condition{Kind: "exposed", Value: set.String(), categories: set}, nil
	}
	for _, kind := range []string{"person.relation", "person.residency"} {
		if v, ok := strings.CutPrefix(what, kind+"."); ok && v != "" {
			return Condition{Kind: kind, Value: v}, nil
		}
	}
	return Condition{}, fmt.Errorf("there is no condition %q; use exposed.<category>, person.minor, person.has_name, person.has_source, person.relation.<relation>, person.residency.<country or country-state>, or notice.possible_duplicate", what)
}
