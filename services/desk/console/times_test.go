package console

import (
	"fmt"
	"html/template"
	"testing"
	"time"
)

func TestInstantsShowTheLocalTimeFirstAndUTCInBrackets(t *testing.T) {
	warsaw, err := time.LoadLocation("Europe/Warsaw")
	if err != nil {
		t.Fatal(err)
	}
	york, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	for want, got := range map[string]string{
		"24 November 2026, 10:00 Warsaw (09:00 UTC)":                Instant(at, warsaw),
		"24 November 2026, 09:00 UTC":                               Instant(at, time.UTC),
		"24 November 2026, 23:30 New York (25 November, 04:30 UTC)": Instant(at.Add(19*time.Hour+30*time.Minute), york),
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestPeopleMayTypeInstantsInSeveralWays(t *testing.T) {
	want := time.Date(2026, 11, 22, 9, 30, 0, 0, time.UTC)
	for _, typed := range []string{"2026-11-22 09:30", "2026-11-22T09:30", "22 November 2026 09:30", " 22 Nov  2026, 09:30 "} {
		if got, err := ParseField(typed, time.UTC); err != nil || !got.Equal(want) {
			t.Errorf("%q is %v, %v", typed, got, err)
		}
	}
	for _, typed := range []string{"", "11/22/2026 9:30 AM", "tomorrow", "2026-02-30 10:00"} {
		if got, err := ParseField(typed, time.UTC); err == nil {
			t.Errorf("%q is %v", typed, got)
		}
	}
}

func TestEveryPageParses(t *testing.T) {
	none := func(any) string { return "" }
	funcs := template.FuncMap{}
	for _, name := range []string{"number", "urgency", "device", "account", "categories", "categoryOf"} {
		funcs[name] = none
	}
	p, err := New(funcs)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.byName) < 20 {
		t.Errorf("only %d pages", len(p.byName))
	}
}

func TestABarShowsItsPartsInProportion(t *testing.T) {
	parts := Bar([]Part{{Name: "a", Count: 1}, {Name: "b", Count: 3}})
	if parts[0].W != 25 || parts[1].X != 25 || parts[1].W != 75 {
		t.Errorf("parts are %+v", parts)
	}
	if empty := Bar([]Part{{Name: "a"}}); empty[0].W != 0 {
		t.Errorf("an empty bar is %+v", empty)
	}
}

func ExampleSpan() {
	fmt.Println(Span(50*time.Hour), "·", Span(90*time.Minute), "·", Span(40*time.Second))
	// Output: 2 d 2 h · 1 h 30 min · 40 s
}
