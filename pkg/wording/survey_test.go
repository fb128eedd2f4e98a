package wording

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"tocsin.dev/pkg/category"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/person"
)

func drafts() []event.WordingDrafted {
	key := func(audience, channel, language string) event.TextKey {
		return event.TextKey{Audience: audience, Channel: channel, Language: language}
	}
	return []event.WordingDrafted{
		{TextKey: key("people", "email", "en-GB"), Subject: "For {{person.given_name}}",
			Body: "{{#if person.has_name}}Dear {{person.full_name}}{{/if}}{{#if exposed.payment_card}} Call your bank, {{person.family_name}}.{{/if}} {{exposed.categories}}"},
		{TextKey: key("people", "email", "sv"), Body: "Hej! {{exposed.categories}} {{notice.reference}}"},
		{TextKey: key("people", "sms", "en-GB"), Body: "{{#unless person.minor}}{{person.family_name}}{{/unless}}: {{notice.reference}}"},
		{TextKey: key("guardians", "email", "en-GB"), Body: "About {{person.given_name}}"},
	}
}

func anybody(t *rapid.T, n int) *person.Contact {
	text := rapid.SampledFrom([]person.Text{"", "", "Åsa", "Lee"})
	c := &person.Contact{
		Number: person.Number(n), GivenName: text.Draw(t, "given"), FamilyName: text.Draw(t, "family"),
		Language: rapid.SampledFrom([]string{"", "en-GB", "en", "sv-FI", "da"}).Draw(t, "language"),
		AgeClass: rapid.SampledFrom([]string{person.AgeAdult, person.AgeUnknown, person.AgeMinor}).Draw(t, "age"),
		Exposed:  category.Set(rapid.SampledFrom([]uint32{0, 4, 1 << 10, 1<<10 | 4}).Draw(t, "exposed")),
		Deceased: rapid.IntRange(0, 20).Draw(t, "dead") == 0,
	}
	if rapid.Bool().Draw(t, "mail") {
		c.Email = "a@people.example"
	}
	if rapid.Bool().Draw(t, "phone") {
		c.Phone = "+447700900000"
	}
	return c
}

// The survey must find exactly the people for whom rendering would fail.
func TestTheSurveyFindsExactlyThoseWhoseLetterCannotBeWritten(t *testing.T) {
	texts := drafts()
	bound := map[event.TextKey]*Bound{}
	var keys []event.TextKey
	for _, d := range texts {
		tpl, err := Compile(d.TextKey, d.Subject, d.Body)
		if err != nil {
			t.Fatal(err)
		}
		if bound[d.TextKey], err = tpl.Bind(Common{}); err != nil {
			t.Fatal(err)
		}
		keys = append(keys, d.TextKey)
	}
	rapid.Check(t, func(t *rapid.T) {
		fallBack := rapid.Bool().Draw(t, "fall back")
		halves := make([]*Survey, 2)
		for i := range halves {
			var err error
			if halves[i], err = NewSurvey(texts, "en-GB", fallBack); err != nil {
				t.Fatal(err)
			}
		}
		failing, unworded, told := map[event.TextKey]int64{}, map[string]int64{}, map[event.TextKey]int64{}
		n := rapid.IntRange(0, 60).Draw(t, "people")
		for i := range n {
			named := anybody(t, i+1)
			reach, audience := named, "people"
			if named.AgeClass == person.AgeMinor && rapid.Bool().Draw(t, "guardian") {
				reach, audience = anybody(t, 1000+i), "guardians"
			}
			halves[i%2].Add(named, reach)
			if named.Deceased || named.AgeClass == person.AgeMinor && named == reach {
				continue
			}
			for channel, can := range map[string]bool{"email": reach.Email != "", "sms": reach.Phone != ""} {
				if !can {
					continue
				}
				k, ok := ChooseFor(keys, audience, channel, reach.Language, "en-GB", fallBack)
				if !ok {
					unworded[audience+"/"+channel]++
					continue
				}
				told[k]++
				if _, err := bound[k].Render(Recipient{Contact: named, Reference: "R"}); err != nil {
					failing[k]++
				}
			}
		}
		halves[0].Merge(halves[1])
		a := halves[0].Answer()
		if a.Checked != int64(n) {
			t.Fatalf("checked %d of %d", a.Checked, n)
		}
		gotTold, gotUnworded := map[event.TextKey]int64{}, map[string]int64{}
		for _, v := range a.Variants {
			gotTold[v.TextKey] += v.People
			if int64(len(v.Numbers)) != min(v.People, event.ShownPeople) || !slices.IsSorted(v.Numbers) {
				t.Fatalf("%d people get one form and %v are shown", v.People, v.Numbers)
			}
		}
		for _, u := range a.Unworded {
			gotUnworded[u.Audience+"/"+u.Channel] += u.People
		}
		most := map[event.TextKey]int64{}
		for _, m := range a.Missing {
			most[m.TextKey] = max(most[m.TextKey], m.People)
			if int64(len(m.Numbers)) != min(m.People, event.NamedPeople) || !slices.IsSorted(m.Numbers) {
				t.Fatalf("%d people lack %s and %d are named", m.People, m.Field, len(m.Numbers))
			}
		}
		for _, k := range keys {
			if gotTold[k] != told[k] {
				t.Fatalf("%s: %d people counted, want %d", k, gotTold[k], told[k])
			}
			if most[k] > failing[k] || failing[k] > 0 && most[k] == 0 {
				t.Fatalf("%s: %d letters fail, and at most %d people lack a value", k, failing[k], most[k])
			}
		}
		if fmt.Sprint(gotUnworded) != fmt.Sprint(unworded) {
			t.Fatalf("without a text: %v, want %v", gotUnworded, unworded)
		}
	})
}

