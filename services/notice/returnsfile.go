package notice

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"tocsin.dev/pkg/event"
)

// returnsFile is a file of returns, read and not yet held against the ledger.
type returnsFile struct {
	kind   string // "outcomes" or "proof"
	lines  []returned
	faults []event.ReturnsFault
}

// returned is one line: what became of a letter, or the proof of a whole file.
type returned struct {
	line          int
	code, outcome string
	file, batch   string
	count         int64
	at            time.Time // zero if the line gives none
}

// mostFaults bounds the faults of one answer; a file with so many is the wrong one.
const mostFaults = 50

func (f *returnsFile) bad(line int, column, format string, args ...any) {
	if len(f.faults) < mostFaults {
		f.faults = append(f.faults, event.ReturnsFault{Line: line, Column: column, Message: fmt.Sprintf(format, args...)})
	}
}

// readReturns reads a file of returns. What it is about is told from its header.
func readReturns(text string, now time.Time) *returnsFile {
	f := &returnsFile{}
	text = strings.TrimPrefix(text, "\ufeff")
	head, _, _ := strings.Cut(text, "\n")
	r := csv.NewReader(strings.NewReader(text))
	r.FieldsPerRecord = -1
	for _, c := range []rune{';', '\t'} {
		if strings.Count(head, string(c)) > strings.Count(head, string(r.Comma)) {
			r.Comma = c
		}
	}
	header, err := r.Read()
	if err != nil {
		f.bad(1, "", "the file has no header")
		return f
	}
	at := map[string]int{}
	for i, name := range header {
		at[strings.ToLower(strings.TrimSpace(name))] = i
	}
	has := func(names ...string) bool {
		return !slices.ContainsFunc(names, func(n string) bool { _, ok := at[n]; return !ok })
	}
	switch {
	case has("code", "outcome"):
		f.kind = "outcomes"
	case has("file", "count", "posted_at"):
		f.kind = "proof"
	default:
		f.bad(1, "", "the header names neither code and outcome, nor file, count and posted_at")
		return f
	}
	f.rows(r, at, len(header), now)
	return f
}

func (f *returnsFile) rows(r *csv.Reader, at map[string]int, columns int, now time.Time) {
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		var wrong *csv.ParseError
		if errors.As(err, &wrong) {
			f.bad(wrong.Line, "", "%v at column %d; a quote inside a value is written twice", wrong.Err, wrong.Column)
			return
		}
		line, _ := r.FieldPos(0)
		if len(row) != columns {
			f.bad(line, "", "the line has %d columns and the header %d: a column is shifted or the file is cut off", len(row), columns)
			continue
		}
		value := func(name string) string {
			if i, ok := at[name]; ok {
				return strings.TrimSpace(row[i])
			}
			return ""
		}
		f.take(line, value, now)
	}
	if len(f.lines) == 0 && len(f.faults) == 0 {
		f.bad(1, "", "the file has a header and no lines")
	}
}

func (f *returnsFile) take(line int, value func(string) string, now time.Time) {
	one := returned{line: line, code: strings.ToUpper(value("code")), outcome: value("outcome"), file: value("file"), batch: value("batch")}
	when := "at"
	if f.kind == "proof" {
		when = "posted_at"
		n, err := strconv.ParseInt(value("count"), 10, 64)
		if err != nil || n <= 0 {
			f.bad(line, "count", "the count is not a number above zero")
			return
		}
		one.count = n
		if len(one.batch) > 100 {
			f.bad(line, "batch", "the batch is longer than 100 characters")
			return
		}
	}
	var ok bool
	if one.at, ok = instantOf(value(when), now); !ok || one.at.IsZero() && f.kind == "proof" {
		f.bad(line, when, "write the time as 2026-03-31T14:05:00Z or the day as 2026-03-31; it cannot lie ahead of now")
		return
	}
	f.lines = append(f.lines, one)
}

// instantOf reads an instant, or a day, which means its end; nothing is the zero instant.
func instantOf(s string, now time.Time) (time.Time, bool) {
	if s == "" {
		return time.Time{}, true
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t.UTC(), !t.After(now.Add(time.Minute))
	}
	day, err := time.Parse(time.DateOnly, s)
	if err != nil || day.After(now) {
		return time.Time{}, false
	}
	if end := day.Add(24*time.Hour - time.Second); end.Before(now) {
		return end, true
	}
	return now.UTC(), true
}
