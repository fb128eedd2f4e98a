//go:build unix

package process

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// ErrFolderLocked means that another program uses the data folder.
var ErrFolderLocked = errors.New("data folder is in use")

// lockName is the file that carries the lock and the holder's process id.
const lockName = "tocsin.lock"

// Lock is the hold on a data folder.
type Lock struct{ f *os.File }

// LockFolder creates the folder if needed, readable by its owner only, and
// takes the lock on it. The system releases the lock with the process, however
// it ends, so a crash leaves nothing to clean up. The error names the folder
// and the process that holds it.
func LockFolder(folder string) (*Lock, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	path := filepath.Join(folder, lockName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the operator names the folder
	if err != nil {
		return nil, fmt.Errorf("data folder %s: %w", folder, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close() //nolint:errcheck // only read from
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock data folder %s: %w", folder, err)
		}
		return nil, fmt.Errorf("%w: %s is held by process %s; stop it or choose another folder", ErrFolderLocked, folder, holder(f))
	}
	if err := writeHolder(f); err != nil {
		return nil, errors.Join(fmt.Errorf("lock data folder %s: %w", folder, err), f.Close())
	}
	return &Lock{f}, nil
}

// Release gives the folder free. The file stays: removing it could take it
// away from a program that has just opened it.
func (l *Lock) Release() error {
	if err := l.f.Close(); err != nil {
		return fmt.Errorf("release data folder: %w", err)
	}
	return nil
}

func writeHolder(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// holder reads the process id that the holder wrote.
func holder(f *os.File) string {
	text, err := io.ReadAll(io.LimitReader(f, 32))
	if pid := strings.TrimSpace(string(text)); err == nil && pid != "" {
		return pid
	}
	return "(unknown)"
}
