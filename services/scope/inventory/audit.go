package inventory

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// audited is one act on people's data. It holds no personal data itself.
type audited struct {
	actor, act, caseID string
	people             int64
	detail             string
}

// AuditEntry is an entry of the audit.
type AuditEntry struct {
	At     time.Time `json:"at"`
	Actor  string    `json:"actor"`
	Act    string    `json:"act"`
	Case   string    `json:"case,omitempty"`
	People int64     `json:"people"`
	Detail string    `json:"detail,omitempty"`
}

func (s *Store) audit(ctx context.Context, org string, a audited) error {
	err := s.db.Tx(ctx, func(tx *sql.Tx) error {
		h, err := readHead(ctx, tx, org)
		if err != nil {
			return err
		}
		return insertAudit(ctx, tx, h.id, s.cfg.Now(), a)
	})
	if err != nil {
		return fmt.Errorf("write audit of %s: %w", org, err)
	}
	return nil
}

func insertAudit(ctx context.Context, tx *sql.Tx, inventory int64, at time.Time, a audited) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO audit (inventory, at, actor, act, case_id, people, detail) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		inventory, at.UnixMilli(), a.actor, a.act, a.caseID, a.people, a.detail)
	return err
}

// Audit returns the newest entries of an organisation, newest first.
func (s *Store) Audit(ctx context.Context, org string, limit int) ([]AuditEntry, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT a.at, a.actor, a.act, a.case_id, a.people, a.detail FROM audit a JOIN inventory i ON i.id = a.inventory
		WHERE i.org = $1 ORDER BY a.at DESC LIMIT $2`, org, min(max(limit, 1), 10_000))
	if err != nil {
		return nil, fmt.Errorf("read audit of %s: %w", org, err)
	}
	var all []AuditEntry
	err = scanAll(rows, func() error {
		var e AuditEntry
		var at int64
		err := rows.Scan(&at, &e.Actor, &e.Act, &e.Case, &e.People, &e.Detail)
		e.At = time.UnixMilli(at).UTC()
		all = append(all, e)
		return err
	})
	return all, err
}
