package sandbox

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"sort"
	"sync/atomic"
	"time"
)

// Faults is a profile of what goes wrong, set by PUT /sandbox/faults. Rates are between 0 and 1.
// The same seed gives the same sequence of decisions: the n-th send request of a profile always
// gets the same one, whichever request that is.
type Faults struct {
	Profile string `json:"profile,omitempty"` // take a named profile; other fields then override nothing
	Seed    uint64 `json:"seed"`

	RateLimited      float64 `json:"rate_limited"`       // 429, nothing accepted
	RetryAfter       int     `json:"retry_after"`        // seconds told with a 429; 0 means 1
	ServerError      float64 `json:"server_error"`       // 5xx, nothing accepted
	DropBeforeAccept float64 `json:"drop_before_accept"` // connection closed, nothing accepted
	AcceptThenError  float64 `json:"accept_then_error"`  // accepted and recorded, answered 5xx
	AcceptThenDrop   float64 `json:"accept_then_drop"`   // accepted and recorded, connection closed
	LateAnswer       float64 `json:"late_answer"`        // accepted and recorded, answered after LateMS
	LateMS           int     `json:"late_ms"`            // milliseconds; 0 means 30,000

	// MixUp hands messages to the wrong people after they were accepted: each mail
	// of a request goes to the next one's address, and each text message says what
	// the one before it should have said.
	MixUp bool `json:"mix_up"`

	Slow     Delay    `json:"slow"` // before anything else, independent of the above
	Receipts Receipts `json:"receipts"`

	LookupsOff  bool `json:"lookups_off"`   // /v3/logs answers 403 and the Twilio list 503
	LookupLagMS int  `json:"lookup_lag_ms"` // a look-up does not see what is younger than this
	SteeringOff bool `json:"steering_off"`  // addresses mean nothing: everything is delivered
}

// Delay makes a share of requests or receipts late. The distribution is uniform between MinMS and
// MaxMS, or, as "exponential", MinMS plus an exponential tail with mean MeanMS cut at MaxMS.
type Delay struct {
	Rate         float64 `json:"rate"`
	MinMS        int     `json:"min_ms"`
	MaxMS        int     `json:"max_ms"`
	MeanMS       int     `json:"mean_ms,omitempty"`
	Distribution string  `json:"distribution,omitempty"`
}

// Receipts is what happens to the callbacks.
type Receipts struct {
	Lost              float64 `json:"lost"`                // never delivered
	Tripled           float64 `json:"tripled"`             // delivered three times, the third with a new event id
	Shuffled          bool    `json:"shuffled"`            // in no order, within and across messages
	Delayed           Delay   `json:"delayed"`             //
	WithoutCustomArgs float64 `json:"without_custom_args"` // SendGrid events without our arguments
}

// profiles are the named ones. "storm" is the bench's: 5 % accept-then-drop, 5 % 5xx (half of them
// after accepting), 2 % 429, slow tails, receipts tripled, shuffled, 1 % lost. "blind" is the same
// with nothing to learn from afterwards.
func profiles() map[string]Faults {
	storm := Faults{
		Profile: "storm", Seed: 1,
		AcceptThenDrop: 0.05, ServerError: 0.025, AcceptThenError: 0.025, RateLimited: 0.02, RetryAfter: 1,
		Slow:     Delay{Rate: 0.02, MinMS: 50, MeanMS: 300, MaxMS: 3000, Distribution: "exponential"},
		Receipts: Receipts{Lost: 0.01, Tripled: 1, Shuffled: true},
	}
	blind := storm
	blind.Profile, blind.LookupsOff, blind.Receipts = "blind", true, Receipts{Lost: 1}
	return map[string]Faults{
		"none":  {Profile: "none"},
		"storm": storm,
		"blind": blind,
		"limits": {
			Profile: "limits", Seed: 1, RateLimited: 0.5, RetryAfter: 1,
		},
		"mix_up": { // an accident at the provider that no answer and no count shows
			Profile: "mix_up", Seed: 1, MixUp: true,
		},
		"deaf": { // every answer lost, receipts and look-ups sound
			Profile: "deaf", Seed: 1, AcceptThenDrop: 1,
		},
	}
}

// ReadFaults reads a profile from JSON, resolves a name, and refuses what makes no sense.
func ReadFaults(r io.Reader) (Faults, error) {
	var f Faults
	d := json.NewDecoder(io.LimitReader(r, 64<<10))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return Faults{}, fmt.Errorf("read faults profile: %w", err)
	}
	if f.Profile != "" {
		named, ok := profiles()[f.Profile]
		if !ok {
			return Faults{}, fmt.Errorf("unknown faults profile %q: use one of %v, or give the rates without a profile name", f.Profile, profileNames())
		}
		if f.Seed != 0 {
			named.Seed = f.Seed
		}
		named.SteeringOff = f.SteeringOff
		return named, nil
	}
	return f, f.check()
}

