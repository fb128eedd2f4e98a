package demo

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"tocsin.dev/pkg/wording"
	"tocsin.dev/services/desk/api/client"
)

// wazuhAlert is a real alert of a Wazuh manager; see the package comment.
//
//go:embed alert_wazuh.json
var wazuhAlert []byte

// Report is what one played case came to. People always equals the sum of
// Delivered people, Bounced, InDoubt, Unreachable and Excluded.
type Report struct {
	Organisation string  `json:"organisation"`
	Case         string  `json:"case"`
	People       int64   `json:"people"`
	Messages     int64   `json:"messages"`
	Accepted     int64   `json:"accepted"`
	Delivered    int64   `json:"delivered"`
	Bounced      int64   `json:"bounced"`
	InDoubt      int64   `json:"in_doubt"`
	Unreachable  int64   `json:"unreachable"`
	Excluded     int64   `json:"excluded"`
	Duties       []Duty  `json:"duties"`
	Timeline     []Step  `json:"timeline"`
	Seconds      float64 `json:"seconds"`
	// Accounted is true if nobody is pending and the people add up.
	Accounted bool `json:"accounted"`
}

// Duty is one duty of the played case.
type Duty struct {
	Rule       string        `json:"rule"`
	Citation   string        `json:"citation"`
	To         string        `json:"to"`
	Due        *time.Time    `json:"due"`
	Standard   string        `json:"standard,omitempty"`
	State      string        `json:"state"`
	Derivation []client.Step `json:"derivation"`
}

// Step is one entry of the case's timeline.
type Step struct {
	At    time.Time `json:"at"`
	Type  string    `json:"type"`
	Actor string    `json:"actor"`
}

// sheet are the facts that feed the texts of the played case, in English.
var sheet = map[string]string{
	"what_happened": "A program on one of our servers was replaced by an altered copy. Somebody outside the company used it to read customer records.",
	"when":          "between 17 and 20 November 2026",
	"consequences":  "Somebody could pretend to be us when they call or write to you, or try your password elsewhere.",
	"measures":      "We have taken the server out of use, closed the gap and reported the matter to the Information Commissioner.",
	"advice":        "Be wary of anybody who contacts you about your account.",
}

// Play takes one case of Tidewater from a posted alert to the last receipt,
// as its users would over HTTP: an analyst declares and scopes, drafts are
// written, a second person approves, the data protection officer orders.
func (in *Installation) Play(ctx context.Context, progress io.Writer) (Report, error) {
	s := in.Story("tidewater", progress)
	for _, a := range s.acts() {
		fmt.Fprintf(progress, "%6.1f s  %s\n", in.Now().Sub(s.began).Seconds(), a.say)
		if err := a.do(ctx); err != nil {
			return Report{}, fmt.Errorf("%s: %w", a.say, err)
		}
	}
	return s.report(ctx)
}

type player struct {
	in      *Installation
	org     string
	out     io.Writer
	began   time.Time
	alert   string
	number  string
	ordered string
}

func (p *player) as(role string) *client.ClientWithResponses { return p.in.Client(p.org, role) }

// postAlert posts the alert as the SIEM would and waits until it is mapped.
func (p *player) postAlert(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.in.URL+"/v1/alerts/"+p.org+"-wazuh", bytes.NewReader(wazuhAlert))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+p.in.SourceToken(p.org+"-wazuh"))
	res, err := p.in.HTTP.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(res.Body, 1<<16))
	if res.StatusCode != http.StatusAccepted && res.StatusCode != http.StatusOK {
		return fmt.Errorf("intake answered %s: %s", res.Status, body)
	}
	return p.until(ctx, "the alert to appear in the queue", func() (bool, error) {
		list, err := p.as("analyst").ListAlertsWithResponse(ctx, &client.ListAlertsParams{})
		if err := answered(list, err, func() bool { return list.JSON200 != nil }); err != nil {
			return false, err
		}
		if len(list.JSON200.Alerts) == 0 {
			return false, nil
		}
		p.alert = list.JSON200.Alerts[0].ID
		return true, nil
	})
}

func (p *player) declare(ctx context.Context) error {
	res, err := p.as("analyst").DeclareCaseWithResponse(ctx, &client.DeclareCaseParams{}, client.Declaration{
		Title: "Altered program on a customer server", Severity: "high", AwareAt: p.in.Now().Add(-2 * time.Hour).Truncate(time.Minute),
		AwareZone: "Europe/London", AwareEvidence: "File integrity alert, confirmed by the analyst on duty",
		Categories: []string{"user.name", "user.contact.email", "user.authorization.password"}, Alerts: []string{p.alert},
	})
	if err := answered(res, err, func() bool { return res.JSON201 != nil }); err != nil {
		return err
	}
	p.number = res.JSON201.Number
	return nil
}

