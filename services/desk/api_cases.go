package desk

import (
	"context"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/services/desk/api"
)

func (a *apiServer) ListCases(ctx context.Context, r api.ListCasesRequestObject) (api.ListCasesResponseObject, error) {
	cases, err := a.s.Cases(ctx, who(ctx))
	if err != nil {
		return nil, err
	}
	var kept []*casefile.Case
	for _, c := range cases {
		if r.Params.Status == "" || string(c.Status) == string(r.Params.Status) {
			kept = append(kept, c)
		}
	}
	kept, next := page(kept, func(c *casefile.Case) string { return c.Number }, r.Params.Cursor, r.Params.Limit)
	out := api.ListCases200JSONResponse{Cases: []api.CaseSummary{}, Next: next}
	for _, c := range kept {
		out.Cases = append(out.Cases, apiSummary(c))
	}
	return out, nil
}

func apiSummary(c *casefile.Case) api.CaseSummary {
	out := api.CaseSummary{
		Number: c.Number, Title: c.Declared.Title, Status: api.CaseSummaryStatus(c.Status), Severity: api.Severity(c.Declared.Severity),
		Drill: c.Declared.Drill, OpenedAt: c.OpenedAt, ChangedAt: c.ChangedAt, Seq: c.Seq,
	}
	if latest := c.Latest(); latest != nil {
		out.People = latest.People
	}
	for _, d := range c.Duties {
		if d.Binds() && (d.State == casefile.DutyOpen || d.State == casefile.DutyMissed) {
			out.OpenDuties++
		}
	}
	if next := c.NextDue(); next != nil {
		out.NextDue, out.NextDuty = instantOf(next.Due), next.Title
	}
	return out
}

func declaration(d api.Declaration) event.CaseDeclared {
	return event.CaseDeclared{
		Title: d.Title, Summary: d.Summary, AwareAt: d.AwareAt, AwareZone: d.AwareZone, AwareEvidence: d.AwareEvidence,
		Severity: event.Severity(d.Severity), Role: string(d.Role), Categories: d.Categories, Alerts: d.Alerts, Drill: d.Drill,
	}
}

func (a *apiServer) DeclareCase(ctx context.Context, r api.DeclareCaseRequestObject) (api.DeclareCaseResponseObject, error) {
	number, err := a.s.Declare(ctx, who(ctx), r.Params.IdempotencyKey, declaration(*r.Body))
	if err != nil {
		return nil, err
	}
	c, err := a.s.Case(ctx, who(ctx), number)
	if err != nil {
		return nil, err
	}
	return api.DeclareCase201JSONResponse(a.s.apiCase(c, a.s.cfg.Now())), nil
}

func (a *apiServer) CheckDeclaration(ctx context.Context, r api.CheckDeclarationRequestObject) (api.CheckDeclarationResponseObject, error) {
	checked, err := a.s.CheckDeclaration(who(ctx), declaration(*r.Body))
	if err != nil {
		return nil, err
	}
	d := checked.Declaration
	return api.CheckDeclaration200JSONResponse{
		Declaration: api.Declaration{
			Title: d.Title, Summary: d.Summary, AwareAt: d.AwareAt, AwareZone: d.AwareZone, AwareEvidence: d.AwareEvidence,
			Severity: api.Severity(d.Severity), Role: api.DeclarationRole(d.Role), Categories: d.Categories, Alerts: d.Alerts, Drill: d.Drill,
		},
		Duties: append([]api.Duty{}, checked.Duties...), Warnings: checked.Warnings,
	}, nil
}

func (a *apiServer) GetCase(ctx context.Context, r api.GetCaseRequestObject) (api.GetCaseResponseObject, error) {
	var (
		c   *casefile.Case
		err error
		now = a.s.cfg.Now()
	)
	if r.Params.AsOf.IsZero() {
		c, err = a.s.Case(ctx, who(ctx), r.Number)
	} else {
		now = r.Params.AsOf
		c, err = a.s.CaseAsOf(ctx, who(ctx), r.Number, now)
	}
	if err != nil {
		return nil, err
	}
	return api.GetCase200JSONResponse(a.s.apiCase(c, now)), nil
}

