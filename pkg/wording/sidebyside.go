package wording

import "strings"

// Row is one line or paragraph of two texts side by side. Old has its spans
// that are not added, New those that are not removed.
type Row struct {
	Old, New []Span
	// Changed says that the two sides differ.
	Changed bool
}

// SideBySide lays a redline out in rows that begin at the same place of both
// texts. Joining the old sides of all rows gives the old text, joining the new
// sides the new one. A blank line belongs to the row above it.
func SideBySide(spans []Span) []Row {
	var l sides
	for _, s := range spans {
		if s.Op != "same" {
			l.change(s)
			continue
		}
		l.breakRow()
		for _, line := range strings.SplitAfter(s.Text, "\n") {
			if line == "" {
				continue
			}
			if line != "\n" {
				l.breakRow()
			}
			l.row.Old, l.row.New, l.changing = append(l.row.Old, Span{"same", line}), append(l.row.New, Span{"same", line}), false
		}
	}
	return l.all()
}

// sides collects rows.
type sides struct {
	rows []Row
	row  Row
	// changing says that the span before was a change: what replaces it stands beside it.
	changing bool
}

func (l *sides) change(s Span) {
	if !l.changing {
		l.breakRow()
	}
	l.row.Changed, l.changing = true, true
	if s.Op == "removed" {
		l.row.Old = append(l.row.Old, s)
	} else {
		l.row.New = append(l.row.New, s)
	}
}

// breakRow ends the row if both sides stand at the beginning of a line.
func (l *sides) breakRow() {
	if len(l.row.Old)+len(l.row.New) > 0 && endsLine(l.row.Old) && endsLine(l.row.New) {
		l.rows, l.row = append(l.rows, l.row), Row{}
	}
}

func (l *sides) all() []Row {
	if len(l.row.Old)+len(l.row.New) > 0 {
		l.rows = append(l.rows, l.row)
	}
	return l.rows
}

func endsLine(spans []Span) bool {
	return len(spans) == 0 || strings.HasSuffix(spans[len(spans)-1].Text, "\n")
}
