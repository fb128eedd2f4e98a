package organisation

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

func TestQuietHoursEndInTheMorningOfTheRecipientsOwnClock(t *testing.T) {
	london, err := time.LoadLocation("Europe/London")
	if err != nil {
		t.Fatal(err)
	}
	night, noon := &QuietHours{"21:00", "08:00"}, &QuietHours{"12:00", "13:30"}
	for _, c := range []struct {
		q        *QuietHours
		at, want string // want is empty if the instant is not quiet
	}{
		{night, "2026-03-28T20:59:59Z", ""},
		{night, "2026-03-28T21:00:00Z", "2026-03-29T07:00:00Z"}, // the clocks go forward that night
		{night, "2026-06-01T06:59:00Z", "2026-06-01T07:00:00Z"},
		{night, "2026-06-01T07:00:00Z", ""},
		{night, "2026-12-31T23:30:00Z", "2027-01-01T08:00:00Z"},
		{noon, "2026-12-31T12:30:00Z", "2026-12-31T13:30:00Z"},
		{noon, "2026-12-31T13:30:00Z", ""},
	} {
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		end, quiet := c.q.Until(at.In(london))
		got := ""
		if quiet {
			got = end.UTC().Format(time.RFC3339)
		}
		if got != c.want {
			t.Errorf("%v at %s is quiet until %q, want %q", *c.q, c.at, got, c.want)
		}
	}
}

func TestQuietHoursThatSayNothingAreRefused(t *testing.T) {
	for _, bad := range []string{"{from: '21:00', to: '21:00'}", "{from: '9pm', to: '08:00'}", "{from: '21:00'}"} {
		_, err := Load(fstest.MapFS{"bad.yaml": {Data: []byte(good + "quiet_hours: " + bad + "\n")}})
		if err == nil || !strings.Contains(err.Error(), "quiet_hours") {
			t.Errorf("%s: error = %v, want one that names quiet_hours", bad, err)
		}
	}
}
