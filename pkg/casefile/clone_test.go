package casefile

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tocsin.dev/pkg/event"
)

// story is a case in which every kind of state is made and then changed.
func story(t *testing.T) []Entry {
	t.Helper()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	due, later := at.Add(72*time.Hour), at.Add(96*time.Hour)
	key := event.TextKey{Audience: "people", Channel: "email", Language: "en-GB"}
	bodies := []event.Body{
		event.CaseDeclared{Title: "stolen backup", AwareAt: at, Alerts: []string{"a"}},
		event.FactStated{Key: "encryption", Value: "none"},
		event.AlertAccepted{Alert: "b"},
		event.AlertLinked{Alert: "a"},
		event.RiskAssessed{Level: event.RiskHigh},
		event.ExposureStated{},
		event.ScopeSealed{Revision: 1},
		event.ScopeRefused{Statement: "s", Reason: "r"},
		event.DutyOpened{Duty: event.Duty{ID: "d", Due: &due}},
		event.DutyDueSoon{Duty: "d", HoursLeft: 24},
		event.DutyMissed{Duty: "d", Due: due},
		event.DutyChanged{Duty: event.Duty{ID: "d", Due: &later}},
		event.WordingDrafted{TextKey: key, Version: 1, Digest: "x"},
		event.WordingRejected{TextKey: key, Digest: "x", Reason: "no"},
		event.WordingApproved{Approval: event.Approval{ID: "ap"}},
		event.DispatchOrdered{Order: "o"},
		event.DispatchPlanned{Order: "o"},
		event.DispatchPaused{Order: "o"},
		event.DispatchResumed{Order: "o"},
		event.DispatchProgressed{Order: "o", Tally: event.Tally{People: 1}},
		event.FactStated{Key: "encryption", Value: "full"},
		event.DutyMet{Duty: "d"},
		event.DutyWaived{Duty: "d"},
		event.DutyDropped{Duty: "d"},
		event.DispatchStopped{Order: "o"},
		event.CaseClosed{Reason: "done"},
	}
	entries := make([]Entry, 0, len(bodies)+1)
	for i, b := range bodies {
		e, err := event.New(event.NewID(), at.Add(time.Duration(i)*time.Minute), "acme", "2026-001", event.Person("ana", "analyst"), b)
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, Entry{Seq: uint64(i + 1), Event: e})
	}
	unknown := entries[0]
	unknown.Seq, unknown.Type = uint64(len(entries)+1), "case.sung_about.v1"
	return append(entries, unknown)
}

func TestFoldingACloneOnLeavesTheOriginalAlone(t *testing.T) {
	entries := story(t)
	for n := range entries {
		original, untouched := Fold(entries[:n]), Fold(entries[:n])
		clone := original.Clone()
		for _, e := range entries[n:] {
			clone.Apply(e)
		}
		if diff := cmp.Diff(untouched, original); diff != "" {
			t.Errorf("after %d events the original changed with its clone:\n%s", n, diff)
		}
		if whole := Fold(entries); !cmp.Equal(whole, *clone) {
			t.Errorf("a clone made after %d events ends elsewhere:\n%s", n, cmp.Diff(whole, *clone))
		}
	}
}
