package casefile

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tocsin.dev/pkg/event"
)

var day = time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)

func entry(t interface{ Fatal(...any) }, seq uint64, body event.Body) Entry {
	e, err := event.New(event.DerivedID("t", string(rune(seq))), day.Add(time.Duration(seq)*time.Minute), "tidewater", "2026-001", event.Person("anna", "analyst"), body)
	if err != nil {
		t.Fatal(err)
	}
	return Entry{Seq: seq, Event: e}
}

func anyBody(t *rapid.T) event.Body {
	id := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "id")
	due := day.Add(time.Duration(rapid.IntRange(0, 96).Draw(t, "due")) * time.Hour)
	key := event.TextKey{Audience: "people", Channel: "email", Language: "sv"}
	return rapid.SampledFrom([]event.Body{
		&event.CaseDeclared{Title: id}, &event.FactStated{Key: "risk", Value: id}, &event.FactStated{Key: "sheet.when.sv", Value: id},
		&event.DutyOpened{Duty: event.Duty{ID: id, Due: &due}}, &event.DutyChanged{Duty: event.Duty{ID: id, Due: &due}, Why: "w"},
		&event.DutyDropped{Duty: id}, &event.DutyMissed{Duty: id, Due: due}, &event.DutyMet{Duty: id}, &event.DutyDueSoon{Duty: id, HoursLeft: 4},
		&event.WordingDrafted{TextKey: key, Digest: id}, &event.WordingRejected{TextKey: key, Digest: id, Reason: "r"},
		&event.ScopeSealed{Revision: 1, Digest: id}, &event.DispatchOrdered{Order: id}, &event.DispatchPaused{Order: id},
		&event.DispatchResumed{Order: id}, &event.DispatchStopped{Order: id}, &event.DispatchCompleted{Order: id},
		&event.ApprovalRefused{Order: id}, &event.CaseClosed{Reason: "done"},
	}).Draw(t, "body")
}

func TestFoldIsPureAndApplyingTwiceChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var entries []Entry
		for i := range rapid.IntRange(0, 40).Draw(t, "n") {
			entries = append(entries, entry(t, uint64(i+1), anyBody(t)))
		}
		once := Fold(entries)
		var doubled []Entry
		for _, e := range entries {
			doubled = append(doubled, e, e)
		}
		if twice := Fold(doubled); !reflect.DeepEqual(once, twice) {
			t.Fatalf("folding repeated entries differs:\n%+v\n%+v", once, twice)
		}
		cut := rapid.IntRange(0, len(entries)).Draw(t, "cut")
		grown := Fold(entries[:cut])
		for _, e := range entries[cut:] {
			grown.Apply(e)
		}
		if !reflect.DeepEqual(once, grown) {
			t.Fatalf("folding in two steps differs:\n%+v\n%+v", once, grown)
		}
	})
}

func TestUnknownAndBrokenEventsAreKeptAndIgnored(t *testing.T) {
	declared := entry(t, 1, &event.CaseDeclared{Title: "x"})
	newer := declared
	newer.Seq, newer.Type = 2, "case.renamed.v1"
	broken := declared
	broken.Seq, broken.Data = 3, json.RawMessage(`{"title":7}`)
	c := Fold([]Entry{declared, newer, broken})
	if len(c.Unknown) != 2 || c.Seq != 3 || c.Declared.Title != "x" {
		t.Errorf("unknown %d, seq %d, title %q", len(c.Unknown), c.Seq, c.Declared.Title)
	}
}

func TestAMovedDueInstantForgetsItsRemindersAndItsMiss(t *testing.T) {
	due, later := day.Add(time.Hour), day.Add(48*time.Hour)
	c := Fold([]Entry{
		entry(t, 1, &event.DutyOpened{Duty: event.Duty{ID: "d", Due: &due}}),
		entry(t, 2, &event.DutyDueSoon{Duty: "d", Due: due, HoursLeft: 1}),
		entry(t, 3, &event.DutyMissed{Duty: "d", Due: due}),
		entry(t, 4, &event.DutyChanged{Duty: event.Duty{ID: "d", Due: &later}, WasDue: &due, Why: "the anchor was corrected"}),
	})
	if d := c.Duties["d"]; d.State != DutyOpen || d.Reminded != 0 || d.MissedDue != nil || len(d.Changes) != 1 {
		t.Errorf("duty = %+v", d)
	}
}

