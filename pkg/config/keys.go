package config

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// tag is the struct tag that carries a field's key.
const tag = "koanf"

// keyOf returns the key of a struct field; "" for one without.
func keyOf(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get(tag), ",")
	if name == "-" || !f.IsExported() {
		return ""
	}
	return name
}

// fields returns the types of a struct's settings by key.
func fields(t reflect.Type) map[string]reflect.Type {
	known := make(map[string]reflect.Type, t.NumField())
	for i := range t.NumField() {
		if name := keyOf(t.Field(i)); name != "" {
			known[name] = t.Field(i).Type
		}
	}
	return known
}

// leaf is one setting that a variable can set.
type leaf struct {
	path []string
	// open is a map of strings: the rest of the variable's name is its key.
	open bool
}

// leaves returns the settings below t by variable name without Prefix.
func leaves(t reflect.Type, path []string, into map[string]leaf) {
	text := reflect.TypeFor[encoding.TextUnmarshaler]()
	name := strings.ToUpper(strings.Join(path, "_"))
	switch {
	case reflect.PointerTo(t).Implements(text):
		into[name] = leaf{path: path}
	case t.Kind() == reflect.Struct:
		for key, of := range fields(t) {
			leaves(of, append(slices.Clone(path), key), into)
		}
	case t.Kind() == reflect.Map:
		if t.Elem().Kind() == reflect.String {
			into[name] = leaf{path: path, open: true}
		}
	case t.Kind() == reflect.Slice:
		if t.Elem().Kind() == reflect.String {
			into[name] = leaf{path: path}
		}
	default:
		into[name] = leaf{path: path}
	}
}

// fromEnv maps the environment's variables to settings. A variable with our
// prefix that is no setting is an error.
func fromEnv(from Source, t reflect.Type) (values, error) {
	known := map[string]leaf{}
	leaves(t, nil, known)
	out := values{}
	foreign := append([]string{Prefix + "TEST_"}, from.Foreign...)
	for _, line := range from.Env {
		variable, value, _ := strings.Cut(line, "=")
		name, ours := strings.CutPrefix(variable, Prefix)
		if !ours || value == "" || slices.ContainsFunc(foreign, func(p string) bool { return strings.HasPrefix(variable, p) }) {
			continue
		}
		path, ok := find(known, name)
		if !ok {
			return nil, fmt.Errorf("environment: %w %s", ErrUnknownKey, variable)
		}
		set(out, path, value)
	}
	return out, nil
}

// find returns the path of the setting that a variable names: an exact one, or
// a key of a map of strings.
func find(known map[string]leaf, name string) ([]string, bool) {
	if l, ok := known[name]; ok && !l.open {
		return l.path, true
	}
	for prefix, l := range known {
		if key, ok := strings.CutPrefix(name, prefix+"_"); ok && l.open && key != "" {
			return append(slices.Clone(l.path), strings.ToLower(key)), true
		}
	}
	return nil, false
}

// set puts a value at a path of nested maps.
func set(m map[string]any, path []string, value string) {
	for _, key := range path[:len(path)-1] {
		next, ok := m[key].(map[string]any)
		if !ok {
			next = map[string]any{}
			m[key] = next
		}
		m = next
	}
	m[path[len(path)-1]] = value
}

// readSecrets fills x from the file that x_file names, everywhere below v.
func readSecrets(v reflect.Value, at string) error {
	switch v.Kind() {
	case reflect.Slice:
		for i := range v.Len() {
			if err := readSecrets(v.Index(i), fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return err
			}
		}
	case reflect.Struct:
		byKey := map[string]reflect.Value{}
		for i := range v.NumField() {
			if key := keyOf(v.Type().Field(i)); key != "" {
				byKey[key] = v.Field(i)
			}
		}
		for key, field := range byKey {
			if err := readSecrets(field, join(at, key)); err != nil {
				return err
			}
			name, isFile := strings.CutSuffix(key, "_file")
			secret, has := byKey[name]
			if !isFile || !has || field.Kind() != reflect.String || field.Len() == 0 {
				continue
			}
			if err := readSecret(secret, field.String()); err != nil {
				return fmt.Errorf("settings %s: %w", join(at, key), err)
			}
		}
	}
	return nil
}

// readSecret reads one file into a string or a map of strings.
func readSecret(secret reflect.Value, path string) error {
	if !secret.IsZero() {
		return errors.New("give either the value or the file, not both")
	}
	text, err := readLimited(path, maxSecret)
	if err != nil {
		return err
	}
	if secret.Kind() == reflect.String {
		secret.SetString(strings.TrimRight(string(text), "\r\n"))
		if secret.Len() == 0 {
			return fmt.Errorf("the file %s is empty", path)
		}
		return nil
	}
	if err := yaml.Unmarshal(text, secret.Addr().Interface()); err != nil {
		// The parser's words repeat the file's, which are secret.
		return fmt.Errorf("the file %s is not the YAML that is expected here", path)
	}
	return nil
}
