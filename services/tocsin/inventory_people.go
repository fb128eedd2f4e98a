package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"text/tabwriter"

	"tocsin.dev/pkg/person"
	"tocsin.dev/services/scope/inventory"
)

// operator names the person at the command line for the audit.
func operator() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return "operator " + u.Username
	}
	return "operator"
}

type inventoryEraseCmd struct {
	place
	Number []uint32 `arg:"" help:"Person numbers."`
	Reason string   `required:"" help:"Why, for the audit."`
	Yes    bool     `help:"Do it: this cannot be undone."`
}

// Run erases.
func (c *inventoryEraseCmd) Run(ctx context.Context) error {
	if !c.Yes {
		return errors.New("erasing cannot be undone; say --yes to do it")
	}
	return c.with(ctx, func(s *inventory.Store) error {
		numbers := make([]person.Number, len(c.Number))
		for i, n := range c.Number {
			numbers[i] = person.Number(n)
		}
		n, err := s.Erase(ctx, c.Organisation, numbers, operator(), c.Reason)
		if err == nil {
			fmt.Printf("%d people erased.\n", n)
		}
		return err
	})
}

type inventoryLiftCmd struct {
	place
	Number []uint32 `arg:"" help:"Person numbers."`
	Reason string   `required:"" help:"Why, for the audit."`
}

// Run lifts tombstones.
func (c *inventoryLiftCmd) Run(ctx context.Context) error {
	return c.with(ctx, func(s *inventory.Store) error {
		numbers := make([]person.Number, len(c.Number))
		for i, n := range c.Number {
			numbers[i] = person.Number(n)
		}
		n, err := s.Lift(ctx, c.Organisation, numbers, operator(), c.Reason)
		if err == nil {
			fmt.Printf("%d tombstones lifted; the next import brings the people back.\n", n)
		}
		return err
	})
}

type inventoryRotateCmd struct{ place }

// Run rotates keys.
func (c *inventoryRotateCmd) Run(ctx context.Context) error {
	return c.with(ctx, func(s *inventory.Store) error { return s.RotateKeys(ctx, c.Organisation, operator()) })
}

type inventoryAuditCmd struct {
	place
	Limit int  `default:"50" help:"How many entries, newest first."`
	JSON  bool `name:"json" help:"Print JSON."`
}

// Run shows the audit.
func (c *inventoryAuditCmd) Run(ctx context.Context) error {
	return c.with(ctx, func(s *inventory.Store) error {
		entries, err := s.Audit(ctx, c.Organisation, c.Limit)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(orEmpty(entries))
		}
		w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "AT (UTC)\tWHO\tWHAT\tCASE\tPEOPLE\tDETAIL")
		for _, e := range entries {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\n", e.At.Format("2006-01-02 15:04:05"), e.Actor, e.Act, e.Case, e.People, e.Detail)
		}
		return w.Flush()
	})
}
