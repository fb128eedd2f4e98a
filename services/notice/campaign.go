package notice

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
)

// campaign is one kind of notice of one case.
type campaign struct {
	id       int64
	org      string
	caseID   string
	kind     string
	revision int

	mu   sync.Mutex // guards mark
	mark *marker
}

// campaignsKnown caches campaigns for ever: there are few and they never change.
type campaignsKnown struct {
	mu  sync.Mutex
	all map[int64]*campaign
}

func (s *Service) campaign(ctx context.Context, id int64) (*campaign, error) {
	s.campaigns.mu.Lock()
	defer s.campaigns.mu.Unlock()
	if c := s.campaigns.all[id]; c != nil {
		return c, nil
	}
	c := &campaign{id: id}
	err := s.store.db.QueryRowContext(ctx, `SELECT org, case_id, kind, revision FROM campaign WHERE id=$1`, id).Scan(&c.org, &c.caseID, &c.kind, &c.revision)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read campaign %d: %w", id, err)
	}
	if s.campaigns.all == nil {
		s.campaigns.all = map[int64]*campaign{}
	}
	c.mark = s.secrets.marker(c.org, c.caseID, c.kind, c.revision)
	s.campaigns.all[id] = c
	return c, nil
}
