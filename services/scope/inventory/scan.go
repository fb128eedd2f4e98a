package inventory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strings"
	"time"

	"tocsin.dev/pkg/category"
	"tocsin.dev/pkg/event"
)

// Rings of certainty, most certain highest; stored, never change.
const (
	ringPossible = 1
	ringInSystem = 2
	ringProven   = 3
)

var ringNames = [...]string{"", "possible", "in_system", "proven"}

// ErrExposure means that an exposure cannot be answered as it is stated; the
// message says why.
var ErrExposure = errors.New("the exposure cannot be answered")

// maxExposures bounds one question.
const maxExposures = 1000

// reach is an exposure of one dataset, resolved against the catalogue.
type reach struct {
	dataset  int64
	from, to uint32
	mask     uint32
	ring     uint8
	group    int // index into the plan's groups
}

// group gathers exposures that are counted together: the same controller and
// the same promised retention.
type group struct {
	controller string
	// cutoff is the day before which a last activity is too old; 0 for no promise.
	cutoff uint16
}

// plan is what a scan looks for.
type plan struct {
	reaches  []reach
	groups   []group
	datasets []int64 // distinct, ascending
	rings    bool    // more than one ring is stated
}

// Policy is what an organisation promised, as far as counting needs it.
type Policy struct {
	// RetentionMonths after the last activity, where a dataset states none; 0 for no promise.
	RetentionMonths int
}

// newPlan resolves exposures. An exposure names a dataset or a system, which
// stands for all its datasets.
func newPlan(known []datasetRow, exposures []event.Exposure, policy Policy) (*plan, error) {
	if len(exposures) == 0 || len(exposures) > maxExposures {
		return nil, fmt.Errorf("%w: name between 1 and %d datasets", ErrExposure, maxExposures)
	}
	p := &plan{}
	rings := map[uint8]bool{}
	for _, e := range exposures {
		mask, from, to, ring, err := limits(e)
		if err != nil {
			return nil, err
		}
		rings[ring] = true
		found := false
		for _, ds := range known {
			if ds.Key != e.Dataset && ds.System != e.Dataset {
				continue
			}
			found = true
			if mask == 0 {
				continue
			}
			p.reaches = append(p.reaches, reach{dataset: ds.id, from: from, to: to, mask: mask, ring: ring,
				group: p.group(ds, e.From, policy)})
			if at, there := slices.BinarySearch(p.datasets, ds.id); !there {
				p.datasets = slices.Insert(p.datasets, at, ds.id)
			}
		}
		if !found {
			return nil, fmt.Errorf("%w %q: it is neither a dataset nor a system of the inventory", ErrUnknownDataset, clip(e.Dataset))
		}
	}
	p.rings = len(rings) > 1
	return p, nil
}

// limits reads window, categories, protection and ring of an exposure.
func limits(e event.Exposure) (mask, from, to uint32, ring uint8, err error) {
	if !e.From.Before(e.To) {
		return 0, 0, 0, 0, fmt.Errorf("%w: the window of %q ends before it begins", ErrExposure, clip(e.Dataset))
	}
	mask = math.MaxUint32
	if len(e.Categories) > 0 {
		set, err := category.ParseAll(e.Categories)
		if err != nil {
			return 0, 0, 0, 0, fmt.Errorf("%w: dataset %q: %w", ErrExposure, clip(e.Dataset), err)
		}
		mask = uint32(set)
	}
	switch e.Protection {
	case "", "hashed", "encrypted_key_lost":
	case "encrypted_key_safe":
		mask = 0 // unreadable to whoever took it
	default:
		return 0, 0, 0, 0, fmt.Errorf("%w: protection %q of %q is none of hashed, encrypted_key_safe, encrypted_key_lost", ErrExposure, clip(e.Protection), clip(e.Dataset))
	}
	switch e.Ring {
	case "proven":
		ring = ringProven
	case "", "in_system":
		ring = ringInSystem
	case "possible":
		ring = ringPossible
	default:
		return 0, 0, 0, 0, fmt.Errorf("%w: ring %q of %q is none of proven, in_system, possible", ErrExposure, clip(e.Ring), clip(e.Dataset))
	}
	return mask, seconds(e.From), secondsUp(e.To), ring, nil
}

// seconds clamps an instant to what a column holds; the end of a window is
// rounded up so that no part of a second is lost.
func seconds(t time.Time) uint32 { return uint32(min(max(t.Unix(), 0), stillHeld-1)) }

func secondsUp(t time.Time) uint32 {
	if t.Nanosecond() > 0 {
		t = t.Add(time.Second)
	}
	return seconds(t)
}

