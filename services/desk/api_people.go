package desk

import (
	"context"

	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/person"
	"tocsin.dev/services/desk/api"
)

func (a *apiServer) EnterList(ctx context.Context, r api.EnterListRequestObject) (api.EnterListResponseObject, error) {
	b := r.Body
	report, err := a.s.EnterList(ctx, who(ctx), event.EnterQuestion{Dataset: b.Dataset, Name: b.Name, Categories: b.Categories,
		Medium: string(b.Medium), CSV: []byte(b.Csv), Check: b.Check, SkipBad: b.SkipBad})
	if err != nil {
		return nil, err
	}
	return api.EnterList200JSONResponse{TakenIn: report.TakenIn, Rows: report.Rows, New: report.New, Known: report.Known,
		Erased: report.Erased, Bad: report.Bad, Errors: report.Errors}, nil
}

func (a *apiServer) FindPeople(ctx context.Context, r api.FindPeopleRequestObject) (api.FindPeopleResponseObject, error) {
	found, err := a.s.FindPeople(ctx, who(ctx), event.PersonQuestion{Find: r.Body.Find, Ref: r.Body.Reference, Case: r.Body.Case, After: person.Number(r.Body.After)})
	if err != nil {
		return nil, err
	}
	out := api.FindPeople200JSONResponse{People: []api.FoundPerson{}, Next: int64(found.Next)}
	for _, f := range found.People {
		out.People = append(out.People, apiPerson(f))
	}
	return out, nil
}

func apiPerson(f event.PersonFound) api.FoundPerson {
	out := api.FoundPerson{Person: int64(f.Number), Masked: f.Masked, Datasets: f.Datasets}
	if f.ErasedAt != nil {
		out.ErasedAt = *f.ErasedAt
	}
	for _, j := range f.Joined {
		out.Joined = append(out.Joined, api.JoinedPerson{Person: int64(j.Number), Reason: j.Reason})
	}
	if c := f.Revealed; c != nil {
		out.Revealed = api.RevealedPerson{
			GivenName: c.GivenName.Reveal(), FamilyName: c.FamilyName.Reveal(), Email: c.Email.Reveal(), Phone: c.Phone.Reveal(), Fax: c.Fax.Reveal(),
			Language: c.Language, Jurisdiction: c.Jurisdiction, AgeClass: c.AgeClass, Relation: c.Relation, Preference: c.Preference,
			Guardian: int64(c.Guardian), Deceased: c.Deceased,
		}
		for _, line := range c.Address {
			out.Revealed.Address = append(out.Revealed.Address, line.Reveal())
		}
	}
	return out
}

func (a *apiServer) RevealPerson(ctx context.Context, r api.RevealPersonRequestObject) (api.RevealPersonResponseObject, error) {
	f, err := a.s.RevealPerson(ctx, who(ctx), person.Number(r.Person), r.Body.Reason, r.Body.Case)
	if err != nil {
		return nil, err
	}
	return api.RevealPerson200JSONResponse(apiPerson(f)), nil
}

func (a *apiServer) ErasePerson(ctx context.Context, r api.ErasePersonRequestObject) (api.ErasePersonResponseObject, error) {
	n, err := a.s.ErasePerson(ctx, who(ctx), person.Number(r.Person), person.Number(r.Body.Confirm), r.Body.Reason)
	if err != nil {
		return nil, err
	}
	return api.ErasePerson200JSONResponse{Erased: n}, nil
}

func (a *apiServer) ListAudit(ctx context.Context, r api.ListAuditRequestObject) (api.ListAuditResponseObject, error) {
	p := r.Params
	page, err := a.s.Audit(ctx, who(ctx), event.AuditQuestion{Case: p.Case, Everything: p.Everything, After: p.Cursor, Limit: p.Limit})
	if err != nil {
		return nil, err
	}
	return api.ListAudit200JSONResponse{Entries: append([]api.AuditEntry{}, page.Entries...), Next: page.Next}, nil
}

func (a *apiServer) CompareLists(ctx context.Context, r api.CompareListsRequestObject) (api.CompareListsResponseObject, error) {
	d, err := a.s.CompareLists(ctx, who(ctx), r.Number, r.Params.From, r.Params.To)
	if err != nil {
		return nil, err
	}
	return api.CompareLists200JSONResponse(d), nil
}

func (a *apiServer) ListFindings(ctx context.Context, r api.ListFindingsRequestObject) (api.ListFindingsResponseObject, error) {
	all, err := a.s.Findings(ctx, who(ctx), r.Number)
	if err != nil {
		return nil, err
	}
	return api.ListFindings200JSONResponse{Lists: all}, nil
}
