package notice

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/category"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/journal"
	"tocsin.dev/pkg/organisation"
	"tocsin.dev/pkg/person"
	"tocsin.dev/pkg/wording"
)

// What is assumed where nothing is configured or measured. Rates are messages
// a second: email as a two-core machine hands it over, SMS as one short code,
// letters and faxes as fast as their files are written.
const (
	assumedEmail   = 8000
	assumedSMS     = 100
	assumedPost    = 1000
	assumedFax     = 50
	assumedListing = 40000
	// assumedCooling is the desk's own time between an order and its first message.
	assumedCooling = time.Minute
	// assumedApproval is how long a lawyer takes from a finished text to a yes.
	assumedApproval = 4 * time.Hour
)

// answerForecast answers event.AskForecast.
func (s *Service) answerForecast(ctx context.Context, q event.ForecastQuestion) (event.ForecastAnswer, error) {
	c, err := s.cfg.Journal.Load(ctx, q.Org, q.Case)
	if errors.Is(err, journal.ErrNotFound) {
		return event.ForecastAnswer{}, bus.Refuse("not_found", "there is no case %s", q.Case)
	}
	if err != nil {
		return event.ForecastAnswer{}, err
	}
	org, err := s.cfg.Organisations.Get(q.Org)
	if err != nil {
		return event.ForecastAnswer{}, err
	}
	if c.Latest() == nil {
		return event.ForecastAnswer{}, bus.Refuse("not_sealed", "no list of people has been sealed for case %s yet", q.Case)
	}
	f := &foresight{s: s, c: c, org: org, q: q, o: outlook{start: s.cfg.Now(), canary: s.cfg.Canary}}
	if q.StartAt != nil {
		f.o.start = *q.StartAt
	}
	if err := f.look(ctx); err != nil {
		return event.ForecastAnswer{}, err
	}
	a := f.o.answer()
	a.Left, a.Assumed = f.left, f.assumed
	return a, nil
}

// foresight gathers what a forecast is made from.
type foresight struct {
	s   *Service
	c   *casefile.Case
	org *organisation.Organisation
	q   event.ForecastQuestion
	// plan is the order under way, or nil.
	plan *plan
	o    outlook
	// left are people still to be written to.
	left    int64
	assumed []string
}

func (f *foresight) assume(format string, args ...any) {
	f.assumed = append(f.assumed, fmt.Sprintf(format, args...))
}

func (f *foresight) look(ctx context.Context) error {
	f.o.people = f.c.Latest().People
	f.left, f.o.unlisted = f.o.people, f.o.people
	if d := peopleDuty(f.c); d != nil {
		f.o.due = d.Due
	}
	if n := len(f.c.Orders); n > 0 {
		p, err := f.s.store.planOf(ctx, f.c.Org, f.c.Number, f.c.Orders[n-1].Order)
		if err != nil {
			return err
		}
		if p != nil && (p.state == planSending || p.state == planListing) {
			f.plan = p
		}
	}
	f.lead()
	if err := f.channels(ctx); err != nil {
		return err
	}
	if err := f.pace(ctx); err != nil {
		return err
	}
	if f.plan != nil && f.plan.state == planSending {
		return f.shrink(ctx)
	}
	return nil
}

// lead is what passes before the planning begins: an approval that is not given
// yet, and the cooling of an order.
func (f *foresight) lead() {
	if n := len(f.c.Orders); n > 0 && !f.c.Orders[n-1].Ended() {
		if t := f.c.Orders[n-1].NotBefore; t != nil && f.plan == nil {
			f.o.cooling = max(0, t.Sub(f.o.start))
		}
		return
	}
	f.o.cooling = assumedCooling
	for _, a := range f.c.Approvals {
		if f.c.Stale(a.Approval, f.o.start) == "" {
			return
		}
	}
	f.o.approval = time.Duration(f.org.Approval.LeadHours) * time.Hour
	if f.o.approval == 0 {
		f.o.approval = assumedApproval
		f.assume("the texts are approved in %v", assumedApproval)
	}
}

// peopleDuty is the open duty to the affected people that is due first.
func peopleDuty(c *casefile.Case) *casefile.Duty {
	var first *casefile.Duty
	for _, d := range c.Duties {
		if d.State != casefile.DutyOpen && d.State != casefile.DutyMissed || d.Due == nil || d.ToKind != "people" {
			continue
		}
		if first == nil || d.Due.Before(*first.Due) {
			first = d
		}
	}
	if first == nil {
		return c.NextDue()
	}
	return first
}