func TestAnApprovalGoesStaleWithWordsListSheetAndTime(t *testing.T) {
	key := event.TextKey{Audience: "people", Channel: "email", Language: "en-GB"}
	base := []Entry{
		entry(t, 1, &event.ScopeSealed{Revision: 1, Digest: "list1"}),
		entry(t, 2, &event.WordingDrafted{TextKey: key, Digest: "w1"}),
		entry(t, 3, &event.FactStated{Key: "sheet.when.en", Value: "on Friday"}),
	}
	c := Fold(base)
	a := event.Approval{Texts: []event.ApprovedText{{TextKey: key, Digest: "w1"}}, Revision: 1, ScopeDigest: "list1", SheetDigest: c.SheetDigest(), ValidUntil: day.Add(24 * time.Hour)}
	if why := c.Stale(a, day); why != "" {
		t.Errorf("a fresh approval is stale: %s", why)
	}
	for name, change := range map[string]event.Body{
		"words": &event.WordingDrafted{TextKey: key, Digest: "w2"},
		"list":  &event.ScopeSealed{Revision: 2, Digest: "list2"},
		"sheet": &event.FactStated{Key: "sheet.when.en", Value: "on Saturday"},
	} {
		changed := Fold(append(append([]Entry{}, base...), entry(t, 4, change)))
		if changed.Stale(a, day) == "" {
			t.Errorf("a change of the %s left the approval standing", name)
		}
	}
	if c.Stale(a, day.Add(25*time.Hour)) == "" {
		t.Error("an approval outlived its window")
	}
}

func TestAnEndedOrderDoesNotComeBack(t *testing.T) {
	c := Fold([]Entry{
		entry(t, 1, &event.DispatchOrdered{Order: "o"}),
		entry(t, 2, &event.DispatchStopped{Order: "o", Reason: "wrong list"}),
		entry(t, 3, &event.DispatchResumed{Order: "o"}),
		entry(t, 4, &event.DispatchPlanned{Order: "o"}),
	})
	if o := c.Order("o"); o.State != OrderStopped {
		t.Errorf("state = %s, want stopped", o.State)
	}
}

func BenchmarkFoldTenThousandEvents(b *testing.B) {
	key := event.TextKey{Audience: "people", Channel: "email", Language: "sv"}
	entries := make([]Entry, 0, 10_000)
	for i := range 10_000 {
		var body event.Body = &event.DispatchProgressed{Order: "o", Tally: event.Tally{People: 10, States: map[string]map[string]int64{"email": {"delivered": 3}}}}
		if i%3 == 0 {
			body = &event.WordingDrafted{TextKey: key, Version: i, Body: "text", Digest: "d"}
		}
		entries = append(entries, entry(b, uint64(i+1), body))
	}
	for b.Loop() {
		Fold(entries)
	}
}

func TestARevokedApproverTakesEveryStandingApprovalAlong(t *testing.T) {
	key := event.TextKey{Audience: "people", Channel: "email", Language: "en-GB"}
	entries := []Entry{
		entry(t, 1, &event.ScopeSealed{Revision: 1, Digest: "list1"}),
		entry(t, 2, &event.WordingDrafted{TextKey: key, Digest: "w1"}),
	}
	c := Fold(entries)
	a := event.Approval{ID: "a", Approver: "lena", Texts: []event.ApprovedText{{TextKey: key, Digest: "w1"}}, Revision: 1, ScopeDigest: "list1", SheetDigest: c.SheetDigest(), ValidUntil: day.Add(24 * time.Hour)}
	entries = append(entries, entry(t, 3, &event.WordingApproved{Approval: a}), entry(t, 4, &event.ApprovalRevoked{Approver: "lena", Reason: "left"}))
	c = Fold(entries)
	if c.Stale(a, day) == "" {
		t.Error("the approval of a revoked approver stands")
	}
}
