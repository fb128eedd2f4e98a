package main

import (
	"context"
	"time"

	"tocsin.dev/services/app"
)

type healthCmd struct {
	URL string `arg:"" optional:"" default:"http://127.0.0.1:8420/healthz" help:"Health address of a running process."`
}

// Run asks a running process whether it is ready. The image holds no other
// program that could ask.
func (c *healthCmd) Run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
	return app.Healthy(ctx, c.URL)
}
