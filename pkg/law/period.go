package law

import (
	"fmt"
	"strconv"
	"time"
)

// count is one period made concrete: number, unit, rule of counting, clock and calendar.
type count struct {
	n    int
	unit string
	how  Counting
	loc  *time.Location
	cal  *Calendar // never nil; a place without data has weekends only
}

// step is called with what a reader should see of the way to the end of a period.
type note func(kind, text string)

// end returns the end of the period that starts at an instant. Hours run on the absolute time line, all
// other units on the civil calendar of c.loc. The end is never before the start.
func (c count) end(start time.Time, say note) time.Time {
	local := start.In(c.loc)
	var end time.Time
	if c.unit == "hour" {
		from := local
		if c.how.Start == "next-hour" {
			from = local.Truncate(time.Second).Add(-time.Duration(local.Minute())*time.Minute - time.Duration(local.Second())*time.Second).Add(time.Hour)
			say("period", "the hour of the event is not counted: runs from "+stamp(from))
		}
		end = from.Add(time.Duration(c.n) * time.Hour)
		say("period", plural(c.n, "hour")+" on the absolute time line, nights, weekends and clock changes included")
		return c.finish(from, end, say)
	}
	last := c.lastDay(dayOf(local), say)
	switch c.how.End {
	case "", "end-of-day":
		end = last.at(endOfDay, c.loc)
	case "instant":
		end = last.at(local.Hour()*3600+local.Minute()*60+local.Second(), c.loc)
	default:
		s, _ := clock(c.how.End) // checked at load
		end = last.at(s, c.loc)
	}
	return c.finish(local, end, say)
}

// lastDay returns the civil day on which a period of days, business days, weeks, months or years ends.
func (c count) lastDay(d day, say note) day {
	n := c.n
	switch c.how.Start {
	case "same-day":
		say("period", "the day of the event is day 1")
		n--
		if c.unit == "business-day" && !c.cal.working(d) {
			n++
		}
		if c.unit == "month" || c.unit == "year" {
			d, n = d-1, n+1
		}
	case "deemed-working-day":
		if w := c.cal.next(d); w != d {
			say("calendar", d.String()+" is no working day ("+c.cal.why(d)+"): the event counts as of "+w.String())
			d = w
		}
	}
	switch c.unit {
	case "business-day":
		last := d
		if n > 0 {
			last = c.cal.plusWorking(d, n)
		}
		c.skipped(d, last, say)
		c.covered(last, say)
		return last
	case "week":
		n *= 7
	case "month", "year":
		return c.months(d, n, say)
	}
	say("period", plural(c.n, c.unit)+" from "+d.String()+", the day of the event "+counted(c.how.Start))
	return d + day(n)
}

func counted(start string) string {
	if start == "same-day" {
		return "counted"
	}
	return "not counted"
}

// months adds months or years and falls back to the last day of a shorter month.
func (c count) months(d day, n int, say note) day {
	y, m, dd := d.date()
	if c.unit == "year" {
		n *= 12
	}
	first := civil(y, m+time.Month(n), 1)
	y2, m2, _ := first.date()
	length := int(civil(y2, m2+1, 1) - first)
	say("period", plural(c.n, c.unit)+" from "+d.String()+", to the day with the same number")
	if dd > length {
		say("period", "that month has no day "+strconv.Itoa(dd)+": its last day")
		dd = length
	}
	return first + day(dd-1)
}

// skipped tells which weekdays were passed over as holidays.
func (c count) skipped(from, to day, say note) {
	say("period", plural(c.n, c.unit)+" after "+from.String()+" ("+from.weekday().String()+")")
	weekend := 0
	for d := from + 1; d <= to; d++ {
		if c.cal.weekend[d.weekday()] {
			weekend++
		} else if h := c.cal.holiday(d); h != "" {
			say("calendar", d.String()+" is not counted: "+h)
		}
	}
	if weekend > 0 {
		say("calendar", plural(weekend, "weekend day")+" not counted")
	}
}

// covered warns when the calendar does not reach the day.
func (c count) covered(d day, say note) {
	if !c.cal.covers(d) {
		say("doubt", "the calendar "+c.cal.Code+" has no data for "+d.String()+": weekends only")
	}
}

// finish applies the minimum of working days and the roll, and keeps the end at or after the start.
func (c count) finish(start, end time.Time, say note) time.Time {
	if c.how.MinWorkingDays > 0 {
		end = c.stretch(start, end, say)
	}
	if r := c.how.Roll; r != nil {
		end = c.roll(*r, end, say)
	}
	if end.Before(start) {
		return start
	}
	return end
}

// stretch moves the end on until enough whole working days lie inside the period.
func (c count) stretch(start, end time.Time, say note) time.Time {
	first := dayOf(start)
	if !start.Equal(first.at(0, c.loc)) {
		first++
	}
	whole := 0
	var reached day
	for d := first; whole < c.how.MinWorkingDays; d++ {
		if c.cal.working(d) {
			whole++
			reached = d
		}
	}
	c.covered(reached, say)
	full := reached.at(endOfDay, c.loc)
	if !end.Before(full) {
		say("calendar", fmt.Sprintf("%s lie inside the period", plural(whole, "whole working day")))
		return end
	}
	say("calendar", fmt.Sprintf("fewer than %s inside: runs to the end of %s", plural(whole, "whole working day"), reached))
	return full
}

func (c count) roll(r Roll, end time.Time, say note) time.Time {
	local := end.In(c.loc)
	d := dayOf(local)
	c.covered(d, say)
	if c.cal.working(d) {
		return end
	}
	to := c.cal.next(d)
	if r.To == "previous-working-day" {
		for to = d; !c.cal.working(to); {
			to--
		}
	}
	at := endOfDay
	if r.At != "" {
		at, _ = clock(r.At) // checked at load
	} else if c.how.End != "" && c.how.End != "end-of-day" && c.how.End != "instant" {
		at, _ = clock(c.how.End)
	}
	out := to.at(at, c.loc)
	say("calendar", d.String()+" is no working day ("+c.cal.why(d)+"): moves to "+stamp(out))
	return out
}

// stamp prints an instant with weekday and offset, for people.
func stamp(t time.Time) string { return t.Format("Mon 2006-01-02 15:04:05 -07:00") }

func plural(n int, unit string) string {
	if unit == "business-day" {
		unit = "business day"
	}
	if n == 1 {
		return "1 " + unit
	}
	return strconv.Itoa(n) + " " + unit + "s"
}
