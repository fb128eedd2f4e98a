package wording

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/organisation"
)

func goodSet(t *testing.T) Set {
	t.Helper()
	sheet := map[string]string{
		"what_happened": "Someone read our customer files.", "when": "on 1 May 2026", "consequences": "You may get false calls.",
		"measures": "We closed the gap.", "advice": "Be careful.",
	}
	starters, err := Starters()
	if err != nil {
		t.Fatal(err)
	}
	s := Set{
		Organisation: &organisation.Organisation{
			Name: "Org", Language: "en-GB", Contact: &organisation.ContactPoint{Label: "Data team", Email: "data@example.test"},
			Sender: organisation.Sender{Email: "n@example.test", SMS: "+447700900100"}, AllowedLinks: []string{"example.test"},
		},
		CaseNumber: "2026-001", Sheet: func(string) map[string]string { return sheet },
		Channels: []string{"email", "sms"}, Languages: map[string]int64{"en-GB": 10, "unknown": 1}, Exposed: exposed(t, "email", "password"),
		Required: []Demand{{Content: "consequences", Citation: "Art. 34(2)"}, {Content: "contact", Citation: "Art. 34(2)"}},
	}
	for _, st := range starters {
		if st.Language == "en" && strings.HasPrefix(st.ID, "gdpr.people.") {
			s.Texts = append(s.Texts, event.WordingDrafted{TextKey: st.Key(), Subject: st.Subject, Body: st.Body})
		}
	}
	return s
}

