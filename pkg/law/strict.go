package law

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// strictNode reports the first key of a YAML node that the Go type of v has no field for, with its line.
// The decoder's own strict mode does not reach into types that read themselves and costs a second parse.
func strictNode(n *yaml.Node, v any) error { return strictType(n, reflect.TypeOf(v)) }

var selfReading = reflect.TypeFor[yaml.Unmarshaler]()

func strictType(n *yaml.Node, t reflect.Type) error {
	if n.Kind == yaml.DocumentNode && len(n.Content) > 0 {
		n = n.Content[0]
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t.Kind() == reflect.Struct && n.Kind == yaml.MappingNode:
		if reflect.PointerTo(t).Implements(selfReading) {
			return nil
		}
		return strictStruct(n, t)
	case t.Kind() == reflect.Slice && n.Kind == yaml.SequenceNode:
		for _, c := range n.Content {
			if err := strictType(c, t.Elem()); err != nil {
				return err
			}
		}
	case t.Kind() == reflect.Map && n.Kind == yaml.MappingNode:
		for i := 1; i < len(n.Content); i += 2 {
			if err := strictType(n.Content[i], t.Elem()); err != nil {
				return err
			}
		}
	}
	return nil
}

func strictStruct(n *yaml.Node, t reflect.Type) error {
	fields := map[string]reflect.Type{}
	collectFields(t, fields)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		ft, ok := fields[key.Value]
		if !ok {
			names := make([]string, 0, len(fields))
			for f := range fields {
				names = append(names, f)
			}
			slices.Sort(names)
			return fmt.Errorf("line %d: unknown field %q; known here: %s", key.Line, key.Value, strings.Join(names, ", "))
		}
		if err := strictType(n.Content[i+1], ft); err != nil {
			return err
		}
	}
	return nil
}

func collectFields(t reflect.Type, into map[string]reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("yaml")
		name, opts, _ := strings.Cut(tag, ",")
		switch {
		case opts == "inline":
			collectFields(f.Type, into)
		case name != "" && name != "-":
			into[name] = f.Type
		}
	}
}
