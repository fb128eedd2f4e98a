package inventory

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"tocsin.dev/pkg/event"
)

// maxFilters bounds the distinct conditions of one question: each costs a
// scratch array.
const maxFilters = 64

// channelNames are the channels by bit.
var channelNames = [...]string{"email", "sms", "post", "fax"}

// filter is an event.Only against the columns. Nil lets everything pass.
type filter struct {
	jurisdictions []bool // by index into the terms
	relations     []bool
	ages          []bool
	channels      uint8 // one of these bits is enough
}

func (f *filter) passes(a attribute) bool {
	return (f.jurisdictions == nil || f.jurisdictions[a.jurisdiction]) &&
		(f.relations == nil || f.relations[a.class>>classRelation&7]) &&
		(f.ages == nil || f.ages[a.class&3]) &&
		(f.channels == 0 || f.channels&a.channels != 0)
}

// filter resolves what the exposures are limited to and returns for each the
// index of its filter.
func (p *plan) filter(h head, exposures []event.Exposure) ([]int, error) {
	index := make([]int, len(exposures))
	var seen []*event.Only
	for i, e := range exposures {
		if e.Only == nil || reflect.DeepEqual(*e.Only, event.Only{}) {
			continue
		}
		at := slices.IndexFunc(seen, func(o *event.Only) bool { return reflect.DeepEqual(o, e.Only) })
		if at < 0 {
			f, err := newFilter(h, e.Only)
			if err != nil {
				return nil, fmt.Errorf("%w: %q: %w", ErrExposure, clip(e.Dataset), err)
			}
			if len(p.filters) == 0 {
				p.filters = []filter{{}}
			}
			if len(seen) == maxFilters {
				return nil, fmt.Errorf("%w: more than %d different conditions on people", ErrExposure, maxFilters)
			}
			at, seen, p.filters = len(seen), append(seen, e.Only), append(p.filters, f)
		}
		index[i] = at + 1
	}
	return index, nil
}

func newFilter(h head, o *event.Only) (f filter, err error) {
	if f.relations, err = chosen("relation", relations[:], 8, o.Relations); err != nil {
		return f, err
	}
	if f.ages, err = chosen("age class", ageClasses[:], 4, o.AgeClasses); err != nil {
		return f, err
	}
	bits, err := chosen("channel", channelNames[:], len(channelNames), o.Channels)
	if err != nil {
		return f, err
	}
	for bit, is := range bits {
		if is {
			f.channels |= 1 << bit
		}
	}
	if len(o.Jurisdictions) == 0 {
		return f, nil
	}
	// A code nobody lives in is no fault: it reaches nobody.
	f.jurisdictions = make([]bool, len(h.terms.Jurisdictions))
	for i, term := range h.terms.Jurisdictions {
		f.jurisdictions[i] = slices.ContainsFunc(o.Jurisdictions, func(code string) bool {
			return code == term || len(code) == 2 && strings.HasPrefix(term, code+"-")
		})
	}
	return f, nil
}

// chosen marks the words that are asked for, or returns nil if none are.
func chosen(what string, words []string, size int, asked []string) ([]bool, error) {
	if len(asked) == 0 {
		return nil, nil
	}
	out := make([]bool, size)
	for _, word := range asked {
		i := slices.Index(words, word)
		if i < 0 {
			return nil, fmt.Errorf("%s %q is none of %s", what, clip(word), strings.Join(words, ", "))
		}
		out[i] = true
	}
	return out, nil
}

// sift takes out of every group whom its filter leaves out, and makes the whole
// from what is left. It runs when duplicates are joined, so that a person is
// judged by all that is known of them.
func (f *found) sift(p *plan) {
	for i := range f.exposed {
		if f.exposed[i] == 0 {
			continue
		}
		a := f.attribute(i)
		f.exposed[i], f.ring[i] = 0, 0
		for g, scratch := range f.groups {
			switch group := &p.groups[g]; {
			case scratch[i] == 0:
			case p.filters[group.only].passes(a):
				f.exposed[i] |= scratch[i]
				f.ring[i] = max(f.ring[i], group.ring)
			default:
				scratch[i] = 0
			}
		}
	}
}

// passes reports whether a person with an attribute is exposed by any group.
func (f *found) passes(p *plan, low uint16) bool {
	if p.filters == nil {
		return f.exposed[low] != 0
	}
	a := f.attribute(int(low))
	for g, scratch := range f.groups {
		if scratch[low] != 0 && p.filters[p.groups[g].only].passes(a) {
			return true
		}
	}
	return false
}

func (f *found) attribute(i int) attribute {
	if !f.attrs.has(uint16(i)) {
		return attribute{}
	}
	return f.attrs.at(i)
}
