package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"

	"tocsin.dev/services/desk/api/client"
)

type wordingTestCmd struct {
	caseOf
	Text   string   `required:"" help:"Text to send: audience/channel/language, such as people/email/en-GB. The newest version is sent."`
	To     []string `default:"me,approver" help:"Users who get it: ids, «me», or «approver» for everybody who may approve the text."`
	Person int64    `help:"Person number of the sealed list whose values are put in; without it a made-up person's."`
	Reason string   `default:"test send from the command line" help:"Why the person is shown; the audit keeps it."`
}

// Run sends the test and tells what became of each message.
func (c *wordingTestCmd) Run(ctx context.Context) error {
	key := strings.Split(c.Text, "/")
	if len(key) != 3 {
		return fmt.Errorf("--text %q is not audience/channel/language, such as people/email/en-GB", c.Text)
	}
	api, err := c.client()
	if err != nil {
		return err
	}
	ask := client.WordingTestRequest{To: c.To, Person: c.Person}
	if c.Person != 0 {
		ask.Reason = c.Reason
	}
	res, err := api.TestWordingWithResponse(ctx, c.Case, client.TestWordingParamsAudience(key[0]), client.TestWordingParamsChannel(key[1]), key[2], &client.TestWordingParams{}, ask)
	if err != nil {
		return err
	}
	t := res.JSON200
	if t == nil {
		return refusedBy("test of case "+c.Case, res.Status(), res.Body)
	}
	if c.JSON {
		err = printJSON(t)
	} else {
		fmt.Printf("Text:      %s, %s\nReference: %s\n", t.TextKey, t.Digest, t.Reference)
		w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
		for _, one := range t.Sent {
			_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", one.User, one.Outcome, one.Detail)
		}
		err = w.Flush()
	}
	for _, one := range t.Sent {
		if err == nil && one.Outcome != "accepted" {
			err = exit{2, errors.New("not every message of the test went out")}
		}
	}
	return err
}
