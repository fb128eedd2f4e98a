package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"tocsin.dev/pkg/duty"
	"tocsin.dev/pkg/law"
	"tocsin.dev/pkg/rulebook"
	"tocsin.dev/services/desk/api/client"
)

type lawWordsCmd struct {
	ruleFolder
	Group string `help:"Only this group: event, breach, test, flag, finding, count, kind, size, hold, data, organisation."`
	JSON  bool   `name:"json" help:"Print JSON."`
}

// Run lists the facts that the rules read.
func (c *lawWordsCmd) Run() error {
	rules, err := c.load()
	if err != nil {
		return err
	}
	words := []duty.Word{}
	for _, w := range duty.Words(rules) {
		if c.Group == "" || w.Group == c.Group {
			words = append(words, w)
		}
	}
	if c.JSON {
		return printJSON(map[string]any{"words": words})
	}
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "KEY\tWHAT IT SAYS")
	for _, w := range words {
		fmt.Fprintf(t, "%s\t%s\n", w.Key, w.Title)
	}
	return t.Flush()
}

type lawExplainCmd struct {
	remote
	ruleFolder
	Case string `arg:"" help:"Number of a case of the installation, or a facts document; - reads standard input."`
	Duty string `arg:"" help:"Duty id, such as eu-gdpr.authority_SE. With a facts document --rules may name a package."`
	JSON bool   `name:"json" help:"Print JSON."`
}

// Run says which nearest facts would change the duty.
func (c *lawExplainCmd) Run(ctx context.Context) error {
	e, err := c.explanation(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(e)
	}
	fmt.Print(e.Duty.Text())
	for _, change := range e.Changes {
		fmt.Println(change)
	}
	return nil
}

func (c *lawExplainCmd) explanation(ctx context.Context) (law.Explanation, error) {
	if _, err := os.Stat(c.Case); c.Case == "-" || err == nil {
		rules, facts, err := rulesAndFacts(c.ruleFolder, c.Case)
		if err != nil {
			return law.Explanation{}, err
		}
		return rules.Explain(facts, time.Time{}, c.Duty)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return law.Explanation{}, fmt.Errorf("read %s: %w", c.Case, err)
	}
	api, err := c.client()
	if err != nil {
		return law.Explanation{}, fmt.Errorf("%s is no file, so it is taken for a case number: %w", c.Case, err)
	}
	res, err := api.ExplainDutyWithResponse(ctx, c.Case, c.Duty)
	if err != nil {
		return law.Explanation{}, err
	}
	if res.JSON200 == nil {
		return law.Explanation{}, refusedBy(fmt.Sprintf("explain %s of case %s", c.Duty, c.Case), res.Status(), res.Body)
	}
	return *res.JSON200, nil
}

type lawFactsCmd struct {
	remote
	Case string     `required:"" help:"Number of the case."`
	AsOf *time.Time `help:"As it was known at this instant (RFC 3339)."`
}

// Run prints the facts document of a case.
func (c *lawFactsCmd) Run(ctx context.Context) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	res, err := api.GetLawFactsWithResponse(ctx, c.Case, &client.GetLawFactsParams{AsOf: c.AsOf})
	if err != nil {
		return err
	}
	if res.JSON200 == nil {
		return refusedBy("facts of case "+c.Case, res.Status(), res.Body)
	}
	return printJSON(res.JSON200)
}

// packed reads a folder as a rule package; an empty name stands for the built-in one.
func packed(dir string) ([]byte, error) {
	if dir == "" {
		return nil, nil
	}
	data, err := rulebook.Pack(os.DirFS(dir))
	if err != nil {
		return nil, fmt.Errorf("pack %s: %w", filepath.Clean(dir), err)
	}
	return data, nil
}

type lawAffectedCmd struct {
	remote
	Package string `arg:"" optional:"" type:"existingdir" help:"Folder with rules/, calendars/ and data/; the built-in package if absent."`
	JSON    bool   `name:"json" help:"Print JSON."`
}

// Run lists the open cases that a rule package would touch.
func (c *lawAffectedCmd) Run(ctx context.Context) error {
	data, err := packed(c.Package)
	if err != nil {
		return err
	}
	api, err := c.client()
	if err != nil {
		return err
	}
	res, err := api.CheckRulePackageWithResponse(ctx, client.RulePackageUpload{Package: data})
	if err != nil {
		return err
	}
	if res.JSON200 == nil {
		return refusedBy("check the rule package", res.Status(), res.Body)
	}
	return printEffect(res.JSON200, c.JSON)
}

