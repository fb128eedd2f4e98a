package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"

	"tocsin.dev/services/intake/mapping"
)

// mappingCmd works on mapping files; it needs no server.
type mappingCmd struct {
	Test    mappingTestCmd    `cmd:"" help:"Run the tests of a mapping file, and read a payload by it."`
	Explain mappingExplainCmd `cmd:"" help:"Say which mapping reads a payload, why, and what it makes of it."`
	List    mappingListCmd    `cmd:"" help:"List the mappings in the order in which they are tried."`
}

// payloadMost is the largest payload, as the webhook takes it.
const payloadMost = 1 << 20

type mappingTestCmd struct {
	File    string `arg:"" help:"Mapping file." type:"existingfile"`
	Payload string `arg:"" optional:"" help:"Payload to read by it; - reads standard input."`
	JSON    bool   `name:"json" help:"Print JSON."`
}

// Run loads the file, which runs its own tests.
func (c *mappingTestCmd) Run(ctx context.Context) error {
	text, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	m, err := mapping.Parse(text, sampleFiles{os.DirFS(filepath.Dir(c.File)), mapping.Samples()})
	if err != nil {
		return exit{2, fmt.Errorf("%s: %w", c.File, err)}
	}
	if c.Payload == "" {
		fmt.Printf("%s, version %d: all its tests hold.\n", m.Name, m.Version)
		return nil
	}
	doc, err := readPayload(c.Payload)
	if err != nil {
		return err
	}
	if !m.Matches(ctx, doc) {
		return exit{2, fmt.Errorf("%s does not match the payload", m.Name)}
	}
	found, err := m.Read(ctx, doc)
	if err != nil {
		return err
	}
	return printFound(found, c.JSON)
}

type mappingExplainCmd struct {
	Payload  string `arg:"" help:"Payload; - reads standard input."`
	Mappings string `help:"Folder with own mapping files, tried beside the shipped ones." type:"existingdir"`
	Hint     string `help:"The mapping that the source names."`
	JSON     bool   `name:"json" help:"Print JSON."`
}

// Run tries every mapping on the payload.
func (c *mappingExplainCmd) Run(ctx context.Context) error {
	set, err := mappings(c.Mappings)
	if err != nil {
		return err
	}
	doc, err := readPayload(c.Payload)
	if err != nil {
		return err
	}
	result, err := set.Map(ctx, doc, c.Hint)
	if err != nil {
		return err
	}
	trials := set.Explain(ctx, doc)
	if c.JSON {
		name := ""
		if result.Mapping != nil {
			name = result.Mapping.Name
		}
		return printJSON(map[string]any{"mapping": name, "unwrapped": result.Unwrapped, "tried": trials, "alerts": fieldsOf(result.Alerts)})
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "MAPPING\tMATCHES\tMATCH")
	for _, t := range trials {
		fmt.Fprintf(w, "%s\t%v\t%s\n", t.Mapping, t.Matched, t.Why)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Println()
	if result.Mapping == nil {
		fmt.Println("No mapping reads it: it would be kept and shown as unmapped.")
		return nil
	}
	fmt.Printf("Read by %s, version %d", result.Mapping.Name, result.Mapping.Version)
	if result.Unwrapped != "" {
		fmt.Printf(", from %s of the envelope", result.Unwrapped)
	}
	fmt.Println(":")
	return printFound(result.Alerts, false)
}

type mappingListCmd struct {
	Mappings string `help:"Folder with own mapping files." type:"existingdir"`
}

// Run lists the mappings.
func (c *mappingListCmd) Run() error {
	set, err := mappings(c.Mappings)
	if err != nil {
		return err
	}
	for _, name := range set.Names() {
		m := set.Get(name)
		fmt.Printf("%s, version %d\n  %s\n", m.Name, m.Version, m.About)
	}
	return nil
}

func mappings(dir string) (*mapping.Set, error) {
	if dir == "" {
		return mapping.Shipped(nil)
	}
	return mapping.Shipped(os.DirFS(dir))
}

// readPayload reads one JSON document from a file or from standard input.
func readPayload(name string) (any, error) {
	in := io.Reader(os.Stdin)
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, payloadMost+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", name, err)
	case len(data) > payloadMost:
		return nil, fmt.Errorf("read %s: larger than 1 MiB, which the webhook would refuse", name)
	}
	doc, err := mapping.Decode(data)
	if err != nil {
		return nil, fmt.Errorf("read %s: not JSON: %w", name, err)
	}
	return doc, nil
}

func fieldsOf(found []mapping.Found) []map[string]any {
	all := make([]map[string]any, len(found))
	for i, f := range found {
		all[i] = mapping.Fields(f)
		all[i]["problems"] = orEmpty(f.Problems)
	}
	return all
}

func printFound(found []mapping.Found, asJSON bool) error {
	if asJSON {
		return printJSON(fieldsOf(found))
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for i, f := range found {
		fmt.Fprintf(w, "\nalert %d\t\n", i+1)
		fields := mapping.Fields(f)
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			if fields[name] == nil {
				continue
			}
			text, err := json.Marshal(fields[name])
			if err != nil {
				return err
			}
			fmt.Fprintf(w, "  %s\t%s\n", name, text)
		}
		for _, p := range f.Problems {
			fmt.Fprintf(w, "  problem\t%s\n", p)
		}
	}
	return w.Flush()
}

// sampleFiles looks for a sample beside the mapping file first, then among the shipped ones.
type sampleFiles struct{ own, shipped fs.FS }

// Open implements fs.FS.
func (s sampleFiles) Open(name string) (fs.File, error) {
	f, err := s.own.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return s.shipped.Open(name)
	}
	return f, err
}
