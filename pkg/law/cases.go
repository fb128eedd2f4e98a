package law

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// caseFile is the form of *.cases.yaml: facts that all of its cases share, and the cases.
type caseFile struct {
	Base  map[string]any `yaml:"base"`
	Cases []*Case        `yaml:"cases"`
}

// Case is one test case of a rule that a lawyer can read.
type Case struct {
	Name    string         `yaml:"name"`
	Rule    string         `yaml:"rule"`
	Shows   string         `yaml:"shows"`   // plain, weekend, holiday, dst, boundary, leap, month-end, hold, stage, threshold, exemption, validity, reading
	Because string         `yaml:"because"` // one sentence
	Facts   map[string]any `yaml:"facts"`   // laid over base; lists replace
	At      string         `yaml:"at"`      // as known at this instant; default: everything that is known
	Expect  Expectation    `yaml:"expect"`
	File    string         `yaml:"-"`
	Line    int            `yaml:"-"`

	base map[string]any
}

// Expectation is what must come out. Fields that are left out are not compared.
type Expectation struct {
	Duty      string            `yaml:"duty"`    // which duty, if the rule gives several
	Applies   *bool             `yaml:"applies"` // default true
	Places    []string          `yaml:"places"`  // all places where the rule arises
	Due       string            `yaml:"due"`     // instant with offset, or "none"
	Readings  map[string]string `yaml:"readings"`
	Primary   string            `yaml:"primary"`
	Standard  string            `yaml:"standard"`
	Status    Status            `yaml:"status"`
	Hardness  Hardness          `yaml:"hardness"`
	Target    string            `yaml:"target"`
	Projected string            `yaml:"projected"`
	Pending   *bool             `yaml:"pending"`
	Suspended *bool             `yaml:"suspended"`
	Assumed   *bool             `yaml:"assumed"` // whether unknown facts were taken towards the duty
	Reason    string            `yaml:"reason"`  // part of why it does not apply
	To        string            `yaml:"to"`      // part of the recipient's name
}

var shows = []string{"plain", "weekend", "holiday", "dst", "boundary", "leap", "month-end", "hold", "stage", "threshold", "exemption", "validity", "reading"}

// Failure is a case that did not come out as expected.
type Failure struct {
	Case *Case
	Got  string
}

func (f Failure) String() string {
	return fmt.Sprintf("%s:%d: %s (%s): %s", f.Case.File, f.Case.Line, f.Case.Name, f.Case.Rule, f.Got)
}

// LoadCases reads every *.cases.yaml of a rule package.
func LoadCases(fsys fs.FS) ([]*Case, error) {
	var out []*Case
	err := fs.WalkDir(fsys, "rules", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".cases.yaml") {
			return err
		}
		data, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		cs, err := readCases(name, data)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		out = append(out, cs...)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("load cases: %w", err)
	}
	return out, nil
}

func readCases(name string, data []byte) ([]*Case, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, err
	}
	var f caseFile
	if err := strictNode(&doc, &f); err != nil {
		return nil, err
	}
	if err := doc.Decode(&f); err != nil {
		return nil, err
	}
	root := doc.Content[0]
	for i := 0; i+1 < len(root.Content); i += 2 {
		if root.Content[i].Value == "cases" {
			for j, n := range root.Content[i+1].Content {
				f.Cases[j].Line = n.Line
			}
		}
	}
	var errs []error
	for _, c := range f.Cases {
		c.File, c.base = name, f.Base
		if c.Name == "" || c.Rule == "" || c.Because == "" || !slices.Contains(shows, c.Shows) {
			errs = append(errs, fmt.Errorf("line %d: a case needs name, rule, because, and shows (one of %s)", c.Line, strings.Join(shows, ", ")))
		}
	}
	return f.Cases, errors.Join(errs...)
}

// FactsOf returns the whole facts of a case: its own laid over the base of its file.
func (c *Case) FactsOf() (Facts, error) {
	var f Facts
	m := lay(c.base, c.Facts).(map[string]any)
	if ev, ok := m["events"].(map[string]any); ok {
		m["events"] = eventList(ev)
	}
	data, err := json.Marshal(stringKeys(m))
	if err != nil {
		return f, fmt.Errorf("%s:%d: facts: %w", c.File, c.Line, err)
	}
	if err := strictJSON(data, &f); err != nil {
		return f, fmt.Errorf("%s:%d: facts: %w", c.File, c.Line, err)
	}
	if err := f.Validate(); err != nil {
		return f, fmt.Errorf("%s:%d: %w", c.File, c.Line, err)
	}
	return f, nil
}

// lay puts b over a: maps are merged, everything else is replaced. Neither is changed.
func lay(a, b any) any {
	am, ok1 := a.(map[string]any)
	bm, ok2 := b.(map[string]any)
	if b == nil || ok2 && bm == nil {
		bm, ok2 = map[string]any{}, true
	}
	if !ok1 || !ok2 {
		return b
	}
	out := make(map[string]any, len(am)+len(bm))
	for k, v := range am {
		out[k] = v
	}
	for k, v := range bm {
		if old, ok := out[k].(map[string]any); ok && v != nil {
			out[k] = lay(old, v)
			continue
		}
		out[k] = v
	}
	return out
}

