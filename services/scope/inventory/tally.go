package inventory

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"math/bits"

	"tocsin.dev/pkg/category"
	"tocsin.dev/pkg/event"
)

// tally adds up the people of a scan.
type tally struct {
	plan         *plan
	people       int64
	erased       int64
	keptTooLong  int64
	jurisdiction []int64
	language     []int64
	channels     [16]int64  // by the bits of the channels
	classes      [256]int64 // by class
	rings        [4]int64
	categories   [32]int64
	groups       map[string][]int64 // by controller, then jurisdiction
	groupPeople  map[string]int64
}

func newTally(h head, p *plan) *tally {
	t := &tally{
		plan: p, jurisdiction: make([]int64, len(h.terms.Jurisdictions)), language: make([]int64, len(h.terms.Languages)),
		groups: map[string][]int64{}, groupPeople: map[string]int64{},
	}
	for _, g := range p.groups {
		t.groups[g.controller] = make([]int64, len(h.terms.Jurisdictions))
	}
	return t
}

// add counts the people of one chunk.
func (t *tally) add(f *found) {
	t.erased += f.erased
	cutoff := uint16(0)
	if f.groups == nil && len(t.plan.groups) == 1 {
		cutoff = t.plan.groups[0].cutoff
	}
	people := f.people()
	t.people += int64(len(people))
	var masks maskCounts
	for _, low := range people {
		masks.count(f.exposed[low])
	}
	masks.addTo(&t.categories)
	t.countAttributes(&f.attrs, people, cutoff)
	if t.plan.rings {
		for _, low := range people {
			t.rings[f.ring[low]]++
		}
	}
	if f.groups != nil {
		t.addGroups(f)
	}
}

// countAttributes goes through the columns one by one: each loop is short and
// reads two columns at most.
func (t *tally) countAttributes(v *attributeView, people []uint16, cutoff uint16) {
	for _, low := range people {
		t.jurisdiction[binary.LittleEndian.Uint16(v.jurisdictions[2*int(low):])]++
	}
	for _, low := range people {
		t.language[binary.LittleEndian.Uint16(v.languages[2*int(low):])]++
	}
	for _, low := range people {
		t.classes[v.classes[low]]++
		t.channels[v.channelBits[low]&15]++
	}
	if cutoff == 0 {
		return
	}
	for _, low := range people {
		// One less wraps the unknown 0 beyond all days, and the sign says earlier:
		// a branch would be mispredicted for every other person.
		active := binary.LittleEndian.Uint16(v.actives[2*int(low):])
		t.keptTooLong += int64(uint32(int32(active-1)-int32(cutoff-1)) >> 31)
	}
}

// reach returns the people by channel, in the order of channelNames, and those without any.
func (t *tally) reach() []int64 {
	out := make([]int64, len(channelNames)+1)
	out[len(channelNames)] = t.channels[0]
	for bits, n := range t.channels {
		for c := range channelNames {
			out[c] += n * int64(bits>>c&1)
		}
	}
	return out
}

// classesBy adds up the classes by some of their bits.
func (t *tally) classesBy(shift, mask int) []int64 {
	out := make([]int64, mask+1)
	for class, n := range t.classes {
		out[class>>shift&mask] += n
	}
	return out
}

// addGroups counts by controller, and those kept too long in any dataset.
func (t *tally) addGroups(f *found) {
	for i := range f.exposed {
		if f.exposed[i] == 0 {
			continue
		}
		kept := false
		attr := f.attrs.at(i)
		counted := map[string]bool{}
		for g, scratch := range f.groups {
			if scratch[i] == 0 {
				continue
			}
			group := t.plan.groups[g]
			kept = kept || attr.lastActive != 0 && attr.lastActive < group.cutoff
			if !counted[group.controller] {
				counted[group.controller] = true
				t.groups[group.controller][attr.jurisdiction]++
				t.groupPeople[group.controller]++
			}
		}
		if kept {
			t.keptTooLong++
		}
	}
}

