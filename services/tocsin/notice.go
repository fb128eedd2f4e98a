package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"tocsin.dev/services/desk/api/client"
)

// noticeCmd watches and steers the telling of people, through the desk's API.
type noticeCmd struct {
	Progress noticeProgressCmd `cmd:"" help:"How the sending stands, from the sender's ledger."`
	Person   noticePersonCmd   `cmd:"" help:"Every message to one person, with its history."`
	Doubts   noticeDoubtsCmd   `cmd:"" help:"Messages that may or may not have been accepted, with both risks."`
	Settle   noticeSettleCmd   `cmd:"" help:"Decide about messages in doubt."`
	Returns  noticeReturnsCmd  `cmd:"" help:"Take back what became of letters and faxes, or the proof that they were posted."`
	Bounce   noticeBounceCmd   `cmd:"" help:"Hand in a message that came back to the own mail server; reads it from standard input, for a pipe of the mail server."`
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

// ask puts a question about the case to the server and shows the answer.
func (c *ofCase) ask(ctx context.Context, what string, question func(*client.ClientWithResponses) (*http.Response, error)) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	res, err := question(api)
	if err != nil {
		return fmt.Errorf("%s of case %s: %w", what, c.Case, err)
	}
	body, err := io.ReadAll(res.Body)
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return fmt.Errorf("%s of case %s: %w", what, c.Case, err)
	}
	return c.show(what, res.StatusCode, body)
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
	p := &client.GetProgressParams{}
	if c.Order != "" {
		p.Order = &c.Order
	}
	return c.ask(ctx, "progress", func(api *client.ClientWithResponses) (*http.Response, error) {
		return api.GetProgress(ctx, c.Case, p)
	})
}

type noticePersonCmd struct {
	ofCase
	Person int64 `required:"" help:"Person number."`
}

// Run prints a person's messages.
func (c *noticePersonCmd) Run(ctx context.Context) error {
	return c.ask(ctx, "messages", func(api *client.ClientWithResponses) (*http.Response, error) {
		return api.ListMessages(ctx, c.Case, &client.ListMessagesParams{Person: &c.Person})
	})
}

type noticeDoubtsCmd struct{ ofCase }

// Run prints the doubts.
func (c *noticeDoubtsCmd) Run(ctx context.Context) error {
	return c.ask(ctx, "doubts", func(api *client.ClientWithResponses) (*http.Response, error) {
		return api.ListDoubts(ctx, c.Case)
	})
}

type noticeSettleCmd struct {
	ofCase
	Attempts []int64 `arg:"" help:"Requests in doubt, from notice doubts."`
	Decision string  `required:"" enum:"resend,accept,drop" help:"resend (a possible duplicate), accept (it was sent), or drop (go to the next channel)."`
	Reason   string  `required:"" help:"Why; it is recorded."`
}

// Run settles doubts.
func (c *noticeSettleCmd) Run(ctx context.Context) error {
	return c.ask(ctx, "settlement", func(api *client.ClientWithResponses) (*http.Response, error) {
		return api.SettleDoubts(ctx, c.Case, &client.SettleDoubtsParams{}, client.Settlement{Attempts: c.Attempts, Decision: client.SettlementDecision(c.Decision), Reason: c.Reason})
	})
}

type noticeReportCmd struct {
	ofCase
	Unreached bool `help:"Print the people whom no channel reached instead, as CSV."`
}

// Run prints the report.
func (c *noticeReportCmd) Run(ctx context.Context) error {
	if c.Unreached {
		return c.unreached(ctx)
	}
	return c.ask(ctx, "report", func(api *client.ClientWithResponses) (*http.Response, error) {
		return api.GetReport(ctx, c.Case)
	})
}

// unreached prints people a page at a time.
func (c *noticeReportCmd) unreached(ctx context.Context) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	out := csv.NewWriter(os.Stdout)
	_ = out.Write([]string{"person", "notice", "place", "reason", "since_utc"})
	state, limit := "unreachable", 1000
	for q := (client.ListMessagesParams{State: &state, Limit: &limit}); ; {
		page, err := api.ListMessagesWithResponse(ctx, c.Case, &q)
		if err != nil {
			return err
		}
		if page.JSON200 == nil {
			return c.show("messages", page.StatusCode(), page.Body)
		}
		for _, m := range page.JSON200.Messages {
			_ = out.Write([]string{strconv.FormatInt(int64(m.Person), 10), m.Kind, m.Jurisdiction, m.Reason, m.At.UTC().Format(time.RFC3339)})
		}
		out.Flush()
		if err := out.Error(); err != nil {
			return err
		}
		if page.JSON200.Next == "" {
			return nil
		}
		q.Cursor = &page.JSON200.Next
	}
}

type noticeForecastCmd struct{ ofCase }

// Run prints the forecast.
func (c *noticeForecastCmd) Run(ctx context.Context) error {
	return c.ask(ctx, "forecast", func(api *client.ClientWithResponses) (*http.Response, error) {
		return api.GetForecast(ctx, c.Case)
	})
}

// ofOrder is what pausing, resuming and stopping take.
type ofOrder struct {
	ofCase
	Order  string `help:"Order; the default is the latest."`
	Reason string `required:"" help:"Why; it is recorded."`
}

// order returns the order named, or the latest.
func (c *ofOrder) order(ctx context.Context, api *client.ClientWithResponses) (string, error) {
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

// steer asks for a change of the order's sending.
func (c *ofOrder) steer(ctx context.Context, what string, change func(*client.ClientWithResponses, string, client.Reason) (*http.Response, error)) error {
	return c.ask(ctx, what, func(api *client.ClientWithResponses) (*http.Response, error) {
		order, err := c.order(ctx, api)
		if err != nil {
			return nil, err
		}
		return change(api, order, client.Reason{Reason: c.Reason})
	})
}

type noticePauseCmd struct{ ofOrder }

// Run pauses the sending.
func (c *noticePauseCmd) Run(ctx context.Context) error {
	return c.steer(ctx, "pause", func(api *client.ClientWithResponses, order string, why client.Reason) (*http.Response, error) {
		return api.PauseDispatch(ctx, c.Case, order, nil, why)
	})
}

type noticeResumeCmd struct{ ofOrder }

// Run resumes the sending.
func (c *noticeResumeCmd) Run(ctx context.Context) error {
	return c.steer(ctx, "resume", func(api *client.ClientWithResponses, order string, why client.Reason) (*http.Response, error) {
		return api.ResumeDispatch(ctx, c.Case, order, nil, why)
	})
}

type noticeStopCmd struct{ ofOrder }

// Run stops the sending.
func (c *noticeStopCmd) Run(ctx context.Context) error {
	return c.steer(ctx, "stop", func(api *client.ClientWithResponses, order string, why client.Reason) (*http.Response, error) {
		return api.StopDispatch(ctx, c.Case, order, nil, why)
	})
}
