package console

import (
	"cmp"
	"fmt"
	"html/template"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Funcs are the words that templates may use.
func Funcs() template.FuncMap {
	return template.FuncMap{
		"at":      timeTag,
		"zone":    zoneNamed,
		"city":    City,
		"field":   Field,
		"left":    Left,
		"ago":     Ago,
		"iso":     func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"join":    strings.Join,
		"rows":    Rows,
		"words":   func(s string) string { return strings.ReplaceAll(s, "_", " ") },
		"short":   Short,
		"dict":    dict,
		"state":   StateTag,
		"level":   LevelTag,
		"deref":   func(t *time.Time) time.Time { return *t },
		"id":      elementID,
		"percent": func(n, of int64) string { return percent(n, of) },
		"add":     func(a, b int) int { return a + b },
		"marks":   marks,
	}
}

// dict builds the argument of a sub-template from names and values.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, fmt.Errorf("dict needs names and values, got %d arguments", len(pairs))
	}
	m := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("dict: argument %d is no name", i)
		}
		m[name] = pairs[i+1]
	}
	return m, nil
}

// Row is one line of a table of counts.
type Row struct {
	Name  string
	Count int64
}

// Rows returns counts, largest first.
func Rows(m map[string]int64) []Row {
	rows := make([]Row, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		rows = append(rows, Row{k, m[k]})
	}
	slices.SortStableFunc(rows, func(a, b Row) int { return cmp.Compare(b.Count, a.Count) })
	return rows
}

// Short cuts a digest to what a person compares.
func Short(digest string) string {
	head, tail, ok := strings.Cut(digest, ":")
	if !ok {
		head, tail = "", digest
	} else {
		head += ":"
	}
	if len(tail) > 16 {
		tail = tail[:16] + "…"
	}
	return head + tail
}

// marks makes a change that is nothing but space visible: a blank as ␣, the end of a line as ⏎.
func marks(changed string) string {
	if strings.TrimSpace(changed) != "" {
		return changed
	}
	return strings.NewReplacer(" ", "␣", "\n", "⏎\n").Replace(changed)
}

// elementID makes the id of a control from the path of a field.
func elementID(field string) string {
	return strings.NewReplacer("[", "-", "]", "", ".", "-").Replace(field)
}

func percent(n, of int64) string {
	if of == 0 {
		return "0"
	}
	return strconv.FormatFloat(math.Floor(1000*float64(n)/float64(of))/10, 'f', -1, 64)
}

// tag is a state as a word with a shape, so that colour never stands alone.
func tag(colour, shape, word string) template.HTML {
	return template.HTML(`<span class="tag tag-` + colour + `"><span aria-hidden="true">` + shape + `</span> ` + //nolint:gosec // colour and shape are constants
		template.HTMLEscapeString(word) + `</span>`)
}

// StateTag shows the state of a task, a duty, an alert, an order or a message.
func StateTag(state any) template.HTML {
	s := fmt.Sprint(state)
	word := strings.ReplaceAll(s, "_", " ")
	switch s {
	case "done", "met", "completed", "delivered", "standing":
		return tag("green", "✔", title(word))
	case "to_do", "new", "open":
		return tag("blue", "○", title(word))
	case "in_progress", "ordered", "planned", "running", "linked", "accepted", "track":
		return tag("blue", "◐", title(word))
	case "problem", "missed", "refused", "failed", "bounced", "late":
		return tag("red", "✖", title(word))
	case "paused", "in_doubt", "soon", "urgent", "stopped":
		return tag("amber", "▲", title(word))
	}
	return tag("grey", "–", title(word))
}

// LevelTag shows a severity, as OCSF number or as our word.
func LevelTag(level any) template.HTML {
	switch fmt.Sprint(level) {
	case "6", "fatal":
		return tag("red", "▲▲", "Fatal")
	case "5", "critical":
		return tag("red", "▲", "Critical")
	case "4", "high":
		return tag("amber", "▲", "High")
	case "3", "medium":
		return tag("blue", "◆", "Medium")
	case "2", "low":
		return tag("grey", "▽", "Low")
	case "1":
		return tag("grey", "○", "Informational")
	}
	return tag("grey", "?", "Unknown")
}

// UrgencyTag shows how a duty stands in time.
func UrgencyTag(kind, words string) template.HTML {
	switch kind {
	case "late":
		return tag("red", "✖", words)
	case "urgent":
		return tag("amber", "▲", words)
	case "soon":
		return tag("amber", "△", words)
	case "track":
		return tag("blue", "◐", words)
	case "done":
		return tag("green", "✔", words)
	case "none":
		return tag("blue", "○", words)
	}
	return tag("grey", "–", words)
}

func title(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// Part is one stretch of a stacked bar.
type Part struct {
	Name  string
	Class string
	Count int64
	X, W  float64
}

// Bar lays parts out over a width of 100. Every part that is not empty can be seen.
func Bar(parts []Part) []Part {
	var total float64
	for _, p := range parts {
		total += float64(p.Count)
	}
	x := 0.0
	for i := range parts {
		if total > 0 {
			parts[i].W = 100 * float64(parts[i].Count) / total
		}
		parts[i].X = x
		x += parts[i].W
	}
	return parts
}
