package organisation

import (
	"fmt"
	"time"
)

// QuietHours are hours of the day, "21:00" to "08:00", that may run over
// midnight. From is quiet, To is not.
type QuietHours struct {
	From string `yaml:"from" json:"from"`
	To   string `yaml:"to" json:"to"`
}

// Until reports whether an instant is quiet by the clock of its own location,
// and if so when the quiet ends.
func (q *QuietHours) Until(t time.Time) (end time.Time, quiet bool) {
	from, err1 := clock(q.From)
	to, err2 := clock(q.To)
	if err1 != nil || err2 != nil {
		return t, false // Load has refused such a file
	}
	now, day := t.Hour()*60+t.Minute(), t.Day()
	switch {
	case from < to && now >= from && now < to, from > to && now < to:
	case from > to && now >= from:
		day++
	default:
		return t, false
	}
	end = time.Date(t.Year(), t.Month(), day, to/60, to%60, 0, 0, t.Location())
	if !end.After(t) { // the clocks were put back within the quiet hours
		end = t.Add(time.Hour)
	}
	return end, true
}

// Next returns the next instant after t at which the quiet begins, by the clock
// of t's own location.
func (q *QuietHours) Next(t time.Time) time.Time {
	from, err := clock(q.From)
	if err != nil {
		return t.AddDate(1, 0, 0) // Load has refused such a file
	}
	next := time.Date(t.Year(), t.Month(), t.Day(), from/60, from%60, 0, 0, t.Location())
	if !next.After(t) {
		next = time.Date(t.Year(), t.Month(), t.Day()+1, from/60, from%60, 0, 0, t.Location())
	}
	return next
}

// clock reads "HH:MM" as minutes since midnight.
func clock(s string) (int, error) {
	t, err := time.Parse("15:04", s)
	if err != nil || len(s) != 5 {
		return 0, fmt.Errorf("%q is not a time of day such as \"21:00\"", s)
	}
	return t.Hour()*60 + t.Minute(), nil
}

func (q *QuietHours) validate() error {
	if q == nil {
		return nil
	}
	from, err := clock(q.From)
	if err != nil {
		return fmt.Errorf("quiet_hours.from: %w", err)
	}
	to, err := clock(q.To)
	if err != nil {
		return fmt.Errorf("quiet_hours.to: %w", err)
	}
	if from == to {
		return fmt.Errorf("quiet_hours run from %s to %s, which is never or always; leave them out, or give two times", q.From, q.To)
	}
	return nil
}
