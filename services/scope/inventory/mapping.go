package inventory

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
)

// SaveMapping keeps how a source names and writes its columns.
func (s *Store) SaveMapping(ctx context.Context, org, source string, m Mapping) error {
	if err := s.create(ctx, org); err != nil {
		return err
	}
	text, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("save mapping %s: %w", source, err)
	}
	_, err = s.db.ExecContext(ctx, `INSERT INTO mapping (inventory, source, body) SELECT id, $2, $3 FROM inventory WHERE org = $1
		ON CONFLICT (inventory, source) DO UPDATE SET body = excluded.body`, org, source, string(text))
	if err != nil {
		return fmt.Errorf("save mapping %s: %w", source, err)
	}
	return nil
}

// Mapping returns the saved mapping of a source.
func (s *Store) Mapping(ctx context.Context, org, source string) (Mapping, error) {
	var m Mapping
	var text string
	err := s.db.QueryRowContext(ctx, `SELECT m.body FROM mapping m JOIN inventory i ON i.id = m.inventory WHERE i.org = $1 AND m.source = $2`, org, source).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return m, fmt.Errorf("no mapping is saved for source %q of %s", source, org)
	}
	if err == nil {
		err = json.Unmarshal([]byte(text), &m)
	}
	if err != nil {
		return m, fmt.Errorf("mapping %s: %w", source, err)
	}
	return m, nil
}
