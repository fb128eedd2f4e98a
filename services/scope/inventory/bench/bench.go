// Package bench measures the inventory on this machine: what an import, a
// preview, a seal, a difference, the contacts and an erasure cost, beside a
// plain reference with one SQL row per record (reference.go).
package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/person"
	"tocsin.dev/pkg/sqldb"
	"tocsin.dev/services/scope/inventory"
	"tocsin.dev/services/scope/inventory/synthetic"
)

// Step is one measured step.
type Step struct {
	Name string `json:"name"`
	// CPU and Wall are in seconds; CPU counts all threads, the kernel's part included.
	CPU  float64 `json:"cpu_seconds"`
	Wall float64 `json:"wall_seconds"`
	// PeakMB is the peak resident memory of the process so far, in MB of 10^6 bytes.
	PeakMB float64 `json:"peak_mb"`
	// PerSecond is what the step handled in a CPU second, where that makes sense.
	PerSecond float64 `json:"per_cpu_second,omitempty"`
	// Ratio is the cost per person over that of what the step is compared with.
	Ratio float64 `json:"ratio,omitempty"`
	Note  string  `json:"note,omitempty"`
}

// Steps that are compared with others.
const (
	stepImport  = "import of the bulk form"
	stepPreview = "preview with all counts"
	stepSeal    = "seal revision 1"
	stepStream  = "stream of contacts"
)

// Options say what to measure.
type Options struct {
	People int
	Seed   uint64
	// Dir takes the database and the files; empty means a temporary folder.
	Dir string
	// URL of a PostgreSQL database instead of a SQLite file in Dir.
	URL string
	// CSV imports the people from CSV as well, at most a million.
	CSV bool
	// Reference measures the plain SQL rows as well, at most a million people.
	Reference bool
	// Report is called with every step when it is done.
	Report func(Step)
}

// clock measures one step.
type clock struct {
	cpu  float64
	wall time.Time
}

func start() clock {
	runtime.GC()
	return clock{cpuSeconds(), time.Now()}
}

func (c clock) step(name string, handled int64) Step {
	s := Step{Name: name, CPU: cpuSeconds() - c.cpu, Wall: time.Since(c.wall).Seconds(), PeakMB: peakMB()}
	if handled > 0 && s.CPU > 0 {
		s.PerSecond = float64(handled) / s.CPU
	}
	return s
}

func cpuSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

func peakMB() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return float64(u.Maxrss) * 1024 / 1e6 // Linux counts KiB
}

// Exposures are an incident over three datasets that hits about sixty percent
// of the people; wide is how far the window reaches back in years.
func Exposures(wide int) []event.Exposure {
	to := time.Date(2022, 6, 1, 0, 0, 0, 0, time.UTC)
	from := to.AddDate(-wide, 0, 0)
	return []event.Exposure{
		{Dataset: "crm.customers", From: from, To: to}, {Dataset: "shop.orders", From: from, To: to.AddDate(1, 0, 0)},
		{Dataset: "shop.accounts", From: from, To: to, Categories: []string{"user.account.username"}},
	}
}

// Run measures and returns the steps.
func Run(ctx context.Context, o Options) (steps []Step, err error) {
	if o.Dir == "" {
		if o.Dir, err = os.MkdirTemp("", "tocsin-bench-"); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(o.Dir)) }()
	} else if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, err
	}
	r := &run{o: o, org: "bench", cost: map[string]float64{}}
	r.report = func(s Step) {
		r.cost[s.Name] = s.CPU / float64(o.People)
		steps = append(steps, s)
		if o.Report != nil {
			o.Report(s)
		}
	}
	return steps, r.all(ctx)
}

type run struct {
	o      Options
	org    string
	report func(Step)
	store  *inventory.Store
	db     *sqldb.DB
	// CPU seconds a person by step, of this run and of the small one before it.
	cost, smallCost map[string]float64
}

func (r *run) all(ctx context.Context) (err error) {
	if r.o.People > smallPeople {
		if err := r.small(ctx); err != nil {
			return err
		}
	}
	if err := r.prepare(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.db.Close()) }()
	for _, f := range []func(context.Context) error{r.disk, r.preview, r.seal, r.difference, r.firstContact, r.streamAll, r.contacts, r.erase} {
		if err := f(ctx); err != nil {
			return err
		}
	}
	r.compare()
	if r.o.CSV {
		if err := r.importCSV(ctx); err != nil {
			return err
		}
	}
	if r.o.Reference {
		return r.reference(ctx)
	}
	return nil
}

// prepare makes the people and imports them.
func (r *run) prepare(ctx context.Context) error {
	bulk := filepath.Join(r.o.Dir, "people.tocsin")
	if err := r.generate(bulk); err != nil {
		return err
	}
	debug.FreeOSMemory()
	if err := r.open(ctx, "scope.db"); err != nil {
		return err
	}
	return r.importFile(ctx, bulk)
}

func (r *run) open(ctx context.Context, name string) error {
	url := r.o.URL
	if url == "" {
		url = "sqlite:" + filepath.Join(r.o.Dir, name)
	}
	var err error
	if r.db, err = sqldb.Open(ctx, url); err != nil {
		return err
	}
	root, err := inventory.OpenFileRoot(filepath.Join(r.o.Dir, name+".keys"))
	if err != nil {
		return err
	}
	r.store, err = inventory.Open(ctx, inventory.Config{DB: r.db, Root: root, TempDir: r.o.Dir, Now: time.Now})
	return err
}

