package console

import (
	"fmt"
	"html/template"
	"strings"
	"time"
)

// Instant writes an instant as people read it, local time first and UTC in
// brackets: "24 November 2026, 10:00 Warsaw (09:00 UTC)".
func Instant(t time.Time, zone *time.Location) string {
	utc := t.UTC()
	if zone == nil || zone == time.UTC {
		return utc.Format("2 January 2006, 15:04 UTC")
	}
	local := t.In(zone)
	layout := "15:04 UTC"
	if local.YearDay() != utc.YearDay() || local.Year() != utc.Year() {
		layout = "2 January, 15:04 UTC"
	}
	return local.Format("2 January 2006, 15:04 ") + City(zone) + " (" + utc.Format(layout) + ")"
}

// City names a zone by its city: "Europe/London" is "London".
func City(zone *time.Location) string {
	name := zone.String()
	return strings.ReplaceAll(name[strings.LastIndex(name, "/")+1:], "_", " ")
}

// timeTag writes an instant as a <time> element with the machine's form.
func timeTag(t time.Time, zone *time.Location) template.HTML {
	return template.HTML(fmt.Sprintf(`<time datetime="%s">%s</time>`, //nolint:gosec // both parts are written here, and the text is escaped
		t.UTC().Format(time.RFC3339), template.HTMLEscapeString(Instant(t, zone))))
}

// zoneNamed returns the zone, or the fallback if its name is empty or unknown.
func zoneNamed(name string, fallback *time.Location) *time.Location {
	if name == "" {
		return fallback
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return fallback
	}
	return zone
}

// Left writes the time until an instant: "2 d 3 h 4 min left", "late by 2 h 0 min".
func Left(t, now time.Time) string {
	d := t.Sub(now)
	if d < 0 {
		return "late by " + Span(-d)
	}
	return Span(d) + " left"
}

// Span writes a duration in two steps: "3 d 4 h", "2 h 5 min", "40 s". The
// script writes the same.
func Span(d time.Duration) string {
	switch {
	case d >= 24*time.Hour:
		return fmt.Sprintf("%d d %d h", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%d min %d s", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%d s", d/time.Second)
}

// Ago writes how long ago an instant was, always to be shown beside it.
func Ago(t, now time.Time) string {
	d := now.Sub(t)
	switch {
	case d < 0:
		return "in " + Span(-d)
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", d/time.Minute)
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h ago", d/time.Hour)
	}
	return fmt.Sprintf("%d d ago", d/(24*time.Hour))
}

// fieldLayouts are the ways to type an instant, the first as we write it. A
// text field and not a date control, because that shows 12 hours and the
// month first in some browsers, whatever the page says.
var fieldLayouts = []string{
	"2006-01-02 15:04", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02T15:04:05",
	"2 January 2006 15:04", "2 January 2006, 15:04", "2 Jan 2006 15:04", "2 Jan 2006, 15:04",
}

// Field writes an instant for a field, in a zone.
func Field(t time.Time, zone *time.Location) string {
	if t.IsZero() {
		return ""
	}
	return t.In(zone).Format(fieldLayouts[0])
}

// ParseField reads what a person typed into such a field, in a zone.
func ParseField(s string, zone *time.Location) (time.Time, error) {
	s = strings.Join(strings.Fields(s), " ")
	for _, layout := range fieldLayouts {
		if t, err := time.ParseInLocation(layout, s, zone); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a date and time such as 2026-11-22 09:30", s)
}
