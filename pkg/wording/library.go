package wording

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"tocsin.dev/pkg/event"
)

//go:embed templates/*.md
var templateFiles embed.FS

// Starter is a starting text from which a writer begins. It is nobody's
// approved wording.
type Starter struct {
	// ID is the name of its file; a text for several channels gives a Starter each.
	ID    string `yaml:"id"`
	Title string `yaml:"title"`
	// Regimes are the ids of the laws whose required content it was written for;
	// a "?" stands for any letter: "us-??" is every US State.
	Regimes  []string `yaml:"regimes"`
	Audience string   `yaml:"audience"`
	Channel  string   `yaml:"-"`
	Language string   `yaml:"language"`
	Subject  string   `yaml:"subject"`
	Body     string   `yaml:"-"`
}

// For reports whether the text was written for a law: "uk-gdpr", "us-ny".
func (s Starter) For(regime string) bool {
	return slices.ContainsFunc(s.Regimes, func(pattern string) bool {
		ok, err := path.Match(pattern, regime)
		return ok && err == nil
	})
}

// Key returns which text of a wording set the starter is for.
func (s Starter) Key() event.TextKey {
	return event.TextKey{Audience: s.Audience, Channel: s.Channel, Language: s.Language}
}

// Starters returns the starting texts that come with Tocsin, by file name.
// Each is compiled, so a broken one is an error that names its file.
func Starters() ([]Starter, error) {
	names, err := fs.Glob(templateFiles, "templates/*.md")
	if err != nil {
		return nil, fmt.Errorf("list starting texts: %w", err)
	}
	var all []Starter
	for _, name := range names {
		data, err := templateFiles.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read starting text: %w", err)
		}
		parsed, err := parseStarter(data)
		if err != nil {
			return nil, fmt.Errorf("starting text %s: %w", path.Base(name), err)
		}
		all = append(all, parsed...)
	}
	return all, nil
}

// StarterFor returns the starting text of a regime for people, as StarterOf does.
func StarterFor(all []Starter, regime, channel, language string) (Starter, bool) {
	return StarterOf(all, regime, event.TextKey{Audience: "people", Channel: channel, Language: language})
}

// StarterOf returns the starting text of a regime for an audience, channel and
// language, where the base language will do ("en" for "en-GB"). The regime is
// the part of a rule id before the dot, such as "eu-gdpr". A text written for
// exactly this law comes before one for many.
func StarterOf(all []Starter, regime string, k event.TextKey) (Starter, bool) {
	for _, fits := range []func(Starter) bool{
		func(s Starter) bool { return slices.Contains(s.Regimes, regime) },
		func(s Starter) bool { return s.For(regime) },
	} {
		for _, tag := range []string{k.Language, base(k.Language)} {
			for _, s := range all {
				if s.Audience == k.Audience && s.Channel == k.Channel && s.Language == tag && fits(s) {
					return s, true
				}
			}
		}
	}
	return Starter{}, false
}

// parseStarter reads one file and returns its text for every channel.
func parseStarter(data []byte) ([]Starter, error) {
	head, body, ok := strings.Cut(strings.TrimPrefix(string(data), "---\n"), "\n---\n")
	if !ok {
		return nil, fmt.Errorf("%w: the head between two --- lines is missing", ErrSyntax)
	}
	var file struct {
		Starter  `yaml:",inline"`
		Channels []string `yaml:"channels"`
	}
	dec := yaml.NewDecoder(bytes.NewReader([]byte(head)))
	dec.KnownFields(true)
	if err := dec.Decode(&file); err != nil {
		return nil, err
	}
	if len(file.Channels) == 0 {
		return nil, fmt.Errorf("%w: channels names none", ErrSyntax)
	}
	all := make([]Starter, len(file.Channels))
	for i, channel := range file.Channels {
		s := file.Starter
		s.Channel, s.Body = channel, body
		if _, err := Compile(s.Key(), s.Subject, s.Body); err != nil {
			return nil, err
		}
		all[i] = s
	}
	return all, nil
}
