package notice

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/journal"
	"tocsin.dev/pkg/organisation"
	"tocsin.dev/pkg/wording"
)

// leg is one channel of a forecast.
type leg struct {
	channel Channel
	// people begin on this channel; rate is messages a second.
	people int64
	rate   float64
	parts  int
	// fails is the share that goes on to the next rung, and spread how unsure the rate is.
	fails, spread float64
}

// outlook is what a forecast is made from. It is pure.
type outlook struct {
	start time.Time
	due   *time.Time
	// lead is the time between order and first message: cooling, planning.
	lead time.Duration
	// listing is how many people a second are planned.
	listing float64
	people  int64
	legs    []leg
}

// draws is how many outcomes are played; enough for a steady tenth.
const draws = 400

// ends plays the sending and returns the seconds it takes, shortest first. All
// channels work at once; what fails on one falls to the next in order.
func (o outlook) ends() []float64 {
	r := rand.New(rand.NewPCG(1, uint64(o.people))) //nolint:gosec // reproducible, not secret
	all := make([]float64, draws)
	for i := range all {
		end, fallen, before := 0.0, 0.0, 0.0
		for _, l := range o.legs {
			rate := l.rate / float64(max(1, l.parts)) * math.Exp(l.spread*r.NormFloat64())
			// What falls to this rung arrives while the one above is under way, the
			// last of it at its end.
			own, late := float64(l.people)/rate, fallen/rate
			took := max(own+late, before+fallen*0.02/rate)
			if l.people > 0 || fallen > 0 {
				end = max(end, took)
				before = took
			}
			share := min(1, max(0, l.fails*math.Exp(0.3*r.NormFloat64())))
			fallen = (float64(l.people) + fallen) * share
		}
		listing := 0.0
		if o.listing > 0 {
			listing = float64(o.people) / o.listing
		}
		all[i] = o.lead.Seconds() + listing + end
	}
	slices.Sort(all)
	return all
}

