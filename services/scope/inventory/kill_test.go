//go:build unix

package inventory

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	modernc "modernc.org/sqlite"

	"tocsin.dev/pkg/sqldb"
)

// The phase at which a process that runs as a helper of these tests kills
// itself, and its folder.
const (
	killAt     = "TOCSIN_KILL_AT"
	killFolder = "TOCSIN_KILL_FOLDER"
)

// TestMain runs an import or a seal that ends badly when it is asked to.
func TestMain(m *testing.M) {
	phase, dir := os.Getenv(killAt), os.Getenv(killFolder)
	var err error
	switch {
	case phase == "":
		os.Exit(m.Run())
	case phase == "full":
		err = importOnFullDisk(dir)
	case strings.HasPrefix(phase, "seal "):
		err = sealAndDie(dir, phase)
	default:
		err = importAndDie(dir, phase)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(3)
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
	s, err := Open(ctx, Config{DB: db, Root: root, TempDir: dir, Rand: rand.NewChaCha8([32]byte{9}), ShelveFrom: 1, Now: func() time.Time { return now }})
	return s, db, err
}

func importAndDie(dir, phase string) error {
	s, _, err := openAt(context.Background(), dir, noon)
	if err != nil {
		return err
	}
	sources := killSources()
	if canary, ok := strings.CutPrefix(phase, "canary "); ok {
		phase, sources = canary, flockSources()
	}
	_, err = s.Import(context.Background(), "vardag", sources, Options{Progress: func(p string, _ float64) {
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

// dies runs a helper process, which must kill itself at the phase.
func dies(t *testing.T, phase, dir string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), killAt+"="+phase, killFolder+"="+dir)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Exited() {
		t.Fatalf("the process was not killed at «%s»: %v, %s", phase, err, out)
	}
}

func TestAKilledImportIsTakenUpWithTheSameResult(t *testing.T) {
	want := sealedAfter(t, nil)
	for _, phase := range []string{"read", "identify", "index", "people"} {
		dir := t.TempDir()
		dies(t, phase, dir)
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

// traps are statements that let a process die by itself in the middle of a
// seal, each with the statements that take the trap away again: when the first
// holdings are read, when the first attributes are, and when the list is
// written and its transaction still open.
var traps = map[string]struct{ lay, lift string }{
	"seal holdings":   {watchSegments(segHoldings), unwatchSegments},
	"seal attributes": {watchSegments(segAttributes), unwatchSegments},
	"seal kept":       {`CREATE TRIGGER trap AFTER INSERT ON sealed BEGIN SELECT die(); END`, `DROP TRIGGER trap`},
}

const unwatchSegments = `DROP VIEW segment; ALTER TABLE watched RENAME TO segment`

// watchSegments dies when a segment of a kind is read.
func watchSegments(kind int) string {
	return fmt.Sprintf(`ALTER TABLE segment RENAME TO watched;
		CREATE VIEW segment AS SELECT * FROM watched WHERE CASE kind WHEN %d THEN die() ELSE TRUE END`, kind)
}

// lift takes a trap out of a folder before a store is opened there.
func lift(t *testing.T, dir, statements string) {
	t.Helper()
	db, err := sqldb.Open(t.Context(), "sqlite:"+filepath.Join(dir, "scope.db"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.ExecContext(t.Context(), statements)
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

// sealAndDie seals in a folder with an inventory and walks into a trap.
func sealAndDie(dir, phase string) error {
	modernc.MustRegisterScalarFunction("die", 0, func(*modernc.FunctionContext, []driver.Value) (driver.Value, error) {
		_ = killSelf()
		select {} // nothing of this process runs after it
	})
	s, db, err := openAt(context.Background(), dir, noon.Add(time.Hour))
	if err != nil {
		return err
	}
	if _, err := db.ExecContext(context.Background(), traps[phase].lay); err != nil {
		return err
	}
	_, err = s.Seal(context.Background(), "vardag", "c", "st", autumn(), Policy{})
	return err
}

func TestAKilledSealIsTakenUpWithTheSameDigest(t *testing.T) {
	want := sealedAfter(t, nil)
	for phase, trap := range traps {
		dir := t.TempDir()
		s, db, err := openAt(t.Context(), dir, noon)
		if err != nil {
			t.Fatal(err)
		}
		mustImport(t, s, "vardag", killSources())
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		dies(t, phase, dir)
		lift(t, dir, trap.lift)
		if s, db, err = openAt(t.Context(), dir, noon.Add(2*time.Hour)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.SealedFor(t.Context(), "vardag", "c", "st"); !errors.Is(err, ErrNotSealed) {
			t.Errorf("killed at «%s», something is sealed: %v", phase, err)
		}
		sealed, err := s.Seal(t.Context(), "vardag", "c", "st", autumn(), Policy{})
		if err != nil || sealed.Digest != want || sealed.Revision != 1 {
			t.Errorf("killed at «%s», revision %d differs: %v", phase, sealed.Revision, err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
