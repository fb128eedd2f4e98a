package synthetic

import (
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/sqldb"
	"tocsin.dev/services/scope/inventory"
)

func store(t *testing.T) *inventory.Store {
	t.Helper()
	db, err := sqldb.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "scope.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	root, err := inventory.OpenFileRoot(filepath.Join(t.TempDir(), "root.keys"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := inventory.Open(t.Context(), inventory.Config{DB: db, Root: root, Rand: rand.NewChaCha8([32]byte{1}), TempDir: t.TempDir(), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func exposures(set *Set) (all []event.Exposure) {
	for _, d := range set.Datasets() {
		all = append(all, event.Exposure{Dataset: d.Key, From: time.Unix(0, 0), To: epoch.AddDate(1, 0, 0)})
	}
	return all
}

// files writes a set to a folder and returns its files as sources.
func files(t *testing.T, set *Set) []inventory.Source {
	t.Helper()
	dir := t.TempDir()
	if err := set.Write(dir); err != nil {
		t.Fatal(err)
	}
	all, err := inventory.Folder(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestFilesAndDirectDeliveryGiveTheSamePeople(t *testing.T) {
	for _, org := range append(Organisations(), "other") {
		t.Run(org, func(t *testing.T) {
			set := New(org, 2000, 42)
			var digests []string
			for _, sources := range [][]inventory.Source{files(t, set), {set.Source()}} {
				s := store(t)
				r, err := s.Import(t.Context(), org, sources, inventory.Options{})
				if err != nil {
					t.Fatalf("%v: %v", err, r.Errors[:min(3, len(r.Errors))])
				}
				if r.New != 2000 || r.Joined < 10 && org != "clearline" {
					t.Errorf("report %+v", r)
				}
				sealed, err := s.Seal(t.Context(), org, "c", "st", exposures(set), inventory.Policy{RetentionMonths: 36})
				if err != nil {
					t.Fatal(err)
				}
				digests = append(digests, sealed.Digest)
			}
			if digests[0] != digests[1] {
				t.Error("the lists differ")
			}
		})
	}
}

func TestPeopleHaveTheSpreadAndShapesOfRealInventories(t *testing.T) {
	set := New("other", 20_000, 7)
	s := store(t)
	if _, err := s.Import(t.Context(), "other", []inventory.Source{set.Source()}, inventory.Options{}); err != nil {
		t.Fatal(err)
	}
	a, err := s.Preview(t.Context(), "other", exposures(set), inventory.Policy{RetentionMonths: 36})
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Counts.Jurisdictions) < 30 || len(a.Counts.Languages) < 12 || a.Counts.Jurisdictions["unknown"] == 0 ||
		a.Counts.Channels["none"] == 0 || a.Counts.AgeClasses["minor"] == 0 {
		t.Errorf("spread: %+v", a.Counts)
	}
}

func TestNobodySyntheticCanBeReached(t *testing.T) {
	for _, org := range append(Organisations(), "other") {
		bounces, mailboxes := 0, 0
		err := New(org, 5000, 3).Each(func(_ int, row *Row) error {
			if row.Email != "" {
				mailboxes++
				if !strings.HasSuffix(row.Email, ".example.test") {
					t.Errorf("%s: a mailbox outside of the reserved domains", org)
				}
				if strings.Contains(row.Email, "bounce") {
					bounces++
				}
				for _, c := range row.Email {
					if c > '~' {
						t.Errorf("%s: a mailbox that is not ASCII: %q", org, row.Email)
					}
				}
			}
			switch {
			case row.Phone == "", strings.HasPrefix(row.Phone, "+447700900"), strings.HasPrefix(row.Phone, "+46701740"), strings.HasPrefix(row.Phone, "+61491570"),
				strings.HasPrefix(row.Phone, "+3363998"), strings.HasPrefix(row.Phone, "+1") && row.Phone[5:10] == "55501":
			default:
				t.Errorf("%s: phone %q is not kept for fiction", org, row.Phone)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if share := 100 * bounces / mailboxes; share < 1 || share > 4 {
			t.Errorf("%s: %d %% of the mailboxes bounce", org, share)
		}
	}
}
