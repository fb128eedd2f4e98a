package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"tocsin.dev/pkg/wording"
	"tocsin.dev/services/desk/api/client"
)

// wordingCmd works on the texts of a case.
type wordingCmd struct {
	Check   wordingCheckCmd   `cmd:"" help:"Check the texts, and lay them over every person of the sealed list. Exits with 2 if a finding blocks approval."`
	Preview wordingPreviewCmd `cmd:"" help:"Show one person's notice as it would leave. Nothing is sent; the look is logged."`
	Test    wordingTestCmd    `cmd:"" help:"Send a text, marked as a test, to yourself and to those who may approve it. Nobody of the list gets anything. Exits with 2 if a message did not go out."`
	Diff    wordingDiffCmd    `cmd:"" help:"Compare two texts word by word: files, or versions of a case's texts."`
}

// caseOf is what commands about one case take.
type caseOf struct {
	remote
	Case string `required:"" help:"Number of the case."`
	JSON bool   `name:"json" help:"Print JSON."`
}

type wordingCheckCmd struct{ caseOf }

// Run checks, asking again while a long list is still being walked.
func (c *wordingCheckCmd) Run(ctx context.Context) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	var check *client.WordingCheck
	for {
		res, err := api.CheckWordingWithResponse(ctx, c.Case)
		if err != nil {
			return err
		}
		if check = res.JSON200; check == nil {
			return refusedBy("check the wording of case "+c.Case, res.Status(), res.Body)
		}
		if check.List.Done || check.List.People == 0 {
			break
		}
		fmt.Fprintf(os.Stderr, "%d of %d people checked\n", check.List.Checked, check.List.People)
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if c.JSON {
		err = printJSON(check)
	} else {
		err = c.print(check)
	}
	if err == nil && check.Blocked {
		err = exit{2, errors.New("the texts cannot be approved as they stand")}
	}
	return err
}

func (c *wordingCheckCmd) print(check *client.WordingCheck) error {
	for _, f := range check.Findings {
		kind := "note"
		switch {
		case f.Blocks && f.Overridable:
			kind = "BLOCKS (may be overridden)"
		case f.Blocks:
			kind = "BLOCKS"
		}
		about := f.Check
		if f.Text != "" {
			about = f.Text + " " + f.Check
		}
		fmt.Printf("%s: %s: %s\n", kind, about, f.Message)
	}
	l := check.List
	fmt.Printf("%d of %d people of revision %d checked: %d deceased, %d erased, %d minors without a guardian, %d without an address on these channels\n",
		l.Checked, l.People, l.Revision, l.Deceased, l.Erased, l.WithoutGuardian, l.Unreachable)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, v := range l.Variants {
		fmt.Fprintf(w, "%s\t%d people\t%s\n", v.TextKey, v.People, strings.Join(v.Conditions, ", "))
	}
	for _, x := range l.Samples {
		fmt.Fprintf(w, "worth a look: %s\t%d people\tfor example %s\n", strings.ReplaceAll(x.Kind, "_", " "), x.People, strings.Trim(fmt.Sprint(x.Numbers), "[]"))
	}
	return w.Flush()
}

type wordingPreviewCmd struct {
	caseOf
	Person  int64  `required:"" help:"Person number on the sealed list."`
	Channel string `enum:"email,sms,post" default:"email" help:"Channel: email, sms or post."`
	Kind    string `enum:"first,supplement,correction" default:"first" help:"Kind of notice."`
	Reason  string `default:"preview from the command line" help:"Why you look; the audit keeps it."`
	Raw     bool   `help:"Print the bytes that would go to the provider or printer, and nothing else."`
}

