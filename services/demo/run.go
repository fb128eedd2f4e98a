package demo

import (
	"context"

	"tocsin.dev/services/app"
	"tocsin.dev/services/app/suite"
)

// Run runs the installation until ctx ends. Once it is ready the installation
// knows its addresses, and o.Ready is called.
func (in *Installation) Run(ctx context.Context, s app.Settings, o suite.Options) error {
	ready := o.Ready
	o.Ready = func(r *suite.Running) {
		in.URL, in.SandboxURL = r.URL, r.SandboxURL
		if ready != nil {
			ready(r)
		}
	}
	if o.Now == nil {
		o.Now = in.Now
	}
	return suite.Run(ctx, s, o)
}
