package desk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/event"
	"tocsin.dev/services/desk/api"
)

// DeadLetters lists parked messages, newest first. An administrator sees those
// of the own organisation; one of the installation sees all.
func (s *Service) DeadLetters(ctx context.Context, who User) ([]bus.DeadLetter, error) {
	if _, err := mayAct(who, []Role{Admin}); err != nil {
		return nil, err
	}
	all, err := s.cfg.Bus.DeadLetters(ctx)
	if err != nil {
		return nil, fmt.Errorf("list dead letters: %w", err)
	}
	all = slices.DeleteFunc(all, func(d bus.DeadLetter) bool { return !who.Installation && letterOrg(d) != who.Org })
	slices.Reverse(all)
	return all, nil
}

// RetryDeadLetter hands a parked message to its handler again.
func (s *Service) RetryDeadLetter(ctx context.Context, who User, seq uint64) error {
	if _, err := mayAct(who, []Role{Admin}); err != nil {
		return err
	}
	d, err := s.cfg.Bus.Show(ctx, seq)
	if errors.Is(err, bus.ErrNoDeadLetter) || (err == nil && !who.Installation && letterOrg(d) != who.Org) {
		return fmt.Errorf("dead letter %d: %w", seq, ErrNotFound)
	}
	if err != nil {
		return fmt.Errorf("show dead letter %d: %w", seq, err)
	}
	if err := s.cfg.Bus.Retry(ctx, seq); err != nil {
		return asked("dead letter", err)
	}
	return nil
}

// letter is a parked message.
type letter = bus.DeadLetter

func letterID(d letter) string { return strconv.FormatUint(d.Seq, 10) }

// letterOrg returns the organisation that a parked message belongs to, or "".
func letterOrg(d bus.DeadLetter) string {
	if org, _, _, err := event.ParseSubject(d.Subject); err == nil {
		return org
	}
	var payload struct {
		Org string `json:"org"`
	}
	if json.Unmarshal(d.Payload, &payload) != nil {
		return ""
	}
	return payload.Org
}

func (a *apiServer) ListDeadLetters(ctx context.Context, r api.ListDeadLettersRequestObject) (api.ListDeadLettersResponseObject, error) {
	all, err := a.s.DeadLetters(ctx, who(ctx))
	if err != nil {
		return nil, err
	}
	all, next := page(all, letterID, r.Params.Cursor, r.Params.Limit)
	out := api.ListDeadLetters200JSONResponse{Letters: []api.DeadLetter{}, Next: next}
	for _, d := range all {
		out.Letters = append(out.Letters, api.DeadLetter{Seq: d.Seq, Handler: d.Handler, Subject: d.Subject, Reason: d.Reason, Deliveries: d.Deliveries, At: d.At})
	}
	return out, nil
}

func (a *apiServer) RetryDeadLetter(ctx context.Context, r api.RetryDeadLetterRequestObject) (api.RetryDeadLetterResponseObject, error) {
	if err := a.s.RetryDeadLetter(ctx, who(ctx), uint64(max(r.Seq, 0))); err != nil {
		return nil, err
	}
	return api.RetryDeadLetter204Response{}, nil
}
