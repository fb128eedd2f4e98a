package inventory

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/nyaruka/phonenumbers"
	"golang.org/x/text/language"
	"golang.org/x/text/language/display"
)

// Reading of single values. Errors say what is wrong with a value and never
// repeat it: it may be a person's.

// reader reads values with the conventions of one source. It keeps what is
// costly to read again.
type reader struct {
	dateOrder string // "dmy", "mdy" or "" for not stated
	region    string // of phone numbers without a country code
	phones    map[string]string
	languages map[string]string
	countries map[string]string
	names     map[string]string
}

func newReader(m Mapping) *reader {
	return &reader{
		dateOrder: m.DateOrder, region: m.Region, phones: map[string]string{}, languages: map[string]string{}, countries: map[string]string{}, names: map[string]string{},
	}
}

const cachedValues = 100_000

var (
	errDate      = errors.New("not a date: write it as 2026-03-31")
	errAmbiguous = errors.New("the date may be read in two ways: write it as 2026-03-31, or state date_order dmy or mdy in the mapping")
	errPhone     = errors.New("not a possible phone number: write it as +44 20 7946 0000")
	errEmail     = errors.New("not an email address")
	errLanguage  = errors.New("not a language tag such as en-GB or sv")
	errCountry   = errors.New("not an ISO 3166 code such as SE or US-CA")
	errFlag      = errors.New("neither yes nor no")
)

// email checks and trims an address. Its case is kept.
func (r *reader) email(s string) (string, error) {
	at := strings.LastIndexByte(s, '@')
	if at < 1 || at > 64*4 || len(s) > 320 || !strings.Contains(s[at+1:], ".") || strings.HasSuffix(s, ".") {
		return "", errEmail
	}
	for _, c := range s {
		if c <= ' ' || c == 0x7f || c == ',' || c == ';' || c == '<' || c == '>' {
			return "", errEmail
		}
	}
	if strings.Contains(s[:at], "@") || s[at+1] == '.' || strings.Contains(s[at+1:], "..") {
		return "", errEmail
	}
	return s, nil
}

// phone returns a number in E.164. A number that already is passes at once.
func (r *reader) phone(s, country string) (string, error) {
	if digits(s) {
		return s, nil
	}
	if len(s) > 40 {
		return "", errPhone
	}
	if strings.HasPrefix(s, "+") || strings.HasPrefix(s, "00") {
		if e164 := bare(s); digits(e164) {
			return e164, nil
		}
		return "", errPhone
	}
	if len(country) > 2 {
		country = country[:2]
	}
	if country == "" {
		country = r.region
	}
	key := country + s
	if known, hit := r.phones[key]; hit {
		return known, errOrNil(known, errPhone)
	}
	out := ""
	if n, err := phonenumbers.Parse(s, country); err == nil && phonenumbers.IsPossibleNumber(n) {
		out = phonenumbers.Format(n, phonenumbers.E164)
	}
	if len(r.phones) < cachedValues {
		r.phones[strings.Clone(key)] = out
	}
	return out, errOrNil(out, errPhone)
}

func errOrNil(s string, err error) error {
	if s == "" {
		return err
	}
	return nil
}

// digits reports whether s is E.164: a plus and 8 to 15 digits, the first not 0.
// Numbers of the North American plan have 11.
func digits(s string) bool {
	if len(s) < 9 || len(s) > 16 || s[0] != '+' || s[1] == '0' || s[1] == '1' && len(s) != 12 {
		return false
	}
	for i := 1; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// bare takes the usual separators out of an international number.
func bare(s string) string {
	b := make([]byte, 0, len(s)+1)
	b = append(b, '+')
	s = strings.TrimPrefix(strings.TrimPrefix(s, "+"), "00")
	s = strings.Replace(s, "(0)", "", 1)
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case ' ', '-', '.', '(', ')', '/':
		default:
			b = append(b, c)
		}
	}
	return string(b)
}

// languageTag returns the canonical BCP 47 tag.
func (r *reader) languageTag(s string) (string, error) {
	if known, hit := r.languages[s]; hit {
		return known, errOrNil(known, errLanguage)
	}
	out := ""
	if t, err := language.Parse(s); err == nil && t != language.Und {
		out = t.String()
	}
	if len(r.languages) < cachedValues {
		r.languages[strings.Clone(s)] = out
	}
	return out, errOrNil(out, errLanguage)
}

// jurisdiction returns an ISO 3166 code from a country and, optionally, a
// region: "GB", "US-CA".
func (r *reader) jurisdiction(country, region string) (string, error) {
	if country == "" {
		return "", nil
	}
	if !strings.Contains(country, "-") && len(region) > 0 && len(region) <= 3 {
		country += "-" + region
	}
	if known, hit := r.countries[country]; hit {
		return known, errOrNil(known, errCountry)
	}
	out := isoCode(country)
	if len(r.countries) < cachedValues {
		r.countries[strings.Clone(country)] = out
	}
	return out, errOrNil(out, errCountry)
}

