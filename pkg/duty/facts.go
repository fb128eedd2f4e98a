package duty

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/law"
	"tocsin.dev/pkg/organisation"
)

// awareKind and detectedKind are the events of the law's vocabulary that a
// declaration and a linked alert state.
const (
	awareKind    = "aware"
	detectedKind = "detected"
)

// Facts returns what the case and the organisation say, in the law's words.
// A statement that cannot be read counts as not made; Check refuses it before.
func Facts(org *organisation.Organisation, c *casefile.Case) law.Facts {
	f := law.Facts{
		Organisation: profile(org),
		Breach:       map[string]law.Answer{}, Tests: map[string]law.Answer{}, Flags: map[string]law.Answer{},
		Findings: map[string]law.Determination{}, Counts: map[string]law.Count{}, StatedBy: map[string]string{},
		People: people(c), Submissions: submissions(c), Data: data(c),
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
	counted(&f, c.Latest())
	detected(&f, c)
	for _, fact := range c.FactHistory {
		stateEvent(&f, fact)
		stateHold(&f, fact)
	}
	for _, key := range slices.Sorted(maps.Keys(c.Facts)) {
		state(&f, key, c.Facts[key])
	}
	if len(f.Organisation.Establishments) == 0 {
		// Undecided: every candidate counts, so that the strictest due instant shows.
		for _, place := range org.Law.Candidates {
			f.Organisation.Establishments = append(f.Organisation.Establishments, law.Establishment{Jurisdiction: place})
		}
	}
	return f
}

// Undecided names the candidate places of establishment between which nobody has decided yet.
func Undecided(org *organisation.Organisation, c *casefile.Case) []string {
	if _, decided := c.Facts[keyEstablished]; decided || len(org.Law.Establishments) > 0 {
		return nil
	}
	return org.Law.Candidates
}

func profile(org *organisation.Organisation) law.Organisation {
	p := law.Organisation{Name: org.Name, LeadAuthority: org.Law.LeadAuthority, Zone: org.Zone, Unsure: slices.Clone(org.Law.Unsure)}
	for _, e := range org.Law.Establishments {
		p.Establishments = append(p.Establishments, law.Establishment{Jurisdiction: e.Place, Main: e.Main})
	}
	for _, k := range org.Law.Kinds {
		if k != "controller" && k != "processor" { // roles, which each case states for itself
			p.Kinds = append(p.Kinds, law.Kind{Kind: k})
		}
	}
	return p
}

// people returns the counts of the newest sealed list. Before there is one,
// all counts are unknown, which the law reads towards the duty. People whose
// place nobody knows may live in any place of the list, so they widen its counts.
func people(c *casefile.Case) law.People {
	latest := c.Latest()
	if latest == nil {
		return law.People{}
	}
	p := law.People{Total: law.Exactly(int(latest.People)), ByJurisdiction: map[string]law.Count{}}
	nowhere := int(latest.Counts.Jurisdictions["unknown"])
	for place, n := range latest.Counts.Jurisdictions {
		if place != "unknown" {
			p.ByJurisdiction[place] = law.Count{Known: true, Min: int(n), Max: int(n) + nowhere}
		}
	}
	return p
}

// counted takes over what a sealed list counts beside places.
func counted(f *law.Facts, latest *casefile.Sealed) {
	if latest == nil {
		return
	}
	if classes := latest.Counts.AgeClasses; classes != nil {
		minors, unknown := int(classes["minor"]), int(classes["unknown"]+classes[""])
		f.Counts["minors"] = law.Count{Known: true, Min: minors, Max: minors + unknown}
	}
	f.Counts["unreachable"] = law.Exactly(int(latest.Counts.Channels["none"]))
}

// detected states when the earliest linked alert was detected. No person has decided it.
func detected(f *law.Facts, c *casefile.Case) {
	var first *event.AlertLinked
	for _, id := range slices.Sorted(maps.Keys(c.Linked)) {
		if a := c.Linked[id]; a.DetectedAt != nil && (first == nil || a.DetectedAt.Before(*first.DetectedAt)) {
			first = &a
		}
	}
	if first != nil {
		f.Events = append(f.Events, law.Event{ID: "alert", Kind: detectedKind, At: *first.DetectedAt, KnownSince: first.ReceivedAt,
			StatedBy: event.Intake, Source: "alert " + first.Alert, Unsettled: true})
	}
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

// stateEvent states an instant. Every statement is kept: it corrects the one
// before it, whatever either says about when it was known.
func stateEvent(f *law.Facts, fact casefile.Fact) {
	kind, place, ok := cut(fact.Key, keyEvent)
	if !ok {
		return
	}
	at, err := time.Parse(time.RFC3339, fact.Value)
	if err != nil {
		return
	}
	e := law.Event{ID: fact.EventID, Kind: kind, At: at, Zone: fact.Zone, KnownSince: fact.KnownSince,
		StatedBy: fact.StatedBy.Role, Why: fact.Note, Jurisdiction: place}
	for _, old := range slices.Backward(f.Events) {
		if old.Kind == kind && old.Jurisdiction == place {
			e.Corrects = old.ID
			break
		}
	}
	f.Events = append(f.Events, e)
}

// stateHold reads one statement about a hold. "yes", a form ("written", "oral")
// or "granted" begins it at TrueSince, or at KnownSince if that was not said;
// "requested" asks for it only; "released" ends it at TrueSince; "no" says that
// there never was one. A form may be followed by "until" and an instant. What
// is stated again while the hold is on corrects it.
func stateHold(f *law.Facts, fact casefile.Fact) {
	kind, place, ok := cut(fact.Key, keyHold)
	if !ok {
		return
	}
	word, until, err := parseHold(fact.Value)
	if err != nil {
		return
	}
	at := fact.KnownSince
	if fact.TrueSince != nil {
		at = *fact.TrueSince
	}
	var where []string
	if place != "" {
		where = []string{place}
	}
	last := slices.IndexFunc(f.Holds, func(h law.Hold) bool {
		return h.Kind == kind && h.Released.IsZero() && slices.Equal(h.Jurisdictions, where)
	})
	switch {
	case word == "released":
		if last >= 0 {
			f.Holds[last].Released = at
		}
		return
	case last >= 0: // corrected, granted, or withdrawn
		f.Holds = slices.Delete(f.Holds, last, last+1)
	}
	if word == "no" {
		return
	}
	h := law.Hold{ID: fact.EventID, Kind: kind, From: at, Until: until, Form: word, Granted: new(word != "requested"),
		Jurisdictions: where, KnownSince: fact.KnownSince, StatedBy: fact.StatedBy.Role}
	if word == "yes" || word == "granted" || word == "requested" {
		h.Form = "written"
	}
	f.Holds = append(f.Holds, h)
}

// state reads the statement in force for a key that is neither an event nor a hold.
func state(f *law.Facts, key string, fact casefile.Fact) {
	if organisational(&f.Organisation, key, fact.Value) {
		return
	}
	prefix, name, _ := strings.Cut(key, ".")
	answers := map[string]map[string]law.Answer{keyBreach: f.Breach, keyTest: f.Tests, keyFlag: f.Flags}[prefix+"."]
	switch {
	case answers != nil:
		if a, err := parseAnswer(fact.Value); err == nil {
			answers[name] = a
			f.StatedBy[name] = fact.StatedBy.Role
		}
	case prefix+"." == keyFinding:
		name, place, _ := cut(key, keyFinding)
		a, evidence, err := parseFinding(fact.Value)
		if _, general := f.Findings[name]; err != nil || place != "" && general {
			return
		}
		d := law.Determination{Value: a, By: fact.StatedBy.Role, At: fact.StatedAt, Evidence: evidence}
		if place != "" {
			d.Jurisdictions = []string{place}
		}
		f.Findings[name] = d
	case prefix+"." == keyCount:
		if n, err := parseCount(fact.Value); err == nil {
			f.Counts[name] = n
		}
	case key == keyRole:
		if roles, err := parseRoles(fact.Value); err == nil {
			f.Roles = roles
		}
	case key == keyAffected:
		f.Affected = codes(fact.Value)
	}
}

// organisational reads what a person decided about the organisation itself.
func organisational(p *law.Organisation, key, value string) bool {
	prefix, name, _ := strings.Cut(key, ".")
	switch {
	case prefix+"." == keyKind:
		p.Kinds = slices.DeleteFunc(slices.Clone(p.Kinds), func(k law.Kind) bool { return k.Kind == name })
		p.Unsure = slices.DeleteFunc(slices.Clone(p.Unsure), func(k string) bool { return k == name })
		switch a, err := parseAnswer(value); {
		case err != nil || a == law.Unknown:
			p.Unsure = append(p.Unsure, name)
		case a == law.Yes:
			p.Kinds = append(p.Kinds, law.Kind{Kind: name})
		}
	case prefix+"." == keySize:
		if n, err := parseCount(value); err == nil {
			if p.Size == nil {
				p.Size = map[string]law.Count{}
			}
			p.Size[name] = n
		}
	case key == keyLead:
		p.LeadAuthority = strings.TrimSpace(value)
	case key == keyEstablished:
		p.Establishments = nil
		for i, place := range codes(value) {
			p.Establishments = append(p.Establishments, law.Establishment{Jurisdiction: place, Main: i == 0})
		}
	default:
		return false
	}
	return true
}

// data returns what was exposed: what a person stated, else the categories of
// the sealed list where there is one, else those suspected at declaration;
// with the stated protection.
func data(c *casefile.Case) []law.DataGroup {
	protection := func(name string) law.Answer {
		a, _ := parseAnswer(c.Facts[keyData+name].Value)
		return a
	}
	g := law.DataGroup{
		Encrypted: protection("encrypted"), KeySafe: protection("key_safe"), Redacted: protection("redacted"), Public: protection("public"),
		Form: c.Facts[keyData+"form"].Value,
	}
	encrypted, keySafe := exposed(c.Exposure)
	if _, stated := c.Facts[keyData+"encrypted"]; !stated {
		g.Encrypted = encrypted
	}
	if _, stated := c.Facts[keyData+"key_safe"]; !stated {
		g.KeySafe = keySafe
	}
	switch latest := c.Latest(); {
	case c.Facts[keyData+"elements"].Value != "":
		g.Elements = codes(c.Facts[keyData+"elements"].Value)
	case latest != nil && len(latest.Counts.Categories) > 0:
		g.Elements = slices.Sorted(maps.Keys(latest.Counts.Categories))
	case c.Declared != nil && len(c.Declared.Categories) > 0:
		g.Elements = append(slices.Clone(c.Declared.Categories), "unknown")
	default:
		g.Elements = []string{"unknown"}
	}
	return []law.DataGroup{g}
}

// exposed returns the protection that the statement of exposure gives, if it
// is the same for everything exposed.
func exposed(x *casefile.Statement) (encrypted, keySafe law.Answer) {
	if x == nil || len(x.Exposures) == 0 {
		return law.Unknown, law.Unknown
	}
	for _, e := range x.Exposures {
		if e.Protection != x.Exposures[0].Protection {
			return law.Unknown, law.Unknown
		}
	}
	switch x.Exposures[0].Protection {
	case "encrypted_key_safe":
		return law.Yes, law.Yes
	case "encrypted_key_lost":
		return law.Yes, law.No
	}
	return law.Unknown, law.Unknown
}

// Declaration returns the case as it would stand right after a declaration,
// so that the duties can be shown before anything is saved.
func Declaration(org string, declared event.CaseDeclared, now time.Time) *casefile.Case {
	c := casefile.New()
	c.Org, c.OpenedAt, c.ChangedAt, c.Status, c.Declared = org, now, now, casefile.StatusOpen, &declared
	return &c
}

// provisional says in one line what an undecided establishment leaves open.
func provisional(candidates []string) string {
	return fmt.Sprintf("nobody has decided where the organisation is established (%s); the strictest counts until a person states it", strings.Join(candidates, ", "))
}
