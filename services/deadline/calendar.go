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
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/web"
)

// CalendarToken returns the secret part of the address of an organisation's
// feed for a role. Changing the key withdraws every address given out.
func CalendarToken(key []byte, org, role string) string {
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "calendar\x00%s\x00%s", org, role)
	return hex.EncodeToString(mac.Sum(nil))
}

// calendar answers with every duty of the open cases that has a due instant, as iCalendar. The
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
		if ref.Closed {
			continue
		}
		c, err := s.cfg.Journal.Load(r.Context(), ref.Org, ref.Case)
		if err != nil {
			web.WriteError(w, r, fmt.Errorf("load case %s/%s: %w", ref.Org, ref.Case, err))
			return
		}
		if c.Declared == nil {
			continue
		}
		addDuties(cal, c, s.cfg.Now())
	}
	w.Header().Set("Content-Type", "text/calendar; charset=utf-8")
	w.Header().Set("Cache-Control", "private, max-age=300")
	_, _ = w.Write([]byte(cal.Serialize()))
}

// summary is one line for a calendar: what kind of thing it is stands first.
func summary(c *casefile.Case, d *casefile.Duty) string {
	line := fmt.Sprintf("%s: %s (%s)", c.Number, d.Title, d.State)
	if d.Effect != "" {
		line = "Guide figure, " + line
	}
	if c.Declared.Drill {
		line = "DRILL, " + line
	}
	return line
}

func description(d *casefile.Duty) string {
	text := fmt.Sprintf("To: %s\nUnder: %s\nDue: %s %s", d.To, d.Citation, d.DueLocal, d.Zone)
	if d.Provisional != "" {
		text += "\nProvisional: " + d.Provisional
	}
	return text
}

// addDuties adds the duties of a case that have a due instant. What is not law
// yet stays out: a calendar cannot say so loudly enough.
func addDuties(cal *ics.Calendar, c *casefile.Case, now time.Time) {
	ids := make([]string, 0, len(c.Duties))
	for id, d := range c.Duties {
		if d.Due != nil && d.Effect != event.EffectInformation && (pending(d) || d.State == casefile.DutyMet) {
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
		e.SetSummary(summary(c, d))
		e.SetDescription(description(d))
		if pending(d) {
			alarm := e.AddAlarm()
			alarm.SetAction(ics.ActionDisplay)
			alarm.SetTrigger("-PT4H")
		}
	}
}