func (p *player) caseNow(ctx context.Context) (*client.Case, error) {
	res, err := p.as("analyst").GetCaseWithResponse(ctx, p.number, &client.GetCaseParams{})
	if err := answered(res, err, func() bool { return res.JSON200 != nil }); err != nil {
		return nil, err
	}
	return res.JSON200, nil
}

func (p *player) awaitDuties(ctx context.Context) error {
	return p.untilCase(ctx, "duties and the linked alert", func(c *client.Case) (bool, error) { return len(c.Duties) > 0, nil })
}

// seal states that every dataset of the organisation was open for four days.
func (p *player) seal(ctx context.Context) error {
	inv, err := p.as("analyst").GetInventoryWithResponse(ctx)
	if err := answered(inv, err, func() bool { return inv.JSON200 != nil }); err != nil {
		return err
	}
	var exposures []client.Exposure
	to := p.in.Now()
	for _, system := range inv.JSON200.Systems {
		for _, d := range system.Datasets {
			exposures = append(exposures, client.Exposure{Dataset: d.ID, From: to.Add(-4 * 24 * time.Hour), To: to, Ring: "in_system"})
		}
	}
	if len(exposures) == 0 {
		return errors.New("the inventory has no datasets; import people first")
	}
	pre, err := p.as("analyst").PreviewExposureWithResponse(ctx, p.number, client.ExposureStatement{Exposures: exposures})
	if err := answered(pre, err, func() bool { return pre.JSON200 != nil }); err != nil {
		return err
	}
	fmt.Fprintf(p.out, "           %d people would be on the list\n", pre.JSON200.People)
	res, err := p.as("analyst").StateExposureWithResponse(ctx, p.number, &client.StateExposureParams{}, client.ExposureStatement{Exposures: exposures})
	if err := answered(res, err, func() bool { return res.JSON200 != nil }); err != nil {
		return err
	}
	return p.untilCase(ctx, "the sealed list", func(c *client.Case) (bool, error) {
		if c.ScopeRefused != "" {
			return false, errors.New("scope refused: " + c.ScopeRefused)
		}
		return len(c.Sealed) > 0, nil
	})
}

// draft states the facts sheet, decides that English will do for people whose
// language is missing, and takes the starting texts over.
func (p *player) draft(ctx context.Context) error {
	facts := map[string]string{
		"notice.language_fallback": "Customers of this shop deal with it in English; a translation would cost days.",
	}
	for name, value := range sheet {
		facts["sheet."+name+".en"] = value
	}
	for key, value := range facts {
		res, err := p.as("analyst").StateFactWithResponse(ctx, p.number, &client.StateFactParams{}, client.FactStatement{Key: key, Value: value})
		if err := answered(res, err, func() bool { return res.JSON200 != nil }); err != nil {
			return err
		}
	}
	starters, err := wording.Starters()
	if err != nil {
		return err
	}
	for _, channel := range []string{"email", "sms"} {
		s, ok := wording.StarterFor(starters, "uk-gdpr", channel, "en-GB")
		if !ok {
			return fmt.Errorf("there is no starting text for %s", channel)
		}
		res, err := p.as("analyst").DraftWordingWithResponse(ctx, p.number, "people", client.DraftWordingParamsChannel(channel), "en-GB",
			&client.DraftWordingParams{}, client.Draft{Subject: s.Subject, Body: s.Body})
		if err := answered(res, err, func() bool { return res.JSON200 != nil }); err != nil {
			return err
		}
	}
	return nil
}

func (p *player) approve(ctx context.Context) error {
	risk, err := p.as("dpo").AssessRiskWithResponse(ctx, p.number, &client.AssessRiskParams{}, client.RiskAssessment{
		Level: "high", Reason: "Passwords and contact details in unknown hands"})
	if err := answered(risk, err, func() bool { return risk.JSON200 != nil }); err != nil {
		return err
	}
	list, err := p.as("legal").ListApprovalsWithResponse(ctx, p.number)
	if err := answered(list, err, func() bool { return list.JSON200 != nil }); err != nil {
		return err
	}
	what := list.JSON200.Proposal
	res, err := p.as("legal").ApproveWordingWithResponse(ctx, p.number, &client.ApproveWordingParams{}, client.ApprovalRequest{
		Revision: what.Revision, ScopeDigest: what.ScopeDigest, Texts: what.Texts, Channels: what.Channels, SheetDigest: what.SheetDigest})
	return answered(res, err, func() bool { return res.JSON201 != nil })
}

