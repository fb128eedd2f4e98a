package law

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"go.yaml.in/yaml/v3"
)

//go:embed rules calendars data
var embedded embed.FS

// Files returns the embedded rule package: rules/, calendars/ and data/.
func Files() fs.FS { return embedded }

// Rules is a loaded, checked rule package. It is never changed after loading and may be shared.
type Rules struct {
	voc     *Vocabulary
	cals    *Calendars
	all     []*Rule
	byID    map[string][]*Rule
	regimes []*regime
	version string
}

// Version is a digest over every file of the package and of what With added.
func (r *Rules) Version() string { return r.version }

// Vocabulary returns the words that facts and conditions are written with.
func (r *Rules) Vocabulary() *Vocabulary { return r.voc }

// Calendars returns the calendars of the package.
func (r *Rules) Calendars() *Calendars { return r.cals }

// All returns every rule version in file order. Do not change them.
func (r *Rules) All() []*Rule { return r.all }

// Rule returns all versions of a rule, oldest first.
func (r *Rules) Rule(id string) []*Rule { return r.byID[id] }

// Default loads the embedded rule package.
func Default() (*Rules, error) { return Load(embedded) }

// Load reads a rule package. A record without citation, validity, source or cases does not load; unknown
// fields, unknown words and bad conditions are errors that name file and line. All errors are reported together.
func Load(fsys fs.FS) (*Rules, error) {
	cals, err := LoadCalendars(fsys, "calendars")
	if err != nil {
		return nil, err
	}
	voc := &Vocabulary{Places: map[string]*Jurisdiction{}, Readings: map[string][]Reading{}, zones: map[string]*time.Location{}}
	if err := voc.load(fsys, cals); err != nil {
		return nil, err
	}
	r := &Rules{voc: voc, cals: cals, byID: map[string][]*Rule{}}
	files, cases, digest, err := readRules(fsys)
	if err != nil {
		return nil, err
	}
	r.version = digest
	regimes, err := decodeAll(files)
	if err != nil {
		return nil, err
	}
	if err := r.add(regimes, cases); err != nil {
		return nil, err
	}
	return r, nil
}

// With returns the rules together with those of further files, such as an organisation's own promises
// and contract clocks. They need no cases. r itself stays as it is.
func (r *Rules) With(files map[string][]byte) (*Rules, error) {
	voc := *r.voc
	voc.Words = Words{}
	if err := voc.add(&r.voc.Words); err != nil {
		return nil, err
	}
	out := &Rules{voc: &voc, cals: r.cals, all: slices.Clone(r.all), byID: maps.Clone(r.byID), regimes: slices.Clone(r.regimes)}
	h := sha256.New()
	h.Write([]byte(r.version))
	var list []file
	for _, name := range slices.Sorted(maps.Keys(files)) {
		h.Write([]byte(name))
		h.Write(files[name])
		list = append(list, file{name, files[name]})
	}
	out.version = "sha256:" + hex.EncodeToString(h.Sum(nil))[:16]
	regimes, err := decodeAll(list)
	if err != nil {
		return nil, err
	}
	return out, out.add(regimes, nil)
}

type file struct {
	name string
	data []byte
}

// readRules returns the rule files, for each the text of its cases, and a digest over everything that decides a duty.
func readRules(fsys fs.FS) (files []file, cases map[string][]byte, digest string, err error) {
	cases = map[string][]byte{}
	h := sha256.New()
	err = fs.WalkDir(fsys, "rules", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(name) != ".yaml" {
			return err
		}
		data, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		if strings.HasSuffix(name, ".cases.yaml") {
			cases[strings.TrimSuffix(name, ".cases.yaml")+".yaml"] = data
			return nil
		}
		h.Write([]byte(name))
		h.Write(data)
		files = append(files, file{name, data})
		return nil
	})
	if err != nil {
		return nil, nil, "", fmt.Errorf("read rules: %w", err)
	}
	for _, dir := range []string{"calendars", "data"} { // a moved holiday moves a duty as well as a changed rule does
		err = fs.WalkDir(fsys, dir, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := fs.ReadFile(fsys, name)
			h.Write([]byte(name))
			h.Write(data)
			return err
		})
		if err != nil {
			return nil, nil, "", fmt.Errorf("read %s: %w", dir, err)
		}
	}
	return files, cases, "sha256:" + hex.EncodeToString(h.Sum(nil))[:16], nil
}

