package notice

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/organisation"
)

// quietMargin is how long before a due instant a text message must have left: a
// message that quiet hours would put off to later than that goes at once.
const quietMargin = time.Hour

// quietLook is the longest that a chunk sleeps through quiet hours before the
// deadline is looked at anew; it may have moved.
const quietLook = 10 * time.Minute

// awake returns the text messages that may go now. Those whose recipients are
// in quiet hours are left out, and next is when the first of them may go; those
// who would be told too late by then go now, under their own reason.
func (k *content) awake(rows []message, now time.Time) (may []message, next time.Time) {
	q := k.org.QuietHours
	if q == nil {
		return rows, next
	}
	due := dueToPeople(k.c)
	starts := map[int64]time.Time{}
	may = make([]message, 0, len(rows))
	for _, m := range rows {
		start, known := starts[m.place]
		if !known {
			start = quietEnd(q, zonesOf(unpackPlace(m.place), k.org), now)
			starts[m.place] = start
		}
		switch {
		case !start.After(now):
		case due != nil && start.Add(quietMargin).After(*due):
			m.reason = ReasonQuietOverridden
		default:
			if next.IsZero() || start.Before(next) {
				next = start
			}
			continue
		}
		may = append(may, m)
	}
	return may, next
}

// sayOverridden notes how many people are told in their night, and for which
// duty: the ledger counts them under the same reason, and the journal says both.
func (w *worker) sayOverridden(ctx context.Context, k *content, may []message) error {
	n := 0
	for i := range may {
		if may[i].reason == ReasonQuietOverridden {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	d := dutyToPeople(k.c)
	w.s.log.WarnContext(ctx, "quiet hours are overridden: the duty to tell people would be missed",
		"org", w.p.org, "case", w.p.caseID, "order", w.p.order, "people", n, "duty", d.ID, "due", *d.Due)
	due := d.Due.UnixMilli()
	if w.p.nightDuty == d.ID && w.p.nightDue == due {
		return nil
	}
	if _, err := w.s.store.db.ExecContext(ctx, `UPDATE plan SET night_duty=$2, night_due=$3 WHERE id=$1`, w.p.id, d.ID, due); err != nil {
		return fmt.Errorf("note why quiet hours of plan %d are overridden: %w", w.p.id, err)
	}
	w.p.nightDuty, w.p.nightDue = d.ID, due
	return nil
}

// overridden returns how many people of a plan's campaign were written to in
// their quiet hours, and for which duty, or nil.
func (s *store) overridden(ctx context.Context, p *plan) (*event.QuietOverride, error) {
	if p.nightDuty == "" {
		return nil, nil
	}
	q := &event.QuietOverride{Duty: p.nightDuty, Due: time.UnixMilli(p.nightDue).UTC()}
	err := s.db.QueryRowContext(ctx, `SELECT COALESCE(SUM(n),0) FROM moved WHERE campaign=$1 AND reason=$2`, p.campaign, ReasonQuietOverridden).Scan(&q.People)
	if err != nil {
		return nil, fmt.Errorf("count messages in quiet hours: %w", err)
	}
	if q.People == 0 { // noted, and not sent yet
		return nil, nil
	}
	return q, nil
}

// earliestStart is when a planned text message may leave because of quiet
// hours, or nil if nothing holds it.
func (s *Service) earliestStart(ctx context.Context, cam *campaign, place int64) (*time.Time, error) {
	org, err := s.cfg.Organisations.Get(cam.org)
	if err != nil || org.QuietHours == nil {
		return nil, err
	}
	c, err := s.cfg.Journal.Load(ctx, cam.org, cam.caseID)
	if err != nil {
		return nil, err
	}
	k := content{c: c, org: org}
	if may, next := k.awake([]message{{place: place}}, s.cfg.Now()); len(may) == 0 {
		next = next.UTC()
		return &next, nil
	}
	return nil, nil
}

// dueToPeople is the first due instant of an open duty to tell people, or nil.
func dueToPeople(c *casefile.Case) *time.Time {
	if d := dutyToPeople(c); d != nil {
		return d.Due
	}
	return nil
}

// dutyToPeople is the open duty to tell people that is due first, or nil.
func dutyToPeople(c *casefile.Case) (first *casefile.Duty) {
	for _, d := range c.Duties {
		if d.ToKind != "people" || d.Due == nil || d.Effect == event.EffectInformation || d.State != casefile.DutyOpen && d.State != casefile.DutyMissed {
			continue
		}
		if first == nil || d.Due.Before(*first.Due) || d.Due.Equal(*first.Due) && d.ID < first.ID {
			first = d
		}
	}
	return first
}

// quietEnd is the first instant from now on that is quiet in none of the zones.
func quietEnd(q *organisation.QuietHours, zones []*time.Location, now time.Time) time.Time {
	start := now
	for range 4 * len(zones) { // hours that are quiet all round somewhere end with the next zone's
		moved := false
		for _, z := range zones {
			if end, quiet := q.Until(start.In(z)); quiet {
				start, moved = end, true
			}
		}
		if !moved {
			break
		}
	}
	return start
}

// zonesOf are the zones in which a person of a jurisdiction may live: a country
// or state with several has its outermost ones, and quiet in one of them is
// quiet. An unknown place has the organisation's zone.
func zonesOf(place string, org *organisation.Organisation) []*time.Location {
	names, ok := placeZones[place]
	if !ok {
		country, _, _ := strings.Cut(place, "-")
		names = placeZones[country]
	}
	var zones []*time.Location
	for name := range strings.FieldsSeq(names) {
		if z, err := time.LoadLocation(name); err == nil && !slices.Contains(zones, z) {
			zones = append(zones, z)
		}
	}
	if len(zones) == 0 {
		zones = append(zones, org.Location())
	}
	return zones
}

// placeZones are IANA zones by jurisdiction (IANA time zone database, zone1970.tab).
var placeZones = map[string]string{
	"GB": "Europe/London", "IE": "Europe/Dublin", "PT": "Europe/Lisbon Atlantic/Azores", "IS": "Atlantic/Reykjavik",
	"AT": "Europe/Vienna", "BE": "Europe/Brussels", "CH": "Europe/Zurich", "CZ": "Europe/Prague", "DE": "Europe/Berlin",
	"DK": "Europe/Copenhagen", "ES": "Europe/Madrid Atlantic/Canary", "FR": "Europe/Paris", "HR": "Europe/Zagreb", "HU": "Europe/Budapest",
	"IT": "Europe/Rome", "LI": "Europe/Vaduz", "LU": "Europe/Luxembourg", "MT": "Europe/Malta", "NL": "Europe/Amsterdam", "NO": "Europe/Oslo",
	"PL": "Europe/Warsaw", "SE": "Europe/Stockholm", "SI": "Europe/Ljubljana", "SK": "Europe/Bratislava",
	"BG": "Europe/Sofia", "CY": "Asia/Nicosia", "EE": "Europe/Tallinn", "FI": "Europe/Helsinki", "GR": "Europe/Athens",
	"LT": "Europe/Vilnius", "LV": "Europe/Riga", "RO": "Europe/Bucharest", "UA": "Europe/Kyiv", "TR": "Europe/Istanbul",
	"AU": "Australia/Sydney Australia/Perth", "NZ": "Pacific/Auckland", "JP": "Asia/Tokyo", "KR": "Asia/Seoul", "SG": "Asia/Singapore",
	"IN": "Asia/Kolkata", "IL": "Asia/Jerusalem", "ZA": "Africa/Johannesburg", "BR": "America/Sao_Paulo America/Rio_Branco",
	"CA": "America/St_Johns America/Vancouver", "CA-BC": "America/Vancouver", "CA-AB": "America/Edmonton", "CA-ON": "America/Toronto America/Winnipeg", "CA-QC": "America/Toronto",
	"US": "America/New_York Pacific/Honolulu",

	"US-CT": eastern, "US-DC": eastern, "US-DE": eastern, "US-GA": eastern, "US-MA": eastern, "US-MD": eastern, "US-ME": eastern,
	"US-NC": eastern, "US-NH": eastern, "US-NJ": eastern, "US-NY": eastern, "US-OH": eastern, "US-PA": eastern, "US-RI": eastern,
	"US-SC": eastern, "US-VA": eastern, "US-VT": eastern, "US-WV": eastern,
	"US-FL": eastern + " " + central, "US-IN": eastern + " " + central, "US-KY": eastern + " " + central, "US-MI": eastern + " " + central, "US-TN": eastern + " " + central,
	"US-AL": central, "US-AR": central, "US-IA": central, "US-IL": central, "US-LA": central, "US-MN": central, "US-MO": central,
	"US-MS": central, "US-OK": central, "US-WI": central,
	"US-KS": central + " " + mountain, "US-ND": central + " " + mountain, "US-NE": central + " " + mountain, "US-SD": central + " " + mountain, "US-TX": central + " " + mountain,
	"US-CO": mountain, "US-MT": mountain, "US-NM": mountain, "US-UT": mountain, "US-WY": mountain, "US-AZ": "America/Phoenix " + mountain,
	"US-ID": mountain + " " + pacific, "US-OR": mountain + " " + pacific, "US-CA": pacific, "US-NV": pacific, "US-WA": pacific,
	"US-AK": "America/Anchorage America/Adak", "US-HI": "Pacific/Honolulu",
}

const (
	eastern  = "America/New_York"
	central  = "America/Chicago"
	mountain = "America/Denver"
	pacific  = "America/Los_Angeles"
)
