package law

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Scores are the inputs of the ENISA 2013 severity score, chosen by a person.
type Scores struct {
	Processing      []ContextScore `json:"processing,omitempty"`     // data processing context, one per kind of data; the highest counts
	Identification  float64        `json:"identification,omitempty"` // ease of identification: 0.25, 0.5, 0.75 or 1; 0 is unknown and counts as 1
	IdentifiedWhy   string         `json:"identification_reason,omitempty"`
	Confidentiality string         `json:"confidentiality,omitempty"` // none, known-recipients, unknown-recipients
	Integrity       string         `json:"integrity,omitempty"`       // none, recoverable, lost
	Availability    string         `json:"availability,omitempty"`    // none, temporary, lost
	Malicious       Answer         `json:"malicious,omitempty"`
}

// ContextScore is the data processing context of one kind of data.
type ContextScore struct {
	Kind   string `json:"kind"`             // simple, behavioural, financial, sensitive
	Value  int    `json:"value,omitempty"`  // 1 to 4 after adjustment; 0 is the base of the kind
	Reason string `json:"reason,omitempty"` // demanded when Value is under the base
}

// SeverityResult is advice to a person. It opens and closes no duty.
type SeverityResult struct {
	Score    float64         `json:"score"`
	Level    string          `json:"level"`   // low, medium, high, very-high
	Reading  string          `json:"reading"` // usual reading, ours and not the law's
	Inputs   []SeverityInput `json:"inputs"`
	Flags    []string        `json:"flags"`    // they do not change the number
	Warnings []string        `json:"warnings"` // what authorities have rejected, or what is missing
	Method   string          `json:"method"`
	Advice   bool            `json:"advice_only"` // always true
}

// SeverityInput is one input of the score with its value and where it came from.
type SeverityInput struct {
	Part  string  `json:"part"` // DPC, EI, CB confidentiality …
	Value float64 `json:"value"`
	Why   string  `json:"why"`
}

var contextBase = map[string]int{"simple": 1, "behavioural": 2, "financial": 3, "sensitive": 4}

// Severity computes SE = DPC × EI + CB after ENISA's recommendations of 2013. What nobody has scored is
// taken from the data elements at its base, or at the highest value, and a warning says so.
func (r *Rules) Severity(f Facts) (SeverityResult, error) {
	s := Scores{}
	if f.Severity != nil {
		s = *f.Severity
	}
	out := SeverityResult{Method: "ENISA 2013: SE = DPC × EI + CB", Advice: true, Flags: []string{}, Warnings: []string{}}
	dpc, err := r.context(&f, s, &out)
	if err != nil {
		return out, err
	}
	ei, err := s.identification(&out)
	if err != nil {
		return out, err
	}
	cb, err := s.circumstances(&f, &out)
	if err != nil {
		return out, err
	}
	out.Score = dpc*ei + cb
	switch {
	case out.Score < 2:
		out.Level, out.Reading = "low", "perhaps the register only"
	case out.Score < 3:
		out.Level, out.Reading = "medium", "authority"
	case out.Score < 4:
		out.Level, out.Reading = "high", "authority and people"
	default:
		out.Level, out.Reading = "very-high", "at once"
	}
	r.severityFlags(&f, &out, dpc, ei)
	return out, nil
}

// context returns the highest data processing context.
func (r *Rules) context(f *Facts, s Scores, out *SeverityResult) (float64, error) {
	if len(s.Processing) == 0 {
		s.Processing = r.contextOf(f)
		out.Warnings = append(out.Warnings, "nobody has scored the processing context: the base of each kind of data is taken")
	}
	best := ContextScore{}
	for _, p := range s.Processing {
		base, ok := contextBase[p.Kind]
		if !ok {
			return 0, fmt.Errorf("severity.processing.kind %q is none of simple, behavioural, financial, sensitive", p.Kind)
		}
		if p.Value == 0 {
			p.Value = base
		}
		if p.Value < 1 || p.Value > 4 {
			return 0, fmt.Errorf("severity.processing %s: value %d is not 1 to 4", p.Kind, p.Value)
		}
		if p.Value < base {
			if p.Reason == "" {
				return 0, fmt.Errorf("severity.processing %s: %d is under the base of %d and needs a reason", p.Kind, p.Value, base)
			}
			out.Warnings = append(out.Warnings, fmt.Sprintf("%s was lowered from %d to %d: authorities have re-scored such cases (AEPD EXP202304633)", p.Kind, base, p.Value))
		}
		if p.Value > best.Value {
			best = p
		}
	}
	why := best.Kind + " data"
	if best.Reason != "" {
		why += ": " + best.Reason
	}
	out.Inputs = append(out.Inputs, SeverityInput{"DPC", float64(best.Value), why})
	return float64(best.Value), nil
}

