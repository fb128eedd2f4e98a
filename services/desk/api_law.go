package desk

import (
	"context"

	"tocsin.dev/pkg/law"
	"tocsin.dev/pkg/rulebook"
	"tocsin.dev/services/desk/api"
)

func (a *apiServer) GetLawFacts(ctx context.Context, r api.GetLawFactsRequestObject) (api.GetLawFactsResponseObject, error) {
	f, err := a.s.LawFacts(ctx, who(ctx), r.Number, r.Params.AsOf)
	return api.GetLawFacts200JSONResponse(f), err
}

func (a *apiServer) ExplainDuty(ctx context.Context, r api.ExplainDutyRequestObject) (api.ExplainDutyResponseObject, error) {
	x, err := a.s.ExplainDuty(ctx, who(ctx), r.Number, r.Duty)
	return api.ExplainDuty200JSONResponse(x), err
}

func (a *apiServer) ListFactWords(ctx context.Context, _ api.ListFactWordsRequestObject) (api.ListFactWordsResponseObject, error) {
	words, err := a.s.FactWords(who(ctx))
	return api.ListFactWords200JSONResponse{Words: words}, err
}

func (a *apiServer) ListRulePackages(ctx context.Context, _ api.ListRulePackagesRequestObject) (api.ListRulePackagesResponseObject, error) {
	all, err := a.s.Packages(ctx, who(ctx))
	if all == nil {
		all = []rulebook.Package{}
	}
	return api.ListRulePackages200JSONResponse{Packages: all}, err
}

func (a *apiServer) GetRulePackage(ctx context.Context, r api.GetRulePackageRequestObject) (api.GetRulePackageResponseObject, error) {
	e, err := a.s.Package(ctx, who(ctx), r.Digest)
	return api.GetRulePackage200JSONResponse(apiEffect(e)), err
}

func (a *apiServer) CheckRulePackage(ctx context.Context, r api.CheckRulePackageRequestObject) (api.CheckRulePackageResponseObject, error) {
	e, err := a.s.CheckPackage(ctx, who(ctx), r.Body.Package)
	return api.CheckRulePackage200JSONResponse(apiEffect(e)), err
}

func (a *apiServer) ProposeRulePackage(ctx context.Context, r api.ProposeRulePackageRequestObject) (api.ProposeRulePackageResponseObject, error) {
	e, err := a.s.ProposePackage(ctx, who(ctx), r.Body.Note, r.Body.Package)
	return api.ProposeRulePackage200JSONResponse(apiEffect(e)), err
}

func (a *apiServer) AcceptRulePackage(ctx context.Context, r api.AcceptRulePackageRequestObject) (api.AcceptRulePackageResponseObject, error) {
	p, err := a.s.AcceptPackage(ctx, who(ctx), r.Digest)
	return api.AcceptRulePackage200JSONResponse(p), err
}

func apiEffect(e PackageEffect) api.RulePackageEffect {
	out := api.RulePackageEffect{Package: e.Package, Problems: e.Problems, Affected: e.Affected}
	if out.Problems == nil {
		out.Problems = []string{}
	}
	if out.Affected == nil {
		out.Affected = []law.Affected{}
	}
	return out
}

func (a *apiServer) GetCalendar(ctx context.Context, r api.GetCalendarRequestObject) (api.GetCalendarResponseObject, error) {
	url, err := a.s.CalendarURL(who(ctx), Role(r.Params.Role))
	return api.GetCalendar200JSONResponse{URL: url}, err
}