// channels are the legs of a forecast: who begins where follows from the sealed
// counts and the order of the channels.
func (f *foresight) channels(ctx context.Context) error {
	names := f.q.Channels
	if len(names) == 0 && len(f.c.Orders) > 0 {
		names = f.c.Orders[len(f.c.Orders)-1].Channels
	}
	if len(names) == 0 {
		names = f.org.Channels
	}
	counts := f.c.Latest().Counts.Channels
	placed, people := int64(0), f.o.people-counts["none"]
	for _, name := range names {
		l, ok, err := f.leg(ctx, name)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		have, known := counts[name]
		if !known && len(counts) == 0 {
			have = people
		}
		l.people = max(0, min(have, people-placed))
		placed += l.people
		f.o.legs = append(f.o.legs, l)
	}
	if len(f.o.legs) == 0 && !slices.Contains(names, Page.String()) { // a public notice stands once everybody is listed
		return bus.Refuse("invalid", "none of the channels %v can be forecast", names)
	}
	noted := len(f.assumed)
	for _, name := range f.org.Channels {
		if ch, _ := channelNamed(name); slices.Contains(names, name) || !f.s.serves(ch) {
			continue
		}
		l, ok, err := f.leg(ctx, name)
		if err != nil {
			return err
		}
		if l.people = counts[name]; ok {
			f.o.spare = append(f.o.spare, l)
		}
	}
	f.assumed = f.assumed[:noted] // what a spare channel rests on is no part of the forecast
	return nil
}

// leg is one channel as it goes now; ok is whether people are written to on it.
func (f *foresight) leg(ctx context.Context, name string) (l leg, ok bool, err error) {
	ch, known := channelNamed(name)
	if !known || !slices.Contains(sendable, ch) {
		return l, false, nil
	}
	l = leg{channel: ch, parts: 1, spread: 0.05, zone: f.org.Location()}
	rate, measured, err := f.rate(ctx, ch)
	if err != nil {
		return l, false, err
	}
	if l.rate = rate; !measured {
		l.spread = 0.3
	}
	if l.fails, err = f.fails(ctx, ch); err != nil {
		return l, false, err
	}
	if by := f.s.accountsOn(ch); len(by) > 0 && f.s.holdsBack(by[0], f.org.ID) {
		l.held = f.s.cfg.Doubt.Ahead
	}
	if ch == SMS {
		l.parts = smsParts(f.c, f.org)
		if l.quiet = f.org.QuietHours; l.quiet != nil {
			f.assume("people's nights are those of %s", f.org.Zone)
		}
	}
	return l, true, nil
}

// rate is how fast a channel goes: as asked, as the order under way shows, as
// configured, as measured on an earlier sending of some size, or as assumed.
func (f *foresight) rate(ctx context.Context, ch Channel) (rate float64, known bool, err error) {
	if r := f.q.Rates[ch.String()]; r > 0 {
		return r, true, nil
	}
	if f.plan != nil {
		if r, err := f.measured(ctx, ch, f.plan.campaign); err != nil || r > 0 {
			return r, true, err
		}
	}
	for _, name := range []string{providerOf(ch) + "/" + f.org.Sender.SMS, providerOf(ch)} {
		if r := f.s.cfg.Rates[name]; r > 0 {
			return r, true, nil
		}
	}
	if r, err := f.measured(ctx, ch, 0); err != nil || r > 0 {
		return r, true, err
	}
	r := map[Channel]float64{Email: assumedEmail, SMS: assumedSMS, Post: assumedPost, Fax: assumedFax}[ch]
	f.assume("%s goes at %.4g messages a second", ch, r)
	return r, false, nil
}

// measured is how many messages a second left on a channel in a campaign, or
// with 0 in the latest one of some size; 0 if there is too little to tell.
func (f *foresight) measured(ctx context.Context, ch Channel, campaign int64) (float64, error) {
	var sent, ms int64
	err := f.s.store.db.QueryRowContext(ctx, `SELECT h.n, p.ms FROM
		(SELECT campaign, SUM(n) AS n FROM moved WHERE channel=$1 AND reason=$2 AND ($3=0 OR campaign=$3) GROUP BY campaign) h
		JOIN (SELECT campaign, MAX(last_at-first_at) AS ms FROM plan WHERE first_at>0 GROUP BY campaign) p ON p.campaign=h.campaign
		WHERE h.n>=1000 AND p.ms>=1000 ORDER BY h.campaign DESC LIMIT 1`, ch, ReasonHandOver, campaign).Scan(&sent, &ms)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("measured rate of %s: %w", ch, err)
	}
	return float64(sent) * 1000 / float64(ms), nil
}

