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
	"unicode/utf8"
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
		for _, row := range head {
			if row.fault != "" {
				return fmt.Errorf("%s line %d: %s", name, row.line, row.fault)
			}
		}
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
	if !utf8.Valid(b) {
		return jsonLine{line: line, fault: errEncoding.Error()}
	}
	values := map[string]string{}
	if fault := members(values, "", b, 0); fault != "" {
		return jsonLine{line: line, fault: fault}
	}
	return jsonLine{line: line, values: values}
}

// members adds the members of an object under their names, and says what is
// wrong with it. The decoder's own words could quote a value.
func members(out map[string]string, prefix string, object []byte, depth int) (fault string) {
	if depth > 5 {
		return "objects are nested more than five deep"
	}
	dec := json.NewDecoder(bytes.NewReader(object))
	broken := func() string {
		return fmt.Sprintf("not a JSON object, at byte %d: is the file cut off?", dec.InputOffset())
	}
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return broken()
	}
	seen := map[string]bool{}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return broken()
		}
		name := prefix + key.(string)
		if seen[name] {
			return fmt.Sprintf("the name %q is there twice", clip(name))
		}
		seen[name] = true
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return broken()
		}
		if value[0] == '{' {
			if fault := members(out, name+".", value, depth+1); fault != "" {
				return fault
			}
			continue
		}
		if out[name], err = listed(value); err != nil {
			return broken()
		}
	}
	if _, err := dec.Token(); err != nil {
		return broken()
	}
	if dec.More() {
		return "more than one JSON object in the line"
	}
	return ""
}

// listed writes a value that is no object as text, a list with spaces.
func listed(value json.RawMessage) (string, error) {
	dec := json.NewDecoder(bytes.NewReader(value))
	dec.UseNumber()
	if value[0] != '[' {
		var v any
		err := dec.Decode(&v)
		return scalar(v), err
	}
	var all []any
	if err := dec.Decode(&all); err != nil {
		return "", err
	}
	parts := make([]string, len(all))
	for i, v := range all {
		parts[i] = scalar(v)
	}
	return strings.Join(parts, " "), nil
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
