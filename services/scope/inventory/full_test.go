//go:build unix

package inventory

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// fileLimit is the largest file that a process on a «full disk» may write, in bytes.
const fileLimit = 1 << 20

// importOnFullDisk imports more than fits while no file may grow beyond
// fileLimit, which is how a full disk looks to the working files.
func importOnFullDisk(dir string) error {
	signal.Ignore(syscall.SIGXFSZ)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: fileLimit, Max: fileLimit}); err != nil {
		return err
	}
	s, _, err := openAt(context.Background(), dir, noon)
	if err != nil {
		return err
	}
	_, err = s.Import(context.Background(), "vardag", flockSources(), Options{})
	return err
}

func TestAFullDiskUnderTheWorkingFilesLeavesTheStoreAsItWas(t *testing.T) {
	large(t)
	dir := t.TempDir()
	s, db, err := openAt(t.Context(), dir, noon)
	if err != nil {
		t.Fatal(err)
	}
	mustImport(t, s, "vardag", canarySources())
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), killAt+"=full", killFolder+"="+dir)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || !exit.Exited() || !strings.Contains(string(out), "write temporary import file in "+dir) || !strings.Contains(string(out), "file too large") {
		t.Fatalf("%v: %s", err, out)
	}
	if s, db, err = openAt(t.Context(), dir, noon.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	a, err := s.Inventory(t.Context(), "vardag")
	if err != nil || a.People != 2 || a.Busy != "" {
		t.Errorf("after a full disk: %d people, busy %q, %v", a.People, a.Busy, err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "tocsin-import-*")); len(left) > 0 {
		t.Errorf("working files are left: %v", left)
	}
	if r := mustImport(t, s, "vardag", killSources()); r.New != 4000 {
		t.Errorf("import when there is room again: %+v", r)
	}
}
