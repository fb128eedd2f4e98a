package law

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	_ "time/tzdata" // duties must come out the same on a host without zone files
)

// Term is one word of the vocabulary.
type Term struct {
	Title string   `yaml:"title" json:"title"`
	Is    []string `yaml:"is" json:"is,omitempty"`       // wider elements: a passport number is a national_id
	Fides []string `yaml:"fides" json:"fides,omitempty"` // Fides taxonomy keys that mean this element
	Else  []string `yaml:"else" json:"else,omitempty"`   // events that stand in while this one has not been stated
}

// Words are the terms that rules may use. Every rule file can declare more of them for itself.
type Words struct {
	Events   map[string]Term     `yaml:"events"`
	Breach   map[string]Term     `yaml:"breach"`
	Tests    map[string]Term     `yaml:"tests"`
	Flags    map[string]Term     `yaml:"flags"`
	Findings map[string]Term     `yaml:"findings"`
	Elements map[string]Term     `yaml:"elements"`
	Kinds    map[string]Term     `yaml:"kinds"`
	Counts   map[string]Term     `yaml:"counts"`
	Sizes    map[string]Term     `yaml:"sizes"`
	Content  map[string]Term     `yaml:"content"`
	Channels map[string]Term     `yaml:"channels"`
	Groups   map[string][]string `yaml:"groups"`
	SetTexts map[string][]string `yaml:"sets"`
}

// Jurisdiction is a place with its clock and its calendar.
type Jurisdiction struct {
	Code        string            `yaml:"-" json:"code"`
	Name        string            `yaml:"name" json:"name"`
	Zone        string            `yaml:"zone" json:"zone"`         // of the authority's seat
	Calendar    string            `yaml:"calendar" json:"calendar"` // default: the code itself
	Authorities map[string]string `yaml:"authorities" json:"authorities,omitempty"`
	loc         *time.Location
	cal         *Calendar
}

// Vocabulary is every word, place, set and counting preset that rules are written with.
type Vocabulary struct {
	Words
	Places   map[string]*Jurisdiction
	Readings map[string][]Reading
	Sets     map[string][]combo
	zones    map[string]*time.Location
	related  map[[2]string]Answer
}

type section int8

const (
	inBreach section = iota
	inTests
	inFlags
)

func (s section) read(f *Facts, name string) Answer {
	switch s {
	case inBreach:
		return f.Breach[name]
	case inTests:
		return f.Tests[name]
	}
	return f.Flags[name]
}

func (v *Vocabulary) factSection(name string) (section, bool) {
	for i, m := range []map[string]Term{v.Breach, v.Tests, v.Flags} {
		if _, ok := m[name]; ok {
			return section(i), true
		}
	}
	return 0, false
}

// add merges words; a word that is declared twice with another title is an error.
func (v *Vocabulary) add(w *Words) error {
	pairs := []struct {
		to   *map[string]Term
		from map[string]Term
		name string
	}{
		{&v.Events, w.Events, "events"}, {&v.Breach, w.Breach, "breach"}, {&v.Tests, w.Tests, "tests"},
		{&v.Flags, w.Flags, "flags"}, {&v.Findings, w.Findings, "findings"}, {&v.Elements, w.Elements, "elements"},
		{&v.Kinds, w.Kinds, "kinds"}, {&v.Counts, w.Counts, "counts"}, {&v.Sizes, w.Sizes, "sizes"},
		{&v.Content, w.Content, "content"}, {&v.Channels, w.Channels, "channels"},
	}
	for _, p := range pairs {
		if *p.to == nil {
			*p.to = map[string]Term{}
		}
		for k, t := range p.from {
			if old, ok := (*p.to)[k]; ok && old.Title != t.Title {
				return fmt.Errorf("%s.%s is declared twice with different titles", p.name, k)
			}
			if t.Title == "" {
				return fmt.Errorf("%s.%s has no title", p.name, k)
			}
			(*p.to)[k] = t
		}
	}
	if v.Groups == nil {
		v.Groups, v.SetTexts = map[string][]string{}, map[string][]string{}
	}
	for k, g := range w.Groups {
		if _, ok := v.Groups[k]; ok {
			return fmt.Errorf("group %s is declared twice", k)
		}
		v.Groups[k] = g
	}
	for k, s := range w.SetTexts {
		if old, ok := v.SetTexts[k]; ok && !slices.Equal(old, s) {
			return fmt.Errorf("set %s is declared twice", k)
		}
		v.SetTexts[k] = s
	}
	return nil
}

