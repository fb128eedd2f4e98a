package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"go.yaml.in/yaml/v3"

	"tocsin.dev/pkg/sqldb"
	"tocsin.dev/services/app/suite"
	"tocsin.dev/services/scope/inventory"
	"tocsin.dev/services/scope/inventory/synthetic"
)

// inventoryCmd works on the inventory of people of one organisation. It opens
// scope's store itself, so it runs where that store and its keys are, beside a
// running installation as well.
type inventoryCmd struct {
	Import   inventoryImportCmd   `cmd:"" help:"Bring systems, datasets, people and their records into the inventory."`
	Check    inventoryCheckCmd    `cmd:"" help:"Count what files hold and list their faults without importing."`
	Stats    inventoryStatsCmd    `cmd:"" help:"Show how many people and records are held."`
	Systems  inventorySystemsCmd  `cmd:"" help:"List systems and datasets."`
	Generate inventoryGenerateCmd `cmd:"" help:"Write synthetic people who cannot be reached, or import them."`
	Erase    inventoryEraseCmd    `cmd:"" help:"Erase people for good, at their request."`
	Find     inventoryFindCmd     `cmd:"" help:"Find a person by email address, phone number, full name or customer number; masked unless revealed for a reason."`
	Apart    inventoryApartCmd    `cmd:"" help:"Undo the joining of a person with another, for good."`
	Lift     inventoryLiftCmd     `cmd:"" help:"Lift the tombstones of people who were erased, so that an import takes them in again."`
	Rotate   inventoryRotateCmd   `cmd:"" help:"Replace the keys at the top of the key tree and destroy the old ones."`
	Audit    inventoryAuditCmd    `cmd:"" help:"Show who asked for people's data and why."`
}

// place says where scope's store is.
type place struct {
	configured
	DataDir      string `help:"Folder for data and generated keys." type:"path"`
	Organisation string `short:"o" required:"" help:"Id of the organisation."`
}

// store opens the store of scope; done closes it.
func (p *place) store(ctx context.Context) (s *inventory.Store, done func() error, err error) {
	settings, err := p.settings()
	if err != nil {
		return nil, nil, err
	}
	if p.DataDir != "" {
		settings.DataDir = p.DataDir
	}
	url := settings.Database
	if url == "" {
		url = "sqlite:" + filepath.Join(settings.DataDir, "scope.db")
	}
	if err := os.MkdirAll(filepath.Join(settings.DataDir, "keys"), 0o700); err != nil {
		return nil, nil, err
	}
	root, err := suite.InventoryRoot(&settings)
	if err != nil {
		return nil, nil, err
	}
	db, err := sqldb.Open(ctx, url)
	if err != nil {
		return nil, nil, err
	}
	s, err = inventory.Open(ctx, inventory.Config{DB: db, Root: root, Now: time.Now})
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return s, db.Close, nil
}

