package main

import (
	"encoding/json"
	"os"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"tocsin.dev/services/scope/inventory"
)

// progress says how a command tells how far it is, on standard error.
type progress struct {
	Progress string `default:"auto" enum:"auto,bar,events,none" help:"Progress on standard error: a bar, one JSON event a line, or none; auto is a bar on a terminal."`
}

// progressEvent is one line of --progress events. Done goes from 0 to 1 in each phase.
type progressEvent struct {
	Phase string  `json:"phase"`
	Done  float64 `json:"done"`
}

// told returns the options of an import with what it tells.
func (p progress) told(o inventory.Options, asJSON bool) inventory.Options {
	switch {
	case p.Progress == "events":
		out, last := json.NewEncoder(os.Stderr), progressEvent{Done: -1}
		o.Progress = func(phase string, done float64) {
			if phase == last.Phase && done < 1 && done-last.Done < 0.01 {
				return
			}
			last = progressEvent{phase, done}
			_ = out.Encode(last) // nobody reads it: no reason to stop
		}
	case p.Progress == "bar", p.Progress == "auto" && !asJSON && term.IsTerminal(int(os.Stderr.Fd())):
		bar := progressbar.NewOptions(1000, progressbar.OptionSetWriter(os.Stderr), progressbar.OptionClearOnFinish(), progressbar.OptionSetWidth(40))
		o.Progress = func(phase string, done float64) {
			bar.Describe(phase)
			_ = bar.Set(int(done * 1000)) // a bar that cannot be drawn is no reason to stop
		}
	}
	return o
}
