package desk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"tocsin.dev/pkg/category"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/journal"
	"tocsin.dev/pkg/organisation"
)

var (
	mayDeclare = []Role{Analyst, DPO}
	mayState   = []Role{Analyst, DPO, Legal}
	mayDraft   = []Role{Analyst, Legal, DPO}
	mayReject  = []Role{Legal, DPO}
	mayAssess  = []Role{DPO}
	mayOrder   = []Role{DPO}
	mayStop    = []Role{DPO, Legal, Analyst}
	mayRead    = []Role{Analyst, Legal, DPO}
)

// Limits of what a person may type.
const (
	maxTitle  = 200
	maxLine   = 2000
	maxText   = 10000
	maxBody   = 100000
	maxAlerts = 100
)

// Declared is a checked declaration with what it would start.
type Declared struct {
	Declaration event.CaseDeclared
	Duties      []event.Duty
	// Warnings are worth a look and forbid nothing.
	Warnings []string
}

// CheckDeclaration reads a declaration and says which duties it would open. It saves nothing.
func (s *Service) CheckDeclaration(who User, d event.CaseDeclared) (Declared, error) {
	if _, err := mayAct(who, mayDeclare); err != nil {
		return Declared{}, err
	}
	org, err := s.cfg.Organisations.Get(who.Org)
	if err != nil {
		return Declared{}, err
	}
	now := s.cfg.Now().UTC()
	d, err = checkDeclaration(org, d, now)
	if err != nil {
		return Declared{}, err
	}
	out := Declared{Declaration: d}
	if s.cfg.Duties != nil {
		out.Duties = s.cfg.Duties(org, d, now)
		sortDuties(out.Duties)
	}
	for _, duty := range out.Duties {
		if duty.Due != nil && duty.Due.Before(now) {
			out.Warnings = append(out.Warnings, fmt.Sprintf("%s is already late: it was due on %s.",
				duty.Title, duty.Due.UTC().Format("2 January 2006, 15:04 UTC")))
		}
	}
	if len(d.Alerts) == 0 {
		out.Warnings = append(out.Warnings, "No alert belongs to this case. That is right for a breach on paper or one that somebody reported.")
	}
	return out, nil
}

// Declare opens a case and returns its number. Only a person declares.
func (s *Service) Declare(ctx context.Context, who User, key string, d event.CaseDeclared) (string, error) {
	actor, err := mayAct(who, mayDeclare)
	if err != nil {
		return "", err
	}
	org, err := s.cfg.Organisations.Get(who.Org)
	if err != nil {
		return "", err
	}
	now := s.cfg.Now().UTC()
	if d, err = checkDeclaration(org, d, now); err != nil {
		return "", err
	}
	if err := s.checkAlerts(ctx, who, d.Alerts); err != nil {
		return "", err
	}
	for range conflictTries {
		refs, err := s.cfg.Journal.Cases(ctx, who.Org)
		if err != nil {
			return "", err
		}
		if number, err := s.declaredBefore(ctx, who, key, refs); number != "" || err != nil {
			return number, err
		}
		number := nextNumber(refs, now.In(org.Location()).Year())
		a := act{who: who, on: On{Case: number, Key: key}}
		id := eventID(a, 0)
		if key != "" {
			id = declarationID(who, key)
		}
		e, err := event.New(id, now, who.Org, number, actor, d)
		if err != nil {
			return "", err
		}
		_, err = s.cfg.Journal.Append(ctx, who.Org, number, 0, e)
		if errors.Is(err, journal.ErrConflict) {
			continue
		}
		return number, err
	}
	return "", refuse("busy", "too many cases are being declared at the moment; try again")
}

// declarationID does not depend on the number, so a repeated request is found again.
func declarationID(who User, key string) string {
	return event.DerivedID(who.Org, event.Desk, "declare", who.ID, key)
}

// recentCases is how many of the newest cases are searched for a repeated declaration.
const recentCases = 50

