package desk

import (
	"context"

	"tocsin.dev/pkg/event"
	"tocsin.dev/services/desk/api"
)

func (a *apiServer) CommentWording(ctx context.Context, r api.CommentWordingRequestObject) (api.CommentWordingResponseObject, error) {
	key := event.TextKey{Audience: string(r.Audience), Channel: string(r.Channel), Language: r.Language}
	c, err := a.s.CommentWording(ctx, who(ctx), On{r.Number, r.Body.Seen, r.Params.IdempotencyKey},
		event.WordingCommented{TextKey: key, Digest: r.Body.Digest, Passage: r.Body.Passage, Comment: r.Body.Comment})
	if err != nil {
		return nil, err
	}
	return api.CommentWording200JSONResponse{ActedJSONResponse: acted(c)}, nil
}

func (a *apiServer) OverrideCheck(ctx context.Context, r api.OverrideCheckRequestObject) (api.OverrideCheckResponseObject, error) {
	b := r.Body
	o := event.CheckOverridden{TextKey: event.TextKey{Audience: b.Audience, Channel: b.Channel, Language: b.Language}, Check: b.Check, Reason: b.Reason}
	c, err := a.s.OverrideCheck(ctx, who(ctx), On{r.Number, b.Seen, r.Params.IdempotencyKey}, o)
	if err != nil {
		return nil, err
	}
	return api.OverrideCheck200JSONResponse{ActedJSONResponse: acted(c)}, nil
}

func (a *apiServer) RevokeApproval(ctx context.Context, r api.RevokeApprovalRequestObject) (api.RevokeApprovalResponseObject, error) {
	c, err := a.s.RevokeApproval(ctx, who(ctx), On{r.Number, r.Body.Seen, r.Params.IdempotencyKey},
		event.ApprovalRevoked{Approval: r.Approval, Reason: r.Body.Reason})
	if err != nil {
		return nil, err
	}
	return api.RevokeApproval200JSONResponse{ActedJSONResponse: acted(c)}, nil
}

func (a *apiServer) AcknowledgeDuty(ctx context.Context, r api.AcknowledgeDutyRequestObject) (api.AcknowledgeDutyResponseObject, error) {
	c, err := a.s.AcknowledgeDuty(ctx, who(ctx), On{r.Number, r.Body.Seen, r.Params.IdempotencyKey}, event.DutyAcknowledged{Duty: r.Duty, Note: r.Body.Note})
	if err != nil {
		return nil, err
	}
	return api.AcknowledgeDuty200JSONResponse{ActedJSONResponse: acted(c)}, nil
}