func names(fs []Finding) []string {
	var out []string
	for _, f := range fs {
		if f.Blocks {
			out = append(out, f.Check)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func TestTheStartingTextsPassTheirChecks(t *testing.T) {
	if got := Check(goodSet(t)); len(names(got)) > 0 {
		t.Errorf("blocked by %+v", got)
	}
}

func TestEachCheckBlocksWhatItIsFor(t *testing.T) {
	edit := func(s *Set, channel string, f func(*event.WordingDrafted)) {
		for i := range s.Texts {
			if s.Texts[i].Channel == channel {
				f(&s.Texts[i])
			}
		}
	}
	for want, spoil := range map[string]func(*Set){
		"syntax": func(s *Set) { edit(s, "email", func(t *event.WordingDrafted) { t.Body += "{{#if exposed.email}}" }) },
		"required_content": func(s *Set) {
			edit(s, "email", func(t *event.WordingDrafted) { t.Body = strings.ReplaceAll(t.Body, "{{facts.consequences}}", "") })
		},
		"forbidden_content": func(s *Set) {
			s.Forbidden = []Demand{{Content: "what_happened", Place: "US-MA", Citation: "93H s.3"}}
		},
		"personal_field": func(s *Set) { edit(s, "email", func(t *event.WordingDrafted) { t.Audience = "public" }) },
		"merge_value":    func(s *Set) { s.Sheet = func(string) map[string]string { return nil } },
		"contact_point":  func(s *Set) { s.Organisation.Contact = nil },
		"language":       func(s *Set) { s.Languages["sv"] = 3 },
		"sms_length":     func(s *Set) { edit(s, "sms", func(t *event.WordingDrafted) { t.Body += strings.Repeat("x", 700) }) },
		"link": func(s *Set) {
			edit(s, "email", func(t *event.WordingDrafted) { t.Body += " [x](https://example.test.evil.example/a)" })
		},
		"tracking": func(s *Set) {
			edit(s, "email", func(t *event.WordingDrafted) { t.Body += " ![logo](https://example.test/logo.png)" })
		},
		"subject": func(s *Set) { edit(s, "email", func(t *event.WordingDrafted) { t.Subject = " " }) },
		"sender":  func(s *Set) { s.Organisation.Sender.SMS = "" },
	} {
		s := goodSet(t)
		spoil(&s)
		if got := names(Check(s)); !slices.Contains(got, want) {
			t.Errorf("%s: blocked by %v", want, got)
		}
	}
}

func TestAPublicPageIsNotHeldAgainstTheLanguagesOfThePeople(t *testing.T) {
	s := goodSet(t)
	s.Channels = append(s.Channels, "page")
	s.Texts = append(s.Texts, event.WordingDrafted{TextKey: event.TextKey{Audience: "public", Channel: "page", Language: "en-GB"}, Subject: "Notice",
		Body: "{{facts.consequences}} Ask {{organisation.contact}}."})
	if got := names(Check(s)); len(got) > 0 {
		t.Errorf("blocked by %v", got)
	}
}

func TestAForbiddenPartGuardedByResidencyMayStay(t *testing.T) {
	s := goodSet(t)
	s.Forbidden = []Demand{{Content: "what_happened", Place: "US-MA", Citation: "93H s.3"}}
	for i := range s.Texts {
		s.Texts[i].Body = strings.ReplaceAll(s.Texts[i].Body, "{{facts.what_happened}}", "{{#unless person.residency.US-MA}}{{facts.what_happened}}{{/unless}}")
	}
	if got := names(Check(s)); len(got) > 0 {
		t.Errorf("blocked by %v", got)
	}
}

func TestReadabilityTellsPlainFromHard(t *testing.T) {
	plain := "We lost your name. We lost your email. Change your password now. Call us if you are not sure."
	hard := "Notwithstanding organisational countermeasures previously instantiated, unauthorised individuals subsequently obtained administrative credentials facilitating comprehensive exfiltration of confidential subscriber information."
	if r := Read(plain, "en-GB"); r.Hard() {
		t.Errorf("plain English scores %+v", r)
	}
	if r := Read(hard, "en"); !r.Hard() {
		t.Errorf("hard English scores %+v", r)
	}
	if r := Read("Vi har röjt ditt namn. Byt lösenord nu. Ring oss om du undrar.", "sv"); r.Hard() || r.Formula != "LIX" {
		t.Errorf("plain Swedish scores %+v", r)
	}
	if r := Read("Personuppgiftsansvarige konstaterade informationssäkerhetsincidenten avseende kundregistret föranledda systemadministratörsbehörigheter.", "sv"); !r.Hard() {
		t.Errorf("hard Swedish scores %+v", r)
	}
	if got := Hedges("Out of an abundance of\ncaution we write.", "en"); len(got) != 1 {
		t.Errorf("hedges = %v", got)
	}
}

func TestAChecksEyeReachesEveryPart(t *testing.T) {
	spoilt := func(extra string) []string {
		s := goodSet(t)
		for i := range s.Texts {
			if s.Texts[i].Channel == "email" {
				s.Texts[i].Body += "\n\n" + extra
			}
		}
		return names(Check(s))
	}
	for extra, want := range map[string]string{
		"{{#if person.minor}}[x](https://evil.example/a){{/if}}":                                       "link",
		"{{#unless exposed.password}}{{#if person.residency.US-CA}}www.evil.example{{/if}}{{/unless}}": "link",
		"See ftp://evil.example/a.":                                  "link",
		"[mine](https://example.test/page?who={{notice.reference}})": "tracking",
	} {
		if got := spoilt(extra); !slices.Contains(got, want) {
			t.Errorf("%s is blocked by %v, want %s", extra, got, want)
		}
	}
	for _, extra := range []string{"{{#if person.minor}}[x](https://example.test/a){{/if}}", "Read https://example.test/a. Or https://www.example.test!"} {
		if got := spoilt(extra); len(got) > 0 {
			t.Errorf("%s is blocked by %v", extra, got)
		}
	}
}

func TestRequiredContentMustReachEverybodyItIsFor(t *testing.T) {
	body := func(part string) []string {
		s := goodSet(t)
		s.Required = []Demand{{Content: "consequences", Citation: "Art. 34(2)", Place: "GB"}}
		for i := range s.Texts {
			if s.Texts[i].Channel == "email" {
				s.Texts[i].Body = strings.ReplaceAll(s.Texts[i].Body, "{{facts.consequences}}", part)
			}
		}
		return names(Check(s))
	}
	for part, blocked := range map[string]bool{
		"{{facts.consequences}}":                                false,
		"{{#if exposed.password}}{{facts.consequences}}{{/if}}": true,
		"{{#if exposed.password}}{{facts.consequences}}{{/if}}{{#unless exposed.password}}{{facts.consequences}}{{/unless}}": false,
		"{{#if person.residency.GB}}{{facts.consequences}}{{/if}}":                                                           false,
		"{{#if person.residency.US-CA}}{{facts.consequences}}{{/if}}":                                                        true,
		"{{#unless person.residency.US-MA}}{{facts.consequences}}{{/unless}}":                                                false,
	} {
		if got := body(part); slices.Contains(got, "required_content") != blocked {
			t.Errorf("%s is blocked by %v, want required_content: %v", part, got, blocked)
		}
	}
}

func TestALanguageWithoutNamesOfTheKindsOfDataIsRefusedClearly(t *testing.T) {
	key := event.TextKey{Audience: "people", Channel: "email", Language: "de"}
	tpl, err := Compile(key, "s", "{{exposed.categories}}")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tpl.Bind(Common{}); !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "English and Swedish only") {
		t.Errorf("a German list of the kinds of data: %v", err)
	}
}

func TestATextForEverybodyServesThePageAndSaysNothingPersonal(t *testing.T) {
	page := event.WordingDrafted{TextKey: event.TextKey{Audience: "public", Channel: "page", Language: "en"}, Subject: "Notice",
		Body: "{{facts.what_happened}} It was {{facts.when}}. {{facts.consequences}} {{facts.measures}} {{facts.advice}} Write to {{organisation.contact}}.\n"}
	s := goodSet(t)
	s.Channels, s.Texts = []string{"page"}, []event.WordingDrafted{page}
	s.Required = append(s.Required, Demand{Content: "kinds_of_data", Citation: "a state law"})
	if got := names(Check(s)); len(got) > 0 {
		t.Errorf("blocked by %v: %+v", got, Check(s))
	}
	s.Texts[0].Body += "Your {{exposed.categories}} were seen.\n"
	if got := names(Check(s)); !slices.Equal(got, []string{"personal_field"}) {
		t.Errorf("a personal field in it is blocked by %v", got)
	}
}