func TestTheSurveyNamesPeopleWorthALook(t *testing.T) {
	s, err := NewSurvey(drafts(), "en-GB", true)
	if err != nil {
		t.Fatal(err)
	}
	add := func(n person.Number, change func(*person.Contact)) {
		c := &person.Contact{Number: n, GivenName: "Ada", FamilyName: "Byron", Email: "a@example.test", Language: "en-US", AgeClass: person.AgeAdult, Exposed: exposed(t, "email")}
		change(c)
		s.Add(c, c)
	}
	add(1, func(*person.Contact) {})
	add(2, func(c *person.Contact) { c.GivenName = "" })
	add(3, func(c *person.Contact) { c.GivenName, c.FamilyName = " ", "" })
	add(4, func(c *person.Contact) { c.AgeClass = person.AgeMinor })
	add(5, func(c *person.Contact) { c.Exposed = exposed(t, "payment_card") })
	add(6, func(c *person.Contact) { c.Language = "fi" })
	add(7, func(c *person.Contact) { c.Language = "" })
	add(8, func(c *person.Contact) { c.Email = "" })
	add(9, func(c *person.Contact) { c.Deceased, c.GivenName = true, "" })
	got := map[string][]person.Number{}
	for _, x := range s.Answer().Samples {
		got[x.Kind] = x.Numbers
	}
	want := map[string][]person.Number{"no_given_name": {2}, "no_name": {3}, "minor": {4}, "payment_card": {5}, "other_language": {6}, "unknown_language": {7}, "unreachable": {8}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("worth a look are %v, want %v", got, want)
	}
}

func TestASurveyStaysSmallWhateverTheTextBranchesOn(t *testing.T) {
	body := ""
	for _, c := range category.All()[:20] {
		body += "{{#if exposed." + c.Code + "}}x{{/if}}"
	}
	s, err := NewSurvey([]event.WordingDrafted{{TextKey: email, Body: body + "{{person.given_name}}"}}, "en-GB", false)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 * maxVariants {
		c := &person.Contact{Number: person.Number(i + 1), Language: "en-GB", Email: "a@people.example", Exposed: category.Set(i)}
		s.Add(c, c)
	}
	a := s.Answer()
	if len(a.Variants) != maxVariants+1 || a.Missing[0].People != 3*maxVariants {
		t.Errorf("%d forms, %d people lack a name; want %d and %d", len(a.Variants), a.Missing[0].People, maxVariants+1, 3*maxVariants)
	}
}

func BenchmarkSurvey(b *testing.B) {
	s, err := NewSurvey(drafts(), "en-GB", true)
	if err != nil {
		b.Fatal(err)
	}
	c := &person.Contact{Number: 7, GivenName: "Ada", FamilyName: "Byron", Email: "a@people.example", Phone: "+447700900000", Language: "en-GB", Exposed: 0x405}
	b.ReportAllocs()
	for b.Loop() {
		s.Add(c, c)
	}
}