// maskCounts counts people by category set. Sets are few, so nearly all have a
// place of their own; 0 stands for none.
type maskCounts struct {
	places [256]struct {
		mask uint32
		n    int64
	}
	more map[uint32]int64
}

func (c *maskCounts) count(m uint32) {
	p := &c.places[m*0x9e3779b1>>24]
	if p.mask == m {
		p.n++
		return
	}
	if p.mask == 0 {
		p.mask, p.n = m, 1
		return
	}
	if c.more == nil {
		c.more = map[uint32]int64{}
	}
	c.more[m]++
}

// addTo adds the people to the categories of their sets.
func (c *maskCounts) addTo(categories *[32]int64) {
	add := func(m uint32, n int64) {
		for ; m != 0; m &= m - 1 {
			categories[bits.TrailingZeros32(m)] += n
		}
	}
	for i := range c.places {
		add(c.places[i].mask, c.places[i].n)
	}
	for m, n := range c.more {
		add(m, n)
	}
}

// answer turns the tally into the words of the bus.
func (t *tally) answer(h head) event.PreviewAnswer {
	a := event.PreviewAnswer{People: t.people, Erased: t.erased, KeptTooLong: t.keptTooLong, Generation: h.generation, Relations: map[string]int64{}}
	a.Counts = event.Counts{
		Jurisdictions: named(h.terms.Jurisdictions, t.jurisdiction), Languages: named(h.terms.Languages, t.language),
		Channels:   named(append(channelNames[:], "none"), t.reach()),
		AgeClasses: named(ageClasses[:], t.classesBy(0, 3)), Categories: map[string]int64{}, Rings: map[string]int64{},
	}
	for bit, n := range t.categories {
		if n > 0 {
			a.Counts.Categories[category.All()[bit].Code] = n
		}
	}
	a.Relations = named(relations[:], t.classesBy(classRelation, 7))
	if t.plan.rings {
		a.Counts.Rings = named(ringNames[:], t.rings[:])
	} else if len(t.plan.reaches) > 0 && t.people > 0 {
		a.Counts.Rings[ringNames[t.plan.reaches[0].ring]] = t.people
	}
	a.Controllers = t.controllers(h)
	return a
}

func (t *tally) controllers(h head) map[string]event.ControllerCounts {
	if len(t.groups) == 0 || len(t.groups) == 1 && t.groups[""] != nil {
		return nil // only the organisation's own data
	}
	out := map[string]event.ControllerCounts{}
	for name, counts := range t.groups {
		if len(t.plan.groups) == 1 {
			out[name] = event.ControllerCounts{People: t.people, Jurisdictions: named(h.terms.Jurisdictions, t.jurisdiction)}
			continue
		}
		out[name] = event.ControllerCounts{People: t.groupPeople[name], Jurisdictions: named(h.terms.Jurisdictions, counts)}
	}
	return out
}

func named(words []string, counts []int64) map[string]int64 {
	m := map[string]int64{}
	for i, n := range counts {
		if n > 0 && i < len(words) {
			m[words[i]] += n
		}
	}
	return m
}

// Preview counts whom an exposure reaches. Nothing is kept.
func (s *Store) Preview(ctx context.Context, org string, exposures []event.Exposure, policy Policy) (event.PreviewAnswer, error) {
	var answer event.PreviewAnswer
	err := s.read(ctx, func(tx *sql.Tx) error {
		h, p, err := s.planOf(ctx, tx, org, exposures, policy)
		if err != nil {
			return err
		}
		t := newTally(h, p)
		if err := s.scan(ctx, tx, h, p, func(f *found) error { t.add(f); return nil }); err != nil {
			return err
		}
		answer = t.answer(h)
		return nil
	})
	if err != nil {
		return answer, fmt.Errorf("preview for %s: %w", org, err)
	}
	return answer, nil
}
