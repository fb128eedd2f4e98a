package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"tocsin.dev/pkg/law"
)

// lawCmd asks the law engine. What concerns facts and rules needs no server;
// what concerns the cases of an installation asks it.
type lawCmd struct {
	Due      lawDueCmd      `cmd:"" help:"Print the duties that follow from a facts document, soonest first."`
	List     lawListCmd     `cmd:"" help:"List the rules."`
	Show     lawShowCmd     `cmd:"" help:"Show one rule with its source and doubts."`
	Words    lawWordsCmd    `cmd:"" help:"List the facts that the rules read, with what may be stated."`
	Check    lawCheckCmd    `cmd:"" help:"Load and validate the rules and run all their cases."`
	Explain  lawExplainCmd  `cmd:"" help:"Say which facts would change a duty of a case."`
	Severity lawSeverityCmd `cmd:"" help:"Score the severity after ENISA 2013. Advice to a person, never a decision."`

	Facts    lawFactsCmd    `cmd:"" help:"Print the facts document of a case, for law due."`
	Affected lawAffectedCmd `cmd:"" help:"List the open cases that a rule package would touch. Nothing is kept."`
	Propose  lawProposeCmd  `cmd:"" help:"Propose a rule package to your organisation. A second person must accept it."`
	Packages lawPackagesCmd `cmd:"" help:"List the rule packages that were proposed, and which of them holds."`
	Accept   lawAcceptCmd   `cmd:"" help:"Let a proposed rule package hold. The proposer cannot."`
	Calendar lawCalendarCmd `cmd:"" help:"Print the secret address of the calendar of duties."`
}

// ruleFolder says which rule package a command reads.
type ruleFolder struct {
	Rules string `help:"Folder with a rule package; the built-in one if absent." type:"existingdir"`
}

func (r ruleFolder) load() (*law.Rules, error) {
	if r.Rules == "" {
		return law.Default()
	}
	return law.Load(os.DirFS(r.Rules))
}

type lawDueCmd struct {
	ruleFolder
	Facts string     `required:"" help:"Facts document (schemas/law/facts.v1.json); - reads standard input."`
	At    *time.Time `help:"Show what was due as known at this instant (RFC 3339)."`
	All   bool       `help:"Also list the duties that do not apply, each with its reason."`
	JSON  bool       `name:"json" help:"Print JSON."`
}

// Run prints the duties.
func (c *lawDueCmd) Run() error {
	rules, facts, err := rulesAndFacts(c.ruleFolder, c.Facts)
	if err != nil {
		return err
	}
	var at time.Time
	if c.At != nil {
		at = *c.At
	}
	duties := rules.DutiesWith(facts, at, law.Options{NotApplicable: c.All})
	if c.JSON {
		return printJSON(rules.Document(facts, at, law.Options{NotApplicable: c.All}))
	}
	for i := range duties {
		printDuty(&duties[i])
	}
	if len(duties) == 0 {
		fmt.Println("No duty follows from these facts. Add --all to see why not.")
	}
	return nil
}

func printDuty(d *law.Duty) {
	due := "no fixed instant: " + d.Standard
	switch {
	case !d.Applies():
		due = "does not apply: " + d.NotApplicableBecause
	case d.Due != nil:
		due = d.DueLocal + " " + d.Zone + " (" + d.Due.UTC().Format("2006-01-02 15:04:05 UTC") + ")"
	case d.Pending != "":
		due = "waits for: " + d.Pending
	}
	fmt.Printf("%s\n  %s, %s\n", due, d.Status, d.Hardness)
	for _, line := range strings.Split(strings.TrimRight(d.Text(), "\n"), "\n") {
		fmt.Println("  " + line)
	}
	fmt.Println()
}

type lawListCmd struct {
	ruleFolder
	Jurisdiction string `help:"Only rules of this jurisdiction (ISO 3166 or group)."`
	Status       string `help:"Only rules of this status: in-force, adopted-not-effective, proposed, guidance, contract."`
	JSON         bool   `name:"json" help:"Print JSON."`
}

// Run lists the rules.
func (c *lawListCmd) Run() error {
	rules, err := c.load()
	if err != nil {
		return err
	}
	list := rules.List(c.Jurisdiction, law.Status(c.Status))
	if c.JSON {
		return printJSON(map[string]any{"rules": orEmpty(list), "package": rules.Version()})
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "RULE\tSTATUS\tTITLE\tCITATION")
	for _, r := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.Rule, r.Status, r.Title, r.Citation)
	}
	return w.Flush()
}

type lawShowCmd struct {
	ruleFolder
	Rule string `arg:"" help:"Rule id, such as eu-gdpr.authority."`
}

// Run shows every version of a rule.
func (c *lawShowCmd) Run() error {
	rules, err := c.load()
	if err != nil {
		return err
	}
	text, err := rules.Show(c.Rule)
	if err != nil {
		return err
	}
	fmt.Print(text)
	return nil
}

type lawCheckCmd struct {
	Dir  string `arg:"" optional:"" help:"Folder with rules/, calendars/ and data/; the built-in package if absent." type:"existingdir"`
	JSON bool   `name:"json" help:"Print JSON."`
}

// Run checks a rule package and fails if it has problems.
func (c *lawCheckCmd) Run() error {
	fsys := law.Files()
	if c.Dir != "" {
		fsys = os.DirFS(c.Dir)
	}
	report := law.Check(fsys)
	if c.JSON {
		if err := printJSON(report); err != nil {
			return err
		}
	} else {
		fmt.Print(report)
	}
	if !report.OK() {
		return exit{2, fmt.Errorf("the rule package has %d problems", len(report.Problems))}
	}
	return nil
}

type lawSeverityCmd struct {
	ruleFolder
	Facts string `required:"" help:"Facts document; - reads standard input."`
	JSON  bool   `name:"json" help:"Print JSON."`
}

// Run prints the score with its inputs.
func (c *lawSeverityCmd) Run() error {
	rules, facts, err := rulesAndFacts(c.ruleFolder, c.Facts)
	if err != nil {
		return err
	}
	s, err := rules.Severity(facts)
	if err != nil {
		return err
	}
	return printJSON(s)
}

func rulesAndFacts(from ruleFolder, path string) (*law.Rules, law.Facts, error) {
	rules, err := from.load()
	if err != nil {
		return nil, law.Facts{}, err
	}
	in := io.Reader(os.Stdin)
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, law.Facts{}, fmt.Errorf("open facts: %w", err)
		}
		defer f.Close()
		in = f
	}
	facts, err := law.ReadFacts(in)
	if err != nil {
		return nil, law.Facts{}, fmt.Errorf("read facts from %s: %w", path, err)
	}
	return rules, facts, nil
}

func printJSON(v any) error {
	enc := json.NewEncoder(os.Stdout)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// orEmpty makes an absent list print as [] instead of null.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
