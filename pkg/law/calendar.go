package law

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

// day is a civil date as the number of days since 1970-01-01. It has no zone.
type day int32

// dayOf returns the civil date that t shows on a clock in t's own location.
func dayOf(t time.Time) day {
	y, m, d := t.Date()
	return civil(y, m, d)
}

// civil returns the day of a date; months and days out of range are normalised as time.Date does.
func civil(y int, m time.Month, d int) day {
	return day(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / 86400)
}

func (d day) date() (int, time.Month, int) {
	return time.Unix(int64(d)*86400, 0).UTC().Date()
}

func (d day) weekday() time.Weekday { return time.Weekday(((int(d)+4)%7 + 7) % 7) }

func (d day) String() string {
	return time.Unix(int64(d)*86400, 0).UTC().Format(time.DateOnly)
}

// at returns the instant at which clocks in loc show d and the given seconds after midnight. In the gap of
// a clock change the instant moves on by the gap; of two equal readings the first is taken.
func (d day) at(seconds int, loc *time.Location) time.Time {
	y, m, dd := d.date()
	t := time.Date(y, m, dd, seconds/3600, seconds/60%60, seconds%60, 0, loc)
	if e := t.Add(-time.Hour); e.Hour() == t.Hour() && e.Minute() == t.Minute() && dayOf(e) == dayOf(t) {
		return e
	}
	return t
}

const (
	endOfDay = 24*3600 - 1 // 23:59:59, the last second of a civil day
	noon     = 12 * 3600
)

// Calendar tells working days from weekends and public holidays in one place.
type Calendar struct {
	Code    string // ISO 3166-1 code, or with a subdivision: "DE", "US-VT"
	Version string // version of the data file, with "+overrides" when a dated override applies
	first   day    // first day that the data covers
	last    day    // last day that the data covers
	weekend [7]bool
	closed  map[day]string // holidays and closures by their names
	parent  *Calendar      // national calendar behind a subdivision
	open    map[day]bool   // national holidays that are ordinary days here
}

// Holiday returns the name of the holiday on a civil date, or "" when there is none.
func (c *Calendar) Holiday(y int, m time.Month, d int) string { return c.holiday(civil(y, m, d)) }

// Working reports whether a civil date is neither weekend nor holiday.
func (c *Calendar) Working(y int, m time.Month, d int) bool { return c.working(civil(y, m, d)) }

func (c *Calendar) holiday(d day) string {
	if n, ok := c.closed[d]; ok {
		return n
	}
	if c.parent != nil && !c.open[d] {
		return c.parent.holiday(d)
	}
	return ""
}

func (c *Calendar) working(d day) bool { return !c.weekend[d.weekday()] && c.holiday(d) == "" }

func (c *Calendar) covers(d day) bool { return d >= c.first && d <= c.last }

// next returns d when it is a working day, else the first working day after it.
func (c *Calendar) next(d day) day {
	for !c.working(d) {
		d++
	}
	return d
}

// plusWorking returns the n-th working day after d, d itself not counted.
func (c *Calendar) plusWorking(d day, n int) day {
	for n > 0 {
		d++
		if c.working(d) {
			n--
		}
	}
	return d
}

// why says why d is not a working day, for derivations.
func (c *Calendar) why(d day) string {
	if n := c.holiday(d); n != "" {
		return n
	}
	if c.weekend[d.weekday()] {
		return d.weekday().String()
	}
	return "working day"
}

// Calendars holds the calendars of every place, by code.
type Calendars struct{ byCode map[string]*Calendar }

// Get returns the calendar of a place: the subdivision's if there is one, else the country's.
// It returns nil when the country has none.
func (cs *Calendars) Get(code string) *Calendar {
	if c := cs.byCode[code]; c != nil {
		return c
	}
	country, _, _ := strings.Cut(code, "-")
	return cs.byCode[country]
}

// Codes returns the codes of all calendars, sorted.
func (cs *Calendars) Codes() []string {
	out := make([]string, 0, len(cs.byCode))
	for c := range cs.byCode {
		out = append(out, c)
	}
	slices.Sort(out)
	return out
}

// LoadCalendars reads every *.csv of a folder and then overrides.csv, whose rows
// (calendar,date,closed|open,name,reason,added_on) win over the files.
func LoadCalendars(fsys fs.FS, dir string) (*Calendars, error) {
	cs := &Calendars{byCode: map[string]*Calendar{}}
	names, err := fs.Glob(fsys, path.Join(dir, "*.csv"))
	if err != nil {
		return nil, fmt.Errorf("list calendars in %s: %w", dir, err)
	}
	var overrides []byte
	for _, name := range names {
		data, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, fmt.Errorf("read calendar %s: %w", name, err)
		}
		if path.Base(name) == "overrides.csv" {
			overrides = data
			continue
		}
		if err := cs.add(name, data); err != nil {
			return nil, err
		}
	}
	if err := cs.override(path.Join(dir, "overrides.csv"), overrides); err != nil {
		return nil, err
	}
	return cs, nil
}

