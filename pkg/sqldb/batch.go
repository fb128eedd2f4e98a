package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// rowsPerStatement is where both engines write fastest (see BenchmarkBatch).
const rowsPerStatement = 100

// Batch is a statement that takes many rows of values at once:
//
//	Batch{"INSERT INTO notice (id, state) VALUES", "(?, ?)", "ON CONFLICT DO NOTHING"}
//	Batch{"WITH v (id, state) AS (VALUES", "(CAST(? AS BIGINT), CAST(? AS INTEGER))",
//		") UPDATE notice SET state = v.state FROM v WHERE notice.id = v.id"}
//
// Row has a ? for every value, and no other ?. This is the only place for ?
// and the reason is speed: SQLite looks numbered parameters up one by one, so
// a thousand rows with $n take fifty times longer than with ?; PostgreSQL
// knows only $n. Before and After hold no parameters.
type Batch struct{ Before, Row, After string }

// Exec runs the batch over n rows, some at a time, and returns how many rows
// were affected. row appends the values of row i to args.
func (b Batch) Exec(ctx context.Context, db *DB, tx *sql.Tx, n int, row func(i int, args []any) []any) (int64, error) {
	width := strings.Count(b.Row, "?")
	if width == 0 {
		return 0, errors.New("batch: the row has no ? for a value")
	}
	var (
		affected int64
		args     = make([]any, 0, width*min(n, rowsPerStatement))
		stmt     *sql.Stmt
		prepared int // rows that stmt takes
	)
	defer func() {
		if stmt != nil {
			_ = stmt.Close() // ends with the transaction anyhow
		}
	}()
	for from := 0; from < n; from += rowsPerStatement {
		rows := min(n-from, rowsPerStatement)
		if rows != prepared {
			if stmt != nil {
				_ = stmt.Close()
			}
			var err error
			if stmt, err = tx.PrepareContext(ctx, b.text(db.Engine, rows)); err != nil {
				return affected, fmt.Errorf("prepare batch: %w", err)
			}
			prepared = rows
		}
		args = args[:0]
		for i := from; i < from+rows; i++ {
			args = row(i, args)
			if len(args) != (i-from+1)*width {
				return affected, fmt.Errorf("batch: row %d has %d values and not %d", i, len(args)-(i-from)*width, width)
			}
		}
		result, err := stmt.ExecContext(ctx, args...)
		if err != nil {
			return affected, fmt.Errorf("rows %d to %d: %w", from, from+rows-1, err)
		}
		count, err := result.RowsAffected()
		if err != nil {
			return affected, fmt.Errorf("count rows: %w", err)
		}
		affected += count
	}
	return affected, nil
}

// text writes the statement for a number of rows.
func (b Batch) text(engine Engine, rows int) string {
	parts := strings.Split(b.Row, "?")
	var s strings.Builder
	s.Grow(len(b.Before) + len(b.After) + rows*(len(b.Row)+3*len(parts)))
	s.WriteString(b.Before)
	parameter := 0
	for r := range rows {
		s.WriteByte(" ,"[min(r, 1)])
		for i, part := range parts {
			if i > 0 {
				parameter++
				if engine == PostgreSQL {
					s.WriteByte('$')
					s.WriteString(strconv.Itoa(parameter))
				} else {
					s.WriteByte('?')
				}
			}
			s.WriteString(part)
		}
	}
	s.WriteByte(' ')
	s.WriteString(b.After)
	return s.String()
}
