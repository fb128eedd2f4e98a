package mapping

import (
	"fmt"
	"math/big"
	"strings"
	"time"
)

// assumed marks a time in jq that came without a zone and was read as UTC. It
// stands after the instant, so that times still sort as text.
const assumed = "[assumed]"

// zoned are the layouts with a zone that senders use. A fraction of a second is
// accepted by time.Parse in all of them.
var zoned = []string{
	time.RFC3339,
	"2006-01-02T15:04:05Z0700",
	"2006-01-02T15:04:05Z07",
	"2006-01-02T15:04Z07:00",
	time.RFC1123Z,
	time.RFC1123,
	time.RFC850,
	"Mon Jan _2 15:04:05 2006 -0700",
}

// zoneless are read as UTC and marked.
var zoneless = []string{
	"2006-01-02T15:04:05",
	"2006-01-02T15:04",
	"2006-01-02",
	time.ANSIC,
}

// parseTime reads a time as senders write it: RFC 3339 and its near misses (a
// space for the T, an offset without a colon, no zone at all), and numbers since
// 1970 in seconds, milliseconds, microseconds or nanoseconds, told apart by
// their size: below 1e11 is seconds whatever a format promises, because
// producers break that promise. The zero instant of Go and of Unix means "not
// stated" and gives ok false.
func parseTime(v any) (at time.Time, guessed, ok bool, err error) {
	switch v := v.(type) {
	case nil:
		return time.Time{}, false, false, nil
	case string:
		at, guessed, err = parseText(strings.TrimSpace(v))
	case bool, []any, map[string]any:
		return time.Time{}, false, false, fmt.Errorf("a time is a text or a number, not %T", v)
	default:
		at, err = parseEpoch(fmt.Sprint(v))
	}
	if err != nil {
		return time.Time{}, false, false, err
	}
	if at.Year() <= 1 || at.Unix() == 0 {
		return time.Time{}, false, false, nil
	}
	if at.Year() < 1900 || at.Year() > 2200 {
		return time.Time{}, false, false, fmt.Errorf("the year %d is not plausible", at.Year())
	}
	return at.UTC(), guessed, true, nil
}

func parseText(s string) (at time.Time, guessed bool, err error) {
	if s == "" {
		return time.Time{}, false, nil
	}
	if strings.Trim(s, "0123456789.") == "" {
		at, err := parseEpoch(s)
		return at, false, err
	}
	iso := s
	if len(iso) > 10 && iso[10] == ' ' {
		iso = iso[:10] + "T" + strings.TrimSpace(iso[11:])
	}
	if rest, ok := strings.CutSuffix(iso, "UTC"); ok {
		iso = strings.TrimSpace(rest) + "Z"
	}
	iso = strings.Replace(iso, " +", "+", 1)
	for _, layout := range zoned {
		for _, text := range []string{iso, s} {
			if at, err := time.Parse(layout, text); err == nil {
				return at, false, nil
			}
		}
	}
	for _, layout := range zoneless {
		for _, text := range []string{iso, s} {
			if at, err := time.Parse(layout, text); err == nil {
				return at, true, nil
			}
		}
	}
	return time.Time{}, false, fmt.Errorf("%q is not a time that can be read", clip(s, 60))
}

// parseEpoch reads a decimal number since 1970, exactly.
func parseEpoch(s string) (time.Time, error) {
	if len(s) > 40 {
		return time.Time{}, fmt.Errorf("%q is not a time that can be read", clip(s, 60))
	}
	n, ok := new(big.Rat).SetString(s)
	if !ok {
		return time.Time{}, fmt.Errorf("%q is not a time that can be read", clip(s, 60))
	}
	unit := int64(time.Second)
	for _, bound := range []float64{1e11, 1e14, 1e17} {
		if f, _ := n.Float64(); f < bound && f > -bound {
			break
		}
		unit /= 1000
	}
	nanos := new(big.Rat).Mul(n, big.NewRat(unit, 1))
	whole := new(big.Int).Quo(nanos.Num(), nanos.Denom())
	if !whole.IsInt64() {
		return time.Time{}, fmt.Errorf("%q is not a time that can be read", clip(s, 60))
	}
	return time.Unix(0, whole.Int64()), nil
}
