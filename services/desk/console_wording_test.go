package desk

import (
	"bufio"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/person"
	"tocsin.dev/services/desk/api"
)

func TestAnyTwoVersionsAreComparedSideBySideAndInOneText(t *testing.T) {
	b := newBench(t)
	number := b.ready() // version 1
	lea := b.surf("lea")
	page := "/cases/" + number + "/wording/people/email/en-GB/compare"
	lea.get(page)
	lea.sees("None. The two are the same, letter by letter.")

	_, err := b.desk.Approve(t.Context(), b.user("lea"), On{Case: number}, b.read("lea", number))
	b.must(err)
	b.draft("ana", number, "We are sorry, {{person.full_name}}.\n\nCall us")
	b.draft("ana", number, "We are very sorry, {{person.full_name}}.\n\nCall us")
	b.draft("ana", number, "We are very sorry, {{person.full_name}}.\n\nWrite to us")

	lea.get(page)
	lea.sees("FromVersion 1, the last approved one")
	lea.sees("ToVersion 4, the newest")
	lea.sees("We are sorry, {{person.full_name}}.We are added: very end of added sorry, {{person.full_name}}")
	lea.get(page + "?from=2&to=4")
	lea.sees("2 passages: Change 1 Change 2")
	lea.sees("removed: Call end of removed usadded: Write to end of added us")
	lea.press("Compare", map[string][]string{"from": {"2"}, "to": {"3"}, "view": {"inline"}})
	lea.sees("1 passage Removed words")
	lea.sees("We are added: very end of added sorry, {{person.full_name}}. Call us")
	lea.press("Compare", map[string][]string{"from": {"3"}, "to": {"1"}, "view": {"inline"}})
	lea.sees("We are removed: very end of removed sorry, {{person.full_name}}.")
	lea.sees("A newer version exists")

	lea.take(lea.client.Get(lea.url + "/cases/" + number + "/wording/people/sms/en-GB/compare"))
	if lea.status != http.StatusNotFound {
		t.Errorf("versions of a text that nobody wrote: %d", lea.status)
	}
	_, err = b.desk.DraftWording(t.Context(), b.user("ana"), On{Case: number}, event.WordingDrafted{
		TextKey: event.TextKey{Audience: "people", Channel: "sms", Language: "en-GB"}, Body: "Sorry."})
	b.must(err)
	lea.get(page)
	lea.sees("Compare: SMS to people in en-GB")
}

func TestThePageOfTheChecksNamesEveryFindingOfTheWholeList(t *testing.T) {
	b := newBench(t)
	number := b.declare()
	ana, lea := b.surf("ana"), b.surf("lea")
	page := "/cases/" + number + "/wording/check"
	lea.get(page)
	lea.sees("No text has been written yet")

	number = b.ready()
	page = "/cases/" + number + "/wording/check"
	b.survey = func(a *event.WordingAnswer) { a.Done, a.Checked = false, 120 }
	lea.get(page)
	lea.sees("120 of 500 people checked (24 %)")
	lea.sees("Nobody can approve before")

	b.survey = func(a *event.WordingAnswer) {
		a.Missing = []event.MissingValue{{TextKey: emailKey, Field: "person.full_name", People: 25, Numbers: []person.Number{4, 9}}}
		a.Samples = []event.SamplePeople{{Kind: "minor", People: 3, Numbers: []person.Number{7}}}
		a.Variants = []event.VariantCount{{TextKey: emailKey, Conditions: []string{"exposed.payment_card"}, People: 12, Numbers: []person.Number{31}}}
		a.Unworded = []event.UnwordedPeople{{TextKey: event.TextKey{Audience: "guardians", Channel: "email", Language: "da"}, People: 2, Numbers: []person.Number{5, 6}}}
		a.Deceased = 8
	}
	lea.get(page)
	for _, words := range []string{
		"1 finding blocks approval", "merge value in Email to people in en-GB", "For example number Preview person 4, Preview person 9",
		"Nobody can let this stand: mend it.", "A child or young person3Preview person 7", "payment card number exposed12Preview person 31",
		"Email to guardians in da2", "Have died8",
	} {
		lea.sees(words)
	}
	ana.get(page)
	ana.sees("For example number 4, 9") // an analyst may not look, so the numbers lead nowhere

	b.survey = func(a *event.WordingAnswer) { a.ScopeDigest = "sha256:another" }
	lea.get(page)
	lea.sees("Out of date. The texts, the facts sheet or the list changed while they were being checked.")
	b.survey = nil
	lea.get(page)
	lea.sees("Nothing blocks approval")
	_, err := b.desk.StateExposure(t.Context(), b.user("ana"), On{Case: number}, event.ExposureStated{Exposures: []event.Exposure{
		{Dataset: "crm.customers", From: b.now.Now().AddDate(0, 0, -30), To: b.now.Now()}}})
	b.must(err)
	lea.get(page)
	lea.sees("Out of date. The exposure was stated anew")
}

func TestAFindingIsLetStandOnThePageOfTheChecks(t *testing.T) {
	b := newBench(t)
	number := b.ready()
	_, err := b.desk.DraftWording(t.Context(), b.user("lea"), On{Case: number}, event.WordingDrafted{
		TextKey: event.TextKey{Audience: "people", Channel: "sms", Language: "en-GB"}, Body: strings.Repeat("Somebody read your data. ", 60)})
	b.must(err)
	lea, dora := b.surf("lea"), b.surf("dora")
	page := "/cases/" + number + "/wording/check"
	lea.get(page)
	lea.sees("let somebody decide who reviews and wrote none of the texts")
	dora.get(page)
	dora.press("Let it stand", url.Values{"reason": {""}})
	dora.sees("Say why it may stand")
	dora.press("Let it stand", url.Values{"reason": {"It must all be said"}})
	dora.sees("The decision is recorded")
	dora.sees("let stand by dora: It must all be said")
	if !strings.HasSuffix(dora.at, page) {
		t.Errorf("the decision leads to %s", dora.at)
	}
}