func (p *player) order(ctx context.Context) error {
	check, err := p.as("dpo").CheckDispatchWithResponse(ctx, p.number)
	if err := answered(check, err, func() bool { return check.JSON200 != nil }); err != nil {
		return err
	}
	if !check.JSON200.Ready {
		return fmt.Errorf("not ready: %+v", check.JSON200.Preconditions)
	}
	res, err := p.as("dpo").OrderDispatchWithResponse(ctx, p.number, &client.OrderDispatchParams{}, client.OrderRequest{Confirm: check.JSON200.Confirm})
	if err := answered(res, err, func() bool { return res.JSON201 != nil }); err != nil {
		return err
	}
	p.ordered = res.JSON201.Order
	return nil
}

// await waits until nobody is pending or in doubt and every accepted message
// has its last receipt.
func (p *player) await(ctx context.Context) error {
	said := int64(-1)
	return p.until(ctx, "the last receipt", func() (bool, error) {
		c, err := p.caseNow(ctx)
		if err != nil {
			return false, err
		}
		for _, o := range c.Orders {
			if o.Order == p.ordered && (o.Refused != "" || o.Blocked != "") {
				return false, fmt.Errorf("the sender stopped: %s%s %s%s", o.Refused, o.Blocked, o.RefusedDetail, o.BlockedDetail)
			}
		}
		t, ok, err := p.tally(ctx)
		if err != nil || !ok {
			return false, err
		}
		if t.Told != said {
			said = t.Told
			fmt.Fprintf(p.out, "           %d of %d told, %d pending\n", t.Told, t.People, t.Pending)
		}
		return t.People > 0 && t.Pending+t.InDoubt == 0 && open(t) == 0, nil
	})
}

// open counts messages that still wait for a provider or for their last receipt.
func open(t client.Tally) int64 {
	var n int64
	for _, states := range t.States {
		for state, count := range states {
			switch state {
			case "planned", "intended", "submitted", "accepted", "deferred":
				n += count
			}
		}
	}
	return n
}

func (p *player) tally(ctx context.Context) (client.Tally, bool, error) {
	res, err := p.as("dpo").GetProgressWithResponse(ctx, p.number, &client.GetProgressParams{Order: new(p.ordered)})
	if err != nil {
		return client.Tally{}, false, err
	}
	if res.JSON200 == nil {
		return client.Tally{}, false, nil // not planned yet
	}
	return res.JSON200.Tally, true, nil
}

// errUnavailable means that the server asks to try again: a node is being
// replaced, say.
var errUnavailable = errors.New("unavailable for now")

// until asks again every 50 ms until done, or until the context ends. It waits
// out a server that is unavailable for now.
func (p *player) until(ctx context.Context, what string, done func() (bool, error)) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := done()
		if ok || (err != nil && !errors.Is(err, errUnavailable)) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, ctx.Err())
		case <-tick.C:
		}
	}
}

func (p *player) untilCase(ctx context.Context, what string, done func(*client.Case) (bool, error)) error {
	return p.until(ctx, what, func() (bool, error) {
		c, err := p.caseNow(ctx)
		if err != nil {
			return false, err
		}
		return done(c)
	})
}

// answered turns a response without the wanted answer into an error that shows
// what the server said.
func answered(res interface {
	Status() string
	StatusCode() int
	GetBody() []byte
}, err error, ok func() bool) error {
	if err != nil {
		return err
	}
	if ok() {
		return nil
	}
	if code := res.StatusCode(); code == http.StatusBadGateway || code == http.StatusServiceUnavailable || code == http.StatusGatewayTimeout {
		return fmt.Errorf("%w: %s: %.200s", errUnavailable, res.Status(), res.GetBody())
	}
	var problem struct{ Title, Detail, Code string }
	if json.Unmarshal(res.GetBody(), &problem) == nil && (problem.Title != "" || problem.Detail != "") {
		return fmt.Errorf("%s: %s %s %s", res.Status(), problem.Code, problem.Title, problem.Detail)
	}
	return fmt.Errorf("%s: %.500s", res.Status(), res.GetBody())
}
