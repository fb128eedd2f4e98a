package inventory

import (
	"context"
	"database/sql"
	"errors"
)

// prepared is a querier that prepares every text once, for those who ask the
// same of every chunk. Its user closes it. The texts are those of this package.
type prepared struct {
	tx    *sql.Tx
	texts map[string]*sql.Stmt
}

func prepare(tx *sql.Tx) *prepared { return &prepared{tx: tx, texts: map[string]*sql.Stmt{}} }

func (p *prepared) statement(ctx context.Context, query string) (*sql.Stmt, error) {
	if s := p.texts[query]; s != nil {
		return s, nil
	}
	s, err := p.tx.PrepareContext(ctx, query) //nolint:gosec // G701: see above
	if err == nil {
		p.texts[query] = s
	}
	return s, err
}

// QueryContext implements querier.
func (p *prepared) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	s, err := p.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...)
}

// QueryRowContext implements querier.
func (p *prepared) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	s, err := p.statement(ctx, query)
	if err != nil {
		return p.tx.QueryRowContext(ctx, query, args...) //nolint:gosec // G701: see above; it fails alike
	}
	return s.QueryRowContext(ctx, args...)
}

// ExecContext is that of the transaction.
func (p *prepared) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	s, err := p.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(ctx, args...)
}

func (p *prepared) close() error {
	var err error
	for _, s := range p.texts {
		err = errors.Join(err, s.Close())
	}
	return err
}
