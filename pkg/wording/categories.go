package wording

import (
	"strings"

	"tocsin.dev/pkg/category"
)

// Categories lists a set in plain words of a language: "name, email address
// and password". Only languages of Speaks are listed; others give "".
func Categories(s category.Set, language string) string {
	base, _, _ := strings.Cut(language, "-")
	and, label := " and ", func(c category.Category) string { return c.Label }
	switch base {
	case "en":
	case "sv":
		and, label = " och ", func(c category.Category) string { return c.Svenska }
	default:
		return ""
	}
	words := make([]string, 0, s.Len())
	s.Each(func(c category.Category) { words = append(words, label(c)) })
	switch len(words) {
	case 0:
		return ""
	case 1:
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + and + words[len(words)-1]
}

// Speaks reports whether the category names exist in a language, so that a
// text in it may use {{exposed.categories}}.
func Speaks(language string) bool {
	base, _, _ := strings.Cut(language, "-")
	return base == "en" || base == "sv"
}
