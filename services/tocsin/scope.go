package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/process"
	"tocsin.dev/services/scope/inventory"
	"tocsin.dev/services/scope/inventory/bench"
)

// scopeCmd asks whose data an incident reached, at scope's own store.
type scopeCmd struct {
	Preview scopePreviewCmd `cmd:"" help:"Count whom an exposure reaches. Nothing is kept."`
	Seal    scopeSealCmd    `cmd:"" help:"Fix the list as a revision of a case of its own, for rehearsal. A real case is sealed by its statement."`
	Diff    scopeDiffCmd    `cmd:"" help:"Compare two sealed revisions of a case."`
	Export  scopeExportCmd  `cmd:"" help:"Write a sealed list with its contacts as CSV. It is audited."`
}

// incident is what was exposed.
type incident struct {
	place
	Case       string   `help:"Case number. Without --dataset, what its newest list was sealed for is asked again of the inventory of today."`
	Dataset    []string `help:"Datasets or systems that were reachable."`
	From       string   `help:"Beginning of the window: 2026-11-01 or RFC 3339; dates are UTC."`
	To         string   `help:"End of the window, exclusive."`
	Category   []string `help:"Only these categories (Fides keys or our codes)."`
	Ring       string   `default:"in_system" enum:"proven,in_system,possible" help:"How certain the access is."`
	Protection string   `default:"plain" enum:"plain,hashed,encrypted_key_safe,encrypted_key_lost" help:"State of the data."`
	// The four conditions limit all datasets named.
	Jurisdiction []string `help:"Only people who live there: ISO 3166 codes or unknown."`
	Relation     []string `help:"Only people in one of these relations, such as customer."`
	AgeClass     []string `help:"Only these age classes: adult, minor, unknown."`
	Channel      []string `help:"Only people with one of these channels: email, sms, post."`
	Retention    int      `help:"Promised retention in months, to count records kept too long."`
	JSON         bool     `name:"json" help:"Print JSON."`
}

// exposures returns what the flags name, or what the newest list of the case was sealed for.
func (i *incident) exposures(ctx context.Context, s *inventory.Store) ([]event.Exposure, error) {
	if len(i.Dataset) == 0 && i.Case != "" {
		return s.Exposures(ctx, i.Organisation, i.Case)
	}
	if len(i.Dataset) == 0 || i.From == "" || i.To == "" {
		return nil, errors.New("say what was exposed with --dataset, --from and --to, or name a --case that has a sealed list")
	}
	from, err := instant(i.From)
	if err != nil {
		return nil, fmt.Errorf("--from: %w", err)
	}
	to, err := instant(i.To)
	if err != nil {
		return nil, fmt.Errorf("--to: %w", err)
	}
	protection := i.Protection
	if protection == "plain" {
		protection = ""
	}
	only := &event.Only{Jurisdictions: i.Jurisdiction, Relations: i.Relation, AgeClasses: i.AgeClass, Channels: i.Channel}
	var all []event.Exposure
	for _, d := range i.Dataset {
		all = append(all, event.Exposure{Dataset: d, From: from, To: to, Categories: i.Category, Ring: i.Ring, Protection: protection, Only: only})
	}
	return all, nil
}

func instant(s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is neither a date such as 2026-11-01 nor an RFC 3339 instant", s)
}

type scopePreviewCmd struct{ incident }

// Run counts.
func (c *scopePreviewCmd) Run(ctx context.Context) error {
	return c.with(ctx, func(s *inventory.Store) error {
		exposures, err := c.exposures(ctx, s)
		if err != nil {
			return err
		}
		a, err := s.Preview(ctx, c.Organisation, exposures, inventory.Policy{RetentionMonths: c.Retention})
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(a)
		}
		printCounts(a)
		return nil
	})
}

func printCounts(a event.PreviewAnswer) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "people\t%d\n", a.People)
	for _, part := range []struct {
		name   string
		counts map[string]int64
	}{{"jurisdiction", a.Counts.Jurisdictions}, {"language", a.Counts.Languages}, {"channel", a.Counts.Channels}, {"age class", a.Counts.AgeClasses},
		{"category", a.Counts.Categories}, {"ring", a.Counts.Rings}, {"relation", a.Relations}} {
		for _, k := range byCount(part.counts) {
			fmt.Fprintf(w, "%s %s\t%d\n", part.name, k, part.counts[k])
		}
	}
	if a.KeptTooLong > 0 {
		fmt.Fprintf(w, "kept longer than promised (privileged)\t%d\n", a.KeptTooLong)
	}
	_ = w.Flush() // standard output: there is nowhere else to say it
}

type scopeSealCmd struct {
	incident
	Statement string `help:"Name of the statement; the same name seals once. Default: the flags themselves, or the state of the inventory."`
}

