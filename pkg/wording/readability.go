package wording

import (
	"strings"
	"unicode"
)

// Readability is how hard a text is to read, by the formula published for its
// language.
type Readability struct {
	// Formula is "Flesch-Kincaid grade" (Kincaid et al. 1975, English) or "LIX"
	// (Björnsson 1968, Swedish); empty for a language without one here.
	Formula string
	Score   float64
	// Plain is the highest score that still counts as plain for a general reader:
	// US school grade 9, or LIX 45 ("medium, ordinary newspaper text").
	Plain float64
}

// Hard reports whether the text is harder than plain.
func (r Readability) Hard() bool { return r.Formula != "" && r.Score > r.Plain }

// Read scores a plain text in a language.
func Read(text, language string) Readability {
	base, _, _ := strings.Cut(language, "-")
	words, sentences := wordsAndSentences(text)
	if len(words) == 0 || (base != "en" && base != "sv") {
		return Readability{}
	}
	perSentence := float64(len(words)) / float64(sentences)
	if base == "sv" {
		long := 0
		for _, w := range words {
			if len([]rune(w)) > 6 {
				long++
			}
		}
		return Readability{Formula: "LIX", Plain: 45, Score: perSentence + 100*float64(long)/float64(len(words))}
	}
	syllables := 0
	for _, w := range words {
		syllables += englishSyllables(w)
	}
	score := 0.39*perSentence + 11.8*float64(syllables)/float64(len(words)) - 15.59
	return Readability{Formula: "Flesch-Kincaid grade", Plain: 9, Score: score}
}

// wordsAndSentences splits text; a heading, list item or paragraph end closes
// a sentence as a full stop does. Addresses and numbers are no words.
func wordsAndSentences(text string) (words []string, sentences int) {
	inSentence := false
	for _, line := range strings.Split(text, "\n") {
		for _, raw := range strings.Fields(line) {
			word := strings.TrimFunc(raw, func(r rune) bool { return !unicode.IsLetter(r) })
			if word != "" && !strings.ContainsAny(word, "@/{}") {
				words, inSentence = append(words, word), true
			}
			if inSentence && strings.ContainsAny(raw[len(raw)-1:], ".!?:") {
				sentences, inSentence = sentences+1, false
			}
		}
		if inSentence && len(line) < 60 {
			sentences, inSentence = sentences+1, false
		}
	}
	if inSentence || sentences == 0 {
		sentences++
	}
	return words, sentences
}

// englishSyllables counts vowel groups, without a silent final e.
func englishSyllables(word string) int {
	word = strings.ToLower(word)
	n, vowel := 0, false
	for _, r := range word {
		v := strings.ContainsRune("aeiouy", r)
		if v && !vowel {
			n++
		}
		vowel = v
	}
	if n > 1 && strings.HasSuffix(word, "e") && !strings.HasSuffix(word, "le") {
		n--
	}
	return max(n, 1)
}

// hedges are phrases that soften or stall, by base language. A reader in
// trouble needs the fact instead.
var hedges = map[string][]string{
	"en": {
		"abundance of caution", "we take your privacy", "takes your privacy", "may or may not", "at this time we have no evidence",
		"no evidence of misuse", "sophisticated attack", "isolated incident", "regret any inconvenience", "any inconvenience this may",
		"potentially may", "could potentially", "valued customer",
	},
	"sv": {
		"av försiktighetsskäl", "för säkerhets skull informerar", "på största allvar", "eventuella besvär", "eventuell olägenhet",
		"i dagsläget finns inga tecken", "eventuellt kan komma att", "sofistikerad attack",
	},
}

// Hedges returns the hedging phrases a text contains.
func Hedges(text, language string) []string {
	base, _, _ := strings.Cut(language, "-")
	low := strings.Join(strings.Fields(strings.ToLower(text)), " ")
	var found []string
	for _, h := range hedges[base] {
		if strings.Contains(low, h) {
			found = append(found, h)
		}
	}
	return found
}
