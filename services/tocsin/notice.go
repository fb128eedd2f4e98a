package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"

	"tocsin.dev/services/desk/api/client"
)

// noticeCmd watches and steers the telling of people, through the desk's API.
type noticeCmd struct {
	Progress noticeProgressCmd `cmd:"" help:"How the sending stands, from the sender's ledger."`
	Person   noticePersonCmd   `cmd:"" help:"Every message to one person, with its history."`
	Doubts   noticeDoubtsCmd   `cmd:"" help:"Messages that may or may not have been accepted, with both risks."`
	Settle   noticeSettleCmd   `cmd:"" help:"Decide about messages in doubt."`
	Report   noticeReportCmd   `cmd:"" help:"People by channel, jurisdiction and outcome."`
	Forecast noticeForecastCmd `cmd:"" help:"Whether the sending ends before the deadline, and what would make it."`
	Pause    noticePauseCmd    `cmd:"" help:"Hold the sending; what has left stays counted."`
	Resume   noticeResumeCmd   `cmd:"" help:"Go on with a paused or blocked sending."`
	Stop     noticeStopCmd     `cmd:"" help:"End the sending for good."`
}

// ofCase is what every question about a case takes.
type ofCase struct {
	remote
	Case string `required:"" help:"Number of the case."`
	JSON bool   `name:"json" help:"Print JSON on one line."`
}

// show prints an answer, or returns what the server said instead.
func (c *ofCase) show(what string, status int, body []byte) error {
	if status >= http.StatusMultipleChoices {
		return fmt.Errorf("%s of case %s: HTTP %d: %s", what, c.Case, status, bytes.TrimSpace(body))
	}
	var out bytes.Buffer
	compact := json.Compact
	if !c.JSON {
		compact = func(dst *bytes.Buffer, src []byte) error { return json.Indent(dst, src, "", "  ") }
	}
	if len(body) > 0 {
		if err := compact(&out, body); err != nil {
			return fmt.Errorf("%s of case %s: the answer is not JSON: %w", what, c.Case, err)
		}
		out.WriteByte('\n')
	}
	_, err := out.WriteTo(os.Stdout)
	return err
}

type noticeProgressCmd struct {
	ofCase
	Order string `help:"Order; the default is the latest."`
}

// Run prints the progress.
func (c *noticeProgressCmd) Run(ctx context.Context) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	p := &client.GetProgressParams{}
	if c.Order != "" {
		p.Order = &c.Order
	}
	res, err := api.GetProgressWithResponse(ctx, c.Case, p)
	if err != nil {
		return err
	}
	return c.show("progress", res.StatusCode(), res.Body)
}

type noticePersonCmd struct {
	ofCase
	Person int64 `required:"" help:"Person number."`
}

// Run prints a person's messages.
func (c *noticePersonCmd) Run(ctx context.Context) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	res, err := api.ListMessagesWithResponse(ctx, c.Case, &client.ListMessagesParams{Person: &c.Person})
	if err != nil {
		return err
	}
	return c.show("messages", res.StatusCode(), res.Body)
}

type noticeDoubtsCmd struct{ ofCase }

// Run prints the doubts.
func (c *noticeDoubtsCmd) Run(ctx context.Context) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	res, err := api.ListDoubtsWithResponse(ctx, c.Case)
	if err != nil {
		return err
	}
	return c.show("doubts", res.StatusCode(), res.Body)
}

type noticeSettleCmd struct {
	ofCase
	Attempts []int64 `arg:"" help:"Requests in doubt, from notice doubts."`
	Decision string  `required:"" enum:"resend,accept,drop" help:"resend (a possible duplicate), accept (it was sent), or drop (go to the next channel)."`
	Reason   string  `required:"" help:"Why; it is recorded."`
}

// Run settles doubts.
func (c *noticeSettleCmd) Run(ctx context.Context) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	res, err := api.SettleDoubtsWithResponse(ctx, c.Case, &client.SettleDoubtsParams{}, client.Settlement{Attempts: c.Attempts, Decision: client.SettlementDecision(c.Decision), Reason: c.Reason})
	if err != nil {
		return err
	}
	return c.show("settlement", res.StatusCode(), res.Body)
}

type noticeReportCmd struct{ ofCase }

// Run prints the report.
func (c *noticeReportCmd) Run(ctx context.Context) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	res, err := api.GetReportWithResponse(ctx, c.Case)
	if err != nil {
		return err
	}
	return c.show("report", res.StatusCode(), res.Body)
}

type noticeForecastCmd struct{ ofCase }

// Run prints the forecast.
func (c *noticeForecastCmd) Run(ctx context.Context) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	res, err := api.GetForecastWithResponse(ctx, c.Case)
	if err != nil {
		return err
	}
	return c.show("forecast", res.StatusCode(), res.Body)
}

// steer is what pausing, resuming and stopping take.
type steer struct {
	ofCase
	Order  string `help:"Order; the default is the latest."`
	Reason string `required:"" help:"Why; it is recorded."`
}

// order returns the order named, or the latest.
func (c *steer) order(ctx context.Context, api *client.ClientWithResponses) (string, error) {
	if c.Order != "" {
		return c.Order, nil
	}
	res, err := api.GetProgressWithResponse(ctx, c.Case, &client.GetProgressParams{})
	if err != nil {
		return "", err
	}
	if res.JSON200 == nil || res.JSON200.Order == "" {
		return "", errors.Join(errors.New("the case has no order"), c.show("progress", res.StatusCode(), res.Body))
	}
	return res.JSON200.Order, nil
}

type noticePauseCmd struct{ steer }

// Run pauses the sending.
func (c *noticePauseCmd) Run(ctx context.Context) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	order, err := c.order(ctx, api)
	if err != nil {
		return err
	}
	res, err := api.PauseDispatchWithResponse(ctx, c.Case, order, nil, client.Reason{Reason: c.Reason})
	if err != nil {
		return err
	}
	return c.show("pause", res.StatusCode(), res.Body)
}

type noticeResumeCmd struct{ steer }

// Run resumes the sending.
func (c *noticeResumeCmd) Run(ctx context.Context) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	order, err := c.order(ctx, api)
	if err != nil {
		return err
	}
	res, err := api.ResumeDispatchWithResponse(ctx, c.Case, order, nil, client.Reason{Reason: c.Reason})
	if err != nil {
		return err
	}
	return c.show("resume", res.StatusCode(), res.Body)
}

type noticeStopCmd struct{ steer }

// Run stops the sending.
func (c *noticeStopCmd) Run(ctx context.Context) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	order, err := c.order(ctx, api)
	if err != nil {
		return err
	}
	res, err := api.StopDispatchWithResponse(ctx, c.Case, order, nil, client.Reason{Reason: c.Reason})
	if err != nil {
		return err
	}
	return c.show("stop", res.StatusCode(), res.Body)
}
