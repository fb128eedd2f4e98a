package e2e

import (
	"io"
	"testing"

	"tocsin.dev/services/desk/api/client"
)

// A bounce is shown against the person it belongs to, by number, with its reason.
func TestABouncedEmailIsShownAgainstThePerson(t *testing.T) {
	w := begin(t, 300)
	s := w.Story("tidewater", io.Discard)
	w.must(s.UpTo(w.ctx, "await"))
	bounced := 0
	var cursor *client.Cursor
	for {
		res, err := w.Client("tidewater", "dpo").ListMessagesWithResponse(w.ctx, s.Number(), &client.ListMessagesParams{Cursor: cursor})
		w.must(err)
		if res.JSON200 == nil {
			t.Fatalf("list messages: %s", res.Body)
		}
		for _, m := range res.JSON200.Messages {
			if m.Channel == "email" && m.State == "failed" {
				bounced++
				if m.Person == 0 || m.Reason == "" {
					t.Errorf("a bounce without person or reason: %+v", m)
				}
			}
		}
		if res.JSON200.Next == "" {
			break
		}
		cursor = &res.JSON200.Next
	}
	if bounced == 0 {
		t.Error("no bounce is shown, though some addresses bounce")
	}
}