func (s *Service) declaredBefore(ctx context.Context, who User, key string, refs []journal.Ref) (string, error) {
	if key == "" {
		return "", nil
	}
	slices.SortFunc(refs, func(a, b journal.Ref) int { return compareNumbers(b.Case, a.Case) })
	for _, ref := range refs[:min(len(refs), recentCases)] {
		entries, err := s.cfg.Journal.Entries(ctx, who.Org, ref.Case)
		if err != nil {
			return "", err
		}
		if len(entries) > 0 && entries[0].ID == declarationID(who, key) {
			return ref.Case, nil
		}
	}
	return "", nil
}

// nextNumber returns the number after the highest of the year: 2026-001, 2026-002 …
func nextNumber(refs []journal.Ref, year int) string {
	highest := 0
	prefix := strconv.Itoa(year) + "-"
	for _, ref := range refs {
		tail, ok := strings.CutPrefix(ref.Case, prefix)
		if n, err := strconv.Atoi(tail); ok && err == nil {
			highest = max(highest, n)
		}
	}
	return fmt.Sprintf("%s%03d", prefix, highest+1)
}

// compareNumbers orders case numbers by year and count, so 2026-1000 follows 2026-999.
func compareNumbers(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

func checkDeclaration(org *organisation.Organisation, d event.CaseDeclared, now time.Time) (event.CaseDeclared, error) {
	bad := &Invalid{}
	d.Title, d.Summary, d.AwareEvidence = strings.TrimSpace(d.Title), strings.TrimSpace(d.Summary), strings.TrimSpace(d.AwareEvidence)
	if d.AwareZone == "" {
		d.AwareZone = org.Zone
	}
	if d.Role == "" {
		d.Role = "controller"
	}
	checkLength(bad, "title", d.Title, 3, maxTitle, "Name the incident in a few words")
	checkLength(bad, "summary", d.Summary, 0, maxText, "")
	checkLength(bad, "aware_evidence", d.AwareEvidence, 0, maxLine, "")
	if _, err := time.LoadLocation(d.AwareZone); err != nil {
		bad.add("aware_zone", "%q is not a time zone such as Europe/London", d.AwareZone)
	}
	switch {
	case d.AwareAt.IsZero():
		bad.add("aware_at", "Say when the organisation became aware; statutory clocks run from then")
	case d.AwareAt.After(now.Add(time.Minute)):
		bad.add("aware_at", "The organisation cannot have become aware in the future")
	case d.AwareAt.Before(now.AddDate(-20, 0, 0)):
		bad.add("aware_at", "That is more than twenty years ago; check the year")
	}
	d.AwareAt = d.AwareAt.UTC()
	switch d.Severity {
	case event.SeverityLow, event.SeverityMedium, event.SeverityHigh, event.SeverityCritical:
	default:
		bad.add("severity", "Choose low, medium, high or critical")
	}
	if d.Role != "controller" && d.Role != "processor" {
		bad.add("role", "Choose controller or processor")
	}
	d.Categories = checkCategories(bad, "categories", d.Categories)
	if len(d.Alerts) > maxAlerts {
		bad.add("alerts", "At most %d alerts; add the others to the case afterwards", maxAlerts)
	}
	return d, bad.or()
}

func checkLength(bad *Invalid, field, s string, least, most int, advice string) {
	switch n := len([]rune(s)); {
	case n == 0 && least > 0 && advice != "":
		bad.add(field, "%s", advice)
	case n < least:
		bad.add(field, "Write at least %d characters", least)
	case n > most:
		bad.add(field, "Write at most %d characters; this has %d", most, n)
	}
}

// checkCategories returns the Fides keys of the categories, each once.
func checkCategories(bad *Invalid, field string, keys []string) []string {
	set, err := category.ParseAll(keys)
	if err != nil {
		bad.add(field, "%s", err)
		return keys
	}
	if set == 0 {
		return nil
	}
	return set.Keys()
}
