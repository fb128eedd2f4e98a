package duty

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"tocsin.dev/pkg/law"
)

// Keys of event.FactStated that the law reads. What follows the dot is a word
// of the law's vocabulary; events, findings and holds may add a place:
// "event.determined.US-CA".
const (
	keyEvent   = "event."
	keyBreach  = "breach."
	keyTest    = "test."
	keyFlag    = "flag."
	keyFinding = "finding."
	keyCount   = "count."
	keyKind    = "kind."
	keySize    = "size."
	keyHold    = "hold."
	keyData    = "data."
	// keyLead names the lead authority once a person has decided it.
	keyLead = "lead_authority"
	// keyEstablished lists the places of establishment once a person has decided them, the main one first.
	keyEstablished = "established"
	// keyAffected lists places where people or services are affected while no list is sealed.
	keyAffected = "affected"
	// keyRole corrects the role for the data concerned.
	keyRole = "role"
)

// Word is one fact that a person may state.
type Word struct {
	// Key is how the statement names it.
	Key   string `json:"key"`
	Title string `json:"title"`
	// Group is what it belongs to: "event", "breach", "test", "flag", "finding", "count", "kind", "size", "hold", "data", "organisation".
	Group string `json:"group"`
	// Hint says what to write.
	Hint string `json:"hint"`
	// Choices are the words that the value may be; empty means that Hint says it all.
	Choices []string `json:"choices,omitempty"`
	// Placed says that ".<PLACE>" may follow the key, such as event.determined.US-CA.
	Placed bool `json:"placed,omitempty"`
}

var (
	answers   = []string{"yes", "no", "unknown"}
	holdWords = []string{"yes", "no", "written", "oral", "first", "second", "extraordinary", "requested", "granted", "released"}
	roleWords = []string{"controller", "processor", "both"}
	formWords = []string{"electronic", "paper"}
)

const (
	instantHint = "An instant such as 2026-11-22T09:30:00Z"
	countHint   = "A number, «at least 500», «100 to 200» or unknown"
	findingHint = "yes, no or unknown; after «with» the evidence kept: yes with written, le_consulted"
	holdHint    = "yes or its form; requested, granted; released once it is lifted. True since says from when; a form may end in «until» and an instant."
)

// Words returns every fact that the rules read, by group and key.
func Words(rules *law.Rules) []Word {
	v := rules.Vocabulary()
	var out []Word
	terms := func(prefix string, terms map[string]law.Term, w Word) {
		w.Group = strings.TrimSuffix(prefix, ".")
		for _, name := range slices.Sorted(maps.Keys(terms)) {
			w.Key, w.Title = prefix+name, terms[name].Title
			out = append(out, w)
		}
	}
	terms(keyEvent, v.Events, Word{Hint: instantHint, Placed: true})
	terms(keyBreach, v.Breach, Word{Choices: answers})
	terms(keyTest, v.Tests, Word{Choices: answers})
	terms(keyFlag, v.Flags, Word{Choices: answers})
	terms(keyFinding, v.Findings, Word{Hint: findingHint, Placed: true})
	terms(keyCount, v.Counts, Word{Hint: countHint})
	terms(keyKind, v.Kinds, Word{Choices: answers})
	terms(keySize, v.Sizes, Word{Hint: countHint})
	for _, kind := range rules.HoldKinds() {
		out = append(out, Word{Key: keyHold + kind, Title: "hold: " + strings.ReplaceAll(kind, "-", " "), Group: "hold", Hint: holdHint, Placed: true})
	}
	return append(out,
		Word{Key: keyData + "elements", Title: "kinds of data", Group: "data", Hint: "Words of the law's vocabulary or Fides keys, with commas: name, password, user.contact.email"},
		Word{Key: keyData + "encrypted", Title: "the data were encrypted", Group: "data", Choices: answers},
		Word{Key: keyData + "key_safe", Title: "the key is safe", Group: "data", Choices: answers},
		Word{Key: keyData + "redacted", Title: "the data were redacted", Group: "data", Choices: answers},
		Word{Key: keyData + "public", Title: "the data were lawfully public before", Group: "data", Choices: answers},
		Word{Key: keyData + "form", Title: "form of the data", Group: "data", Choices: formWords},
		Word{Key: keyEstablished, Title: "where the organisation is established", Group: "organisation", Hint: "Countries or States with commas, the main one first: AU, ZA"},
		Word{Key: keyLead, Title: "lead supervisory authority", Group: "organisation", Hint: "A country, such as SE"},
		Word{Key: keyRole, Title: "role for the data concerned", Group: "organisation", Choices: roleWords},
		Word{Key: keyAffected, Title: "where people or services are affected", Group: "organisation", Hint: "Countries or States with commas, such as IE, US-CA"},
	)
}

