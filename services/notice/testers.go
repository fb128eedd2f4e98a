package notice

import (
	"fmt"
	"os"
	"slices"

	"go.yaml.in/yaml/v3"

	"tocsin.dev/pkg/person"
)

// tester is a user of an organisation as far as test sends go. The desk's file
// of users says more; the rest is none of our business and passed over.
type tester struct {
	ID    string       `yaml:"id"`
	Org   string       `yaml:"organisation"`
	Roles []string     `yaml:"roles"`
	Email person.Email `yaml:"email"`
	Phone person.Phone `yaml:"phone"`
}

func (t tester) has(roles []string) bool {
	return slices.ContainsFunc(t.Roles, func(r string) bool { return slices.Contains(roles, r) })
}

// reach returns where a test on a channel goes, or "".
func (t tester) reach(ch Channel) string {
	switch {
	case ch == Email && t.Email.Valid():
		return t.Email.Reveal()
	case ch == SMS && t.Phone.Valid():
		return t.Phone.Reveal()
	}
	return ""
}

// loadTesters reads the users of all organisations by their id.
func loadTesters(path string) (map[string]tester, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("file of users: %w", err)
	}
	var file struct {
		Users []tester `yaml:"users"`
	}
	if err := yaml.Unmarshal(data, &file); err != nil {
		return nil, fmt.Errorf("file of users %s: %w", path, err)
	}
	all := make(map[string]tester, len(file.Users))
	for _, t := range file.Users {
		if _, twice := all[t.ID]; twice || t.ID == "" || t.Org == "" {
			return nil, fmt.Errorf("file of users %s: user %q has no organisation or stands there twice", path, t.ID)
		}
		all[t.ID] = t
	}
	return all, nil
}