func profileNames() []string {
	var names []string
	for name := range profiles() {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

func (f Faults) check() error {
	rates := []struct {
		name string
		rate float64
	}{
		{"rate_limited", f.RateLimited}, {"server_error", f.ServerError}, {"drop_before_accept", f.DropBeforeAccept},
		{"accept_then_error", f.AcceptThenError}, {"accept_then_drop", f.AcceptThenDrop}, {"late_answer", f.LateAnswer},
		{"slow.rate", f.Slow.Rate}, {"receipts.lost", f.Receipts.Lost}, {"receipts.tripled", f.Receipts.Tripled},
		{"receipts.without_custom_args", f.Receipts.WithoutCustomArgs}, {"receipts.delayed.rate", f.Receipts.Delayed.Rate},
	}
	sum := 0.0
	for i, r := range rates {
		if math.IsNaN(r.rate) || r.rate < 0 || r.rate > 1 {
			return fmt.Errorf("faults profile: %s is %v, want a rate between 0 and 1", r.name, r.rate)
		}
		if i < 6 {
			sum += r.rate
		}
	}
	if sum > 1+1e-9 {
		return fmt.Errorf("faults profile: the rates of the answers add up to %v, want at most 1", sum)
	}
	for name, d := range map[string]Delay{"slow": f.Slow, "receipts.delayed": f.Receipts.Delayed} {
		if d.MinMS < 0 || d.MaxMS < d.MinMS || d.MaxMS > 3_600_000 || d.MeanMS < 0 {
			return fmt.Errorf("faults profile: %s wants 0 ≤ min_ms ≤ max_ms ≤ 3600000", name)
		}
		if d.Distribution != "" && d.Distribution != "uniform" && d.Distribution != "exponential" {
			return fmt.Errorf("faults profile: %s.distribution is %q, want uniform or exponential", name, d.Distribution)
		}
	}
	if f.LateMS < 0 || f.LookupLagMS < 0 || f.RetryAfter < 0 || f.LateMS > 3_600_000 {
		return fmt.Errorf("faults profile: late_ms, lookup_lag_ms and retry_after are not negative, late_ms at most 3600000")
	}
	return nil
}

// answer is what a send request gets.
type answer uint8

const (
	answerProperly answer = iota
	answerRateLimited
	answerServerError
	dropBeforeAccept
	acceptThenError
	acceptThenDrop
	answerLate
)

// faulty is a profile with its place in the sequence of decisions.
type faulty struct {
	Faults
	requests atomic.Uint64
}

// next decides about one send request: how long it waits first and what it is answered.
func (f *faulty) next() (wait time.Duration, a answer) {
	n := f.requests.Add(1)
	wait = f.Slow.draw(f.Seed, n, 1)
	roll := uniform(f.Seed, n, 2)
	for _, c := range []struct {
		rate float64
		a    answer
	}{
		{f.RateLimited, answerRateLimited}, {f.ServerError, answerServerError}, {f.DropBeforeAccept, dropBeforeAccept},
		{f.AcceptThenError, acceptThenError}, {f.AcceptThenDrop, acceptThenDrop}, {f.LateAnswer, answerLate},
	} {
		if roll < c.rate {
			return wait, c.a
		}
		roll -= c.rate
	}
	return wait, answerProperly
}

// status picks the 5xx of the n-th error, so that every one of them is met.
func (f *faulty) status() int {
	return []int{500, 502, 503, 504}[mix(f.Seed, f.requests.Load(), 3)%4]
}

func (f *faulty) late() time.Duration {
	if f.LateMS == 0 {
		return 30 * time.Second
	}
	return time.Duration(f.LateMS) * time.Millisecond
}

func (d Delay) draw(seed, n, salt uint64) time.Duration {
	if d.Rate == 0 || uniform(seed, n, salt<<8) >= d.Rate {
		return 0
	}
	u, lo, hi := uniform(seed, n, salt<<8|1), float64(d.MinMS), float64(d.MaxMS)
	ms := lo + u*(hi-lo)
	if d.Distribution == "exponential" {
		ms = min(lo-float64(d.MeanMS)*math.Log(1-u), hi)
	}
	return time.Duration(ms * float64(time.Millisecond))
}

// mix is splitmix64 over three words: reproducible, stateless, good enough for rates.
func mix(seed, n, salt uint64) uint64 {
	z := seed*0x9E3779B97F4A7C15 ^ n*0xD1B54A32D192ED03 ^ salt*0x8CB92BA72F3D8DD7
	z += 0x9E3779B97F4A7C15
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

func uniform(seed, n, salt uint64) float64 { return float64(mix(seed, n, salt)>>11) / (1 << 53) }
