package desk

import (
	"bytes"
	"context"

	"tocsin.dev/pkg/approval"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/person"
	"tocsin.dev/pkg/wording"
	"tocsin.dev/services/desk/api"
)

func (a *apiServer) CheckWording(ctx context.Context, r api.CheckWordingRequestObject) (api.CheckWordingResponseObject, error) {
	p, _, err := a.s.Propose(ctx, who(ctx), r.Number)
	if err != nil {
		return nil, err
	}
	out := api.WordingCheck{Findings: apiFindings(p.Findings), List: event.WordingAnswer{Texts: []event.ApprovedText{}}}
	for _, f := range p.Findings {
		out.Blocked = out.Blocked || f.Blocks
	}
	if p.Revision > 0 && len(p.Texts) > 0 {
		if out.List, err = a.s.Survey(ctx, who(ctx), r.Number, surveyWait); err != nil {
			return nil, err
		}
		out.List.Texts = append([]event.ApprovedText{}, out.List.Texts...)
	}
	return api.CheckWording200JSONResponse(out), nil
}

func apiFindings(all []wording.Finding) []api.Finding {
	out := []api.Finding{}
	for _, f := range all {
		x := api.Finding{Check: f.Check, Blocks: f.Blocks, Overridable: f.Overridable, Message: f.Message, People: f.People}
		for _, n := range f.Numbers {
			x.Numbers = append(x.Numbers, int64(n))
		}
		if f.Text != (event.TextKey{}) {
			x.Text = f.Text.String()
		}
		out = append(out, x)
	}
	return out
}

func (a *apiServer) PreviewNotice(ctx context.Context, r api.PreviewNoticeRequestObject) (api.PreviewNoticeResponseObject, error) {
	l, err := a.s.PreviewLetter(ctx, who(ctx), r.Number, event.LetterQuestion{
		Kind: string(r.Body.Kind), Person: person.Number(r.Body.Person), Channel: string(r.Body.Channel), Reason: r.Body.Reason})
	if err != nil {
		return nil, err
	}
	return api.PreviewNotice200JSONResponse(l), nil
}

func (a *apiServer) TestWording(ctx context.Context, r api.TestWordingRequestObject) (api.TestWordingResponseObject, error) {
	key := event.TextKey{Audience: string(r.Audience), Channel: string(r.Channel), Language: r.Language}
	t, err := a.s.TestWording(ctx, who(ctx), On{Case: r.Number, Key: r.Params.IdempotencyKey},
		event.TestQuestion{TextKey: key, Digest: r.Body.Digest, To: r.Body.To, Person: person.Number(r.Body.Person), Reason: r.Body.Reason})
	if err != nil {
		return nil, err
	}
	return api.TestWording200JSONResponse(t), nil
}

func (a *apiServer) ExportJournal(ctx context.Context, r api.ExportJournalRequestObject) (api.ExportJournalResponseObject, error) {
	if a.s.cfg.Approver == nil {
		return nil, errNoKey
	}
	entries, err := a.s.Entries(ctx, who(ctx), r.Number)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := approval.WriteExport(&out, who(ctx).Org, r.Number, entries, a.s.cfg.Approver, a.s.cfg.Now()); err != nil {
		return nil, err
	}
	return api.ExportJournal200ApplicationOctetStreamResponse{Body: &out, ContentLength: int64(out.Len())}, nil
}

func (a *apiServer) RevokeApprover(ctx context.Context, r api.RevokeApproverRequestObject) (api.RevokeApproverResponseObject, error) {
	cases, err := a.s.RevokeApprover(ctx, who(ctx), r.User, r.Body.Reason)
	if err != nil {
		return nil, err
	}
	return api.RevokeApprover200JSONResponse{Cases: cases}, nil
}
