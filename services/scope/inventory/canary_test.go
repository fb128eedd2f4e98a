//go:build unix

package inventory

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/person"
)

// flock is how many canary people it takes for their import to need working files.
const flock = 50_000

// large skips a test that takes long and has nothing for the race detector.
func large(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("large: run without -short")
	}
}

func flockSources() []Source {
	var b strings.Builder
	b.WriteString("person,given_name,family_name,email,phone,address1,city,country,official_id,dataset\n")
	street := strings.Repeat("7 Featherstonehaugh Mews ", 20)
	for i := range flock {
		fmt.Fprintf(&b, "CANARY-REF-%d,Canariella,Quillfeather,canariella@%d.aviary.example.test,+44%010d,%s,Aviaryham,GB,QF770707C%d,a\n", i, i, 7_700_900_000+i, street, i)
	}
	return []Source{oneDataset(), Text("people.csv", b.String(), Mapping{})}
}

var flockTexts = []string{"CANARY-REF-", "Canariella", "Quillfeather", "@7.aviary", "Featherstonehaugh", "Aviaryham", "QF770707C", "+4477009"}

// workingFiles returns the bytes of the temporary files of imports that this
// process has open; they have no name any more.
func workingFiles(t *testing.T) (all []byte, files int) {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range open {
		path := filepath.Join("/proc/self/fd", e.Name())
		name, err := os.Readlink(path)
		if err != nil || !strings.Contains(name, "tocsin-import-") {
			continue
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, data...)
		files++
	}
	return all, files
}

func TestAnImportUnderWayShowsNobodyInAnyFile(t *testing.T) {
	large(t)
	if runtime.GOOS != "linux" {
		t.Skip("open files without a name can be read through /proc alone")
	}
	v := openVault(t, t.TempDir())
	looked, most, last := 0, 0, ""
	_, err := v.Import(t.Context(), "vardag", flockSources(), Options{Progress: func(phase string, _ float64) {
		if phase == last {
			return
		}
		last = phase
		working, files := workingFiles(t)
		mustHoldNo(t, "the working files while "+phase, working, flockTexts)
		mustHoldNo(t, "the files while "+phase, bytesOf(t, v.dir), flockTexts)
		looked, most = looked+1, max(most, files)
	}})
	if err != nil || looked < 4 || most == 0 {
		t.Errorf("looked %d times, at %d working files: %v", looked, most, err)
	}
	if _, files := workingFiles(t); files > 0 {
		t.Errorf("%d working files are still open", files)
	}
}

func TestAnImportKilledInItsMiddleLeavesNobodyReadable(t *testing.T) {
	large(t)
	for _, phase := range []string{"identify", "index", "people"} {
		dir := t.TempDir()
		dies(t, "canary "+phase, dir)
		mustHoldNo(t, "what a process killed while "+phase+" left", bytesOf(t, dir), flockTexts)
	}
}

func TestErasedPeopleAreInNoExportAndInNoFile(t *testing.T) {
	eachVault(t, func(t *testing.T, v *vault) {
		ctx := t.Context()
		mustImport(t, v.Store, "vardag", canarySources())
		if _, err := v.Seal(ctx, "vardag", "c", "st", everybody(), Policy{}); err != nil {
			t.Fatal(err)
		}
		var before strings.Builder
		if _, err := v.Export(ctx, "vardag", "c", 1, nil, "dora", &before); err != nil || !strings.Contains(before.String(), "Canariella") {
			t.Fatalf("export before the erasure: %v", err)
		}
		canary := numberOf(t, v.Store, "canariella@aviary.example.test")
		if _, err := v.Erase(ctx, "vardag", []person.Number{canary}, "dora", "asked for it"); err != nil {
			t.Fatal(err)
		}
		// A list sealed before, one sealed after, and another process.
		if _, err := v.Seal(ctx, "vardag", "c", "later", everybody(), Policy{}); err != nil {
			t.Fatal(err)
		}
		for _, s := range []*Store{v.Store, v.another(t)} {
			for revision := 1; revision <= 2; revision++ {
				var out strings.Builder
				if _, err := s.Export(ctx, "vardag", "c", revision, nil, "dora", &out); err != nil || !strings.Contains(out.String(), "Spatz") {
					t.Errorf("export of revision %d: %v", revision, err)
				}
				mustHoldNo(t, fmt.Sprintf("the export of revision %d", revision), []byte(out.String()), canaries)
			}
			for _, find := range []string{"canariella@aviary.example.test", "+447700900771", "Canariella Quillfeather"} {
				a, err := s.FindPerson(ctx, event.PersonQuestion{Org: "vardag", Asker: event.Person("d", "dpo"), Find: find})
				if err != nil || len(a.People) != 0 {
					t.Errorf("the search for one of three identifiers finds %d people: %v", len(a.People), err)
				}
			}
			// The number stays as a tombstone that says since when.
			a, err := s.FindPerson(ctx, event.PersonQuestion{Org: "vardag", Asker: event.Person("d", "dpo"), Number: canary, Reveal: true, Reason: "who was this"})
			if err != nil || len(a.People) != 1 || a.People[0].ErasedAt == nil || !a.People[0].ErasedAt.Equal(noon) || a.People[0].Revealed != nil || a.People[0].Masked != nil {
				t.Errorf("the tombstone shows %+v, %v", a.People, err)
			}
		}
		mustHoldNo(t, "the files", v.bytes(t), canaries)
	})
}
