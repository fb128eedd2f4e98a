package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/v2"
	"go.yaml.in/yaml/v3"
)

// Prefix begins every environment variable of ours.
const Prefix = "TOCSIN_"

// Limits on what is read.
const (
	maxFile   = 1 << 20  // bytes of a settings file
	maxSecret = 64 << 10 // bytes of a file named by an x_file key
)

// ErrUnknownKey means that a file or the environment sets something that the
// program does not have.
var ErrUnknownKey = errors.New("unknown setting")

// Source says where settings come from.
type Source struct {
	// File is the path of the YAML file; empty means none.
	File string
	// Env holds «NAME=value» as os.Environ returns it. Variables without Prefix
	// are ignored.
	Env []string
	// Foreign are prefixes of variables that begin with Prefix and are none of
	// the settings, such as a flag's own variable. TOCSIN_TEST_ is always one.
	Foreign []string
}

// Load returns the settings: defaults, overruled by the file, overruled by the
// environment, with x_file keys read. If T has a method Validate() error, it
// is asked last.
func Load[T any](defaults T, from Source) (T, error) {
	settings := defaults
	k := koanf.New(".")
	where := "environment"
	if from.File != "" {
		where = from.File + " and environment"
		values, err := readFile(from.File, reflect.TypeFor[T]())
		if err != nil {
			return settings, err
		}
		if err := k.Load(values, nil); err != nil {
			return settings, fmt.Errorf("settings %s: %w", from.File, err)
		}
	}
	values, err := fromEnv(from, reflect.TypeFor[T]())
	if err != nil {
		return settings, err
	}
	if err := k.Load(values, nil); err != nil {
		return settings, fmt.Errorf("settings of the environment: %w", err)
	}
	if err := k.UnmarshalWithConf("", &settings, koanf.UnmarshalConf{Tag: tag, DecoderConfig: decoder()}); err != nil {
		return settings, fmt.Errorf("settings from %s: %w", where, err)
	}
	if err := readSecrets(reflect.ValueOf(&settings).Elem(), ""); err != nil {
		return settings, err
	}
	if v, ok := any(&settings).(interface{ Validate() error }); ok {
		if err := v.Validate(); err != nil {
			return settings, fmt.Errorf("settings from %s: %w", where, err)
		}
	}
	return settings, nil
}

// decoder turns strings of the environment into durations, lists and anything
// with UnmarshalText. A list or map in the file replaces the default whole.
func decoder() *mapstructure.DecoderConfig {
	return &mapstructure.DecoderConfig{
		WeaklyTypedInput: true,
		ZeroFields:       true,
		TagName:          tag,
		DecodeHook: mapstructure.ComposeDecodeHookFunc(
			mapstructure.StringToTimeDurationHookFunc(),
			mapstructure.TextUnmarshallerHookFunc(),
			mapstructure.StringToSliceHookFunc(","),
		),
	}
}

// values is a koanf.Provider of a map that we have read ourselves.
type values map[string]any

func (v values) Read() (map[string]any, error) { return v, nil }

func (v values) ReadBytes() ([]byte, error) { return nil, errors.New("these settings have no bytes") }

// readFile reads a YAML file and checks every key against the settings' type.
func readFile(path string, t reflect.Type) (values, error) {
	text, err := readLimited(path, maxFile)
	if err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	var doc yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(text))
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return values{}, nil
	} else if err != nil {
		return nil, fmt.Errorf("settings %s: %w", path, err)
	}
	if err := dec.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("settings %s: there is more than one YAML document", path)
	}
	if err := checkNode(path, doc.Content[0], t, ""); err != nil {
		return nil, err
	}
	v := map[string]any{} // not values: YAML would make every mapping below one too, and koanf would not merge them
	if err := doc.Decode(&v); err != nil {
		return nil, fmt.Errorf("settings %s: %w", path, err)
	}
	return v, nil
}

// checkNode reports the first key that t does not have, with its line.
func checkNode(file string, n *yaml.Node, t reflect.Type, at string) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch {
	case n.Kind == yaml.MappingNode && t.Kind() == reflect.Struct:
		known := fields(t)
		for i := 0; i < len(n.Content); i += 2 {
			name, key := n.Content[i], join(at, n.Content[i].Value)
			of, ok := known[name.Value]
			if !ok {
				return fmt.Errorf("settings %s:%d: %w %q", file, name.Line, ErrUnknownKey, key)
			}
			if err := checkNode(file, n.Content[i+1], of, key); err != nil {
				return err
			}
		}
	case n.Kind == yaml.MappingNode && t.Kind() == reflect.Map:
		for i := 0; i < len(n.Content); i += 2 {
			if err := checkNode(file, n.Content[i+1], t.Elem(), join(at, n.Content[i].Value)); err != nil {
				return err
			}
		}
	case n.Kind == yaml.SequenceNode && t.Kind() == reflect.Slice:
		for i, e := range n.Content {
			if err := checkNode(file, e, t.Elem(), fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return err
			}
		}
	case n.Kind == yaml.MappingNode, n.Kind == yaml.SequenceNode, at == "" && n.Tag != "!!null":
		return fmt.Errorf("settings %s:%d: %s is not a %s", file, n.Line, orTop(at), kindOf(t))
	}
	return nil
}

func orTop(at string) string {
	if at == "" {
		return "the top"
	}
	return at
}

// kindOf names what YAML should hold for t.
func kindOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Struct, reflect.Map:
		return "mapping"
	case reflect.Slice:
		return "list"
	}
	return "single value"
}

// readLimited reads a regular file of at most limit bytes.
func readLimited(path string, limit int64) ([]byte, error) {
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read from
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if int64(len(text)) > limit {
		return nil, fmt.Errorf("read %s: larger than %d bytes", path, limit)
	}
	return text, nil
}

func join(at, name string) string { return strings.TrimPrefix(at+"."+name, ".") }
