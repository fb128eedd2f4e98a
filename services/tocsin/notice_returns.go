package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"

	"tocsin.dev/pkg/event"
	"tocsin.dev/services/desk/api/client"
)

type noticeReturnsCmd struct {
	ofCase
	File   string `arg:"" help:"CSV with the columns code, outcome and at, or, as proof of posting, file, count, posted_at and batch; - reads standard input."`
	DryRun bool   `help:"Only say what the file would change."`
}

// Run hands a file of returns in. It is applied whole or not at all.
func (c *noticeReturnsCmd) Run(ctx context.Context) error {
	text, err := readReturns(c.File)
	if err != nil {
		return err
	}
	return c.ask(ctx, "returns", func(api *client.ClientWithResponses) (*http.Response, error) {
		return api.TakeReturns(ctx, c.Case, client.ReturnsFile{Text: text, DryRun: c.DryRun})
	})
}

func readReturns(path string) (string, error) {
	in := os.Stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return "", fmt.Errorf("returns: %w", err)
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, event.MaxReturns+1))
	if err != nil {
		return "", fmt.Errorf("returns: read %s: %w", path, err)
	}
	if len(text) > event.MaxReturns {
		return "", fmt.Errorf("returns: %s has more than %d bytes; hand it in in parts, each with the header", path, event.MaxReturns)
	}
	return string(text), nil
}