func (a *apiServer) ListEvents(ctx context.Context, r api.ListEventsRequestObject) (api.ListEventsResponseObject, error) {
	entries, err := a.s.Entries(ctx, who(ctx), r.Number)
	if err != nil {
		return nil, err
	}
	limit := r.Params.Limit
	if limit <= 0 || limit > 1000 {
		limit = pageSize
	}
	out := api.ListEvents200JSONResponse{Events: []api.Event{}}
	for _, e := range entries {
		if e.Seq <= uint64(r.Params.After) {
			continue
		}
		if len(out.Events) == limit {
			out.Next = out.Events[limit-1].Seq
			break
		}
		out.Events = append(out.Events, apiEvent(e))
	}
	return out, nil
}

func (a *apiServer) StateFact(ctx context.Context, r api.StateFactRequestObject) (api.StateFactResponseObject, error) {
	b := r.Body
	f := event.FactStated{Key: b.Key, Value: b.Value, KnownSince: b.KnownSince, Zone: b.Zone, Note: b.Note}
	if !b.TrueSince.IsZero() {
		since := b.TrueSince.UTC()
		f.TrueSince = &since
	}
	c, err := a.s.StateFact(ctx, who(ctx), On{r.Number, b.Seen, r.Params.IdempotencyKey}, f)
	if err != nil {
		return nil, err
	}
	done := acted(c)
	for _, k := range Touched(c, b.Key) {
		done.Touches = append(done.Touches, k.String())
	}
	return api.StateFact200JSONResponse{ActedJSONResponse: done}, nil
}

func acted(c *casefile.Case) api.ActedJSONResponse {
	return api.ActedJSONResponse{Number: c.Number, Seq: c.Seq}
}

func (a *apiServer) AcceptAlert(ctx context.Context, r api.AcceptAlertRequestObject) (api.AcceptAlertResponseObject, error) {
	on := On{r.Number, r.Body.Seen, r.Params.IdempotencyKey}
	c, err := a.s.AcceptAlert(ctx, who(ctx), on, event.AlertAccepted{Alert: r.Body.Alert, Note: r.Body.Note})
	if err != nil {
		return nil, err
	}
	return api.AcceptAlert200JSONResponse{ActedJSONResponse: acted(c)}, nil
}

func (a *apiServer) AssessRisk(ctx context.Context, r api.AssessRiskRequestObject) (api.AssessRiskResponseObject, error) {
	on := On{r.Number, r.Body.Seen, r.Params.IdempotencyKey}
	c, err := a.s.AssessRisk(ctx, who(ctx), on, event.RiskAssessed{Level: event.RiskLevel(r.Body.Level), Reason: r.Body.Reason})
	if err != nil {
		return nil, err
	}
	return api.AssessRisk200JSONResponse{ActedJSONResponse: acted(c)}, nil
}

func (a *apiServer) CloseCase(ctx context.Context, r api.CloseCaseRequestObject) (api.CloseCaseResponseObject, error) {
	c, err := a.s.Close(ctx, who(ctx), On{r.Number, r.Body.Seen, r.Params.IdempotencyKey}, r.Body.Reason)
	if err != nil {
		return nil, err
	}
	return api.CloseCase200JSONResponse{ActedJSONResponse: acted(c)}, nil
}

func (a *apiServer) GetInventory(ctx context.Context, _ api.GetInventoryRequestObject) (api.GetInventoryResponseObject, error) {
	inv, err := a.s.Inventory(ctx, who(ctx))
	if err != nil {
		return nil, err
	}
	out := api.GetInventory200JSONResponse{People: inv.People, Systems: []api.InventorySystem{}}
	for _, sys := range inv.Systems {
		x := api.InventorySystem{ID: sys.Key, Name: firstOf(sys.Name, sys.Key), Note: sys.Note, Datasets: []api.Dataset{}}
		for _, d := range sys.Datasets {
			x.Datasets = append(x.Datasets, api.Dataset{
				ID: d.Key, Name: firstOf(d.Name, d.Key), Categories: append([]string{}, d.Categories...), Purpose: d.Purpose, Role: d.Role,
				Controller: d.Controller, Medium: d.Medium, Records: d.Records, RetentionMonths: d.RetentionMonths,
				FirstSeen: instantOf(d.FirstSeen), LastSeen: instantOf(d.LastSeen),
			})
		}
		out.Systems = append(out.Systems, x)
	}
	return out, nil
}

