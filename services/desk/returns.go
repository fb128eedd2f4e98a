package desk

import (
	"context"
	"fmt"
	"time"

	"tocsin.dev/pkg/event"
	"tocsin.dev/services/desk/api"
)

// Returns hands a file of returns to the sender: what became of letters and
// faxes, or the proof that they were posted. Faults come back as fields of an
// Invalid, named by line and column, and nothing was changed then.
func (s *Service) Returns(ctx context.Context, who User, number, text string, dryRun bool) (event.ReturnsAnswer, error) {
	actor, err := mayAct(who, maySettle)
	if err != nil {
		return event.ReturnsAnswer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, 50*time.Second) // thousands of people may go to their next channel
	defer cancel()
	a, err := askSender[event.ReturnsQuestion, event.ReturnsAnswer](ctx, s, who, number, event.AskReturns,
		event.ReturnsQuestion{Org: who.Org, Case: number, Asker: actor, Text: text, DryRun: dryRun})
	if err != nil {
		return a, err
	}
	bad := &Invalid{}
	for _, f := range a.Faults {
		at := fmt.Sprintf("line %d", f.Line)
		if f.Column != "" {
			at += ", " + f.Column
		}
		bad.add(at, "%s", f.Message)
	}
	return a, bad.or()
}

func (a *apiServer) TakeReturns(ctx context.Context, r api.TakeReturnsRequestObject) (api.TakeReturnsResponseObject, error) {
	out, err := a.s.Returns(ctx, who(ctx), r.Number, r.Body.Text, r.Body.DryRun)
	if err != nil {
		return nil, err
	}
	return api.TakeReturns200JSONResponse(out), nil
}
