// Package duty stands between a case and the law: it turns what the journal
// knows into law.Facts, asks the engine, and turns the engine's answer into
// the duties that the journal carries. It is pure, so that the deadline
// service, the desk's check page and an auditor get the same duties from the
// same entries.
package duty

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/law"
	"tocsin.dev/pkg/organisation"
)

// Keys of event.FactStated that the law reads. The part after the dot is a
// word of the law's vocabulary (law.Vocabulary), such as "event.detected",
// "breach.confidentiality", "flag.ransomware" or "data.encrypted".
const (
	keyEvent   = "event."
	keyBreach  = "breach."
	keyTest    = "test."
	keyFlag    = "flag."
	keyFinding = "finding."
	keyCount   = "count."
	keyKind    = "kind."
	keyHold    = "hold."
	// keyLead names the lead authority once a person has decided it.
	keyLead = "lead_authority"
	// keyEstablished names a place of establishment once a person has decided it.
	keyEstablished = "established"
)

// awareKind is the event of the law's vocabulary that a declaration states.
const awareKind = "aware"

// Facts returns what the case and the organisation say, in the law's words.
func Facts(org *organisation.Organisation, c *casefile.Case) law.Facts {
	f := law.Facts{
		Organisation: profile(org, c),
		Breach:       map[string]law.Answer{}, Tests: map[string]law.Answer{}, Flags: map[string]law.Answer{},
		Findings: map[string]law.Determination{}, Counts: map[string]law.Count{},
		People: people(c), Submissions: submissions(c),
	}
	if c.Declared != nil {
		f.Roles = []string{c.Declared.Role}
		f.Events = append(f.Events, law.Event{
			ID: "declaration", Kind: awareKind, At: c.Declared.AwareAt, Zone: c.Declared.AwareZone,
			KnownSince: c.OpenedAt, StatedBy: c.DeclaredBy.Role, Source: c.Declared.AwareEvidence,
		})
	}
	if c.Risk != nil {
		f.Risk = law.Risk{Level: string(c.Risk.Level), By: c.RiskBy.Role}
	}
	for _, fact := range c.FactHistory {
		addEvent(&f, fact)
	}
	for _, key := range slices.Sorted(maps.Keys(c.Facts)) {
		addFact(&f, key, c.Facts[key])
	}
	f.Data = data(c)
	return f
}

func profile(org *organisation.Organisation, c *casefile.Case) law.Organisation {
	p := law.Organisation{Name: org.Name, LeadAuthority: org.Law.LeadAuthority, Zone: org.Zone}
	for _, e := range org.Law.Establishments {
		p.Establishments = append(p.Establishments, law.Establishment{Jurisdiction: e.Place, Main: e.Main})
	}
	for _, k := range org.Law.Kinds {
		if k != "controller" && k != "processor" {
			p.Kinds = append(p.Kinds, law.Kind{Kind: k})
		}
	}
	if lead, ok := c.Facts[keyLead]; ok {
		p.LeadAuthority = lead.Value
	}
	if place, ok := c.Facts[keyEstablished]; ok {
		p.Establishments = []law.Establishment{{Jurisdiction: place.Value, Main: true}}
	} else if len(p.Establishments) == 0 {
		// Undecided: every candidate counts, so the strictest due instant shows.
		for _, place := range org.Law.Candidates {
			p.Establishments = append(p.Establishments, law.Establishment{Jurisdiction: place})
		}
	}
	return p
}

// people returns the counts of the newest sealed list. Before there is one,
// all counts are unknown, which the law reads towards the duty.
func people(c *casefile.Case) law.People {
	latest := c.Latest()
	if latest == nil {
		return law.People{}
	}
	p := law.People{Total: law.Exactly(int(latest.People)), ByJurisdiction: map[string]law.Count{}}
	for place, n := range latest.Counts.Jurisdictions {
		if place != "unknown" {
			p.ByJurisdiction[place] = law.Exactly(int(n))
		}
	}
	return p
}

