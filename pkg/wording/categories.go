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
	var b strings.Builder
	b.Grow(24 * s.Len()) // a label with what joins it
	left := s.Len()
	s.Each(func(c category.Category) {
		switch {
		case b.Len() == 0:
		case left == 1:
			b.WriteString(and)
		default:
			b.WriteString(", ")
		}
		b.WriteString(label(c))
		left--
	})
	return b.String()
}

// Speaks reports whether the category names exist in a language, so that a
// text in it may use {{exposed.categories}}.
func Speaks(language string) bool {
	base, _, _ := strings.Cut(language, "-")
	return base == "en" || base == "sv"
}
