package inventory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
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
	// only is an index into the plan's filters, and ring tells the exposures of a
	// filtered plan apart: whom a filter leaves out is in no ring through it.
	only int
	ring uint8
}

// plan is what a scan looks for.
type plan struct {
	reaches  []reach
	groups   []group
	datasets []int64 // distinct, ascending
	rings    bool    // more than one ring is stated
	// filters holds each distinct Only; the first lets everybody pass. There is
	// none in a plan that does not filter.
	filters []filter
	// asOf is the last day of the windows: people count where they lived then.
	asOf Day
}

// Policy is what an organisation promised, as far as counting needs it.
type Policy struct {
	// RetentionMonths after the last activity, where a dataset states none; 0 for no promise.
	RetentionMonths int
}

// planOf reads the inventory of an organisation as it stands and plans the scan for exposures.
func (s *Store) planOf(ctx context.Context, tx *sql.Tx, org string, exposures []event.Exposure, policy Policy) (head, *plan, error) {
	h, err := s.readHead(ctx, tx, org)
	if err != nil {
		return h, nil, err
	}
	known, err := readDatasets(ctx, tx, h)
	if err != nil {
		return h, nil, err
	}
	p, err := newPlan(h, known, exposures, policy)
	return h, p, err
}

// newPlan resolves exposures. An exposure names a dataset or a system, which
// stands for all its datasets.
func newPlan(h head, known []datasetRow, exposures []event.Exposure, policy Policy) (*plan, error) {
	if len(exposures) == 0 || len(exposures) > maxExposures {
		return nil, fmt.Errorf("%w: name between 1 and %d datasets", ErrExposure, maxExposures)
	}
	p := &plan{}
	only, err := p.filter(h, exposures)
	if err != nil {
		return nil, err
	}
	rings := map[uint8]bool{}
	for i, e := range exposures {
		mask, from, to, ring, err := limits(e)
		if err != nil {
			return nil, err
		}
		rings[ring] = true
		p.asOf = max(p.asOf, DayOf(e.To.Add(-1)))
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
				group: p.group(ds, e.From, policy, only[i], ring)})
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

func (p *plan) group(ds datasetRow, from time.Time, policy Policy, only int, ring uint8) int {
	g := group{}
	if p.filters != nil {
		g.only, g.ring = only, ring
	}
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
