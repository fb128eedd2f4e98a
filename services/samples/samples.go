// Package samples holds the five sample organisations of the demo, drills and
// tests, each modelled on one published privacy policy of an ordinary company.
// Names, addresses and domains are invented; contact data use reserved domains
// and fictional number ranges, and people are synthetic.
package samples

import (
	"embed"
	"fmt"
	"io/fs"

	"tocsin.dev/pkg/organisation"
)

//go:embed organisations/*.yaml
var organisations embed.FS

// Organisations returns the sample organisations.
func Organisations() (*organisation.Registry, error) {
	dir, err := fs.Sub(organisations, "organisations")
	if err != nil {
		return nil, fmt.Errorf("open the sample organisations: %w", err)
	}
	return organisation.Load(dir)
}

// Files returns the sample organisations as files, for a tenant folder to start from.
func Files() fs.FS {
	dir, err := fs.Sub(organisations, "organisations")
	if err != nil {
		return organisations
	}
	return dir
}