// resolve reads the sets and checks that every word they and the elements lean on exists.
func (v *Vocabulary) resolve() error {
	v.Sets = map[string][]combo{}
	var build func(name string, seen []string) error
	build = func(name string, seen []string) error {
		if v.Sets[name] != nil {
			return nil
		}
		if slices.Contains(seen, name) {
			return fmt.Errorf("set %s contains itself", name)
		}
		var out []combo
		for _, text := range v.SetTexts[name] {
			if _, ok := v.SetTexts[text]; ok {
				if err := build(text, append(seen, name)); err != nil {
					return err
				}
			}
			words, err := split(text)
			if err != nil {
				return fmt.Errorf("set %s: %w", name, err)
			}
			p := &parser{voc: v, words: words}
			cs, err := p.combos()
			if err != nil || p.pos < len(words) {
				return fmt.Errorf("set %s: cannot read %q: %w", name, text, err)
			}
			out = append(out, cs...)
		}
		v.Sets[name] = out
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(v.SetTexts)) {
		if err := build(name, nil); err != nil {
			return err
		}
	}
	for k, t := range v.Elements {
		for _, w := range t.Is {
			if _, ok := v.Elements[w]; !ok {
				return fmt.Errorf("element %s is said to be a %q, which is not in the vocabulary", k, w)
			}
		}
	}
	for k, t := range v.Events {
		for _, w := range t.Else {
			if _, ok := v.Events[w]; !ok {
				return fmt.Errorf("event %s falls back to %q, which is not in the vocabulary", k, w)
			}
		}
	}
	for k, g := range v.Groups {
		for _, c := range g {
			if !v.place(c) {
				return fmt.Errorf("group %s names %q, which is no jurisdiction or group", k, c)
			}
		}
	}
	v.relate()
	return nil
}

// relate works out once how every element stands to every other.
func (v *Vocabulary) relate() {
	v.related = map[[2]string]Answer{}
	var up func(from, at string)
	up = func(from, at string) {
		v.related[[2]string{from, at}] = Yes
		if from != at && v.related[[2]string{at, from}] == Unknown {
			v.related[[2]string{at, from}] = Unknown // a wider word may mean this one
		}
		for _, w := range v.Elements[at].Is {
			up(from, w)
		}
	}
	for k := range v.Elements {
		up(k, k)
		v.related[[2]string{"unknown", k}] = Unknown
	}
}

// holds reports whether a list of elements includes el ("" for anything at all).
func (v *Vocabulary) holds(elements []string, el string) Answer {
	out := No
	for _, x := range elements {
		if el == "" {
			return Yes
		}
		if a, ok := v.related[[2]string{x, el}]; ok {
			out = max(out, a)
		}
	}
	return out
}

// element returns the vocabulary's word for an element of a facts document, which may be a Fides key.
func (v *Vocabulary) element(name string) string {
	if !strings.Contains(name, ".") {
		return name
	}
	best, length := "other", 0
	for k, t := range v.Elements {
		for _, f := range t.Fides {
			if (name == f || strings.HasPrefix(name, f+".")) && (len(f) > length || len(f) == length && k < best) {
				best, length = k, len(f)
			}
		}
	}
	return best
}

func (v *Vocabulary) place(code string) bool {
	if v.Places[code] != nil {
		return true
	}
	_, ok := v.Groups[code]
	return ok
}

// expand replaces groups by their members, in order, without repeating any.
func (v *Vocabulary) expand(codes []string) []string {
	var out []string
	for _, c := range codes {
		list := []string{c}
		if g, ok := v.Groups[c]; ok {
			list = v.expand(g)
		}
		for _, x := range list {
			if !slices.Contains(out, x) {
				out = append(out, x)
			}
		}
	}
	return out
}

// within reports whether place is code itself or one of its subdivisions.
func within(place, code string) bool {
	return place == code || len(place) > len(code) && strings.HasPrefix(place, code) && place[len(code)] == '-'
}

// zone returns a location by name; places' zones are kept, others are loaded each time.
func (v *Vocabulary) zone(name string) *time.Location {
	if l := v.zones[name]; l != nil {
		return l
	}
	l, err := time.LoadLocation(name)
	if err != nil {
		return time.UTC
	}
	return l
}
