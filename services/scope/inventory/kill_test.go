package inventory

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"tocsin.dev/pkg/sqldb"
)

// killed names the phase at which the process that runs as a helper of
// TestAKilledImportIsTakenUpWithTheSameResult kills itself, and the folder.
const (
	killAt     = "TOCSIN_KILL_AT"
	killFolder = "TOCSIN_KILL_FOLDER"
)

// TestMain runs an import that ends by SIGKILL when it is asked to.
func TestMain(m *testing.M) {
	if phase := os.Getenv(killAt); phase != "" {
		fmt.Fprintln(os.Stderr, importAndDie(os.Getenv(killFolder), phase))
		os.Exit(3)
	}
	os.Exit(m.Run())
}

// openAt opens a store in a folder with fixed keys and a clock.
func openAt(ctx context.Context, dir string, now time.Time) (*Store, *sqldb.DB, error) {
	db, err := sqldb.Open(ctx, "sqlite:"+filepath.Join(dir, "scope.db"))
	if err != nil {
		return nil, nil, err
	}
	root, err := OpenFileRoot(filepath.Join(dir, "root.keys"))
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	s, err := Open(ctx, Config{DB: db, Root: root, TempDir: dir, Rand: rand.NewChaCha8([32]byte{9}), Now: func() time.Time { return now }})
	return s, db, err
}

func importAndDie(dir, phase string) error {
	s, _, err := openAt(context.Background(), dir, noon)
	if err != nil {
		return err
	}
	_, err = s.Import(context.Background(), "vardag", killSources(), Options{Progress: func(p string, _ float64) {
		if p == phase {
			_ = killSelf() // nothing of this process runs after it
		}
	}})
	return err
}

func killSelf() error {
	p, err := os.FindProcess(os.Getpid())
	if err != nil {
		return err
	}
	return p.Kill()
}

func TestAKilledImportIsTakenUpWithTheSameResult(t *testing.T) {
	want := sealedAfter(t, nil)
	for _, phase := range []string{"read", "identify", "index", "people"} {
		dir := t.TempDir()
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), killAt+"="+phase, killFolder+"="+dir)
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Exited() {
			t.Fatalf("the process was not killed while %s: %v, %s", phase, err, out)
		}
		// At first the dead process still holds the lock, for at most a minute.
		s, db, err := openAt(t.Context(), dir, noon.Add(10*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Import(t.Context(), "vardag", killSources(), Options{}); !errors.Is(err, ErrBusy) {
			t.Errorf("while the lock of the killed process runs: %v", err)
		}
		if a, err := s.Inventory(t.Context(), "vardag"); err != nil || a.People != 0 {
			t.Errorf("killed while %s, %d people are visible: %v", phase, a.People, err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if s, db, err = openAt(t.Context(), dir, noon.Add(2*time.Minute)); err != nil {
			t.Fatal(err)
		}
		mustImport(t, s, "vardag", killSources())
		sealed, err := s.Seal(t.Context(), "vardag", "c", "st", autumn(), Policy{})
		if err != nil || sealed.Digest != want {
			t.Errorf("killed while %s, the list differs: %v", phase, err)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "tocsin-import-*")); len(left) > 0 {
			t.Errorf("working files are left: %v", left)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
