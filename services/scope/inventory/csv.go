package inventory

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxCSVRecord bounds one record, so that a quote that is never closed does not
// read the rest of the file into memory.
const maxCSVRecord = 4 << 20

var (
	errUTF16     = errors.New("the file is UTF-16: save it as UTF-8")
	errEncoding  = errors.New("the text is not UTF-8: save the file as UTF-8")
	errUnclosed  = fmt.Errorf("a record goes on for more than %d MB: a quote is not closed", maxCSVRecord>>20)
	errEmptyFile = errors.New("the file is empty")
)

// csvText hands on text without a byte order mark and with line ends of one
// kind, and stops a record that does not end.
type csvText struct {
	r      *bufio.Reader
	budget int  // bytes left for the present record
	cr     bool // the last byte was a carriage return
	last   byte // the last byte of the file so far
	begun  bool
}

func (t *csvText) Read(p []byte) (int, error) {
	if !t.begun {
		if err := t.begin(); err != nil {
			return 0, err
		}
	}
	if t.budget <= 0 {
		return 0, errUnclosed
	}
	n, err := t.r.Read(p)
	if n > 0 {
		t.last = p[n-1]
	}
	t.budget -= n
	return t.lineEnds(p[:n]), err
}

func (t *csvText) begin() error {
	t.begun, t.last = true, '\n'
	head, err := t.r.Peek(3)
	switch {
	case len(head) == 0 && errors.Is(err, io.EOF):
		return errEmptyFile
	case bytes.HasPrefix(head, []byte{0xef, 0xbb, 0xbf}):
		_, err := t.r.Discard(3)
		return err
	case bytes.HasPrefix(head, []byte{0xff, 0xfe}) || bytes.HasPrefix(head, []byte{0xfe, 0xff}):
		return errUTF16
	}
	return nil
}

// lineEnds turns CR LF and a lone CR into LF in place.
func (t *csvText) lineEnds(p []byte) int {
	if !t.cr && bytes.IndexByte(p, '\r') < 0 {
		return len(p)
	}
	n := 0
	for _, c := range p {
		if c == '\n' && t.cr {
			t.cr = false
			continue
		}
		t.cr = c == '\r'
		if t.cr {
			c = '\n'
		}
		p[n] = c
		n++
	}
	return n
}

// CSV takes in a CSV file. Faults of rows are recorded in the delivery; an error
// means that the file as a whole cannot be taken.
func (d *Delivery) CSV(name string, r io.Reader, m Mapping) error {
	text := &csvText{r: bufio.NewReaderSize(r, 64<<10), budget: maxCSVRecord}
	in := bufio.NewReaderSize(text, 64<<10)
	c := csv.NewReader(in)
	c.ReuseRecord, c.FieldsPerRecord = true, -1
	comma, err := delimiter(in, m)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	c.Comma = comma
	header, err := c.Read()
	if err != nil {
		return d.csvError(name, err)
	}
	t, err := newTable(d, name, append([]string(nil), header...), m)
	if err != nil {
		return err
	}
	if err := t.csvRows(c, text); err != nil {
		return d.csvError(name, err)
	}
	if text.last != '\n' && text.last != '\r' {
		d.Warn(name + ": the last line has no end; check that the file was not cut off")
	}
	return nil
}

// delimiter tells comma, semicolon and tab apart by the header.
func delimiter(in *bufio.Reader, m Mapping) (rune, error) {
	if m.Delimiter != "" {
		if m.Delimiter == `\t` {
			return '\t', nil
		}
		return []rune(m.Delimiter)[0], nil
	}
	head, err := in.Peek(32 << 10)
	if len(head) == 0 {
		return 0, err
	}
	line, _, _ := bytes.Cut(head, []byte{'\n'})
	best, most := ',', bytes.Count(line, []byte{','})
	for _, c := range [...]rune{';', '\t', '|'} {
		if n := strings.Count(string(line), string(c)); n > most {
			best, most = c, n
		}
	}
	return best, nil
}

func (t *table) csvRows(c *csv.Reader, text *csvText) error {
	columns, line := len(t.headers), 1
	for {
		row, err := c.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if errors.Is(err, errUnclosed) {
			return fmt.Errorf("line %d or after: %w", line+1, err)
		}
		if err != nil {
			return err
		}
		text.budget = maxCSVRecord
		line, _ = c.FieldPos(0)
		if len(row) != columns {
			if len(row) == 1 && trim(row[0]) == "" {
				continue
			}
			t.d.Bad(Origin{File: t.file, Line: uint32(line)}, "", fmt.Sprintf("the row has %d columns and the header %d: a column is shifted or the file is cut off", len(row), columns))
			continue
		}
		if err := t.take(row, uint32(line)); err != nil {
			return err
		}
	}
}

// csvError names file, line and column of a fault that ends the reading.
func (d *Delivery) csvError(name string, err error) error {
	var p *csv.ParseError
	switch {
	case errors.Is(err, errUnclosed):
		return fmt.Errorf("%s %w", name, err)
	case errors.As(err, &p) && p.StartLine != p.Line:
		return fmt.Errorf("%s line %d: a quote opened here is not closed until line %d, column %d, or the file is cut off (%w)", name, p.StartLine, p.Line, p.Column, p.Err)
	case errors.As(err, &p):
		return fmt.Errorf("%s line %d, column %d: %w; a quote inside a value is written twice", name, p.Line, p.Column, p.Err)
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%s: %w", name, errEmptyFile)
	}
	return fmt.Errorf("%s: %w", name, err)
}
