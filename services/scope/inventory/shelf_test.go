package inventory

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// shelfNames returns the files beside the database of a folder, without its path.
func shelfNames(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "scope.db-shelf-*"))
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range files {
		files[i] = strings.TrimPrefix(filepath.Base(f), "scope.db-shelf-")
	}
	slices.Sort(files)
	return files
}

// fiveHundred returns 500 people of one dataset under a name.
func fiveHundred(name string) []Source {
	var b strings.Builder
	b.WriteString("person,given_name,family_name,email,dataset\n")
	for i := range 500 {
		fmt.Fprintf(&b, "S%d,%s,Number%d,s%d@example.test,a\n", i, name, i, i)
	}
	return []Source{oneDataset(), Text("people.csv", b.String(), Mapping{})}
}

func TestALargeDeliveryReplacesTheShelfOfAnEarlierOne(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	v := openVaultOf(t, dir, 100)
	mustImport(t, v.Store, "vardag", fiveHundred("Anna"))
	if got := shelfNames(t, dir); !slices.Equal(got, []string{"1-1", "1-1-columns"}) {
		t.Fatalf("shelves %q after the first delivery", got)
	}
	// The index of identities is the same as before and moves.
	mustImport(t, v.Store, "vardag", fiveHundred("Berit"))
	before := readNames(t, v.Store, "before")
	v = openVaultOf(t, dir, 100)
	if got := shelfNames(t, dir); !slices.Equal(got, []string{"1-2", "1-2-columns"}) {
		t.Errorf("shelves %q after a delivery that changes nearly all and a new start", got)
	}
	if after := readNames(t, v.Store, "after"); after != before || !strings.Contains(after, "Berit") || strings.Contains(after, "Anna") {
		t.Error("the people differ after a shelf was moved")
	}
	if r := mustImport(t, v.Store, "vardag", append(fiveHundred("Berit"), Text("more.csv", "person,given_name\nX,Eve\n", Mapping{Kind: kindPeople}))); r.Known != 500 || r.New != 1 || r.Changed != 0 {
		t.Errorf("what is delivered again after a shelf was moved: %+v", r)
	}
	var size int64
	if err := v.db.QueryRowContext(ctx, `SELECT SUM(LENGTH(body)) FROM segment WHERE kind IN (0, 1, 2, 3, 5)`).Scan(&size); err != nil || size != 0 {
		t.Errorf("%d bytes of shelved kinds lie in rows: %v", size, err)
	}
}

// readNames returns an export of all people, sealed under a statement.
func readNames(t *testing.T, s *Store, statement string) string {
	t.Helper()
	sealed, err := s.Seal(t.Context(), "vardag", "names", statement, everybody(), Policy{})
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if _, err := s.Export(t.Context(), "vardag", "names", sealed.Revision, nil, "dora", &out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestAShelfThatCannotBeFilledLeavesTheStoreAsItWas(t *testing.T) {
	for want, spoil := range map[string]func(file string) error{
		"make shelf":              func(file string) error { return os.Mkdir(file, 0o700) },
		"no space left on device": func(file string) error { return os.Symlink("/dev/full", file) },
	} {
		for _, name := range []string{"scope.db-shelf-1-2", "scope.db-shelf-1-2-columns"} {
			dir := t.TempDir()
			v := openVaultOf(t, dir, 100)
			mustImport(t, v.Store, "vardag", canarySources()) // two people: no shelf
			file := filepath.Join(dir, name)
			if err := spoil(file); err != nil {
				t.Fatal(err)
			}
			if _, err := v.Import(t.Context(), "vardag", fiveHundred("Anna"), Options{}); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %v, want %q", name, err, want)
			}
			if a, err := v.Inventory(t.Context(), "vardag"); err != nil || a.People != 2 {
				t.Errorf("%s, «%s»: %d people afterwards: %v", name, want, a.People, err)
			}
			if err := os.RemoveAll(file); err != nil {
				t.Fatal(err)
			}
			if r := mustImport(t, v.Store, "vardag", fiveHundred("Anna")); r.New != 500 {
				t.Errorf("%s, «%s»: import when there is room again: %+v", name, want, r)
			}
		}
	}
}

func TestTheShelfOfADeliveryThatWasGivenUpIsRemoved(t *testing.T) {
	dir := t.TempDir()
	dies(t, "people", dir)
	if got := shelfNames(t, dir); !slices.Equal(got, []string{"1-1", "1-1-columns"}) {
		t.Fatalf("shelves %q of the process that was killed", got)
	}
	s, db, err := openAt(t.Context(), dir, noon.Add(2*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if got := shelfNames(t, dir); !slices.Equal(got, []string{"1-1", "1-1-columns"}) {
		t.Errorf("shelves %q while the delivery may go on", got)
	}
	mustImport(t, s, "vardag", canarySources())
	if got := shelfNames(t, dir); !slices.Equal(got, []string{"1-2", "1-2-columns"}) {
		t.Errorf("shelves %q after another delivery", got)
	}
}

func TestAMissingShelfIsNamed(t *testing.T) {
	for name, ask := range map[string]func(*Store) error{
		"scope.db-shelf-1-1": func(s *Store) error {
			var out strings.Builder
			_, err := s.Export(t.Context(), "vardag", "c", 1, nil, "dora", &out)
			return err
		},
		"scope.db-shelf-1-1-columns": func(s *Store) error {
			_, err := s.Preview(t.Context(), "vardag", everybody(), Policy{})
			return err
		},
	} {
		dir := t.TempDir()
		v := openVaultOf(t, dir, 1)
		mustImport(t, v.Store, "vardag", canarySources())
		if _, err := v.Seal(t.Context(), "vardag", "c", "st", everybody(), Policy{}); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		v = openVaultOf(t, dir, 1)
		if err := ask(v.Store); err == nil || !strings.Contains(err.Error(), name+":") && !strings.Contains(err.Error(), name+" ") || !strings.Contains(err.Error(), "backup") {
			t.Errorf("without %s: error %v", name, err)
		}
	}
}