// decodeAll decodes the files on all processors and keeps their order.
func decodeAll(files []file) ([]*regime, error) {
	out := make([]*regime, len(files))
	errs := make([]error, len(files))
	var wg sync.WaitGroup
	work := make(chan int)
	for range min(runtime.GOMAXPROCS(0), 8) {
		wg.Go(func() {
			for i := range work {
				out[i], errs[i] = decodeRegime(files[i])
			}
		})
	}
	for i := range files {
		work <- i
	}
	close(work)
	wg.Wait()
	return out, errors.Join(errs...)
}

func decodeRegime(f file) (*regime, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(f.data, &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", f.name, err)
	}
	reg := &regime{file: f.name}
	if err := strictNode(&doc, reg); err != nil {
		return nil, fmt.Errorf("%s: %w", f.name, err)
	}
	if err := doc.Decode(reg); err != nil {
		return nil, fmt.Errorf("%s: %w", f.name, err)
	}
	if len(doc.Content) == 0 {
		return nil, fmt.Errorf("%s: empty file", f.name)
	}
	root := doc.Content[0]
	for i := 0; i+1 < len(root.Content); i += 2 {
		if root.Content[i].Value != "duties" {
			continue
		}
		for j, n := range root.Content[i+1].Content {
			if j < len(reg.Duties) {
				reg.Duties[j].Line = n.Line
			}
		}
	}
	return reg, nil
}

