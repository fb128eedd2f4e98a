package desk

import (
	"context"
	"net/http"

	"tocsin.dev/pkg/web"
	"tocsin.dev/services/desk/api"
)

func (a *apiServer) GetProgress(ctx context.Context, r api.GetProgressRequestObject) (api.GetProgressResponseObject, error) {
	c, err := a.s.Case(ctx, who(ctx), r.Number)
	if err != nil {
		return nil, err
	}
	if len(c.Orders) == 0 {
		return nil, ErrNotFound
	}
	o := c.Orders[len(c.Orders)-1]
	out := api.GetProgress200JSONResponse{Order: o.Order, State: string(o.State), At: c.ChangedAt}
	if o.Tally != nil {
		out.Tally = *o.Tally
	}
	return out, nil
}

func (a *apiServer) ListMessages(context.Context, api.ListMessagesRequestObject) (api.ListMessagesResponseObject, error) {
	return nil, web.NewError(http.StatusServiceUnavailable, "unavailable", "The sender does not answer.")
}