func (cs *Calendars) add(name string, data []byte) error {
	nat := &Calendar{closed: map[day]string{}}
	n := 0
	for line := range bytes.Lines(data) {
		n++
		text := strings.TrimRight(string(line), "\r\n")
		switch {
		case text == "" || text == "subdivision,date,name":
			continue
		case text[0] == '#':
			if err := nat.head(text); err != nil {
				return fmt.Errorf("%s:%d: %w", name, n, err)
			}
			continue
		}
		if nat.Code == "" || nat.Version == "" || nat.last == 0 {
			return fmt.Errorf("%s:%d: head needs calendar, version, covers and weekend before the first row", name, n)
		}
		sub, rest, ok1 := strings.Cut(text, ",")
		date, holiday, ok2 := strings.Cut(rest, ",")
		d, err := parseDay(date)
		if !ok1 || !ok2 || err != nil {
			return fmt.Errorf("%s:%d: want subdivision,YYYY-MM-DD,name, got %q", name, n, text)
		}
		cs.holiday(nat, sub, d, strings.Trim(holiday, `"`))
	}
	if nat.Code == "" {
		return fmt.Errorf("%s: no head line «# calendar: CODE»", name)
	}
	cs.byCode[nat.Code] = nat
	return nil
}

func (c *Calendar) head(text string) error {
	key, value, _ := strings.Cut(strings.TrimSpace(text[1:]), ":")
	value = strings.TrimSpace(value)
	switch key {
	case "calendar":
		c.Code = value
	case "version":
		c.Version = value
	case "covers":
		a, b, _ := strings.Cut(value, " ")
		var err1, err2 error
		c.first, err1 = parseDay(a)
		c.last, err2 = parseDay(b)
		if err1 != nil || err2 != nil {
			return fmt.Errorf("covers wants two dates, got %q", value)
		}
	case "weekend":
		for _, w := range strings.Fields(value) {
			i := slices.Index([]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}, w)
			if i < 0 {
				return fmt.Errorf("weekend has no day %q; write sun, mon … sat", w)
			}
			c.weekend[i] = true
		}
	}
	return nil
}

func (cs *Calendars) holiday(nat *Calendar, sub string, d day, name string) {
	if sub == "" {
		nat.closed[d] = join(nat.closed[d], name)
		return
	}
	cs.byCode[nat.Code] = nat
	c := cs.child(nat.Code + "-" + sub)
	if name == "!working" {
		c.open[d] = true
		return
	}
	c.closed[d] = join(c.closed[d], name)
}

// child returns the calendar with a code and makes it when only its country is known. So an authority
// with closures of its own (the filing system of a stock-market regulator) needs override rows only.
func (cs *Calendars) child(code string) *Calendar {
	if c := cs.byCode[code]; c != nil {
		return c
	}
	country, _, ok := strings.Cut(code, "-")
	nat := cs.byCode[country]
	if !ok || nat == nil {
		return nil
	}
	c := &Calendar{Code: code, Version: nat.Version, first: nat.first, last: nat.last, weekend: nat.weekend,
		closed: map[day]string{}, parent: nat, open: map[day]bool{}}
	cs.byCode[code] = c
	return c
}

func join(a, b string) string {
	if a == "" || a == b {
		return b
	}
	return a + "; " + b
}

func (cs *Calendars) override(name string, data []byte) error {
	n := 0
	for line := range bytes.Lines(data) {
		n++
		text := strings.TrimRight(string(line), "\r\n")
		if text == "" || text[0] == '#' || strings.HasPrefix(text, "calendar,") {
			continue
		}
		f := strings.SplitN(text, ",", 6)
		if len(f) != 6 {
			return fmt.Errorf("%s:%d: want calendar,date,closed|open,name,reason,added_on", name, n)
		}
		c := cs.child(f[0])
		d, err := parseDay(f[1])
		if c == nil || err != nil || (f[2] != "closed" && f[2] != "open") {
			return fmt.Errorf("%s:%d: unknown calendar, bad date or kind in %q", name, n, text)
		}
		if !strings.HasSuffix(c.Version, "+overrides") {
			c.Version += "+overrides"
		}
		if f[2] == "closed" {
			c.closed[d] = f[3]
			continue
		}
		delete(c.closed, d)
		if c.parent != nil {
			c.open[d] = true
		}
	}
	return nil
}

// parseDay reads YYYY-MM-DD. It is hand-written because eleven thousand dates are read at start.
func parseDay(s string) (day, error) {
	if len(s) != 10 || s[4] != '-' || s[7] != '-' {
		return 0, fmt.Errorf("not a date: %q", s)
	}
	num := func(t string) int {
		n := 0
		for i := range len(t) {
			if t[i] < '0' || t[i] > '9' {
				return -1 << 20
			}
			n = n*10 + int(t[i]-'0')
		}
		return n
	}
	y, m, d := num(s[:4]), num(s[5:7]), num(s[8:])
	if y < 1 || m < 1 || m > 12 || d < 1 || d > 31 {
		return 0, fmt.Errorf("not a date: %q", s)
	}
	c := civil(y, time.Month(m), d)
	if _, _, back := c.date(); back != d {
		return 0, fmt.Errorf("no such date: %q", s)
	}
	return c, nil
}
