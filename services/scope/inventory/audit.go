package inventory

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"time"

	"tocsin.dev/pkg/event"
)

// audited is one act on people's data. It holds no personal data itself.
type audited struct {
	actor, act, caseID string
	people             int64
	detail             string
}

func (s *Store) audit(ctx context.Context, org string, a audited) error {
	err := s.db.Tx(ctx, func(tx *sql.Tx) error {
		h, err := s.readHead(ctx, tx, org)
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
func (s *Store) Audit(ctx context.Context, org string, limit int) ([]event.AuditEntry, error) {
	a, err := s.AuditPage(ctx, event.AuditQuestion{Org: org, Everything: true, Limit: limit})
	return a.Entries, err
}

// maxAuditPage bounds one page of the audit.
const maxAuditPage = 10_000

// AuditPage returns one page of the audit, newest first.
func (s *Store) AuditPage(ctx context.Context, q event.AuditQuestion) (event.AuditAnswer, error) {
	answer := event.AuditAnswer{Entries: []event.AuditEntry{}}
	from, err := parseAuditPlace(q.After)
	if err != nil {
		return answer, err
	}
	limit := min(max(q.Limit, 1), maxAuditPage)
	batches := ""
	if q.Everything {
		batches = "contacts"
	}
	// One more than asked for shows whether there is a next page.
	rows, err := s.db.QueryContext(ctx, `SELECT a.at, a.actor, a.act, a.case_id, a.people, a.detail FROM audit a JOIN inventory i ON i.id = a.inventory
		WHERE i.org = $1 AND a.at <= $2 AND ($3 = '' OR a.case_id = $3) AND (a.act <> 'contacts' OR a.act = $4)
		ORDER BY a.at DESC, a.actor, a.act, a.case_id, a.people, a.detail LIMIT $5`, q.Org, from.at, q.Case, batches, from.skip+limit+1)
	if err != nil {
		return answer, fmt.Errorf("read audit of %s: %w", q.Org, err)
	}
	last, seen := auditPlace{}, 0
	err = scanAll(rows, func() error {
		var e event.AuditEntry
		var at int64
		if err := rows.Scan(&at, &e.Actor, &e.Act, &e.Case, &e.People, &e.Detail); err != nil {
			return err
		}
		seen++
		switch {
		case seen <= from.skip:
		case len(answer.Entries) == limit:
			answer.Next = last.String()
		default:
			e.At = time.UnixMilli(at).UTC()
			answer.Entries = append(answer.Entries, e)
		}
		if at != last.at {
			last = auditPlace{at: at}
		}
		last.skip++
		return nil
	})
	return answer, err
}

// auditPlace is where a page ends: after skip entries of the instant at.
type auditPlace struct {
	at   int64
	skip int
}

func (p auditPlace) String() string { return fmt.Sprintf("%d-%d", p.at, p.skip) }

func parseAuditPlace(s string) (auditPlace, error) {
	p := auditPlace{at: math.MaxInt64}
	if s == "" {
		return p, nil
	}
	if n, err := fmt.Sscanf(s, "%d-%d", &p.at, &p.skip); err != nil || n != 2 || p.skip < 0 || p.skip > maxAuditPage {
		return p, fmt.Errorf("%w: there is no such page of the audit", ErrAsked)
	}
	return p, nil
}