// IsLaw reports whether a key claims to be a fact for the law, as against the
// facts of texts and sendings.
func IsLaw(key string) bool {
	prefix, _, dotted := strings.Cut(key, ".")
	if !dotted {
		return slices.Contains([]string{keyLead, keyEstablished, keyAffected, keyRole}, key)
	}
	return slices.Contains([]string{keyEvent, keyBreach, keyTest, keyFlag, keyFinding, keyCount, keyKind, keySize, keyHold, keyData}, prefix+".")
}

// FactError says what is wrong with a statement: its key or its value.
type FactError struct {
	// Field is "key" or "value".
	Field string
	Key   string
	Why   string
}

func (e *FactError) Error() string { return "fact " + e.Key + ": " + e.Why }

// Check says whether a statement can be read by the rules. It returns a *FactError.
func Check(rules *law.Rules, key, value string) error {
	w, place, ok := word(rules, key)
	if !ok {
		why := "is not a fact that any rule reads"
		if near := nearest(rules, key); near != "" {
			why += "; did you mean " + near + "?"
		}
		return &FactError{"key", key, why}
	}
	if place != "" && (!w.Placed || rules.Vocabulary().Places[place] == nil) {
		return &FactError{"key", key, place + " is not a place known to the rules, or this fact takes none"}
	}
	if err := checkValue(rules, w, strings.TrimSpace(value)); err != nil {
		return &FactError{"value", key, err.Error()}
	}
	return nil
}

func word(rules *law.Rules, key string) (Word, string, bool) {
	for _, w := range Words(rules) {
		if key == w.Key {
			return w, "", true
		}
		if place, ok := strings.CutPrefix(key, w.Key+"."); ok {
			return w, place, true
		}
	}
	return Word{}, "", false
}

// nearest returns the key in which the word stands under another group, such
// as test.material for flag.material.
func nearest(rules *law.Rules, key string) string {
	_, name, _ := strings.Cut(key, ".")
	for _, w := range Words(rules) {
		if _, other, _ := strings.Cut(w.Key, "."); w.Key != key && (other == name && name != "" || w.Key == keyEvent+key || other == key) {
			return w.Key
		}
	}
	return ""
}

func checkValue(rules *law.Rules, w Word, value string) (err error) {
	v := rules.Vocabulary()
	switch {
	case w.Group == "event":
		if _, err = time.Parse(time.RFC3339, value); err != nil {
			return fmt.Errorf("%q is no instant; write it like 2026-11-22T09:30:00Z", value)
		}
	case w.Group == "finding":
		_, _, err = parseFinding(value)
	case w.Group == "count" || w.Group == "size":
		_, err = parseCount(value)
	case w.Group == "hold":
		_, _, err = parseHold(value)
	case w.Key == keyData+"elements":
		for _, el := range codes(value) {
			if _, known := v.Elements[el]; !known && el != "unknown" && !strings.HasPrefix(el, "user") {
				return fmt.Errorf("%q is neither a kind of data of the vocabulary nor a Fides key", el)
			}
		}
	case w.Key == keyEstablished || w.Key == keyAffected || w.Key == keyLead:
		list := codes(value)
		for _, place := range list {
			if v.Places[place] == nil {
				return fmt.Errorf("%q is no place known to the rules; write codes such as SE or US-CA", place)
			}
		}
		if len(list) == 0 || w.Key == keyLead && len(list) > 1 {
			return fmt.Errorf("want %s", strings.ToLower(w.Hint))
		}
	default:
		if !slices.Contains(w.Choices, value) {
			return fmt.Errorf("want one of: %s", strings.Join(w.Choices, ", "))
		}
	}
	return err
}

