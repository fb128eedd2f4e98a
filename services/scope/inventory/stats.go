package inventory

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"tocsin.dev/pkg/event"
)

// Inventory lists the systems and datasets of an organisation. An organisation
// for which nothing was imported yet has an empty one.
func (s *Store) Inventory(ctx context.Context, org string) (event.InventoryAnswer, error) {
	answer := event.InventoryAnswer{Org: org, Systems: []event.InventorySystem{}}
	err := s.read(ctx, func(tx *sql.Tx) error {
		h, err := s.readHead(ctx, tx, org)
		if errors.Is(err, ErrNoInventory) {
			return nil
		}
		if err != nil {
			return err
		}
		answer.Generation = h.generation
		if err := s.countPeople(ctx, tx, h, &answer); err != nil {
			return err
		}
		systems, err := readSystems(ctx, tx, h)
		if err != nil {
			return err
		}
		datasets, err := readDatasets(ctx, tx, h)
		if err != nil {
			return err
		}
		answer.Systems = catalogue(systems, datasets)
		return nil
	})
	if err != nil {
		return answer, fmt.Errorf("inventory of %s: %w", org, err)
	}
	return answer, nil
}

func (s *Store) countPeople(ctx context.Context, tx *sql.Tx, h head, answer *event.InventoryAnswer) error {
	var busy string
	var until int64
	if err := tx.QueryRowContext(ctx, `SELECT busy_by, busy_until FROM inventory WHERE id = $1`, h.id).Scan(&busy, &until); err != nil {
		return err
	}
	if busy != "" && until > s.cfg.Now().UnixMilli() {
		answer.Busy = busy
	}
	var erased int64
	if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM tombstone WHERE inventory = $1`, h.id).Scan(&erased); err != nil {
		return err
	}
	var joined int64
	err := readSegments(ctx, tx, h, segAliases, 0, 0, 1<<16, func(_ int64, body []byte) error {
		joined += int64(len(body) / aliasSize)
		return nil
	})
	answer.Erased, answer.People = erased, int64(h.people)-joined-erased
	return err
}

// catalogue groups datasets by system; a system that only datasets name is shown by its key.
func catalogue(systems []System, datasets []datasetRow) []event.InventorySystem {
	out := make([]event.InventorySystem, 0, len(systems))
	place := map[string]int{}
	for _, s := range systems {
		place[s.Key] = len(out)
		out = append(out, event.InventorySystem{Key: s.Key, Name: s.Name, Note: s.Note, Datasets: []event.InventoryDataset{}})
	}
	for _, d := range datasets {
		i, known := place[d.System]
		if !known {
			i = len(out)
			place[d.System] = i
			out = append(out, event.InventorySystem{Key: d.System, Name: d.System})
		}
		out[i].Datasets = append(out[i].Datasets, event.InventoryDataset{
			Key: d.Key, Name: d.Name, Categories: d.Categories.Keys(), Purpose: d.Purpose, RetentionMonths: d.RetentionMonths,
			Role: d.Role, Controller: d.Controller, Medium: d.Medium, Records: d.records, FirstSeen: instantOf(d.first), LastSeen: instantOf(d.last),
		})
	}
	return out
}

// instantOf turns a column's instant into a time; ever and still are nil.
func instantOf(sec uint32) *time.Time {
	if sec == 0 || sec == stillHeld {
		return nil
	}
	t := time.Unix(int64(sec), 0).UTC()
	return &t
}

// rowCount reads the number of rows at the head of a holdings segment.
func rowCount(head []byte) int64 {
	if len(head) < 4 {
		return 0
	}
	return int64(binary.LittleEndian.Uint32(head))
}