func (a *apiServer) PreviewExposure(ctx context.Context, r api.PreviewExposureRequestObject) (api.PreviewExposureResponseObject, error) {
	p, err := a.s.Preview(ctx, who(ctx), r.Number, event.ExposureStated{Exposures: r.Body.Exposures, Note: r.Body.Note})
	if err != nil {
		return nil, err
	}
	return api.PreviewExposure200JSONResponse{People: p.People, Counts: counts(p.Counts), Erased: p.Erased, KeptTooLong: p.KeptTooLong, Problem: p.Problem}, nil
}

func (a *apiServer) StateExposure(ctx context.Context, r api.StateExposureRequestObject) (api.StateExposureResponseObject, error) {
	on := On{r.Number, r.Body.Seen, r.Params.IdempotencyKey}
	c, err := a.s.StateExposure(ctx, who(ctx), on, event.ExposureStated{Exposures: r.Body.Exposures, Note: r.Body.Note})
	if err != nil {
		return nil, err
	}
	return api.StateExposure200JSONResponse{ActedJSONResponse: acted(c)}, nil
}

// counts makes the maps that the contract demands present.
func counts(c event.Counts) event.Counts {
	for _, m := range []*map[string]int64{&c.Jurisdictions, &c.Languages, &c.Channels} {
		if *m == nil {
			*m = map[string]int64{}
		}
	}
	return c
}

func (a *apiServer) ListDuties(ctx context.Context, r api.ListDutiesRequestObject) (api.ListDutiesResponseObject, error) {
	states := []casefile.DutyState{casefile.DutyOpen, casefile.DutyMissed}
	if r.Params.State != "" {
		states = []casefile.DutyState{casefile.DutyState(r.Params.State)}
	}
	board, err := a.s.Board(ctx, who(ctx), states...)
	if err != nil {
		return nil, err
	}
	board, next := page(board, func(b BoardDuty) string { return b.Case.Number + "/" + b.Duty.ID }, r.Params.Cursor, r.Params.Limit)
	out := api.ListDuties200JSONResponse{Duties: []api.BoardDuty{}, Next: next}
	for _, b := range board {
		out.Duties = append(out.Duties, api.BoardDuty{Case: b.Case.Number, Title: b.Case.Declared.Title, Drill: b.Case.Declared.Drill,
			Duty: apiDuty(b.Duty, a.s.cfg.Now())})
	}
	return out, nil
}

func (a *apiServer) MeetDuty(ctx context.Context, r api.MeetDutyRequestObject) (api.MeetDutyResponseObject, error) {
	b := r.Body
	m := event.DutyMet{Duty: r.Duty, MetAt: b.MetAt, Evidence: b.Evidence, LateReason: b.LateReason}
	c, err := a.s.MeetDuty(ctx, who(ctx), On{r.Number, b.Seen, r.Params.IdempotencyKey}, m)
	if err != nil {
		return nil, err
	}
	return api.MeetDuty200JSONResponse{ActedJSONResponse: acted(c)}, nil
}

func (a *apiServer) WaiveDuty(ctx context.Context, r api.WaiveDutyRequestObject) (api.WaiveDutyResponseObject, error) {
	on := On{r.Number, r.Body.Seen, r.Params.IdempotencyKey}
	c, err := a.s.WaiveDuty(ctx, who(ctx), on, event.DutyWaived{Duty: r.Duty, Reason: r.Body.Reason})
	if err != nil {
		return nil, err
	}
	return api.WaiveDuty200JSONResponse{ActedJSONResponse: acted(c)}, nil
}

func apiDuty(d *casefile.Duty, now time.Time) api.CaseDuty {
	out := api.CaseDuty{Duty: d.Duty, State: api.CaseDutyState(d.State), OpenedAt: d.OpenedAt, DroppedReason: d.Why, Urgency: UrgencyOf(d, now).Words,
		Unanswered: d.Unanswered, AcknowledgedAt: d.AcknowledgedAt}
	for _, ch := range d.Changes {
		out.Changes = append(out.Changes, ch.Why)
	}
	if d.Met != nil {
		out.MetAt, out.Evidence, out.LateReason = d.Met.MetAt, d.Met.Evidence, d.Met.LateReason
	}
	if d.Waived != nil {
		out.WaivedReason = d.Waived.Reason
	}
	return out
}
