package inventory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/person"
	"tocsin.dev/pkg/sqldb"
	"tocsin.dev/pkg/sqldb/sqldbtest"
)

// vault is a store on files of which copies can be made.
type vault struct {
	*Store
	dir string
	db  *sqldb.DB
}

func openVault(t *testing.T, dir string) *vault {
	t.Helper()
	return openVaultOf(t, dir, 0)
}

// openVaultOf opens a vault whose deliveries from so many rows on use shelves.
func openVaultOf(t *testing.T, dir string, shelveFrom uint32) *vault {
	t.Helper()
	db, err := sqldb.Open(t.Context(), "sqlite:"+filepath.Join(dir, "scope.db"))
	if err != nil {
		t.Fatal(err)
	}
	root, err := OpenFileRoot(filepath.Join(dir, "root.keys"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), Config{DB: db, Root: root, TempDir: dir, ShelveFrom: shelveFrom, Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	v := &vault{Store: s, dir: dir, db: db}
	t.Cleanup(func() { _ = db.Close() })
	return v
}

// eachVault runs f on a store of each engine.
func eachVault(t *testing.T, f func(t *testing.T, v *vault)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { f(t, openVault(t, t.TempDir())) })
	t.Run("shelves", func(t *testing.T) { f(t, openVaultOf(t, t.TempDir(), 1)) })
	t.Run("postgres", func(t *testing.T) {
		v := &vault{dir: t.TempDir(), db: sqldbtest.Postgres(t)}
		v.Store = v.another(t)
		f(t, v)
	})
}

// another opens a second store on the same database and keys, as another process would.
func (v *vault) another(t *testing.T) *Store {
	t.Helper()
	root, err := OpenFileRoot(filepath.Join(v.dir, "root.keys"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), Config{DB: v.db, Root: root, TempDir: v.dir, Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// bytes returns the bytes of every file of the folder, and of every row where
// the database keeps its files elsewhere.
func (v *vault) bytes(t *testing.T) []byte {
	t.Helper()
	all := bytesOf(t, v.dir)
	if v.db.Engine == sqldb.SQLite {
		return all
	}
	rows, err := v.db.QueryContext(t.Context(), `SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()`)
	if err != nil {
		t.Fatal(err)
	}
	var tables []string
	if err := scanAll(rows, func() error {
		tables = append(tables, "")
		return rows.Scan(&tables[len(tables)-1])
	}); err != nil || len(tables) < 5 {
		t.Fatalf("tables %v: %v", tables, err)
	}
	for _, table := range tables {
		all = append(all, rowsOf(t, v.db, table)...)
	}
	return all
}

func rowsOf(t *testing.T, db *sqldb.DB, table string) (all []byte) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `SELECT * FROM `+table)
	if err != nil {
		t.Fatal(err)
	}
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	values, places := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		places[i] = &values[i]
	}
	if err := scanAll(rows, func() error {
		err := rows.Scan(places...)
		for _, x := range values {
			if b, ok := x.([]byte); ok {
				all = append(all, b...)
			} else {
				all = fmt.Append(all, x, "\n")
			}
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

// mustHoldNo shows that bytes hold none of the texts in the clear.
func mustHoldNo(t *testing.T, where string, all []byte, texts []string) {
	t.Helper()
	all = bytes.ToLower(all)
	for _, c := range texts {
		if bytes.Contains(all, []byte(strings.ToLower(c))) {
			t.Errorf("%s hold %q in the clear", where, c)
		}
	}
}

// bytesOf returns the bytes of every file of a folder.
func bytesOf(t *testing.T, dir string) []byte {
	t.Helper()
	var all []byte
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		all = append(all, data...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

const canaryCSV = "person,given_name,family_name,email,phone,address1,postcode,city,country,born,official_id,dataset\n" +
	"CANARY-REF-77,Canariella,Quillfeather,canariella@aviary.example.test,+447700900771,7 Featherstonehaugh Mews,QF7 7QF,Aviaryham,GB,1977-07-07,QF770707C,a\n" +
	"SPARROW-1,Spatz,Plain,spatz@aviary.example.test,,,,,GB,,,a\n"

var canaries = []string{"CANARY-REF-77", "Canariella", "Quillfeather", "canariella@", "7700900771", "Featherstonehaugh", "Aviaryham", "QF770707C", "1977-07-07"}

func canarySources() []Source {
	return []Source{Text("datasets.csv", "key,system,categories\na,s,user.name user.contact.email\n", Mapping{}), Text("people.csv", canaryCSV, Mapping{})}
}

func everybody() []event.Exposure { return []event.Exposure{window("a", "2026-01-01", "2026-02-01")} }

func TestPersonalDataStandInTheFilesOnlyEncrypted(t *testing.T) {
	eachVault(t, func(t *testing.T, v *vault) {
		mustImport(t, v.Store, "vardag", canarySources())
		if _, err := v.Seal(t.Context(), "vardag", "c", "st", everybody(), Policy{}); err != nil {
			t.Fatal(err)
		}
		if a, err := v.Contacts(t.Context(), event.ContactsQuestion{Org: "vardag", Case: "c", Revision: 1, To: 10}); err != nil || len(a.Contacts) != 2 {
			t.Fatal("the contacts must be readable with the keys")
		}
		if _, err := v.FindPerson(t.Context(), event.PersonQuestion{Org: "vardag", Asker: event.Person("d", "dpo"), Find: "canariella@aviary.example.test"}); err != nil {
			t.Fatal(err)
		}
		mustHoldNo(t, "the files", v.bytes(t), canaries)
	})
}

// numberOf finds a person by email address; 0 if there is none.
func numberOf(t *testing.T, s *Store, email string) person.Number {
	t.Helper()
	a, err := s.FindPerson(t.Context(), event.PersonQuestion{Org: "vardag", Asker: event.Person("d", "dpo"), Find: email})
	if err != nil {
		t.Fatal(err)
	}
	if len(a.People) == 0 {
		return 0
	}
	return a.People[0].Number
}

func TestAnErasedPersonIsUnreadableEvenFromACopyMadeBefore(t *testing.T) {
	v := openVault(t, t.TempDir())
	mustImport(t, v.Store, "vardag", canarySources())
	if _, err := v.Seal(t.Context(), "vardag", "c", "st", everybody(), Policy{}); err != nil {
		t.Fatal(err)
	}
	if _, err := v.db.ExecContext(t.Context(), `PRAGMA wal_checkpoint(TRUNCATE)`); err != nil {
		t.Fatal(err)
	}
	backup := t.TempDir() // of the database, not of the keys
	data, err := os.ReadFile(filepath.Join(v.dir, "scope.db"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(backup, "scope.db"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	n := numberOf(t, v.Store, "canariella@aviary.example.test")
	erased, err := v.Erase(t.Context(), "vardag", []person.Number{n}, "dora", "asked for it")
	if err != nil || erased != 1 {
		t.Fatalf("erased %d, %v", erased, err)
	}
	if again, err := v.Erase(t.Context(), "vardag", []person.Number{n}, "dora", "asked twice"); err != nil || again != 0 {
		t.Errorf("erased again: %d, %v", again, err)
	}
	a, err := v.Contacts(t.Context(), event.ContactsQuestion{Org: "vardag", Case: "c", Revision: 1, To: 10})
	if err != nil || len(a.Contacts) != 1 || a.Contacts[0].GivenName.Reveal() != "Spatz" || len(a.Erased) != 1 || a.Erased[0] != n || a.Next != 2 {
		t.Errorf("contacts: %d, erased %v, %v", len(a.Contacts), a.Erased, err)
	}
	if numberOf(t, v.Store, "canariella@aviary.example.test") != 0 {
		t.Error("an erased person is found by email address")
	}
	var out bytes.Buffer
	if _, err := v.Export(t.Context(), "vardag", "c", 1, nil, "dora", &out); err != nil || strings.Contains(out.String(), "Canariella") || !strings.Contains(out.String(), "Spatz") {
		t.Errorf("export after erasure: %v", err)
	}
	keys, err := os.ReadFile(filepath.Join(v.dir, "root.keys"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(backup, "root.keys"), keys, 0o600); err != nil {
		t.Fatal(err)
	}
	old := openVault(t, backup)
	if _, err := old.Contacts(t.Context(), event.ContactsQuestion{Org: "vardag", Case: "c", Revision: 1, To: 10}); !errors.Is(err, ErrDestroyed) {
		t.Errorf("the copy made before the erasure opens with today's keys: %v", err)
	}
}

func TestALaterImportDoesNotBringAnErasedPersonBack(t *testing.T) {
	eachVault(t, func(t *testing.T, v *vault) {
		mustImport(t, v.Store, "vardag", canarySources())
		if _, err := v.Erase(t.Context(), "vardag", []person.Number{numberOf(t, v.Store, "canariella@aviary.example.test")}, "dora", "asked for it"); err != nil {
			t.Fatal(err)
		}
		// The same number again, and the same mailbox and name under another number.
		again := canarySources()
		again[1] = Text("again.csv", strings.Replace(canaryCSV, "SPARROW-1", "SPARROW-2", 1)+
			"OTHER-9,CANARIELLA,Quillfeather,Canariella@aviary.example.test,,,,,GB,,,a\n", Mapping{})
		r := mustImport(t, v.Store, "vardag", again)
		if r.Erased < 2 || r.New != 1 {
			t.Errorf("report %+v", r)
		}
		if numberOf(t, v.Store, "canariella@aviary.example.test") != 0 {
			t.Error("the erased person is back")
		}
		a, err := v.Preview(t.Context(), "vardag", everybody(), Policy{})
		if err != nil || a.People != 1 || a.Erased != 1 {
			t.Errorf("preview: %d people, %d erased, %v", a.People, a.Erased, err)
		}
	})
}

func TestALiftedTombstoneLetsAnImportBringThePersonBack(t *testing.T) {
	eachVault(t, func(t *testing.T, v *vault) {
		mustImport(t, v.Store, "vardag", canarySources())
		canary := numberOf(t, v.Store, "canariella@aviary.example.test")
		if _, err := v.Erase(t.Context(), "vardag", []person.Number{canary}, "dora", "asked"); err != nil {
			t.Fatal(err)
		}
		if _, err := v.Lift(t.Context(), "vardag", []person.Number{canary}, "dora", ""); err == nil {
			t.Error("lifted without a reason")
		}
		if n, err := v.Lift(t.Context(), "vardag", []person.Number{canary, canary}, "dora", "erased the wrong person"); n != 1 || err != nil {
			t.Fatalf("lifted %d: %v", n, err)
		}
		// Nothing of before comes back by itself: counted, with nothing known.
		a, err := v.Preview(t.Context(), "vardag", everybody(), Policy{})
		if err != nil || a.People != 2 || a.Counts.Jurisdictions["unknown"] != 1 || a.Counts.Channels["none"] != 1 {
			t.Errorf("before the import: %+v, %v", a.Counts, err)
		}
		if numberOf(t, v.Store, "canariella@aviary.example.test") != 0 {
			t.Error("the erased record is found again")
		}
		mustImport(t, v.Store, "vardag", canarySources())
		if got := numberOf(t, v.Store, "canariella@aviary.example.test"); got != canary {
			t.Errorf("after the import the person is number %d, want %d", got, canary)
		}
		if a, err = v.Preview(t.Context(), "vardag", everybody(), Policy{}); err != nil || a.Counts.Jurisdictions["GB"] != 2 {
			t.Errorf("after the import: %+v, %v", a.Counts, err)
		}
		entries, err := v.Audit(t.Context(), "vardag", 20)
		if err != nil {
			t.Fatal(err)
		}
		lifted := 0
		for _, e := range entries {
			if e.Act == "lift" && e.Actor == "dora" && e.Detail == "erased the wrong person" {
				lifted++
			}
		}
		if lifted != 1 {
			t.Errorf("the audit tells of %d liftings", lifted)
		}
	})
}

func TestRotationLeavesEverybodyReadable(t *testing.T) {
	eachVault(t, func(t *testing.T, v *vault) {
		mustImport(t, v.Store, "vardag", canarySources())
		for range 2 {
			if err := v.RotateKeys(t.Context(), "vardag", "admin"); err != nil {
				t.Fatal(err)
			}
		}
		reopened := v.another(t)
		if numberOf(t, reopened, "canariella@aviary.example.test") == 0 {
			t.Error("nobody is found after a rotation")
		}
		if r := mustImport(t, reopened, "vardag", append(canarySources(), Text("more.csv", "person,given_name\nX,New\n", Mapping{}))); r.New != 1 || r.Changed != 0 {
			t.Errorf("import after a rotation: %+v", r)
		}
	})
}

// lateRoot is slow: while it opens the keys for the first time, somebody rotates them.
type lateRoot struct {
	Root
	meanwhile func()
}

// Open implements Root.
func (r *lateRoot) Open(ctx context.Context, org string, version uint32, sealed []byte) ([]byte, error) {
	if f := r.meanwhile; f != nil {
		r.meanwhile = nil
		f()
	}
	return r.Root.Open(ctx, org, version, sealed)
}

func TestAReaderWhoseKeysAreRotatedAwayReadsWithTheNewOnes(t *testing.T) {
	eachVault(t, func(t *testing.T, v *vault) {
		mustImport(t, v.Store, "vardag", canarySources())
		root := &lateRoot{Root: v.cfg.Root, meanwhile: func() {
			if err := v.RotateKeys(t.Context(), "vardag", "admin"); err != nil {
				t.Error(err)
			}
		}}
		reader, err := Open(t.Context(), Config{DB: v.db, Root: root, TempDir: v.dir, Now: func() time.Time { return noon }})
		if err != nil {
			t.Fatal(err)
		}
		if numberOf(t, reader, "canariella@aviary.example.test") == 0 || root.meanwhile != nil {
			t.Error("nobody is found, or nothing was rotated meanwhile")
		}
	})
}

func TestNobodyWaitsOrFailsWhileKeysAreRotated(t *testing.T) {
	eachVault(t, func(t *testing.T, v *vault) {
		mustImport(t, v.Store, "vardag", canarySources())
		if _, err := v.Seal(t.Context(), "vardag", "c", "st", everybody(), Policy{}); err != nil {
			t.Fatal(err)
		}
		rotated := make(chan struct{})
		var readers sync.WaitGroup
		for _, s := range []*Store{v.Store, v.another(t)} {
			readers.Go(func() {
				for ended := false; !ended; {
					select {
					case <-rotated:
						ended = true // and read once more, under the last keys
					default:
					}
					a, err := s.Contacts(t.Context(), event.ContactsQuestion{Org: "vardag", Case: "c", Revision: 1, To: 10})
					if err != nil || len(a.Contacts) != 2 {
						t.Errorf("%d contacts while keys are rotated: %v", len(a.Contacts), err)
						return
					}
				}
			})
		}
		for range 25 {
			if err := v.RotateKeys(t.Context(), "vardag", "admin"); err != nil {
				t.Error(err)
			}
		}
		close(rotated)
		readers.Wait()
	})
}

func TestOrganisationsDoNotSeeEachOther(t *testing.T) {
	eachVault(t, func(t *testing.T, v *vault) {
		mustImport(t, v.Store, "vardag", canarySources())
		mustImport(t, v.Store, "nimbus", []Source{Text("datasets.csv", "key,system,categories\nb,s,user.name\n", Mapping{}), Text("people.csv", "person,given_name,dataset\nN1,Nils,b\n", Mapping{})})
		if _, err := v.Preview(t.Context(), "nimbus", everybody(), Policy{}); !errors.Is(err, ErrUnknownDataset) {
			t.Errorf("one organisation scopes another's dataset: %v", err)
		}
		if a, err := v.FindPerson(t.Context(), event.PersonQuestion{Org: "nimbus", Asker: event.Person("d", "dpo"), Find: "canariella@aviary.example.test"}); err != nil || len(a.People) != 0 {
			t.Errorf("one organisation finds another's people: %v, %v", a, err)
		}
		if _, err := v.Seal(t.Context(), "vardag", "c", "st", everybody(), Policy{}); err != nil {
			t.Fatal(err)
		}
		if _, err := v.Contacts(t.Context(), event.ContactsQuestion{Org: "nimbus", Case: "c", Revision: 1, To: 10}); !errors.Is(err, ErrNotSealed) {
			t.Errorf("one organisation reads another's list: %v", err)
		}
	})
}

func TestASecondImportIsRefusedWhileOneIsUnderWay(t *testing.T) {
	eachVault(t, func(t *testing.T, v *vault) {
		d, err := v.Deliver(t.Context(), "vardag", "import of people.csv")
		if err != nil {
			t.Fatal(err)
		}
		_, err = v.Import(t.Context(), "vardag", canarySources(), Options{})
		if !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "import of people.csv since 2026-11-20") {
			t.Errorf("second import: %v", err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		mustImport(t, v.Store, "vardag", canarySources())
	})
}

func TestAnImportThatStopsAnywhereShowsNothingAndGoesOn(t *testing.T) {
	want := sealedAfter(t, nil)
	stopped := 0
	for _, phase := range []string{"read", "identify", "index", "people", "records"} {
		got := sealedAfter(t, func(v *vault) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			_, err := v.Import(ctx, "vardag", killSources(), Options{Progress: func(p string, done float64) {
				if p == phase {
					cancel() // what is written is written; the rest is as after a kill
				}
			}})
			if err != nil {
				stopped++
			}
			a, err2 := v.Inventory(t.Context(), "vardag")
			if err2 != nil || err != nil && a.People != 0 {
				t.Errorf("after a stop while %s, %d people are visible: %v", phase, a.People, err2)
			}
		})
		if got != want {
			t.Errorf("stopped while %s: the list differs", phase)
		}
	}
	if stopped < 3 {
		t.Errorf("only %d imports were stopped", stopped)
	}
}

func killSources() []Source {
	return []Source{Text("systems.csv", systemsCSV, Mapping{}), Text("datasets.csv", datasetsCSV, Mapping{}),
		Text("people.csv", manyPeople(4000), Mapping{}), Text("holdings.csv", manyHoldings(4000), Mapping{})}
}

// sealedAfter imports after an attempt that went wrong and returns the digest.
func sealedAfter(t *testing.T, attempt func(*vault)) string {
	t.Helper()
	dir := t.TempDir()
	db, err := sqldb.Open(t.Context(), "sqlite:"+filepath.Join(dir, "scope.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	root, err := OpenFileRoot(filepath.Join(dir, "root.keys"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), Config{DB: db, Root: root, TempDir: dir, Rand: rand.NewChaCha8([32]byte{9}), Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	v := &vault{Store: s, dir: dir, db: db}
	if attempt != nil {
		attempt(v)
	}
	mustImport(t, s, "vardag", killSources())
	sealed, err := s.Seal(t.Context(), "vardag", "c", "st", autumn(), Policy{})
	if err != nil {
		t.Fatal(err)
	}
	return sealed.Digest
}

func TestAFullDiskLeavesTheStoreAsItWas(t *testing.T) {
	v := openVault(t, t.TempDir())
	mustImport(t, v.Store, "vardag", canarySources())
	var count int64
	if err := v.db.QueryRowContext(t.Context(), `PRAGMA page_count`).Scan(&count); err != nil {
		t.Fatal(err)
	}
	// The one connection that writes may not make the file larger: what a full disk does.
	if _, err := v.db.ExecContext(t.Context(), `PRAGMA max_page_count = `+strconv.FormatInt(count+2, 10)); err != nil {
		t.Fatal(err)
	}
	_, err := v.Import(t.Context(), "vardag", killSources(), Options{})
	if err == nil || !strings.Contains(err.Error(), "full") {
		t.Fatalf("import on a full disk: %v", err)
	}
	a, err := v.Preview(t.Context(), "vardag", everybody(), Policy{})
	if err != nil || a.People != 2 {
		t.Errorf("after a full disk: %d people, %v", a.People, err)
	}
	if _, err := v.db.ExecContext(t.Context(), `PRAGMA max_page_count = 1073741823`); err != nil {
		t.Fatal(err)
	}
	if r := mustImport(t, v.Store, "vardag", killSources()); r.New != 4000 {
		t.Errorf("import when there is room again: %+v", r)
	}
}