func (p *plan) group(ds datasetRow, from time.Time, policy Policy) int {
	g := group{}
	if ds.Role == "processor" {
		g.controller = ds.Controller
	}
	months := ds.RetentionMonths
	if months == 0 {
		months = policy.RetentionMonths
	}
	if months > 0 {
		g.cutoff = uint16(min(max(from.AddDate(0, -months, 0).Unix()/86400, 0), math.MaxUint16))
	}
	if i := slices.Index(p.groups, g); i >= 0 {
		return i
	}
	p.groups = append(p.groups, g)
	return len(p.groups) - 1
}

// found is what a scan found in one chunk. Everything is indexed by the low 16
// bits of the person number.
type found struct {
	chunk uint32
	// exposed holds the categories exposed of each person, duplicates joined.
	exposed [chunkSize]uint32
	// ring is the most certain ring of each person.
	ring [chunkSize]uint8
	// groups holds exposed by group; nil when there is only one.
	groups []*[chunkSize]uint32
	attrs  attributeView
	erased int64
	some   []uint16
}

// carried is what a duplicate brings to the person it stands for.
type carried struct {
	attribute
	low     uint16
	ring    uint8
	exposed uint32
	groups  []uint32
}

// scanner goes through the chunks from the highest to the lowest, so that a
// duplicate, which has the higher number, is met before the person it is.
type scanner struct {
	store *Store
	q     querier
	head  head
	plan  *plan
	tombs *tombstones
	found found
	carry map[uint32][]carried // by chunk
	query string
	visit func(f *found) error
}

// scan calls visit for every chunk in which somebody is exposed.
func (s *Store) scan(ctx context.Context, tx *sql.Tx, h head, p *plan, visit func(f *found) error) error {
	tombs, err := readTombstones(ctx, tx, h)
	if err != nil {
		return err
	}
	sc := &scanner{store: s, q: tx, head: h, plan: p, tombs: tombs, carry: map[uint32][]carried{}, visit: visit}
	if len(p.groups) > 1 {
		sc.found.groups = make([]*[chunkSize]uint32, len(p.groups))
		for i := range sc.found.groups {
			sc.found.groups[i] = new([chunkSize]uint32)
		}
	}
	marks := make([]string, len(p.datasets))
	for i := range marks {
		marks[i] = fmt.Sprintf("$%d", i+4)
	}
	sc.query = `SELECT a, body FROM segment WHERE inventory = $1 AND kind = 0 AND c = $2 AND generation <= $3 AND a IN (` +
		strings.Join(marks, ", ") + `)`
	if len(p.datasets) == 0 {
		return nil
	}
	for c := int64(h.people >> 16); c >= 0; c-- {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := sc.chunk(ctx, uint32(c)); err != nil {
			return err
		}
	}
	return nil
}

func (sc *scanner) chunk(ctx context.Context, chunk uint32) error {
	f := &sc.found
	f.chunk, f.erased = chunk, 0
	clear(f.exposed[:])
	clear(f.ring[:])
	for _, g := range f.groups {
		clear(g[:])
	}
	any, err := sc.mark(ctx, chunk)
	if err != nil {
		return err
	}
	carry := sc.carry[chunk]
	delete(sc.carry, chunk)
	aliases, err := readSegment(ctx, sc.q, sc.head, segAliases, 0, int64(chunk))
	if err != nil {
		return err
	}
	if !any && len(carry) == 0 && len(aliases) == 0 {
		return nil
	}
	if err := sc.loadAttributes(ctx, chunk); err != nil {
		return segmentError(segAttributes, 0, int64(chunk), err)
	}
	sc.bury(chunk)
	if err := sc.takeAliases(chunk, aliases, &carry); err != nil {
		return segmentError(segAliases, 0, int64(chunk), err)
	}
	for _, c := range carry {
		f.lay(c)
	}
	return sc.visit(f)
}

// loadAttributes reads the attributes of the chunk with one copy.
func (sc *scanner) loadAttributes(ctx context.Context, chunk uint32) error {
	rows, err := sc.q.QueryContext(ctx, `SELECT body FROM segment WHERE inventory = $1 AND kind = 1 AND a = 0 AND c = $2 AND generation <= $3`,
		sc.head.id, int64(chunk), sc.head.generation)
	if err != nil {
		return err
	}
	found := false
	err = scanAll(rows, func() error {
		var body sql.RawBytes
		found = true
		return errors.Join(rows.Scan(&body), sc.found.attrs.load(body))
	})
	if err == nil && !found {
		err = sc.found.attrs.load(nil)
	}
	return err
}

