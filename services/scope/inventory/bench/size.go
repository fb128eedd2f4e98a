package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
)

// Cost per person must not grow with the inventory. Before a larger run the
// same steps are measured on a hundred thousand people, several times over
// because each is short. What an import or a scan costs whatever its size thus
// weighs on the small run: it makes the large one look better, not worse.
const (
	smallPeople = 100_000
	smallRounds = 5
)

// small measures the steps on few people and keeps their cost per person.
func (r *run) small(ctx context.Context) (err error) {
	spent := map[string]float64{}
	s := &run{o: r.o, report: func(s Step) { spent[s.Name] += s.CPU }}
	s.o.People = smallPeople
	bulk := filepath.Join(r.o.Dir, "small.tocsin")
	if err := s.generate(bulk); err != nil {
		return err
	}
	if err := s.open(ctx, "small.db"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.db.Close()) }()
	for i := range smallRounds {
		s.org = fmt.Sprintf("small-%d", i)
		if err := s.importFile(ctx, bulk); err != nil {
			return err
		}
		for _, step := range []func(context.Context) error{s.preview, s.seal, s.streamAll} {
			if err := step(ctx); err != nil {
				return err
			}
		}
	}
	r.smallCost = map[string]float64{}
	for name, cpu := range spent {
		r.smallCost[name] = cpu / smallRounds / smallPeople
	}
	return nil
}

// compare reports what a step cost a person beside the small run.
func (r *run) compare() {
	for _, name := range []string{stepImport, stepPreview, stepSeal, stepStream} {
		small, large := r.smallCost[name], r.cost[name]
		if small == 0 {
			continue
		}
		r.report(Step{
			Name: "per person: " + name, PeakMB: peakMB(), Ratio: large / small,
			Note: fmt.Sprintf("%.3f µs, at %d people %.3f µs: ratio %.2f", large*1e6, smallPeople, small*1e6, large/small),
		})
	}
}
