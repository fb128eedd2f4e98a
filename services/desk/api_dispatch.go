package desk

import (
	"context"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/services/desk/api"
)

func (a *apiServer) CheckDispatch(ctx context.Context, r api.CheckDispatchRequestObject) (api.CheckDispatchResponseObject, error) {
	d, c, err := a.s.CheckDispatch(ctx, who(ctx), r.Number)
	if err != nil {
		return nil, err
	}
	out := api.CheckDispatch200JSONResponse{
		Ready: d.Ready(), Preconditions: []api.Precondition{}, Revision: d.Revision, ScopeDigest: d.ScopeDigest, People: d.People,
		Channels: d.Channels, Unreachable: d.Unreachable, Substitute: d.Substitute(), Confirm: d.Confirm, Canaries: d.Canaries, Orders: apiOrders(c),
	}
	if d.Approval != nil {
		out.Approval = d.Approval.ID
	}
	for _, p := range d.Preconditions {
		out.Preconditions = append(out.Preconditions, api.Precondition{Name: p.Name, Holds: p.Holds, Text: p.Text})
	}
	return out, nil
}

func apiOrders(c *casefile.Case) []api.Order {
	out := []api.Order{}
	for _, o := range c.Orders {
		out = append(out, apiOrder(o))
	}
	return out
}

func apiOrder(o *casefile.Order) api.Order {
	out := api.Order{
		Order: o.Order, Kind: o.Kind, Approval: o.Approval, Revision: o.Revision, Channels: o.Channels, State: api.OrderState(o.State),
		Stopped: o.Stopped, OrderedBy: o.OrderedBy, OrderedAt: o.OrderedAt, NotBefore: instantOf(o.NotBefore), EndedAt: o.EndedAt,
	}
	if o.Tally != nil {
		out.Tally = o.Tally
	}
	if o.Refused != nil {
		out.Refused, out.RefusedDetail = o.Refused.Reason, o.Refused.Detail
	}
	if o.Blocked != nil {
		out.Blocked, out.BlockedDetail = o.Blocked.Reason, o.Blocked.Detail
	}
	return out
}

func (a *apiServer) OrderDispatch(ctx context.Context, r api.OrderDispatchRequestObject) (api.OrderDispatchResponseObject, error) {
	b := r.Body
	o, err := a.s.OrderDispatch(ctx, who(ctx), On{r.Number, b.Seen, r.Params.IdempotencyKey},
		Order{Kind: string(b.Kind), Approval: b.Approval, Confirm: b.Confirm})
	if err != nil {
		return nil, err
	}
	return api.OrderDispatch201JSONResponse(apiOrder(o)), nil
}

func (a *apiServer) PauseDispatch(ctx context.Context, r api.PauseDispatchRequestObject) (api.PauseDispatchResponseObject, error) {
	c, err := a.s.PauseDispatch(ctx, who(ctx), On{r.Number, r.Body.Seen, r.Params.IdempotencyKey}, r.Order, r.Body.Reason)
	if err != nil {
		return nil, err
	}
	return api.PauseDispatch200JSONResponse{ActedJSONResponse: acted(c)}, nil
}

func (a *apiServer) ResumeDispatch(ctx context.Context, r api.ResumeDispatchRequestObject) (api.ResumeDispatchResponseObject, error) {
	c, err := a.s.ResumeDispatch(ctx, who(ctx), On{r.Number, r.Body.Seen, r.Params.IdempotencyKey}, r.Order, r.Body.Reason)
	if err != nil {
		return nil, err
	}
	return api.ResumeDispatch200JSONResponse{ActedJSONResponse: acted(c)}, nil
}

func (a *apiServer) StopDispatch(ctx context.Context, r api.StopDispatchRequestObject) (api.StopDispatchResponseObject, error) {
	c, err := a.s.StopDispatch(ctx, who(ctx), On{r.Number, r.Body.Seen, r.Params.IdempotencyKey}, r.Order, r.Body.Reason)
	if err != nil {
		return nil, err
	}
	return api.StopDispatch200JSONResponse{ActedJSONResponse: acted(c)}, nil
}
