package notice

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/organisation"
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
	// held is how long a provider keeps a message so that it can be recalled.
	held time.Duration
	// quiet are hours in which the channel rests, by the clock of zone; nil if it never does.
	quiet *organisation.QuietHours
	zone  *time.Location
}

// perSecond is how many people a second the leg reaches.
func (l leg) perSecond() float64 { return l.rate / float64(max(1, l.parts)) }

// outlook is what a forecast is made from. It is pure.
type outlook struct {
	start time.Time
	due   *time.Time
	// approval is how long it takes until the words are approved, cooling how
	// long an approved order waits, and canary how long all but the first page wait.
	approval, cooling, canary time.Duration
	// unlisted people have no row yet; listing is how many get one a second.
	unlisted int64
	listing  float64
	people   int64
	legs     []leg
	// spare are channels of the organisation that the order does not use.
	spare []leg
}

// draws is how many outcomes are played; enough for a steady tenth.
const draws = 400

// begins is how many seconds pass before the first message.
func (o outlook) begins() float64 {
	wait := o.approval + o.cooling
	if o.people > pageSize {
		wait += o.canary
	}
	if o.listing <= 0 {
		return wait.Seconds()
	}
	return wait.Seconds() + float64(o.unlisted)/o.listing
}

// ends plays the sending and returns the seconds it takes, shortest first. All
// channels work at once; what fails on one falls to the next in order.
func (o outlook) ends() []float64 {
	r := rand.New(rand.NewPCG(1, uint64(o.people))) //nolint:gosec // reproducible, not secret
	all, begins := make([]float64, draws), o.begins()
	for i := range all {
		end, fallen, before := begins, 0.0, 0.0
		for _, l := range o.legs {
			rate := l.perSecond() * math.Exp(l.spread*r.NormFloat64())
			// What falls to this rung arrives while the one above is under way, the
			// last of it at its end.
			own, late := float64(l.people)/rate, fallen/rate
			took := max(own+late, before+fallen*0.02/rate)
			if l.people > 0 || fallen > 0 {
				end = max(end, o.leaves(l, o.awake(l, begins, took)))
				before = took
			}
			share := min(1, max(0, l.fails*math.Exp(0.3*r.NormFloat64())))
			fallen = (float64(l.people) + fallen) * share
		}
		all[i] = end
	}
	slices.Sort(all)
	return all
}

// awake returns when a leg ends that works for took seconds from an instant
// on, resting in its quiet hours as the sender does: not where it would be too
// late for the deadline. Both instants are seconds from the start.
func (o outlook) awake(l leg, from, took float64) float64 {
	if l.quiet == nil || took > longest {
		return from + took
	}
	at := o.start.Add(seconds(from)).In(l.zone)
	for took > 0 {
		if end, quiet := l.quiet.Until(at); quiet {
			if o.due != nil && end.Add(quietMargin).After(*o.due) {
				break
			}
			at = end
		}
		work := min(took, l.quiet.Next(at).Sub(at).Seconds())
		at, took = at.Add(seconds(work)), took-work
	}
	return at.Sub(o.start).Seconds() + took
}

// leaves returns when the last message of a leg leaves the provider that took
// it at an instant: what would be late for being held is not held, as the sender
// does it. Both instants are seconds from the start.
func (o outlook) leaves(l leg, taken float64) float64 {
	held := taken + l.held.Seconds()
	if o.due != nil && !o.start.Add(seconds(held)).Before(*o.due) {
		return taken
	}
	return held
}

// longest is the longest work, in seconds, of which the nights are counted: a
// year, which no deadline outlasts.
const longest = 366 * 24 * 3600

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func quantile(sorted []float64, q float64) float64 {
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// answer turns the outcomes into a forecast.
func (o outlook) answer() event.ForecastAnswer {
	ends := o.ends()
	at := func(s float64) time.Time { return o.start.Add(seconds(s)).UTC() }
	a := event.ForecastAnswer{People: o.people, P10: at(quantile(ends, 0.1)), P50: at(quantile(ends, 0.5)), P90: at(quantile(ends, 0.9)),
		Seconds: quantile(ends, 0.5), Due: o.due, InTime: 1, ApprovalSeconds: o.approval.Seconds(), Channels: []event.ForecastChannel{}}
	fallen := 0.0
	for _, l := range o.legs {
		n := float64(l.people) + fallen
		c := event.ForecastChannel{Channel: l.channel.String(), Messages: int64(n), Rate: l.rate, Parts: l.parts, Seconds: n / l.perSecond()}
		if o.due != nil {
			t := o.due.Add(-seconds(c.Seconds * (1 + 1.28*l.spread))).UTC()
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
	latest := o.due.Add(-seconds(quantile(ends, 0.9) - o.approval.Seconds())).UTC()
	a.LatestApproval = &latest
	if a.InTime < 0.9 {
		a.Cheapest = o.cheapest()
	}
	return a
}

// cheapest names the first single change, in the order of what it costs, that
// makes nine outcomes in ten end in time.
func (o outlook) cheapest() string {
	room := o.due.Sub(o.start).Seconds()
	if room <= 0 {
		return "nothing: the due instant has passed; send as soon as possible and record the reason"
	}
	if len(o.legs) == 0 {
		return "approve and order sooner"
	}
	makes := func(x outlook) bool { return quantile(x.ends(), 0.9) <= room }
	now := o
	if now.approval = 0; o.approval > 0 && makes(now) {
		return "approve sooner: within " + seconds(room-quantile(now.ends(), 0.9)).Round(time.Minute).String() + " from now"
	}
	slow := o.slowest()
	if words := o.faster(slow, makes, 1.25, 1.5, 2); words != "" {
		return words
	}
	if words := o.beside(slow, makes); words != "" {
		return words
	}
	if words := o.faster(slow, makes, 3, 5, 10, 20, 50, 100); words != "" {
		return words
	}
	return fmt.Sprintf("no single change makes it; %s is the slowest channel: approve at once, raise its rate and use another channel besides", o.legs[slow].channel)
}

func (o outlook) slowest() (slow int) {
	for i, l := range o.legs {
		if float64(l.people)/l.perSecond() > float64(o.legs[slow].people)/o.legs[slow].perSecond() {
			slow = i
		}
	}
	return slow
}

// faster looks for the smallest of some factors by which a channel must be faster.
func (o outlook) faster(slow int, makes func(outlook) bool, factors ...float64) string {
	for _, f := range factors {
		x := o
		x.legs = slices.Clone(o.legs)
		x.legs[slow].rate *= f
		if makes(x) {
			return fmt.Sprintf("raise the rate of %s from %.4g to %.4g messages a second", o.legs[slow].channel, o.legs[slow].rate, x.legs[slow].rate)
		}
	}
	return ""
}

// beside looks for a channel that the order does not use and that takes enough
// people off the slowest.
func (o outlook) beside(slow int, makes func(outlook) bool) string {
	for _, l := range o.spare {
		x := o
		x.legs = slices.Clone(o.legs)
		l.people = min(l.people, x.legs[slow].people)
		x.legs[slow].people -= l.people
		x.legs = append([]leg{l}, x.legs...)
		if l.people > 0 && makes(x) {
			return fmt.Sprintf("order %s besides: it reaches %d of these people", l.channel, l.people)
		}
	}
	return ""
}
