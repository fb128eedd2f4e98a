//go:build !unix

package natsd

import (
	"fmt"
	"os"
)

// lockFile only opens the file: this platform has no lock that ends with the
// process in the standard library.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock file: %w", err)
	}
	return f, nil
}
