package journal_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/bus/bustest"
	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/journal"
	"tocsin.dev/pkg/natsd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const org, number = "acme", "2026-001"

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func open(t testing.TB, srv *bustest.Server, service string) *journal.Journal {
	t.Helper()
	j, err := journal.New(srv.Connect(t, service), journal.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func made(t testing.TB, caseID string, at time.Time, body event.Body) event.Event {
	t.Helper()
	e, err := event.New(event.NewID(), at, org, caseID, event.Person("ana", "analyst"), body)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func declared(t testing.TB, caseID string) event.Event {
	return made(t, caseID, noon, event.CaseDeclared{Title: "stolen backup", AwareAt: noon, AwareZone: "UTC", Severity: event.SeverityHigh, Role: "controller"})
}

func fact(t testing.TB, caseID, value string) event.Event {
	return made(t, caseID, noon, event.FactStated{Key: "encryption", Value: value, KnownSince: noon})
}

func mustAppend(t testing.TB, j *journal.Journal, caseID string, expected uint64, events ...event.Event) uint64 {
	t.Helper()
	last, err := j.Append(within(t, 20*time.Second), org, caseID, expected, events...)
	if err != nil {
		t.Fatal(err)
	}
	return last
}

func TestACaseIsTheFoldOfWhatWasAppended(t *testing.T) {
	srv := bustest.Start(t)
	desk, notice := open(t, srv, event.Desk), open(t, srv, event.Notice)
	first := mustAppend(t, desk, number, 0, declared(t, number))
	ctx := within(t, 10*time.Second)
	c, err := notice.Load(ctx, org, number)
	if err != nil || c.Declared == nil || c.Seq != first {
		t.Fatalf("loaded %+v, %v", c, err)
	}
	last := mustAppend(t, desk, number, first, fact(t, number, "none"), fact(t, number, "full"))
	later, err := notice.Load(ctx, org, number)
	if err != nil || later.Seq != last || later.Facts["encryption"].Value != "full" || len(later.FactHistory) != 2 {
		t.Errorf("loaded %+v, %v", later, err)
	}
	if len(c.Facts) != 0 || c.Seq != first {
		t.Error("the case that was loaded earlier changed under its holder")
	}
	again, err := notice.Load(ctx, org, number)
	if err != nil || again != later {
		t.Errorf("nothing is new, yet the case was folded again (%v)", err)
	}
}

func TestAnAppendAfterSomebodyElsesIsAConflict(t *testing.T) {
	srv := bustest.Start(t)
	desk := open(t, srv, event.Desk)
	first := mustAppend(t, desk, number, 0, declared(t, number))
	mustAppend(t, desk, number, first, fact(t, number, "none"))
	ctx := within(t, 10*time.Second)
	for name, events := range map[string][]event.Event{
		"one event": {fact(t, number, "full")},
		"a batch":   {fact(t, number, "full"), fact(t, number, "partial")},
	} {
		if _, err := desk.Append(ctx, org, number, first, events...); !errors.Is(err, journal.ErrConflict) {
			t.Errorf("%s: got %v, want ErrConflict", name, err)
		}
		if _, err := desk.Append(ctx, org, number, 0, events...); !errors.Is(err, journal.ErrConflict) {
			t.Errorf("%s of a new case: got %v, want ErrConflict", name, err)
		}
	}
	if entries, err := desk.Entries(ctx, org, number); err != nil || len(entries) != 2 {
		t.Errorf("the journal holds %d events (%v), want 2", len(entries), err)
	}
}

func TestAnotherCaseIsNoConflict(t *testing.T) {
	srv := bustest.Start(t)
	desk := open(t, srv, event.Desk)
	first := mustAppend(t, desk, number, 0, declared(t, number))
	mustAppend(t, desk, "2026-002", 0, declared(t, "2026-002"))
	mustAppend(t, desk, "2026-00", 0, declared(t, "2026-00"))
	mustAppend(t, desk, number, first, fact(t, number, "none"))
}

func TestARepeatedAppendSucceedsAndStoresNothingTwice(t *testing.T) {
	srv := bustest.Start(t)
	desk := open(t, srv, event.Desk)
	first := mustAppend(t, desk, number, 0, declared(t, number))
	two := []event.Event{fact(t, number, "none"), fact(t, number, "full")}
	last := mustAppend(t, desk, number, first, two...)
	mustAppend(t, desk, number, last, fact(t, number, "later"))
	if again := mustAppend(t, desk, number, first, two...); again != last {
		t.Errorf("the repeat ended at %d, the first at %d", again, last)
	}
	ctx := within(t, 10*time.Second)
	if entries, err := desk.Entries(ctx, org, number); err != nil || len(entries) != 4 {
		t.Errorf("the journal holds %d events (%v), want 4", len(entries), err)
	}
	if _, err := desk.Append(ctx, org, number, first, two[0], fact(t, number, "other")); !errors.Is(err, journal.ErrConflict) {
		t.Errorf("half of it repeated: %v, want ErrConflict", err)
	}
}

func TestOfManyWritersOneWinsEachSequence(t *testing.T) {
	srv := bustest.Start(t)
	desk := open(t, srv, event.Desk)
	mustAppend(t, desk, number, 0, declared(t, number))
	const writers, each = 6, 10
	var wg sync.WaitGroup
	for w := range writers {
		j := open(t, srv, event.Desk)
		wg.Go(func() {
			for i := range each {
				events := []event.Event{fact(t, number, fmt.Sprintf("%d-%d-a", w, i)), fact(t, number, fmt.Sprintf("%d-%d-b", w, i))}
				for {
					c, err := j.Load(within(t, 20*time.Second), org, number)
					if err != nil {
						t.Error(err)
						return
					}
					if _, err = j.Append(within(t, 20*time.Second), org, number, c.Seq, events...); err == nil {
						break
					}
					if !errors.Is(err, journal.ErrConflict) {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	entries, err := desk.Entries(within(t, 10*time.Second), org, number)
	if err != nil || len(entries) != 1+2*writers*each {
		t.Fatalf("the journal holds %d events (%v), want %d", len(entries), err, 1+2*writers*each)
	}
	for i := 1; i < len(entries); i += 2 {
		a, b := value(t, entries[i]), value(t, entries[i+1])
		if strings.TrimSuffix(a, "-a") != strings.TrimSuffix(b, "-b") {
			t.Errorf("the decision %q was torn apart by %q", a, b)
		}
	}
}

func value(t *testing.T, e casefile.Entry) string {
	body, err := event.Decode(e.Event)
	if err != nil {
		t.Fatal(err)
	}
	return body.(*event.FactStated).Value
}

func TestADecisionIsStoredWholeOrNotAtAll(t *testing.T) {
	srv := bustest.Start(t)
	intake, desk := open(t, srv, event.Intake), open(t, srv, event.Desk)
	first := mustAppend(t, desk, number, 0, declared(t, number))
	linked := made(t, number, noon, event.AlertLinked{Alert: "a", Source: "siem", Title: "x", ReceivedAt: noon})
	started := time.Now()
	_, err := intake.Append(within(t, 10*time.Second), org, number, first, linked, fact(t, number, "not intake's to say"), linked)
	if !errors.Is(err, bus.ErrForbidden) {
		t.Errorf("got %v, want ErrForbidden", err)
	}
	if took := time.Since(started); took > time.Second {
		t.Errorf("it took %v to fail", took)
	}
	if entries, err := desk.Entries(within(t, 5*time.Second), org, number); err != nil || len(entries) != 1 {
		t.Errorf("the journal holds %d events (%v), want 1", len(entries), err)
	}
}

func TestAServiceCannotSayWhatAnotherSays(t *testing.T) {
	srv := bustest.Start(t)
	for service, e := range map[string]event.Event{
		event.Intake:   declared(t, number),
		event.Notice:   made(t, number, noon, event.ScopeSealed{}),
		event.Deadline: made(t, number, noon, event.WordingApproved{}),
		event.Desk:     made(t, number, noon, event.DutyOpened{}),
	} {
		started := time.Now()
		if _, err := open(t, srv, service).Append(within(t, 10*time.Second), org, number, 0, e); !errors.Is(err, bus.ErrForbidden) {
			t.Errorf("%s said %s: %v, want ErrForbidden", service, e.Type, err)
		}
		if took := time.Since(started); took > time.Second {
			t.Errorf("%s was refused only after %v", service, took)
		}
	}
}

func TestTheJournalCannotBeDeletedNotEvenByTheAdmin(t *testing.T) {
	srv := bustest.Start(t)
	desk := open(t, srv, event.Desk)
	seq := mustAppend(t, desk, number, 0, declared(t, number))
	js, err := jetstream.New(srv.Connect(t, natsd.Admin))
	if err != nil {
		t.Fatal(err)
	}
	ctx := within(t, 10*time.Second)
	s, err := js.Stream(ctx, event.StreamCases)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteMsg(ctx, seq); err == nil {
		t.Error("a message was deleted")
	}
	if err := s.Purge(ctx); err == nil {
		t.Error("the stream was purged")
	}
	cfg := s.CachedInfo().Config
	cfg.DenyDelete, cfg.DenyPurge = false, false
	if _, err := js.UpdateStream(ctx, cfg); err == nil {
		t.Error("the protection was taken off")
	}
}

func TestInvalidEventsAreNamedAndNeverStored(t *testing.T) {
	srv := bustest.Start(t)
	desk := open(t, srv, event.Desk)
	good := declared(t, number)
	change := func(f func(*event.Event)) event.Event { e := good; f(&e); return e }
	for name, e := range map[string]event.Event{
		"no id":           change(func(e *event.Event) { e.ID = "" }),
		"no actor":        change(func(e *event.Event) { e.Actor = event.Actor{} }),
		"no instant":      change(func(e *event.Event) { e.At = time.Time{} }),
		"another case":    change(func(e *event.Event) { e.Case = "2026-002" }),
		"a wildcard type": change(func(e *event.Event) { e.Type = "case.>.v1" }),
		"a short type":    change(func(e *event.Event) { e.Type = "declared" }),
		"too large":       change(func(e *event.Event) { e.Data = []byte(`"` + strings.Repeat("x", journal.MaxEventBytes) + `"`) }),
		"broken data":     change(func(e *event.Event) { e.Data = []byte("{") }),
	} {
		if _, err := desk.Append(within(t, 5*time.Second), org, number, 0, e); !errors.Is(err, journal.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	for _, id := range []string{"", "2026.001", "*", ">", "2026 001", "Über", strings.Repeat("x", 65)} {
		if _, err := desk.Append(within(t, 5*time.Second), org, id, 0, good); !errors.Is(err, journal.ErrInvalid) {
			t.Errorf("case %q: %v, want ErrInvalid", id, err)
		}
		if _, err := desk.Load(within(t, 5*time.Second), id, number); !errors.Is(err, journal.ErrInvalid) {
			t.Errorf("load of organisation %q: %v, want ErrInvalid", id, err)
		}
	}
	if _, err := desk.Append(within(t, 5*time.Second), org, number, 0); !errors.Is(err, journal.ErrInvalid) {
		t.Errorf("no events: %v, want ErrInvalid", err)
	}
}

func TestTheLargestEventAndTheLargestDecisionFit(t *testing.T) {
	srv := bustest.Start(t)
	desk := open(t, srv, event.Desk)
	big := made(t, number, noon, event.WordingDrafted{Body: strings.Repeat("x", journal.MaxEventBytes-1000)})
	last := mustAppend(t, desk, number, 0, big)
	many := make([]event.Event, journal.MaxBatch)
	for i := range many {
		many[i] = fact(t, number, fmt.Sprint(i))
	}
	mustAppend(t, desk, number, last, many...)
	c, err := desk.Load(within(t, 10*time.Second), org, number)
	if err != nil || len(c.FactHistory) != len(many) {
		t.Errorf("%d facts (%v), want %d", len(c.FactHistory), err, len(many))
	}
}

func TestAnUnknownCaseIsNotFound(t *testing.T) {
	srv := bustest.Start(t)
	j := open(t, srv, event.Scope)
	ctx := within(t, 5*time.Second)
	if _, err := j.Load(ctx, org, "2026-404"); !errors.Is(err, journal.ErrNotFound) {
		t.Errorf("load: %v", err)
	}
	if _, err := j.Entries(ctx, org, "2026-404"); !errors.Is(err, journal.ErrNotFound) {
		t.Errorf("entries: %v", err)
	}
	if refs, err := j.Cases(ctx, ""); err != nil || len(refs) != 0 {
		t.Errorf("cases: %v, %v", refs, err)
	}
}

func TestACaseIsShownAsItWasKnown(t *testing.T) {
	srv := bustest.Start(t)
	desk := open(t, srv, event.Desk)
	first := mustAppend(t, desk, number, 0, declared(t, number))
	mustAppend(t, desk, number, first,
		made(t, number, noon.Add(time.Hour), event.FactStated{Key: "encryption", Value: "full", KnownSince: noon}),
		made(t, number, noon.Add(2*time.Hour), event.FactStated{Key: "encryption", Value: "none", KnownSince: noon}))
	ctx := within(t, 5*time.Second)
	for after, want := range map[time.Duration]string{30 * time.Minute: "", time.Hour: "full", 90 * time.Minute: "full", 3 * time.Hour: "none"} {
		c, err := desk.AsOf(ctx, org, number, noon.Add(after))
		if err != nil || c.Facts["encryption"].Value != want {
			t.Errorf("after %v: %q, %v; want %q", after, c.Facts["encryption"].Value, err, want)
		}
	}
	if _, err := desk.AsOf(ctx, org, number, noon.Add(-time.Hour)); !errors.Is(err, journal.ErrNotFound) {
		t.Errorf("before the case: %v, want ErrNotFound", err)
	}
}

func TestCasesAreListedByOrganisation(t *testing.T) {
	srv := bustest.Start(t)
	desk := open(t, srv, event.Desk)
	for _, o := range []string{"acme", "bolt"} {
		for _, n := range []string{"2026-001", "2026-002"} {
			e := declared(t, n)
			e.Org = o
			if _, err := desk.Append(within(t, 5*time.Second), o, n, 0, e); err != nil {
				t.Fatal(err)
			}
		}
	}
	c, err := desk.Load(within(t, 5*time.Second), org, "2026-002")
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, desk, "2026-002", c.Seq, made(t, "2026-002", noon, event.CaseClosed{Reason: "done"}))
	refs, err := desk.Cases(within(t, 5*time.Second), org)
	if err != nil {
		t.Fatal(err)
	}
	got := map[journal.Ref]bool{}
	for _, r := range refs {
		got[r] = true
	}
	want := map[journal.Ref]bool{{Org: org, Case: "2026-001"}: true, {Org: org, Case: "2026-002", Closed: true}: true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("cases of acme (-want +got):\n%s", diff)
	}
	if all, err := desk.Cases(within(t, 5*time.Second), ""); err != nil || len(all) != 4 {
		t.Errorf("%d cases of all (%v), want 4", len(all), err)
	}
}

func TestAFollowerSeesEveryEventInOrder(t *testing.T) {
	srv := bustest.Start(t)
	desk, follower := open(t, srv, event.Desk), open(t, srv, event.Scope)
	last := mustAppend(t, desk, number, 0, declared(t, number))
	ctx, cancel := context.WithCancel(within(t, 30*time.Second))
	defer cancel()
	seen := make(chan casefile.Entry, 100)
	ended := make(chan error, 1)
	go func() {
		ended <- follower.Follow(ctx, org, "", 0, func(e casefile.Entry) error { seen <- e; return nil })
	}()
	if e := <-seen; e.Type != event.TypeCaseDeclared {
		t.Fatalf("the first is %s", e.Type)
	}
	for i := range 20 {
		started := time.Now()
		last = mustAppend(t, desk, number, last, fact(t, number, fmt.Sprint(i)))
		if e := <-seen; e.Seq != last || value(t, e) != fmt.Sprint(i) {
			t.Fatalf("event %d is %+v", i, e)
		}
		if took := time.Since(started); i > 0 && took > time.Second {
			t.Errorf("event %d was seen only after %v", i, took)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("following ended with %v", err)
	}
	stop := errors.New("enough")
	if err := follower.Follow(within(t, 5*time.Second), org, number, 0, func(casefile.Entry) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v, want the follower's own error", err)
	}
}

func TestTheJournalOutlivesTheServer(t *testing.T) {
	srv := bustest.Start(t)
	desk := open(t, srv, event.Desk)
	first := mustAppend(t, desk, number, 0, declared(t, number))
	last := mustAppend(t, desk, number, first, fact(t, number, "none"), fact(t, number, "full"))
	srv.Close()
	again := open(t, bustest.Open(t, srv.Dir), event.Desk)
	c, err := again.Load(within(t, 10*time.Second), org, number)
	if err != nil || c.Seq != last || c.Facts["encryption"].Value != "full" {
		t.Errorf("after the restart: %+v, %v", c, err)
	}
	mustAppend(t, again, number, last, fact(t, number, "later"))
}

func TestALongCaseIsReadInBulk(t *testing.T) {
	srv := bustest.Start(t)
	desk := open(t, srv, event.Desk)
	fill(t, desk, 4999)
	c, err := open(t, srv, event.Notice).Load(within(t, 20*time.Second), org, number)
	if err != nil || len(c.FactHistory) != 4999 {
		t.Errorf("%d facts (%v), want 4999", len(c.FactHistory), err)
	}
}

// fill declares a case and states n facts in it.
func fill(t testing.TB, j *journal.Journal, n int) {
	last := mustAppend(t, j, number, 0, declared(t, number))
	for n > 0 {
		batch := make([]event.Event, min(n, journal.MaxBatch))
		for i := range batch {
			batch[i] = fact(t, number, fmt.Sprint(i))
		}
		last = mustAppend(t, j, number, last, batch...)
		n -= len(batch)
	}
}

func BenchmarkAppendOne(b *testing.B) {
	desk := open(b, bustest.Start(b), event.Desk)
	last := mustAppend(b, desk, number, 0, declared(b, number))
	for b.Loop() {
		last = mustAppend(b, desk, number, last, fact(b, number, "none"))
	}
}

func BenchmarkAppendDecisionOfFive(b *testing.B) {
	desk := open(b, bustest.Start(b), event.Desk)
	last := mustAppend(b, desk, number, 0, declared(b, number))
	for b.Loop() {
		five := []event.Event{fact(b, number, "1"), fact(b, number, "2"), fact(b, number, "3"), fact(b, number, "4"), fact(b, number, "5")}
		last = mustAppend(b, desk, number, last, five...)
	}
}

func BenchmarkLoadNothingNew(b *testing.B) {
	desk := open(b, bustest.Start(b), event.Desk)
	fill(b, desk, 100)
	ctx := context.Background()
	for b.Loop() {
		if _, err := desk.Load(ctx, org, number); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLoadOneNewOfTenThousand(b *testing.B) {
	desk := open(b, bustest.Start(b), event.Desk)
	fill(b, desk, 9999)
	ctx := context.Background()
	c, err := desk.Load(ctx, org, number)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		b.StopTimer()
		mustAppend(b, desk, number, c.Seq, fact(b, number, "more"))
		b.StartTimer()
		if c, err = desk.Load(ctx, org, number); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadAndFoldTenThousand(b *testing.B) {
	srv := bustest.Start(b)
	fill(b, open(b, srv, event.Desk), 9999)
	nc := srv.Connect(b, event.Scope)
	for b.Loop() {
		j, err := journal.New(nc, journal.Config{})
		if err != nil {
			b.Fatal(err)
		}
		if c, err := j.Load(context.Background(), org, number); err != nil || len(c.FactHistory) != 9999 {
			b.Fatal(err)
		}
	}
}

func BenchmarkFoldTenThousand(b *testing.B) {
	desk := open(b, bustest.Start(b), event.Desk)
	fill(b, desk, 9999)
	entries, err := desk.Entries(context.Background(), org, number)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if c := casefile.Fold(entries); len(c.FactHistory) != 9999 {
			b.Fatal("facts are missing")
		}
	}
}
