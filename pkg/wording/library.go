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
	ID    string `yaml:"id"`
	Title string `yaml:"title"`
	// Regimes are the ids of the laws whose required content it was written for.
	Regimes  []string `yaml:"regimes"`
	Audience string   `yaml:"audience"`
	Channel  string   `yaml:"channel"`
	Language string   `yaml:"language"`
	Subject  string   `yaml:"subject"`
	Body     string   `yaml:"-"`
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
		s, err := parseStarter(data)
		if err != nil {
			return nil, fmt.Errorf("starting text %s: %w", path.Base(name), err)
		}
		all = append(all, s)
	}
	return all, nil
}

// StarterFor returns the starting text of a regime for a channel and language,
// where the base language will do ("en" for "en-GB"). The regime is the part of
// a rule id before the dot, such as "eu-gdpr".
func StarterFor(all []Starter, regime, channel, language string) (Starter, bool) {
	base, _, _ := strings.Cut(language, "-")
	for _, tag := range []string{language, base} {
		for _, s := range all {
			if s.Channel == channel && s.Language == tag && (regime == "" || slices.Contains(s.Regimes, regime)) {
				return s, true
			}
		}
	}
	return Starter{}, false
}

func parseStarter(data []byte) (Starter, error) {
	head, body, ok := strings.Cut(strings.TrimPrefix(string(data), "---\n"), "\n---\n")
	if !ok {
		return Starter{}, fmt.Errorf("%w: the head between two --- lines is missing", ErrSyntax)
	}
	var s Starter
	dec := yaml.NewDecoder(bytes.NewReader([]byte(head)))
	dec.KnownFields(true)
	if err := dec.Decode(&s); err != nil {
		return Starter{}, err
	}
	s.Body = body
	_, err := Compile(s.Key(), s.Subject, s.Body)
	return s, err
}
