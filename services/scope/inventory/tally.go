package inventory

import (
	"context"
	"database/sql"
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
	channels     [8]int64   // by the bits of the channels
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
	var masks maskCounts
	for _, low := range f.people() {
		i := int(low)
		masks.count(f.exposed[i])
		a := f.attrs.at(i)
		t.jurisdiction[a.jurisdiction]++
		t.language[a.language]++
		t.classes[a.class]++
		t.channels[a.channels&7]++
		if t.plan.rings {
			t.rings[f.ring[i]]++
		}
		if a.lastActive != 0 && a.lastActive < cutoff {
			t.keptTooLong++
		}
	}
	t.people += masks.total(&t.categories)
	if f.groups != nil {
		t.addGroups(f)
	}
}

// reach returns the people by channel: email, sms, post, none.
func (t *tally) reach() []int64 {
	out := make([]int64, 4)
	out[3] = t.channels[0]
	for bits, n := range t.channels {
		for c := range 3 {
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

// maskCounts counts people by category set. Sets are few, so neighbours are
// mostly found in the first places of a short list.
type maskCounts struct {
	masks  []uint32
	counts []int64
	more   map[uint32]int64
}

func (c *maskCounts) count(m uint32) {
	for i, known := range c.masks {
		if known == m {
			c.counts[i]++
			return
		}
	}
	if len(c.masks) < 16 {
		c.masks, c.counts = append(c.masks, m), append(c.counts, 1)
		return
	}
	if c.more == nil {
		c.more = map[uint32]int64{}
	}
	c.more[m]++
}

func (c *maskCounts) total(categories *[32]int64) int64 {
	var people int64
	add := func(m uint32, n int64) {
		people += n
		for ; m != 0; m &= m - 1 {
			categories[bits.TrailingZeros32(m)] += n
		}
	}
	for i, m := range c.masks {
		add(m, c.counts[i])
	}
	for m, n := range c.more {
		add(m, n)
	}
	return people
}

// answer turns the tally into the words of the bus.
func (t *tally) answer(h head) event.PreviewAnswer {
	a := event.PreviewAnswer{People: t.people, Erased: t.erased, KeptTooLong: t.keptTooLong, Generation: h.generation, Relations: map[string]int64{}}
	a.Counts = event.Counts{
		Jurisdictions: named(h.terms.Jurisdictions, t.jurisdiction), Languages: named(h.terms.Languages, t.language),
		Channels:   named([]string{"email", "sms", "post", "none"}, t.reach()),
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
		h, p, err := planOf(ctx, tx, org, exposures, policy)
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
