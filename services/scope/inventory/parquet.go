package inventory

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// parquetFile takes in a Parquet file: columns are named by their path with
// dots, lists are joined by spaces. parquet-go is pure Go and reads row by row.
func parquetFile(ctx context.Context, d *Delivery, name string, f *os.File, digest io.Writer, m Mapping) error {
	if _, err := io.Copy(digest, f); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	file, err := parquet.OpenFile(f, info.Size())
	if err != nil {
		return fmt.Errorf("%s: not a whole Parquet file: %w", name, err)
	}
	p := &parquetTable{}
	for _, path := range file.Schema().Columns() {
		leaf, _ := file.Schema().Lookup(path...)
		p.headers = append(p.headers, parquetName(path))
		p.text = append(p.text, textOf(leaf.Node))
	}
	if p.table, err = newTable(d, name, p.headers, m); err != nil {
		return err
	}
	for _, group := range file.RowGroups() {
		if err := p.group(ctx, group); err != nil {
			return fmt.Errorf("%s after row %d: %w", name, p.line, err)
		}
	}
	return nil
}

// parquetName leaves out the levels that only make a list.
func parquetName(path []string) string {
	var parts []string
	for i, p := range path {
		if i > 0 && (p == "list" || p == "element" || p == "array") {
			continue
		}
		parts = append(parts, p)
	}
	return strings.Join(parts, ".")
}

type parquetTable struct {
	table   *table
	headers []string
	text    []func(parquet.Value) string
	line    uint32
}

func (p *parquetTable) group(ctx context.Context, group parquet.RowGroup) (err error) {
	rows := group.Rows()
	defer func() { err = errors.Join(err, rows.Close()) }()
	buf := make([]parquet.Row, 256)
	fields := make([]string, len(p.headers))
	for {
		n, err := rows.ReadRows(buf)
		for _, row := range buf[:n] {
			p.line++
			clear(fields)
			for _, v := range row {
				if v.IsNull() {
					continue
				}
				c := v.Column()
				if fields[c] != "" {
					fields[c] += " "
				}
				fields[c] += p.text[c](v)
			}
			if err := p.table.take(fields, p.line); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return ctx.Err()
		}
		if err != nil {
			return err
		}
		if n == 0 {
			return errors.New("the file ends in the middle of a row group")
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// textOf returns how values of a column are written as text.
func textOf(node parquet.Node) func(parquet.Value) string {
	logical := node.Type().LogicalType()
	if logical == nil {
		return parquet.Value.String
	}
	switch l := logical.Value.(type) {
	case *format.DateType:
		return func(v parquet.Value) string { return time.Unix(int64(v.Int32())*86400, 0).UTC().Format(time.DateOnly) }
	case *format.TimestampType:
		unit := int64(l.Unit.Value.Duration())
		per := int64(time.Second) / unit
		return func(v parquet.Value) string {
			return time.Unix(v.Int64()/per, v.Int64()%per*unit).UTC().Format(time.RFC3339)
		}
	}
	return parquet.Value.String
}
