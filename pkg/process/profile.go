package process

import (
	"errors"
	"fmt"
	"os"
	"runtime/pprof"
)

// ProfileCPU writes a CPU profile to the file at path until stop is called;
// without a path it does nothing.
func ProfileCPU(path string) (stop func() error, err error) {
	if path == "" {
		return func() error { return nil }, nil
	}
	out, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("write the CPU profile: %w", err)
	}
	if err := pprof.StartCPUProfile(out); err != nil {
		return nil, errors.Join(fmt.Errorf("write the CPU profile: %w", err), out.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return out.Close()
	}, nil
}