func (r *run) generate(path string) (err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	c := start()
	err = errors.Join(synthetic.New("bench", r.o.People, r.o.Seed).WriteBulk(f), f.Close())
	r.report(c.step("generate", int64(r.o.People)))
	return err
}

func (r *run) importFile(ctx context.Context, path string) error {
	src, err := inventory.File(path, inventory.Mapping{})
	if err != nil {
		return err
	}
	c := start()
	report, err := r.store.Import(ctx, r.org, []inventory.Source{src}, inventory.Options{})
	s := c.step(stepImport, report.People)
	s.Note = fmt.Sprintf("%d people, %d records, %d joined", report.New, report.Holdings, report.Joined)
	r.report(s)
	return err
}

func (r *run) disk(context.Context) error {
	if r.o.URL != "" {
		return nil
	}
	shelves, err := filepath.Glob(filepath.Join(r.o.Dir, "scope.db-shelf-*"))
	if err != nil {
		return err
	}
	var size int64
	for _, path := range append(shelves, filepath.Join(r.o.Dir, "scope.db")) {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		size += info.Size()
	}
	r.report(Step{Name: "disk", PeakMB: peakMB(), Note: fmt.Sprintf("%.0f bytes a person", float64(size)/float64(r.o.People))})
	return nil
}

func (r *run) preview(ctx context.Context) error {
	c := start()
	a, err := r.store.Preview(ctx, r.org, Exposures(3), inventory.Policy{RetentionMonths: 36})
	s := c.step(stepPreview, a.People)
	s.Note = fmt.Sprintf("%.0f %% of all people, %d jurisdictions", 100*float64(a.People)/float64(r.o.People), len(a.Counts.Jurisdictions))
	r.report(s)
	return err
}

func (r *run) seal(ctx context.Context) error {
	for i, wide := range []int{3, 1} {
		c := start()
		sealed, err := r.store.Seal(ctx, r.org, "bench", fmt.Sprint(i), Exposures(wide), inventory.Policy{})
		if err != nil {
			return err
		}
		r.report(c.step(fmt.Sprintf("seal revision %d", i+1), sealed.People))
	}
	return nil
}

func (r *run) difference(ctx context.Context) error {
	if _, err := r.store.Difference(ctx, r.org, "bench", 1, 1); err != nil { // reads the list once
		return err
	}
	c := start()
	d, err := r.store.Difference(ctx, r.org, "bench", 1, 2)
	s := c.step("difference of two revisions", 0)
	s.Note = fmt.Sprintf("%d added, %d removed, %d widened, %d narrowed", d.Added, d.Removed, d.Widened, d.Narrowed)
	r.report(s)
	return err
}

func (r *run) firstContact(ctx context.Context) error {
	c := start()
	a, err := r.store.Contacts(ctx, event.ContactsQuestion{Org: r.org, Case: "bench", Revision: 1, From: 0, To: 1})
	if err == nil && len(a.Contacts) != 1 {
		err = errors.New("no first contact")
	}
	r.report(c.step("first contact", 0))
	return err
}

func (r *run) streamAll(ctx context.Context) error {
	n := int64(0)
	c := start()
	err := r.store.Stream(ctx, r.org, "bench", 1, nil, "bench", func(people []person.Contact) error {
		n += int64(len(people))
		return nil
	})
	r.report(c.step(stepStream, n))
	return err
}

func (r *run) contacts(ctx context.Context) error {
	n := int64(0)
	c := start()
	for n < 200_000 {
		a, err := r.store.Contacts(ctx, event.ContactsQuestion{Org: r.org, Case: "bench", Revision: 1, From: n, To: n + 1000})
		if err != nil || a.Next == n {
			r.report(c.step("contacts by thousands, audited", n))
			return err
		}
		n = a.Next
	}
	r.report(c.step("contacts by thousands, audited", n))
	return nil
}

func (r *run) erase(ctx context.Context) error {
	numbers := make([]person.Number, min(1000, r.o.People/2))
	for i := range numbers {
		numbers[i] = person.Number(1 + i*(r.o.People/len(numbers)*9/10))
	}
	c := start()
	n, err := r.store.Erase(ctx, r.org, numbers, "bench", "measured")
	r.report(c.step(fmt.Sprintf("erase %d people", n), 0))
	return err
}

// importCSV imports the same people, at most a million, from CSV files into an
// inventory of its own.
func (r *run) importCSV(ctx context.Context) error {
	set := synthetic.New("csv", min(r.o.People, 1_000_000), r.o.Seed)
	dir := filepath.Join(r.o.Dir, "csv")
	if err := set.Write(dir); err != nil {
		return err
	}
	sources, err := inventory.Folder(dir, nil)
	if err != nil {
		return err
	}
	c := start()
	report, err := r.store.Import(ctx, "csv", sources, inventory.Options{})
	s := c.step("import of CSV, rows", report.People+report.Holdings)
	s.Note = fmt.Sprintf("%d people and %d records", report.People, report.Holdings)
	r.report(s)
	return err
}
