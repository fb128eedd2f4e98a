package inventory

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/zeebo/blake3"
)

// Source is one table to be imported.
type Source struct {
	// Name stands in reports: "people.csv".
	Name    string
	Mapping Mapping
	// Size is how many bytes there are to be read; 0 if that is not known.
	Size int64
	// Read hands all rows to the delivery and everything that decides what they
	// mean to digest.
	Read func(ctx context.Context, d *Delivery, digest io.Writer) error
}

// Options are what a person decides about an import.
type Options struct {
	// Check counts and lists faults without taking anything in.
	Check bool
	// SkipBad takes in the good rows although others have faults.
	SkipBad bool
	// What names the import to others who find the inventory busy.
	What string
	// Progress is told what is being done and how far it is, 0 to 1.
	Progress func(phase string, done float64)
}

// Import brings sources into the inventory of an organisation, all or nothing.
// What it returns in a check is what it would return in earnest, but for the
// people of whom something changed. ErrBadRows means that rows have faults and
// Options.SkipBad was not set; ErrBusy that another import is under way.
func (s *Store) Import(ctx context.Context, org string, sources []Source, o Options) (Report, error) {
	if len(sources) == 0 {
		return Report{}, errors.New("import: there is nothing to import")
	}
	what := o.What
	if what == "" {
		what = "import of " + sources[0].Name
	}
	d, err := s.Deliver(ctx, org, what)
	if err != nil {
		return Report{}, fmt.Errorf("import for %s: %w", org, err)
	}
	report, err := d.run(ctx, sources, o)
	if err := errors.Join(err, d.Close()); err != nil {
		return report, fmt.Errorf("import for %s: %w", org, err)
	}
	return report, nil
}

func (d *Delivery) run(ctx context.Context, sources []Source, o Options) (Report, error) {
	if o.Progress != nil {
		d.Progress = o.Progress
	}
	slices.SortStableFunc(sources, func(a, b Source) int { return tableOrder(a) - tableOrder(b) })
	digest := &meter{Hash: blake3.New(), progress: d.Progress}
	for _, src := range sources {
		digest.total += src.Size
	}
	for i, src := range sources {
		if err := digestSource(digest, src); err != nil {
			return d.report, err
		}
		if err := src.Read(ctx, d, digest); err != nil {
			return d.report, err
		}
		if digest.total == 0 {
			d.Progress("read", float64(i+1)/float64(len(sources)))
		}
	}
	d.Progress("read", 1)
	if o.Check {
		return d.Check(ctx)
	}
	return d.Commit(ctx, hex.EncodeToString(digest.Sum(nil)), o.SkipBad)
}

// meter is a digest that tells how much of what there is to be read went into it.
type meter struct {
	hash.Hash
	progress          func(phase string, done float64)
	total, read, told int64
}

// meterStep is how many bytes are read from one word about it to the next.
const meterStep = 1 << 20

// Write implements io.Writer.
func (m *meter) Write(p []byte) (int, error) {
	m.read += int64(len(p))
	if m.total > 0 && m.read-m.told >= meterStep {
		m.told = m.read
		m.progress("read", min(1, float64(m.read)/float64(m.total)))
	}
	return m.Hash.Write(p)
}

func digestSource(digest io.Writer, src Source) error {
	m, err := json.Marshal(src.Mapping)
	if err != nil {
		return fmt.Errorf("mapping of %s: %w", src.Name, err)
	}
	_, err = fmt.Fprintf(digest, "%s\n%s\n", src.Name, m)
	return err
}

// tableOrder puts catalogues before people and people before their records.
func tableOrder(s Source) int {
	if name := strings.ToLower(s.Name); strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml") {
		return 0
	}
	name := strings.ToLower(s.Name + " " + s.Mapping.Kind)
	for i, kind := range [...]string{kindSystems, kindDatasets, kindPeople, kindHoldings} {
		if strings.Contains(name, kind) {
			return i
		}
	}
	return 2
}

// File is the source of a file; its form is told from the ending of its name:
// .csv, .tsv or .txt for CSV, .ndjson or .jsonl, .parquet, .tocsin for the bulk form, .yaml or
// .yml for a Fides data map.
func File(path string, m Mapping) (Source, error) {
	read, known := formats[strings.ToLower(filepath.Ext(path))]
	if !known {
		return Source{}, fmt.Errorf("%s: the ending is none of .csv .tsv .txt .ndjson .jsonl .parquet .tocsin .yaml .yml", filepath.Base(path))
	}
	name, size := filepath.Base(path), int64(0)
	if info, err := os.Stat(path); err == nil { // what is wrong with it is said when it is read
		size = info.Size()
	}
	return Source{Name: name, Mapping: m, Size: size, Read: func(ctx context.Context, d *Delivery, digest io.Writer) (err error) {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		return read(ctx, d, name, f, digest, m)
	}}, nil
}

// Text is the source of CSV text that is already in memory.
func Text(name, text string, m Mapping) Source {
	return Source{Name: name, Mapping: m, Read: func(_ context.Context, d *Delivery, digest io.Writer) error {
		return d.CSV(name, io.TeeReader(strings.NewReader(text), digest), m)
	}}
}

// fileReader reads an open file of one form.
type fileReader func(ctx context.Context, d *Delivery, name string, f *os.File, digest io.Writer, m Mapping) error

var formats = map[string]fileReader{
	".csv": csvFile, ".tsv": csvFile, ".txt": csvFile, ".ndjson": ndjsonFile, ".jsonl": ndjsonFile,
	".parquet": parquetFile, ".tocsin": bulkFile, ".yaml": fidesFile, ".yml": fidesFile,
}

func csvFile(_ context.Context, d *Delivery, name string, f *os.File, digest io.Writer, m Mapping) error {
	return d.CSV(name, io.TeeReader(f, digest), m)
}

// Folder returns the sources of all files of a folder that can be imported.
func Folder(dir string, mappings map[string]Mapping) ([]Source, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	var all []Source
	for _, e := range entries {
		if _, known := formats[strings.ToLower(filepath.Ext(e.Name()))]; e.IsDir() || !known {
			continue
		}
		src, err := File(filepath.Join(dir, e.Name()), mappings[e.Name()])
		if err != nil {
			return nil, err
		}
		all = append(all, src)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("import: %s holds no file that can be imported", dir)
	}
	return all, nil
}

// Entered returns the sources of a list typed in by hand: one dataset, which is
// made or kept, and people who belong to it. Rows without a date were held
// since ever.
func Entered(ds Dataset, text string) []Source {
	m := Mapping{Kind: kindPeople, Defaults: map[string]string{"dataset": ds.Key}}
	define := Source{Name: "datasets", Read: func(_ context.Context, d *Delivery, digest io.Writer) error {
		if ds.Key == "" {
			return errors.New("name the dataset to which the people belong")
		}
		if d.HasDataset(ds.Key) {
			return nil
		}
		if ds.Medium == "" {
			ds.Medium = "electronic"
		}
		if ds.Medium != "electronic" && ds.Medium != "paper" {
			return errors.New("the medium is neither electronic nor paper")
		}
		ds.Role = "controller"
		if ds.System == "" {
			ds.System, _, _ = strings.Cut(ds.Key, ".")
		}
		d.System(System{Key: ds.System})
		if _, err := fmt.Fprintf(digest, "%+v\n", ds); err != nil {
			return err
		}
		return d.Dataset(ds)
	}}
	return []Source{define, Text("people list", text, m)}
}
