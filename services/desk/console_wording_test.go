package desk

import (
	"net/http"
	"testing"

	"tocsin.dev/pkg/event"
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
	lea.sees("removed: Call end of removed us added: Write to end of added us")
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
