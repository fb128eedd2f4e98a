package demo

import (
	"context"
	"fmt"
	"io"

	"tocsin.dev/services/app/suite"
	"tocsin.dev/services/scope/inventory/synthetic"
)

// Populate imports synthetic people into an organisation; the same seed gives
// the same people. What was found wrong with them is written to out.
func (in *Installation) Populate(ctx context.Context, r *suite.Running, org string, people int, seed uint64, out io.Writer) error {
	set := synthetic.New(org, people, seed)
	d, err := r.Scope.Inventory().Deliver(ctx, org, "synthetic people")
	if err != nil {
		return err
	}
	defer d.Close() //nolint:errcheck // after Commit there is nothing left to lose
	if err := set.Deliver(ctx, d); err != nil {
		return fmt.Errorf("generate people of %s: %w", org, err)
	}
	report, err := d.Commit(ctx, fmt.Sprintf("synthetic-%d-%d", people, seed), true)
	if err != nil {
		return fmt.Errorf("import people of %s: %w", org, err)
	}
	_, err = fmt.Fprintf(out, "  %d people, %d records, %d joined, %d rows left out\n", report.New, report.Holdings, report.Joined, report.Bad)
	return err
}
