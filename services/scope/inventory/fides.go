package inventory

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"

	"tocsin.dev/pkg/category"
)

// A Fides data map (ethyca/fides, fideslang 3) lists systems and datasets with
// the categories of every field. It gives the catalogue; people come from
// elsewhere. Every collection of a Fides dataset is a dataset here, keyed
// "dataset.collection".

type fidesMap struct {
	System  []fidesSystem  `yaml:"system"`
	Dataset []fidesDataset `yaml:"dataset"`
}

type fidesSystem struct {
	Key          string `yaml:"fides_key"`
	Name         string `yaml:"name"`
	Description  string `yaml:"description"`
	Declarations []struct {
		Use      string   `yaml:"data_use"`
		Datasets []string `yaml:"dataset_references"`
	} `yaml:"privacy_declarations"`
	Datasets []string `yaml:"dataset_references"`
}

type fidesDataset struct {
	Key         string            `yaml:"fides_key"`
	Name        string            `yaml:"name"`
	Categories  []string          `yaml:"data_categories"`
	Collections []fidesCollection `yaml:"collections"`
}

type fidesCollection struct {
	Name       string       `yaml:"name"`
	Categories []string     `yaml:"data_categories"`
	Fields     []fidesField `yaml:"fields"`
}

type fidesField struct {
	Categories []string     `yaml:"data_categories"`
	Fields     []fidesField `yaml:"fields"`
}

// maxFides bounds a data map, in bytes.
const maxFides = 32 << 20

func fidesFile(_ context.Context, d *Delivery, name string, f *os.File, digest io.Writer, _ Mapping) error {
	text, err := io.ReadAll(io.LimitReader(io.TeeReader(f, digest), maxFides+1))
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if len(text) > maxFides {
		return fmt.Errorf("%s: a data map is at most %d MB long", name, maxFides>>20)
	}
	return d.Fides(name, text)
}

// Fides takes in a Fides data map.
func (d *Delivery) Fides(name string, text []byte) error {
	var m fidesMap
	if err := yaml.NewDecoder(bytes.NewReader(text)).Decode(&m); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if len(m.System) == 0 && len(m.Dataset) == 0 {
		return fmt.Errorf("%s: a Fides data map has a list system or dataset, and this has neither", name)
	}
	at := Origin{File: d.File(name)}
	systems, uses := map[string]string{}, map[string]string{}
	for _, s := range m.System {
		if s.Key == "" {
			d.Bad(at, "fides_key", "a system needs a fides_key")
			continue
		}
		d.System(System{Key: s.Key, Name: s.Name, Note: s.Description})
		for _, ds := range s.Datasets {
			systems[ds] = s.Key
		}
		for _, p := range s.Declarations {
			for _, ds := range p.Datasets {
				systems[ds], uses[ds] = s.Key, p.Use
			}
		}
	}
	for _, ds := range m.Dataset {
		if err := d.fidesDataset(ds, systems[ds.Key], uses[ds.Key], at); err != nil {
			return err
		}
	}
	return nil
}

func (d *Delivery) fidesDataset(ds fidesDataset, system, use string, at Origin) error {
	if ds.Key == "" {
		d.Bad(at, "fides_key", "a dataset needs a fides_key")
		return nil
	}
	if system == "" {
		system = ds.Key
	}
	if len(ds.Collections) == 0 {
		ds.Collections = []fidesCollection{{}}
	}
	for _, c := range ds.Collections {
		keys := append(append([]string(nil), ds.Categories...), c.Categories...)
		keys = append(keys, fieldCategories(c.Fields, 0)...)
		var set category.Set
		for _, k := range keys {
			if k != "user" && !strings.HasPrefix(k, "user.") {
				continue // data about the system itself
			}
			one, err := category.Parse(k)
			if err != nil {
				d.Bad(at, "data_categories", fmt.Sprintf("dataset %s: %v", clip(ds.Key), err))
				continue
			}
			set |= one
		}
		out := Dataset{Key: ds.Key, System: system, Name: ds.Name, Categories: set, Purpose: use, Role: "controller", Medium: "electronic"}
		if c.Name != "" {
			out.Key, out.Name = ds.Key+"."+c.Name, strings.TrimSpace(ds.Name+" "+c.Name)
		}
		if err := d.Dataset(out); err != nil {
			return err
		}
	}
	return nil
}

func fieldCategories(fields []fidesField, depth int) []string {
	var keys []string
	if depth > 20 {
		return nil
	}
	for _, f := range fields {
		keys = append(append(keys, f.Categories...), fieldCategories(f.Fields, depth+1)...)
	}
	return keys
}
