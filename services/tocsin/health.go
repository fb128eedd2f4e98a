package main

import (
	"cmp"
	"context"

	"tocsin.dev/services/app"
)

type healthCmd struct {
	URL string `arg:"" optional:"" help:"Health address of a running process; without one, that of the default settings."`
}

// Run asks a running process whether it is ready. The image holds no other
// program that could ask.
func (c *healthCmd) Run(ctx context.Context) error {
	return app.Healthy(ctx, cmp.Or(c.URL, app.HealthURL))
}
