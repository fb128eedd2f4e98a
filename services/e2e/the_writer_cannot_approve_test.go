package e2e

import (
	"io"
	"net/http"
	"testing"

	"tocsin.dev/services/desk/api/client"
)

// Whoever wrote any part of the wording cannot approve it, in whatever role.
func TestTheWriterCannotApprove(t *testing.T) {
	w := begin(t, 20)
	s := w.Story("tidewater", io.Discard)
	w.must(s.UpTo(w.ctx, "draft"))
	// Legal adds a comma: from now on legal is a writer too.
	c, err := s.Case(w.ctx)
	w.must(err)
	text := c.Texts[0]
	res, err := w.Client("tidewater", "legal").DraftWordingWithResponse(w.ctx, s.Number(), client.DraftWordingParamsAudience(text.Key.Audience),
		client.DraftWordingParamsChannel(text.Key.Channel), text.Key.Language, &client.DraftWordingParams{}, client.Draft{Subject: text.Subject, Body: text.Body + "\n\nThank you."})
	w.must(err)
	if res.JSON200 == nil {
		t.Fatalf("legal could not edit: %s", res.Body)
	}
	for _, role := range []string{"legal", "analyst"} {
		if status := s.TryApprove(w.ctx, role); status != http.StatusForbidden && status != http.StatusConflict && status != http.StatusUnprocessableEntity {
			t.Errorf("%s, who wrote, approved: status %d", role, status)
		}
	}
	if status := s.TryApprove(w.ctx, "dpo"); status != http.StatusCreated {
		t.Errorf("the data protection officer, who wrote nothing, could not approve: status %d", status)
	}
}
