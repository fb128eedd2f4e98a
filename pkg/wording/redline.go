package wording

import (
	"strings"
	"unicode"

	"znkr.io/diff"
)

// Span is a run of words in a redline.
type Span struct {
	// Op is "same", "added" or "removed".
	Op   string `json:"op"`
	Text string `json:"text"`
}

// Redline compares two texts word by word. Joining the spans that are not
// added gives the old text, joining those not removed gives the new one.
func Redline(from, to string) []Span {
	var out []Span
	add := func(op, text string) {
		if n := len(out); n > 0 && out[n-1].Op == op {
			out[n-1].Text += text
			return
		}
		out = append(out, Span{Op: op, Text: text})
	}
	for _, e := range diff.Edits(tokens(from), tokens(to), diff.Minimal()) {
		switch e.Op {
		case diff.Match:
			add("same", e.X)
		case diff.Delete:
			add("removed", e.X)
		case diff.Insert:
			add("added", e.Y)
		}
	}
	return whole(out)
}

// whole joins changes of neighbouring words that share nothing but the blank
// between them, as a person would mark them: "[-old name-]{+new address+}".
func whole(spans []Span) (out []Span) {
	for i := 0; i < len(spans); {
		end := i
		for end < len(spans) && (spans[end].Op != "same" || end > i && isBlank(spans[end].Text) && end+1 < len(spans)) {
			end++
		}
		if end == i {
			out = append(out, spans[i])
			i++
			continue
		}
		out = append(out, exchange(spans[i:end])...)
		i = end
	}
	return out
}

// exchange writes a run of changes as one removal and one addition. A run that
// only removes or only adds stays as it is.
func exchange(run []Span) []Span {
	var removed, added, blanks string
	for _, s := range run {
		if s.Op != "added" {
			removed += s.Text
		}
		if s.Op != "removed" {
			added += s.Text
		}
		if s.Op == "same" {
			blanks += s.Text
		}
	}
	if len(removed) == len(blanks) || len(added) == len(blanks) {
		return run
	}
	rest := ""
	if strings.HasSuffix(removed, " ") && strings.HasSuffix(added, " ") {
		removed, added, rest = removed[:len(removed)-1], added[:len(added)-1], " "
	}
	out := []Span{{"removed", removed}, {"added", added}}
	if rest != "" {
		out = append(out, Span{"same", rest})
	}
	return out
}

func isBlank(s string) bool { return strings.Trim(s, " ") == "" }

// Changed reports whether a redline shows any change.
func Changed(spans []Span) bool {
	for _, s := range spans {
		if s.Op != "same" {
			return true
		}
	}
	return false
}

// tokens splits a text into words, runs of space and single marks, so that a
// comma stands alone and nothing is lost.
func tokens(s string) []string {
	var out []string
	start, kind := 0, 0
	for i, r := range s {
		k := kindOf(r)
		if i > start && (k != kind || k == 0) {
			out = append(out, s[start:i])
			start = i
		}
		kind = k
	}
	if start < len(s) {
		out = append(out, s[start:])
	}
	return out
}

// kindOf is 1 for letters and digits, 2 for space, 0 for marks.
func kindOf(r rune) int {
	switch {
	case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_':
		return 1
	case unicode.IsSpace(r):
		return 2
	}
	return 0
}

// Plain writes a redline for a terminal: [-removed-] and {+added+}.
func Plain(spans []Span) string {
	var out strings.Builder
	for _, s := range spans {
		switch s.Op {
		case "added":
			out.WriteString("{+" + s.Text + "+}")
		case "removed":
			out.WriteString("[-" + s.Text + "-]")
		default:
			out.WriteString(s.Text)
		}
	}
	return out.String()
}
