package main

import (
	"context"
	"fmt"
	"time"

	"tocsin.dev/services/intake"
)

// benchWebhookCmd loads the webhook of a running Tocsin.
type benchWebhookCmd struct {
	URL      string        `arg:"" help:"Address of a source, such as http://127.0.0.1:8420/v1/alerts/splunk."`
	Token    string        `required:"" env:"TOCSIN_SOURCE_TOKEN" help:"Bearer token of the source."`
	Rate     int           `default:"500" help:"Requests a second, sent whether or not the answers come."`
	Duration time.Duration `default:"10s" help:"How long to send."`
	JSON     bool          `name:"json" help:"Print JSON."`
}

// Run sends and prints how long the answers took.
func (c *benchWebhookCmd) Run(ctx context.Context) error {
	report, err := intake.Load{URL: c.URL, Token: c.Token, Rate: c.Rate, Duration: c.Duration}.Run(ctx)
	if err != nil {
		return err
	}
	if report.Errors > 0 {
		return fmt.Errorf("%v: %w", report, report.Err())
	}
	if c.JSON {
		return printJSON(report)
	}
	fmt.Println(report)
	return nil
}