// Run seals.
func (c *scopeSealCmd) Run(ctx context.Context) error {
	if c.Case == "" {
		return errors.New("name the case with --case")
	}
	return c.with(ctx, func(s *inventory.Store) error {
		exposures, err := c.exposures(ctx, s)
		if err != nil {
			return err
		}
		statement, err := c.statement(ctx, s)
		if err != nil {
			return err
		}
		sealed, err := s.Seal(ctx, c.Organisation, c.Case, statement, exposures, inventory.Policy{RetentionMonths: c.Retention})
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(map[string]any{"case": sealed.Case, "revision": sealed.Revision, "people": sealed.People, "digest": sealed.Digest, "counts": sealed.Preview.Counts})
		}
		fmt.Printf("Revision %d of case %s: %d people, %s\n", sealed.Revision, sealed.Case, sealed.People, sealed.Digest)
		return nil
	})
}

// statement names what is sealed, so that the same flags seal once.
func (c *scopeSealCmd) statement(ctx context.Context, s *inventory.Store) (string, error) {
	if c.Statement != "" {
		return c.Statement, nil
	}
	if len(c.Dataset) == 0 {
		generation, err := s.Generation(ctx, c.Organisation)
		return fmt.Sprintf("cli again, inventory %d", generation), err
	}
	name := "cli " + strings.Join(append(append([]string{c.From, c.To, c.Ring, c.Protection}, c.Dataset...), c.Category...), " ")
	if len(c.Jurisdiction)+len(c.Relation)+len(c.AgeClass)+len(c.Channel) > 0 {
		name += fmt.Sprint(" only ", c.Jurisdiction, c.Relation, c.AgeClass, c.Channel)
	}
	return name, nil
}

type scopeDiffCmd struct {
	place
	Case string `required:"" help:"Case number."`
	From int    `arg:"" help:"Earlier revision."`
	To   int    `arg:"" help:"Later revision."`
	JSON bool   `name:"json" help:"Print JSON."`
}

// Run compares.
func (c *scopeDiffCmd) Run(ctx context.Context) error {
	return c.with(ctx, func(s *inventory.Store) error {
		d, err := s.Difference(ctx, c.Organisation, c.Case, c.From, c.To)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(d)
		}
		fmt.Printf("added %d, removed %d, widened %d, narrowed %d\n", d.Added, d.Removed, d.Widened, d.Narrowed)
		return nil
	})
}

type scopeExportCmd struct {
	place
	Case     string `required:"" help:"Case number."`
	Revision int    `required:"" help:"Sealed revision."`
	// Controller nil is everybody; "" is the organisation's own data.
	Controller *string `help:"Only the list of this controller; an empty one is the organisation's own data."`
	Out        string  `required:"" help:"File to write, readable by you only; it must not exist." type:"path"`
	JSON       bool    `name:"json" help:"Print JSON: what was written, without the people."`
}

// Run exports.
func (c *scopeExportCmd) Run(ctx context.Context) error {
	return c.with(ctx, func(s *inventory.Store) error {
		f, err := os.OpenFile(c.Out, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		people, err := s.Export(ctx, c.Organisation, c.Case, c.Revision, c.Controller, operator(), f)
		if err := errors.Join(err, f.Close()); err != nil {
			return errors.Join(err, os.Remove(c.Out)) // half a list is no list
		}
		if c.JSON {
			return printJSON(map[string]any{"case": c.Case, "revision": c.Revision, "people": people, "out": c.Out})
		}
		fmt.Printf("%d people written to %s\n", people, c.Out)
		return nil
	})
}

// benchScopeCmd measures the inventory.
type benchScopeCmd struct {
	People    int    `default:"1000000" help:"How many synthetic people."`
	Seed      uint64 `default:"1" help:"Seed of the people."`
	Dir       string `help:"Folder for the files; they stay there. Default: a temporary one." type:"path"`
	Database  string `help:"PostgreSQL URL instead of a SQLite file."`
	CSV       bool   `name:"csv" help:"Import from CSV as well (at most a million people)."`
	Reference bool   `help:"Measure one SQL row per record as well (at most a million people)."`
	Profile   string `help:"Write a CPU profile to this file." type:"path"`
	JSON      bool   `name:"json" help:"Print JSON."`
}

// Run measures.
func (c *benchScopeCmd) Run(ctx context.Context) (err error) {
	stop, err := process.ProfileCPU(c.Profile)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	o := bench.Options{People: c.People, Seed: c.Seed, Dir: c.Dir, URL: c.Database, CSV: c.CSV, Reference: c.Reference}
	if !c.JSON {
		fmt.Printf("%-34s %9s %9s %8s %14s\n", "STEP", "CPU s", "WALL s", "PEAK MB", "PER CPU s")
		o.Report = func(s bench.Step) {
			fmt.Printf("%-34s %9.3f %9.3f %8.0f %14.0f  %s\n", s.Name, s.CPU, s.Wall, s.PeakMB, s.PerSecond, s.Note)
		}
	}
	steps, err := bench.Run(ctx, o)
	if c.JSON {
		return errors.Join(printJSON(steps), err)
	}
	return err
}

// byCount returns the keys of counts, largest count first.
func byCount(counts map[string]int64) []string {
	keys := slices.Collect(maps.Keys(counts))
	slices.SortFunc(keys, func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	return keys
}
