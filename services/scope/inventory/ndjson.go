package inventory

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// headLines is how many lines of an NDJSON file are read to learn its columns.
const headLines = 1000

func ndjsonFile(ctx context.Context, d *Delivery, name string, f *os.File, digest io.Writer, m Mapping) error {
	return d.NDJSON(ctx, name, io.TeeReader(f, digest), m)
}

// NDJSON takes in a file with one JSON object a line. Members of nested objects
// are columns named with dots; lists are joined by spaces.
func (d *Delivery) NDJSON(ctx context.Context, name string, r io.Reader, m Mapping) error {
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 64<<10), maxCSVRecord)
	head, err := readHeadLines(name, in)
	if err != nil {
		return err
	}
	var headers []string
	for _, row := range head {
		for column := range row.values {
			if !slices.Contains(headers, column) {
				headers = append(headers, column)
			}
		}
	}
	slices.Sort(headers)
	if len(headers) == 0 {
		return fmt.Errorf("%s: %w", name, errEmptyFile)
	}
	t, err := newTable(d, name, headers, m)
	if err != nil {
		return err
	}
	n := &ndjsonTable{table: t, place: map[string]int{}, row: make([]string, len(headers)), unknown: map[string]bool{}}
	for i, h := range headers {
		n.place[h] = i
	}
	line := uint32(0)
	for _, row := range head {
		if err := n.take(row); err != nil {
			return err
		}
		line = row.line
	}
	for in.Scan() {
		line++
		if line%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err := n.take(parseLine(in.Bytes(), line)); err != nil {
			return err
		}
	}
	return scanFault(name, line, in.Err())
}

// jsonLine is one line; values is nil for an empty one, fault says what is wrong with it.
type jsonLine struct {
	line   uint32
	values map[string]string
	fault  string
}

func readHeadLines(name string, in *bufio.Scanner) ([]jsonLine, error) {
	var head []jsonLine
	for len(head) < headLines && in.Scan() {
		b := in.Bytes()
		if len(head) == 0 {
			b = bytes.TrimPrefix(b, []byte{0xef, 0xbb, 0xbf})
			if bytes.HasPrefix(b, []byte{0xff, 0xfe}) || bytes.HasPrefix(b, []byte{0xfe, 0xff}) {
				return nil, fmt.Errorf("%s: %w", name, errUTF16)
			}
		}
		head = append(head, parseLine(b, uint32(len(head)+1)))
	}
	return head, scanFault(name, uint32(len(head)), in.Err())
}

func scanFault(name string, line uint32, err error) error {
	if errors.Is(err, bufio.ErrTooLong) {
		return fmt.Errorf("%s line %d: longer than %d MB", name, line+1, maxCSVRecord>>20)
	}
	if err != nil {
		return fmt.Errorf("%s line %d: %w", name, line+1, err)
	}
	return nil
}

func parseLine(b []byte, line uint32) jsonLine {
	if len(bytes.TrimSpace(b)) == 0 {
		return jsonLine{line: line}
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var object map[string]any
	if err := dec.Decode(&object); err != nil {
		// The decoder's own words could quote the line.
		return jsonLine{line: line, fault: fmt.Sprintf("not a JSON object, at byte %d: is the file cut off?", dec.InputOffset())}
	}
	if dec.More() {
		return jsonLine{line: line, fault: "more than one JSON object in the line"}
	}
	values := map[string]string{}
	if !flatten(values, "", object, 0) {
		return jsonLine{line: line, fault: "objects are nested more than five deep"}
	}
	return jsonLine{line: line, values: values}
}

func flatten(out map[string]string, prefix string, object map[string]any, depth int) bool {
	if depth > 5 {
		return false
	}
	for key, v := range object {
		name := prefix + key
		switch v := v.(type) {
		case map[string]any:
			if !flatten(out, name+".", v, depth+1) {
				return false
			}
		case []any:
			parts := make([]string, 0, len(v))
			for _, x := range v {
				parts = append(parts, scalar(x))
			}
			out[name] = strings.Join(parts, " ")
		default:
			out[name] = scalar(v)
		}
	}
	return true
}

func scalar(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		if v {
			return "true"
		}
		return "false"
	}
	return ""
}

type ndjsonTable struct {
	*table
	place   map[string]int
	row     []string
	unknown map[string]bool
}

func (n *ndjsonTable) take(l jsonLine) error {
	if l.fault != "" {
		n.d.Bad(Origin{File: n.file, Line: l.line}, "", l.fault)
		return nil
	}
	if l.values == nil {
		return nil
	}
	clear(n.row)
	for column, v := range l.values {
		i, known := n.place[column]
		if !known {
			if !n.unknown[column] && len(n.unknown) < 100 {
				n.unknown[column] = true
				n.d.Warn(fmt.Sprintf("%s line %d: column %q is not in the first %d lines and not used", n.d.files[n.file], l.line, clip(column), headLines))
			}
			continue
		}
		n.row[i] = v
	}
	return n.table.take(n.row, l.line)
}
