package main

import (
	"context"
	"fmt"
	"os"
	"text/tabwriter"

	"tocsin.dev/services/desk/api/client"
)

// deadCmd looks at messages that were parked because no retry could help.
type deadCmd struct {
	List  deadListCmd  `cmd:"" help:"List parked messages, newest first."`
	Show  deadShowCmd  `cmd:"" help:"Show one parked message with its reason."`
	Retry deadRetryCmd `cmd:"" help:"Give a parked message to its handler again."`
}

type deadListCmd struct {
	remote
	JSON bool `name:"json" help:"Print JSON."`
}

// Run lists the dead letters.
func (c *deadListCmd) Run(ctx context.Context) error {
	letters, err := deadLetters(ctx, &c.remote)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(map[string]any{"dead_letters": orEmpty(letters)})
	}
	if len(letters) == 0 {
		fmt.Println("No message is parked.")
		return nil
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SEQ\tPARKED (UTC)\tHANDLER\tSUBJECT\tREASON")
	for _, l := range letters {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%.80s\n", l.Seq, l.At.UTC().Format("2006-01-02 15:04:05"), l.Handler, l.Subject, l.Reason)
	}
	return w.Flush()
}

type deadShowCmd struct {
	remote
	Seq uint64 `arg:"" help:"Sequence of the message, from dead list."`
}

// Run shows one dead letter.
func (c *deadShowCmd) Run(ctx context.Context) error {
	letters, err := deadLetters(ctx, &c.remote)
	if err != nil {
		return err
	}
	for _, l := range letters {
		if l.Seq == c.Seq {
			return printJSON(l)
		}
	}
	return fmt.Errorf("no parked message has the sequence %d", c.Seq)
}

type deadRetryCmd struct {
	remote
	Seq uint64 `arg:"" help:"Sequence of the message, from dead list."`
}

// Run retries one dead letter.
func (c *deadRetryCmd) Run(ctx context.Context) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	res, err := api.RetryDeadLetterWithResponse(ctx, int64(c.Seq))
	if err != nil {
		return err
	}
	if res.StatusCode() >= 300 {
		return fmt.Errorf("retry message %d: %s: %s", c.Seq, res.Status(), res.Body)
	}
	fmt.Println("Given to its handler again.")
	return nil
}

func deadLetters(ctx context.Context, r *remote) ([]client.DeadLetter, error) {
	api, err := r.client()
	if err != nil {
		return nil, err
	}
	var all []client.DeadLetter
	var cursor *client.Cursor
	for {
		res, err := api.ListDeadLettersWithResponse(ctx, &client.ListDeadLettersParams{Cursor: cursor})
		if err != nil {
			return nil, err
		}
		if res.JSON200 == nil {
			return nil, fmt.Errorf("list parked messages: %s: %s", res.Status(), res.Body)
		}
		all = append(all, res.JSON200.Letters...)
		if res.JSON200.Next == "" {
			return all, nil
		}
		cursor = &res.JSON200.Next
	}
}