func TestAPersonsNoticeIsShownWithItsBytesOnlyForAReason(t *testing.T) {
	b := newBench(t)
	number := b.ready()
	b.draft("ana", number, "Hi.{{#if exposed.email}} Mail.{{/if}}{{#if exposed.payment_card}} Card.{{/if}}")
	b.playLetters()
	b.survey = func(a *event.WordingAnswer) {
		a.Samples = []event.SamplePeople{{Kind: "no_given_name", People: 2, Numbers: []person.Number{7, 8}}}
	}
	ana, lea := b.surf("ana"), b.surf("lea")
	page := "/cases/" + number + "/preview"
	ana.get(page)
	ana.sees("Legal, the data protection officer and administrators may look at one.")
	lea.get(page)
	lea.sees("Only a family name is known–2Choose person 7, Choose person 8")
	lea.get(page + "?person=7&channel=email")
	lea.press("Show the notice", nil)
	lea.sees("Error: Say why you look")
	lea.press("Show the notice", url.Values{"reason": {"sample before approval"}})
	for _, words := range []string{
		"Notice of person 7", "a@people.example", "asked by lea because sample before approval", "email, then sms", `{"to":"å"}`, "11 bytes of application/json",
		"Applies email address exposed exposed.email", "Does not apply payment card number exposed exposed.payment_card", "Sorry, <b>Bo</b>.",
	} {
		lea.sees(words)
	}
	lea.press("Show the notice", url.Values{"person": {"404"}})
	lea.sees("Error: Nobody on the newest sealed list has the number 404")
	resp, err := lea.client.PostForm(lea.url+page, url.Values{"do": {"bytes"}, "person": {"7"}, "channel": {"email"}, "reason": {"to keep"}})
	b.must(err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	b.must(err)
	if string(data) != `{"to":"å"}` || !strings.Contains(resp.Header.Get("Content-Disposition"), "person-7-email.json") {
		t.Errorf("downloaded %q as %s", data, resp.Header.Get("Content-Disposition"))
	}
}

func TestAChangedFactNamesEveryTextItTouchesAndWhatChangedSinceTheYes(t *testing.T) {
	b := newBench(t)
	number := b.readyToApprove() // its email shows what happened
	for k, body := range map[event.TextKey]string{
		{Audience: "people", Channel: "sms", Language: "en-GB"}:      "{{facts.what_happened}}",
		{Audience: "guardians", Channel: "email", Language: "en-GB"}: "{{facts.advice}}",
		{Audience: "public", Channel: "page", Language: "en-GB"}:     "{{facts.what_happened}}",
	} {
		_, err := b.desk.DraftWording(t.Context(), b.user("ana"), On{Case: number}, event.WordingDrafted{TextKey: k, Subject: map[bool]string{true: "s"}[k.Channel == "email"], Body: body})
		b.must(err)
	}
	_, err := b.desk.DraftWording(t.Context(), b.user("ana"), On{Case: number}, event.WordingDrafted{
		TextKey: event.TextKey{Audience: "people", Channel: "email", Language: "sv"}, Subject: "s", Body: "{{facts.what_happened}}"})
	b.must(err)
	for _, key := range []string{"sheet.what_happened.sv", "sheet.advice.en"} {
		_, err := b.desk.StateFact(t.Context(), b.user("ana"), On{Case: number}, event.FactStated{Key: key, Value: "Var lugn."})
		b.must(err)
	}
	_, err = b.desk.Approve(t.Context(), b.user("lea"), On{Case: number}, b.read("lea", number))
	b.must(err)

	ana, lea := b.surf("ana"), b.surf("lea")
	lea.get("/cases/" + number + "/approve")
	lea.sees("It still stands. No text, fact of the facts sheet or list has changed since.")
	ana.get("/cases/" + number + "/facts")
	ana.sees("It stands in Email to people in en-GB, SMS to people in en-GB, Page to the public in en-GB.")
	ana.press("Save the facts sheet (en)", url.Values{"sheet.what_happened.en": {"Somebody copied our files."}})
	ana.sees("Changed with it: Email to people in en-GB, SMS to people in en-GB, Page to the public in en-GB. Approvals given before no longer stand.")

	lea.get("/cases/" + number + "/approve")
	lea.sees("It no longer stands: a fact on the facts sheet was changed after the approval.")
	lea.sees("Somebody removed: read end of removed added: copied end of added our files.")
	var done api.Acted
	b.call("ana", "POST", "/api/v1/cases/"+number+"/facts", map[string]any{"key": "sheet.advice.en", "value": "Call us."}, &done)
	if strings.Join(done.Touches, " ") != "guardians/email/en-GB" {
		t.Errorf("the advice touches %v", done.Touches)
	}
}

func TestAnOpenPageOfTheChecksHearsHowFarTheWalkIs(t *testing.T) {
	b := newBench(t)
	number := b.ready()
	checked := int64(0)
	b.survey = func(a *event.WordingAnswer) {
		checked += 250
		a.Checked, a.Done = checked, checked == a.People
	}
	resp, err := b.browser("lea").Get(b.url + "/cases/" + number + "/wording/check/live")
	b.must(err)
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	var heard []string
	for len(heard) < 2 && lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: {"); ok {
			heard = append(heard, data)
		}
	}
	if len(heard) != 2 || !strings.Contains(heard[0], "250 of 500 people checked") || !strings.Contains(heard[1], `"ended":true`) {
		t.Errorf("the page hears %q", heard)
	}
}
