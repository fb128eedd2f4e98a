package desk

import (
	"cmp"
	"slices"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/services/desk/api"
)

// apiCase writes a whole case as the contract shows it, as of now.
func (s *Service) apiCase(c *casefile.Case, now time.Time) api.Case {
	d := c.Declared
	out := api.Case{
		Number: c.Number, Organisation: c.Org, Seq: c.Seq, Status: api.CaseStatus(c.Status), Title: d.Title, Summary: d.Summary,
		Severity: api.Severity(d.Severity), Role: d.Role, Drill: d.Drill, AwareAt: d.AwareAt, AwareZone: d.AwareZone,
		AwareEvidence: d.AwareEvidence, Categories: d.Categories, DeclaredBy: c.DeclaredBy, OpenedAt: c.OpenedAt, ChangedAt: c.ChangedAt,
		Alerts: apiCaseAlerts(c), Facts: apiFacts(c), Sealed: []api.SealedList{}, Duties: []api.CaseDuty{}, Texts: apiTexts(c),
		Approvals: apiApprovals(c, now), Orders: apiOrders(c), Tasks: []api.Task{},
	}
	if c.Closed != nil {
		out.ClosedReason = c.Closed.Reason
	}
	if c.Risk != nil {
		out.Risk = &api.Risk{Level: api.RiskLevel(c.Risk.Level), Reason: c.Risk.Reason, By: c.RiskBy, At: c.RiskAt}
	}
	if x := c.Exposure; x != nil {
		out.Exposure = &api.StatedExposure{ID: x.EventID, Exposures: x.Exposures, Note: x.Note, StatedBy: x.StatedBy, StatedAt: x.StatedAt}
		out.ScopeRefused = c.Refused[x.EventID]
	}
	for _, l := range c.Sealed {
		out.Sealed = append(out.Sealed, api.SealedList{Revision: l.Revision, People: l.People, Counts: counts(l.Counts), Digest: l.Digest,
			SealedAt: l.SealedAt, Statement: l.Statement})
	}
	for _, duty := range Duties(c) {
		out.Duties = append(out.Duties, apiDuty(duty, now))
	}
	for _, t := range Tasks(c, now) {
		out.Tasks = append(out.Tasks, api.Task{Name: api.TaskName(t.Name), State: api.TaskState(t.State), Note: t.Note})
	}
	return out
}

func apiCaseAlerts(c *casefile.Case) []api.CaseAlert {
	out := []api.CaseAlert{}
	for _, id := range c.AcceptedAlerts {
		a := api.CaseAlert{ID: id}
		if l, ok := c.Linked[id]; ok {
			a.Linked, a.Title, a.Source, a.Severity = true, l.Title, l.Source, l.Severity
			a.DetectedAt, a.RawSha256 = instantOf(l.DetectedAt), l.RawSHA256
		}
		out = append(out, a)
	}
	return out
}

func apiFacts(c *casefile.Case) []api.Fact {
	out := []api.Fact{}
	for _, f := range c.Facts {
		out = append(out, api.Fact{Key: f.Key, Value: f.Value, TrueSince: instantOf(f.TrueSince), KnownSince: f.KnownSince, Zone: f.Zone,
			Note: f.Note, StatedBy: f.StatedBy, StatedAt: f.StatedAt, Seq: f.Seq})
	}
	slices.SortFunc(out, func(a, b api.Fact) int { return cmp.Compare(a.Key, b.Key) })
	return out
}