// Run shows the notice.
func (c *wordingPreviewCmd) Run(ctx context.Context) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	res, err := api.PreviewNoticeWithResponse(ctx, c.Case, client.NoticePreviewRequest{
		Person: c.Person, Channel: client.NoticePreviewRequestChannel(c.Channel), Kind: client.NoticePreviewRequestKind(c.Kind), Reason: c.Reason})
	if err != nil {
		return err
	}
	l := res.JSON200
	if l == nil {
		return refusedBy("preview of case "+c.Case, res.Status(), res.Body)
	}
	switch {
	case c.Raw:
		_, err = os.Stdout.Write(l.Request)
	case c.JSON:
		err = printJSON(l)
	default:
		fmt.Printf("To:        %s\nText:      %s\nReference: %s\n", l.To, l.TextKey, l.Reference)
		if l.Parts > 0 {
			fmt.Printf("Parts:     %d (%s)\n", l.Parts, l.Alphabet)
		}
		if l.SHA256 != "" {
			fmt.Printf("Request:   %d bytes of %s, SHA-256 %s\n", len(l.Request), l.ContentType, l.SHA256)
		}
		if l.Subject != "" {
			fmt.Printf("Subject:   %s\n", l.Subject)
		}
		fmt.Printf("\n%s\n", l.Text)
	}
	if err == nil && l.Problem != "" {
		err = exit{2, fmt.Errorf("this would not leave: %s", l.Problem)}
	}
	return err
}

type wordingDiffCmd struct {
	remote
	Case string `help:"Number of the case whose texts are meant; without it A and B are files."`
	From string `arg:"" name:"a" help:"File, or text and version such as people/email/sv@1; @approved is the last approved version, @latest (or nothing) the newest."`
	To   string `arg:"" name:"b" help:"What to compare it with."`
	JSON bool   `name:"json" help:"Print the redline as JSON."`
}

// Run prints the redline: [-removed-] and {+added+}.
func (c *wordingDiffCmd) Run(ctx context.Context) error {
	read := func(_ context.Context, name string) (string, error) {
		data, err := os.ReadFile(name)
		if err != nil {
			return "", fmt.Errorf("read %s (give --case to compare versions of a case's text): %w", name, err)
		}
		return string(data), nil
	}
	if c.Case != "" {
		read = c.version
	}
	from, err := read(ctx, c.From)
	if err != nil {
		return err
	}
	to, err := read(ctx, c.To)
	if err != nil {
		return err
	}
	spans := wording.Redline(from, to)
	if c.JSON {
		return printJSON(map[string]any{"changed": wording.Changed(spans), "spans": orEmpty(spans)})
	}
	fmt.Println(wording.Plain(spans))
	return nil
}

// version returns subject and body of a version of a text of the case.
func (c *wordingDiffCmd) version(ctx context.Context, name string) (string, error) {
	api, err := c.client()
	if err != nil {
		return "", err
	}
	res, err := api.ListWordingWithResponse(ctx, c.Case)
	if err != nil {
		return "", err
	}
	if res.JSON200 == nil {
		return "", refusedBy("texts of case "+c.Case, res.Status(), res.Body)
	}
	key, want, _ := strings.Cut(name, "@")
	var digest string
	if want == "approved" {
		if digest, err = c.approved(ctx, api, key); err != nil {
			return "", err
		}
	}
	var found *client.Text
	var known []string
	for i, t := range res.JSON200.Versions {
		if !slices.Contains(known, t.Key.String()) {
			known = append(known, t.Key.String())
		}
		match := want == "" || want == "latest" || want == strconv.Itoa(t.Version) || digest != "" && digest == t.Digest
		if t.Key.String() == key && match {
			found = &res.JSON200.Versions[i] // the newest of those that match
		}
	}
	if found == nil {
		return "", fmt.Errorf("case %s has no %q; its texts are %s", c.Case, name, strings.Join(known, ", "))
	}
	if found.Subject == "" {
		return found.Body, nil
	}
	return found.Subject + "\n\n" + found.Body, nil
}

// approved returns the digest of a text in the newest approval that names it.
func (c *wordingDiffCmd) approved(ctx context.Context, api *client.ClientWithResponses, key string) (string, error) {
	res, err := api.ListApprovalsWithResponse(ctx, c.Case)
	if err != nil {
		return "", err
	}
	if res.JSON200 == nil {
		return "", refusedBy("approvals of case "+c.Case, res.Status(), res.Body)
	}
	for _, a := range slices.Backward(res.JSON200.Approvals) {
		for _, t := range a.Approval.Texts {
			if t.TextKey.String() == key {
				return t.Digest, nil
			}
		}
	}
	return "", fmt.Errorf("nobody has approved a version of %s in case %s", key, c.Case)
}