// with opens the store for f.
func (p *place) with(ctx context.Context, f func(*inventory.Store) error) (err error) {
	s, done, err := p.store(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	return f(s)
}

// files are what is to be imported.
type files struct {
	place
	Path    []string `arg:"" optional:"" help:"Files or folders: .csv .tsv .ndjson .parquet .tocsin (bulk form) .yaml (Fides data map)." type:"existingpath"`
	SQL     string   `name:"sql" help:"Query whose rows are imported; needs --from."`
	From    string   `help:"Database for --sql: postgres://, mysql:// or sqlite:." env:"TOCSIN_IMPORT_FROM"`
	Mapping string   `help:"YAML file that maps columns; it is saved for --source." type:"existingfile"`
	Source  string   `help:"Name of the source whose saved mapping is used."`
	JSON    bool     `name:"json" help:"Print JSON."`
	progress
}

// sources opens what the flags name.
func (f *files) sources(ctx context.Context, s *inventory.Store) ([]inventory.Source, error) {
	m, err := f.mapping(ctx, s)
	if err != nil {
		return nil, err
	}
	var all []inventory.Source
	for _, path := range f.Path {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		if info.IsDir() {
			folder, err := inventory.Folder(path, nil)
			if err != nil {
				return nil, err
			}
			all = append(all, folder...)
			continue
		}
		src, err := inventory.File(path, m)
		if err != nil {
			return nil, err
		}
		all = append(all, src)
	}
	if f.SQL != "" {
		all = append(all, inventory.Query("query", f.From, f.SQL, m))
	}
	if len(all) == 0 {
		return nil, errors.New("name files, a folder, or a query with --sql and --from")
	}
	return all, nil
}

func (f *files) mapping(ctx context.Context, s *inventory.Store) (m inventory.Mapping, err error) {
	if f.Mapping == "" {
		if f.Source == "" {
			return m, nil
		}
		return s.Mapping(ctx, f.Organisation, f.Source)
	}
	data, err := os.ReadFile(f.Mapping)
	if err != nil {
		return m, err
	}
	if err := yaml.Unmarshal(data, &m); err != nil {
		return m, fmt.Errorf("mapping %s: %w", f.Mapping, err)
	}
	if f.Source != "" {
		err = s.SaveMapping(ctx, f.Organisation, f.Source, m)
	}
	return m, err
}

type inventoryImportCmd struct {
	files
	SkipBad bool `help:"Take in the good rows although others have faults."`
}

// Run imports.
func (c *inventoryImportCmd) Run(ctx context.Context) error {
	return c.run(ctx, inventory.Options{SkipBad: c.SkipBad})
}

type inventoryCheckCmd struct{ files }

// Run checks.
func (c *inventoryCheckCmd) Run(ctx context.Context) error {
	return c.run(ctx, inventory.Options{Check: true})
}

func (f *files) run(ctx context.Context, o inventory.Options) error {
	return f.with(ctx, func(s *inventory.Store) error {
		sources, err := f.sources(ctx, s)
		if err != nil {
			return err
		}
		return importSources(ctx, s, f.Organisation, sources, f.told(o, f.JSON), f.JSON)
	})
}

// importSources imports and prints the report.
func importSources(ctx context.Context, s *inventory.Store, org string, sources []inventory.Source, o inventory.Options, asJSON bool) error {
	report, err := s.Import(ctx, org, sources, o)
	if asJSON {
		return errors.Join(printJSON(report), err)
	}
	for i, e := range report.Errors {
		if i == 20 {
			fmt.Printf("… and %d more; --json lists up to a thousand\n", report.Bad-20)
			break
		}
		fmt.Println(e.Error())
	}
	for _, w := range report.Warnings {
		fmt.Println("note:", w)
	}
	if err != nil && !errors.Is(err, inventory.ErrBadRows) {
		return err
	}
	done := "Taken in"
	switch {
	case o.Check:
		done = "Would be taken in"
	case report.Unchanged:
		done = "Was taken in before and nothing changed"
	case err != nil:
		done = "Not taken in"
	}
	fmt.Printf("%s: %d new people, %d known (%d changed), %d joined with another, %d records; %d rows held back because the person was erased, %d with faults.\n",
		done, report.New, report.Known, report.Changed, report.Joined, report.Holdings, report.Erased, report.Bad)
	return err
}

type inventoryStatsCmd struct {
	place
	JSON bool `name:"json" help:"Print JSON."`
}

// Run prints the totals.
func (c *inventoryStatsCmd) Run(ctx context.Context) error {
	return c.with(ctx, func(s *inventory.Store) error {
		a, err := s.Inventory(ctx, c.Organisation)
		if err != nil {
			return err
		}
		var records int64
		datasets := 0
		for _, sys := range a.Systems {
			datasets += len(sys.Datasets)
			for _, d := range sys.Datasets {
				records += d.Records
			}
		}
		if c.JSON {
			return printJSON(map[string]any{"people": a.People, "erased": a.Erased, "systems": len(a.Systems), "datasets": datasets, "records": records, "generation": a.Generation, "busy": a.Busy})
		}
		fmt.Printf("%d people (%d erased on request), %d records in %d datasets of %d systems\n", a.People, a.Erased, records, datasets, len(a.Systems))
		if a.Busy != "" {
			fmt.Println("Under way:", a.Busy)
		}
		return nil
	})
}

type inventorySystemsCmd struct {
	place
	JSON bool `name:"json" help:"Print JSON."`
}

// Run lists systems and datasets.
func (c *inventorySystemsCmd) Run(ctx context.Context) error {
	return c.with(ctx, func(s *inventory.Store) error {
		a, err := s.Inventory(ctx, c.Organisation)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(a.Systems)
		}
		w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "SYSTEM\tDATASET\tRECORDS\tROLE\tMEDIUM\tCATEGORIES")
		for _, sys := range a.Systems {
			for _, d := range sys.Datasets {
				role := d.Role
				if d.Controller != "" {
					role += " for " + d.Controller
				}
				fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%v\n", sys.Key, d.Key, d.Records, role, d.Medium, d.Categories)
			}
		}
		return w.Flush()
	})
}

type inventoryGenerateCmd struct {
	place
	People int    `default:"500" help:"How many people."`
	Seed   uint64 `default:"1" help:"The same seed gives the same people."`
	Out    string `help:"Folder for CSV files, or a file ending in .tocsin; without it they are imported." type:"path"`
	JSON   bool   `name:"json" help:"Print JSON."`
	progress
}

// Run makes synthetic people.
func (c *inventoryGenerateCmd) Run(ctx context.Context) error {
	set := synthetic.New(c.Organisation, c.People, c.Seed)
	switch {
	case c.Out == "":
		return c.with(ctx, func(s *inventory.Store) error {
			return importSources(ctx, s, c.Organisation, []inventory.Source{set.Source()}, c.told(inventory.Options{What: "synthetic people"}, c.JSON), c.JSON)
		})
	case filepath.Ext(c.Out) == ".tocsin":
		f, err := os.OpenFile(c.Out, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		return errors.Join(set.WriteBulk(f), f.Close())
	}
	return set.Write(c.Out)
}