// mark reads the segments of the chunk and marks who is exposed.
func (sc *scanner) mark(ctx context.Context, chunk uint32) (bool, error) {
	args := []any{sc.head.id, int64(chunk), sc.head.generation}
	for _, d := range sc.plan.datasets {
		args = append(args, d)
	}
	rows, err := sc.q.QueryContext(ctx, sc.query, args...)
	if err != nil {
		return false, segmentError(segHoldings, 0, int64(chunk), err)
	}
	any := false
	err = scanAll(rows, func() error {
		var a int64
		var body sql.RawBytes
		if err := rows.Scan(&a, &body); err != nil {
			return err
		}
		any = true
		s, err := parseColumns(body)
		if err != nil {
			return segmentError(segHoldings, a, int64(chunk), err)
		}
		sc.markDataset(&s, a)
		return nil
	})
	return any, err
}

func (sc *scanner) markDataset(s *columns, dataset int64) {
	f := &sc.found
	for _, r := range sc.plan.reaches {
		if r.dataset != dataset {
			continue
		}
		switch {
		case f.groups != nil:
			s.mark(f.groups[r.group], r.from, r.to, r.mask)
			s.mark(&f.exposed, r.from, r.to, r.mask)
		default:
			s.mark(&f.exposed, r.from, r.to, r.mask)
		}
		if sc.plan.rings {
			s.markRing(&f.ring, r.from, r.to, r.mask, r.ring)
		}
	}
}

// markRing raises the ring of the people whose record was held in the window.
func (s *columns) markRing(rings *[chunkSize]uint8, from, to, limit uint32, ring uint8) {
	s.each(func(h holding) {
		if h.first < to && h.last >= from && s.masks[h.mask]&limit != 0 {
			rings[h.low] = max(rings[h.low], ring)
		}
	})
}

// bury takes out those who were erased on request, and counts them.
func (sc *scanner) bury(chunk uint32) {
	if sc.tombs.numbers.IsEmpty() {
		return
	}
	f := &sc.found
	it := sc.tombs.numbers.Iterator()
	it.AdvanceIfNeeded(chunk << 16)
	for it.HasNext() {
		n := it.Next()
		if n>>16 != chunk {
			return
		}
		low := uint16(n)
		if f.exposed[low] != 0 {
			f.erased++
		}
		f.clear(low)
		if f.attrs.has(low) {
			f.attrs.set(int(low), attribute{})
		}
	}
}

func (f *found) clear(low uint16) {
	f.exposed[low], f.ring[low] = 0, 0
	for _, g := range f.groups {
		g[low] = 0
	}
}

// takeAliases moves what duplicates have to the people they are.
func (sc *scanner) takeAliases(chunk uint32, body []byte, here *[]carried) error {
	f := &sc.found
	return eachAlias(body, func(low uint16, target uint32, _ uint8) {
		c := carried{low: uint16(target), ring: f.ring[low], exposed: f.exposed[low]}
		if f.attrs.has(low) {
			c.attribute = f.attrs.at(int(low))
		}
		for _, g := range f.groups {
			c.groups = append(c.groups, g[low])
		}
		f.clear(low)
		if target>>16 == chunk {
			*here = append(*here, c)
			return
		}
		sc.carry[target>>16] = append(sc.carry[target>>16], c)
	})
}

// people returns the numbers in the chunk of those exposed.
func (f *found) people() []uint16 {
	if f.some == nil {
		f.some = make([]uint16, chunkSize+1)
	}
	n := 0
	for i := range f.exposed {
		f.some[n] = uint16(i)
		n += int((uint64(f.exposed[i]) + math.MaxUint32) >> 32) // 1 if exposed, without a branch
	}
	return f.some[:n]
}

// lay adds what a duplicate brings.
func (f *found) lay(c carried) {
	f.exposed[c.low] |= c.exposed
	f.ring[c.low] = max(f.ring[c.low], c.ring)
	for i, g := range f.groups {
		g[c.low] |= c.groups[i]
	}
	if !f.attrs.has(c.low) {
		return
	}
	a := f.attrs.at(int(c.low))
	a.channels |= c.channels
	a.lastActive = max(a.lastActive, c.lastActive)
	if a.jurisdiction == 0 {
		a.jurisdiction = c.jurisdiction
	}
	if a.language == 0 {
		a.language = c.language
	}
	f.attrs.set(int(c.low), a)
}

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
	if len(t.plan.groups) == 1 {
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
		h, err := readHead(ctx, tx, org)
		if err != nil {
			return err
		}
		known, err := readDatasets(ctx, tx, h)
		if err != nil {
			return err
		}
		p, err := newPlan(known, exposures, policy)
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
