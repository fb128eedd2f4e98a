package duty

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/law"
	"tocsin.dev/pkg/organisation"
)

var (
	aware   = time.Date(2026, 11, 20, 9, 30, 0, 0, time.UTC)
	builtIn = sync.OnceValues(law.Default)
)

func rules(t testing.TB) *law.Rules {
	t.Helper()
	r, err := builtIn()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func declared(facts ...event.FactStated) *casefile.Case {
	c := Declaration("nimbus", event.CaseDeclared{Title: "t", AwareAt: aware, AwareZone: "Europe/London", Role: "controller", Severity: "high"}, aware.Add(time.Hour))
	for i, f := range facts {
		if f.KnownSince.IsZero() {
			f.KnownSince = aware.Add(time.Duration(i+1) * time.Hour)
		}
		fact := casefile.Fact{FactStated: f, EventID: "fact-" + string(rune('a'+i)), StatedBy: event.Person("anna", "analyst"), StatedAt: f.KnownSince}
		c.Facts[f.Key] = fact
		c.FactHistory = append(c.FactHistory, fact)
	}
	return c
}

var undecided = &organisation.Organisation{ID: "nimbus", Name: "Nimbus", Zone: "Europe/London",
	Law: organisation.Law{Kinds: []string{"controller"}, Candidates: []string{"GB", "IE", "US-CA"}, Unsure: []string{"telecom-provider"}}}

func TestAnUndecidedEstablishmentShowsTheStrictestAsProvisional(t *testing.T) {
	c := declared()
	provisional := 0
	for _, d := range Of(rules(t), undecided, c, aware.Add(2*time.Hour)) {
		if d.Provisional == "" {
			continue
		}
		provisional++
		if !strings.Contains(d.Provisional, "GB, IE, US-CA") {
			t.Errorf("%s: %q does not name the candidates", d.ID, d.Provisional)
		}
	}
	if provisional == 0 {
		t.Fatal("nothing is provisional")
	}
	c = declared(event.FactStated{Key: "established", Value: "GB", Note: "the contract says so"})
	ico := false
	for _, d := range Of(rules(t), undecided, c, aware.Add(2*time.Hour)) {
		if d.Provisional != "" {
			t.Errorf("%s is still provisional: %s", d.ID, d.Provisional)
		}
		ico = ico || strings.HasPrefix(d.ID, "uk-gdpr.authority")
		if strings.HasPrefix(d.ID, "eu-gdpr.authority") {
			t.Errorf("%s stays although a person decided for GB", d.ID)
		}
	}
	if !ico {
		t.Error("no duty towards the ICO although a person decided for GB")
	}
}

func TestAKindThatNobodyDecidedIsAssumedUntilAPersonSaysNo(t *testing.T) {
	telecom := func(c *casefile.Case) (found bool) {
		for _, d := range Of(rules(t), undecided, c, aware.Add(2*time.Hour)) {
			if strings.Contains(d.Rule, "611") || strings.Contains(strings.Join(d.Assumed, " "), "telecom-provider") {
				found = true
			}
		}
		return found
	}
	if !telecom(declared()) {
		t.Error("an undecided telecom provider has no duty of one")
	}
	if telecom(declared(event.FactStated{Key: "kind.telecom-provider", Value: "no"})) {
		t.Error("after «no» the duty of a telecom provider stays")
	}
}

func TestALaterStatementCorrectsAnEarlierWhateverItSaysOfWhenItWasKnown(t *testing.T) {
	earlier := aware.Add(-8 * time.Hour)
	c := declared(event.FactStated{Key: "event.aware", Value: earlier.Format(time.RFC3339), KnownSince: earlier, Note: "mail of the night shift"})
	for _, d := range Of(rules(t), undecided, c, aware.Add(2*time.Hour)) {
		if strings.HasPrefix(d.ID, "uk-gdpr.authority") && !d.Due.Equal(earlier.Add(72*time.Hour)) {
			t.Errorf("%s due %v", d.ID, d.Due)
		}
	}
}

func TestHoldsFollowTheHistoryOfTheirStatements(t *testing.T) {
	at := func(h int) *time.Time { return new(aware.Add(time.Duration(h) * time.Hour)) }
	state := func(value string, h int) event.FactStated {
		return event.FactStated{Key: "hold.law-enforcement", Value: value, TrueSince: at(h)}
	}
	texas := event.FactStated{Key: "hold.law-enforcement.US-TX", Value: "oral until 2026-12-01T00:00:00Z", TrueSince: at(9)}
	c := declared(state("requested", 1), state("granted", 2), state("released", 5), state("written", 6), texas, state("no", 6), state("released", 20))
	type hold struct {
		From, Released, Until time.Time
		Form                  string
		Granted               bool
		Places                []string
	}
	var got []hold
	for _, h := range Facts(undecided, c).Holds {
		got = append(got, hold{h.From, h.Released, h.Until, h.Form, *h.Granted, h.Jurisdictions})
	}
	want := []hold{
		{*at(2), *at(5), time.Time{}, "written", true, nil},
		{*at(9), time.Time{}, time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC), "oral", true, []string{"US-TX"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("holds (-want +got):\n%s", diff)
	}
}

func TestEveryOfferedFactIsAcceptedAndReachesTheRules(t *testing.T) {
	r := rules(t)
	words := Words(r)
	seen := map[string]bool{}
	for _, w := range words {
		if seen[w.Key] || w.Title == "" || w.Hint == "" && len(w.Choices) == 0 || !IsLaw(w.Key) {
			t.Errorf("%+v is offered twice, or without title, hint or group", w)
		}
		seen[w.Key] = true
		values := w.Choices
		if len(values) == 0 {
			values = []string{map[string]string{"event": "2026-11-20T09:00:00Z", "finding": "yes with le_consulted", "count": "at least 500", "size": "12",
				"hold": "written", "data": "name, user.contact.email"}[w.Group]}
			if w.Group == "organisation" {
				values = []string{"SE"}
			}
		}
		for _, v := range values {
			if err := Check(r, w.Key, v); err != nil {
				t.Errorf("%s = %q: %v", w.Key, v, err)
			}
		}
		value := values[0]
		if w.Key == keyRole {
			value = "both" // the case is declared as a controller's
		}
		before, after := Facts(undecided, declared()), Facts(undecided, declared(event.FactStated{Key: w.Key, Value: value}))
		if cmp.Equal(before, after) {
			t.Errorf("%s = %q changes no fact", w.Key, value)
		}
	}
	if len(words) < 150 {
		t.Errorf("only %d facts are offered", len(words))
	}
}

func TestAFactThatNoRuleReadsIsRefusedByName(t *testing.T) {
	for _, c := range []struct{ key, value, field, says string }{
		{"event.detectd", "2026-11-20T09:00:00Z", "key", "not a fact"},
		{"flag.material", "yes", "key", "test.material"},
		{"breach.confidentiality", "maybe", "value", "yes, no, unknown"},
		{"event.detected", "yesterday", "value", "instant"},
		{"event.detected.US-XX", "2026-11-20T09:00:00Z", "key", "US-XX"},
		{"breach.access.US-CA", "yes", "key", "takes none"},
		{"count.minors", "many", "value", "no count"},
		{"count.minors", "9 to 3", "value", "smaller"},
		{"hold.law-enforcement", "maybe", "value", "released"},
		{"hold.law-enforcement", "oral until noon", "value", "instant"},
		{"established", "Atlantis", "value", "no place"},
		{"lead_authority", "SE, DE", "value", "country"},
		{"data.elements", "name, shoe_size", "value", "shoe_size"},
		{"finding.no_harm", "yes with 3 witnesses!", "value", "evidence"},
	} {
		err := Check(rules(t), c.key, c.value)
		var bad *FactError
		if !errors.As(err, &bad) || bad.Field != c.field || !strings.Contains(bad.Error(), c.key) || !strings.Contains(bad.Why, c.says) {
			t.Errorf("%s = %q: %v; want a problem of its %s that says %q", c.key, c.value, err, c.field, c.says)
		}
	}
}

func TestPeopleWithoutAPlaceWidenTheCountsOfEveryPlace(t *testing.T) {
	c := declared()
	c.Sealed = append(c.Sealed, casefile.Sealed{ScopeSealed: event.ScopeSealed{Revision: 1, People: 505, Counts: event.Counts{
		Jurisdictions: map[string]int64{"US-CA": 499, "unknown": 6}, Channels: map[string]int64{"none": 4}, AgeClasses: map[string]int64{"minor": 7, "unknown": 2}}}})
	f := Facts(undecided, c)
	if got := f.People.ByJurisdiction["US-CA"].String(); got != "499" && f.People.ByJurisdiction["US-CA"].Max != 505 {
		t.Errorf("California counts %s", got)
	}
	if f.Counts["minors"].Min != 7 || f.Counts["minors"].Max != 9 || f.Counts["unreachable"].Min != 4 {
		t.Errorf("counts %v", f.Counts)
	}
}
