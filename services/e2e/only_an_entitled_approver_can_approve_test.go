package e2e

import (
	"io"
	"net/http"
	"testing"
	"time"

	"tocsin.dev/services/desk"
)

// The right to approve is the organisation's to give: an analyst has none, and
// an approver whose right has ended has none any more.
func TestOnlyAnEntitledApproverCanApprove(t *testing.T) {
	w := begin(t, 20, func(w *world) {
		w.editUser("tidewater-legal", func(u *desk.User) { u.ApprovesUntil = time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC) })
		// An analyst who has written nothing.
		w.editUser("tidewater-admin", func(u *desk.User) { u.Roles = []desk.Role{desk.Analyst} })
	})
	s := w.Story("tidewater", io.Discard)
	w.must(s.UpTo(w.ctx, "draft"))
	for role, want := range map[string]int{
		"legal": http.StatusUnprocessableEntity, // expired
		"admin": http.StatusForbidden,           // now an analyst
	} {
		if status := s.TryApprove(w.ctx, role); status != want {
			t.Errorf("the approval by %s gives %d, want %d", role, status, want)
		}
	}
	if status := s.TryApprove(w.ctx, "dpo"); status != http.StatusCreated {
		t.Errorf("the data protection officer, who may, could not approve: status %d", status)
	}
}
