package wording

import (
	"slices"
	"strings"
	"testing"

	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/law"
	"tocsin.dev/pkg/organisation"
	"tocsin.dev/pkg/person"
)

var starterOrg = &organisation.Organisation{Name: "Harbour Ltd", Language: "en-GB", AllowedLinks: []string{"org.example.test"},
	Contact: &organisation.ContactPoint{Label: "Data team", Email: "e@example.test", Phone: "+441632960100", URL: "https://org.example.test"},
	Sender:  organisation.Sender{Email: "n@example.test", SMS: "+447700900100", Post: "1 Harbour Way"}}

func TestEveryStartingTextReadsCleanForEveryKindOfPerson(t *testing.T) {
	starters, err := Starters()
	if err != nil {
		t.Fatal(err)
	}
	sheet := map[string]string{"what_happened": "A.", "when": "on 1 May", "consequences": "B.", "measures": "C.", "advice": "D."}
	for _, s := range starters {
		tpl, err := Compile(s.Key(), s.Subject, s.Body)
		if err != nil {
			t.Fatal(err)
		}
		b, err := tpl.Bind(Common{Organisation: starterOrg, CaseNumber: "2026-001", Sheet: sheet})
		if err != nil {
			t.Fatalf("%s: %v", s.ID, err)
		}
		for _, code := range []string{"email", "password", "payment_card", "security_answer"} {
			m, err := b.Render(Recipient{Contact: &person.Contact{Number: 1, GivenName: "Åsa", FamilyName: "Ö", Exposed: exposed(t, code)}, Reference: "REF-1"})
			if err != nil {
				t.Fatalf("%s: %v", s.ID, err)
			}
			if strings.Contains(m.Text, "{{") || strings.Contains(m.Text, "\n\n\n") || strings.Contains(m.Text, "\uE000") {
				t.Errorf("%s for %s:\n%s", s.ID, code, m.Text)
			}
		}
	}
}

func TestWhoseAddressWasBoughtReadsWhereFrom(t *testing.T) {
	starters, err := Starters()
	if err != nil {
		t.Fatal(err)
	}
	const from = "a list of List Broker & Co., 2024"
	for _, s := range starters {
		if s.Audience != "people" || s.Channel == "sms" || !s.For("eu-gdpr") && !s.For("uk-gdpr") {
			continue
		}
		tpl, err := Compile(s.Key(), s.Subject, s.Body)
		if err != nil {
			t.Fatal(err)
		}
		b, err := tpl.Bind(Common{Organisation: starterOrg, CaseNumber: "2026-001", Sheet: realSheet[s.Language[:2]]})
		if err != nil {
			t.Fatal(err)
		}
		for source, want := range map[person.Text]int{from: 1, "": 0} {
			m, err := b.Render(Recipient{Contact: &person.Contact{Number: 1, Relation: "bought_list", Source: source, Exposed: exposed(t, "email")}, Reference: "REF-1"})
			if err != nil || strings.Count(m.Text, from) != want {
				t.Errorf("%s with the source %q: %v\n%s", s.ID, source.Reveal(), err, m.Text)
			}
		}
	}
}

// realSheet is a facts sheet as people write it, in the starters' languages.
var realSheet = map[string]map[string]string{
	"en": {
		"what_happened": "Somebody outside the company read our customer files.", "when": "between 17 and 20 May 2026",
		"consequences": "Somebody could pretend to be us when they call or write to you.", "measures": "We have closed the gap and told the police.",
		"advice": "Be wary of anybody who contacts you about your account.",
	},
	"sv": {
		"what_happened": "Någon utifrån läste våra kundregister.", "when": "mellan den 17 och 20 maj 2026",
		"consequences": "Någon kan låtsas vara vi när de ringer eller skriver till dig.", "measures": "Vi har stängt hålet och gjort en polisanmälan.",
		"advice": "Var försiktig om någon hör av sig om ditt konto.",
	},
}

func TestThereIsAStartingTextForEveryLawAndLanguageOfTheProduct(t *testing.T) {
	all, err := Starters()
	if err != nil {
		t.Fatal(err)
	}
	for _, regime := range []string{"eu-gdpr", "uk-gdpr", "us-ny", "us-ma", "us-ca", "us-hipaa", "au-ndb"} {
		for _, language := range []string{"en-GB", "sv-FI"} {
			for _, channel := range []string{"email", "letter"} {
				tag := language
				if strings.HasPrefix(regime, "us-") && language == "en-GB" {
					tag = "en-US"
				}
				if regime == "au-ndb" && language == "en-GB" {
					tag = "en-AU"
				}
				if s, ok := StarterFor(all, regime, channel, tag); !ok || !s.For(regime) {
					t.Errorf("no %s for %s in %s", channel, regime, tag)
				}
			}
		}
	}
	for _, k := range []event.TextKey{{Audience: "guardians", Channel: "email", Language: "en-GB"}, {Audience: "guardians", Channel: "letter", Language: "sv"},
		{Audience: "public", Channel: "page", Language: "en-GB"}, {Audience: "public", Channel: "page", Language: "sv"}} {
		if _, ok := StarterOf(all, "uk-gdpr", k); !ok {
			t.Errorf("no text %s", k)
		}
	}
	for regime, id := range map[string]string{"us-ca": "us-ca.people.en", "us-ny": "us.people.en", "us-hipaa": "hipaa.people.en"} {
		if s, _ := StarterFor(all, regime, "letter", "en-US"); s.ID != id {
			t.Errorf("the text for %s is %q, want %q", regime, s.ID, id)
		}
	}
}

