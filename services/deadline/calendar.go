package deadline

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	ics "github.com/arran4/golang-ical"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/web"
)

// CalendarToken returns the secret part of the address of an organisation's
// feed for a role. Changing the key withdraws every address given out.
func CalendarToken(key []byte, org, role string) string {
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "calendar\x00%s\x00%s", org, role)
	return hex.EncodeToString(mac.Sum(nil))
}

// calendar answers with every duty that has a due instant, as iCalendar. The
// feed names cases by number and rules by citation; it holds no personal data.
func (s *Service) calendar(w http.ResponseWriter, r *http.Request) {
	org, role := r.PathValue("org"), r.PathValue("role")
	want := CalendarToken(s.cfg.CalendarKey, org, role)
	if !hmac.Equal([]byte(want), []byte(strings.TrimSuffix(r.PathValue("token"), ".ics"))) {
		web.WriteError(w, r, web.NewError(http.StatusNotFound, "not_found", "There is no calendar at this address."))
		return
	}
	refs, err := s.cfg.Journal.Cases(r.Context(), org)
	if err != nil {
		web.WriteError(w, r, fmt.Errorf("list cases of %s: %w", org, err))
		return
	}
	cal := ics.NewCalendarFor("Tocsin")
	cal.SetMethod(ics.MethodPublish)
	cal.SetName("Breach duties of " + org)
	for _, ref := range refs {
		c, err := s.cfg.Journal.Load(r.Context(), ref.Org, ref.Case)
		if err != nil {
			web.WriteError(w, r, fmt.Errorf("load case %s/%s: %w", ref.Org, ref.Case, err))
			return
		}
		addDuties(cal, c, s.cfg.Now())
	}
	w.Header().Set("Content-Type", "text/calendar; charset=utf-8")
	_, _ = w.Write([]byte(cal.Serialize()))
}

func addDuties(cal *ics.Calendar, c *casefile.Case, now time.Time) {
	ids := make([]string, 0, len(c.Duties))
	for id, d := range c.Duties {
		if d.Due != nil && (pending(d) || d.State == casefile.DutyMet) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	for _, id := range ids {
		d := c.Duties[id]
		e := cal.AddEvent(c.Org + "-" + c.Number + "-" + id + "@tocsin")
		e.SetDtStampTime(now)
		e.SetStartAt(d.Due.UTC())
		e.SetEndAt(d.Due.UTC())
		e.SetSummary(fmt.Sprintf("%s: %s (%s)", c.Number, d.Title, d.State))
		e.SetDescription(fmt.Sprintf("To: %s\nUnder: %s\nDue: %s", d.To, d.Citation, d.DueLocal))
		if pending(d) {
			alarm := e.AddAlarm()
			alarm.SetAction(ics.ActionDisplay)
			alarm.SetTrigger("-PT4H")
		}
	}
}
