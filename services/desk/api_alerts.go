package desk

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"tocsin.dev/pkg/event"
	"tocsin.dev/services/desk/api"
)

func (a *apiServer) ListAlerts(ctx context.Context, r api.ListAlertsRequestObject) (api.ListAlertsResponseObject, error) {
	p := r.Params
	order := map[api.ListAlertsParamsOrder]string{api.Worst: "severity"}[p.Order]
	answer, err := a.s.Alerts(ctx, who(ctx), event.AlertsQuestion{List: &event.AlertsList{
		State: event.AlertState(p.State), Source: p.Source, Severity: p.Severity, Unmapped: p.Unmapped, Personal: p.Personal,
		Text: p.Q, Order: order, After: p.Cursor, Limit: min(p.Limit, 200),
	}})
	if err != nil {
		return nil, err
	}
	sources, err := a.s.Alerts(ctx, who(ctx), event.AlertsQuestion{Sources: true})
	if err != nil {
		return nil, err
	}
	out := api.ListAlerts200JSONResponse{Alerts: apiAlerts(answer.Alerts), Sources: []api.AlertSource{}, Next: answer.Next, Counts: map[string]int64{}}
	for state, n := range answer.Counts {
		out.Counts[string(state)] = n
	}
	for _, src := range sources.Sources {
		out.Sources = append(out.Sources, api.AlertSource{ID: src.ID, Scheme: src.Scheme, Mapping: src.Mapping,
			LastAt: instantOf(src.LastAt), Received: src.Received, Silent: src.Silent})
	}
	return out, nil
}

func (a *apiServer) DismissAlerts(ctx context.Context, r api.DismissAlertsRequestObject) (api.DismissAlertsResponseObject, error) {
	if err := a.s.DismissAlerts(ctx, who(ctx), r.Body.Alerts, strings.TrimSpace(r.Body.Reason)); err != nil {
		return nil, err
	}
	return api.DismissAlerts204Response{}, nil
}

// maxRaw is how much of a raw body the API and the alert page show.
const maxRaw = 256 << 10

func (a *apiServer) GetAlert(ctx context.Context, r api.GetAlertRequestObject) (api.GetAlertResponseObject, error) {
	d, err := a.s.Alert(ctx, who(ctx), r.Alert)
	if err != nil {
		return nil, err
	}
	raw, cut := rawText(d.Raw)
	out := api.GetAlert200JSONResponse{
		Alert: apiAlert(d.Alert), Description: d.Desc, Link: d.Link, Mapping: d.Mapping, Problems: d.Problems,
		Facts: []api.AlertFact{}, Related: []api.RelatedAlert{}, Raw: raw, RawSize: int64(len(d.Raw)), RawSha256: d.RawSHA256, RawTruncated: cut,
	}
	if d.Dismissal != nil {
		out.Alert.DismissedReason = d.Dismissal.Reason
	}
	if d.Mapping != "" && d.MappingVersion > 0 {
		out.Mapping = fmt.Sprintf("%s version %d", d.Mapping, d.MappingVersion)
	}
	for _, f := range AlertFacts(d) {
		out.Facts = append(out.Facts, api.AlertFact{Name: f.Name, Value: f.Value, Assumed: f.Assumed != "", Note: f.Assumed})
	}
	for _, rel := range d.Related {
		out.Related = append(out.Related, api.RelatedAlert{Alert: apiAlert(rel.Alert), Why: rel.Why})
	}
	return out, nil
}

// rawText returns a raw body as text: as it is if it is UTF-8, else as hex.
func rawText(raw []byte) (string, bool) {
	cut := len(raw) > maxRaw
	if cut {
		raw = raw[:maxRaw]
		for len(raw) > 0 && !utf8.RuneStart(raw[len(raw)-1]) {
			raw = raw[:len(raw)-1]
		}
	}
	if !utf8.Valid(raw) {
		return hex.Dump(raw), cut
	}
	return string(raw), cut
}

func apiAlerts(alerts []event.Alert) []api.Alert {
	out := make([]api.Alert, len(alerts))
	for i, a := range alerts {
		out[i] = apiAlert(a)
	}
	return out
}

func apiAlert(a event.Alert) api.Alert {
	out := api.Alert{
		ID: a.ID, Source: a.Source, Product: a.Product, State: api.AlertState(a.State), Title: a.Title, Severity: a.SeverityID,
		OccurredAt: instantOf(a.OccurredAt), DetectedAt: instantOf(a.DetectedAt), ReceivedAt: a.ReceivedAt, LastSeenAt: a.LastAt,
		Duplicates: max(a.Count-1, 0), Mapped: !a.Unmapped, Case: a.Case,
	}
	out.Host, out.User = firstDevice(a), firstAccount(a)
	return out
}

func firstDevice(a event.Alert) string {
	if len(a.Devices) == 0 {
		return ""
	}
	return a.Devices[0].Label()
}

func firstAccount(a event.Alert) string {
	if len(a.Users) == 0 {
		return ""
	}
	return a.Users[0].Label()
}

func instantOf(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

// AlertFact is one normalised fact of an alert for people.
type AlertFact struct {
	Name, Value string
	// Assumed says what was assumed because the source did not say it.
	Assumed string
	// At is set for facts that are instants.
	At *time.Time
}

// AlertFacts lists what a mapping read from an alert.
func AlertFacts(d *event.AlertDetail) []AlertFact {
	var facts []AlertFact
	add := func(name, value string) {
		if value != "" {
			facts = append(facts, AlertFact{Name: name, Value: value})
		}
	}
	at := func(name string, t *time.Time) {
		if t == nil {
			return
		}
		f := AlertFact{Name: name, Value: t.UTC().Format(time.RFC3339), At: t}
		if d.AssumedZone {
			f.Assumed = "the source gave no zone; read as UTC"
		}
		facts = append(facts, f)
	}
	at("Occurred", d.OccurredAt)
	at("Detected", d.DetectedAt)
	add("Product", strings.TrimSpace(d.Vendor+" "+firstOf(d.ProductName, d.Product)))
	add("Severity as sent", d.Severity)
	add("Status as sent", d.Status)
	add("Id at the source", d.ExternalID)
	add("Types", strings.Join(d.Types, ", "))
	for _, x := range d.Devices {
		add("Host", join(x.Hostname, x.IP, x.UID))
	}
	for _, x := range d.Users {
		add("User", join(x.Name, x.Email, x.UID))
	}
	for _, x := range d.Resources {
		add("Resource", join(x.Type, x.UID))
	}
	for _, x := range d.Data {
		value := x.Category
		if x.Count > 0 {
			value += ", " + Number(x.Count)
		}
		add("Personal data", value)
	}
	add("Observables", strings.Join(d.Observables, ", "))
	return facts
}

func join(parts ...string) string {
	var kept []string
	for _, p := range parts {
		if p != "" {
			kept = append(kept, p)
		}
	}
	return strings.Join(kept, ", ")
}

func firstOf(words ...string) string {
	for _, w := range words {
		if w != "" {
			return w
		}
	}
	return ""
}