// cut takes a key apart into its word and the place that may follow it.
func cut(key, prefix string) (name, place string, ok bool) {
	rest, ok := strings.CutPrefix(key, prefix)
	name, place, _ = strings.Cut(rest, ".")
	return name, place, ok && name != ""
}

// codes splits a list of words at commas and spaces.
func codes(value string) []string {
	return strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' || r == ';' })
}

func parseAnswer(value string) (law.Answer, error) {
	switch value {
	case "yes", "true":
		return law.Yes, nil
	case "no", "false":
		return law.No, nil
	case "unknown":
		return law.Unknown, nil
	}
	return law.Unknown, fmt.Errorf("want yes, no or unknown")
}

// parseFinding reads "yes with written, le_consulted". A statement in the journal is itself in writing.
func parseFinding(value string) (law.Answer, []string, error) {
	word, list, _ := strings.Cut(value, " with ")
	a, err := parseAnswer(strings.TrimSpace(word))
	evidence := []string{"written"}
	for _, e := range codes(list) {
		if !evidenceWord.MatchString(e) {
			return a, nil, fmt.Errorf("evidence %q: want words such as le_consulted", e)
		}
		if e != "written" {
			evidence = append(evidence, e)
		}
	}
	return a, evidence, err
}

var evidenceWord = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,60}$`)

// parseCount reads "500", "at least 500", "100 to 200" or "unknown".
func parseCount(value string) (law.Count, error) {
	number := func(s string) (int, error) {
		n, err := strconv.Atoi(strings.TrimSpace(s))
		if err != nil || n < 0 || n > 1<<40 {
			return 0, fmt.Errorf("%q is no count; write a number, «at least 500», «100 to 200» or unknown", value)
		}
		return n, nil
	}
	if value == "unknown" {
		return law.Count{}, nil
	}
	if rest, ok := strings.CutPrefix(value, "at least "); ok {
		n, err := number(rest)
		return law.Count{Known: err == nil, Min: n, Max: 1 << 40}, err
	}
	if low, high, ok := strings.Cut(value, " to "); ok {
		a, err := number(low)
		if err != nil {
			return law.Count{}, err
		}
		b, err := number(high)
		if err == nil && b < a {
			err = fmt.Errorf("%q: the second number is smaller than the first", value)
		}
		return law.Count{Known: err == nil, Min: a, Max: b}, err
	}
	n, err := number(value)
	return law.Count{Known: err == nil, Min: n, Max: n}, err
}

// parseHold reads a word of holdWords, and for a form "until" with an instant.
func parseHold(value string) (word string, until time.Time, err error) {
	word, rest, named := strings.Cut(value, " until ")
	if !slices.Contains(holdWords, word) {
		return "", until, fmt.Errorf("want one of: %s", strings.Join(holdWords, ", "))
	}
	if named {
		if until, err = time.Parse(time.RFC3339, strings.TrimSpace(rest)); err != nil {
			return "", until, fmt.Errorf("%q is no instant; write it like 2026-11-22T09:30:00Z", rest)
		}
	}
	return word, until, nil
}

func parseRoles(value string) ([]string, error) {
	switch value {
	case "controller", "processor":
		return []string{value}, nil
	case "both":
		return []string{"controller", "processor"}, nil
	}
	return nil, fmt.Errorf("want one of: %s", strings.Join(roleWords, ", "))
}