type lawProposeCmd struct {
	remote
	Dir  string `arg:"" optional:"" type:"existingdir" help:"Folder with rules/, calendars/ and data/; the built-in package if absent."`
	Note string `help:"What changed in the law."`
	JSON bool   `name:"json" help:"Print JSON."`
}

// Run proposes a rule package.
func (c *lawProposeCmd) Run(ctx context.Context) error {
	data, err := packed(c.Dir)
	if err != nil {
		return err
	}
	api, err := c.client()
	if err != nil {
		return err
	}
	res, err := api.ProposeRulePackageWithResponse(ctx, client.RulePackageUpload{Package: data, Note: c.Note})
	if err != nil {
		return err
	}
	if res.JSON200 == nil {
		return refusedBy("propose the rule package", res.Status(), res.Body)
	}
	if err := printEffect(res.JSON200, c.JSON); err != nil || c.JSON {
		return err
	}
	fmt.Printf("Proposed. A second person with the role legal or dpo accepts it with:\n  tocsin law accept %.12s\n", res.JSON200.Package.Digest)
	return nil
}

// printEffect prints what a package would touch; its problems are an error.
func printEffect(e *client.RulePackageEffect, asJSON bool) error {
	if asJSON {
		if err := printJSON(e); err != nil {
			return err
		}
	} else {
		fmt.Printf("package %.12s: %d rules, %d cases\n", e.Package.Digest, e.Package.Rules, e.Package.Cases)
		for _, p := range e.Problems {
			fmt.Println("problem:", p)
		}
		for _, a := range e.Affected {
			fmt.Printf("case %s\n", a.Case)
			for _, change := range a.Changes {
				fmt.Printf("  %s: %s\n", change.DutyID, change.Line)
			}
		}
		if len(e.Problems) == 0 && len(e.Affected) == 0 {
			fmt.Println("No open case would be touched.")
		}
	}
	if len(e.Problems) > 0 {
		return exit{2, fmt.Errorf("the rule package has %d problems", len(e.Problems))}
	}
	return nil
}

type lawPackagesCmd struct {
	remote
	JSON bool `name:"json" help:"Print JSON."`
}

// Run lists the proposed rule packages.
func (c *lawPackagesCmd) Run(ctx context.Context) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	res, err := api.ListRulePackagesWithResponse(ctx)
	if err != nil {
		return err
	}
	if res.JSON200 == nil {
		return refusedBy("list the rule packages", res.Status(), res.Body)
	}
	if c.JSON {
		return printJSON(res.JSON200)
	}
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "PACKAGE\tRULES\tPROPOSED (UTC)\tBY\tHOLDS SINCE\tNOTE")
	for _, p := range res.JSON200.Packages {
		holds := ""
		if p.Active {
			holds = p.AcceptedAt.UTC().Format("2006-01-02 15:04") + " by " + p.AcceptedBy
		}
		fmt.Fprintf(t, "%.12s\t%d\t%s\t%s\t%s\t%s\n", p.Digest, p.Rules, p.ProposedAt.UTC().Format("2006-01-02 15:04"), p.ProposedBy, holds, p.Note)
	}
	return t.Flush()
}

type lawAcceptCmd struct {
	remote
	Digest string `arg:"" help:"Digest of the package, or its first 12 characters, from law packages."`
}

// Run accepts a proposed rule package.
func (c *lawAcceptCmd) Run(ctx context.Context) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	res, err := api.AcceptRulePackageWithResponse(ctx, c.Digest)
	if err != nil {
		return err
	}
	if res.JSON200 == nil {
		return refusedBy("accept the rule package "+c.Digest, res.Status(), res.Body)
	}
	fmt.Printf("Package %.12s holds from now on; every open case is looked at again.\n", res.JSON200.Digest)
	return nil
}

type lawCalendarCmd struct {
	remote
	Role string `help:"One of your roles; your first if absent." enum:",analyst,legal,dpo,admin" default:""`
}

// Run prints the address of the iCalendar feed.
func (c *lawCalendarCmd) Run(ctx context.Context) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	params := client.GetCalendarParams{}
	if c.Role != "" {
		params.Role = new(client.GetCalendarParamsRole(c.Role))
	}
	res, err := api.GetCalendarWithResponse(ctx, &params)
	if err != nil {
		return err
	}
	if res.JSON200 == nil {
		return refusedBy("address of the calendar", res.Status(), res.Body)
	}
	fmt.Println(res.JSON200.URL)
	return nil
}
