package law

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// Report is what Check found.
type Report struct {
	Rules    int      `json:"rules"`
	Cases    int      `json:"cases"`
	Version  string   `json:"version"`
	Problems []string `json:"problems"` // each names file and line
}

// OK reports whether nothing was found.
func (r Report) OK() bool { return len(r.Problems) == 0 }

// String prints the report for people.
func (r Report) String() string {
	var b strings.Builder
	for _, p := range r.Problems {
		b.WriteString(p + "\n")
	}
	fmt.Fprintf(&b, "%d rules, %d cases, %d problems, package %s\n", r.Rules, r.Cases, len(r.Problems), r.Version)
	return b.String()
}

// Check loads a rule package (folders rules/, calendars/, data/), validates it, asks for enough cases of
// every rule and runs them all.
func Check(fsys fs.FS) Report {
	rules, err := Load(fsys)
	if err != nil {
		return Report{Problems: strings.Split(err.Error(), "\n")}
	}
	rep := Report{Rules: len(rules.all), Version: rules.version, Problems: []string{}}
	cases, err := LoadCases(fsys)
	if err != nil {
		rep.Problems = append(rep.Problems, strings.Split(err.Error(), "\n")...)
		return rep
	}
	rep.Cases = len(cases)
	rep.Problems = append(rep.Problems, rules.enough(cases)...)
	for _, c := range cases {
		if got := rules.RunCase(c); got != "" {
			rep.Problems = append(rep.Problems, Failure{c, got}.String())
		}
	}
	return rep
}

// enough asks for three cases of every rule with a period: one plain, one on a weekend or holiday, one at a
// clock change, leap day, month end or other boundary.
func (r *Rules) enough(cases []*Case) []string {
	shown := map[string][]string{}
	for _, c := range cases {
		shown[c.Rule] = append(shown[c.Rule], c.Shows)
	}
	var out []string
	for _, rule := range r.all {
		if r.byID[rule.Full][0] != rule {
			continue // cases are counted once for all versions of a rule
		}
		have := shown[rule.Full]
		any := func(kinds ...string) bool {
			return slices.ContainsFunc(have, func(s string) bool { return slices.Contains(kinds, s) })
		}
		switch {
		case len(have) == 0:
			out = append(out, rule.errorf("no case").Error())
		case len(rule.Limits) == 0:
		case len(have) < 3:
			out = append(out, rule.errorf("a rule with a period needs three cases, has %d", len(have)).Error())
		case !any("plain") || !any("weekend", "holiday") || !any("dst", "boundary", "leap", "month-end", "threshold", "reading"):
			out = append(out, rule.errorf("needs a plain case, one on a weekend or holiday, and one at a clock change or other boundary; has %s", strings.Join(have, ", ")).Error())
		}
	}
	return out
}
