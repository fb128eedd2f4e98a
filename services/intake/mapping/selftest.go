package mapping

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"reflect"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"
)

// test is one test of a mapping file: a document and what must come of it.
type test struct {
	name   string
	input  any
	expect []map[string]any
}

func (m *Mapping) readTests(f file, samples fs.FS) error {
	for i, t := range f.Tests {
		name := t.Name
		if name == "" {
			name = fmt.Sprintf("%d", i+1)
		}
		input, err := testInput(t.Input, t.Sample, samples)
		if err != nil {
			return fmt.Errorf("test %s: %w", name, err)
		}
		expect, err := testExpect(t.Expect)
		if err != nil {
			return fmt.Errorf("test %s: expect: %w", name, err)
		}
		m.tests = append(m.tests, test{name: name, input: input, expect: expect})
	}
	return nil
}

func testInput(node yaml.Node, sample string, samples fs.FS) (any, error) {
	switch {
	case sample != "" && samples == nil:
		return nil, errors.New("sample files need a folder of samples; give input instead")
	case sample != "":
		data, err := fs.ReadFile(samples, sample)
		if err != nil {
			return nil, err
		}
		return Decode(data)
	case node.IsZero():
		return nil, errors.New("neither input nor sample is given")
	}
	var v any
	if err := node.Decode(&v); err != nil {
		return nil, err
	}
	data, err := json.Marshal(plain(v))
	if err != nil {
		return nil, err
	}
	return Decode(data)
}

func testExpect(node yaml.Node) ([]map[string]any, error) {
	if node.Kind == yaml.SequenceNode {
		var list []map[string]any
		err := node.Decode(&list)
		return list, err
	}
	var one map[string]any
	err := node.Decode(&one)
	return []map[string]any{one}, err
}

// plain turns the times that YAML recognises back into text.
func plain(v any) any {
	switch v := v.(type) {
	case time.Time:
		return v.Format(time.RFC3339Nano)
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = plain(v[k])
		}
	}
	return v
}

// Test runs the mapping's own tests and says which one failed in which field.
func (m *Mapping) Test() error {
	for _, t := range m.tests {
		if err := m.test(t); err != nil {
			return fmt.Errorf("test %s: %w", t.name, err)
		}
	}
	return nil
}

func (m *Mapping) test(t test) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeLimit)
	defer cancel()
	if !m.Matches(ctx, t.input) {
		return errors.New("match does not hold for the document")
	}
	found, err := m.Read(ctx, t.input)
	if err != nil {
		return err
	}
	if len(found) != len(t.expect) {
		return fmt.Errorf("%d alerts, want %d", len(found), len(t.expect))
	}
	for i, want := range t.expect {
		got := Fields(found[i])
		for _, name := range slices.Sorted(maps.Keys(want)) {
			if !same(got[name], plain(want[name])) {
				return fmt.Errorf("alert %d: %s is %v, want %v (problems: %v)", i, name, text(got[name]), text(want[name]), found[i].Problems)
			}
		}
	}
	return nil
}

// Fields returns the facts by the names of the mapping file, empty ones as nil.
func Fields(f Found) map[string]any {
	out := map[string]any{
		"dedupe": f.Dedupe, "metadata.product.uid": f.Product, "metadata.product.name": f.ProductName,
		"metadata.product.vendor_name": f.Vendor, "class_uid": f.ClassUID, "finding_info.uid": f.ExternalID,
		"finding_info.title": f.Title, "finding_info.desc": f.Desc, "finding_info.types": f.Types,
		"finding_info.src_url": f.Link, "finding_info.first_seen_time": f.OccurredAt, "finding_info.created_time": f.DetectedAt,
		"severity_id": f.SeverityID, "severity": f.Severity, "status": f.Status, "device": f.Devices, "actor.user": f.Users,
		"resources": f.Resources, "data_classifications": f.Data, "observables": f.Observables, "time_assumed_zone": f.AssumedZone,
	}
	for name, v := range out {
		if v := reflect.ValueOf(v); v.IsZero() && v.Kind() != reflect.Int && v.Kind() != reflect.Bool {
			out[name] = nil
		}
	}
	return out
}

// same compares by JSON, so that numbers and lists of either origin agree.
func same(got, want any) bool {
	var a, b any
	if json.Unmarshal([]byte(text(got)), &a) != nil || json.Unmarshal([]byte(text(want)), &b) != nil {
		return false
	}
	return reflect.DeepEqual(a, b)
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}
