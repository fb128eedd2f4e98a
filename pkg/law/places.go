package law

import "slices"

// places returns where a rule arises for these facts, what was assumed for it, and if nowhere, why.
// It knows ways of connecting a case with a place, and no place by name.
func (x *run) places(rule *Rule) (out []string, assumed, why string) {
	org := &x.f.Organisation
	switch rule.Common.Connection {
	case "residence":
		return x.residence(rule.among)
	case "establishment":
		return x.established(rule.among)
	case "main-establishment":
		out, assumed, why = x.established(rule.among)
		return x.mainOf(out, assumed, why)
	case "lead-authority":
		if slices.Contains(rule.among, org.LeadAuthority) {
			return []string{org.LeadAuthority}, "", ""
		}
		if len(org.Establishments) > 0 {
			if out, assumed, why = x.established(rule.among); len(out) > 0 {
				return x.mainOf(out, assumed, why)
			}
		}
		return x.residence(rule.among)
	case "affected":
		for _, code := range rule.among {
			if len(x.f.People.ByJurisdiction) > 0 && x.maybePeople(code) || slices.Contains(x.f.Affected, code) || x.establishedIn(code) {
				out = append(out, code)
			}
		}
		if len(out) == 0 && len(x.f.People.ByJurisdiction)+len(x.f.Affected)+len(org.Establishments) == 0 {
			return rule.among, "nobody has said where the organisation and the affected people are", ""
		}
		return out, "", "neither establishment nor affected people there"
	}
	return rule.among, "", ""
}

func (x *run) residence(among []string) (out []string, assumed, why string) {
	if len(x.f.People.ByJurisdiction) > 0 {
		for _, code := range among {
			if x.maybePeople(code) {
				out = append(out, code)
				if lo, _ := x.peopleIn(code).bounds(); lo == 0 {
					assumed = "the number of affected people there is not known"
				}
			}
		}
		return out, assumed, "no affected people live there"
	}
	const unsaid = "nobody has said where the affected people live"
	for _, code := range among {
		if len(x.f.Organisation.Establishments) == 0 || x.establishedIn(code) || x.establishedIn(country(code)) {
			out = append(out, code)
		}
	}
	return out, unsaid, "no affected people are known to live there, and the organisation is not established there"
}

func country(code string) string {
	for i := range len(code) {
		if code[i] == '-' {
			return code[:i]
		}
	}
	return code
}

func (x *run) established(among []string) (out []string, assumed, why string) {
	if len(x.f.Organisation.Establishments) == 0 {
		return among, "nobody has said where the organisation is established", ""
	}
	for _, code := range among {
		if x.establishedIn(code) {
			out = append(out, code)
		}
	}
	return out, "", "the organisation is not established there"
}

func (x *run) establishedIn(code string) bool {
	return slices.ContainsFunc(x.f.Organisation.Establishments, func(e Establishment) bool { return within(e.Jurisdiction, code) })
}

// mainOf narrows places to that of the main establishment when it is known.
func (x *run) mainOf(in []string, assumed, why string) ([]string, string, string) {
	if len(in) < 2 {
		return in, assumed, why
	}
	for _, e := range x.f.Organisation.Establishments {
		for _, code := range in {
			if e.Main && within(e.Jurisdiction, code) {
				return []string{code}, assumed, why
			}
		}
	}
	return in, "nobody has said which establishment is the main one", why
}