func quantile(sorted []float64, q float64) float64 {
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// answer turns the outcomes into a forecast.
func (o outlook) answer() event.ForecastAnswer {
	ends := o.ends()
	at := func(s float64) time.Time { return o.start.Add(time.Duration(s * float64(time.Second))).UTC() }
	a := event.ForecastAnswer{People: o.people, P10: at(quantile(ends, 0.1)), P50: at(quantile(ends, 0.5)), P90: at(quantile(ends, 0.9)),
		Seconds: quantile(ends, 0.5), Due: o.due, InTime: 1, Channels: []event.ForecastChannel{}}
	fallen := 0.0
	for _, l := range o.legs {
		n := float64(l.people) + fallen
		c := event.ForecastChannel{Channel: l.channel.String(), Messages: int64(n), Rate: l.rate, Parts: l.parts, Seconds: n * float64(max(1, l.parts)) / l.rate}
		if o.due != nil {
			t := o.due.Add(-time.Duration(c.Seconds * (1 + 1.28*l.spread) * float64(time.Second))).UTC()
			c.LatestStart = &t
		}
		a.Channels = append(a.Channels, c)
		fallen = n * l.fails
	}
	if o.due == nil {
		return a
	}
	in := 0
	for _, s := range ends {
		if !at(s).After(*o.due) {
			in++
		}
	}
	a.InTime = float64(in) / draws
	latest := o.due.Add(-time.Duration(quantile(ends, 0.9) * float64(time.Second))).UTC()
	a.LatestApproval = &latest
	if a.InTime < 0.9 {
		a.Cheapest = o.cheapest()
	}
	return a
}

// cheapest finds the smallest single change that makes nine outcomes in ten
// end in time: more rate on the slowest channel, or beginning earlier.
func (o outlook) cheapest() string {
	room := o.due.Sub(o.start).Seconds()
	if room <= 0 {
		return "nothing: the due instant has passed; send as soon as possible and record the reason"
	}
	slowest := 0
	for i := range o.legs {
		if float64(o.legs[i].people)*float64(max(1, o.legs[i].parts))/o.legs[i].rate > float64(o.legs[slowest].people)*float64(max(1, o.legs[slowest].parts))/o.legs[slowest].rate {
			slowest = i
		}
	}
	for _, factor := range []float64{1.25, 1.5, 2, 3, 5, 10, 20, 50, 100} {
		faster := o
		faster.legs = slices.Clone(o.legs)
		faster.legs[slowest].rate *= factor
		if quantile(faster.ends(), 0.9) <= room {
			return fmt.Sprintf("raise the rate of %s from %.4g to %.4g messages a second", o.legs[slowest].channel, o.legs[slowest].rate, faster.legs[slowest].rate)
		}
	}
	return fmt.Sprintf("no rate of %s makes it; use another channel for these people", o.legs[slowest].channel)
}

// Rates assumed where nothing is configured or measured, in messages a second:
// email as a two-core machine hands it over, SMS as one short code.
const (
	assumedEmail   = 8000
	assumedSMS     = 100
	assumedPost    = 1000
	assumedListing = 40000
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
	o := outlook{start: s.cfg.Now(), people: c.Latest().People, listing: assumedListing}
	if q.StartAt != nil {
		o.start = *q.StartAt
	}
	if d := peopleDuty(c); d != nil {
		o.due = d.Due
	}
	var assumed []string
	if o.legs, assumed, err = s.legs(ctx, c, org, q); err != nil {
		return event.ForecastAnswer{}, err
	}
	left := o.people
	if n := len(c.Orders); n > 0 {
		if p, err := s.store.planOf(ctx, c.Org, c.Number, c.Orders[n-1].Order); err == nil && p != nil && p.state == planSending {
			left = s.shrink(ctx, p, &o)
		}
	}
	a := o.answer()
	a.Left, a.Assumed = left, assumed
	return a, nil
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

// shrink leaves only what an order under way still has to do.
func (s *Service) shrink(ctx context.Context, p *plan, o *outlook) int64 {
	t, err := s.store.tally(ctx, p.campaign)
	if err != nil || t.People == 0 {
		return o.people
	}
	o.listing = 0
	for i := range o.legs {
		states := t.States[o.legs[i].channel.String()]
		o.legs[i].people = states[Planned.String()] + states[Submitted.String()]
	}
	return t.Pending
}

// legs are the channels of a forecast: who begins where follows from the
// sealed counts and the order of the channels.
func (s *Service) legs(ctx context.Context, c *casefile.Case, org *organisation.Organisation, q event.ForecastQuestion) (legs []leg, assumed []string, err error) {
	names := q.Channels
	if len(names) == 0 && len(c.Orders) > 0 {
		names = c.Orders[len(c.Orders)-1].Channels
	}
	if len(names) == 0 {
		names = org.Channels
	}
	counts := c.Latest().Counts.Channels
	placed, people := int64(0), c.Latest().People-counts["none"]
	for _, name := range names {
		ch, ok := channelNamed(name)
		if !ok || !slices.Contains(sendable, ch) {
			continue
		}
		have, known := counts[name]
		if !known && len(counts) == 0 {
			have = people
		}
		l := leg{channel: ch, people: max(0, min(have, people-placed)), parts: 1, spread: 0.05, fails: 0.02}
		placed += l.people
		var guess string
		if l.rate, guess, err = s.rate(ctx, ch, org, q); err != nil {
			return nil, nil, err
		}
		if guess != "" {
			assumed, l.spread = append(assumed, guess), 0.3
		}
		if ch == SMS {
			l.parts, l.fails = smsParts(c, org), 0.05
		}
		legs = append(legs, l)
	}
	if len(legs) == 0 {
		return nil, nil, bus.Refuse("invalid", "none of the channels %v can be forecast", names)
	}
	return legs, assumed, nil
}

// rate is how fast a channel goes: as asked, as configured, as measured on the
// latest sending of some size, or as assumed.
func (s *Service) rate(ctx context.Context, ch Channel, org *organisation.Organisation, q event.ForecastQuestion) (float64, string, error) {
	for _, r := range []float64{q.Rates[ch.String()], s.cfg.Rates[providerOf(ch)+"/"+org.Sender.SMS], s.cfg.Rates[providerOf(ch)]} {
		if r > 0 {
			return r, "", nil
		}
	}
	var sent, ms int64
	err := s.store.db.QueryRowContext(ctx, `SELECT COALESCE(MAX(n),0), COALESCE(MAX(ms),0) FROM (
		SELECT SUM(CASE WHEN m.channel=$1 AND m.reason=$2 THEN m.n ELSE 0 END) AS n, MAX(p.last_at-p.first_at) AS ms, MAX(p.id) AS id
		FROM plan p JOIN moved m ON m.campaign=p.campaign GROUP BY p.campaign ORDER BY id DESC LIMIT 1) AS latest`, ch, ReasonHandOver).Scan(&sent, &ms)
	if err != nil {
		return 0, "", fmt.Errorf("measured rate: %w", err)
	}
	if sent >= 1000 && ms > 1000 {
		return float64(sent) * 1000 / float64(ms), "", nil
	}
	r := map[Channel]float64{Email: assumedEmail, SMS: assumedSMS, Post: assumedPost}[ch]
	return r, fmt.Sprintf("%s goes at %.4g messages a second", ch, r), nil
}

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
