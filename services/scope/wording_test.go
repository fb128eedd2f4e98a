package scope

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/bus/bustest"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/sqldb"
	"tocsin.dev/pkg/wording"
	"tocsin.dev/services/scope/inventory"
	"tocsin.dev/services/scope/inventory/synthetic"
)

// write says a text of the case.
func (r *room) write(number, language, body string) {
	r.t.Helper()
	c, err := r.journal.Load(r.t.Context(), tenant, number)
	must(r.t, err)
	k := event.TextKey{Audience: "people", Channel: "email", Language: language}
	e, err := event.New(event.NewID(), time.Now(), tenant, number, event.Person("anna", "analyst"),
		&event.WordingDrafted{TextKey: k, Version: 1, Subject: "s", Body: body, Digest: wording.Digest(k, "s", body)})
	must(r.t, err)
	_, err = r.journal.Append(r.t.Context(), tenant, number, c.Seq, e)
	must(r.t, err)
}

func (r *room) survey(number string) (event.WordingAnswer, error) {
	return bus.Ask[event.WordingQuestion, event.WordingAnswer](r.t.Context(), r.desk, event.AskWording,
		event.WordingQuestion{Org: tenant, Case: number, Asker: event.Person("lex", "legal"), Wait: 30_000})
}

func TestEveryMissingValueOfTheListIsNamedBeforeApproval(t *testing.T) {
	r := openRoom(t, bustest.Start(t), t.TempDir())
	var people strings.Builder
	people.WriteString("person,given_name,email,language,country,age_class,guardian,dataset\n")
	for i := range 50 {
		name := "Ada"
		if i%2 == 0 { // 25 people have no name
			name = ""
		}
		fmt.Fprintf(&people, "%d,%s,p%d@example.test,en-GB,GB,,,crm.customers\n", i, name, i)
	}
	people.WriteString("a,Ada,a@example.test,sv,SE,,,crm.customers\nb,Bo,b@example.test,da,DK,,,crm.customers\n")
	people.WriteString("g,Gun,g@example.test,en-GB,GB,adult,,crm.customers\nm,Mia,,en-GB,GB,minor,g,crm.customers\n")
	_, err := r.service.Inventory().Import(t.Context(), tenant, []inventory.Source{
		inventory.Text("datasets.csv", "key,system,categories\ncrm.customers,crm,user.name user.contact.email\n", inventory.Mapping{}),
		inventory.Text("people.csv", people.String(), inventory.Mapping{}),
	}, inventory.Options{})
	must(t, err)
	r.declare("2026-001", "crm.customers")
	r.answered("2026-001")

	if a, err := r.survey("2026-001"); err != nil || a.Problem == "" {
		t.Errorf("without a text the answer is %+v, %v; want a problem", a, err)
	}
	r.write("2026-001", "en-GB", "Dear {{person.given_name}}, {{exposed.categories}}.")
	r.write("2026-001", "sv", "Hej! {{exposed.categories}}.")
	a, err := r.survey("2026-001")
	must(t, err)
	if !a.Done || a.Checked != a.People || a.People != 54 {
		t.Fatalf("checked %d of %d people, done %v; want all 54", a.Checked, a.People, a.Done)
	}
	if len(a.Missing) != 1 || a.Missing[0].People != 25 || a.Missing[0].Field != "person.given_name" || a.Missing[0].Language != "en-GB" {
		t.Fatalf("missing = %+v, want 25 people without a given name in English", a.Missing)
	}
	if n := a.Missing[0].Numbers; len(n) != event.NamedPeople || !slices.IsSorted(n) {
		t.Errorf("named are %v, want the first %d in order", n, event.NamedPeople)
	}
	if len(a.Unworded) != 2 || a.Unworded[0].Language == "sv" || a.Unworded[1].Language == "sv" {
		t.Errorf("without a text are %+v, want the reader of Danish and the guardian", a.Unworded)
	}
	again, err := r.survey("2026-001")
	must(t, err)
	audit, err := r.service.Inventory().Audit(t.Context(), tenant, 10)
	must(t, err)
	walks := 0
	for _, e := range audit {
		if e.Act == "walk" {
			walks++
		}
	}
	if walks != 1 || again.Checked != a.Checked {
		t.Errorf("asked twice for the same words and list, %d walks stand in the audit; want 1", walks)
	}
}

