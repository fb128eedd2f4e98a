package law

import (
	"slices"
	"time"
)

// holds applies the holds of the case to every result, in the order in which they began. It reports
// whether one of them still stops the clock, in which case the duty has no due instant for now.
func (w *work) holds(results []result) (suspended bool) {
	list := slices.Clone(w.f.Holds)
	slices.SortStableFunc(list, func(a, b Hold) int { return a.From.Compare(b.From) })
	for i := range list {
		h := &list[i]
		rule := w.holdRule(h)
		if rule == nil || !w.covers(h.Jurisdictions) || !w.concerns(h) {
			continue
		}
		if rule.NeedsGrant && (h.Granted == nil || !*h.Granted) {
			w.note("hold", "a request for a hold ("+h.Kind+") does not stop the clock before it is granted", rule.Citation)
			continue
		}
		end, open := w.holdEnd(h, rule)
		suspended = suspended || open && len(results) == 0 // a duty without a number is held as well
		for j := range results {
			r := &results[j]
			from := h.From
			if r.anchor.After(from) {
				from = r.anchor // nothing was running before the anchor
			}
			if !from.Before(r.due) {
				continue // the period was over before the hold began
			}
			if open {
				suspended = true
				continue
			}
			if r.tied || !end.After(from) {
				continue // moved by the duty it is tied to; or let go before the period began
			}
			r.due = w.after(rule, from, r.due, end)
			text := "hold " + h.Kind + " from " + stamp(h.From.In(w.here.loc)) + " to " + stamp(end.In(w.here.loc)) + "; then " + rule.Then.String()
			r.steps = append(slices.Clone(r.steps), Step{Kind: "hold", Text: text, At: ptr(end), Cite: rule.Citation})
		}
		w.standing(h, end, open, suspended)
		if suspended {
			return true
		}
	}
	return false
}

// standing records a hold that is still on at the instant of asking.
func (w *work) standing(h *Hold, end time.Time, open, suspended bool) {
	switch {
	case open && suspended:
		w.d.Suspended = &Suspension{By: h.Kind, Since: h.From.UTC()}
		w.note("hold", "suspended by "+h.Kind+" since "+stamp(h.From.In(w.here.loc))+" until it is released", "")
	case !open && !w.asOf.IsZero() && end.After(w.asOf):
		w.d.Suspended = &Suspension{By: h.Kind, Since: h.From.UTC(), Until: ptr(end)}
	}
}

func (w *work) note(kind, text, cite string) {
	w.d.Derivation = append(w.d.Derivation, Step{Kind: kind, Text: text, Cite: cite})
}

func (w *work) holdRule(h *Hold) *HoldRule {
	for i := range w.rule.Common.Holds {
		if w.rule.Common.Holds[i].Kind == h.Kind {
			return &w.rule.Common.Holds[i]
		}
	}
	return nil
}

func (w *work) concerns(h *Hold) bool {
	return len(h.Duties) == 0 || slices.Contains(h.Duties, w.rule.Full) || slices.Contains(h.Duties, w.d.ID) || slices.Contains(h.Duties, w.rule.Regime)
}

// holdEnd returns when a hold ends: its release, else the end it names, cut at the longest that the law allows.
func (w *work) holdEnd(h *Hold, rule *HoldRule) (end time.Time, open bool) {
	end, open = h.Released, h.Released.IsZero()
	if open && !h.Until.IsZero() {
		end, open = h.Until, false
	}
	if days, ok := rule.MaxDays[h.Form]; ok {
		limit := (dayOf(h.From.In(w.here.loc)) + day(days)).at(endOfDay, w.here.loc)
		if open || end.After(limit) {
			end, open = limit, false
		}
	}
	return end, open
}

// after returns the due instant once a hold that stopped the clock at an instant has ended.
func (w *work) after(rule *HoldRule, from, due, end time.Time) time.Time {
	loc := w.here.loc
	t := rule.Then
	switch t.Word {
	case "at-once":
		return end
	case "remaining":
		if w.hoursOnly() {
			return due.Add(end.Sub(from))
		}
		left := dayOf(due.In(loc)) - dayOf(from.In(loc))
		local := due.In(loc)
		return (dayOf(end.In(loc)) + left).at(local.Hour()*3600+local.Minute()*60+local.Second(), loc)
	}
	how := w.rule.Common.Counting
	out := count{n: t.N, unit: t.Unit, how: how, loc: w.location(how.Zone, ""), cal: w.calendar(how.Calendar)}.end(end, func(string, string) {})
	if t.NotBeforeDue && due.After(out) {
		return due
	}
	return out
}

func (w *work) hoursOnly() bool {
	for _, l := range w.rule.Limits {
		if l.Unit != "hour" {
			return false
		}
	}
	return true
}

// String says what comes after a hold, in words.
func (t Then) String() string {
	switch t.Word {
	case "remaining":
		return "the time that was left"
	case "at-once":
		return "at once"
	}
	return plural(t.N, t.Unit)
}