// Each starting text is held against the rules it was written for, as the desk
// holds a text against the open duties: required and forbidden content,
// prescribed headings, reading level, links, length.
func TestEveryStartingTextSaysWhatItsOwnDutiesDemand(t *testing.T) {
	starters, err := Starters()
	if err != nil {
		t.Fatal(err)
	}
	rules, err := law.Default()
	if err != nil {
		t.Fatal(err)
	}
	// No field carries these; the text itself must say them, in both languages.
	spoken := map[string]string{"police_report": "police report", "credit_freeze": "security freeze", "cra_contacts": "Equifax (888-298-0045)", "agency_contacts": "Federal Trade Commission (877-438-4338)"}
	usual := exposed(t, "name", "email", "password", "security_answer", "payment_card", "bank_account", "national_id")
	for _, s := range starters {
		set := Set{Organisation: starterOrg, CaseNumber: "2026-001", Channels: []string{map[string]string{"letter": "post"}[s.Channel] + strings.TrimPrefix(s.Channel, "letter")},
			Sheet: func(language string) map[string]string { return realSheet[base(language)] },
			Texts: []event.WordingDrafted{{TextKey: s.Key(), Subject: s.Subject, Body: s.Body}}, Exposed: usual}
		if s.Audience == "people" {
			set.Languages = map[string]int64{s.Language: 1}
		}
		held := 0
		for _, r := range rules.All() {
			regime, _, _ := strings.Cut(r.Full, ".")
			if r.To.Kind != "people" || !s.For(regime) {
				continue
			}
			held++
			for _, word := range r.Content.Required {
				set.Required = append(set.Required, Demand{Content: word, Duty: r.Full, Citation: r.Full, Place: r.Jurisdiction})
				if says := spoken[word]; s.Channel != "sms" && !strings.Contains(s.Body, says) {
					t.Errorf("%s must say %q for %s", s.ID, says, r.Full)
				}
			}
			for _, word := range r.Content.Forbidden {
				set.Forbidden = append(set.Forbidden, Demand{Content: word, Duty: r.Full, Citation: r.Full, Place: r.Jurisdiction})
			}
			if slices.Contains(s.Regimes, regime) {
				for _, phrase := range r.Content.Phrases {
					if !strings.Contains(s.Subject+"\n"+s.Body, phrase) {
						t.Errorf("%s lacks the heading %q that %s prescribes", s.ID, phrase, r.Full)
					}
				}
			}
		}
		if held == 0 {
			t.Errorf("%s was written for %v, and no such rule tells people anything", s.ID, s.Regimes)
		}
		for _, f := range Check(set) {
			if f.Blocks || f.Check == "readability" || f.Check == "hedging" {
				t.Errorf("%s by %s: %s: %s", s.ID, s.Channel, f.Check, f.Message)
			}
		}
	}
}

func TestOneFactsSheetFeedsEveryAudienceAndChannel(t *testing.T) {
	render := func(k event.TextKey, happened string) string {
		tpl, err := Compile(k, "", "{{facts.what_happened}}")
		if err != nil {
			t.Fatal(err)
		}
		b, err := tpl.Bind(Common{Organisation: starterOrg, Sheet: map[string]string{"what_happened": happened}})
		if err != nil {
			t.Fatal(err)
		}
		m, err := b.Render(Recipient{Contact: &person.Contact{Number: 1}})
		if err != nil {
			t.Fatal(err)
		}
		return m.Text + m.HTML
	}
	for _, audience := range []string{"people", "guardians", "partners", "public"} {
		for _, channel := range []string{"email", "sms", "letter", "page"} {
			k := event.TextKey{Audience: audience, Channel: channel, Language: "en"}
			if before, after := render(k, "It was read."), render(k, "It was copied."); !strings.Contains(before, "It was read.") || !strings.Contains(after, "It was copied.") {
				t.Errorf("%s does not show the fact as it is stated", k)
			}
		}
	}
}

func TestAResidentOfMassachusettsIsNotToldTheNatureOfTheBreach(t *testing.T) {
	all, err := Starters()
	if err != nil {
		t.Fatal(err)
	}
	for _, language := range []string{"en-US", "sv"} {
		s, ok := StarterFor(all, "us-ma", "letter", language)
		if !ok {
			t.Fatalf("no text in %s", language)
		}
		tpl, err := Compile(s.Key(), s.Subject, s.Body)
		if err != nil {
			t.Fatal(err)
		}
		sheet := realSheet[base(language)]
		b, err := tpl.Bind(Common{Organisation: starterOrg, CaseNumber: "2026-001", Sheet: sheet})
		if err != nil {
			t.Fatal(err)
		}
		for place, told := range map[string]bool{"US-MA": false, "US-NY": true} {
			m, err := b.Render(Recipient{Contact: &person.Contact{Number: 1, GivenName: "Ada", Jurisdiction: place, Exposed: exposed(t, "email")}, Reference: "R"})
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Contains(m.Text+m.HTML, sheet["what_happened"]); got != told {
				t.Errorf("%s, a resident of %s is told what happened: %v", language, place, got)
			}
			if got := strings.Contains(m.Text, "police report"); got != (place == "US-MA") {
				t.Errorf("%s, a resident of %s is told of the police report: %v", language, place, got)
			}
		}
	}
}
