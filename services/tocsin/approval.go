package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"tocsin.dev/pkg/approval"
	"tocsin.dev/pkg/seal"
)

// approvalCmd shows and verifies who said yes to what.
type approvalCmd struct {
	Show   approvalShowCmd   `cmd:"" help:"Every approval of a case, and whether it still stands."`
	Verify approvalVerifyCmd `cmd:"" help:"Verify a case's approvals from its journal and the public keys alone. Exits with 2 if something does not hold."`
}

type approvalShowCmd struct{ caseOf }

// Run lists the approvals as the desk sees them.
func (c *approvalShowCmd) Run(ctx context.Context) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	res, err := api.ListApprovalsWithResponse(ctx, c.Case)
	if err != nil {
		return err
	}
	if res.JSON200 == nil {
		return refusedBy("approvals of case "+c.Case, res.Status(), res.Body)
	}
	all := res.JSON200.Approvals
	if c.JSON {
		return printJSON(map[string]any{"approvals": orEmpty(all)})
	}
	if len(all) == 0 {
		fmt.Println("Nobody has approved anything.")
	}
	for _, a := range all {
		standing := "stands until " + a.Approval.ValidUntil.UTC().Format("2006-01-02 15:04 UTC")
		if !a.Standing {
			standing = "does not stand: " + a.Void
		}
		fmt.Printf("%s by %s (%s) at %s, %s\n  list: revision %d, %s\n  channels: %s\n", a.Approval.ID, a.Approval.Approver, a.Approval.Role,
			a.Approval.ApprovedAt.UTC().Format("2006-01-02 15:04 UTC"), standing, a.Approval.Revision, a.Approval.ScopeDigest, strings.Join(a.Approval.Channels, ", "))
		for _, t := range a.Approval.Texts {
			fmt.Printf("  %s %s\n", t.TextKey, t.Digest)
		}
		fmt.Printf("  policy: %s\n  signed: %s by key %s\n", a.Approval.Policy, a.Digest, a.Key)
	}
	return nil
}

type approvalVerifyCmd struct {
	remote
	Case    string    `help:"Number of the case; its journal is fetched from the server unless --file is given."`
	File    string    `help:"Exported journal, as written by journal export. With it nothing is asked of any server." type:"existingfile"`
	Keyring string    `help:"File of the trusted public keys." default:"data/keys/keyring.yaml" env:"TOCSIN_KEYRING" type:"path"`
	At      time.Time `help:"Instant at which approvals must stand (RFC 3339); the default is now. Orders are always held against their own instant."`
	JSON    bool      `name:"json" help:"Print JSON."`
}

// verified is what verify prints as JSON.
type verified struct {
	approval.Report
	Export *approval.Statement `json:"export,omitempty"`
}

// Run verifies.
func (c *approvalVerifyCmd) Run(ctx context.Context) error {
	keys, err := seal.LoadKeyring(c.Keyring)
	if err != nil {
		return err
	}
	data, err := c.read(ctx)
	if err != nil {
		return err
	}
	if c.At.IsZero() {
		c.At = time.Now()
	}
	entries, s, err := approval.ReadExport(data, keys, c.At)
	if err != nil {
		v := verified{Report: approval.Report{Case: c.Case, Why: []string{err.Error()}, Approvals: []approval.Approved{}, Orders: []approval.Ordered{}}}
		return c.print(v)
	}
	v := verified{approval.Audit(entries, keys, c.At), &s}
	if s.Case != v.Case || s.Org != v.Org || c.Case != "" && c.Case != s.Case {
		v.Holds = false
		v.Why = append(v.Why, fmt.Sprintf("the file is the journal of case %s of %s", s.Case, s.Org))
	}
	return c.print(v)
}

func (c *approvalVerifyCmd) read(ctx context.Context) ([]byte, error) {
	if c.File != "" {
		data, err := os.ReadFile(c.File)
		if err != nil {
			return nil, fmt.Errorf("read the exported journal: %w", err)
		}
		return data, nil
	}
	if c.Case == "" {
		return nil, errors.New("give --case to fetch a journal, or --file with an exported one")
	}
	return export(ctx, &c.remote, c.Case)
}

func (c *approvalVerifyCmd) print(v verified) error {
	var err error
	if c.JSON {
		err = printJSON(v)
	} else {
		v.printOut()
	}
	if err == nil && !v.Holds {
		err = exit{2, errors.New("the approvals do not hold: " + strings.Join(v.Why, "; "))}
	}
	return err
}

func (v verified) printOut() {
	for _, a := range v.Approvals {
		what := "signed by key " + a.Key
		if !a.Signed {
			what = "NOT SIGNED by a trusted key"
		}
		if a.Standing {
			what += ", stands"
		} else {
			what += ", does not stand: " + a.Refusal.Detail
		}
		fmt.Printf("approval %s by %s (%s): %s\n", a.Approval.ID, a.Approval.Approver, a.Approval.Role, what)
	}
	for _, o := range v.Orders {
		what := "covered when it was placed"
		if !o.Covered {
			what = "NOT COVERED: " + o.Refusal.Detail
		}
		if o.CarriedOut {
			what += ", carried out"
		}
		fmt.Printf("order %s by %s at %s: %s\n", o.Order, o.OrderedBy, o.OrderedAt.UTC().Format(time.RFC3339), what)
	}
	if v.Holds {
		fmt.Printf("Everything that was carried out in case %s of %s was approved as the keys and the policy demand.\n", v.Case, v.Org)
	}
}

// journalCmd hands out journals.
type journalCmd struct {
	Export journalExportCmd `cmd:"" help:"Write the journal of a case as JSON lines under a seal, for approval verify."`
}

type journalExportCmd struct {
	remote
	Case string `required:"" help:"Number of the case."`
	Out  string `short:"o" help:"New file to write; the default is standard output." type:"path"`
}

// Run exports.
func (c *journalExportCmd) Run(ctx context.Context) error {
	data, err := export(ctx, &c.remote, c.Case)
	if err != nil {
		return err
	}
	out := io.WriteCloser(os.Stdout)
	if c.Out != "" {
		if out, err = os.OpenFile(c.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
			return fmt.Errorf("write the export: %w", err)
		}
	}
	_, err = out.Write(data)
	return errors.Join(err, out.Close())
}

// export fetches the sealed journal of a case, byte for byte.
func export(ctx context.Context, r *remote, number string) ([]byte, error) {
	api, err := r.client()
	if err != nil {
		return nil, err
	}
	res, err := api.ExportJournalWithResponse(ctx, number)
	if err != nil {
		return nil, err
	}
	if res.StatusCode() != 200 {
		return nil, refusedBy("export case "+number, res.Status(), res.Body)
	}
	return res.Body, nil
}