func submissions(c *casefile.Case) []law.Submission {
	var out []law.Submission
	for _, id := range slices.Sorted(maps.Keys(c.Duties)) {
		if met := c.Duties[id].Met; met != nil {
			out = append(out, law.Submission{Duty: id, At: met.MetAt, LateReason: met.LateReason, Zone: c.Duties[id].Zone})
		}
	}
	return out
}

// addEvent states an instant. Every statement is kept, so that a correction
// stands beside what it corrects.
func addEvent(f *law.Facts, fact casefile.Fact) {
	kind, ok := strings.CutPrefix(fact.Key, keyEvent)
	if !ok {
		return
	}
	at, err := time.Parse(time.RFC3339, fact.Value)
	if err != nil {
		return
	}
	f.Events = append(f.Events, law.Event{
		ID: fact.EventID, Kind: kind, At: at, Zone: fact.Zone, KnownSince: fact.KnownSince, StatedBy: fact.StatedBy.Role, Why: fact.Note,
	})
}

func addFact(f *law.Facts, key string, fact casefile.Fact) {
	prefix, name, _ := strings.Cut(key, ".")
	switch prefix + "." {
	case keyBreach:
		f.Breach[name] = answer(fact.Value)
	case keyTest:
		f.Tests[name] = answer(fact.Value)
	case keyFlag:
		f.Flags[name] = answer(fact.Value)
	case keyFinding:
		f.Findings[name] = law.Determination{Value: answer(fact.Value), By: fact.StatedBy.Role, At: fact.StatedAt, Evidence: []string{"written"}}
	case keyCount:
		if n, err := strconv.Atoi(fact.Value); err == nil {
			f.Counts[name] = law.Exactly(n)
		}
	case keyKind:
		if answer(fact.Value) == law.Yes {
			f.Organisation.Kinds = append(f.Organisation.Kinds, law.Kind{Kind: name})
		}
	case keyHold:
		if h, ok := hold(name, fact); ok {
			f.Holds = append(f.Holds, h)
		}
	}
}

// hold reads a hold: the fact "hold.<kind>" is "yes" from TrueSince on, and
// "released" from the TrueSince of the later statement on.
func hold(kind string, fact casefile.Fact) (law.Hold, bool) {
	if fact.TrueSince == nil {
		return law.Hold{}, false
	}
	h := law.Hold{ID: fact.EventID, Kind: kind, From: *fact.TrueSince, Form: "written", KnownSince: fact.KnownSince, StatedBy: fact.StatedBy.Role}
	if fact.Value == "released" {
		h.Released = *fact.TrueSince
	}
	return h, true
}

// data returns what was exposed: the categories of the sealed list where there
// is one, else those suspected at declaration, with the stated protection.
func data(c *casefile.Case) []law.DataGroup {
	g := law.DataGroup{
		Encrypted: answer(c.Facts["data.encrypted"].Value), KeySafe: answer(c.Facts["data.key_safe"].Value),
		Redacted: answer(c.Facts["data.redacted"].Value), Public: answer(c.Facts["data.public"].Value),
		Form: c.Facts["data.form"].Value,
	}
	switch latest := c.Latest(); {
	case latest != nil && len(latest.Counts.Categories) > 0:
		g.Elements = slices.Sorted(maps.Keys(latest.Counts.Categories))
	case c.Declared != nil && len(c.Declared.Categories) > 0:
		g.Elements = append(slices.Clone(c.Declared.Categories), "unknown")
	default:
		g.Elements = []string{"unknown"}
	}
	return []law.DataGroup{g}
}

func answer(value string) law.Answer {
	switch value {
	case "yes", "true":
		return law.Yes
	case "no", "false":
		return law.No
	}
	return law.Unknown
}

// Declaration returns the case as it would stand right after a declaration,
// so that the duties can be shown before anything is saved.
func Declaration(org string, declared event.CaseDeclared, now time.Time) *casefile.Case {
	c := casefile.New()
	c.Org, c.OpenedAt, c.ChangedAt, c.Status, c.Declared = org, now, now, casefile.StatusOpen, &declared
	return &c
}
