package wording

import (
	"bytes"
	"html"
	"slices"
	"strconv"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/text"
)

// Slots travel through Markdown as private-use characters around the index of
// the field: a writer cannot type them, because Compile's texts come from JSON
// and layOut drops any that do occur in literals and common values.
const (
	slotOpen  = '\uE000'
	slotClose = '\uE001'
)

// layOut builds the variant in which exactly the conditions of id are met.
func (b *Bound) layOut(id uint64) *Variant {
	v := &Variant{ID: id}
	v.Subject = pieces(b.flatten(b.t.subject, id, plainValue))
	body := b.flatten(b.t.body, id, markdownValue)
	switch b.t.Key.Channel {
	case "email", "letter", "page":
		v.HTML = pieces(toHTML(body))
		v.Text = pieces(toText(body))
	default:
		v.Text = pieces(strings.TrimSpace(b.flatten(b.t.body, id, plainValue)))
	}
	for _, part := range [][]Piece{v.Subject, v.Text, v.HTML} {
		for _, p := range part {
			if p.Slot != "" && !slices.Contains(v.Slots, p.Slot) {
				v.Slots = append(v.Slots, p.Slot)
			}
		}
	}
	return v
}

// flatten resolves the conditions, writes common values and marks slots.
func (b *Bound) flatten(nodes []node, id uint64, escape func(string) string) string {
	var out strings.Builder
	for _, n := range nodes {
		switch {
		case n.cond >= 0:
			if (id>>n.cond)&1 == 1 != n.negated {
				out.WriteString(b.flatten(n.body, id, escape))
			}
		case n.field == "":
			out.WriteString(withoutMarks(n.literal))
		case n.field.Personal():
			out.WriteRune(slotOpen)
			out.WriteString(strconv.Itoa(slices.Index(Fields(), n.field)))
			out.WriteRune(slotClose)
		default:
			out.WriteString(escape(withoutMarks(b.common.value(n.field))))
		}
	}
	return out.String()
}

// everyPart lays out the text with every conditional part and its opposite, as
// nobody gets it, so that a check sees all words. Personal values stay slots.
func (b *Bound) everyPart() Message {
	var all func(nodes []node) []node
	all = func(nodes []node) (flat []node) {
		for _, n := range nodes {
			if n.cond >= 0 {
				flat = append(flat, all(n.body)...)
			} else {
				flat = append(flat, n)
			}
		}
		return flat
	}
	m := Message{Subject: b.flatten(all(b.t.subject), 0, plainValue)}
	if b.t.Key.Channel == "sms" {
		m.Text = b.flatten(all(b.t.body), 0, plainValue)
		return m
	}
	body := b.flatten(all(b.t.body), 0, markdownValue)
	m.Text, m.HTML = toText(body), toHTML(body)
	return m
}

func withoutMarks(s string) string {
	return strings.Map(func(r rune) rune {
		if r == slotOpen || r == slotClose {
			return -1
		}
		return r
	}, s)
}

func plainValue(s string) string { return s }

// markdownValue escapes the characters that Markdown would read as markup.
func markdownValue(s string) string {
	var out strings.Builder
	for _, r := range s {
		if strings.ContainsRune("\\`*_{}[]<>#+!|~&", r) {
			out.WriteByte('\\')
		}
		out.WriteRune(r)
	}
	return out.String()
}

// pieces splits laid-out text at its slots.
func pieces(s string) []Piece {
	var out []Piece
	for s != "" {
		open := strings.IndexRune(s, slotOpen)
		if open < 0 {
			break
		}
		end := strings.IndexRune(s[open:], slotClose) + open
		if open > 0 {
			out = append(out, Piece{Literal: s[:open]})
		}
		index, _ := strconv.Atoi(s[open+len(string(slotOpen)) : end])
		out = append(out, Piece{Slot: Fields()[index]})
		s = s[end+len(string(slotClose)):]
	}
	if s != "" {
		out = append(out, Piece{Literal: s})
	}
	return out
}

func toHTML(markdown string) string {
	var out bytes.Buffer
	// goldmark drops raw HTML and dangerous links unless told otherwise.
	if err := goldmark.Convert([]byte(markdown), &out); err != nil {
		return "<pre>" + html.EscapeString(markdown) + "</pre>"
	}
	return out.String()
}

// toText writes Markdown as plain text: emphasis dropped, links as "words
// (address)", list items with a dash or number, blank lines between blocks.
func toText(markdown string) string {
	src := []byte(markdown)
	w := &textWriter{src: src}
	w.blocks(goldmark.DefaultParser().Parse(text.NewReader(src)), "")
	return strings.TrimSpace(w.out.String())
}

type textWriter struct {
	src []byte
	out strings.Builder
}

func (w *textWriter) blocks(parent ast.Node, indent string) {
	for n := parent.FirstChild(); n != nil; n = n.NextSibling() {
		switch b := n.(type) {
		case *ast.List:
			w.list(b, indent)
		case *ast.Heading, *ast.Paragraph, *ast.TextBlock:
			w.out.WriteString(indent)
			w.inline(n, indent)
			w.out.WriteString("\n")
			if _, tight := n.(*ast.TextBlock); !tight {
				w.out.WriteString("\n")
			}
		case *ast.ThematicBreak:
			w.out.WriteString(indent + "----\n\n")
		default:
			w.blocks(n, indent)
		}
	}
}

func (w *textWriter) list(l *ast.List, indent string) {
	number := l.Start
	for item := l.FirstChild(); item != nil; item = item.NextSibling() {
		mark := "- "
		if l.IsOrdered() {
			mark = strconv.Itoa(number) + ". "
			number++
		}
		sub := &textWriter{src: w.src}
		sub.blocks(item, indent+strings.Repeat(" ", len(mark)))
		w.out.WriteString(indent + mark + strings.TrimLeft(strings.TrimRight(sub.out.String(), "\n"), " ") + "\n")
	}
	w.out.WriteString("\n")
}

func (w *textWriter) inline(parent ast.Node, indent string) {
	for n := parent.FirstChild(); n != nil; n = n.NextSibling() {
		switch i := n.(type) {
		case *ast.Text:
			w.out.WriteString(unescape(string(i.Segment.Value(w.src))))
			if i.HardLineBreak() || i.SoftLineBreak() {
				w.out.WriteString("\n" + indent)
			}
		case *ast.String:
			w.out.Write(i.Value)
		case *ast.AutoLink:
			w.out.Write(i.URL(w.src))
		case *ast.Link:
			w.inline(n, indent)
			w.out.WriteString(" (" + string(i.Destination) + ")")
		default:
			w.inline(n, indent)
		}
	}
}

// unescape removes Markdown's backslash before punctuation and resolves entities.
func unescape(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && strings.IndexByte("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", s[i+1]) >= 0 {
			continue
		}
		out.WriteByte(s[i])
	}
	return html.UnescapeString(out.String())
}