// eventList turns the short form {aware: 2026-03-27T09:00:00+01:00} into a list of events, sorted by kind.
func eventList(m map[string]any) []any {
	kinds := make([]string, 0, len(m))
	for k, v := range m {
		if v != nil {
			kinds = append(kinds, k)
		}
	}
	slices.Sort(kinds)
	out := make([]any, 0, len(m))
	for _, k := range kinds {
		out = append(out, map[string]any{"kind": k, "at": m[k]})
	}
	return out
}

// stringKeys prepares decoded YAML for JSON: instants as RFC 3339 text with their own offset.
func stringKeys(v any) any {
	switch x := v.(type) {
	case map[string]any:
		for k := range x {
			x[k] = stringKeys(x[k])
		}
	case []any:
		for i := range x {
			x[i] = stringKeys(x[i])
		}
	case time.Time:
		return x.Format(time.RFC3339)
	}
	return v
}

// RunCase computes the rule of a case and returns what is wrong, or "".
func (r *Rules) RunCase(c *Case) string {
	if len(r.byID[c.Rule]) == 0 {
		return "no such rule"
	}
	f, err := c.FactsOf()
	if err != nil {
		return err.Error()
	}
	var at time.Time
	if c.At != "" {
		if at, err = time.Parse(time.RFC3339, c.At); err != nil {
			return "at: " + err.Error()
		}
	}
	all := r.DutiesWith(f, at, Options{NotApplicable: true, Rule: c.Rule})
	return c.Expect.compare(c.Rule, all)
}

func (x *Expectation) compare(rule string, all []Duty) string {
	var places []string
	var d *Duty
	for i := range all {
		if all[i].Applies() {
			places = append(places, all[i].Jurisdiction)
		}
		if (x.Duty == "" || all[i].ID == x.Duty) && (d == nil || !d.Applies() && all[i].Applies()) {
			d = &all[i]
		}
	}
	slices.Sort(places)
	if x.Places != nil {
		want := slices.Sorted(slices.Values(x.Places))
		if !slices.Equal(want, places) {
			return fmt.Sprintf("arises in %v, want %v", places, want)
		}
	}
	if d == nil {
		return "no duty " + x.Duty + " of " + rule
	}
	if applies := x.Applies == nil || *x.Applies; d.Applies() != applies {
		if applies {
			return "does not apply: " + d.NotApplicableBecause
		}
		return "applies in " + strings.Join(places, ", ")
	}
	if x.Reason != "" && !strings.Contains(d.NotApplicableBecause, x.Reason) {
		return fmt.Sprintf("reason is %q, want it to say %q", d.NotApplicableBecause, x.Reason)
	}
	return x.compareDuty(d)
}

func (x *Expectation) compareDuty(d *Duty) string {
	var bad []string
	same := func(what, want string, got *time.Time) {
		switch {
		case want == "":
		case want == "none" && got == nil:
		case want == "none":
			bad = append(bad, fmt.Sprintf("%s is %s, want none", what, got.Format(time.RFC3339)))
		case got == nil:
			bad = append(bad, fmt.Sprintf("%s is none (%s), want %s", what, d.Pending, want))
		default:
			t, err := time.Parse(time.RFC3339, want)
			if err != nil {
				bad = append(bad, what+": "+err.Error())
			} else if !t.Equal(*got) {
				bad = append(bad, fmt.Sprintf("%s is %s, want %s", what, got.In(t.Location()).Format(time.RFC3339), want))
			}
		}
	}
	flag := func(what string, want *bool, got bool) {
		if want != nil && *want != got {
			bad = append(bad, fmt.Sprintf("%s is %t, want %t", what, got, *want))
		}
	}
	same("due", x.Due, d.Due)
	same("projected", x.Projected, d.Projected)
	if x.Target != "" {
		var got *time.Time
		if d.Target != nil {
			got = d.Target.Due
		}
		same("target", x.Target, got)
	}
	for id, want := range x.Readings {
		i := slices.IndexFunc(d.Readings, func(r ReadingResult) bool { return r.ID == id })
		var got *time.Time
		if i >= 0 {
			got = &d.Readings[i].Due
		}
		same("reading "+id, want, got)
	}
	if i := slices.IndexFunc(d.Readings, func(r ReadingResult) bool { return r.Primary }); x.Primary != "" && (i < 0 || d.Readings[i].ID != x.Primary) {
		bad = append(bad, "the primary reading is not "+x.Primary)
	}
	text := func(what, want, got string) {
		if want != "" && want != got {
			bad = append(bad, fmt.Sprintf("%s is %q, want %q", what, got, want))
		}
	}
	text("standard", x.Standard, d.Standard)
	text("status", string(x.Status), string(d.Status))
	text("hardness", string(x.Hardness), string(d.Hardness))
	if x.To != "" && !strings.Contains(d.To.Name, x.To) {
		bad = append(bad, fmt.Sprintf("to is %q, want it to say %q", d.To.Name, x.To))
	}
	flag("pending", x.Pending, d.Pending != "")
	flag("suspended", x.Suspended, d.Suspended != nil)
	flag("assumed", x.Assumed, len(d.Assumed) > 0)
	return strings.Join(bad, "; ")
}
