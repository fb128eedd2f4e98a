package desk

import (
	"context"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/seal"
	"tocsin.dev/services/desk/api"
)

func (a *apiServer) ListWording(ctx context.Context, r api.ListWordingRequestObject) (api.ListWordingResponseObject, error) {
	c, err := a.s.Case(ctx, who(ctx), r.Number)
	if err != nil {
		return nil, err
	}
	versions, err := a.s.Versions(ctx, who(ctx), r.Number)
	if err != nil {
		return nil, err
	}
	out := api.ListWording200JSONResponse{Texts: apiTexts(c), Versions: []api.Text{}}
	for _, v := range versions {
		out.Versions = append(out.Versions, apiText(v))
	}
	for _, t := range c.Tests {
		out.Tests = append(out.Tests, api.WordingTested{Audience: t.Audience, Channel: t.Channel, Language: t.Language, Digest: t.Digest,
			Test: t.Test, By: t.By, To: t.To, Failed: t.Failed, Person: t.Person, At: t.At})
	}
	return out, nil
}

func apiTexts(c *casefile.Case) []api.Text {
	out := []api.Text{}
	for _, t := range Texts(c) {
		out = append(out, apiText(*t))
	}
	return out
}

func apiText(t casefile.Text) api.Text {
	return api.Text{Key: t.TextKey, Version: t.Version, Subject: t.Subject, Body: t.Body, Digest: t.Digest,
		Writer: t.Writer, WrittenAt: t.WrittenAt, Rejected: t.Rejected}
}

func (a *apiServer) DraftWording(ctx context.Context, r api.DraftWordingRequestObject) (api.DraftWordingResponseObject, error) {
	key := event.TextKey{Audience: string(r.Audience), Channel: string(r.Channel), Language: r.Language}
	c, err := a.s.DraftWording(ctx, who(ctx), On{r.Number, r.Body.Seen, r.Params.IdempotencyKey},
		event.WordingDrafted{TextKey: key, Subject: r.Body.Subject, Body: r.Body.Body})
	if err != nil {
		return nil, err
	}
	return api.DraftWording200JSONResponse(apiText(*c.Texts[key])), nil
}

func (a *apiServer) RejectWording(ctx context.Context, r api.RejectWordingRequestObject) (api.RejectWordingResponseObject, error) {
	key := event.TextKey{Audience: string(r.Audience), Channel: string(r.Channel), Language: r.Language}
	c, err := a.s.RejectWording(ctx, who(ctx), On{r.Number, r.Body.Seen, r.Params.IdempotencyKey},
		event.WordingRejected{TextKey: key, Digest: r.Body.Digest, Reason: r.Body.Reason})
	if err != nil {
		return nil, err
	}
	return api.RejectWording200JSONResponse{ActedJSONResponse: acted(c)}, nil
}

func (a *apiServer) ListApprovals(ctx context.Context, r api.ListApprovalsRequestObject) (api.ListApprovalsResponseObject, error) {
	p, c, err := a.s.Propose(ctx, who(ctx), r.Number)
	if err != nil {
		return nil, err
	}
	return api.ListApprovals200JSONResponse{
		Proposal: api.ApprovalProposal{
			Texts: append([]api.ApprovedText{}, p.Texts...), SheetDigest: p.SheetDigest, Revision: p.Revision, ScopeDigest: p.ScopeDigest,
			People: p.People, Channels: append([]string{}, p.Channels...), Duties: append([]string{}, p.Duties...),
			ValidUntil: p.ValidUntil, Eyes: max(p.Policy.Eyes, 1), Findings: apiFindings(p.Findings), ReasonsAgainst: append([]string{}, p.Against...),
		},
		Approvals: apiApprovals(c, a.s.cfg.Now()),
	}, nil
}

func apiApprovals(c *casefile.Case, now time.Time) []api.SignedApproval {
	out := []api.SignedApproval{}
	for _, ap := range c.Approvals {
		out = append(out, apiApproval(ap.WordingApproved, c.Stale(ap.Approval, now)))
	}
	return out
}

// apiApproval shows a signed approval; void says why it no longer stands.
func apiApproval(w event.WordingApproved, void string) api.SignedApproval {
	digest, err := seal.Digest(w.Approval)
	if err != nil {
		digest, void = "", "its digest cannot be computed: "+err.Error()
	}
	return api.SignedApproval{Approval: w.Approval, Digest: digest, Key: w.Signature.Key, Signature: w.Signature.Value, Standing: void == "", Void: void}
}

func (a *apiServer) ApproveWording(ctx context.Context, r api.ApproveWordingRequestObject) (api.ApproveWordingResponseObject, error) {
	b := r.Body
	signed, err := a.s.Approve(ctx, who(ctx), On{r.Number, b.Seen, r.Params.IdempotencyKey}, Read{
		Kind: string(b.Kind), Texts: b.Texts, SheetDigest: b.SheetDigest, Revision: b.Revision, ScopeDigest: b.ScopeDigest,
		Channels: b.Channels, ValidHours: b.ValidHours,
	})
	if err != nil {
		return nil, err
	}
	return api.ApproveWording201JSONResponse(apiApproval(signed, "")), nil
}
