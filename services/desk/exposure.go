package desk

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
)

// maxExposures bounds one statement.
const maxExposures = 100

// StateExposure says what was exposed; scope then seals the list of people.
func (s *Service) StateExposure(ctx context.Context, who User, on On, x event.ExposureStated) (*casefile.Case, error) {
	return s.perform(ctx, act{
		who: who, on: on, roles: mayDeclare,
		matters: anyOf(event.TypeExposureStated),
		decide: func(c *casefile.Case, _ event.Actor, now time.Time) ([]event.Body, error) {
			if err := open(c); err != nil {
				return nil, err
			}
			x, err := checkExposure(x, now)
			if err != nil {
				return nil, err
			}
			if c.Exposure != nil && reflect.DeepEqual(c.Exposure.ExposureStated, x) {
				return nil, nil
			}
			return []event.Body{x}, nil
		},
	})
}

func checkExposure(x event.ExposureStated, now time.Time) (event.ExposureStated, error) {
	bad := &Invalid{}
	x.Note = strings.TrimSpace(x.Note)
	checkLength(bad, "note", x.Note, 0, maxLine, "")
	if len(x.Exposures) == 0 {
		bad.add("exposures", "Choose at least one dataset")
	}
	if len(x.Exposures) > maxExposures {
		bad.add("exposures", "At most %d datasets in one statement", maxExposures)
		return x, bad
	}
	checked := make([]event.Exposure, len(x.Exposures))
	for i, e := range x.Exposures {
		at := func(field string) string { return fmt.Sprintf("exposures[%d].%s", i, field) }
		if e.Dataset == "" || len(e.Dataset) > 100 {
			bad.add(at("dataset"), "Choose a dataset of the inventory")
		}
		switch {
		case e.From.IsZero():
			bad.add(at("from"), "Say from when the data were exposed")
		case e.To.IsZero():
			bad.add(at("to"), "Say until when the data were exposed")
		case !e.To.After(e.From):
			bad.add(at("to"), "The end of the window must be after its start")
		case e.From.After(now):
			bad.add(at("from"), "The window cannot begin in the future")
		}
		if !slices.Contains([]string{"", "proven", "in_system", "possible"}, e.Ring) {
			bad.add(at("ring"), "Choose proven, in_system or possible")
		}
		if !slices.Contains([]string{"", "hashed", "encrypted_key_safe", "encrypted_key_lost"}, e.Protection) {
			bad.add(at("protection"), "Choose hashed, encrypted_key_safe or encrypted_key_lost, or leave it out for plain data")
		}
		e.From, e.To = e.From.UTC(), e.To.UTC()
		e.Categories = checkCategories(bad, at("categories"), e.Categories)
		checked[i] = e
	}
	x.Exposures = checked
	return x, bad.or()
}
