package desk

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
)

// factKey is how facts are named: words of package law, or sheet.<name>.<language>.
var factKey = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$`)

// StateFact states or corrects a fact. An unchanged statement says nothing again.
func (s *Service) StateFact(ctx context.Context, who User, on On, f event.FactStated) (*casefile.Case, error) {
	return s.perform(ctx, act{
		who: who, on: on, roles: mayState,
		matters: func(e casefile.Entry) bool {
			b, _ := event.Decode(e.Event)
			other, ok := b.(*event.FactStated)
			return ok && other.Key == f.Key
		},
		decide: func(c *casefile.Case, _ event.Actor, now time.Time) ([]event.Body, error) {
			if err := open(c); err != nil {
				return nil, err
			}
			f, err := checkFact(f, now)
			if err == nil {
				err = s.checkLawFact(who.Org, f.Key, f.Value)
			}
			if err != nil {
				return nil, err
			}
			if old, ok := c.Facts[f.Key]; ok && old.Value == f.Value && sameInstant(old.TrueSince, f.TrueSince) && old.Note == f.Note {
				return nil, nil
			}
			return []event.Body{f}, nil
		},
	})
}

func checkFact(f event.FactStated, now time.Time) (event.FactStated, error) {
	bad := &Invalid{}
	f.Key, f.Value, f.Note = strings.TrimSpace(f.Key), strings.TrimSpace(f.Value), strings.TrimSpace(f.Note)
	if !factKey.MatchString(f.Key) {
		bad.add("key", "Name the fact with letters, digits, '.', '_' or '-', such as event.detected")
	}
	checkLength(bad, "value", f.Value, 1, maxText, "Say what is the case")
	checkLength(bad, "note", f.Note, 0, maxLine, "")
	if f.KnownSince.IsZero() {
		f.KnownSince = now
	}
	if f.KnownSince.After(now.Add(time.Minute)) {
		bad.add("known_since", "It cannot become known in the future")
	}
	if f.Zone != "" {
		if _, err := time.LoadLocation(f.Zone); err != nil {
			bad.add("zone", "%q is not a time zone such as Europe/London", f.Zone)
		}
	}
	if strings.HasPrefix(f.Key, "event.") {
		if _, err := time.Parse(time.RFC3339, f.Value); err != nil {
			bad.add("value", "Give an instant such as 2026-11-22T09:30:00Z")
		}
	}
	f.KnownSince = f.KnownSince.UTC()
	return f, bad.or()
}

func sameInstant(a, b *time.Time) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Equal(*b)
}

// AcceptAlert puts an alert into the case; intake then links it.
func (s *Service) AcceptAlert(ctx context.Context, who User, on On, a event.AlertAccepted) (*casefile.Case, error) {
	if err := s.checkAlerts(ctx, who, []string{a.Alert}); err != nil {
		return nil, err
	}
	return s.perform(ctx, act{
		who: who, on: on, roles: mayDeclare,
		decide: func(c *casefile.Case, _ event.Actor, _ time.Time) ([]event.Body, error) {
			if err := open(c); err != nil {
				return nil, err
			}
			if slices.Contains(c.AcceptedAlerts, a.Alert) {
				return nil, nil
			}
			return []event.Body{a}, nil
		},
	})
}

// AssessRisk records a person's decision about the risk to the people affected.
func (s *Service) AssessRisk(ctx context.Context, who User, on On, r event.RiskAssessed) (*casefile.Case, error) {
	return s.perform(ctx, act{
		who: who, on: on, roles: mayAssess,
		matters: anyOf(event.TypeRiskAssessed, event.TypeScopeSealed),
		decide: func(c *casefile.Case, _ event.Actor, _ time.Time) ([]event.Body, error) {
			if err := open(c); err != nil {
				return nil, err
			}
			bad := &Invalid{}
			r.Reason = strings.TrimSpace(r.Reason)
			if !slices.Contains([]event.RiskLevel{event.RiskUnlikely, event.RiskPresent, event.RiskHigh}, r.Level) {
				bad.add("level", "Choose unlikely, risk or high")
			}
			checkLength(bad, "reason", r.Reason, 3, maxText, "Say why; the record must stand up later")
			if c.Risk != nil && *c.Risk == r {
				return nil, nil
			}
			return []event.Body{r}, bad.or()
		},
	})
}

// Close ends the work on a case. Open duties must be met or waived first, and
// nothing may be under way.
func (s *Service) Close(ctx context.Context, who User, on On, reason string) (*casefile.Case, error) {
	return s.perform(ctx, act{
		who: who, on: on, roles: mayAssess,
		decide: func(c *casefile.Case, _ event.Actor, _ time.Time) ([]event.Body, error) {
			if c.Status == casefile.StatusClosed {
				return nil, nil
			}
			bad := &Invalid{}
			reason = strings.TrimSpace(reason)
			checkLength(bad, "reason", reason, 3, maxLine, "Say why the case is finished")
			if err := bad.or(); err != nil {
				return nil, err
			}
			if why := unfinished(c); why != "" {
				return nil, refuse("unfinished", "%s", why)
			}
			return []event.Body{event.CaseClosed{Reason: reason}}, nil
		},
	})
}

// unfinished says what stands against closing a case, or "".
func unfinished(c *casefile.Case) string {
	var duties []string
	for _, d := range c.Duties {
		if d.Binds() && (d.State == casefile.DutyOpen || d.State == casefile.DutyMissed) {
			duties = append(duties, d.Title)
		}
	}
	slices.Sort(duties)
	if len(duties) > 0 {
		return "these duties are neither met nor waived: " + strings.Join(duties, ", ")
	}
	for _, o := range c.Orders {
		if !o.Ended() {
			return "a sending is still under way; let it finish or stop it"
		}
	}
	return ""
}