// contextOf derives kinds from the data elements; nothing known counts as sensitive.
func (r *Rules) contextOf(f *Facts) []ContextScore {
	kinds := []string{}
	for _, g := range f.Data {
		for _, el := range g.Elements {
			el = r.voc.element(el)
			k := "simple"
			switch {
			case el == "unknown" || r.voc.holds([]string{el}, "sensitive") == Yes:
				k = "sensitive"
			case r.voc.holds([]string{el}, "financial") == Yes || el == "payment_access_code":
				k = "financial"
			case slices.Contains([]string{"behaviour", "precise_location", "purchase_history", "communications_content", "online_identifier"}, el):
				k = "behavioural"
			}
			if !slices.Contains(kinds, k) {
				kinds = append(kinds, k)
			}
		}
	}
	if len(kinds) == 0 {
		kinds = []string{"sensitive"}
	}
	out := make([]ContextScore, len(kinds))
	for i, k := range kinds {
		out[i] = ContextScore{Kind: k, Reason: "from the data elements"}
	}
	return out
}

func (s *Scores) identification(out *SeverityResult) (float64, error) {
	names := map[float64]string{0.25: "negligible", 0.5: "limited", 0.75: "significant", 1: "maximum"}
	ei := s.Identification
	if ei == 0 {
		out.Warnings = append(out.Warnings, "nobody has scored the ease of identification: the maximum is taken")
		ei = 1
	}
	name, ok := names[ei]
	if !ok {
		return 0, fmt.Errorf("severity.identification %v is none of 0.25, 0.5, 0.75, 1", ei)
	}
	if ei < 1 && s.IdentifiedWhy == "" {
		return 0, fmt.Errorf("severity.identification %v is under the maximum and needs identification_reason", ei)
	}
	why := name
	if s.IdentifiedWhy != "" {
		why += ": " + s.IdentifiedWhy
	}
	out.Inputs = append(out.Inputs, SeverityInput{"EI", ei, why})
	return ei, nil
}

// circumstances adds up confidentiality, integrity, availability and malice.
func (s *Scores) circumstances(f *Facts, out *SeverityResult) (float64, error) {
	parts := []struct {
		name, value, fact string
		weights           map[string]float64
		worst             string
	}{
		{"confidentiality", s.Confidentiality, "confidentiality", map[string]float64{"none": 0, "known-recipients": 0.25, "unknown-recipients": 0.5}, "unknown-recipients"},
		{"integrity", s.Integrity, "integrity", map[string]float64{"none": 0, "recoverable": 0.25, "lost": 0.5}, "lost"},
		{"availability", s.Availability, "availability", map[string]float64{"none": 0, "temporary": 0.25, "lost": 0.5}, "lost"},
	}
	sum := 0.0
	for _, p := range parts {
		why := p.value
		if p.value == "" {
			p.value = p.worst
			why = p.worst + " (not scored: the worst is taken)"
			if f.Breach[p.fact] == No {
				p.value, why = "none", "stated as not affected"
			}
		}
		w, ok := p.weights[p.value]
		if !ok {
			return 0, fmt.Errorf("severity.%s: %q is not a value of this part", p.name, p.value)
		}
		sum += w
		out.Inputs = append(out.Inputs, SeverityInput{"CB " + p.name, w, why})
	}
	malice, why := s.Malicious, "intent to harm"
	if malice == Unknown {
		malice = f.Breach["criminal"]
	}
	w := 0.5
	switch malice {
	case No:
		w, why = 0, "accident"
	case Unknown:
		why = "not known: intent is assumed"
	}
	out.Inputs = append(out.Inputs, SeverityInput{"CB malice", w, why})
	return sum + w, nil
}

func (r *Rules) severityFlags(f *Facts, out *SeverityResult, dpc, ei float64) {
	x := r.newRun(*f, time.Time{})
	if lo, hi := x.total().bounds(); hi > 100 {
		text := "more than 100 people"
		if lo <= 100 {
			text = "perhaps more than 100 people (the number is not certain)"
		}
		out.Flags = append(out.Flags, text)
	}
	open, known, id, name := false, len(f.Data) > 0, false, false
	for i := range x.f.Data {
		g := &x.f.Data[i]
		open = open || g.exposed() != No
		id = id || r.voc.holds(g.Elements, "national_id") == Yes
		name = name || r.voc.holds(g.Elements, "name") == Yes
	}
	if known && !open {
		out.Flags = append(out.Flags, "data unintelligible")
	}
	if id && name && out.Score < 3 {
		out.Warnings = append(out.Warnings, "a national identification number leaked together with a name: the Polish authority rejected low scores for this ("+
			strings.Join([]string{"DKN.5130.3114.2020", "5131.11.2020", "5131.3.2021"}, ", ")+")")
	}
	if dpc == 1 && ei == 0.75 {
		out.Warnings = append(out.Warnings, "DPC 1 with EI 0.75 is the combination that the Spanish authority re-scored (EXP202304633)")
	}
	out.Warnings = append(out.Warnings, "the score is an aid: a person decides, and it closes no case")
}