func isoCode(s string) string {
	country, region, _ := strings.Cut(strings.ToUpper(s), "-")
	if country == "UK" {
		country = "GB"
	}
	c, err := language.ParseRegion(country)
	if err != nil || len(country) != 2 || !c.IsCountry() || c.String() != country {
		return ""
	}
	if region == "" {
		return country
	}
	if len(region) > 3 {
		return ""
	}
	for i := 0; i < len(region); i++ {
		if c := region[i]; (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return ""
		}
	}
	// A part of a country is kept only where law differs by it.
	switch country {
	case "US", "CA", "AU":
		return country + "-" + region
	}
	return country
}

// countryName returns the English name that ends a postal address.
func (r *reader) countryName(jurisdiction string) string {
	if len(jurisdiction) < 2 {
		return ""
	}
	code := jurisdiction[:2]
	if name, known := r.names[code]; known {
		return name
	}
	name := ""
	if region, err := language.ParseRegion(code); err == nil {
		name = display.English.Regions().Name(region)
	}
	r.names[code] = name
	return name
}

// instant reads a date or an instant; a date means its first second, or its
// last if end is set. All is UTC. It is clamped to what a column holds.
func (r *reader) instant(s string, end bool) (uint32, error) {
	if day, ok := isoDay(s); ok {
		return daySeconds(day, end), nil
	}
	for _, layout := range [...]string{time.RFC3339, "2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02 15:04"} {
		if t, err := time.Parse(layout, s); err == nil {
			return seconds(t), nil
		}
	}
	day, err := r.day(s)
	if err != nil {
		return 0, err
	}
	return daySeconds(day, end), nil
}

func daySeconds(day int32, end bool) uint32 {
	sec := int64(day) * 86400
	if end {
		sec += 86399
	}
	return uint32(min(max(sec, 1), stillHeld-1))
}

// day reads a date in days since 1970.
func (r *reader) day(s string) (int32, error) {
	if day, ok := isoDay(s); ok {
		return day, nil
	}
	if len(s) > 10 && (s[10] == 'T' || s[10] == ' ') {
		if day, ok := isoDay(s[:10]); ok {
			return day, nil
		}
	}
	if len(s) == 8 {
		if t, err := time.Parse("20060102", s); err == nil {
			return days(t)
		}
	}
	sep := strings.IndexAny(s, "/.-")
	if sep < 1 || sep > 2 {
		return 0, errDate
	}
	parts := strings.Split(s, s[sep:sep+1])
	if len(parts) != 3 || len(parts[2]) != 4 {
		return 0, errDate
	}
	return r.parts(parts, s[sep])
}

// parts reads day, month and year in the order that is stated, or the only one possible.
func (r *reader) parts(parts []string, sep byte) (int32, error) {
	a, err1 := strconv.Atoi(parts[0])
	b, err2 := strconv.Atoi(parts[1])
	y, err3 := strconv.Atoi(parts[2])
	if err1 != nil || err2 != nil || err3 != nil {
		return 0, errDate
	}
	order := r.dateOrder
	if order == "" {
		switch {
		case sep == '.' || a > 12:
			order = "dmy"
		case b > 12:
			order = "mdy"
		case a == b:
			order = "dmy"
		default:
			return 0, errAmbiguous
		}
	}
	day, month := a, b
	if order == "mdy" {
		day, month = b, a
	}
	t := time.Date(y, time.Month(month), day, 0, 0, 0, 0, time.UTC)
	if t.Day() != day || int(t.Month()) != month {
		return 0, errDate
	}
	return days(t)
}

func days(t time.Time) (int32, error) {
	if y := t.Year(); y < 1850 || y > 2105 {
		return 0, errDate
	}
	return int32(math.Floor(float64(t.Unix()) / 86400)), nil
}

// isoDay reads "2006-01-02" quickly.
func isoDay(s string) (int32, bool) {
	if len(s) != 10 || s[4] != '-' || s[7] != '-' {
		return 0, false
	}
	n := 0
	for _, i := range [...]int{0, 1, 2, 3, 5, 6, 8, 9} {
		c := s[i] - '0'
		if c > 9 {
			return 0, false
		}
		n = n*10 + int(c)
	}
	y, m, d := n/10000, n/100%100, n%100
	if y < 1850 || y > 2105 || m < 1 || m > 12 || d < 1 || d > 31 {
		return 0, false
	}
	t := time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC)
	if t.Day() != d {
		return 0, false
	}
	sec := t.Unix()
	return int32((sec - (sec%86400+86400)%86400) / 86400), true
}

// flag reads yes or no.
func flag(s string) (bool, error) {
	switch strings.ToLower(s) {
	case "yes", "y", "true", "t", "1", "ja", "oui", "sí", "si":
		return true, nil
	case "no", "n", "false", "f", "0", "nej", "nein", "non":
		return false, nil
	}
	return false, errFlag
}

// oneOf checks a word of a closed list.
func oneOf(words []string, s string) (string, error) {
	w := strings.ToLower(s)
	if code(words, w) < 0 {
		return "", fmt.Errorf("none of %s", strings.Join(words, ", "))
	}
	return words[code(words, w)], nil
}
