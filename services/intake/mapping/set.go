package mapping

import (
	"cmp"
	"context"
	"embed"
	"fmt"
	"io/fs"
	"slices"
)

//go:embed shipped/*.yaml samples
var files embed.FS

// Samples returns the sample payloads by "<vendor>/<file>"; README.md beside
// them states origin and licence of each.
func Samples() fs.FS { return sub("samples") }

func sub(dir string) fs.FS {
	f, err := fs.Sub(files, dir)
	if err != nil {
		return embed.FS{}
	}
	return f
}

// Set is every mapping of an installation, in the order in which they are tried.
type Set struct{ all []*Mapping }

// Shipped returns the mappings that come with Tocsin and, after them, own ones
// from a folder, which replace shipped ones of the same name. own may be nil.
func Shipped(own fs.FS) (*Set, error) {
	all, err := Load(sub("shipped"), Samples())
	if err != nil {
		return nil, err
	}
	if own != nil {
		more, err := Load(own, own)
		if err != nil {
			return nil, err
		}
		for _, m := range more {
			all = slices.DeleteFunc(all, func(x *Mapping) bool { return x.Name == m.Name })
			all = append(all, m)
		}
	}
	return NewSet(all)
}

// NewSet orders mappings by priority, highest first, then by name.
func NewSet(all []*Mapping) (*Set, error) {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b *Mapping) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.Name, b.Name))
	})
	for i := 1; i < len(all); i++ {
		if all[i].Name == all[i-1].Name {
			return nil, fmt.Errorf("two mappings are named %s", all[i].Name)
		}
	}
	return &Set{all: all}, nil
}

// Get returns the mapping with the name, or nil.
func (s *Set) Get(name string) *Mapping {
	for _, m := range s.all {
		if m.Name == name {
			return m
		}
	}
	return nil
}

// Names lists the mappings in the order in which they are tried.
func (s *Set) Names() []string {
	names := make([]string, len(s.all))
	for i, m := range s.all {
		names[i] = m.Name
	}
	return names
}

// Result is what became of one document.
type Result struct {
	// Mapping read it; nil means that none could.
	Mapping *Mapping
	Alerts  []Found
	// Unwrapped names the envelope that was opened to read it, such as "Message".
	Unwrapped string
}

// Map reads one document. The mapping named by hint is tried first, then all in
// order. If no mapping of its own reads an envelope, its content is tried, and
// only then the mappings of negative priority, which read envelopes as such.
func (s *Set) Map(ctx context.Context, doc any, hint string) (Result, error) {
	if m := s.Get(hint); m != nil && m.Matches(ctx, doc) {
		return result(ctx, m, doc, "")
	}
	at, wrapping := doc, ""
	for range 4 {
		for _, m := range s.all {
			if m.Priority >= 0 && m.Matches(ctx, at) {
				return result(ctx, m, at, wrapping)
			}
		}
		inner, name := unwrap(at)
		if inner == nil {
			break
		}
		at, wrapping = inner, name
	}
	for _, m := range s.all {
		if m.Priority < 0 && m.Matches(ctx, doc) {
			return result(ctx, m, doc, "")
		}
	}
	return Result{}, nil
}

func result(ctx context.Context, m *Mapping, doc any, unwrapped string) (Result, error) {
	found, err := m.Read(ctx, doc)
	return Result{Mapping: m, Alerts: found, Unwrapped: unwrapped}, err
}

// unwrap opens the envelopes that carry other senders' documents: Amazon SNS
// (JSON in the string Message), EventBridge (detail) and CloudEvents (data).
func unwrap(doc any) (inner any, name string) {
	m, ok := doc.(map[string]any)
	if !ok {
		return nil, ""
	}
	if s, ok := m["Message"].(string); ok && m["TopicArn"] != nil {
		if v, err := Decode([]byte(s)); err == nil {
			if _, isObject := v.(map[string]any); isObject {
				return v, "Message"
			}
		}
		return nil, ""
	}
	if d, ok := m["detail"].(map[string]any); ok && m["detail-type"] != nil {
		return d, "detail"
	}
	if d, ok := m["data"].(map[string]any); ok && m["specversion"] != nil {
		return d, "data"
	}
	return nil, ""
}

// Trial says how one mapping fared with a document.
type Trial struct {
	Mapping string
	Matched bool
	Why     string
}

// Explain says for every mapping, in order, whether it matches the document and why.
func (s *Set) Explain(ctx context.Context, doc any) []Trial {
	var trials []Trial
	for _, m := range s.all {
		t := Trial{Mapping: m.Name, Why: m.match.text}
		v, err := m.match.first(ctx, doc, doc)
		switch {
		case err != nil:
			t.Why = "match failed: " + err.Error()
		default:
			t.Matched = v == true
		}
		trials = append(trials, t)
	}
	return trials
}
