package mapping

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of mapped text in characters, and of lists in entries.
const (
	maxTitle = 500
	maxDesc  = 10_000
	maxShort = 1_000
	maxList  = 100
)

// clean removes control characters and those that change the direction of text
// or hide in it, turns line breaks and tabs of a one-line text into spaces, and
// cuts at limit characters. Text of an alert is written by an attacker.
func clean(s string, limit int, lines bool) string {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' && lines:
			return r
		case r == '\n' || r == '\t' || r == '\r' || r == '\u2028' || r == '\u2029':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), hidden(r):
			return -1
		}
		return r
	}, s)
	return clip(strings.TrimSpace(s), limit)
}

// hidden reports characters that show nothing and make two texts look alike.
func hidden(r rune) bool {
	return r == '\u00AD' || r == '\u180E' || (r >= '\u200B' && r <= '\u200F') || (r >= '\u2060' && r <= '\u206F') ||
		r == '\uFEFF' || (r >= 0xE0000 && r <= 0xE007F)
}

// clip cuts s after n characters and marks the cut.
func clip(s string, n int) string {
	if n <= 0 || utf8.RuneCountInString(s) <= n {
		return s
	}
	r := []rune(s)
	return strings.TrimSpace(string(r[:n-1])) + "…"
}

// safeURL returns s if it is an absolute http or https link without user
// information, else "".
func safeURL(s string) string {
	s = strings.TrimSpace(s)
	if len(s) > 4000 || strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || unicode.IsSpace(r) || unicode.Is(unicode.Bidi_Control, r) || hidden(r)
	}) {
		return ""
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || (u.Scheme != "http" && u.Scheme != "https") {
		return ""
	}
	return s
}