// enough is how many messages must have ended before their share of failures is believed.
const enough = 200

// fails is the share of a channel's messages that fail and go on to the next
// rung: as the organisation's earlier sendings show, or as assumed.
func (f *foresight) fails(ctx context.Context, ch Channel) (float64, error) {
	var failed, delivered int64
	err := f.s.store.db.QueryRowContext(ctx, `SELECT COALESCE(SUM(CASE WHEN m.state IN ($3,$4) THEN m.n ELSE 0 END),0), COALESCE(SUM(CASE WHEN m.state=$5 THEN m.n ELSE 0 END),0)
		FROM moved m JOIN campaign c ON c.id=m.campaign WHERE c.org=$1 AND m.channel=$2`, f.c.Org, ch, Failed, Refused, Delivered).Scan(&failed, &delivered)
	if err != nil {
		return 0, fmt.Errorf("measured failures of %s: %w", ch, err)
	}
	if failed+delivered >= enough {
		return float64(failed) / float64(failed+delivered), nil
	}
	share := 0.02
	switch ch {
	case SMS:
		share = 0.05
	case Fax:
		share = 0.1
	}
	f.assume("%.0f %% of the messages by %s fail", 100*share, ch)
	return share, nil
}

// pace is how many people a second get a row: as the order under way or the
// latest one of some size shows, or as assumed.
func (f *foresight) pace(ctx context.Context) error {
	f.o.listing = assumedListing
	if p := f.plan; p != nil && p.state == planListing && p.nextPlace > 0 {
		f.o.unlisted = max(0, p.people-p.nextPlace)
		if took := f.s.cfg.Now().UnixMilli() - p.madeAt; took >= 1000 {
			f.o.listing = float64(p.nextPlace) * 1000 / float64(took)
		}
		return nil
	}
	var people, ms int64
	err := f.s.store.db.QueryRowContext(ctx, `SELECT people, first_at-made_at FROM plan WHERE people>=10000 AND first_at>made_at ORDER BY id DESC LIMIT 1`).Scan(&people, &ms)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return fmt.Errorf("measured planning: %w", err)
	}
	f.o.listing = float64(people) * 1000 / float64(ms)
	return nil
}

// shrink leaves only what an order under way still has to do.
func (f *foresight) shrink(ctx context.Context) error {
	t, err := f.s.store.tally(ctx, f.plan.campaign)
	if err != nil || t.People == 0 {
		return err
	}
	f.o.unlisted, f.o.canary = 0, 0
	if f.plan.firstAt == 0 {
		f.o.canary = f.s.cfg.Canary
	}
	for i := range f.o.legs {
		states := t.States[f.o.legs[i].channel.String()]
		f.o.legs[i].people = states[Planned.String()] + states[Submitted.String()]
	}
	f.left = t.Pending
	return nil
}

// ordinary is nobody: a contact of common length, for measuring texts.
var ordinary = &person.Contact{Number: 1, GivenName: "Katarina", FamilyName: "Andersson", AgeClass: person.AgeAdult, Exposed: category.Set(0b1101)}

// smsParts is the parts of the longest SMS text as it would be sent to a person with an ordinary name.
func smsParts(c *casefile.Case, org *organisation.Organisation) int {
	parts := 1
	for key, t := range c.Texts {
		if key.Channel != "sms" {
			continue
		}
		tpl, err := wording.Compile(key, t.Subject, t.Body)
		if err != nil {
			continue
		}
		b, err := tpl.Bind(wording.Common{Organisation: org, CaseNumber: c.Number, Sheet: c.Sheet(key.Language)})
		if err != nil {
			continue
		}
		m, err := b.Render(wording.Recipient{Contact: ordinary, Reference: "ABCDE-FGHJK"})
		if err == nil {
			parts = max(parts, wording.CountSegments(m.Text).Parts)
		}
	}
	return parts
}