// add takes decoded regimes in: words first, then rules, then the references between rules.
func (r *Rules) add(regimes []*regime, cases map[string][]byte) error {
	var errs []error
	for _, reg := range regimes {
		if err := r.voc.add(&reg.Declare); err != nil {
			errs = append(errs, fmt.Errorf("%s: declare: %w", reg.file, err))
		}
	}
	if err := r.voc.resolve(); err != nil {
		errs = append(errs, err)
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	var fresh []*Rule
	for _, reg := range regimes {
		r.regimes = append(r.regimes, reg)
		for _, rule := range reg.Duties {
			rule.inherit(reg)
			errs = append(errs, rule.check(r.voc, reg))
			if cases != nil && !mentions(cases[reg.file], rule.Full) {
				errs = append(errs, rule.errorf("no case in %s", strings.TrimSuffix(reg.file, ".yaml")+".cases.yaml"))
			}
			fresh = append(fresh, rule)
			r.byID[rule.Full] = append(slices.Clone(r.byID[rule.Full]), rule)
		}
	}
	r.all = append(r.all, fresh...)
	for _, rule := range fresh {
		errs = append(errs, r.checkReferences(rule))
	}
	errs = append(errs, r.checkVersions())
	return errors.Join(errs...)
}

// mentions reports whether a cases file has a case of the rule, written «rule: id». The cases themselves
// are read by Check only, so that loading stays quick.
func mentions(cases []byte, id string) bool {
	want := []byte("rule: " + id)
	for rest := cases; ; {
		_, after, ok := bytes.Cut(rest, want)
		if !ok {
			return false
		}
		if len(after) == 0 || bytes.IndexByte([]byte(",}\r\n\t #"), after[0]) >= 0 {
			return true
		}
		rest = after
	}
}

func (rule *Rule) errorf(format string, args ...any) error {
	return fmt.Errorf("%s:%d: duty %s: %w", rule.File, rule.Line, rule.Full, fmt.Errorf(format, args...))
}

// inherit fills what the duty leaves out from the head of its file.
func (rule *Rule) inherit(reg *regime) {
	rule.Full = reg.ID + "." + rule.ID
	rule.Regime, rule.RegimeTitle, rule.Jurisdiction = reg.ID, reg.Title, reg.Jurisdiction
	rule.File = reg.file
	rule.regimeExcept = reg.Except
	c, h := &rule.Common, &reg.Common
	switch {
	case c.Citation == "":
		c.Citation = h.Citation
	case h.Citation != "" && !strings.HasPrefix(c.Citation, h.Citation):
		c.Citation = h.Citation + ", " + c.Citation
	}
	orElse(&c.Version, h.Version)
	orElse(&c.Status, h.Status)
	orElse(&c.Valid, h.Valid)
	orElse(&c.Source, h.Source)
	orElse(&c.Connection, h.Connection)
	orElse(&c.Hardness, h.Hardness)
	orElse(&c.Organisation, h.Organisation)
	orElse(&c.OwedBy.Role, h.OwedBy.Role)
	if c.OwedBy.Kind == nil {
		c.OwedBy.Kind = h.OwedBy.Kind
	}
	if c.Among == nil {
		c.Among = h.Among
	}
	if c.Among == nil {
		c.Among = list{reg.Jurisdiction}
	}
	if c.Holds == nil {
		c.Holds = h.Holds
	}
	c.Counting = c.Counting.over(h.Counting)
	c.Doubts = append(slices.Clone(h.Doubts), c.Doubts...)
	c.Records = append(slices.Clone(h.Records), c.Records...)
	orElse(&c.Hardness, hardnessOf(c.Status))
}

func orElse[T comparable](v *T, other T) {
	var zero T
	if *v == zero {
		*v = other
	}
}

func hardnessOf(s Status) Hardness {
	switch s {
	case Contract, PolicyRule:
		return ContractFigure
	case Guidance:
		return GuideFigure
	}
	return Statutory
}

// over returns c with its empty fields taken from base.
func (c Counting) over(base Counting) Counting {
	orElse(&c.Start, base.Start)
	orElse(&c.End, base.End)
	orElse(&c.Zone, base.Zone)
	orElse(&c.Calendar, base.Calendar)
	orElse(&c.Roll, base.Roll)
	orElse(&c.MinWorkingDays, base.MinWorkingDays)
	return c
}

// load reads data/vocabulary*.yaml, data/jurisdictions*.yaml and data/counting*.yaml.
func (v *Vocabulary) load(fsys fs.FS, cals *Calendars) error {
	names, err := fs.Glob(fsys, "data/*.yaml")
	if err != nil {
		return fmt.Errorf("list data files: %w", err)
	}
	for _, name := range names {
		data, err := fs.ReadFile(fsys, name)
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		if err := v.loadFile(path.Base(name), data); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	for code, p := range v.Places {
		p.Code = code
		if p.loc, err = time.LoadLocation(p.Zone); err != nil || p.Zone == "" || p.Name == "" {
			return fmt.Errorf("jurisdiction %s: needs a name and an IANA zone, has %q and %q", code, p.Name, p.Zone)
		}
		v.zones[p.Zone] = p.loc
		orElse(&p.Calendar, code)
		p.cal = cals.Get(p.Calendar)
	}
	return nil
}

func (v *Vocabulary) loadFile(base string, data []byte) error {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return err
	}
	decode := func(x any) error {
		if err := strictNode(&doc, x); err != nil {
			return err
		}
		return doc.Decode(x)
	}
	switch {
	case strings.HasPrefix(base, "vocabulary"):
		var w Words
		if err := decode(&w); err != nil {
			return err
		}
		return v.add(&w)
	case strings.HasPrefix(base, "jurisdictions"):
		var m map[string]*Jurisdiction
		if err := decode(&m); err != nil {
			return err
		}
		for k, j := range m {
			if v.Places[k] != nil {
				return fmt.Errorf("jurisdiction %s is declared twice", k)
			}
			v.Places[k] = j
		}
		return nil
	case strings.HasPrefix(base, "counting"):
		var m map[string][]Reading
		if err := decode(&m); err != nil {
			return err
		}
		maps.Copy(v.Readings, m)
		return nil
	}
	return fmt.Errorf("expected vocabulary*, jurisdictions* or counting*")
}
