package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strings"
	"text/tabwriter"

	"tocsin.dev/pkg/event"
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

type inventoryFindCmd struct {
	place
	Find      string `arg:"" optional:"" help:"Email address, phone number with its country code, or full name."`
	Reference string `help:"The organisation's own number of the person instead."`
	Number    uint32 `help:"Person number: show this one."`
	Reveal    bool   `help:"Show the person of --number in full."`
	Reason    string `help:"Why, for the audit; needed with --reveal."`
	JSON      bool   `name:"json" help:"Print JSON."`
}

// Run finds.
func (c *inventoryFindCmd) Run(ctx context.Context) error {
	q := event.PersonQuestion{Org: c.Organisation, Asker: event.Person(operator(), "command line"), Find: c.Find, Ref: c.Reference,
		Number: person.Number(c.Number), Reveal: c.Reveal, Reason: c.Reason}
	return c.with(ctx, func(s *inventory.Store) error {
		all := []event.PersonFound{}
		for {
			a, err := s.FindPerson(ctx, q)
			if err != nil {
				return err
			}
			all = append(all, a.People...)
			if q.After = a.Next; q.After == 0 {
				break
			}
		}
		if c.JSON {
			return printJSON(all)
		}
		if len(all) == 0 {
			fmt.Println("Nobody found. Who was erased is found by the person number alone.")
		}
		for _, f := range all {
			printPerson(f)
		}
		return nil
	})
}

func printPerson(f event.PersonFound) {
	switch {
	case f.ErasedAt != nil:
		fmt.Printf("person %d: erased on request at %s\n", f.Number, f.ErasedAt.Format("2006-01-02 15:04 MST"))
		return
	case f.Revealed != nil:
		c := f.Revealed
		fmt.Printf("person %d: %s %s, email %q, phone %q\n", f.Number, c.GivenName.Reveal(), c.FamilyName.Reveal(), c.Email.Reveal(), c.Phone.Reveal())
		for _, line := range c.Address {
			fmt.Println("   ", line.Reveal())
		}
	default:
		fmt.Printf("person %d: %s\n", f.Number, strings.Join(f.Masked, ", "))
	}
	fmt.Println("    in", strings.Join(f.Datasets, ", "))
	for _, j := range f.Joined {
		fmt.Printf("    joined with person %d: same %s\n", j.Number, j.Reason)
	}
}

type inventoryApartCmd struct {
	place
	Number uint32 `arg:"" help:"The number that was joined with an older one."`
	Reason string `required:"" help:"Why, for the audit."`
}

// Run tells apart.
func (c *inventoryApartCmd) Run(ctx context.Context) error {
	return c.with(ctx, func(s *inventory.Store) error {
		err := s.TellApart(ctx, c.Organisation, person.Number(c.Number), operator(), c.Reason)
		if err == nil {
			fmt.Printf("Person %d is a person of their own again. Lists sealed before stay as they are.\n", c.Number)
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
