package mapping

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"tocsin.dev/pkg/event"
)

// MaxAlerts is how many alerts one document may hold.
const MaxAlerts = 1000

// timeLimit bounds the reading of one document by one mapping.
const timeLimit = 2 * time.Second

// Mapping is one mapping file, compiled.
type Mapping struct {
	Name     string
	Version  int
	Priority int
	About    string

	match  expression
	each   expression
	fields []field
	tests  []test
}

// field is one line of the map.
type field struct {
	name string
	expr expression
	set  func(*Found, any) error
}

// Found is one alert as a mapping read it.
type Found struct {
	event.AlertFacts
	// Dedupe is what recognises a repetition beside the external id, if the
	// sender's id alone does not.
	Dedupe string
	// Problems say which fields could not be read and why.
	Problems []string
}

// file is the YAML form, schemas/mapping/alert-mapping.v1.json.
type file struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Metadata   struct {
		Name     string `yaml:"name"`
		Version  int    `yaml:"version"`
		Priority int    `yaml:"priority"`
		About    string `yaml:"about"`
	} `yaml:"metadata"`
	Match string            `yaml:"match"`
	Each  string            `yaml:"each"`
	Map   map[string]string `yaml:"map"`
	Tests []struct {
		Name   string    `yaml:"name"`
		Input  yaml.Node `yaml:"input"`
		Sample string    `yaml:"sample"`
		Expect yaml.Node `yaml:"expect"`
	} `yaml:"tests"`
}

var validName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)

// Parse reads, compiles and tests one mapping file. samples is where the
// sample files of its tests are found and may be nil. Errors name the field or
// the test and, for unknown fields, the line.
func Parse(data []byte, samples fs.FS) (*Mapping, error) {
	var f file
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&f); err != nil {
		return nil, err
	}
	if err := dec.Decode(&file{}); !errors.Is(err, io.EOF) {
		return nil, errors.New("a mapping file holds one document")
	}
	switch {
	case f.APIVersion != "tocsin.dev/v1" || f.Kind != "AlertMapping":
		return nil, fmt.Errorf("apiVersion %q, kind %q: want tocsin.dev/v1 and AlertMapping", f.APIVersion, f.Kind)
	case !validName.MatchString(f.Metadata.Name):
		return nil, fmt.Errorf("metadata.name %q: want lower-case letters, digits and '-'", f.Metadata.Name)
	case f.Metadata.Version < 1:
		return nil, errors.New("metadata.version is missing: count from 1")
	case f.Map["finding_info.title"] == "":
		return nil, errors.New("map lacks finding_info.title")
	case len(f.Tests) == 0:
		return nil, errors.New("tests are missing: a mapping proves itself on at least one document")
	}
	m := &Mapping{Name: f.Metadata.Name, Version: f.Metadata.Version, Priority: f.Metadata.Priority, About: f.Metadata.About}
	if err := m.compile(f); err != nil {
		return nil, err
	}
	if err := m.readTests(f, samples); err != nil {
		return nil, err
	}
	return m, m.Test()
}

func (m *Mapping) compile(f file) (err error) {
	if m.match, err = compile(f.Match); err != nil {
		return fmt.Errorf("match: %w", err)
	}
	if f.Each == "" {
		f.Each = "."
	}
	if m.each, err = compile(f.Each); err != nil {
		return fmt.Errorf("each: %w", err)
	}
	set := setters()
	for _, name := range slices.Sorted(maps.Keys(f.Map)) {
		if set[name] == nil {
			return fmt.Errorf("map: %q is no field of an alert; there are %v", name, slices.Sorted(maps.Keys(set)))
		}
		expr, err := compile(f.Map[name])
		if err != nil {
			return fmt.Errorf("map %s: %w", name, err)
		}
		m.fields = append(m.fields, field{name: name, expr: expr, set: set[name]})
	}
	return nil
}

// Matches reports whether the mapping can read the document.
func (m *Mapping) Matches(ctx context.Context, doc any) bool {
	v, err := m.match.first(ctx, doc, doc)
	return err == nil && v == true
}

// Read returns the alerts of a document that matches.
func (m *Mapping) Read(ctx context.Context, doc any) ([]Found, error) {
	ctx, cancel := context.WithTimeout(ctx, timeLimit)
	defer cancel()
	parts, err := m.each.all(ctx, doc, doc, MaxAlerts)
	if err != nil {
		return nil, fmt.Errorf("mapping %s: each: %w", m.Name, err)
	}
	found := make([]Found, 0, len(parts))
	for _, part := range parts {
		found = append(found, m.read(ctx, part, doc))
	}
	return found, ctx.Err()
}

func (m *Mapping) read(ctx context.Context, part, root any) Found {
	var f Found
	for _, field := range m.fields {
		v, err := field.expr.first(ctx, part, root)
		if err == nil && v != nil {
			err = field.set(&f, v)
		}
		if err != nil {
			f.Problems = append(f.Problems, clean(field.name+": "+err.Error(), 300, false))
		}
	}
	if f.Title == "" {
		f.Title = "Alert without a title"
		if f.ProductName != "" {
			f.Title = "Alert of " + f.ProductName + " without a title"
		}
	}
	if f.ClassUID == 0 {
		f.ClassUID = 2004
	}
	return f
}

// Decode reads one JSON document as mappings see it: numbers keep their digits.
func Decode(data []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var doc any
	if err := dec.Decode(&doc); err != nil {
		return nil, err
	}
	return doc, nil
}

// Load reads every *.yaml file at the top of fsys. Errors name the file.
func Load(fsys, samples fs.FS) ([]*Mapping, error) {
	names, err := fs.Glob(fsys, "*.yaml")
	if err != nil {
		return nil, fmt.Errorf("list mappings: %w", err)
	}
	var all []*Mapping
	for _, name := range names {
		data, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, fmt.Errorf("mapping file %s: %w", path.Base(name), err)
		}
		m, err := Parse(data, samples)
		if err != nil {
			return nil, fmt.Errorf("mapping file %s: %w", path.Base(name), err)
		}
		all = append(all, m)
	}
	return all, nil
}