func TestASurveyIsOfTheWordsAsTheyStand(t *testing.T) {
	r := openRoom(t, bustest.Start(t), t.TempDir())
	r.importPeople()
	r.declare("2026-001", "crm.customers")
	r.answered("2026-001")
	for i, body := range []string{"Dear {{person.given_name}}", "Dear {{person.family_name}}", "Dear {{person.given_name}}"} {
		r.write("2026-001", "en-GB", body)
		a, err := r.survey("2026-001")
		must(t, err)
		c, err := r.journal.Load(t.Context(), tenant, "2026-001")
		must(t, err)
		for _, text := range a.Texts {
			if text.Digest != c.Texts[text.TextKey].Digest {
				t.Errorf("version %d: the survey is of other words", i+1)
			}
		}
		if lacks := len(a.Missing) > 0; lacks != (i == 1) {
			t.Errorf("version %d: missing %+v", i+1, a.Missing)
		}
	}
}

// peopleMeasured is how many people the benchmark has; TOCSIN_BENCH_PEOPLE changes it.
func peopleMeasured() int {
	if n, err := strconv.Atoi(os.Getenv("TOCSIN_BENCH_PEOPLE")); err == nil {
		return n
	}
	return 100_000
}

// BenchmarkWordingOverAList lays three texts over a whole sealed list, as the
// desk asks before an approval: one operation is the whole list.
func BenchmarkWordingOverAList(b *testing.B) {
	dir, people := b.TempDir(), peopleMeasured()
	store := benchStore(b, dir, people)
	texts := []event.WordingDrafted{}
	starters, err := wording.Starters()
	if err != nil {
		b.Fatal(err)
	}
	for _, s := range starters {
		if strings.HasPrefix(s.ID, "gdpr.people.") {
			texts = append(texts, event.WordingDrafted{TextKey: s.Key(), Subject: s.Subject, Body: s.Body})
		}
	}
	debug.FreeOSMemory()
	before := cpu(b)
	var checked int64
	var peak uint64
	for b.Loop() {
		parts := make([]*wording.Survey, surveyorsAtOnce)
		for i := range parts {
			if parts[i], err = wording.NewSurvey(texts, "en-GB", true); err != nil {
				b.Fatal(err)
			}
		}
		errs := make(chan error, len(parts))
		for i, part := range parts {
			go func() {
				batches := 0
				_, err := store.Walk(context.Background(), "bench", "c", 1, i, len(parts), func(w inventory.Walked) error {
					lay(part, w)
					if batches++; i == 0 && batches%16 == 0 {
						var m runtime.MemStats
						runtime.ReadMemStats(&m)
						peak = max(peak, m.Sys-m.HeapReleased)
					}
					return nil
				})
				errs <- err
			}()
		}
		for range parts {
			if err := <-errs; err != nil {
				b.Fatal(err)
			}
		}
		parts[0].Merge(parts[1])
		checked += parts[0].Answer().Checked
	}
	b.ReportMetric(float64(checked)/b.Elapsed().Seconds(), "people/s")
	b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(checked), "µs-CPU/person")
	b.ReportMetric(float64(peak)/1e6, "peak-MB")
}

func benchStore(b *testing.B, dir string, people int) *inventory.Store {
	b.Helper()
	ctx := context.Background()
	db, err := sqldb.Open(ctx, "sqlite:"+filepath.Join(dir, "scope.db"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	root, err := inventory.OpenFileRoot(filepath.Join(dir, "root.keys"))
	if err != nil {
		b.Fatal(err)
	}
	store, err := inventory.Open(ctx, inventory.Config{DB: db, Root: root, TempDir: dir, Now: time.Now})
	if err != nil {
		b.Fatal(err)
	}
	d, err := store.Deliver(ctx, "bench", "made-up people")
	if err != nil {
		b.Fatal(err)
	}
	if err := synthetic.New("tidewater", people, 1).Deliver(ctx, d); err != nil {
		b.Fatal(err)
	}
	if _, err := d.Commit(ctx, "x", true); err != nil {
		b.Fatal(err)
	}
	_ = d.Close()
	inv, err := store.Inventory(ctx, "bench")
	if err != nil {
		b.Fatal(err)
	}
	var all []event.Exposure
	for _, s := range inv.Systems {
		for _, set := range s.Datasets {
			all = append(all, event.Exposure{Dataset: set.Key, From: time.Unix(0, 0), To: time.Now().AddDate(1, 0, 0)})
		}
	}
	if _, err := store.Seal(ctx, "bench", "c", "s", all, inventory.Policy{}); err != nil {
		b.Fatal(err)
	}
	return store
}

func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
